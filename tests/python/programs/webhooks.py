"""An endpoint for webhooks, as a web framework would call it."""

import hashlib
import hmac
import json
import time

import stripe

SECRET = "whsec_endpoint"
seen = []


def handle(payload, header):
    try:
        event = stripe.Webhook.construct_event(payload, header, SECRET)
    except ValueError:
        return 400, "payload"
    except stripe.SignatureVerificationError as e:
        return 400, type(e).__name__
    if event.type == "payment_intent.succeeded":
        intent = event.data.object
        seen.append(
            (
                intent.id,
                intent.amount,
                intent.metadata.get("order") if hasattr(intent.metadata, "get") else intent.metadata["order"],
                type(intent).__name__,
            )
        )
    elif event["type"] == "charge.refunded":
        seen.append(event["data"]["object"]["id"])
    return 200, event.id


def sign(payload, at=None):
    at = int(time.time()) if at is None else at
    mac = hmac.new(SECRET.encode(), f"{at}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


body = json.dumps(
    {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 5, "metadata": {"order": "7"}}},
    }
)
refunded = json.dumps({"id": "evt_2", "object": "event", "type": "charge.refunded", "data": {"object": {"id": "ch_1"}}})
print(handle(body, sign(body)), handle(body.encode(), sign(body)), handle(refunded, sign(refunded)))
print(handle(body + " ", sign(body)), handle(body, sign(body, 5)), handle(body, ""), handle("{", sign("{")))
print(seen)
