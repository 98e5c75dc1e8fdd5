"""Parameters: each Python value and what it is on the wire."""

import datetime
import enum
import io
import json
import tempfile
import unittest
import uuid
from collections import OrderedDict, deque
from decimal import Decimal
from types import MappingProxyType

import pinstripe
from support import Server, Stage


class Color(enum.Enum):
    RED = "red"


class Word(str, enum.Enum):
    A = "a"


class Number:
    def __index__(self):
        return 7


class Lazy:
    def __str__(self):
        return "later"


def sent(params, path="/v1/unknown_things"):
    stage = Stage({})
    stage.client()._requestor.request("POST", path, params)
    return stage.requests[0].body.decode()


class Values(unittest.TestCase):
    def check(self, value, text):
        self.assertEqual(sent({"a": value}), text)

    def test_scalars(self):
        day = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
        for value, text in [
            ("å ∂", "a=%C3%A5%20%E2%88%82"),
            (True, "a=true"),
            (5, "a=5"),
            (-(2**63), f"a={-(2**63)}"),
            (1.5, "a=1.5"),
            (5.0, "a=5"),
            (1e-7, "a=0.0000001"),
            (Decimal("1.10"), "a=1.10"),
            (Decimal("1E+2"), "a=100"),
            (day, "a=1767323045"),
            (day.date(), "a=2026-01-02"),
            (Color.RED, "a=red"),
            (Word.A, "a=a"),
            (Number(), "a=7"),
            (Lazy(), "a=later"),
            (uuid.UUID(int=1), "a=00000000-0000-0000-0000-000000000001"),
            ("", "a="),
            (pinstripe.UNSET, "a="),
            (None, ""),
        ]:
            with self.subTest(value=value):
                self.check(value, text)
        naive = datetime.datetime(2026, 1, 2)
        self.check(naive, f"a={int(naive.timestamp())}")

    def test_containers(self):
        self.check([1, {"b": (2, None, 3)}], "a[0]=1&a[1][b][0]=2&a[1][b][1]=3")
        self.check(OrderedDict(x=1), "a[x]=1")
        self.check(MappingProxyType({"x": 1}), "a[x]=1")
        self.check({0: "x", 10: "y"}, "a[0]=x&a[10]=y")
        self.check([], "")

    def test_objects_are_ids(self):
        c = pinstripe.Customer.construct_from({"id": "cus_1", "object": "customer", "metadata": {"k": "v"}}, None)
        self.check(c, "a=cus_1")
        self.check([c], "a[0]=cus_1")
        self.check(c.metadata, "a[k]=v")

    def test_v2_keeps_null(self):
        body = json.loads(sent({"a": None, "b": pinstripe.UNSET, "c": [None], "d": {}}, "/v2/unknown"))
        self.assertEqual(body, {"a": None, "b": None, "c": [None], "d": {}})

    def test_null_is_nothing_in_a_query(self):
        stage = Stage({"data": []}, {})
        client = stage.client()
        client.v2.core.events.list({"object_id": None, "limit": 3})
        client.raw_request("get", "/v2/core/events", limit=None)
        urls = [request.url.partition(".com")[2] for request in stage.requests]
        self.assertEqual(urls, ["/v2/core/events?limit=3", "/v2/core/events"])

    def test_decimals_are_text_in_json(self):
        body = sent({"a": Decimal("1.50"), "b": 3, "c": 0.5}, "/v2/unknown")
        self.assertEqual(json.loads(body), {"a": "1.50", "b": 3, "c": 0.5})

    def test_times_of_v2(self):
        stage = Stage({})
        day = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
        stage.client().v2.billing.meter_events.create({"event_name": "x", "payload": {}, "timestamp": day})
        self.assertEqual(json.loads(stage.requests[0].body)["timestamp"], "2026-01-02T03:04:05Z")

    def test_what_cannot_be_sent_is_named(self):
        for value, error, text in [
            ({1, 2}, TypeError, "params.a: a set cannot be sent"),
            ((x for x in ()), TypeError, "params.a: a generator"),
            (object(), TypeError, "params.a: a object"),
            (print, TypeError, "params.a: a builtin_function_or_method"),
            (deque([1]), TypeError, "params.a: a deque"),
            ([0, {"b": object()}], TypeError, r"params.a\[1\].b: "),
            ({(1,): 2}, TypeError, "params.a: the keys"),
            (b"x", TypeError, "params.a: bytes"),
            (io.BytesIO(b"x"), TypeError, "params.a: bytes and files"),
            (2**63, ValueError, "params.a: an integer must fit into 64 bits"),
            (float("nan"), ValueError, "params.a: NaN"),
            (float("-inf"), ValueError, "params.a: infinity"),
            (Decimal("NaN"), ValueError, "params.a: a Decimal"),
            ("\ud800", ValueError, "params.a: holds a lone surrogate"),
        ]:
            with self.subTest(value=repr(value)), self.assertRaisesRegex(error, text):
                sent({"a": value})
        loop = []
        loop.append(loop)
        with self.assertRaisesRegex(ValueError, "contains itself"):
            sent({"a": loop})
        with self.assertRaisesRegex(TypeError, "params: must be a dict"):
            sent([1])

    def test_an_error_of_the_callers_own_passes(self):
        class Bad:
            def __str__(self):
                raise ZeroDivisionError("mine")

        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            sent({"a": Bad()})

    def test_the_callers_dict_stays(self):
        params = {"a": [1], "b": None}
        sent(params)
        self.assertEqual(params, {"a": [1], "b": None})


class Files(unittest.TestCase):
    def upload(self, file):
        stage = Stage({"object": "file", "id": "file_1"})
        found = stage.client().v1.files.create({"purpose": "dispute_evidence", "file": file})
        self.assertEqual(found.id, "file_1")
        self.assertIn("https://files.stripe.com/", stage.requests[0].url)
        return stage.requests[0].body

    def test_readers(self):
        self.assertIn(b'filename="blob"', self.upload(io.BytesIO(b"abc")))
        self.assertIn("é".encode(), self.upload(io.StringIO("é")))
        self.assertIn(b"\r\n\r\nabc\r\n", self.upload(b"abc"))
        named = io.BytesIO(b"abc")
        named.name = "a/b.pdf"
        self.assertIn(b'filename="b.pdf"', self.upload(named))

    def test_a_file_on_disk_is_sent_as_it_lies(self):
        with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
            file.write(b"x" * 100000)
            file.seek(0)
            body = self.upload(file)
            self.assertIn(b"x" * 100000, body)
            self.assertIn(file.name.rpartition("/")[2].encode(), body)
            file.seek(50000)
            self.assertEqual(self.upload(file).count(b"x" * 50000), 1)

    def test_on_a_socket(self):
        with Server() as server:
            found = server.client().v1.files.create({"purpose": "identity_document", "file": io.BytesIO(b"\x89PNG")})
            self.assertIn("multipart/form-data", found.headers["content-type"])


if __name__ == "__main__":
    unittest.main()
