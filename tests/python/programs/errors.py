"""What goes wrong, as programs look at it."""

import os

import stripe

stripe.api_key = os.environ["STRIPE_KEY"]
stripe.api_base = os.environ["STRIPE_BASE"]
stripe.max_network_retries = 0


def attempt(name, call):
    try:
        call()
    except stripe.CardError as e:
        print(name, "CardError", e.http_status, e.code, e.param, e.error.decline_code, e.error.type, e.user_message)
    except stripe.InvalidRequestError as e:
        print(name, "InvalidRequestError", e.http_status, e.code, e.param, e.error.message == e.user_message)
    except stripe.AuthenticationError as e:
        print(name, "AuthenticationError", e.http_status, e.json_body["error"]["type"])
    except stripe.StripeError as e:
        print(name, type(e).__name__, e.http_status, isinstance(e, stripe.error.StripeError))


card = {"amount": 500, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
attempt("declined", lambda: stripe.PaymentIntent.create(payment_method="pm_card_chargeDeclined", **card))
attempt("funds", lambda: stripe.PaymentIntent.create(payment_method="pm_card_chargeDeclinedInsufficientFunds", **card))
attempt("missing", lambda: stripe.Charge.retrieve("ch_missing"))
attempt("no currency", lambda: stripe.PaymentIntent.create(amount=5))
attempt("empty", lambda: stripe.Customer.modify("cus_missing", name="x"))
attempt("key", lambda: stripe.Customer.list(api_key="sk_nonsense"))
try:
    stripe.Customer().refresh()
except stripe.InvalidRequestError as e:
    print("invalid ID" in str(e), e.param)
try:
    stripe.Customer.construct_from({"id": "cus_1"}, None).nothing
except AttributeError as e:
    print("AttributeError", e)
stripe.api_key = None
try:
    stripe.Customer.list()
except stripe.AuthenticationError as e:
    print(e.http_status, "No API key provided" in str(e))
