"""A payment from customer to refund, with all that goes with it, against the sandbox: no key, no network.

    python3 payment.py

The sandbox answers as the API does, keeps what it is told, and lives as long as the `with`. With a StripeClient of
STRIPE_API_KEY in place of sandbox.client(), the first three steps run against Stripe."""

import io

import pinstripe


def money(cents: int, currency: str = "usd") -> str:
    return f"{cents / 100:.2f} {currency}"


def pay(stripe: pinstripe.StripeClient) -> pinstripe.PaymentIntent:
    print("1. A customer pays")
    customer = stripe.v1.customers.create({"email": "jenny@example.com", "name": "Jenny Rosen"})
    intent = stripe.v1.payment_intents.create(
        {
            "amount": 2000,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": "pm_card_visa",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "confirm": True,
            "expand": ["latest_charge.balance_transaction"],
        }
    )
    charge = intent.latest_charge
    assert isinstance(charge, pinstripe.Charge)
    print(f"   {intent.id} of {money(intent.amount)} is {intent.status}")
    ledger = charge.balance_transaction
    assert isinstance(ledger, pinstripe.BalanceTransaction)
    print(f"   the fee is {money(ledger.fee)}, so {money(ledger.net)} arrive\n")
    return intent


def refund(stripe: pinstripe.StripeClient, intent: pinstripe.PaymentIntent) -> None:
    print("2. Part of it goes back")
    back = stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 500, "reason": "requested_by_customer"})
    assert isinstance(intent.latest_charge, pinstripe.Charge)
    charge = stripe.v1.charges.retrieve(intent.latest_charge.id)
    print(f"   {back.id} is {back.status}; of {money(charge.amount)}, {money(charge.amount_refunded)} are refunded\n")


def decline(stripe: pinstripe.StripeClient) -> None:
    print("3. A card is declined")
    try:
        stripe.v1.payment_intents.create(
            {
                "amount": 2000,
                "currency": "usd",
                "payment_method": "pm_card_chargeDeclinedInsufficientFunds",
                "confirm": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            }
        )
    except pinstripe.CardError as e:
        reason = e.error.decline_code if e.error else None
        print(f"   {type(e).__name__}: code {e.code}, decline_code {reason}, outcome {e.outcome}\n")


def read_webhooks(sandbox: pinstripe.Sandbox) -> None:
    print("4. What happened arrives as signed webhooks")
    count, secret = 0, sandbox.webhook_secret
    for body, header in sandbox.webhooks():
        event = pinstripe.Webhook.construct_event(body, header, secret)
        count += 1
        if count <= 4:
            print(f"   {event.type:<32} {event.data.object.id}")
    print(f"   ... {count} events, each with a good signature\n")


def share_a_file(stripe: pinstripe.StripeClient) -> None:
    print("5. A file is uploaded, shared and fetched by its link, without a key")
    receipt = io.BytesIO(b"The parcel was delivered.\n")
    receipt.name = "receipt.txt"
    file = stripe.v1.files.create({"purpose": "dispute_evidence", "file": receipt})
    link = stripe.v1.file_links.create({"file": file.id})
    assert link.url is not None
    content = stripe.download(link.url).decode()
    print(f"   {file.id} has {file.size} bytes; {link.id} gives: {content}")


def page(stripe: pinstripe.StripeClient, sandbox: pinstripe.Sandbox) -> None:
    print("6. 250 charges, then all of them: for charge in stripe.v1.charges.list().auto_paging_iter()")
    for i in range(1, 251):
        stripe.v1.charges.create({"amount": 100 + i, "currency": "usd", "source": "tok_visa"})
    before = len(sandbox.requests(method="GET", path="/v1/charges"))
    paid = [charge.amount for charge in stripe.v1.charges.list({"limit": 100}).auto_paging_iter() if charge.paid]
    requests = len(sandbox.requests(method="GET", path="/v1/charges")) - before
    print(f"   {len(paid)} paid charges, {money(sum(paid))}, in {requests} requests\n")


def lose_a_reply(stripe: pinstripe.StripeClient, sandbox: pinstripe.Sandbox) -> None:
    print("7. The charge is made, but its reply is lost on the way")
    sandbox.fault(match={"method": "POST", "path": "/v1/charges"}, drop_after_commit=True)
    try:
        stripe.v1.charges.create(
            {"amount": 4200, "currency": "usd", "source": "tok_visa", "description": "Rocket ride"}
        )
    except pinstripe.APIConnectionError as e:
        print(f"   {type(e).__name__}: outcome {e.outcome}: money may have moved")
        charge = stripe.v1.charges.create(
            {"amount": 4200, "currency": "usd", "source": "tok_visa", "description": "Rocket ride"},
            {"idempotency_key": e.idempotency_key},
        )
        made = sum(c.description == "Rocket ride" for c in stripe.v1.charges.list().auto_paging_iter())
        print(f"   sent again with the key of the error: {charge.id}; charges made: {made}\n")


def balance(stripe: pinstripe.StripeClient) -> None:
    print("8. The balance agrees with all that")
    now = stripe.v1.balance.retrieve()
    net = sum(transaction.net for transaction in stripe.v1.balance_transactions.list().auto_paging_iter())
    print(f"   pending: {money(now.pending[0].amount)}; the sum of all balance transactions: {money(net)}")


def main() -> None:
    with pinstripe.sandbox() as sandbox:
        print(f"pinstripe {pinstripe.VERSION}, against a sandbox at {sandbox.url}\n")
        stripe = sandbox.client(max_retries=0)
        refund(stripe, pay(stripe))
        decline(stripe)
        read_webhooks(sandbox)
        share_a_file(stripe)
        page(stripe, sandbox)
        lose_a_reply(stripe, sandbox)
        balance(stripe)


if __name__ == "__main__":
    main()
