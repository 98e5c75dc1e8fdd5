"""A shop takes a payment and gives part of it back."""

import os

import stripe

stripe.api_key = os.environ["STRIPE_KEY"]
stripe.api_base = os.environ["STRIPE_BASE"]
stripe.max_network_retries = 0


def pay(amount, email):
    found = stripe.Customer.list(email=email, limit=1)
    customer = found.data[0] if found.data else stripe.Customer.create(email=email, metadata={"source": "shop"})
    intent = stripe.PaymentIntent.create(
        amount=amount,
        currency="usd",
        customer=customer.id,
        automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
        idempotency_key=f"order-{amount}",
    )
    print(intent.status, intent["amount"], intent.currency, intent.get("none") if hasattr(intent, "get") else None)
    intent = intent.confirm(payment_method="pm_card_visa")
    return customer, intent


customer, intent = pay(2000, "jenny@example.com")
again, second = pay(3000, "jenny@example.com")
print(customer == again, customer.id == again.id, intent.id != second.id, intent.status)
refund = stripe.Refund.create(payment_intent=intent.id, amount=500, reason="requested_by_customer")
print(refund.object, refund.amount, refund.status, "failure_reason" in refund)
charge = stripe.Charge.retrieve(intent.latest_charge, expand=["balance_transaction", "customer"])
print(
    charge.amount_refunded,
    charge.refunded,
    type(charge).__name__,
    type(charge.customer).__name__,
    charge.customer.email,
)
print(charge.billing_details.address, charge.payment_method_details.card.last4)
print([c.amount for c in stripe.Charge.list(limit=1).auto_paging_iter()])
print(sorted(charge.to_dict())[:5], len(charge.to_dict()) > 20)
