"""Webhooks, thin events and their handlers."""

import asyncio
import json
import time
import unittest

import pinstripe
from pinstripe import Webhook, WebhookSignature
from pinstripe.events import V1BillingMeterNoMeterFoundEvent, V1BillingMeterNoMeterFoundEventNotification
from support import Server, Stage

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
        Webhook.construct_event(EVENT, old, SECRET, tolerance=2000)
        with self.assertRaises(pinstripe.SignatureVerificationError):
            Webhook.construct_event(EVENT, old, SECRET, tolerance=0.5)
        with self.assertRaisesRegex(ValueError, "tolerance"):
            Webhook.construct_event(EVENT, old, SECRET, tolerance=-1)
        Webhook.construct_event(EVENT, sign(EVENT), ["whsec_old", SECRET])
        self.assertTrue(WebhookSignature.verify_header(EVENT, old, SECRET))

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

    def test_unknown_types_are_kept(self):
        body = json.dumps({"id": "evt_3", "object": "v2.core.event", "type": "v9.new", "created": "x"})
        found = Stage().client().parse_event_notification_without_verification(body)
        self.assertIs(type(found), pinstripe.events.UnknownEventNotification)
        self.assertIsNone(found.fetch_related_object())
        with self.assertRaises(ValueError):
            Stage().client().parse_event_notification(EVENT, sign(EVENT), SECRET)

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
        self.handler.pre_handle(lambda event, client: False)
        self.handler.handle(THIN, sign(THIN))
        self.assertEqual(self.seen, [])

    def test_asyncio(self):
        async def fallback(*args):
            self.seen.append("fallback")

        async def veto(*args):
            return True

        handler = self.client.async_notification_handler(SECRET, fallback)
        handler.pre_handle(veto)
        asyncio.run(handler.handle_async(THIN, sign(THIN)))
        plain = self.client.async_notification_handler_without_verification(fallback)
        asyncio.run(plain.handle_async(THIN))
        self.client.notification_handler_without_verification(lambda *args: self.seen.append("plain")).handle(THIN)
        self.assertEqual(self.seen, ["fallback", "fallback", "plain"])


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
