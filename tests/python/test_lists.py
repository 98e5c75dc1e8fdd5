"""Pages: of lists, searches and v2, through a transport and on a socket."""

import asyncio
import threading
import time
import unittest
import urllib.request
from functools import partial
from unittest import mock

import pinstripe
from pinstripe import _core
from support import KEY, Server, Stage, has_sandbox


def page(ids, more, **others):
    return {
        "object": "list",
        "url": "/v1/charges",
        "has_more": more,
        "data": [{"id": i, "object": "charge"} for i in ids],
        **others,
    }


def ids_of(items):
    return [item.id for item in items]


class Relay:
    """A transport that passes requests on to where they go, of asyncio as well."""

    def send(self, request):
        with urllib.request.urlopen(urllib.request.Request(request.url, headers=request.headers)) as reply:
            return reply.status, dict(reply.headers), reply.read()

    async def send_async(self, request):
        await asyncio.sleep(0.001)
        return self.send(request)


class Lists(unittest.TestCase):
    def test_a_page_stands_for_its_data(self):
        charges = Stage(page(["ch_2", "ch_1"], False)).client().v1.charges.list()
        self.assertIsInstance(charges, pinstripe.ListObject)
        self.assertEqual(
            (ids_of(charges), len(charges), ids_of(reversed(charges))), (["ch_2", "ch_1"], 2, ["ch_1", "ch_2"])
        )
        self.assertFalse(charges.is_empty)
        with self.assertRaisesRegex(KeyError, r"\.data\[0\]"):
            charges[0]
        self.assertIs(pinstripe.ListObject[pinstripe.Charge], pinstripe.ListObject)

    def test_auto_paging(self):
        for driven in (False, True):
            with self.subTest(driven=driven), Server((), "--lists", 250) as server:
                hooks = {"on_request": lambda event: None} if driven else {}
                charges = server.client(**hooks).v1.charges.list({"limit": 90})
                items = list(charges.auto_paging_iter())
                self.assertEqual(ids_of(items), [f"ch_{i:08d}" for i in range(250, 0, -1)])
                self.assertIs(items[0], charges.data[0])
                self.assertEqual(items[-1].metadata.number, "1")
                self.assertEqual(len(server.requests()), 3)

    def test_the_next_page_is_asked_for_early(self):
        with Server((), "--lists", 30) as server:
            items = server.client().v1.charges.list({"limit": 10}).auto_paging_iter()
            for _ in range(6):
                next(items)
            asyncio.run(asyncio.sleep(0.2))
            self.assertEqual(len(server.requests()), 2)
            del items

    def test_threads_share_an_iterator(self):
        def take():
            try:
                for item in items:
                    found.append(item.id)
            except Exception as e:
                found.append(repr(e))

        def wait(event):
            time.sleep(0.002)

        with Server((), "--lists", 60) as server:
            charges = server.client(on_request=wait, on_response=wait).v1.charges.list({"limit": 1})
            items, found = charges.auto_paging_iter(), []
            threads = [threading.Thread(target=take) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(sorted(found), [f"ch_{i:08d}" for i in range(1, 61)])

    def test_a_transport_may_not_step_the_iterator_that_it_serves(self):
        class Curious(Stage):
            def send(self, request):
                if items:
                    refusals.append(self.step())
                return super().send(request)

            def step(self):
                try:
                    return next(items[0])
                except RuntimeError as e:
                    return str(e)

        items, refusals = [], []
        client = Curious(page(["ch_3", "ch_2"], True), page(["ch_1"], False)).client()
        items.append(client.v1.charges.list().auto_paging_iter())
        self.assertEqual(ids_of(items[0]), ["ch_3", "ch_2", "ch_1"])
        self.assertRegex(refusals[0], "this iterator is fetching its next page")

    def test_backwards(self):
        with Server((), "--lists", 25) as server:
            charges = server.client().v1.charges.list({"limit": 10, "ending_before": "ch_00000005"})
            self.assertEqual(ids_of(charges.auto_paging_iter()), [f"ch_{i:08d}" for i in range(6, 26)])

    def test_next_and_previous_page(self):
        with Server((), "--lists", 25) as server:
            first = server.client().v1.charges.list({"limit": 10})
            second = first.next_page()
            third = second.next_page(limit=3)
            self.assertEqual((second.data[0].id, len(second), len(third)), ("ch_00000015", 10, 3))
            self.assertEqual(second.previous_page().data[-1].id, "ch_00000016")
            last = third.next_page().next_page()
            self.assertTrue(last.is_empty)
            self.assertIsInstance(last.next_page(), pinstripe.ListObject)
            self.assertTrue(last.next_page().is_empty)

    def test_a_nested_list_goes_on_as_its_call(self):
        invoice = {"id": "in_1", "object": "invoice", "lines": page(["il_2"], True, url="/v1/invoices/in_1/lines")}
        stage = Stage(invoice, page(["il_1"], False))
        found = stage.client().v1.invoices.retrieve("in_1", options={"stripe_account": "acct_1"})
        self.assertEqual(ids_of(found.lines.auto_paging_iter()), ["il_2", "il_1"])
        request = stage.requests[1]
        self.assertEqual(request.url, "https://api.stripe.com/v1/invoices/in_1/lines?limit=100&starting_after=il_2")
        self.assertEqual(request.headers["Stripe-Account"], "acct_1")

    def test_methods_on_the_lists_own_url(self):
        stage = Stage(
            page([], False), {"object": "charge", "id": "c"}, {"object": "charge", "id": "c/d"}, page([], False)
        )
        charges = stage.client().v1.charges.list()
        charges.create(amount=5, idempotency_key="k")
        charges.retrieve("c/d")
        asyncio.run(charges.list_async(limit=1))
        self.assertEqual(
            [(r.method, r.url[22:]) for r in stage.requests[1:]],
            [("POST", "/v1/charges"), ("GET", "/v1/charges/c%2Fd"), ("GET", "/v1/charges?limit=1")],
        )
        self.assertEqual(stage.requests[1].headers["Idempotency-Key"], "k")

    def test_a_page_that_was_built_or_changed(self):
        stage = Stage(page(["ch_1"], False))
        built = pinstripe.ListObject._build(page(["ch_2"], True), stage.client()._requestor)
        self.assertEqual(ids_of(built.auto_paging_iter()), ["ch_2", "ch_1"])
        self.assertIn("starting_after=ch_2", stage.requests[0].url)

    def test_an_error_of_a_later_page(self):
        refusal = {"status": 400, "body": {"error": {"message": "no", "code": "c", "param": "p"}}}
        with Server([{"body": page(["ch_2"], True)}, refusal]) as server:
            items = server.client().v1.charges.list().auto_paging_iter()
            self.assertEqual(next(items).id, "ch_2")
            with self.assertRaisesRegex(pinstripe.InvalidRequestError, "no") as caught:
                next(items)
            e = caught.exception
            self.assertEqual((e.code, e.param, e.http_status, e.attempts), ("c", "p", 400, 1))
            self.assertTrue(e.request_id and e.http_body)

    def test_a_page_that_failed_is_asked_for_again(self):
        oops = {"status": 500, "body": {"error": {"message": "oops"}}}
        last = {"body": page(["ch_1"], False)}

        async def step(items):
            return await items.__anext__()

        for kind in ("from C", "driven", "built", "asyncio"):
            script = [{"body": page(["ch_2"], True)}, oops, {"reset": "headers"}, last]
            with self.subTest(kind=kind), Server(script) as server:
                hooks = {"on_request": lambda event: None} if kind == "driven" else {}
                found = server.client(max_retries=0, **hooks).v1.charges.list()
                if kind == "built":
                    found.url = "/v1/charges"
                items = found.auto_paging_iter()
                take = (lambda items=items: asyncio.run(step(items))) if kind == "asyncio" else partial(next, items)
                self.assertEqual(take().id, "ch_2")
                for error in (pinstripe.APIError, pinstripe.APIConnectionError):
                    with self.assertRaises(error):
                        take()
                self.assertEqual(take().id, "ch_1")
                with self.assertRaises((StopIteration, StopAsyncIteration)):
                    take()

    def test_a_page_of_v2_that_does_not_say_what_it_is(self):
        stage = Stage({"data": [{"id": "x_1"}], "next_page_url": None})
        first = {"data": [{"id": "x_2"}], "next_page_url": "/v2/unknown?page=2"}
        client = stage.client()
        found = client.deserialize(first, api_mode="V2")
        self.assertIs(type(found), pinstripe.v2.ListObject)
        self.assertEqual(ids_of(found.auto_paging_iter()), ["x_2", "x_1"])
        self.assertEqual(stage.requests[0].url, "https://api.stripe.com/v2/unknown?page=2")
        self.assertIs(type(client.deserialize(first)), pinstripe.StripeObject)

    def test_an_url_from_outside(self):
        bad = page(["ch_1"], True, url="//evil.example/v1/charges")
        event = pinstripe.StripeObject._build({"list": bad}, pinstripe.StripeClient(KEY)._requestor)
        with self.assertRaises(pinstripe.InvalidRequestError):
            list(event.list.auto_paging_iter())


class Searches(unittest.TestCase):
    def test_search(self):
        first = {
            "object": "search_result",
            "url": "/v1/charges/search",
            "has_more": True,
            "next_page": "t",
            "data": [{"id": "a"}],
        }
        last = {**first, "has_more": False, "next_page": None, "data": [{"id": "b"}]}
        stage = Stage(first, last, last)
        found = stage.client().v1.charges.search({"query": "q"})
        self.assertIsInstance(found, pinstripe.SearchResultObject)
        self.assertEqual((found.next_page, ids_of(found.auto_paging_iter())), ("t", ["a", "b"]))
        self.assertEqual(ids_of(found.next_search_result_page()), ["b"])
        self.assertEqual(stage.requests[2].url, "https://api.stripe.com/v1/charges/search?query=q&page=t")


class V2(unittest.TestCase):
    def test_v2(self):
        stage = Stage(
            {"data": [{"id": "a"}], "next_page_url": "/v2/core/events?page=2"},
            {"data": [], "next_page_url": "/v2/x"},
            {"data": [{"id": "b", "object": "v2.core.event", "type": "new.type"}], "next_page_url": None},
        )
        found = stage.client().v2.core.events.list({"limit": 1})
        self.assertIs(type(found), pinstripe.v2.ListObject)
        items = list(found.auto_paging_iter())
        self.assertEqual(ids_of(items), ["a", "b"])
        self.assertIs(type(items[1]), pinstripe.v2.core.Event)
        self.assertEqual(stage.requests[1].url, "https://api.stripe.com/v2/core/events?page=2")

    def test_deleted(self):
        found = Stage({"id": "x", "object": "v2.core.account"}).client().v2.core.event_destinations.delete("x")
        self.assertEqual(type(found).__name__, "DeletedObject")


class Asyncio(unittest.TestCase):
    def test_async_for(self):
        async def main(server):
            charges = await server.client().v1.charges.list_async({"limit": 10})
            return [charge.id async for charge in charges.auto_paging_iter()], charges

        with Server((), "--lists", 25) as server:
            found, charges = asyncio.run(main(server))
            self.assertEqual(found, [f"ch_{i:08d}" for i in range(25, 0, -1)])
            self.assertEqual(len(asyncio.run(charges.next_page_async())), 10)

    @unittest.skipUnless(has_sandbox(), "needs the sandbox")
    def test_a_step_that_was_cancelled_loses_nothing(self):
        async def walk(client, seconds):
            items, found = (await client.v1.customers.list_async({"limit": 5})).auto_paging_iter(), []
            while True:
                try:
                    found.append((await asyncio.wait_for(items.__anext__(), seconds)).id)
                except asyncio.TimeoutError:
                    seconds *= 2
                except StopAsyncIteration:
                    return found

        async def main(client):
            return await asyncio.gather(*(walk(client, 0.0005 * (n + 1)) for n in range(80)))  # more than the pool has

        with pinstripe.sandbox() as sb:
            client = sb.client()
            made = [client.v1.customers.create().id for _ in range(20)]
            sb.latency(0.02)
            for found in asyncio.run(main(client)):
                self.assertEqual(found, made[::-1])

    @unittest.skipUnless(has_sandbox(), "needs the sandbox")
    def test_a_step_that_was_closed_loses_nothing(self):
        async def main(client):
            items = (await client.v1.customers.list_async({"limit": 5})).auto_paging_iter()
            found = [(await items.__anext__()).id for _ in range(5)]
            step = items.__anext__()
            step.send(None)
            await asyncio.sleep(0.005)
            step.close()
            return found + [item.id async for item in items]

        with pinstripe.sandbox() as sb:
            client = sb.client()
            made = [client.v1.customers.create().id for _ in range(11)]
            sb.latency(0.05)
            self.assertEqual(asyncio.run(main(client)), made[::-1])

    def test_tasks_share_an_iterator(self):
        async def take(items, found):
            async for item in items:
                found.append(item.id)

        async def main(client):
            items, found = (await client.v1.charges.list_async({"limit": 3})).auto_paging_iter(), []
            await asyncio.gather(*(take(items, found) for _ in range(4)))
            return sorted(found)

        expected = [f"ch_{i:08d}" for i in range(1, 61)]
        with Server((), "--lists", 60) as server:
            self.assertEqual(asyncio.run(main(server.client())), expected)
            self.assertEqual(asyncio.run(main(server.client(transport=Relay()))), expected)

    def test_a_step_is_cancelled_whose_page_another_has_taken(self):
        async def main(client):
            items = (await client.v1.charges.list_async({"limit": 3})).auto_paging_iter()
            found = [(await items.__anext__()).id for _ in range(3)]
            step = asyncio.ensure_future(items.__anext__())
            await asyncio.sleep(0)
            time.sleep(0.3)  # the page comes, and the event loop does not hear of it
            found.append((await items.__anext__()).id)
            step.cancel()
            await asyncio.wait([step])
            return found + [item.id async for item in items]

        with Server((), "--lists", 12) as server, mock.patch.object(_core, "exchange_cancel") as cancel:
            self.assertEqual(asyncio.run(main(server.client())), [f"ch_{i:08d}" for i in range(12, 0, -1)])
            cancel.assert_not_called()  # it is no more

    def test_sync_and_async_do_not_mix(self):
        items = Stage(page(["a"], False)).client().v1.charges.list().auto_paging_iter()
        next(items)
        with self.assertRaises(RuntimeError):
            items.__aiter__()


if __name__ == "__main__":
    unittest.main()
