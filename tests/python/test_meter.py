"""Streams of meter events: through a transport, over sockets that are cut, and at the end of a program."""

import asyncio
import contextlib
import datetime
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from unittest import mock

import pinstripe
from pinstripe import _core
from support import KEY, Server

SESSION = {"body": {"authentication_token": "tok_1", "expires_at": "2100-01-01T00:00:00.000Z"}}
TAKEN = {"status": 204, "body": ""}


def event(value):
    return {"event_name": "requests", "payload": {"value": str(value)}}


class Meters:
    """A transport that answers sessions, and batches as `answer(number of the batch, events)` says."""

    def __init__(self, answer=None):
        self.answer, self.batches, self.sessions = answer, [], 0

    def __call__(self, request):
        if request.url.endswith("session"):
            self.sessions += 1
            session = {"authentication_token": f"tok_{self.sessions}", "expires_at": "2100-01-01T00:00:00.000Z"}
            return 200, {}, json.dumps(session)
        self.batches.append((request, json.loads(request.body)["events"]))
        return (self.answer and self.answer(len(self.batches), self.batches[-1][1])) or (204, {}, b"")

    def stream(self, max_age=3600, max_pending=10000, **options):
        client = pinstripe.StripeClient(KEY, transport=self, max_retries=0, **options)
        return client.meter_stream(max_age, max_pending)

    def queued(self, count):
        """A stream whose events were all added while none was due."""
        stream = self.stream()
        with mock.patch.object(_core, "meter_wait", return_value=-1):
            for i in range(count):
                stream.add(event(i))
        return stream

    def values(self):
        return [event["payload"]["value"] for _, events in self.batches for event in events]


def is_first(events):
    return events[0]["payload"]["value"] == "0"


def refusal(status, **error):
    return status, {"Stripe-Should-Retry": "false"}, json.dumps({"error": error})


class Streams(unittest.TestCase):
    def test_batches_of_a_hundred_and_the_rest(self):
        meters = Meters()
        stream = meters.stream()
        for i in range(250):
            self.assertIsNone(stream.add(event(i)))
        self.assertEqual((len(meters.batches), stream.pending()), (2, 50))
        stream.close()
        stream.close()
        self.assertEqual([len(events) for _, events in meters.batches], [100, 100, 50])
        self.assertEqual(meters.values(), [str(i) for i in range(250)])
        request, events = meters.batches[0]
        self.assertEqual(request.headers["Authorization"], "Bearer tok_1")
        self.assertEqual(request.url, "https://meter-events.stripe.com/v2/billing/meter_event_stream")
        self.assertEqual((meters.sessions, len({event["identifier"] for event in events})), (1, 100))
        self.assertRegex(events[0]["timestamp"], r"^\d+-\d+-\d+T")

    def test_ones_own_identifier_and_time(self):
        meters = Meters()
        at = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
        with meters.stream() as stream:
            stream.add({**event(1), "identifier": "mine", "timestamp": at})
            stream.add({**event(1), "identifier": "mine too", "timestamp": None})
        first, second = meters.batches[0][1]
        self.assertEqual((first["identifier"], first["timestamp"][:10]), ("mine", "2026-01-02"))
        self.assertRegex(second["timestamp"], r"^\d+-\d+-\d+T")

    def test_age(self):
        meters = Meters()
        stream = meters.stream(max_age=0)
        stream.add(event(1))
        self.assertEqual(len(meters.batches), 1)
        stream.flush()
        self.assertEqual(len(meters.batches), 1)

    def test_what_is_due_is_sent_though_nobody_adds(self):
        meters = Meters(lambda number, _: refusal(500, message="oops") if number == 1 else None)
        stream = meters.stream(max_age=0.05)
        stream.add(event(1))
        self.assertEqual(meters.values(), [])
        self.wait_for(lambda: len(meters.batches) == 2)
        self.wait_for(lambda: stream.pending() == 0)
        self.assertEqual(meters.values(), ["1", "1"])
        stream.add(event(2))
        self.wait_for(lambda: stream.pending() == 0)
        self.assertEqual(meters.values(), ["1", "1", "2"])
        before = threading.active_count()
        stream.add(event(3))
        stream.close()
        self.wait_for(lambda: threading.active_count() <= before)

    def test_a_transport_that_raises_is_not_asked_all_the_time(self):
        meters = Meters(lambda *_: {}["mine"])
        stream = meters.stream(max_age=0.01)
        stream.add(event(1))
        time.sleep(0.3)
        self.assertEqual(len(meters.batches), 1)
        meters.answer = None
        with contextlib.suppress(pinstripe.StripeError):  # what was under way counts as lost
            stream.flush()
        stream.close()
        self.assertEqual(stream.pending(), 0)

    def wait_for(self, condition):
        end = time.monotonic() + 10
        while not condition():
            self.assertLess(time.monotonic(), end, "waited for too long")
            time.sleep(0.01)

    def test_a_session_is_renewed_once(self):
        expired = refusal(401, type="temporary_session_expired", message="expired")
        meters = Meters(lambda number, _: expired if number == 1 else None)
        stream = meters.stream()
        stream.add(event(1))
        stream.flush()
        first, second = meters.batches
        self.assertEqual(second[0].headers["Authorization"], "Bearer tok_2")
        self.assertEqual(first[1], second[1])
        meters = Meters(lambda *_: expired)
        stream = meters.stream()
        stream.add(event(1))
        with self.assertRaises(pinstripe.TemporarySessionExpiredError):
            stream.flush()
        self.assertEqual((len(meters.batches), stream.pending()), (2, 1))
        self.assertEqual(stream.skip()[0]["payload"], {"value": "1"})

    def test_what_failed_is_kept_and_told(self):
        broken = [True]
        meters = Meters(lambda *_: refusal(500, message="oops") if broken[0] else None)
        stream = meters.stream(max_age=0, max_pending=2)
        self.assertIsInstance(stream.add(event(0)), pinstripe.APIError)
        self.assertIsNone(stream.add(event(1)))  # nothing is due before a pause is over
        for _ in range(5):
            with self.assertRaisesRegex(pinstripe.APIError, "oops"):
                stream.add(event("never"))
        self.assertEqual(len(meters.batches), 1)
        with self.assertRaises(pinstripe.APIError):
            stream.close()
        self.assertEqual((stream.pending(), len(meters.batches)), (2, 2))
        broken[0] = False
        stream.flush()
        self.assertEqual(stream.pending(), 0)
        self.assertIsNone(stream.add(event(2)))
        self.assertEqual(stream.pending(), 0)
        self.assertEqual(set(meters.values()), {"0", "1", "2"})
        identifiers = {e["identifier"] for _, events in meters.batches for e in events if e["payload"]["value"] == "0"}
        self.assertEqual(len(identifiers), 1)

    def test_a_batch_that_is_refused_is_given_back(self):
        meters = Meters(lambda number, _: refusal(400, code="invalid", message="no") if number == 1 else None)
        stream = meters.stream()
        for i in range(99):
            stream.add(event(i))
        self.assertEqual(stream.add(event(99)).code, "invalid")
        skipped = stream.skip()
        self.assertEqual((len(skipped), skipped[99]["payload"]["value"], stream.pending()), (100, "99", 0))
        self.assertEqual(stream.skip(), [])

    def test_a_connection_that_is_cut_in_the_middle(self):
        """Each event arrives: what was lost is sent again, with the same identifiers."""
        script = [{"reset": "headers"}, SESSION, {"reset": "headers"}, {"reset": "after"}, TAKEN, {"close": True}]
        with Server([*script, {**TAKEN, "repeat": True}]) as server:
            stream = server.client(max_retries=0).meter_stream(max_age=3600)
            failures = 0
            for i in range(250):
                error = stream.add(event(i))
                failures += error is not None
                if error:
                    self.assertIsInstance(error, pinstripe.APIConnectionError)
            while stream.pending():
                try:
                    stream.flush()
                except pinstripe.APIConnectionError:
                    failures += 1
            stream.close()
            requests = [r for r in server.requests() if r["path"].endswith("stream") and r["body"]]
        self.assertEqual(failures, 4)
        sent = [e for request in requests for e in json.loads(request["body"])["events"]]
        by_identifier = {e["identifier"]: e["payload"]["value"] for e in sent}
        self.assertEqual(sorted(by_identifier.values(), key=int), [str(i) for i in range(250)])
        self.assertGreater(len(sent), 250)  # some went twice, and count once

    def test_threads(self):
        meters = Meters()
        stream = meters.stream(max_age=0, max_pending=150)

        def add(start):
            for i in range(300):
                stream.add(event(start + i))

        threads = [threading.Thread(target=add, args=(n * 1000,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stream.close()
        expected = sorted(n * 1000 + i for n in range(4) for i in range(300))
        self.assertEqual(sorted(map(int, meters.values())), expected)

    def test_a_full_queue_waits_for_the_one_that_sends(self):
        sending, go_on = threading.Event(), threading.Event()

        def answer(*_):
            sending.set()
            go_on.wait(10)

        meters = Meters(answer)
        stream = meters.stream(max_pending=2)
        stream.add(event(0))
        sender = threading.Thread(target=stream.flush)
        sender.start()
        self.assertTrue(sending.wait(10))
        stream.add(event(1))  # goes on meanwhile
        adder = threading.Thread(target=stream.add, args=(event(2),))
        adder.start()
        adder.join(0.2)
        self.assertTrue(adder.is_alive(), "the queue is full")
        go_on.set()
        adder.join(10)
        sender.join(10)
        stream.close()
        self.assertEqual(meters.values(), ["0", "1", "2"])

    def test_asyncio(self):
        meters = Meters()

        async def main():
            client = pinstripe.StripeClient(KEY, transport=meters)
            async with client.meter_stream() as stream:
                await asyncio.gather(*(stream.add_async(event(i)) for i in range(120)))
                await stream.flush_async()
                await stream.add_async(event(120))

        asyncio.run(main())
        self.assertEqual(sorted(map(int, meters.values())), list(range(121)))

    def test_a_hook_may_add_but_not_flush(self):
        raised = []

        def hook(e):
            if e.path.endswith("session"):
                stream.add(event(2))
                try:
                    stream.flush()
                except RuntimeError as error:
                    raised.append(str(error))

        meters = Meters()
        stream = meters.stream(max_age=0, on_request=hook)
        stream.add(event(1))
        self.assertEqual((meters.values(), stream.pending()), (["1", "2"], 0))
        self.assertRegex(raised[0], "being flushed already")

    def test_it_goes_on_after_a_transport_that_raised(self):
        meters = Meters(lambda number, _: {}["mine"] if number == 1 else None)
        stream = meters.stream()
        stream.add(event(1))
        with self.assertRaises(KeyError):
            stream.flush()
        self.assertEqual(stream.pending(), 1)
        try:
            stream.flush()
        except pinstripe.StripeError:
            stream.flush()
        self.assertEqual(stream.pending(), 0)

    def test_an_event_that_was_taken_is_not_refused(self):
        """What a hook or transport raises is returned: an add that raised would be made again, and count twice."""
        meters = Meters(lambda number, _: {}["mine"] if number == 1 else None)
        stream = meters.stream(max_age=0, max_pending=1)
        self.assertIsInstance(stream.add(event(1)), KeyError)
        self.assertEqual(stream.pending(), 1)
        self.wait_for(lambda: stream.pending() == 0)
        self.assertEqual(set(meters.values()), {"1"})
        raised = [ValueError("hook")]

        def hook(e):
            if raised:
                raise raised.pop()

        stream = Meters().stream(max_age=0, on_request=hook)
        self.assertIsInstance(stream.add(event(1)), ValueError)
        with contextlib.suppress(pinstripe.StripeError):
            stream.flush()  # the request that the hook stopped
        stream.close()

    def test_a_timer_that_ends_before_its_start_does(self):
        class Hasty(threading.Timer):
            def start(self):
                super().start()
                self.join(0.3)

        meters = Meters()
        with mock.patch.object(threading, "Timer", Hasty):
            stream = meters.stream(max_age=0.01)
            for count in (1, 2):
                stream.add(event(count))
                self.wait_for(lambda: stream.pending() == 0)
        self.assertEqual(meters.values(), ["1", "2"])

    def test_close_passes_over_what_is_refused(self):
        meters = Meters(lambda _, events: refusal(400, message="bad value") if is_first(events) else None)
        stream = meters.queued(250)
        with self.assertRaisesRegex(pinstripe.InvalidRequestError, "bad value"):
            stream.close()
        self.assertEqual((len(meters.batches), stream.pending()), (3, 100))
        self.assertEqual(meters.values()[100:], [str(i) for i in range(100, 250)])
        self.assertEqual([e["payload"]["value"] for e in stream.skip()], [str(i) for i in range(100)])
        stream.close()
        self.assertEqual(len(meters.batches), 3)

    def test_close_stops_where_every_batch_would_fail(self):
        for status in (401, 403, 409, 429, 500):
            meters = Meters(lambda *_, status=status: refusal(status, message="no"))
            stream = meters.queued(150)
            with self.subTest(status=status), self.assertRaises(pinstripe.StripeError):
                stream.close()
            self.assertEqual((len(meters.batches), stream.pending()), (1, 150))
            meters.answer = None
            stream.close()

    def test_misuses(self):
        stream = Meters().stream()
        for bad, error, text in [
            ({"event_name": "a"}, ValueError, "event_name and payload"),
            ("a", (TypeError, ValueError), "a map"),
            (None, ValueError, "a map"),
            ({**event(1), "payload": {"x": {1}}}, TypeError, r"event.payload.x: a set cannot be sent"),
        ]:
            with self.subTest(bad=bad), self.assertRaisesRegex(error, text):
                stream.add(bad)
        for options in ({"max_age": -1}, {"max_age": "1"}, {"max_pending": 0}, {"max_pending": True}):
            with self.subTest(options=options), self.assertRaisesRegex(ValueError, f"{next(iter(options))} must be"):
                Meters().stream(**options)
        stream.close()
        for call in (stream.flush, stream.skip, lambda: stream.add(event(1))):
            with self.assertRaisesRegex(ValueError, "the stream is closed"):
                call()


PROGRAM = """
import os, sys, pinstripe
client = pinstripe.StripeClient("sk_test_1", api_base=sys.argv[1], meter_events_base=sys.argv[1], max_retries=0)
stream = client.meter_stream(max_age=3600)
for i in range(7):
    stream.add({"event_name": "e", "payload": {"value": str(i)}})
"""

CHILDREN = """
import multiprocessing, sys, pinstripe

def work(base):
    global stream
    client = pinstripe.StripeClient("sk_test_1", api_base=base, meter_events_base=base, max_retries=0)
    stream = client.meter_stream(max_age=3600)
    for i in range(7):
        stream.add({"event_name": "e", "payload": {"value": str(i)}})

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    child = multiprocessing.Process(target=work, args=sys.argv[2:])
    child.start()
    child.join()
"""


def run_program(server, code=""):
    command = [sys.executable, "-c", PROGRAM + code, server.base]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def values_at(server):
    batches = [r for r in server.requests() if r["path"].endswith("stream")]
    return [e["payload"]["value"] for r in batches for e in json.loads(r["body"])["events"]]


class Ends(unittest.TestCase):
    def test_at_the_end_of_a_program(self):
        for code in ("", "sys.exit(3)", "1 / 0", "import gc; cycle = [stream]; cycle.append(cycle); del stream, cycle"):
            with self.subTest(code=code), Server([SESSION, TAKEN]) as server:
                run_program(server, code)
                self.assertEqual(values_at(server), [str(i) for i in range(7)])

    def test_what_cannot_be_sent_is_told(self):
        with Server([{"close": True, "repeat": True}]) as server:
            done = run_program(server)
            self.assertRegex(done.stderr, "7 of its events were not sent")

    def test_when_it_is_collected(self):
        meters = Meters()
        stream = meters.stream()
        stream.add(event(1))
        del stream
        gc.collect()
        self.assertEqual(meters.values(), ["1"])
        meters = Meters(lambda *_: refusal(500, message="oops"))
        stream = meters.stream()
        stream.add(event(1))
        with self.assertWarnsRegex(RuntimeWarning, "1 of its events were not sent: .*oops"):
            del stream
            gc.collect()

    def test_one_refused_batch_does_not_keep_back_the_others(self):
        meters = Meters(lambda _, events: refusal(400, message="bad value") if is_first(events) else None)
        stream = meters.queued(250)
        with self.assertWarnsRegex(RuntimeWarning, "100 of its events were not sent: .*bad value"):
            del stream
            gc.collect()
        self.assertEqual(meters.values()[100:], [str(i) for i in range(100, 250)])

    def test_at_the_end_of_a_child_of_multiprocessing(self):
        for method in ("fork", "spawn"):
            folder = tempfile.mkdtemp()
            self.addCleanup(shutil.rmtree, folder)
            with self.subTest(method=method), Server([SESSION, TAKEN]) as server:
                path = os.path.join(folder, "program.py")
                with open(path, "w", encoding="utf-8") as f:
                    f.write(CHILDREN)
                command = [sys.executable, path, method, server.base]
                done = subprocess.run(command, capture_output=True, text=True, timeout=60)
                self.assertEqual(done.stderr, "")
                self.assertEqual(values_at(server), [str(i) for i in range(7)])

    def test_nothing_is_taken_after_the_end(self):
        code = "import atexit\n@atexit.register\ndef late():\n    try: stream.add({'event_name': 'e', 'payload': {}})\n"
        code += "    except ValueError as e: print(e)\n"
        with Server([SESSION, TAKEN]) as server:
            command = [sys.executable, "-c", code + PROGRAM, server.base]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.stdout, done.stderr), ("the stream is closed\n", ""))
            self.assertEqual(values_at(server), [str(i) for i in range(7)])

    def test_what_is_added_at_the_end_is_sent(self):
        code = "\nimport atexit\natexit.register(lambda: stream.add({'event_name': 'e', 'payload': {'value': '7'}}))"
        with Server([SESSION, TAKEN]) as server:
            self.assertEqual(run_program(server, code).stderr, "")
            self.assertEqual(values_at(server), [str(i) for i in range(8)])

    def test_ctrl_c_at_the_end_is_told(self):
        code = "import signal\nsignal.signal(signal.SIGALRM, signal.default_int_handler)\nsignal.setitimer(0, 0.3)"
        with Server([SESSION, {"delay": 5, **TAKEN}]) as server:
            self.assertRegex(run_program(server, code).stderr, "7 of its events were not sent: KeyboardInterrupt")

    def test_when_it_is_collected_after_a_failure(self):
        meters = Meters(lambda number, _: refusal(500, message="oops") if number == 1 else None)
        stream = meters.stream(max_age=0)
        self.assertIsInstance(stream.add(event(1)), pinstripe.APIError)
        del stream
        gc.collect()
        self.assertEqual(meters.values(), ["1", "1"])

    @unittest.skipUnless(hasattr(os, "fork"), "needs fork")
    def test_a_child_leaves_it_to_its_parent(self):
        child = "\nif os.fork() == 0:\n    try: stream.flush()\n    except RuntimeError as e: print(e)\nelse: os.wait()"
        with Server([SESSION, TAKEN]) as server, warnings.catch_warnings():
            done = run_program(server, child)
            self.assertIn("that of another process", done.stdout)
            self.assertEqual(values_at(server), [str(i) for i in range(7)])


if __name__ == "__main__":
    unittest.main()
