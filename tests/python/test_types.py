"""The stubs: mypy --strict accepts the examples and good programs, and rejects wrong ones; stubs, table and run time
agree."""

import ast
import functools
import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pinstripe
import pinstripe.error
from pinstripe import _core, _error, _names, _naming, _resource
from support import ROOT

PACKAGE = Path(pinstripe.__file__).parent
MYPY = shutil.which("mypy") or shutil.which("mypy", path=str(ROOT / "build/tools/venv/bin"))
PYRIGHT = shutil.which("pyright") or shutil.which("pyright", path=str(ROOT / "build/tools/venv/bin"))

GOOD = """
import datetime
from collections.abc import Mapping

import pinstripe as stripe
import pinstripe.error
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
    if e.error is not None:
        facts = (e.error.network_decline_code, e.error.network_advice_code, e.error.payment_method_type)
        words: "str | None" = e.error.user_message
stripe.CardError("m", "card", "card_declined", http_status=402)
stripe.InvalidRequestError("m", param=None)
stripe.APIConnectionError("m", should_retry=True)
stripe.SignatureVerificationError("m", "t=1", b"{}")
reason: "str | None" = stripe.CannotProceedError("m", code="c", extra="r").reason
denied = pinstripe.error.OAuthError("invalid_grant", "expired", http_body="{}")
refused: stripe.OAuthError = pinstripe.error.oauth_error.InvalidGrantError("invalid_grant", "expired")
description: "str | None" = denied.error.error_description if denied.error else None


def related(event: stripe.events.V1ChargeCapturedEvent, other: stripe.EventNotification) -> str:
    known: str = stripe.events.V1ChargeCapturedEventNotification.LOOKUP_TYPE
    return event.related_object.id + event.LOOKUP_TYPE + (other.related_object.url if other.related_object else known)


def listen(event: stripe.CallEvent) -> str:
    return event.line


async def walk() -> None:
    async for one in await stripe.Customer.auto_paging_iter_async(limit=3):
        email: "str | None" = one.email
    async for one in await stripe.Customer.search_auto_paging_iter_async(query="email:'a@b.c'"):
        print(one.id)
    found: "stripe.SearchResultObject[stripe.Customer]" = await client.v1.customers.search_async({"query": "q"})
    emails = [one.email for one in (await found.search_async(query="q")).data + found.search(query="q").data]


charges: "list[stripe.Charge]" = list(stripe.Charge.auto_paging_iter(created={"gte": 5}))
since: stripe.Range[int] = {"gte": 5}
since["lt"] = 9
client.v1.charges.list({"created": since})
stripe.Charge.list(created=since)
price = client.v1.prices.retrieve("price_1", {"expand": ["currency_options"]})
amounts: "list[int | None]" = [price.currency_options["eur"].unit_amount, price.currency_options.eur.unit_amount]
for currency, option in price.currency_options.items():
    print(currency.upper(), option.unit_amount, option.tiers)
euros: "stripe.Price.CurrencyOption | None" = price.currency_options.get("eur")
labels: "dict[str, str]" = dict(customer.metadata.items()) if customer.metadata else {}
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
    'stripe.CardError("m")',
    'stripe.InvalidRequestError("m")',
    'stripe.OAuthError("invalid_grant")',
    "stripe.APIConnectionError()",
    'stripe.SignatureVerificationError("m")',
    'stripe.QuotaExceededError("m", extra="x")',
    "stripe.error.StripeClient",
    "stripe.error.UNSET",
    "stripe.oauth_error.CardError",
    '[error.nonsense for error in [stripe.StripeError("m").error] if error]',
    '[error.user_message for error in [stripe.OAuthError("c", "d").error] if error]',
    "stripe.events.V1BillingMeterNoMeterFoundEvent.related_object",
    "stripe.events.UnknownEventNotification.LOOKUP_TYPE",
    "stripe.v2.core.Event.LOOKUP_TYPE",
    "stripe.Balance.auto_paging_iter()",
    "stripe.Customer.auto_paging_iter(limt=3)",
    'stripe.PaymentMethod.search_auto_paging_iter(query="q")',
    "stripe.v2.core.Account.auto_paging_iter_async()",
    'client.v1.customers.search({"query": "q"}).next_page(limit=2)',
    "key: Hashable = client.v1.balance.retrieve()",
    'client.v1.charges.list({"created": {"gtt": 5}})',
    'client.v1.charges.list({"created": {"gte": "5"}})',
    "stripe.CallEvent().lines",
    'client.v1.prices.retrieve("price_1").currency_options["eur"].unit_amont',
    'client.v1.prices.retrieve("price_1").currency_options.eur.unit_amont',
    'client.v1.customers.retrieve("cus_1").metadata.setdefault("a", "b")',
]
HEAD = """from collections.abc import Hashable

import pinstripe as stripe

client = stripe.StripeClient("sk_test_1")
"""


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
        self.wrong.write_text(HEAD + "\n".join(WRONG) + "\n")
        first = HEAD.count("\n") + 1
        self.wrong_lines = set(range(first, first + len(WRONG)))
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
        self.assertEqual(lines, self.wrong_lines, done.stdout)

    @unittest.skipUnless(PYRIGHT, "pyright is not installed")
    def test_pyright(self):
        done = check(PYRIGHT, "--pythonpath", sys.executable, str(self.good), *self.examples)
        self.assertEqual(done.returncode, 0, done.stdout)
        done = check(PYRIGHT, str(self.wrong))
        lines = {int(line.split(":")[1]) for line in done.stdout.splitlines() if " - error:" in line}
        self.assertEqual(lines, self.wrong_lines, done.stdout)


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


def fields_of(node):
    return {item.target.id: item.annotation for item in node.body if isinstance(item, ast.AnnAssign)}


def parameters_of(classes, name):
    """What a constructor of the stub takes, and how many of it may be left out."""
    for item in classes[name].body:
        if getattr(item, "name", "") == "__init__":
            return [one.arg for one in item.args.args], len(item.args.defaults)
    return parameters_of(classes, classes[name].bases[0].id)


def exported(top):
    tree = ast.parse((PACKAGE / f"{top}.pyi").read_text(encoding="utf-8"))
    return {one.asname for node in tree.body if isinstance(node, ast.ImportFrom) for one in node.names}


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
            for walk in [f"{walk}{end}" for walk in _naming.WALKS for end in ("", "_async")]:
                self.assertEqual(walk in functions_of(node), hasattr(found, walk), f"{name}.{walk}")
            for inner in [key for key in classes if key.startswith(f"{cls}.") and ".TestHelpers" not in key]:
                at = found
                for part in inner.split(".")[1:]:
                    at = getattr(at, part)
                self.assertTrue(issubclass(at, pinstripe.StripeObject), inner)

    def test_every_exception(self):
        there = {name for name in vars(pinstripe.error) if name[0] != "_"}
        self.assertEqual(exported("error"), there)
        for name in there - {"oauth_error"}:
            taken = inspect.signature(getattr(pinstripe.error, name).__init__).parameters
            optional = [one for one in taken.values() if one.default is not one.empty]
            self.assertEqual(parameters_of(stub("", "_library"), name), (list(taken), len(optional)), name)
        self.assertEqual(sorted(fields_of(stub("", "_library")["ErrorObject"])), sorted(_error.FIELDS))
        said = {*stub("", "oauth_error"), *exported("oauth_error")}
        self.assertEqual(said, {name for name in vars(pinstripe.oauth_error) if name[0] != "_"})

    def test_every_thin_event(self):
        for name, node in stub("events", "").items():
            if name.endswith(("Event", "EventNotification")):
                said = fields_of(node).get("LOOKUP_TYPE")
                known = getattr(getattr(pinstripe.events, name), "LOOKUP_TYPE", None)
                self.assertEqual(said and ast.unparse(said), known and f"_t.ClassVar[_t.Literal[{known!r}]]", name)

    def test_every_name_of_the_package(self):
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
        missing = [name for name in exported("__init__") if name not in private and not hasattr(pinstripe, name)]
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
