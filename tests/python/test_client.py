"""Clients: keywords, services, options, raw requests, errors on a real socket."""

import asyncio
import json
import os
import pickle
import subprocess
import sys
import unittest
import warnings
from unittest import mock

import pinstripe
from pinstripe import error
from support import KEY, Server, Stage


class Construction(unittest.TestCase):
    def test_no_key(self):
        with mock.patch.dict(os.environ, clear=False):
            os.environ.pop("STRIPE_API_KEY", None)
            with self.assertRaisesRegex(pinstripe.AuthenticationError, "No API key provided"):
                pinstripe.StripeClient(None)
            os.environ["STRIPE_API_KEY"] = "sk_test_environment"
            self.assertEqual(pinstripe.StripeClient()._requestor.option("api_key"), "sk_test_environment")

    def test_misuses_are_named(self):
        for options, error_type, text in [
            ({"timeot": 5}, ValueError, "timeot.*timeout"),
            ({"timeout": "soon"}, ValueError, "timeout"),
            ({"verify_ssl_certs": False}, ValueError, "ca_file"),
            ({"http_client": pinstripe.RequestsClient(), "proxy": "http://x"}, ValueError, "custom `http_client`"),
            ({"transport": 5}, TypeError, "transport"),
        ]:
            with self.subTest(options=options), self.assertRaisesRegex(error_type, text):
                pinstripe.StripeClient(KEY, **options)
        with self.assertRaises(TypeError):
            pinstripe.StripeClient(5)
        with self.assertRaises(pinstripe.StripeError):
            pinstripe.StripeClient("sk_test_\n").v1.balance.retrieve()

    def test_no_secret_in_any_text(self):
        client = Stage().client()
        for thing in (client, client.v1, client.v1.customers, client._requestor, client._requestor.config):
            self.assertNotIn(KEY, repr(thing))

    def test_options_reach_the_wire(self):
        stage = Stage({}, {})
        client = stage.client(
            stripe_account="acct_1",
            stripe_version="2025-01-01.x",
            base_addresses={"api": "http://127.0.0.1:9"},
            app_info={"name": "App", "version": "1"},
            headers={"X-Mine": "1"},
        )
        client.v1.balance.retrieve(options={"stripe_account": "acct_2", "idempotency_key": None, "stripe_version": ""})
        client.v1.balance.retrieve()
        headers = [request.headers for request in stage.requests]
        self.assertEqual([h["Stripe-Account"] for h in headers], ["acct_2", "acct_1"])
        self.assertEqual(headers[0]["Stripe-Version"], "2025-01-01.x")
        self.assertEqual(headers[0]["X-Mine"], "1")
        self.assertIn("App/1", headers[0]["User-Agent"])
        self.assertTrue(stage.requests[0].url.startswith("http://127.0.0.1:9/v1/balance"))

    def test_http_client_shells(self):
        seen = []

        class Mine(pinstripe.HTTPClient):
            def request(self, method, url, headers, post_data=None):
                seen.append((method, url, post_data))
                return b'{"object": "balance"}', 200, {"Request-Id": "req_mine"}

        client = pinstripe.StripeClient(KEY, http_client=Mine())
        self.assertEqual(client.v1.balance.retrieve().last_response.request_id, "req_mine")
        self.assertEqual(seen, [("get", "https://api.stripe.com/v1/balance", None)])
        client.v1.customers.create({"name": "Grün", "metadata": {"a": "1"}})
        self.assertEqual(seen.pop()[2], "name=Gr%C3%BCn&metadata[a]=1")
        client.v1.files.create({"purpose": "dispute_evidence", "file": b"\xff"})
        self.assertIn(b"\xff", seen.pop()[2])
        retries = type("Retries", (pinstripe.RequestsClient,), {"request_with_retries": lambda self, *args: None})
        with self.assertRaisesRegex(TypeError, "Retries: request_with_retries is never called; override request$"):
            pinstripe.StripeClient(KEY, http_client=retries())
        with self.assertRaisesRegex(ValueError, "ca_file"):
            pinstripe.StripeClient(KEY, http_client=pinstripe.RequestsClient(verify_ssl_certs=False))
        own = pinstripe.StripeClient(KEY, http_client=Mine(verify_ssl_certs=False))  # its own business
        self.assertEqual(own.v1.balance.retrieve().object, "balance")
        with Server([{"silence": "after", "repeat": True}]) as server:
            for shell in (pinstripe.RequestsClient, pinstripe.HTTPXClient, pinstripe.UrllibClient):
                client = server.client(http_client=shell(timeout=(5, 0.1)), max_network_retries=0)
                with self.assertRaises(pinstripe.APIConnectionError) as caught:
                    client.v1.balance.retrieve()
                self.assertEqual((caught.exception.kind, caught.exception.outcome), ("timeout", "unknown"))

    def test_an_http_client_of_asyncio(self):
        seen, replies = [], []

        class Mine(pinstripe.HTTPClient):
            async def request_async(self, method, url, headers, post_data=None):
                seen.append((method, url))
                reply = replies.pop(0)
                if isinstance(reply, Exception):
                    raise reply
                return json.dumps({"object": "async"}), reply, {}

            async def sleep_async(self, secs):
                seen.append(secs > 0)

        class Both(Mine):
            def request(self, method, url, headers, post_data=None):
                return b'{"object": "sync"}', 200, {}

        told, ask = [], ("get", "https://api.stripe.com/v1/balance")
        cut, slow = pinstripe.APIConnectionError("cut", should_retry=True), asyncio.TimeoutError()
        for http_client in (Mine(), pinstripe.HTTPClient(async_fallback_client=Mine()), Both()):
            client = pinstripe.StripeClient(KEY, http_client=http_client, on_response=lambda e: told.append(e.status))
            for script in ([200], [500, 200], [cut, slow, 200]):
                with self.subTest(http_client=http_client, script=script):
                    del seen[:], told[:]
                    replies[:] = script
                    self.assertEqual(asyncio.run(client.v1.balance.retrieve_async()).object, "async")
                    self.assertEqual(seen, [ask, *[True, ask] * (len(script) - 1)])
                    self.assertEqual(told, [0 if isinstance(one, Exception) else one for one in script])
            if isinstance(http_client, Both):
                self.assertEqual(client.v1.balance.retrieve().object, "sync")
            else:
                with self.assertRaisesRegex(NotImplementedError, "must implement `request`"):
                    client.v1.balance.retrieve()
        replies[:] = [ZeroDivisionError("mine")]
        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            asyncio.run(client.v1.balance.retrieve_async())

    def test_calls_of_an_http_client_of_asyncio_are_under_way_together(self):
        at_once, most = [0], [0]

        class Mine(pinstripe.HTTPClient):
            async def request_async(self, method, url, headers, post_data=None):
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
                await asyncio.sleep(0.05)
                at_once[0] -= 1
                return json.dumps({"object": "charge", "id": url.rpartition("/")[2]}), 200, {}

        async def main():
            charges = pinstripe.StripeClient(KEY, http_client=Mine()).v1.charges
            found = await asyncio.gather(*(charges.retrieve_async(f"ch_{i}") for i in range(100)))
            self.assertEqual([charge.id for charge in found], [f"ch_{i}" for i in range(100)])
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(charges.retrieve_async("ch_1"), 0.01)

        asyncio.run(main())
        self.assertEqual(most[0], 100)


class Services(unittest.TestCase):
    def setUp(self):
        self.stage = Stage({"object": "x"}, {"object": "x"}, {"object": "x"})
        self.client = self.stage.client()

    def test_v1_and_at_the_top(self):
        self.client.v1.customers.tax_ids.list("cus_1", {"limit": 3}, {"stripe_account": "acct_1"})
        self.client.customers.tax_ids.list("cus_1", params={"limit": 3}, options={"stripe_account": "acct_1"})
        self.assertEqual(*(request.url for request in self.stage.requests))
        self.client.v2.core.events.retrieve("evt_1")
        self.assertEqual(self.stage.requests[2].url, "https://api.stripe.com/v2/core/events/evt_1")

    def test_names_that_do_not_exist(self):
        for path, text in [("custmers", "custmers"), ("v1.customers.creat", "customers.create"), ("v2.cor", "v2.cor")]:
            with self.subTest(path=path), self.assertRaisesRegex(AttributeError, text):
                at = self.client
                for name in path.split("."):
                    at = getattr(at, name)
        self.assertFalse(hasattr(self.client.v1.customers, "creat_async"))

    def test_arguments(self):
        customers = self.client.v1.customers
        for call, text in [
            (lambda: customers.retrieve(), r"needs 1 id \(customer\), got 0"),
            (lambda: customers.retrieve(5), "must be a str, not int"),
            (lambda: customers.retrieve(None), "must be a str, not NoneType"),
            (lambda: customers.retrieve("a", {}, {}, {}), "takes 1 id"),
            (lambda: customers.list("cus_1"), "params: must be a dict"),
            (lambda: customers.list({}, "x"), "options must be a dict"),
        ]:
            with self.subTest(text=text), self.assertRaisesRegex(TypeError, text):
                call()
        for ident, text in [("cus_\0", "the id customer holds a NUL"), ("\ud800", "the id customer holds a lone surr")]:
            with self.subTest(text=text), self.assertRaisesRegex(ValueError, f"customers.retrieve: {text}"):
                customers.retrieve(ident)
        for bad in (None, {}, 1, b""):
            for name, arguments in [("method", (bad, "/v1/x")), ("url", ("get", bad))]:
                with self.subTest(bad=bad), self.assertRaisesRegex(TypeError, f"raw_request: the {name} must be a str"):
                    self.client.raw_request(*arguments)
        with self.assertRaises(pinstripe.InvalidRequestError) as caught:
            customers.retrieve("")
        self.assertEqual(caught.exception.outcome, "not_sent")
        self.assertEqual(self.stage.requests, [])

    def test_dir(self):
        self.assertIn("tax_ids", dir(self.client.v1.customers))
        self.assertIn("create_async", dir(self.client.v1.customers))
        self.assertIn("customers", dir(self.client))

    def test_an_unknown_option_is_named(self):
        with self.assertRaisesRegex(pinstripe.InvalidRequestError, "stripe_acount.*stripe_account"):
            self.client.v1.balance.retrieve(options={"stripe_acount": "acct_1"})

    def test_ephemeral_keys_demand_a_version(self):
        with self.assertRaisesRegex(pinstripe.InvalidRequestError, "stripe_version"):
            self.client.v1.ephemeral_keys.create({"customer": "cus_1"})

    def test_strict(self):
        with self.assertRaisesRegex(pinstripe.InvalidRequestError, "emial"):
            Stage().client(strict=True).v1.customers.create({"emial": "x"})


class Raw(unittest.TestCase):
    def test_raw_request(self):
        with Server([{"body": {"object": "customer", "id": "cus_1"}}, {"body": []}]) as server:
            client = server.client()
            response = client.raw_request(
                "post", "/v1/customers", email="a@b.c", stripe_account="acct_1", idempotency_key="k"
            )
            self.assertIsInstance(response, pinstripe.StripeResponse)
            self.assertEqual((response.code, response.data["id"]), (200, "cus_1"))
            self.assertIsInstance(client.deserialize(response), pinstripe.Customer)
            self.assertEqual(asyncio.run(client.raw_request_async("get", "/v1/x", base="files", a=[1])).data, [])
            first, second = server.requests()
            self.assertEqual((first["body"], first["headers"]["stripe-account"]), ("email=a%40b.c", "acct_1"))
            self.assertEqual((first["headers"]["idempotency-key"], second["path"]), ("k", "/v1/x?a[0]=1"))

    def test_an_address_from_outside_is_refused(self):
        for path in ("//evil.example/v1/x", "https://evil.example/", "@evil.example/v1/x"):
            with self.subTest(path=path), self.assertRaises(pinstripe.InvalidRequestError):
                Stage().client().raw_request("get", path)

    def test_download(self):
        with Server([{"size": 1000}, {"status": 404, "body": {"error": {"message": "gone"}}}]) as server:
            client = server.client()
            self.assertEqual(client.download("/v1/files/file_1/contents"), b"x" * 1000)
            with self.assertRaisesRegex(pinstripe.InvalidRequestError, "gone"):
                client.download("/v1/files/file_2/contents")
            with self.assertRaises(pinstripe.InvalidRequestError):
                client.download("https://evil.example/file")
            with self.assertRaisesRegex(pinstripe.InvalidRequestError, "save_too.*save_to"):
                client.download("/v1/files/file_1/contents", save_too="x")
            self.assertEqual(len(server.requests()), 2)

    def test_files_come_as_they_are(self):
        with Server([{"size": 100000, "repeat": True}]) as server:
            client = server.client()
            self.assertEqual(client.v1.quotes.pdf("qt_1").io.read(), b"x" * 100000)

            async def read():
                response = await client.v1.quotes.pdf_async("qt_1")
                return b"".join([piece async for piece in response.stream()]), await response.read_async()

            self.assertEqual(asyncio.run(read()), (b"x" * 100000, b"x" * 100000))


def api_error(status, **fields):
    return {"status": status, "headers": {"Stripe-Should-Retry": "false"}, "body": {"error": fields}}


class Errors(unittest.TestCase):
    """Each kind on a real socket."""

    KINDS = [
        (api_error(400, type="invalid_request_error", message="m", param="p", code="c"), "InvalidRequestError"),
        (api_error(401, message="m"), "AuthenticationError"),
        (api_error(402, type="card_error", message="m", code="card_declined", decline_code="d"), "CardError"),
        (api_error(403, message="m"), "PermissionError"),
        (api_error(404, type="invalid_request_error", message="m"), "InvalidRequestError"),
        (api_error(400, type="idempotency_error", message="m"), "IdempotencyError"),
        (api_error(409, message="m"), "ConflictError"),
        (api_error(429, message="m"), "RateLimitError"),
        (api_error(500, message="m"), "APIError"),
        ({"status": 200, "body": "<html>"}, "APIError"),
        ({"close": True}, "APIConnectionError"),
        ({"size": 5000}, "APIError"),
    ]

    def test_each_kind(self):
        for entry, name in self.KINDS:
            with self.subTest(name=name, entry=entry), Server([entry, entry]) as server:
                client = server.client(max_network_retries=0, max_body=4000)
                with self.assertRaises(pinstripe.StripeError) as caught:
                    client.v1.charges.create({"amount": 1, "currency": "usd"})
                e = caught.exception
                self.assertIs(type(e), getattr(pinstripe, name))
                self.assertIs(type(e), getattr(error, name))
                self.assertEqual(e.attempts, 1)
                self.assertRegex(e.idempotency_key, "^[0-9a-f-]{36}$")
                self.assertNotIn(KEY, f"{e!r}{e}{e.__dict__}")
                again = pickle.loads(pickle.dumps(e))
                self.assertEqual(
                    (str(again), again.outcome, again.code, type(again)), (str(e), e.outcome, e.code, type(e))
                )

    def test_attributes(self):
        with Server([self.KINDS[2][0]]) as server, self.assertRaises(pinstripe.CardError) as caught:
            server.client().v1.charges.create({})
        e = caught.exception
        self.assertEqual((e.user_message, e.code, e.param, e.http_status), ("m", "card_declined", None, 402))
        self.assertEqual((str(e), e.request_id, e.headers["Request-Id"]), ("Request req_1: m", "req_1", "req_1"))
        self.assertEqual((e.json_body["error"]["decline_code"], e.error.decline_code, e.error.charge), ("d", "d", None))
        self.assertIn("card_declined", e.http_body)
        self.assertEqual(e.outcome, "rejected")
        self.assertEqual(
            repr(e), "CardError(message='m', param=None, code='card_declined', http_status=402, request_id='req_1')"
        )

    def test_what_a_transport_says_of_a_lost_call(self):
        certain, other = pinstripe.APIConnectionError("no route"), pinstripe.APIConnectionError("cut")
        certain.outcome = "not_sent"
        for reason, outcome in ((certain, "not_sent"), (other, "unknown"), (TimeoutError("late"), "unknown")):
            with self.subTest(outcome=outcome), self.assertRaises(pinstripe.APIConnectionError) as caught:
                Stage(reason).client(max_network_retries=0).v1.customers.create()
            self.assertEqual(caught.exception.outcome, outcome)
            self.assertTrue(caught.exception.idempotency_key)

    def test_whether_a_lost_call_is_sent_again_is_its_transports_to_say(self):
        for words in ({}, {"should_retry": False}):
            stage = Stage(pinstripe.APIConnectionError("cut", **words))
            with self.subTest(words=words), self.assertRaisesRegex(pinstripe.APIConnectionError, "cut") as caught:
                stage.client().v1.customers.create()
            self.assertEqual((len(stage.requests), caught.exception.outcome), (1, "unknown"))
        stage = Stage(pinstripe.APIConnectionError("cut", should_retry=True), {"id": "cus_1"})
        self.assertEqual(stage.client().v1.customers.create().id, "cus_1")
        self.assertEqual(len({request.headers["Idempotency-Key"] for request in stage.requests}), 1)

    def test_not_sent(self):
        client = pinstripe.StripeClient(KEY, api_base="http://127.0.0.1:1", max_retries=0)
        with self.assertRaises(pinstripe.APIConnectionError) as caught:
            client.v1.charges.create({})
        self.assertEqual((caught.exception.outcome, caught.exception.http_status), ("not_sent", None))
        self.assertEqual((caught.exception.request_id, caught.exception.should_retry), (None, True))

    def test_v2_types(self):
        body = {"error": {"type": "temporary_session_expired", "message": "m", "code": "x"}}
        with (
            Server([{"status": 400, "body": body}]) as server,
            self.assertRaises(pinstripe.TemporarySessionExpiredError),
        ):
            server.client().v2.billing.meter_event_stream.create({"events": []})
        for name in pinstripe._error.V2:
            self.assertTrue(issubclass(getattr(pinstripe, f"{name}Error"), pinstripe.StripeError), name)
        self.assertEqual(pinstripe.CannotProceedError("m", None, 400, {}, {}, "c", "why").reason, "why")

    def test_oauth(self):
        body = {"error": "invalid_grant", "error_description": "used twice"}
        with Server([{"status": 400, "body": body}]) as server:
            with self.assertRaises(pinstripe.oauth_error.InvalidGrantError) as caught:
                server.client().oauth.token({"grant_type": "authorization_code", "code": "ac_1"})
            self.assertEqual((caught.exception.code, caught.exception.error.error), ("invalid_grant", "invalid_grant"))
        code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).user_message)"
        data = pickle.dumps(caught.exception)
        self.assertEqual(subprocess.run([sys.executable, "-c", code], input=data, stdout=-1).stdout, b"used twice\n")

    def test_modules_that_nobody_imported(self):
        for name in ("_error.CardError", "error.CardError", "oauth_error.InvalidGrantError", "_client.StripeClient"):
            code = f"import pinstripe; assert isinstance(pinstripe.{name}, type)"
            subprocess.run([sys.executable, "-c", code], check=True)
            module, name = name.split(".")
            subprocess.run([sys.executable, "-c", f"import pinstripe.{module} as m; m.{name}"], check=True)

    def test_positional_constructors(self):
        e = pinstripe.InvalidRequestError("m", "p", "c", "body", 400, {"error": {}}, {"request-id": "r"})
        self.assertEqual((e.param, e.code, e.http_body, e.http_status, e.request_id), ("p", "c", "body", 400, "r"))
        self.assertEqual(pinstripe.APIConnectionError("m", should_retry=True).should_retry, True)
        self.assertEqual(str(pinstripe.StripeError()), "<empty message>")
        self.assertEqual(pinstripe.SignatureVerificationError("m", "t=1", "b").sig_header, "t=1")


class Hooks(unittest.TestCase):
    def test_events_come_in_order(self):
        seen = []
        with Server([{"status": 500}, {"body": {"object": "balance"}}]) as server:
            client = server.client(
                on_request=lambda e: seen.append(("request", e.attempt)),
                on_response=lambda e: seen.append(("response", e.status)),
                log=lambda e: seen.append(str(e)),
            )
            client.v1.balance.retrieve()
        self.assertEqual(
            [s for s in seen if isinstance(s, tuple)],
            [("request", 1), ("response", 500), ("request", 2), ("response", 200)],
        )
        self.assertTrue(any("GET /v1/balance" in s for s in seen if isinstance(s, str)))

    def test_the_log_of_python(self):
        with Server() as server, self.assertLogs("pinstripe", "INFO") as logs:
            server.client().v1.customers.create({"email": "secret@example.com"})
        self.assertTrue(any("POST /v1/customers: 200" in line for line in logs.output))
        self.assertNotIn("secret@example.com", str(logs.output))
        self.assertNotIn(KEY, str(logs.output))

    def test_the_module_s_log_can_be_turned_off(self):
        code = """
import pinstripe, support
with support.Server() as server:
    client = server.client()
    for level in ("off", "info", "off", "debug", None, ""):
        pinstripe.log = level
        client.v1.balance.retrieve()
"""
        done = subprocess.run([sys.executable, "-c", code], stderr=-1, text=True, cwd=os.path.dirname(__file__))
        self.assertEqual((done.returncode, done.stderr.count("GET /v1/balance: 200")), (0, 2), done.stderr)

    def test_a_notice_is_a_warning(self):
        entry = {"headers": {"Stripe-Notice": "the key is old"}, "body": {}}
        with Server([entry, {**entry, "status": 400}, {**entry, "status": 400}, entry]) as server:
            client = server.client()
            with self.assertWarnsRegex(UserWarning, "the key is old") as caught:
                client.v1.balance.retrieve()
            self.assertEqual(caught.filename, __file__)
            for call in (lambda: client.v1.balance.retrieve(), lambda: client.raw_request("get", "/v1/balance")):
                with (
                    self.assertWarnsRegex(UserWarning, "key is old") as caught,
                    self.assertRaises(pinstripe.InvalidRequestError),
                ):
                    call()
                self.assertEqual(caught.filename, __file__)
            with mock.patch.dict(os.environ, {"STRIPE_SUPPRESS_NOTICES": "true"}), warnings.catch_warnings():
                warnings.simplefilter("error")
                client.v1.balance.retrieve()


if __name__ == "__main__":
    unittest.main()
