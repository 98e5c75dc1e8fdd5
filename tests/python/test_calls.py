"""A call in C: what interrupts it while it waits, and what it must let go of."""

import asyncio
import contextlib
import ctypes
import enum
import gc
import itertools
import os
import sys
import threading
import time
import unittest
from collections import ChainMap, UserDict
from types import MappingProxyType
from unittest import mock

import pinstripe
from support import KEY, Server, Stage

REFUSED = {"status": 402, "body": {"error": {"type": "card_error", "message": "no", "code": "card_declined"}}}
PAGE = {
    "object": "list",
    "url": "/v1/charges",
    "has_more": False,
    "data": [{"id": "ch_1", "object": "charge", "amount": 5}, {"id": "ch_2", "object": "charge", "amount": 6}],
}


class Stop(Exception):
    """Set from another thread."""


class Interruptions(unittest.TestCase):
    def stop_while(self, wait):
        """How long after it was set an exception of another thread ends `wait`."""
        ended = []

        def work():
            try:
                wait()
            except Stop:
                ended.append(time.monotonic())

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.3)
        begin = time.monotonic()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
        thread.join(10)
        self.assertEqual(len(ended), 1, "the exception did not come through")
        return ended[0] - begin

    def test_an_exception_of_another_thread_ends_a_call(self):
        with Server([{"silence": "after", "repeat": True}]) as server:
            client = server.client()
            self.assertLess(self.stop_while(client.v1.balance.retrieve), 0.3)
            self.assertLess(self.stop_while(lambda: client.raw_request("get", "/v1/balance")), 0.3)

    def test_and_a_page_that_is_waited_for(self):
        more = {**PAGE, "has_more": True}
        with Server([{"body": more}, {"silence": "after", "repeat": True}]) as server:
            charges = server.client().v1.charges.list()
            self.assertLess(self.stop_while(lambda: list(charges.auto_paging_iter())), 0.3)


class Sharing(unittest.TestCase):
    """What two threads share."""

    def test_only_one_thread_fetches_an_iterators_page(self):
        more = {**PAGE, "has_more": True}
        with Server([{"body": more}, {"delay": 0.5, "body": PAGE}]) as server:
            charges = server.client().v1.charges.list().auto_paging_iter()
            next(charges), next(charges)
            found = []

            def work():
                try:
                    found.append(next(charges).id)
                except RuntimeError as e:
                    found.append(str(e))

            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        refusal = "another thread is fetching the next page of this iterator"
        self.assertEqual(sorted(found), [refusal, "ch_1"])

    def test_an_object_is_refreshed_while_it_is_read(self):
        value = {"id": "ch_1", "object": "charge", "metadata": {"a": "b"}, "refunds": {"object": "list", "data": [{}]}}
        charge = pinstripe.Charge.construct_from(value, KEY)
        others = [pinstripe.Charge.construct_from({**value, "amount": i}, KEY) for i in range(2000)]

        def refresh():
            for other in others:
                pinstripe._core.adopt(charge, other)

        thread = threading.Thread(target=refresh)
        thread.start()
        while thread.is_alive():
            self.assertEqual((charge.metadata.a, len(charge.refunds.data)), ("b", 1))
            self.assertEqual(charge.to_dict()["metadata"], {"a": "b"})
        self.assertEqual(charge.amount, 1999)


class Mocks(unittest.TestCase):
    def test_services_are_patched_by_their_class(self):
        client = Stage({"id": "cus_1", "object": "customer"}).client()
        service = type(client.v1.customers)
        for name, kind in (("create", mock.MagicMock), ("create_async", mock.AsyncMock)):
            with mock.patch.object(service, name) as patched:
                self.assertIsInstance(patched, kind)
                getattr(client.v1.customers, name)({"name": "n"}) if name == "create" else None
                self.assertEqual(patched.call_count, int(name == "create"))
        self.assertEqual(client.v1.customers.create().id, "cus_1")
        self.assertFalse(hasattr(service, "creat"))


class Answers(unittest.TestCase):
    def test_one_without_an_object(self):
        for status, body in ((200, b""), (204, b""), (200, b"null")):
            client = Stage(*[(status, {}, body)] * 3).client()
            calls = client.v1.payment_intents.capture, client.v2.core.event_destinations.delete
            for call in calls:
                with self.assertRaises(pinstripe.APIError) as caught:
                    call("id_1", options={"idempotency_key": "mine"})
                e = caught.exception
                facts = e.kind, e.outcome, e.http_status, e.attempts, e.idempotency_key
                self.assertEqual(facts, ("protocol", "unknown", status, 1, "mine"))
            with self.assertRaises(pinstripe.APIError):
                asyncio.run(client.v1.customers.create_async({}))

    def test_one_where_nothing_is_expected(self):
        client = Stage((204, {}, b"")).client()
        self.assertIsNone(client.v2.billing.meter_event_stream.create({"events": []}))


class Arguments(unittest.TestCase):
    def test_ids_that_are_no_text(self):
        with Server() as server:
            customers = server.client().v1.customers
            for bad, word in (("cus_\0", "NUL character"), ("cus_\ud800", "lone surrogate")):
                with self.assertRaisesRegex(ValueError, f"customers.retrieve: the id customer holds a {word}"):
                    customers.retrieve(bad)

    def test_a_map_whose_items_are_no_pairs(self):
        with Server() as server:
            customers = server.client().v1.customers
            for item in (1, (2,), "ab", (1, 2, 3), None):
                odd = type("Odd", (dict,), {"items": lambda _, item=item: [item]})(a=1)
                with self.subTest(item=item), self.assertRaisesRegex(TypeError, r"params.metadata: the items\(\) of a"):
                    customers.create({"metadata": odd})
            self.assertEqual(server.requests(), [])

    def test_mappings_of_every_kind(self):
        class Items:
            def items(self):
                return [("a", "A")]

            def __getitem__(self, key):
                return "A"

        class Broken(dict):
            def __init__(self, pairs):
                self.pairs = pairs

            def items(self):
                return self.pairs

        for params in (UserDict(a="A"), ChainMap({"a": "A"}), MappingProxyType({"a": "A"}), Items()):
            stage = Stage({}, {})
            stage.client().v1.customers.create({"metadata": params})
            stage.client().v1.customers.create(params)
            self.assertEqual([r.body for r in stage.requests], [b"metadata[a]=A", b"a=A"], params)
        for pairs in ([["a", "b"]], [("a",)], [5]):
            with self.assertRaisesRegex(TypeError, "params.metadata: "):
                Stage().client().v1.customers.create({"metadata": Broken(pairs)})

    def test_a_list_that_lies_about_its_length(self):
        class Long(list):
            def __len__(self):
                return 10**9

        class Pair(tuple):
            def __len__(self):
                return 10**9

        stage = Stage({})
        begin = time.monotonic()
        stage.client().v1.customers.create({"preferred_locales": Long(["nb"]), "expand": Pair(["a"])})
        self.assertEqual(stage.requests[0].body, b"preferred_locales[0]=nb&expand[0]=a")
        self.assertLess(time.monotonic() - begin, 1)

    def test_a_value_that_is_made_of_itself(self):
        class Endless(enum.Enum):
            A = 1
            value = property(lambda self: self)

        client = pinstripe.StripeClient(KEY)
        with self.assertRaises(RecursionError):
            client.v1.charges.create({"metadata": {"a": Endless.A}})


def memory():
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Leaks(unittest.TestCase):
    """Calls through the core's own driver: good ones, refused ones, raw ones, pages, asyncio."""

    def calls(self, client):
        params, options = {"limit": 2, "expand": ["data.customer"]}, {"stripe_account": "acct_1", "timeout": 5}
        for charge in client.v1.charges.list(params, options).auto_paging_iter():
            charge.amount, charge.id
        client.v1.balance.retrieve().last_response.headers
        client.raw_request("get", "/v1/balance", limit=1).body
        with contextlib.suppress(pinstripe.CardError):
            client.v1.charges.create({"amount": 5, "currency": "eur"})
        for wrong in ({"a": object()}, 5, {"a": {"b": ["\ud800"]}}):
            with contextlib.suppress(TypeError, ValueError):
                client.v1.charges.create(wrong)
        with contextlib.suppress(TypeError, ValueError):
            client.v1.charges.retrieve("ch_1", {}, {"timeout": object()})
        with contextlib.suppress(ValueError):
            client.v1.charges.retrieve("ch_\0")
        with contextlib.suppress(pinstripe.StripeError):
            client.v1.charges.retrieve("ch_1", {}, {"timeuot": 5})

    async def calls_async(self, client):
        await client.v1.balance.retrieve_async()
        with contextlib.suppress(pinstripe.CardError):
            await client.v1.charges.create_async({"amount": 5})

    def run_rounds(self, client, script, count, server):
        for _ in range(count):
            server.script(script)
            for _ in range(20):
                self.calls(client)
        gc.collect()
        return len(gc.get_objects()), sys.getrefcount(None), memory()

    def test_nothing_is_left(self):
        good = {"body": {"object": "balance"}}
        script = [{"body": PAGE}, good, good, REFUSED] * 20
        rounds = int(os.environ.get("PS_LEAK_ROUNDS", "3000")) // 300
        with Server() as server:
            client = server.client()
            self.run_rounds(client, script, rounds, server)
            before, after = (self.run_rounds(client, script, rounds, server) for _ in range(2))
        self.assertLess(abs(after[0] - before[0]), 50, "objects are left")
        if sys.version_info < (3, 12):  # since then None is immortal, and its count means nothing
            self.assertLess(abs(after[1] - before[1]), 100, "references to None are left")
        self.assertLess(after[2] - before[2], 2_000_000, "memory is left")

    def test_nothing_is_left_of_asyncio(self):
        async def rounds(client, count):
            for _ in range(count):
                await self.calls_async(client)
            gc.collect()
            return len(gc.get_objects()), memory()

        async def several(client):
            return [await rounds(client, 100) for _ in range(5)]

        with Server([{"body": {"object": "balance"}}, REFUSED] * 500) as server:
            counts = asyncio.run(several(server.client()))
        # What leaks grows in every round; asyncio's own caches grow in one or the other.
        objects, sizes = zip(*counts)
        growth = [[after - before for before, after in itertools.pairwise(column)] for column in (objects, sizes)]
        self.assertLess(min(growth[0]), 50, "objects are left")
        self.assertLess(min(growth[1]), 1_000_000, "memory is left")


if __name__ == "__main__":
    unittest.main()
