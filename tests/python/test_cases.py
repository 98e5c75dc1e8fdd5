"""The shared cases of tests/cases, through a transport in Python. Null is pinstripe.UNSET in params: None leaves
out."""

import json
import os
import re
import unittest
from urllib.parse import urlsplit

import pinstripe
from support import ROOT, load_cases


def params_of(value):
    """A case's params: JSON's null is UNSET."""
    if isinstance(value, dict):
        return {key: params_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [params_of(item) for item in value]
    return pinstripe.UNSET if value is None else value


class Stage:
    """A transport for one case: its replies in order; notes requests, waits, and that the key stays the same."""

    def __init__(self, case, test):
        self.replies, self.test = list(case.get("replies", [])), test
        self.requests, self.waits, self.key = [], [], None

    def send(self, request):
        self.requests.append(request)
        key = request.headers.get("Idempotency-Key")
        if key:
            self.test.assertIn(self.key, (None, key), "the key changed")
            self.key = key
        self.test.assertTrue(self.replies, f"a request too many: {request.url}")
        reply = self.replies.pop(0)
        if "lost" in reply:
            error = pinstripe.APIConnectionError("the case loses it", should_retry=True)
            error.outcome = reply["lost"]
            raise error
        body = json.dumps(reply["json"]) if "json" in reply else reply.get("body", "")
        return reply["status"], reply.get("headers", {}), body

    def sleep(self, seconds):
        self.waits.append(seconds * 1000)


def new_client(case, transport):
    options = dict(case.get("client", {}))
    return pinstripe.StripeClient(options.pop("api_key", "sk_test_cases"), transport=transport, **options)


def call(client, case):
    """What the case calls, and what came of it: (object or None, the exception or None)."""
    params, options = params_of(case["params"]) if "params" in case else None, case.get("options")
    try:
        if "fetch" in case:
            notification = pinstripe.v2.core.EventNotification.from_json(case["notification"], client)
            return getattr(notification, f"fetch_{case['fetch']}")(), None
        if "request" in case:
            return client._requestor.request(*case["request"], params, options), None
        if "download" in case:
            return client.download(case["download"], **(options or {})), None
        if "authorize_url" in case:
            return client.oauth.authorize_url(case["authorize_url"], {"express": case.get("express")}), None
        *path, name = case["call"].split(".")
        service = client if path[0] == "v2" else client.v1
        for part in path:
            service = getattr(service, part)
        return getattr(service, name)(*case.get("ids", []), params=params, options=options), None
    except pinstripe.StripeError as e:
        return None, e


def sorted_pairs(text):
    return sorted(text.split("&"))


def url_of(url):
    parts = urlsplit(url)
    return parts.scheme, parts.netloc, parts.path, sorted_pairs(parts.query)


class Checks:
    def check_holds(self, expected, got, where):
        if isinstance(expected, dict):
            for key, value in expected.items():
                self.check_holds(value, got[key], f"{where}.{key}")
        elif isinstance(expected, list):
            self.assertEqual(len(expected), len(got), where)
            for i, value in enumerate(expected):
                self.check_holds(value, got[i], f"{where}[{i}]")
        else:
            self.assertEqual(expected, got, where)

    def check_error(self, expected, error):
        for name, value in expected.items():
            if name == "message":
                self.assertIn(value, error.user_message)
            elif name == "status":
                self.assertEqual(value or None, error.http_status)
            elif name in ("kind", "outcome", "code", "request_id", "attempts", "idempotency_key"):
                self.assertEqual(value, getattr(error, name), name)
            else:
                fields = error.json_body.get("error", error.json_body)
                fields = fields if isinstance(fields, dict) else error.json_body
                self.check_holds(value, fields[name], name)

    def check_headers(self, expected, request):
        got = {name.lower(): value for name, value in request.headers.items()}
        for name, value in (expected or {}).items():
            if value == "*":
                self.assertTrue(got.get(name.lower()), name)
            else:
                self.assertEqual(value, got.get(name.lower()), name)

    def check_body(self, case, request):
        body = request.body
        if "json" in case:
            self.assertEqual(case["json"], json.loads(body))
        elif "body" in case and case["body"] is None:
            self.assertIsNone(body)
        elif "body" in case:
            self.assertEqual(sorted_pairs(case["body"]), sorted_pairs(body.decode()))


class Case(Checks, unittest.TestCase):
    def run_request(self, case):
        stage = Stage({"replies": [{"status": 200, "body": "{}"}]}, self)
        found, error = call(new_client(case, stage), case)
        if "error" in case:
            self.assertIsNotNone(error, "an error was expected")
            self.check_error(case["error"], error)
            self.assertEqual(("not_sent", 0, []), (error.outcome, error.attempts, stage.requests))
            return
        self.assertIsNone(error)
        if "authorize_url" in case:
            self.assertEqual((case["url"], []), (found, stage.requests))
            return
        request = stage.requests[0]
        self.assertEqual((case["method"], url_of(case["url"])), (request.method, url_of(request.url)))
        self.check_headers(case.get("headers"), request)
        self.check_body(case, request)

    def run_reply(self, case):
        stage = Stage(case, self)
        found, error = call(new_client(case, stage), case)
        self.assertEqual(case["ok"], error is None, error)
        if "error" in case:
            self.check_error(case["error"], error)
        if "data" in case:
            self.check_holds(case["data"], found, "data")
        if "attempts" in case and error:
            self.assertEqual(case["attempts"], error.attempts)
        self.assertEqual([], stage.replies, "replies that nobody asked for")
        if "waits" in case:
            self.assertEqual(len(case["waits"]), len(stage.waits))
            for (least, most), wait in zip(case["waits"], stage.waits):
                self.assertTrue(least <= wait <= most, wait)


def add_cases(file, run, to=Case):
    for number, case in enumerate(load_cases(file)):
        if "python" not in case.get("only", ["python"]):
            continue
        if "" in (case.get("options") or {}).values():
            continue  # in Python '' falls back to the client's
        if case.get("fetch") == "related_object" and "related_object" not in case["notification"]:
            continue  # in Python that is None

        def test(self, case=case):
            getattr(self, run)(case)

        test.__doc__ = case["name"]
        setattr(to, f"test_{file.split('.')[0]}_{number:03d}", test)


add_cases("requests.json", "run_request")
add_cases("replies.json", "run_reply")


class Uploads(Checks, unittest.TestCase):
    """uploads.json"""

    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(ROOT)  # what paths are told from

    def run_upload(self, case):
        stage = Stage({"replies": [{"status": 200, "body": "{}"}]}, self)
        if "reader" in case:
            data = case["reader"].encode()
            pieces = [piece for piece in (data[:5], data[5:]) if piece]
            file = {**case["params"]["file"], "reader": lambda: pieces.pop(0) if pieces else b""}
            length = {} if case.get("chunked") else {"length": len(data)}
            case = {**case, "params": {**case["params"], "file": {**file, **length}}}
        found, error = call(new_client(case, stage), case)
        if "error" in case:
            self.check_error(case["error"], error)
            self.assertEqual([], stage.requests)
            return
        self.assertIsNone(error)
        (request,) = stage.requests
        self.assertEqual("https://files.stripe.com/v1/files", request.url)
        boundary = re.fullmatch(r"multipart/form-data; boundary=([\w-]+)", request.headers["Content-Type"])[1]
        first, *parts, last = (b"\r\n" + request.body).split(f"\r\n--{boundary}".encode())
        self.assertEqual((b"", b"--\r\n"), (first, last))
        self.assertEqual(sorted(f"\r\n{part}" for part in case["parts"]), sorted(part.decode() for part in parts))


class Meters(Checks, unittest.TestCase):
    """meters.json"""

    HOSTS = {"session": "https://api.stripe.com", "stream": "https://meter-events.stripe.com"}

    def add_events(self, stream, case, count, number):
        for event in case.get("events", []) if number == 0 else []:
            if "refused" in case:
                with self.assertRaisesRegex(ValueError, case["refused"]):
                    stream.add(event)
            else:
                self.assertIsNone(stream.add(event))
        for i in range(count):
            self.assertIsNone(stream.add({"event_name": "requests", "payload": {"value": str(number + i + 1)}}))
        return number + count

    def flush(self, stream, flush):
        error = None
        try:
            stream.flush()
        except pinstripe.StripeError as e:
            error = e
        self.assertEqual(flush["ok"], error is None, error)
        self.check_error(flush.get("error", {}), error)
        self.assertEqual(flush["pending"], stream.pending())
        if "skip" in flush:
            self.assertEqual(flush["skip"], [event["payload"]["value"] for event in stream.skip()])

    def sent(self, case, requests):
        """What was sent, in the form of the case's `requests`; an event has the same identifier each time."""
        identifiers, batches = {}, []
        for request in requests:
            kind = "session" if request.url.endswith("session") else "stream"
            self.assertEqual(f"{self.HOSTS[kind]}/v2/billing/meter_event_{kind}", request.url)
            batches.append([kind, request.headers["Authorization"].removeprefix("Bearer ")])
            events = json.loads(request.body)["events"] if kind == "stream" else []
            for event in events:
                value = event["payload"]["value"]
                self.assertEqual(identifiers.setdefault(value, event["identifier"]), event["identifier"])
                for name, wanted in case.get("sent", {}).items():
                    self.assertTrue(event[name] == wanted or (wanted == "*" and event[name]), name)
            batches[-1] += [[event["payload"]["value"] for event in events]] if events else []
        return batches

    def run_meter(self, case):
        stage, number = Stage(case, self), 0
        send = stage.send

        def send_one(request):
            stage.key = None
            return send(request)

        stage.send = send_one
        stream = new_client(case, stage).meter_stream(max_age=3600)
        for flush in case["flushes"]:
            number = self.add_events(stream, case, flush.get("add", 0), number)
            self.flush(stream, flush)
        self.assertEqual(case["requests"], self.sent(case, stage.requests))
        self.assertEqual([], stage.replies, "replies that nobody asked for")
        stream.close()


add_cases("uploads.json", "run_upload", Uploads)
add_cases("meters.json", "run_meter", Meters)


class Webhooks(Checks, unittest.TestCase):
    """webhooks.json. What is no event is a ValueError, whose cause says more."""

    CLIENT = pinstripe.StripeClient("sk_test_cases")

    def read(self, case, body):
        if case.get("trusted"):
            plain = {
                "event": self.CLIENT.construct_event_without_verification,
                "notification": self.CLIENT.parse_event_notification_without_verification,
            }
            return plain[case["read"]](body)
        reader = {
            "signature": pinstripe.WebhookSignature.verify_header,
            "event": self.CLIENT.construct_event,
            "notification": self.CLIENT.parse_event_notification,
        }[case["read"]]
        return reader(body, case["header"], case["secrets"], case.get("tolerance", 300), now=case["now"])

    def check_silence(self, case, raised):
        text = f"{raised!r}{raised}{getattr(raised, '_message', '')}"
        for secret in filter(None, case.get("secrets", [])):
            self.assertNotIn(secret, text)
        self.assertNotRegex(text, "[0-9a-f]{32}")

    def run_webhook(self, case):
        body = bytes.fromhex(case["hex"]) if "hex" in case else case.get("body", case.get("parsed"))
        try:
            found = self.read(case, body)
        except (pinstripe.SignatureVerificationError, ValueError) as e:
            self.assertIn("error", case, e)
            self.assertEqual(isinstance(e, pinstripe.StripeError), case["error"]["kind"] == "signature")
            self.check_silence(case, e)
            self.check_error(case["error"], e if isinstance(e, pinstripe.StripeError) else e.__cause__)
            return
        self.assertNotIn("error", case)
        if case["read"] == "signature":
            self.assertIs(found, True)
        if "data" in case:
            self.check_holds(case["data"], found.to_dict(), "data")
        good = not case.get("trusted") and len(case["secrets"]) == 1 and GOOD.match(case["header"])
        if good:
            made = pinstripe.WebhookSignature.generate_signature_header(body, case["secrets"][0], int(good[1]))
            self.assertEqual(made, case["header"])


GOOD = re.compile("t=([0-9]+),v1=[0-9a-f]+$")

for _number, _case in enumerate(load_cases("webhooks.json")):

    def _run(self, case=_case):
        self.run_webhook(case)

    _run.__doc__ = _case["name"]
    setattr(Webhooks, f"test_webhooks_{_number:03d}", _run)


class Pages(Checks, unittest.TestCase):
    """pages.json, as auto_paging_iter sees it: from a list's first page, which it asks for as `limit` says or 100."""

    def items_of(self, page, stage):
        """The ids, with "!" for a page that failed, after which the iteration goes on."""
        found, items = [], page.auto_paging_iter()
        while True:
            try:
                found.append(next(items).get("id", ""))
            except StopIteration:
                return found
            except pinstripe.StripeError:
                found.append("!")
                if not stage.replies:
                    return found

    def run_pages(self, case):
        stage = Stage(case, self)
        retries = {"max_retries": case["options"]["max_retries"]} if "max_retries" in case.get("options", {}) else {}
        client = new_client({**case, "client": {**case.get("client", {}), **retries}}, stage)
        params = dict(case.get("params", {}))
        if "limit=100" in case["paths"][0]:
            params["limit"] = 100
        page, error = call(client, {**case, "params": params})
        self.assertIsNone(error)
        stage.key = None
        self.assertEqual(case["items"], self.items_of(page, stage))
        self.assertEqual([], stage.replies, "pages that nobody asked for")
        asked = [url_of(request.url)[2:] for request in stage.requests]
        self.assertEqual([url_of(path)[2:] for path in case["paths"]], asked)
        for i, request in enumerate(stage.requests):
            self.check_headers(case.get("headers"), request)
            if "bodies" in case:
                self.assertEqual(case["bodies"][i], json.loads(request.body))


def is_for_pages(case):
    """Python has no cursors, and lists before it iterates: what fails there is no page's failure."""
    return "cursor_after" not in case and case["items"][:1] != ["!"]


for _number, _case in enumerate(load_cases("pages.json")):
    if "python" in _case.get("only", ["python"]) and is_for_pages(_case):

        def _test(self, case=_case):
            self.run_pages(case)

        _test.__doc__ = _case["name"]
        setattr(Pages, f"test_pages_{_number:03d}", _test)


if __name__ == "__main__":
    unittest.main()
