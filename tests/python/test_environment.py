"""Clients configured by the environment, and that nothing which a run at level debug prints holds a secret."""

import os
import re
import subprocess
import sys
import unittest

import pinstripe  # noqa: F401
from support import ROOT, Server, has_sandbox

KEY = "sk_test_51EnvironmentEnvironment9Xy2"
OTHER = "rk_test_51OtherOtherOtherOther7Zw3"
WEBHOOK, CLIENT_SECRET, TOKEN = "whsec_EnvironmentEnvironment", "pi_1_secret_abcdefgh12345678", "tok_session_5cret"
EMAIL, CODE, LINK = "jenny@example.com", "ac_OnceOnceOnceOnce", "fl_test_LinkLinkLinkLinkLink"
SECRETS = (KEY, OTHER, WEBHOOK, CLIENT_SECRET, TOKEN, EMAIL, CODE, LINK)

PROGRAM = """
import asyncio, io, sys, traceback, warnings
import pinstripe
warnings.simplefilter("always")
stripe = pinstripe.StripeClient(max_network_retries=1, on_request=print, on_response=lambda e: print(dict(e)))

def show(call, *arguments, **keywords):
    try:
        print(call(*arguments, **keywords) is None)
    except Exception as e:
        print(repr(e), e)
        traceback.print_exc()

show(stripe.v1.customers.create, {"email": EMAIL})
show(stripe.v1.balance.retrieve)
show(stripe.v1.balance.retrieve, {}, {"api_key": OTHER})
show(stripe.v1.charges.list, {"customer": EMAIL})
show(stripe.v1.files.create, {"purpose": "dispute_evidence", "file": io.BytesIO(EMAIL.encode())})
show(stripe.download, sys.argv[1] + "/links/" + LINK)
show(stripe.oauth.token, {"grant_type": "authorization_code", "code": CODE})
show(stripe.construct_event, "{}", "t=1,v1=00", WEBHOOK)
show(stripe.v1.customers.create, {"email": {1, 2}})
stream = stripe.meter_stream(max_age=3600)
stream.add({"event_name": "a", "payload": {"email": EMAIL}})
show(stream.flush)
show(lambda: asyncio.run(stripe.v1.balance.retrieve_async()))
show(lambda: [charge.id for charge in stripe.v1.charges.list().auto_paging_iter()])
print(stripe, stripe.v1, stripe.v1.charges, stream, stripe._requestor, stripe._requestor.config)
pinstripe.Balance.retrieve()
"""
NAMES = "".join(f"{name} = {globals()[name]!r}\n" for name in ("OTHER", "WEBHOOK", "EMAIL", "CODE", "LINK"))


def run(code, *arguments, **variables):
    known = ("STRIPE_API_KEY", "PINSTRIPE_API_BASE", "PINSTRIPE_LOG", "STRIPE_SUPPRESS_NOTICES")
    environment = {**{name: value for name, value in os.environ.items() if name not in known}, **variables}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def refusal(status, message):
    return {"status": status, "body": {"error": {"message": message}}}


class Redaction(unittest.TestCase):
    def test_a_whole_run(self):
        script = [
            {"body": {"client_secret": CLIENT_SECRET}, "headers": {"Stripe-Notice": f"not {KEY}"}},
            refusal(401, f"Invalid API Key provided: {KEY}"),
            refusal(401, f"Invalid API Key provided: {OTHER}"),
            refusal(500, f"no {CLIENT_SECRET}"),
            refusal(500, f"no {CLIENT_SECRET}"),
            {"body": {"object": "file"}},
            refusal(404, "gone"),
            {"status": 400, "body": {"error": "invalid_grant", "error_description": f"no {CLIENT_SECRET}"}},
            {"body": {"authentication_token": TOKEN, "expires_at": "2100-01-01T00:00:00Z"}},
            refusal(400, "bad"),
            {"close": True},
            {"close": True},
            {"body": {"object": "list", "data": [{"id": "ch_1"}], "has_more": True, "url": "/v1/charges"}},
            {"body": {"object": "list", "data": [], "has_more": False, "url": "/v1/charges"}},
            {"body": {"object": "balance"}},
        ]
        with Server(script) as server:
            variables = {"STRIPE_API_KEY": KEY, "PINSTRIPE_API_BASE": server.base, "PINSTRIPE_LOG": "debug"}
            done = run(NAMES + PROGRAM, server.base, **variables)
            self.assertEqual(done.returncode, 0, done.stderr)
            paths = [request["path"] for request in server.requests()]
        self.assertEqual(paths[-2:], ["/v1/balance", "/v2/billing/meter_event_stream"])
        everything = done.stdout + done.stderr
        for text in (
            "POST /v1/customers: attempt 1",
            "POST /v1/customers: 200 after",
            "GET /v1/charges: again in",
            "POST /v2/billing/meter_event_stream: 400 after",
            "Invalid API Key provided: sk_test_****",
            "APIConnectionError",
            "UserWarning: not sk_test_****",
            "Traceback",
            "GET /v1/charges: attempt 1",
        ):
            self.assertIn(text, everything)
        for secret in SECRETS:
            self.assertNotIn(secret, everything)

    @unittest.skipUnless(has_sandbox(), "no sandbox is built")
    def test_the_example_of_a_payment(self):
        path = str(ROOT / "examples/python/payment.py")
        code = "import pinstripe, runpy, sys; pinstripe.log = 'debug'; runpy.run_path(sys.argv[1], run_name='__main__')"
        done = run(code, path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(done.stderr.count("POST /v1/charges: 200 after"), 250)
        found = re.findall(r"[sr]k_(?:test|live)_\w+|\w+_secret_\w+|whsec_\w+", done.stdout + done.stderr)
        self.assertEqual(found, [])


BALANCE = "client = pinstripe.StripeClient({}); client.v1.balance.retrieve()"


class Environment(unittest.TestCase):
    def start(self, *script):
        self.server = Server(script)
        self.addCleanup(self.server.close)
        return {"STRIPE_API_KEY": KEY, "PINSTRIPE_API_BASE": self.server.base, "PINSTRIPE_LOG": "info"}

    def run_balance(self, arguments="", **variables):
        return run("import pinstripe\n" + BALANCE.format(arguments), **variables)

    def test_key_base_and_log(self):
        done = self.run_balance(**self.start())
        self.assertRegex(done.stderr, r"^GET /v1/balance: 200 after \d+ ms, attempt 1, req_1\n$")
        self.assertEqual(self.server.requests()[0]["headers"]["authorization"], f"Bearer {KEY}")

    def test_the_global_style(self):
        done = run("import pinstripe; pinstripe.Balance.retrieve()", **self.start())
        self.assertRegex(done.stderr, "^GET /v1/balance: 200 after")
        self.assertEqual(len(self.server.requests()), 1)
        variables = self.start()
        code = "import pinstripe as p; p.api_key, p.max_network_retries = 'sk_test_x', 0; p.api_base = 'http://127.0.0.1:1'"
        done = run(code + "\np.Balance.retrieve()", **variables)
        self.assertIn("APIConnectionError", done.stderr)
        self.assertEqual(self.server.requests(), [])

    def test_it_is_not_asked_where_the_key_is_given(self):
        done = self.run_balance("'sk_test_x', api_base='http://127.0.0.1:1', max_retries=0", **self.start())
        self.assertIn("APIConnectionError", done.stderr)
        self.assertNotIn("GET /v1/balance", done.stderr)
        self.assertEqual(self.server.requests(), [])

    def test_it_is_less_than_an_option(self):
        done = self.run_balance("api_base='http://127.0.0.1:1', max_retries=0", **self.start())
        self.assertIn("APIConnectionError", done.stderr)
        self.assertEqual(self.server.requests(), [])

    def test_levels(self):
        variables = self.start(refusal(404, "no"))
        code = "import pinstripe\nclient = pinstripe.StripeClient()\ntry: client.v1.balance.retrieve()\nexcept "
        code += "pinstripe.StripeError: client.v1.balance.retrieve()"
        done = run(code, **{**variables, "PINSTRIPE_LOG": "warn"})
        self.assertRegex(done.stderr, r"^GET /v1/balance: 404 after \d+ ms, attempt 1, req_1\n$")
        self.assertEqual(run(code, **{**variables, "PINSTRIPE_LOG": "off"}).stderr, "")
        done = run(code, **{**variables, "PINSTRIPE_LOG": "loud"})
        self.assertIn("PINSTRIPE_LOG must be off, error, warn, info or debug, not loud", done.stderr)

    def test_notices(self):
        notice = {"headers": {"Stripe-Notice": "the key is old"}, "body": {}, "repeat": True}
        variables = {**self.start(notice), "PINSTRIPE_LOG": ""}
        self.assertIn("UserWarning: the key is old", self.run_balance(**variables).stderr)
        self.assertEqual(self.run_balance(**variables, STRIPE_SUPPRESS_NOTICES="true").stderr, "")


if __name__ == "__main__":
    unittest.main()
