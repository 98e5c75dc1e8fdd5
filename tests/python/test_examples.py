"""The examples that a person would deploy: webhook endpoints under WSGI and ASGI, with deliveries of the sandbox that
come twice, in another order, or forged; spans of calls with OpenTelemetry's own SDK."""

import asyncio
import contextlib
import importlib.util
import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import pinstripe
from support import KEY, ROOT, Stage, has_sandbox

PACKAGES = os.path.dirname(os.path.dirname(os.path.realpath(pinstripe.__file__)))
EXAMPLES = ROOT / "examples/python"
SECRET = "whsec_examples"


def has(module):
    return importlib.util.find_spec(module) is not None


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited for too long")
        time.sleep(0.02)


def new_event(ident, kind="payment_intent.succeeded", intent="pi_1"):
    data = {"object": {"object": "payment_intent", "id": intent}}
    body = json.dumps({"id": ident, "object": "event", "type": kind, "data": data})
    return body.encode(), pinstripe.WebhookSignature.generate_signature_header(body, SECRET)


class WithFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "events.sqlite")

    def rows(self, query):
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as db:
            return db.execute(query).fetchall()


@unittest.skipUnless(has_sandbox(), "no sandbox is built")
class Servers(WithFolder):
    """Each server as its own process, which the sandbox delivers to."""

    @contextlib.contextmanager
    def serve(self, *command, **environment):
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=EXAMPLES,
            env={
                **os.environ,
                "PYTHONPATH": PACKAGES,
                "WEBHOOK_FILE": self.path,
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            self.said = process.communicate()[1]

    def pay(self, client):
        """Payments that end in each way: {id: status}."""
        found = {}
        for card in ["pm_card_visa"] * 4 + ["pm_card_chargeDeclined", None]:
            methods = {"enabled": True, "allow_redirects": "never"}
            params = {"amount": 2000, "currency": "usd", "automatic_payment_methods": methods}
            intent = client.v1.payment_intents.create(params)
            try:
                if card:
                    client.v1.payment_intents.confirm(intent.id, {"payment_method": card})
                else:
                    client.v1.payment_intents.cancel(intent.id)
            except pinstripe.CardError:
                pass
            found[intent.id] = client.v1.payment_intents.retrieve(intent.id).status
        self.assertEqual(len(set(found.values())), 3)
        return found

    def post(self, url, body=b"", **headers):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as reply:
                return reply.status
        except urllib.error.HTTPError as e:
            with e:
                return e.code

    def check(self, port, *command):
        url = f"http://127.0.0.1:{port}/webhook"
        with pinstripe.sandbox(seed=2) as sandbox:
            client = sandbox.client()
            endpoint = client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
            environment = {
                "STRIPE_API_KEY": sandbox.key,
                "PINSTRIPE_API_BASE": sandbox.url,
                "STRIPE_WEBHOOK_SECRET": f"whsec_old,{endpoint.secret}",
            }
            sandbox.pause()
            paid = self.pay(client)
            waiting = sandbox.duplicate(destination=endpoint.id)
            sandbox.reorder(destination=endpoint.id)
            before = len(sandbox.requests(method="GET"))
            with self.serve(*command, **environment):
                wait_for(lambda: self.reach(port))
                total = sandbox.flush()
                self.assertEqual((total["delivered"], total["failed"]), (2 * waiting, 0))
                wait_for(lambda: self.rows("SELECT count(*) FROM events WHERE NOT done") == [(0,)])
                self.assertEqual(dict(self.rows("SELECT id, status FROM payments")), paid)
                self.assertEqual(self.rows("SELECT count(*) FROM events"), [(waiting,)])
                # Each of these events was handled once: a handler asks for its payment.
                asked = len(sandbox.requests(method="GET")) - before
                self.assertEqual(asked, len(paid))
                body, header = new_event("evt_forged")
                self.assertEqual(self.post(url, body, **{"Stripe-Signature": header}), 400)
                self.assertEqual(self.post(url, body), 400)
                self.assertEqual(self.post(url, None), 405)
                self.assertEqual(self.rows("SELECT count(*) FROM events"), [(waiting,)])
            self.assertNotIn("Traceback", self.said)
            self.assertNotIn(endpoint.secret, self.said)

    def reach(self, port):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    def test_wsgi(self):
        port = free_port()
        self.check(port, "webhook.py", str(port))

    @unittest.skipUnless(has("uvicorn"), "uvicorn is not installed")
    def test_asgi(self):
        port = free_port()
        self.check(port, "-m", "uvicorn", "--factory", "webhook:make_asgi", "--port", str(port))

    def test_without_a_secret(self):
        with self.serve("webhook.py", "0", STRIPE_WEBHOOK_SECRET="") as process:
            self.assertEqual(process.wait(20), 1)
        self.assertIn("STRIPE_WEBHOOK_SECRET must be", self.said)


class Endpoint(WithFolder):
    def setUp(self):
        super().setUp()
        self.webhook, self.seen = load("webhook"), []
        self.inbox = self.webhook.Inbox(self.path)

    def endpoint(self, handler=None):
        def note(event, db, stripe):
            self.seen.append(event.id)
            db.execute("INSERT INTO payments VALUES (?, 'succeeded', 1)", (event.id,))

        handlers = {"payment_intent.succeeded": handler or note}
        endpoint = self.webhook.Endpoint(Stage().client(), [SECRET], self.inbox, handlers)
        endpoint.start = lambda: None  # the tests work themselves
        return endpoint

    def test_the_work_comes_after_the_answer_and_once(self):
        endpoint = self.endpoint()
        for ident in ("evt_2", "evt_1", "evt_2", "evt_other"):
            kind = "charge.succeeded" if ident == "evt_other" else "payment_intent.succeeded"
            self.assertEqual(endpoint.receive(*new_event(ident, kind)), (200, "ok"))
        self.assertEqual(self.seen, [])
        self.assertEqual((endpoint.work(), endpoint.work()), (3, 0))
        self.assertEqual(endpoint.receive(*new_event("evt_1")), (200, "ok"))
        self.assertEqual((endpoint.work(), self.seen), (0, ["evt_2", "evt_1"]))

    def test_work_that_fails_leaves_nothing_and_is_done_again(self):
        def fail(event, db, stripe):
            db.execute("INSERT INTO payments VALUES (?, 'half done', 1)", (event.id,))
            raise OSError("no network")

        failing, endpoint = self.endpoint(fail), self.endpoint()
        failing.receive(*new_event("evt_1"))
        with self.assertLogs("webhook", "ERROR") as logs:
            failing.work()
        self.assertIn("no network", logs.output[0])
        self.assertEqual(self.rows("SELECT * FROM payments"), [])
        self.assertEqual(endpoint.work(), 0, "not at once")
        (due,) = self.rows("SELECT due FROM events")[0]
        self.assertAlmostEqual(due, time.time() + self.webhook.PAUSE, delta=5)
        self.set_due()
        self.assertEqual((endpoint.work(), self.seen), (1, ["evt_1"]))
        self.assertEqual(self.rows("SELECT status FROM payments"), [("succeeded",)])

    def set_due(self):
        with contextlib.closing(sqlite3.connect(self.path)) as db, db:
            db.execute("UPDATE events SET due = 0")

    def test_what_a_dead_process_had_taken_comes_again(self):
        endpoint = self.endpoint()
        endpoint.receive(*new_event("evt_1"))
        self.assertEqual(self.inbox.take()[0], "evt_1")
        self.assertEqual(endpoint.work(), 0)
        self.set_due()
        self.assertEqual(endpoint.work(), 1)

    def test_many_workers_share_an_inbox(self):
        endpoints = [self.endpoint() for _ in range(4)]
        for i in range(40):
            endpoints[0].receive(*new_event(f"evt_{i}"))
        threads = [threading.Thread(target=endpoint.work) for endpoint in endpoints]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(self.seen), sorted(f"evt_{i}" for i in range(40)))
        self.assertEqual(self.rows("SELECT count(*) FROM payments"), [(40,)])

    def test_the_worker_begins_with_the_first_event(self):
        endpoint = self.endpoint()
        del endpoint.start
        self.addCleanup(endpoint.stop)
        endpoint.receive(*new_event("evt_1"))
        wait_for(lambda: self.rows("SELECT done FROM events") == [(1,)])
        worker = endpoint.worker
        endpoint.receive(*new_event("evt_2"))
        wait_for(lambda: self.rows("SELECT sum(done) FROM events") == [(2,)])
        self.assertIs(endpoint.worker, worker)
        endpoint.stop()
        self.assertFalse(worker.is_alive())

    def test_an_event_that_cannot_be_put_down_is_asked_for_again(self):
        endpoint = self.endpoint()
        with contextlib.closing(sqlite3.connect(self.path)) as db, db:
            db.execute("DROP TABLE events")
        with self.assertLogs("webhook", "ERROR"):
            self.assertEqual(endpoint.receive(*new_event("evt_1"))[0], 500)

    # The applications, as a server calls them

    def call_wsgi(self, body, header, **environ):
        told = []
        environ = {
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "HTTP_STRIPE_SIGNATURE": header,
            **environ,
        }
        text = b"".join(self.webhook.wsgi(self.endpoint())(environ, lambda *args: told.append(args)))
        return told[0][0], text

    def test_wsgi(self):
        body, header = new_event("evt_1")
        self.assertEqual(self.call_wsgi(body, header), ("200 OK", b"ok"))
        self.assertEqual(self.call_wsgi(body, header, CONTENT_LENGTH="")[0], "400 Bad Request")
        self.assertEqual(self.call_wsgi(body, header, CONTENT_LENGTH="many")[0], "400 Bad Request")
        self.assertEqual(self.call_wsgi(body, header, CONTENT_LENGTH=str((1 << 20) + 1))[0], "413 Content Too Large")
        self.assertIn(b"no signature matches", self.call_wsgi(body + b" ", header)[1])

    def call_asgi(self, *messages, method="POST", header=None, kind="http"):
        waiting, sent = list(messages), []

        async def receive():
            return waiting.pop(0)

        async def send(message):
            sent.append(message)

        headers = [(b"host", b"x"), *([(b"stripe-signature", header.encode())] if header else [])]
        scope = {"type": kind, "method": method, "headers": headers}
        asyncio.run(self.webhook.asgi(self.endpoint())(scope, receive, send))
        return sent

    def test_asgi(self):
        body, header = new_event("evt_1")
        pieces = [
            {"type": "http.request", "body": body[:9], "more_body": True},
            {"type": "http.request", "body": body[9:]},
        ]
        sent = self.call_asgi(*pieces, header=header)
        self.assertEqual((sent[0]["status"], sent[1]["body"]), (200, b"ok"))
        self.assertEqual(self.call_asgi(pieces[1], header=header)[0]["status"], 400)
        self.assertEqual(self.call_asgi(*pieces)[0]["status"], 400)
        self.assertEqual(self.call_asgi(pieces[0], {"type": "http.disconnect"}), [])
        large = {"type": "http.request", "body": b"x" * 700000, "more_body": True}
        self.assertEqual(self.call_asgi(large, large)[0]["status"], 413)
        self.assertEqual(self.call_asgi(method="GET")[0]["status"], 405)
        sent = self.call_asgi({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, kind="lifespan")
        self.assertEqual(
            [message["type"] for message in sent], ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        )
        self.assertEqual(self.rows("SELECT id FROM events"), [("evt_1",)])


@unittest.skipUnless(has("opentelemetry.sdk") if has("opentelemetry") else False, "opentelemetry-sdk is not installed")
class Tracing(unittest.TestCase):
    def setUp(self):
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")
        self.hooks = load("tracing").hooks(self.tracer)

    def spans(self):
        return [(span.name, dict(span.attributes)) for span in self.exporter.get_finished_spans()]

    def test_a_span_for_each_attempt(self):
        stage = Stage((500, {}, "{}"), {"object": "customer"}, (404, {"Request-Id": "req_3"}, "{}"))
        client = stage.client(**self.hooks)
        with self.tracer.start_as_current_span("checkout") as outer:
            client.v1.customers.create({"email": "jenny@example.com"})
            with self.assertRaises(pinstripe.InvalidRequestError):
                client.v1.charges.retrieve("ch_none")
        first, second, third, _ = self.exporter.get_finished_spans()
        self.assertEqual(
            [span.name for span in (first, second, third)], ["customers.create"] * 2 + ["charges.retrieve"]
        )
        self.assertEqual(dict(second.attributes)["http.request.resend_count"], 1)
        self.assertEqual(dict(third.attributes)["stripe.request_id"], "req_3")
        self.assertEqual(dict(third.attributes)["error.type"], "404")
        self.assertEqual([span.status.is_ok for span in (first, second, third)], [False, True, False])
        for span in (first, second, third):
            self.assertEqual(span.parent.span_id, outer.get_span_context().span_id)
            self.assertGreaterEqual(span.end_time, span.start_time)
            self.assertNotIn("jenny", span.to_json())
            self.assertNotIn(KEY, span.to_json())

    def test_without_an_answer(self):
        client = pinstripe.StripeClient(KEY, api_base="http://127.0.0.1:1", max_retries=0, **self.hooks)
        with self.assertRaises(pinstripe.APIConnectionError):
            client.v1.balance.retrieve()
        ((name, attributes),) = self.spans()
        self.assertEqual((name, attributes["error.type"]), ("balance.retrieve", "connection"))

    def test_calls_under_way_at_once_keep_their_spans_apart(self):
        client = Stage(*[{"object": "balance"}] * 12).client(**self.hooks)

        async def one(name):
            with self.tracer.start_as_current_span(name):
                await asyncio.gather(client.v1.balance.retrieve_async(), client.v1.customers.list_async())

        async def main():
            await asyncio.gather(*(one(f"outer {i}") for i in range(6)))

        asyncio.run(main())
        spans = self.exporter.get_finished_spans()
        outer = {span.context.span_id: span.name for span in spans if span.parent is None}
        self.assertEqual(len(outer), 6)
        inner = sorted((outer[span.parent.span_id], span.name) for span in spans if span.parent)
        expected = [(f"outer {i}", name) for i in range(6) for name in ("balance.retrieve", "customers.list")]
        self.assertEqual(inner, expected)

    @unittest.skipUnless(has_sandbox(), "no sandbox is built")
    def test_the_program(self):
        command = [sys.executable, str(EXAMPLES / "tracing.py")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^customers.retrieve error.type='500' .*status_code=500")
        self.assertRegex(done.stdout, r"(?m)^customers.retrieve .*resend_count=1 .*status_code=200")


if __name__ == "__main__":
    unittest.main()
