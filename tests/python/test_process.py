"""Threads, processes, signals, asyncio, and what must not leak."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest

import pinstripe
from support import KEY, Server, Stage

SLOW = [{"delay": 0.1, "body": {"object": "balance"}, "repeat": True}]


def in_child(base, queue):
    client = pinstripe.StripeClient(KEY, api_base=base)
    queue.put(client.v1.balance.retrieve().object)


def run_python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, timeout=60
    )


class Threads(unittest.TestCase):
    def test_calls_of_many_threads_run_in_parallel(self):
        def seconds_of_calls(client):
            found = []
            threads = [
                threading.Thread(target=lambda: found.append(client.v1.balance.retrieve().object)) for _ in range(16)
            ]
            begin = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(found, ["balance"] * 16)
            return time.monotonic() - begin

        with Server(SLOW) as server:
            client = server.client()
            client.v1.balance.retrieve()
            self.assertLess(min(seconds_of_calls(client) for _ in range(3)), 0.4)  # the machine may be busy

    def test_one_object_read_by_many_threads(self):
        value = {
            "object": "list",
            "data": [{"id": str(i), "object": "charge", "metadata": {"n": i}} for i in range(200)],
        }
        charges = Stage(value).client().v1.charges.list()
        sums = []
        threads = [
            threading.Thread(target=lambda: sums.append(sum(c.metadata.n for c in charges.data))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sums, [sum(range(200))] * 8)


class Asyncio(unittest.TestCase):
    def test_calls_are_in_flight_together(self):
        async def main(client):
            ticks = []

            async def tick():
                while True:
                    ticks.append(time.monotonic())
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(tick())
            await asyncio.gather(*(client.v1.balance.retrieve_async() for _ in range(32)))
            task.cancel()
            return max(b - a for a, b in zip(ticks, ticks[1:]))

        def seconds_and_pause(client):
            begin = time.monotonic()
            pause = asyncio.run(main(client))
            return time.monotonic() - begin, pause

        with Server(SLOW) as server:
            seconds, pauses = zip(*(seconds_and_pause(server.client()) for _ in range(3)))  # the machine may be busy
            self.assertLess(min(seconds), 1)
            self.assertLess(min(pauses), 0.1, "the event loop was blocked")

    def test_cancelling_the_task_cancels_the_call(self):
        async def main(client):
            task = asyncio.create_task(client.v1.balance.retrieve_async())
            await asyncio.sleep(0.2)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        with Server([{"silence": "after", "repeat": True}]) as server:
            begin = time.monotonic()
            asyncio.run(main(server.client()))
            pinstripe._drive.pool.shutdown()
            pinstripe._drive.forget_pool()
            self.assertLess(time.monotonic() - begin, 2)

    def test_what_is_cancelled_in_the_queue_is_never_sent(self):
        async def main(client):
            calls = [asyncio.create_task(client.v1.customers.create_async({"name": str(n)})) for n in range(100)]
            await asyncio.sleep(0.3)
            before = len(server.requests())
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(0.5)
            self.assertGreaterEqual(before, 1)
            self.assertEqual(len(server.requests()), before)
            self.assertEqual([call.cancelled() for call in calls], [True] * 100)

        slow = [{"delay": 1.5, "body": {"object": "customer"}, "repeat": True}]
        with Server(slow) as server:
            asyncio.run(main(server.client(max_retries=0)))

    def test_the_interpreter_does_not_wait_for_a_pending_call(self):
        with Server([{"delay": 8, "body": {"object": "balance"}, "repeat": True}]) as server:
            begin = time.monotonic()
            done = run_python(
                """
                import asyncio, sys, pinstripe

                client = pinstripe.StripeClient("sk_test_1", api_base=sys.argv[1], timeout=8, max_retries=0)
                loop = asyncio.new_event_loop()

                async def main():
                    tasks.extend(loop.create_task(client.v1.balance.retrieve_async()) for _ in range(70))
                    await asyncio.sleep(0.3)

                tasks = []
                loop.run_until_complete(main())
                """,
                server.base,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertLess(time.monotonic() - begin, 5)

    def test_but_for_those_of_a_thread_that_goes_on(self):
        with Server([{"delay": 0.5, "body": {"object": "balance"}, "repeat": True}]) as server:
            done = run_python(
                """
                import asyncio, sys, threading, time, pinstripe

                client = pinstripe.StripeClient("sk_test_1", api_base=sys.argv[1], max_retries=0)

                async def main():
                    calls = (client.v1.balance.retrieve_async() for _ in range(70))
                    print({type(balance).__name__ for balance in await asyncio.gather(*calls)})

                threading.Thread(target=lambda: asyncio.run(main())).start()
                time.sleep(0.2)
                """,
                server.base,
            )
        self.assertEqual((done.returncode, done.stdout), (0, "{'Balance'}\n"), done.stderr)

    def test_an_error_is_raised_where_it_is_awaited(self):
        script = [{"status": 402, "body": {"error": {"message": "no"}}}]
        with Server(script) as server, self.assertRaisesRegex(pinstripe.CardError, "no"):
            asyncio.run(server.client().v1.charges.create_async({}))


class Processes(unittest.TestCase):
    def test_children_of_every_kind(self):
        with Server([], "--lists", 1) as server:
            server.script([{"body": {"object": "balance"}, "repeat": True}])
            client = server.client()
            client.v1.balance.retrieve()
            for method in multiprocessing.get_all_start_methods():
                with self.subTest(method=method):
                    context = multiprocessing.get_context(method)
                    queue = context.Queue()
                    child = context.Process(target=in_child, args=(server.base, queue))
                    child.start()
                    self.assertEqual(queue.get(timeout=30), "balance")
                    child.join(10)
                    self.assertEqual(child.exitcode, 0)
            self.assertEqual(client.v1.balance.retrieve().object, "balance")

    @unittest.skipUnless(hasattr(os, "fork"), "fork")
    def test_a_client_used_on_both_sides_of_fork(self):
        with Server([{"body": {"object": "balance"}, "repeat": True}]) as server:
            client = server.client()
            asyncio.run(client.v1.balance.retrieve_async())  # threads of the pool stand
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    status = 0 if asyncio.run(client.v1.balance.retrieve_async()).object == "balance" else 2
                finally:
                    os._exit(status)
            self.assertEqual(client.v1.balance.retrieve().object, "balance")
            self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_ctrl_c(self):
        with Server([{"silence": "after", "repeat": True}]) as server:
            code = """
                import sys, time, pinstripe
                client = pinstripe.StripeClient("sk_test_1", api_base=sys.argv[1])
                print("ready", flush=True)
                try:
                    client.v1.balance.retrieve()
                except KeyboardInterrupt:
                    print(time.time(), flush=True)
            """
            child = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(code), server.base], stdout=subprocess.PIPE, text=True
            )
            child.stdout.readline()
            time.sleep(0.5)
            sent = time.time()
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=10)
            self.assertEqual(child.returncode, 0)
            self.assertLess(float(out) - sent, 0.35)

    def test_a_subinterpreter_is_refused(self):
        done = run_python("""
            import sys
            try:
                import _xxsubinterpreters as interpreters
            except ImportError:
                try:
                    import _interpreters as interpreters
                except ImportError:
                    sys.exit(0)
            other = interpreters.create()
            code = "try:\\n import pinstripe\\nexcept ImportError as e:\\n print('refused', e)"
            interpreters.run_string(other, f"import sys; sys.path[:] = {sys.path!r}")
            interpreters.run_string(other, code)
            import pinstripe
            print(pinstripe.Customer)
        """)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_import_loads_little(self):
        done = run_python("""
            import sys
            before = set(sys.modules)
            import pinstripe
            print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
        """)
        self.assertEqual([name for name in done.stdout.split() if not name.startswith("swig_")], ["pinstripe"])

    def test_the_module_exports_one_symbol(self):
        path = pinstripe._core.__file__
        done = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True)
        if done.returncode == 0:
            self.assertEqual([line.split()[-1] for line in done.stdout.splitlines()], ["PyInit__core"])


class Leaks(unittest.TestCase):
    """Objects, references and memory come back to where they were."""

    VALUE = {
        "object": "list",
        "url": "/v1/charges",
        "has_more": False,
        "data": [
            {
                "id": "ch_1",
                "object": "charge",
                "amount": 5,
                "metadata": {"a": "b"},
                "billing_details": {"address": {"city": "x"}},
            }
        ],
    }

    def exercise(self, client):
        charges = client.v1.charges.list({"limit": 1, "expand": ["data.x"], "created": {"gte": 5}})
        for charge in charges.auto_paging_iter():
            charge.billing_details.address.city, charge.metadata.a, charge.amount
            charge.to_dict(), str(charge), charge == charges.data[0], "x" in charge
            charge.description = "y"
            del charge["metadata"]
            charge.myself = charge
            self.assertFalse(hasattr(charge, "nothing"))
        with contextlib.suppress(TypeError):
            client.v1.charges.list({"x": object()})
        pinstripe.Charge.construct_from({"id": "ch_1", "object": "charge", "x": {"y": [1]}}, None).to_dict()

    def stage(self):
        stage = Stage()
        stage.send = lambda request: (200, {"Request-Id": "req_1"}, LIST)
        return stage.client()

    def test_nothing_is_left_of_many_calls(self):
        client = self.stage()
        rounds = int(os.environ.get("PS_LEAK_ROUNDS", "3000"))

        def run(count):
            for _ in range(count):
                self.exercise(client)
            gc.collect()
            return len(gc.get_objects()), sys.getrefcount(None), memory()

        run(500)
        before, after = run(rounds), run(rounds)
        self.assertLess(abs(after[0] - before[0]), 50, "objects are left")
        if sys.version_info < (3, 12):  # since then None is immortal, and its count means nothing
            self.assertLess(abs(after[1] - before[1]), 200, "references to None are left")
        self.assertLess(after[2] - before[2], 2_000_000, "memory is left")


def memory():
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


LIST = __import__("json").dumps(Leaks.VALUE)


if __name__ == "__main__":
    unittest.main()
