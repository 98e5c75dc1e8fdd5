"""The shared cases of tests/cases, through a transport in Python. Null is pinstripe.UNSET in params: None leaves
out."""

import json
import re
import unittest
from urllib.parse import urlsplit

import pinstripe
from support import load_cases


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
            error = pinstripe.APIConnectionError("the case loses it")
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
        _, error = call(new_client(case, stage), case)
        if "error" in case:
            self.assertIsNotNone(error, "an error was expected")
            self.check_error(case["error"], error)
            self.assertEqual(("not_sent", 0, []), (error.outcome, error.attempts, stage.requests))
            return
        self.assertIsNone(error)
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


def add_cases(file, run):
    for number, case in enumerate(load_cases(file)):
        if "python" not in case.get("only", ["python"]) or not {"call", "request", "fetch"} & set(case):
            continue
        if "" in (case.get("options") or {}).values():
            continue  # in Python '' falls back to the client's
        if case.get("fetch") == "related_object" and "related_object" not in case["notification"]:
            continue  # in Python that is None

        def test(self, case=case):
            getattr(self, run)(case)

        test.__doc__ = case["name"]
        setattr(Case, f"test_{file.split('.')[0]}_{number:03d}", test)


add_cases("requests.json", "run_request")
add_cases("replies.json", "run_reply")


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
            return self.check_error(case["error"], e if isinstance(e, pinstripe.StripeError) else e.__cause__)
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

    def run_pages(self, case):
        stage = Stage(case, self)
        client = new_client(case, stage)
        params = dict(case.get("params", {}))
        if "limit=100" in case["paths"][0]:
            params["limit"] = 100
        page, error = call(client, {**case, "params": params})
        self.assertIsNone(error)
        self.assertEqual(case["items"], [item.get("id", "") for item in page.auto_paging_iter()])
        self.assertEqual([], stage.replies, "pages that nobody asked for")
        asked = [url_of(request.url)[2:] for request in stage.requests]
        self.assertEqual([url_of(path)[2:] for path in case["paths"]], asked)
        for request in stage.requests:
            self.check_headers(case.get("headers"), request)


def is_for_pages(case):
    plain = not {"cursor_after", "bodies", "request"} & set(case) and "!" not in case["items"]
    return plain and all("lost" not in reply and reply["status"] == 200 for reply in case["replies"])


for _number, _case in enumerate(load_cases("pages.json")):
    if "python" in _case.get("only", ["python"]) and is_for_pages(_case):

        def _test(self, case=_case):
            self.run_pages(case)

        _test.__doc__ = _case["name"]
        setattr(Pages, f"test_pages_{_number:03d}", _test)


if __name__ == "__main__":
    unittest.main()
