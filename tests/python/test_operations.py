"""Every operation is called by its name, and judged twice: by the official mock, with the params that it requires, and
by an echo of the wire, with every param that it has. What is expected is read from the description, not from the table
that the library was built with."""

import asyncio
import json
import os
import re
import subprocess
import sys
import unittest
from urllib.parse import parse_qsl, unquote, urlsplit

import pinstripe
from pinstripe import _object
from support import KEY, ROOT

# What the mock's description of the API lacks: v2, what was removed or is in preview, and what is newer than it.
KNOWN_OF_MOCK = 540
OUTSIDE = (
    "apps.installs",
    "oauth",
    "product_catalog.trial_offers",
    "tax.locations",
    "three_d_secure.authentications",
    "subscriptions.pause",
)
PLAIN = {
    "string": "a text",
    "any": "any",
    "bool": True,
    "int": 7,
    "number": 1.5,
    "timestamp": 1700000000,
    "decimal": "1.5",
    "int64": "7",
    "file": b"bytes",
}


def described():
    found = {}
    for path in sorted((ROOT / "core/api/resources").glob("*.json")):
        found.update(json.loads(path.read_text(encoding="utf-8")).get("operations", {}))
    return found


def fields_of(fields, wanted):
    """The params that are wanted. A map that must be there but would be empty, and so not sent, gets its first one."""
    made = {name: value(t, wanted) for name, t in fields.items() if wanted(t)}
    if not made and fields:
        name = sorted(fields)[0]
        made = {name: value(fields[name], wanted)}
    return made


def value(t, wanted):
    kind = t["type"]
    if kind == "object":
        return fields_of(t["fields"], wanted)
    if kind == "enum":
        return next((word for word in t["values"] if word), "")
    if kind == "array":
        return [value(t["items"], wanted)]
    if kind == "map":
        return {"some_key": value(t["of"], wanted)}
    if kind == "range":
        return {"gte": PLAIN[t["of"]]}
    return value(t["any"][0], wanted) if kind == "union" else PLAIN[kind]


def params_of(op, wanted):
    return {name: value(t, wanted) for name, t in op["params"].items() if wanted(t)}


def flatten(params, name=""):
    if isinstance(params, (dict, list)):
        for key, child in params.items() if isinstance(params, dict) else enumerate(params):
            yield from flatten(child, f"{name}[{key}]" if name else str(key))
    else:
        yield name, str(params).lower() if isinstance(params, bool) else str(params)


class Operations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (ROOT / "build/tools/stripe-mock").exists() and "PS_STRIPE_MOCK" not in os.environ:
            raise unittest.SkipTest("stripe-mock is not built (.ci/install test)")
        command = [sys.executable, str(ROOT / "tests/mock/servers.py")]
        cls.servers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lines = [cls.servers.stdout.readline().strip().split("=", 1) for _ in range(3)]
        cls.bases = dict(lines)
        cls.operations = described()

    @classmethod
    def tearDownClass(cls):
        cls.servers.stdin.close()
        cls.servers.wait(10)
        cls.servers.stdout.close()

    def client(self, base):
        bases = {f"{name}_base": base for name in ("api", "files", "connect", "meter_events")}
        return pinstripe.StripeClient(KEY, max_retries=0, **bases)

    @staticmethod
    def method(client, ident):
        *path, name = ident.split(".")
        service = client if path[0] == "v2" else client.v1
        for part in path:
            service = getattr(service, part)
        return getattr(service, name)

    def call(self, client, ident, op, wanted, suffix="", path_id="id 1/2"):
        ids = [path_id for _ in re.findall(r"{\w+}", op["path"])]
        # The mobile side's version: the library refuses to guess it.
        options = {"stripe_version": "2020-08-27"} if ident == "ephemeral_keys.create" else None
        return self.method(client, ident + suffix)(*ids, params_of(op, wanted), options)

    def test_the_mock_accepts_them(self):
        client, known = self.client(self.bases["STRIPE_MOCK"]), 0
        for ident, op in self.operations.items():
            service = ident.rpartition(".")[0]
            if op["path"].startswith("/v2/") or "status" in op or service in OUTSIDE or ident in OUTSIDE:
                continue
            with self.subTest(operation=ident):
                found = self.call(client, ident, op, lambda t: t.get("required"), path_id="id_1")
                known += 1
                if op["returns"]["kind"] == "list":
                    self.assertIsInstance(found, pinstripe.ListObject)
                elif op["returns"]["kind"] == "object":
                    self.assertIsInstance(found, pinstripe.StripeObject)
        self.assertEqual(known, KNOWN_OF_MOCK)

    def test_every_row_of_the_reference(self):
        client, count = self.client("http://127.0.0.1:1"), 0
        for row in (ROOT / "tests/cases/seed-rows.tsv").read_text(encoding="utf-8").splitlines()[1:]:
            _, heading, _, objects, operations, legacy, *_ = row.split("\t")
            for ident in [*operations.split(), *legacy.split()]:
                with self.subTest(heading=heading, operation=ident):
                    self.assertTrue(callable(self.method(client, ident)))
                    self.assertIn(ident, self.operations)
                    count += 1
            for name in objects.split():
                self.assertIsNot(_object.resolve(name), pinstripe.StripeObject, name)
        self.assertGreater(count, 400)

    def check_wire(self, ident, op, echo, params):
        path = re.sub(r"{\w+}", "id%201%2F2", op["path"])
        url = urlsplit(echo["path"])
        self.assertEqual((echo["method"], url.path), (op["method"], path))
        if op["encoding"] == "json":
            self.assertEqual(json.loads(echo["body"]), params)
        elif op["encoding"] != "multipart":
            text = url.query if op["encoding"] == "query" else echo["body"]
            self.assertEqual(sorted(parse_qsl(text, keep_blank_values=True)), sorted(flatten(params)))
        self.assertEqual(unquote(url.query) if op["encoding"] in ("form", "json") else "", "")

    def test_the_wire(self):
        client = self.client(self.bases["STRIPE_ECHO"])
        for ident, op in self.operations.items():
            if op["returns"]["kind"] in ("binary", "none"):
                continue
            with self.subTest(operation=ident):
                echo = self.call(client, ident, op, lambda t: True).to_dict()
                self.check_wire(ident, op, echo, params_of(op, lambda t: True))

    def test_the_wire_of_asyncio(self):
        async def main():
            client = self.client(self.bases["STRIPE_ECHO"])
            for ident, op in list(self.operations.items())[::10]:
                if op["returns"]["kind"] not in ("binary", "none"):
                    echo = await self.call(client, ident, op, lambda t: True, "_async")
                    self.check_wire(ident, op, echo.to_dict(), params_of(op, lambda t: True))

        asyncio.run(main())


if __name__ == "__main__":
    unittest.main()
