"""The official Python library against the sandbox: `judge_python.py URL`.

Twenty kinds of object live through KINDS: created, retrieved, changed, listed, searched where they can be, deleted
where they can be. Then paging, expand, a replayed key, a decline, an upload, a webhook's signature. Each check says its
name when it fails; the exit status is the number of failures.
"""

import http.server
import io
import queue
import sys
import threading
import traceback
import urllib.request

import stripe

url = sys.argv[1]
bases = {"api": url, "files": url, "connect": url, "meter_events": url}
client = stripe.StripeClient("sk_test_judges", base_addresses=bases, max_network_retries=0).v1
passed, failed = [], []


def check(name):
    """Runs a check at once; a failure is told and counted."""

    def run(body):
        try:
            body()
            passed.append(name)
        except Exception as error:
            failed.append(name)
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"not ok - {name} (line {where.lineno}: {where.line}): {type(error).__name__} {error}")

    return run


def upload():
    file = io.BytesIO(bytes([0, 1, 2, 255, 10, 13]))
    file.name = "evidence.png"
    return client.files.create({"purpose": "dispute_evidence", "file": file})


def paid():
    return client.payment_intents.create(
        {
            "amount": 2000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "return_url": "https://example.com/back",
        }
    )


product = client.products.create({"name": "T-shirt"})
customer = client.customers.create({"email": "first@example.com"})
coupon = client.coupons.create({"percent_off": 20})
metadata = {"metadata": {"order": "6735"}}

# kind: (service, params of create, a change, a query that finds it, whether it can be deleted)
KINDS = {
    "customer": (client.customers, {"email": "py@example.com"}, {"name": "Jenny"}, "email:'py@example.com'", True),
    "product": (client.products, {"name": "Socks"}, {"description": "Wool"}, "name:'Socks'", True),
    "price": (
        client.prices,
        {"product": product.id, "currency": "eur", "unit_amount": 500},
        {"nickname": "usual"},
        f"product:'{product.id}'",
        False,
    ),
    "plan": (
        client.plans,
        {"product": {"name": "Gold"}, "currency": "usd", "interval": "month", "amount": 900},
        {"nickname": "gold"},
        None,
        True,
    ),
    "coupon": (client.coupons, {"amount_off": 10, "currency": "usd"}, {"name": "Ten"}, None, True),
    "promotion_code": (
        client.promotion_codes,
        {"promotion": {"type": "coupon", "coupon": coupon.id}},
        {"active": False},
        None,
        False,
    ),
    "tax_rate": (
        client.tax_rates,
        {"display_name": "VAT", "inclusive": False, "percentage": 19.5},
        {"active": False},
        None,
        False,
    ),
    "shipping_rate": (
        client.shipping_rates,
        {"display_name": "Ground", "type": "fixed_amount", "fixed_amount": {"amount": 5, "currency": "usd"}},
        {"active": False},
        None,
        False,
    ),
    "payment_intent": (
        client.payment_intents,
        {"amount": 1000, "currency": "usd"},
        {"description": "order"},
        "status:'requires_payment_method'",
        False,
    ),
    "setup_intent": (client.setup_intents, {"usage": "off_session"}, {"description": "later"}, None, False),
    "payment_method": (
        client.payment_methods,
        {"type": "card", "card": {"token": "tok_visa"}},
        None,
        None,
        False,
    ),
    "charge": (
        client.charges,
        {"amount": 1500, "currency": "usd", "source": "tok_visa"},
        {"description": "legacy"},
        "amount>1400",
        False,
    ),
    "refund": (client.refunds, lambda: {"charge": paid().latest_charge}, metadata, None, False),
    "topup": (client.topups, {"amount": 5000, "currency": "usd"}, {"description": "changed"}, None, False),
    "account": (client.accounts, {"type": "express", "country": "US"}, {"email": "shop@example.com"}, None, True),
    "webhook_endpoint": (
        client.webhook_endpoints,
        {"url": "https://example.com/hook", "enabled_events": ["charge.failed"]},
        {"description": "hook"},
        None,
        True,
    ),
    "file_link": (client.file_links, lambda: {"file": upload().id}, metadata, None, False),
    "invoice_item": (
        client.invoice_items,
        {"customer": customer.id, "amount": 700, "currency": "usd"},
        {"description": "extra"},
        None,
        True,
    ),
    "value_list": (
        client.radar.value_lists,
        {"alias": "known", "name": "Known"},
        {"name": "Well known"},
        None,
        True,
    ),
    "portal": (
        client.billing_portal.configurations,
        {"features": {"invoice_history": {"enabled": True}}},
        {"active": False},
        None,
        False,
    ),
}


def plain(value):
    return value.to_dict() if isinstance(value, stripe.StripeObject) else value


def live(service, params, change, query, deletes):
    made = service.create(params() if callable(params) else params)
    assert service.retrieve(made.id).id == made.id
    if change:
        changed = service.update(made.id, change)
        assert {name: plain(changed[name]) for name in change} == change, "it is changed"
        assert made.id in [item.id for item in service.list({"limit": 3})], "it is listed"
    if query:
        assert made.id in [item.id for item in service.search({"query": query, "limit": 100})], "it is found"
    if deletes:
        assert service.delete(made.id).deleted is True
        try:
            assert getattr(service.retrieve(made.id), "deleted", False), "it is gone"
        except (stripe.InvalidRequestError, stripe.PermissionError) as error:
            assert error.http_status in (403, 404)


for kind, row in KINDS.items():
    check(kind)(lambda row=row: live(*row))


@check("pages through 250")
def pages():
    made = [client.customers.create({"name": f"page {i}", "phone": "251"}).id for i in range(250)]
    listed = client.customers.list({"limit": 100}).auto_paging_iter()
    assert [one.id for one in listed if getattr(one, "phone", None) == "251"] == made[::-1]


@check("expands")
def expands():
    intent = client.payment_intents.create(
        {
            "amount": 900,
            "currency": "usd",
            "customer": customer.id,
            "confirm": True,
            "payment_method": "pm_card_visa",
            "return_url": "https://example.com/back",
            "expand": ["latest_charge.balance_transaction", "customer"],
        }
    )
    assert intent.customer.email == "first@example.com"
    assert intent.latest_charge.balance_transaction.amount == 900
    listed = client.payment_intents.list({"limit": 1, "expand": ["data.customer"]})
    assert listed.data[0].customer.id == customer.id


@check("replays a key")
def replays():
    params, options = {"amount": 700, "currency": "usd", "source": "tok_visa"}, {"idempotency_key": "python-1"}
    first = client.charges.create(params, options)
    again = client.charges.create(params, options)
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    try:
        client.charges.create({**params, "amount": 701}, options)
    except stripe.IdempotencyError:
        return
    raise AssertionError("another request with the same key was carried out")


@check("declines")
def declines():
    try:
        client.charges.create({"amount": 700, "currency": "usd", "source": "tok_chargeDeclinedInsufficientFunds"})
    except stripe.CardError as error:
        assert error.code == "card_declined"
        assert error.error.decline_code == "insufficient_funds"
        assert client.charges.retrieve(error.error.charge).status == "failed"
        return
    raise AssertionError("the card was not declined")


@check("keeps an upload")
def keeps():
    file = upload()
    assert (file.size, file.filename, file.type) == (6, "evidence.png", "png")
    link = client.file_links.create({"file": file.id})
    with urllib.request.urlopen(link.url, timeout=10) as reply:
        assert reply.read() == bytes([0, 1, 2, 255, 10, 13])


@check("signs what it delivers")
def signs():
    deliveries = queue.Queue()

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            deliveries.put((body, self.headers["Stripe-Signature"]))

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook = f"http://127.0.0.1:{server.server_port}/"
        endpoint = client.webhook_endpoints.create({"url": hook, "enabled_events": ["product.created"]})
        made = client.products.create({"name": "Signed"})
        body, signature = deliveries.get(timeout=10)
        server.shutdown()
    event = stripe.Webhook.construct_event(body, signature, endpoint.secret)
    assert event.type == "product.created"
    assert event.data.object.id == made.id
    try:
        stripe.Webhook.construct_event(body, signature, "whsec_wrong")
    except stripe.SignatureVerificationError:
        return
    raise AssertionError("a wrong secret verified")


print(f"python: {len(passed)} passed, {len(failed)} failed")
sys.exit(len(failed))
