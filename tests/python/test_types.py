"""The stubs: mypy --strict accepts the examples and good programs, and rejects wrong ones; stubs, table and run time
agree."""

import ast
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pinstripe
from pinstripe import _core, _names, _naming, _resource
from support import ROOT

PACKAGE = Path(pinstripe.__file__).parent
MYPY = shutil.which("mypy") or shutil.which("mypy", path=str(ROOT / "build/tools/venv/bin"))
PYRIGHT = shutil.which("pyright") or shutil.which("pyright", path=str(ROOT / "build/tools/venv/bin"))

GOOD = """
import datetime
from collections.abc import Mapping

import pinstripe as stripe
from pinstripe.checkout import Session
from pinstripe.events import V1BillingMeterNoMeterFoundEventNotification

client = stripe.StripeClient("sk_test_1", max_network_retries=3, timeout=5.5)
customer: stripe.Customer = client.v1.customers.create(
    {"email": "a@b.c", "address": {"city": "Oslo"}, "metadata": {"a": "1"}}, {"idempotency_key": "k"}
)
email: "str | None" = customer.email
if customer.address is not None:
    address: stripe.Customer.Address = customer.address
for charge in client.v1.charges.list({"limit": 3, "created": {"gte": datetime.datetime.now()}}).auto_paging_iter():
    amount: int = charge.amount
items: "list[stripe.SubscriptionItem]" = client.v1.subscriptions.retrieve("sub_1").items.data
made = stripe.PaymentIntent.create(amount=5, currency="usd", api_key="sk_test_2")
intent: stripe.PaymentIntent = made.confirm(off_session=True)
session: Session = Session.create(mode="payment", line_items=[{"price": "price_1", "quantity": 1}])
stripe.Customer.retrieve("cus_1", expand=["default_source"]).refresh().save()
client.v1.customers.update("cus_1", {"business_name": "", "address": stripe.UNSET})
params: stripe.params.CustomerCreateParams = {"name": "n"}
handler = client.notification_handler("whsec", lambda event, client, details: None)


@handler.on_v1_billing_meter_no_meter_found
def found(event: V1BillingMeterNoMeterFoundEventNotification, client: stripe.StripeClient) -> None:
    print(event.fetch_event().data)


@handler.on_v1_charge_captured
def captured(event: stripe.events.V1ChargeCapturedEventNotification, client: stripe.StripeClient) -> None:
    charge: stripe.Charge = event.fetch_related_object()


class Mine(stripe.HTTPClient):
    async def request_async(
        self, method: str, url: str, headers: "Mapping[str, str]", post_data: "object" = None
    ) -> "tuple[bytes, int, Mapping[str, str]]":
        return b"{}", 200, {}


def progress(done: int, total: "int | None") -> None:
    print(done, total)


with open("receipt.pdf", "rb") as receipt, client.meter_stream(max_age=5) as stream:
    client.v1.files.create({"purpose": "dispute_evidence", "file": receipt}, {"progress": progress})
    failure: "Exception | None" = stream.add({"event_name": "e", "payload": {"value": "1"}})
pieces: "list[bytes]" = []
client.v1.quotes.pdf("qt_1", options={"write_to": pieces.append})
content: bytes = client.download("/v1/files/file_1/contents", save_to="receipt.pdf", progress=progress)
snapshot: stripe.Event = client.construct_event(b"", b"t=1", ["whsec_1", b"whsec_2"], now=1.5)
if snapshot.type == "charge.succeeded":
    print(snapshot.data.object["id"])


async def main() -> None:
    balance = await client.v1.balance.retrieve_async()
    print(balance.available[0].amount)
    async for one in (await client.v1.customers.list_async()).auto_paging_iter():
        print(one.id, one.metadata["a"] if one.metadata else None)
    accounts: "stripe.v2.ListObject[stripe.v2.core.Account]" = client.v2.core.accounts.list()
    for account in accounts.auto_paging_iter():
        print(account.id)


try:
    stripe.Refund.create(charge="ch_1")
except stripe.CardError as e:
    print(e.code, e.outcome, e.error.decline_code if e.error else None)
"""

# Each line alone is an error.
WRONG = [
    "client.v1.custmers",
    "client.v1.customers.creat({})",
    'client.v1.customers.create({"emial": "a@b.c"})',
    'client.v1.customers.create({"address": {"town": "Oslo"}})',
    'client.v1.charges.list({"limit": "three"})',
    "client.v1.customers.retrieve(5)",
    'client.v1.customers.retrieve("cus_1").emial',
    'client.v1.customers.create({}, {"stripe_acount": "acct_1"})',
    'client.v1.subscriptions.create({"customer": "cus_1", "items": "price_1"})',
    'stripe.PaymentIntent.create(amount="5", currency="usd")',
    'stripe.StripeClient("sk_test_1", timeot=5)',
    'client.v1.refunds.create({"charge": 5})',
    'client.v1.files.create({"purpose": "logo", "file": b""}, {"progress": 5})',
    'client.construct_event(b"", None, 5)',
    "client.meter_stream(max_ag=1)",
    'client.notification_handler("s", print).on_v1_nonsense',
    "for _ in client.v1.balance.retrieve().available.auto_paging_iter(): pass",
    'None if client.v1.customers.retrieve("cus_1").deleted else client.v1.custmers',
]


def check(*arguments):
    environment = {**os.environ, "MYPYPATH": str(PACKAGE.parent), "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=250)


@unittest.skipUnless(sys.version_info[:2] == (3, 11), "once is enough")
class Checkers(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.good, self.wrong = self.folder / "good.py", self.folder / "wrong.py"
        self.good.write_text(GOOD)
        head = 'import pinstripe as stripe\nclient = stripe.StripeClient("sk_test_1")\n'
        self.wrong.write_text(head + "\n".join(WRONG) + "\n")
        examples = sorted((ROOT / "examples/python").glob("*.py"))
        if importlib.util.find_spec("opentelemetry") is None:
            examples = [path for path in examples if path.stem != "tracing"]
        self.examples = list(map(str, examples))

    @unittest.skipUnless(MYPY, "mypy is not installed")
    def test_mypy(self):
        python, cache = f"--python-executable={sys.executable}", f"--cache-dir={self.folder}/cache"
        done = check(MYPY, "--strict", python, cache, str(self.good), *self.examples)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = check(MYPY, "--strict", cache, str(self.wrong))
        lines = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
        self.assertEqual(lines, set(range(3, 3 + len(WRONG))), done.stdout)

    @unittest.skipUnless(PYRIGHT, "pyright is not installed")
    def test_pyright(self):
        done = check(PYRIGHT, "--pythonpath", sys.executable, str(self.good), *self.examples)
        self.assertEqual(done.returncode, 0, done.stdout)
        done = check(PYRIGHT, str(self.wrong))
        lines = {int(line.split(":")[1]) for line in done.stdout.splitlines() if " - error:" in line}
        self.assertEqual(lines, set(range(3, 3 + len(WRONG))), done.stdout)


def classes_of(body, prefix=""):
    """{dotted name: node} of the classes in a stub, those inside others too."""
    found = {}
    for node in body:
        if isinstance(node, ast.ClassDef):
            found[prefix + node.name] = node
            found.update(classes_of(node.body, f"{prefix}{node.name}."))
    return found


@functools.lru_cache(None)
def stub(space, top):
    path = PACKAGE / (f"{space.replace('.', '/')}/__init__.pyi" if space else f"{top}.pyi")
    return classes_of(ast.parse(path.read_text(encoding="utf-8")).body)


def functions_of(node):
    return {item.name for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))}


def operations(path=""):
    """The facts of all, from the top down."""
    services, names = _core.names(path)
    yield from (_core.resolve(path, name) for name in names)
    for service in services:
        yield from operations(f"{path}.{service}" if path else service)


class Agreement(unittest.TestCase):
    """What the stubs say is there at run time, for all of the table."""

    def test_every_operation(self):
        count = 0
        client = pinstripe.StripeClient("sk_test_1")
        for operation in operations():
            path, _, name = operation[0].rpartition(".")
            space, cls = _naming.service_place(_names.Table, path)
            functions = functions_of(stub(space, "_services")[cls])
            self.assertLessEqual({name, f"{name}_async"}, functions, operation[0])
            service = client if path.startswith("v2") else client.v1
            for part in path.split("."):
                service = getattr(service, part)
            self.assertTrue(callable(getattr(service, name)) and callable(getattr(service, f"{name}_async")))
            self.assertIs(type(service), _names.lookup(f"pinstripe.{space}".rstrip("."), cls))
            count += 1
        self.assertEqual(count, 699)

    def test_every_object(self):
        for name, known in _core.objects():
            space, cls = _naming.class_place(name, known)
            classes = stub(space, "_objects")
            found = _names.lookup(f"pinstripe.{space}".rstrip("."), cls)
            node = classes[cls]
            for method in _resource.methods_of(name):
                self.assertIn(method, functions_of(node), name)
                self.assertTrue(callable(getattr(found, method)))
            for inner in [key for key in classes if key.startswith(f"{cls}.") and ".TestHelpers" not in key]:
                at = found
                for part in inner.split(".")[1:]:
                    at = getattr(at, part)
                self.assertTrue(issubclass(at, pinstripe.StripeObject), inner)

    def test_every_name_of_the_package(self):
        tree = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
        names = [alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
        private = {
            "Items",
            "Time",
            "Number",
            "File",
            "T",
            "Decimal",
            "Fallback",
            "AsyncFallback",
            "WebhookPayload",
        }
        missing = [name for name in names if name not in private and not hasattr(pinstripe, name)]
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
