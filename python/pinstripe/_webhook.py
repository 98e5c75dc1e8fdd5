"""Webhooks: signatures, and the snapshot events that they vouch for."""

import math

from . import _core
from ._error import SignatureVerificationError, new_error
from ._object import default_requestor

MOST_SECRETS = 16


def as_bytes(payload):
    """The body's bytes; what is neither text nor bytes (a body that was parsed already) goes as it is, to be
    refused."""
    if isinstance(payload, str):
        return payload.encode("utf-8", "surrogatepass")
    return bytes(payload) if isinstance(payload, (bytearray, memoryview)) else payload


def as_text(value, name):
    """A header or secret; ASGI's headers are bytes."""
    if isinstance(value, (bytes, bytearray)):
        value = value.decode("utf-8", "replace")
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if value and "\0" in value:  # where the core's text would end
        raise ValueError(f"{name} holds a NUL character")
    return value


def as_secrets(secret):
    """One secret, or a list of them; None: there is none."""
    if not isinstance(secret, (list, tuple)):
        return as_text(secret, "the secret") or None
    secrets = [as_text(item, "each secret") or "" for item in secret]
    if len(secrets) > MOST_SECRETS:
        raise ValueError(f"{len(secrets)} secrets were given; {MOST_SECRETS} are the most that are looked at")
    return secrets or None


def seconds(tolerance):
    """The core's tolerance in whole seconds, a part of one counting as one: 0 is no check of the time."""
    if tolerance is None:
        return 0
    if not tolerance >= 0:
        raise ValueError(f"the tolerance must be None or a number of seconds, 0 or more, not {tolerance!r}")
    return math.ceil(min(tolerance, 2**31 - 1))


def clock(now):
    """The core's time: now, or for tests another one, in Unix seconds."""
    if now is not None and not 0 <= now < 2**62:
        raise ValueError(f"now must be None or a time in Unix seconds, not {now!r}")
    return -1 if now is None else int(now)


def evidence(payload, header, secret, tolerance, now):
    """What the core verifies."""
    return as_bytes(payload), as_text(header, "the header"), as_secrets(secret), seconds(tolerance), clock(now)


def checked(reply, payload, header):
    if reply.ok:
        return reply
    error = new_error(reply)
    if isinstance(error, SignatureVerificationError):
        body = as_bytes(payload)
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else None
        failure = SignatureVerificationError(error.user_message, header, text)
        failure.kind, _, failure.outcome, _, failure.code = reply.error
        raise failure
    raise ValueError(error.user_message) from error


class Webhook:
    DEFAULT_TOLERANCE = 300

    @staticmethod
    def construct_event(payload, sig_header, secret, tolerance=DEFAULT_TOLERANCE, api_key=None, *, now=None):
        """The event of a webhook, after its signature was verified; `secret` may be a list of them."""
        return Webhook._construct(
            payload, sig_header, secret, tolerance, default_requestor().scoped({"api_key": api_key}), now
        )

    @staticmethod
    def construct_event_without_verification(payload):
        return Webhook._construct_without_verification(payload, default_requestor())

    @staticmethod
    def _construct(payload, sig_header, secret, tolerance, requestor, now):
        reply = _core.plain_event(*evidence(payload, sig_header, secret, tolerance, now), False)
        return checked(reply, payload, sig_header).object(requestor, None, None)

    @staticmethod
    def _construct_without_verification(payload, requestor):
        reply = _core.plain_event_unverified(as_bytes(payload), False)
        return checked(reply, payload, None).object(requestor, None, None)


class WebhookSignature:
    EXPECTED_SCHEME = "v1"

    @classmethod
    def generate_signature_header(cls, payload, secret, timestamp=None):
        """The Stripe-Signature header of a body, for tests."""
        import time

        at, body = int(time.time()) if timestamp is None else int(timestamp), as_bytes(payload)
        if not isinstance(body, bytes):
            raise TypeError(f"the payload must be a str or bytes, not {type(payload).__name__}")
        return _core.webhook_sign(body, as_text(secret, "the secret"), at)

    @classmethod
    def verify_header(cls, payload, header, secret, tolerance=None, *, now=None):
        reply = _core.plain_verify(*evidence(payload, header, secret, tolerance, now))
        checked(reply, payload, header)
        return True
