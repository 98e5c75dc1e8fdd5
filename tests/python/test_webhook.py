"""Webhooks, thin events and their handlers."""

import asyncio
import json
import pickle
import sys
import time
import unittest

import pinstripe
from pinstripe import Webhook, WebhookSignature
from pinstripe.events import V1BillingMeterNoMeterFoundEvent, V1BillingMeterNoMeterFoundEventNotification
from support import KEY, Server, Stage

SECRET = "whsec_test"
EVENT = json.dumps(
    {
        "id": "evt_1",
        "object": "event",
        "type": "charge.succeeded",
        "data": {"object": {"object": "charge", "id": "ch_1", "description": "å"}},
    }
)
THIN = json.dumps(
    {
        "id": "evt_2",
        "object": "v2.core.event",
        "type": "v1.billing.meter.no_meter_found",
        "livemode": False,
        "created": "2026-01-01T00:00:00Z",
        "context": "acct_1/x",
        "reason": {"type": "request", "request": {"id": "r"}},
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    }
)


def sign(body, secret=SECRET, timestamp=None):
    return WebhookSignature.generate_signature_header(body, secret, timestamp)


class Snapshots(unittest.TestCase):
    def test_construct_event(self):
        client = Stage().client()
        for payload in (EVENT, EVENT.encode(), bytearray(EVENT.encode())):
            for construct in (Webhook.construct_event, client.construct_event):
                event = construct(payload, sign(EVENT), SECRET)
                self.assertIs(type(event), pinstripe.Event)
                self.assertIs(type(event.data.object), pinstripe.Charge)
                self.assertEqual(event.data.object.description, "å")

    def test_refusals(self):
        old = sign(EVENT, timestamp=int(time.time()) - 1000)
        for payload, header, secret, text in [
            (EVENT, None, SECRET, "header"),
            (EVENT, "", SECRET, "header"),
            (EVENT, sign(EVENT), None, "secret"),
            (EVENT, sign(EVENT), "whsec_other", "no signature matches"),
            (EVENT + " ", sign(EVENT), SECRET, "no signature matches"),
            (EVENT, "t=1", SECRET, "v1"),
            (EVENT, old, SECRET, "1000"),
            ({"id": 1}, sign(EVENT), SECRET, "bytes"),
        ]:
            with self.subTest(text=text), self.assertRaisesRegex(pinstripe.SignatureVerificationError, text) as caught:
                Webhook.construct_event(payload, header, secret)
            self.assertEqual(caught.exception.sig_header, header)
            self.assertNotIn(SECRET, str(caught.exception.__dict__))
        for tolerance in (2000, 10**10, sys.maxsize, float("inf")):
            Webhook.construct_event(EVENT, old, SECRET, tolerance=tolerance)
        with self.assertRaisesRegex(ValueError, "tolerance"):
            Webhook.construct_event(EVENT, old, SECRET, tolerance=float("nan"))
        with self.assertRaises(pinstripe.SignatureVerificationError):
            Webhook.construct_event(EVENT, old, SECRET, tolerance=0.5)
        with self.assertRaisesRegex(ValueError, "tolerance"):
            Webhook.construct_event(EVENT, old, SECRET, tolerance=-1)
        Webhook.construct_event(EVENT, sign(EVENT), ["whsec_old", SECRET])
        self.assertTrue(WebhookSignature.verify_header(EVENT, old, SECRET))

    def test_the_clock(self):
        header = sign(EVENT, timestamp=1700000000)
        client = Stage().client()
        for construct in (Webhook.construct_event, client.construct_event):
            self.assertEqual(construct(EVENT, header, SECRET, now=1700000300).id, "evt_1")
            for now in (1700000301, 1699999699.5):
                with self.assertRaises(pinstripe.SignatureVerificationError) as caught:
                    construct(EVENT, header, SECRET, now=now)
                self.assertEqual((caught.exception.code, caught.exception.outcome), ("stale", "not_sent"))
        thin = sign(THIN, timestamp=1700000000)
        self.assertEqual(client.parse_event_notification(THIN, thin, SECRET, now=1700000000).id, "evt_2")
        self.assertTrue(WebhookSignature.verify_header(EVENT, header, SECRET, 300, now=1700000000))
        with self.assertRaisesRegex(ValueError, "now must be None or a time"):
            client.construct_event(EVENT, header, SECRET, now=-5)

    def test_bytes_where_text_is_usual(self):
        client = Stage().client()
        for secret in (SECRET.encode(), ("whsec_old", SECRET.encode()), [SECRET.encode(), "whsec_new"]):
            self.assertEqual(client.construct_event(EVENT, sign(EVENT).encode(), secret).id, "evt_1")
            found = client.parse_event_notification(bytearray(THIN.encode()), sign(THIN, SECRET.encode()), secret)
            self.assertEqual(found.id, "evt_2")
        for header, secret, text in [(5, SECRET, "header must be a str, not int"), ("t=1", 5, "secret must be a str")]:
            with self.assertRaisesRegex(TypeError, text):
                client.construct_event(EVENT, header, secret)
        with self.assertRaisesRegex(ValueError, "17 secrets were given; 16"):
            client.construct_event(EVENT, sign(EVENT), [SECRET] * 17)

    def test_a_refusal_can_be_pickled(self):
        with self.assertRaises(pinstripe.SignatureVerificationError) as caught:
            Webhook.construct_event(EVENT, "t=1,v1=00", SECRET)
        e, again = caught.exception, pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((again.sig_header, again.http_body), ("t=1,v1=00", EVENT))
        self.assertEqual((str(again), again.code, again.kind), (str(e), "no_match", "signature"))

    def test_a_good_signature_over_something_else(self):
        for body, text in [("{", "not JSON"), ("[]", ""), (THIN, "thin|notification"), ('{"object": "charge"}', "")]:
            with self.subTest(body=body[:20]), self.assertRaisesRegex(ValueError, text):
                Webhook.construct_event(body, sign(body), SECRET)
        with self.assertRaises(ValueError):
            Webhook.construct_event(b'{"a": "\xff"}', sign(b'{"a": "\xff"}'), SECRET)

    def test_without_verification(self):
        aws, azure = (
            json.dumps({"detail": json.loads(EVENT)}),
            json.dumps({"specversion": "1.0", "data": json.loads(EVENT)}),
        )
        for body in (EVENT, aws, azure):
            self.assertEqual(Webhook.construct_event_without_verification(body).id, "evt_1")


class Thin(unittest.TestCase):
    def test_notification(self):
        event = json.dumps(
            {"id": "evt_2", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found", "data": {}}
        )
        meter = json.dumps({"id": "mtr_1", "object": "billing.meter"})
        stage = Stage(json.loads(event), json.loads(meter), json.loads(meter))
        client = stage.client(stripe_account="acct_own")
        found = client.parse_event_notification(THIN, sign(THIN), SECRET)
        self.assertIs(type(found), V1BillingMeterNoMeterFoundEventNotification)
        self.assertIsInstance(found, pinstripe.v2.core.EventNotification)
        self.assertEqual(
            (found.id, found.type, found.livemode, str(found.context)),
            ("evt_2", json.loads(THIN)["type"], False, "acct_1/x"),
        )
        self.assertEqual((found.related_object.id, found.reason.request.id), ("mtr_1", "r"))
        self.assertIs(type(found.fetch_event()), V1BillingMeterNoMeterFoundEvent)
        self.assertIsInstance(found.fetch_related_object(), pinstripe.billing.Meter)
        self.assertIsInstance(asyncio.run(found.fetch_related_object_async()), pinstripe.billing.Meter)
        for request in stage.requests:
            self.assertEqual(
                (request.headers["Stripe-Context"], request.headers.get("Stripe-Account")), ("acct_1/x", None)
            )
            self.assertEqual(request.headers["Stripe-Request-Trigger"], "event=evt_2")

    def test_what_a_fetched_event_is_about(self):
        event = {**json.loads(THIN), "object": "v2.core.event"}
        meter = {"id": "mtr_1", "object": "billing.meter"}
        stage = Stage(event, meter, meter, meter, {**event, "related_object": None})
        client = stage.client(stripe_account="acct_own")
        found = client.v2.core.events.retrieve("evt_2")
        self.assertIsInstance(found, pinstripe.v2.core.Event)
        related = found.fetch_related_object()
        self.assertIsInstance(related, pinstripe.billing.Meter)
        self.assertIsInstance(asyncio.run(found.fetch_related_object_async()), pinstripe.billing.Meter)
        self.assertEqual((related.refresh(), related.api_key), (related, KEY))
        for request in stage.requests[1:]:
            self.assertEqual((request.method, request.url), ("GET", "https://api.stripe.com/v1/billing/meters/mtr_1"))
            headers = request.headers
            self.assertEqual((headers["Stripe-Context"], headers.get("Stripe-Account")), ("acct_1/x", None))
        self.assertIsNone(client.v2.core.events.retrieve("evt_2").fetch_related_object())

    def test_unknown_types_are_kept(self):
        body = json.dumps({"id": "evt_3", "object": "v2.core.event", "type": "v9.new", "created": "x"})
        found = Stage().client().parse_event_notification_without_verification(body)
        self.assertIs(type(found), pinstripe.events.UnknownEventNotification)
        self.assertIsNone(found.fetch_related_object())
        with self.assertRaises(ValueError):
            Stage().client().parse_event_notification(EVENT, sign(EVENT), SECRET)

    def test_what_a_sender_left_out(self):
        client = Stage().client()
        for body in (
            '{"object": "v2.core.event"}',
            '{"object": "v2.core.event", "type": 5, "context": 7, "related_object": "x", "created": []}',
            '{"object": "v2.core.event", "type": "__class__", "context": "", "related_object": {"url": 5}}',
        ):
            with self.subTest(body=body):
                found = client.parse_event_notification(body, sign(body), SECRET)
                self.assertIs(type(found), pinstripe.events.UnknownEventNotification)
                self.assertEqual((found.id, found.context), (None, None))
                self.assertIn("id=None", repr(found))
                seen = []
                handler = client.notification_handler(SECRET, lambda *args, seen=seen: seen.append(args[2]))
                handler.handle(body, sign(body))
                self.assertFalse(seen[0].is_known_event_type)
                if found.related_object:
                    with self.assertRaises(pinstripe.InvalidRequestError):
                        found.fetch_related_object()

    def test_context(self):
        context = pinstripe.StripeContext.parse("a/b")
        self.assertEqual(
            (str(context.push("c")), str(context.pop()), str(pinstripe.StripeContext())), ("a/b/c", "a", "")
        )
        self.assertEqual(context, pinstripe.StripeContext(["a", "b"]))
        with self.assertRaises(ValueError):
            pinstripe.StripeContext().pop()
        stage = Stage({})
        stage.client().v2.core.events.retrieve("evt_1", options={"stripe_context": context})
        self.assertEqual(stage.requests[0].headers["Stripe-Context"], "a/b")


class Handlers(unittest.TestCase):
    def setUp(self):
        self.seen = []
        self.client = Stage().client()
        self.handler = self.client.notification_handler(SECRET, lambda *args: self.seen.append(("fallback", *args)))

    def test_routing(self):
        @self.handler.on_v1_billing_meter_no_meter_found
        def found(event, client):
            self.seen.append((event.id, client))

        self.assertEqual(self.handler.registered_event_types, ["v1.billing.meter.no_meter_found"])
        self.handler.handle(THIN, sign(THIN))
        self.assertEqual(self.seen[0][0], "evt_2")
        self.assertIsNot(self.seen[0][1], self.client)
        other = THIN.replace("no_meter_found", "error_report_triggered")
        self.handler.handle(other, sign(other))
        unknown = THIN.replace("no_meter_found", "nonsense")
        self.handler.handle(unknown, sign(unknown))
        self.assertEqual([entry[3].is_known_event_type for entry in self.seen[1:]], [True, False])

    def test_misuses(self):
        self.handler.on_v1_billing_meter_no_meter_found(print)
        with self.assertRaisesRegex(ValueError, "already registered"):
            self.handler.on_v1_billing_meter_no_meter_found(print)
        with self.assertRaisesRegex(AttributeError, "on_nonsense"):
            self.handler.on_nonsense
        with self.assertRaises(pinstripe.SignatureVerificationError):
            self.handler.handle(THIN, "t=1,v1=00")
        with self.assertRaisesRegex(RuntimeError, "after an event"):
            self.handler.pre_handle(print)
        with self.assertRaisesRegex(ValueError, "webhook_secret"):
            self.client.notification_handler("", print)

    def test_pre_handle_may_veto(self):
        @self.handler.pre_handle
        def veto(event, client):
            self.seen.append((event.id, client._requestor.option("stripe_context")))
            return event.id != "evt_2"

        self.handler.handle(THIN, sign(THIN))
        self.assertEqual(self.seen, [("evt_2", "acct_1/x")])
        other = THIN.replace("evt_2", "evt_3")
        self.handler.handle(other, sign(other))
        self.assertEqual(self.seen[2][0], "fallback")
        second = self.client.notification_handler(SECRET, print)
        second.pre_handle(veto)
        with self.assertRaisesRegex(ValueError, "already registered"):
            second.pre_handle(veto)

    def test_the_client_is_that_of_the_event(self):
        stage, seen = Stage({}, {}, {}), []
        client = stage.client(stripe_account="acct_own", stripe_context="ctx_own")
        handler = client.notification_handler(SECRET, lambda event, own, _: seen.append(own.v1.balance.retrieve()))
        handler.handle(THIN, sign(THIN))
        bare = THIN.replace('"acct_1/x"', "null")
        handler.handle(bare, sign(bare))
        client.v1.balance.retrieve()
        told = [(r.headers.get("Stripe-Context"), r.headers.get("Stripe-Account")) for r in stage.requests]
        self.assertEqual(told, [("acct_1/x", None), (None, None), ("ctx_own", "acct_own")])

    def test_every_thin_type_can_be_registered(self):
        handler = self.client.notification_handler(SECRET, print)
        types = pinstripe._core.thin_events()
        for event_type in types:
            name = event_type.replace("[", "_including_").replace("]", "").replace(".", "_")
            getattr(handler, f"on_{name}")(print)
        self.assertEqual(handler.registered_event_types, sorted(types))
        self.assertGreater(len(types), 300)

    def test_registration_is_closed_after_the_first_event(self):
        async def fallback(*args):
            self.seen.append(args)

        handlers = [self.handler, self.client.async_notification_handler(SECRET, fallback)]
        self.handler.handle(THIN, sign(THIN))
        asyncio.run(handlers[1].handle_async(THIN, sign(THIN)))
        self.assertEqual(len(self.seen), 2)
        for handler in handlers:
            with self.assertRaisesRegex(RuntimeError, "after an event"):
                handler.on_v1_billing_meter_no_meter_found(print)
            with self.assertRaisesRegex(RuntimeError, "after an event"):
                handler.pre_handle(print)

    def test_asyncio(self):
        async def fallback(*args):
            self.seen.append("fallback")

        async def veto(event, client):
            return event.id == "evt_2"

        handler = self.client.async_notification_handler(SECRET, fallback)
        handler.pre_handle(veto)

        @handler.on_v1_billing_meter_error_report_triggered
        async def reported(event, client):
            self.seen.append("reported")

        asyncio.run(handler.handle_async(THIN, sign(THIN)))
        other = THIN.replace("evt_2", "evt_3")
        asyncio.run(handler.handle_async(other, sign(other)))
        other = THIN.replace("no_meter_found", "error_report_triggered")
        asyncio.run(handler.handle_async(other, sign(other)))
        plain = self.client.async_notification_handler_without_verification(fallback)
        asyncio.run(plain.handle_async(THIN))
        self.client.notification_handler_without_verification(lambda *args: self.seen.append("plain")).handle(THIN)
        self.assertEqual(self.seen, ["fallback", "reported", "fallback", "plain"])


class Text(unittest.TestCase):
    def test_a_nul_does_not_end_a_secret(self):
        header = sign("b", "whsec_a")
        for secret in ("whsec_a\0REST", b"whsec_a\0", ["x", "whsec_a\0"]):
            with self.subTest(secret=secret), self.assertRaisesRegex(ValueError, "secret holds a NUL character"):
                pinstripe.WebhookSignature.verify_header("b", header, secret)
        with self.assertRaisesRegex(ValueError, "secret holds a NUL character"):
            sign("b", "whsec_a\0REST")
        with self.assertRaisesRegex(ValueError, "header holds a NUL character"):
            pinstripe.WebhookSignature.verify_header("b", header + "\0", "whsec_a")

    def test_what_is_no_text_is_not_signed(self):
        for bad in (None, {}, 1):
            with self.subTest(bad=bad), self.assertRaisesRegex(TypeError, "payload must be a str or bytes"):
                sign(bad, "whsec_a")
            with self.subTest(bad=bad), self.assertRaisesRegex(TypeError, "secret must be a str"):
                sign("b", bad)


class OAuth(unittest.TestCase):
    def test_authorize_url(self):
        client = Stage().client(client_id="ca_1")
        self.assertEqual(
            client.oauth.authorize_url({"scope": "read_write", "stripe_user": {"email": "a@b"}}),
            "https://connect.stripe.com/oauth/authorize?scope=read_write&stripe_user[email]=a%40b&client_id=ca_1"
            "&response_type=code",
        )
        self.assertIn("/express/oauth/authorize", pinstripe.OAuth.authorize_url(express=True, client_id="ca_2"))
        with self.assertRaisesRegex(pinstripe.AuthenticationError, "client_id"):
            pinstripe.OAuth.authorize_url()

    def test_token_and_deauthorize(self):
        with Server() as server:
            client = server.client(client_id="ca_1")
            self.assertEqual(
                client.oauth.token({"grant_type": "refresh_token", "refresh_token": "r"}).path, "/oauth/token"
            )
            found = client.oauth.deauthorize({"stripe_user_id": "acct_1"})
            self.assertEqual((found.path, found.body), ("/oauth/deauthorize", "stripe_user_id=acct_1&client_id=ca_1"))


if __name__ == "__main__":
    unittest.main()
