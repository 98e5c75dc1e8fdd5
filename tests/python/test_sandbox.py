"""The sandbox from Python: its control calls, the fixtures of pytest, the examples."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import pinstripe
from support import KEY, ROOT, has_sandbox


@unittest.skipUnless(has_sandbox(), "no sandbox is built")
class Sandbox(unittest.TestCase):
    def setUp(self):
        self.sandbox = pinstripe.sandbox(seed=3)
        self.addCleanup(self.sandbox.close)
        self.client = self.sandbox.client(max_retries=0)

    def test_state(self):
        made = self.client.v1.customers.create({"name": "Ada"})
        self.assertEqual([c.id for c in self.client.v1.customers.list()], [made.id])
        other = self.sandbox.client("sk_test_other")
        self.assertEqual(len(other.v1.customers.list()), 0)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "state.json")
            self.sandbox.snapshot(path)
            self.sandbox.reset()
            self.assertEqual(len(self.client.v1.customers.list()), 0)
            self.sandbox.restore(path)
        self.assertEqual(self.client.v1.customers.retrieve(made.id).name, "Ada")

    def test_the_same_seed_gives_the_same_ids(self):
        with pinstripe.sandbox(seed=3) as again:
            ids = [c.v1.customers.create().id for c in (self.client, again.client())]
        self.assertEqual(*ids)

    def test_faults_and_the_log(self):
        self.sandbox.fault(match={"path": "/v1/charges"}, count=1, drop_after_commit=True)
        with self.assertRaises(pinstripe.APIConnectionError) as caught:
            self.client.v1.charges.create({"amount": 500, "currency": "usd", "source": "tok_visa"})
        self.assertEqual(caught.exception.outcome, "unknown")
        again = {"idempotency_key": caught.exception.idempotency_key}
        self.client.v1.charges.create({"amount": 500, "currency": "usd", "source": "tok_visa"}, again)
        self.assertEqual(len(self.client.v1.charges.list()), 1)
        self.assertEqual([r.method for r in self.sandbox.requests(path="/v1/charges")], ["POST", "POST", "GET"])
        self.sandbox.clear_faults()
        self.assertEqual(self.sandbox.faults(), [])

    def test_the_clock_and_webhooks(self):
        before = self.sandbox.clock().now
        self.assertEqual(self.sandbox.clock(advance=60).now, before + 60)
        self.client.v1.customers.create()
        events = [
            pinstripe.Webhook.construct_event(body, header, self.sandbox.webhook_secret, tolerance=None)
            for body, header in self.sandbox.webhooks()
        ]
        self.assertEqual([event.type for event in events], ["customer.created"])
        seen = []
        self.sandbox.listen(lambda body, header: seen.append(body), ["customer.created"])
        self.client.v1.customers.create()
        self.sandbox.flush()
        self.assertEqual(len(seen), 1)

    def test_deliveries_can_be_tampered_with(self):
        params = {"url": "http://127.0.0.1:1/hook", "enabled_events": ["*"]}
        endpoint = self.client.v1.webhook_endpoints.create(params)
        self.sandbox.pause()
        for _ in range(3):
            self.client.v1.customers.create()
        self.assertEqual(self.sandbox.duplicate(destination=endpoint.id), 3)
        self.assertEqual(self.sandbox.reorder(destination=endpoint.id), 6)
        self.assertEqual(self.sandbox.drop(destination=endpoint.id, type="customer.created"), 6)
        self.assertEqual(len(self.sandbox.deliveries(status="dropped")), 6)
        event = self.client.v1.events.list().data[0].id
        self.assertEqual(self.sandbox.resend(event, endpoint.id), 1)

    def test_what_others_would_do_to_an_object(self):
        self.assertIn("payment_intents.authenticate", self.sandbox.helpers())
        params = {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://shop.example",
            "automatic_payment_methods": {"enabled": True},
        }
        intent = self.client.v1.payment_intents.create(params)
        self.assertEqual(intent.status, "requires_action")
        self.assertEqual(self.sandbox.run("payment_intents.authenticate", intent.id).status, "succeeded")
        other = self.client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
        moved = self.sandbox.move("payment_intent", other.id, {"status": "processing"}, "payment_intent.processing")
        self.assertEqual((type(moved), moved.status), (pinstripe.PaymentIntent, "processing"))
        self.assertEqual(self.client.v1.events.list().data[0].type, "payment_intent.processing")

    def test_misuses(self):
        with self.assertRaisesRegex(TypeError, "seed must be an int"):
            pinstripe.sandbox(seed="x")
        with self.assertRaises(OSError):
            pinstripe.sandbox(listen="nowhere.example")
        with mock.patch("sys.unraisablehook") as complaints, self.assertRaises(TypeError):
            pinstripe.sandbox(1)
        complaints.assert_not_called()
        self.sandbox.close()
        self.assertEqual(self.sandbox.url, "")
        with self.assertRaisesRegex(RuntimeError, "closed"):
            self.sandbox.reset()

    def test_the_example(self):
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples/python/payment.py")], capture_output=True, text=True, timeout=60
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for part in ("of 20.00 usd is succeeded", "decline_code insufficient_funds", "charges made: 1"):
            self.assertIn(part, done.stdout)

    def test_the_fixtures_of_pytest(self):
        with tempfile.TemporaryDirectory() as folder:
            test = Path(folder) / "test_it.py"
            test.write_text(
                'pytest_plugins = ["pinstripe.pytest_plugin"]\n\n'
                "def test_it(stripe_client, stripe_sandbox):\n"
                "    stripe_client.v1.customers.create()\n"
                "    assert len(stripe_sandbox.requests()) == 1\n"
            )
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
                capture_output=True,
                text=True,
                timeout=60,
            )
        if "No module named pytest" in done.stderr:
            self.skipTest("pytest is not installed")
        self.assertEqual(done.returncode, 0, done.stdout)

    @unittest.skipUnless((ROOT / "build/tools/stripe-mock").exists(), "stripe-mock is not built (.ci/install test)")
    def test_the_tour(self):
        command = 'PINSTRIPE_API_BASE="$STRIPE_MOCK" PINSTRIPE_LISTS_BASE="$STRIPE_ECHO" exec "$0" "$1"'
        arguments = [sys.executable, str(ROOT / "examples/python/tour.py")]
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests/mock/servers.py"), "--lists", "250", "sh", "-c", command, *arguments],
            env={**os.environ, "STRIPE_API_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for part in ("250 charges, 563.75 usd, in 3 requests", "outcome not_sent", "nearest is customers.create"):
            self.assertIn(part, done.stdout)


if __name__ == "__main__":
    unittest.main()
