"""Exceptions: stripe-python's names and attributes; in addition `outcome` says whether money may have moved
("not_sent", "rejected", "unknown"), with the `attempts` that were made and the `idempotency_key` to ask again with."""


class StripeError(Exception):
    outcome = "not_sent"
    attempts = 0
    idempotency_key = None
    kind = None

    def __init__(self, message=None, http_body=None, http_status=None, json_body=None, headers=None, code=None):
        if http_body and hasattr(http_body, "decode"):
            try:
                http_body = bytes(http_body).decode("utf-8")
            except UnicodeDecodeError:
                http_body = "<Could not decode body as utf-8>"
        self._message = message
        self.http_body = http_body or None
        self.http_status = http_status
        self.json_body = json_body
        self.headers = headers or {}
        self.code = code
        super().__init__(message, self.http_body, http_status, json_body, self.headers, code)
        self.request_id = self.headers.get("request-id")

    def __str__(self):
        message = self._message or "<empty message>"
        return f"Request {self.request_id}: {message}" if self.request_id is not None else message

    @property
    def user_message(self):
        return self._message

    @property
    def message(self):
        return self._message

    def __repr__(self):
        facts = f"http_status={self.http_status!r}, request_id={self.request_id!r}"
        return f"{type(self).__name__}(message={self._message!r}, {facts})"

    @property
    def error(self):
        """The API's error object, with None for every known field that it did not send."""
        fields = self.json_body.get("error") if isinstance(self.json_body, dict) else None
        if not isinstance(fields, dict):
            return None
        if "_error" not in self.__dict__:
            from ._object import ErrorObject, default_requestor

            known = dict.fromkeys(FIELDS)
            self.__dict__["_error"] = ErrorObject._build({**known, **fields}, default_requestor())
        return self.__dict__["_error"]


FIELDS = (
    "advice_code charge code decline_code doc_url message network_advice_code network_decline_code param "
    "payment_intent payment_method payment_method_type request_log_url setup_intent source type user_message"
).split()


class APIError(StripeError):
    pass


class ConflictError(APIError):
    pass


class APIConnectionError(StripeError):
    def __init__(
        self, message, http_body=None, http_status=None, json_body=None, headers=None, code=None, should_retry=False
    ):
        super().__init__(message, http_body, http_status, json_body, headers, code)
        self.should_retry = should_retry
        self.args = (*self.args, should_retry)


class StripeErrorWithParamCode(StripeError):
    def __repr__(self):
        return (
            f"{type(self).__name__}(message={self._message!r}, param={self.param!r}, code={self.code!r}, "
            f"http_status={self.http_status!r}, request_id={self.request_id!r})"
        )


class CardError(StripeErrorWithParamCode):
    def __init__(self, message, param, code, http_body=None, http_status=None, json_body=None, headers=None):
        super().__init__(message, http_body, http_status, json_body, headers, code)
        self.param = param
        self.args = (message, param, code, self.http_body, http_status, json_body, self.headers)


class InvalidRequestError(StripeErrorWithParamCode):
    def __init__(self, message, param, code=None, http_body=None, http_status=None, json_body=None, headers=None):
        super().__init__(message, http_body, http_status, json_body, headers, code)
        self.param = param
        self.args = (message, param, code, self.http_body, http_status, json_body, self.headers)


class IdempotencyError(StripeError):
    pass


class AuthenticationError(StripeError):
    kind = "authentication"


class PermissionError(StripeError):
    pass


class RateLimitError(StripeError):
    pass


class SignatureVerificationError(StripeError):
    def __init__(self, message, sig_header, http_body=None):
        super().__init__(message, http_body)
        self.sig_header = sig_header
        self.args = (message, sig_header, self.http_body)


class OAuthError(StripeError):
    def __init__(self, code, description, http_body=None, http_status=None, json_body=None, headers=None):
        super().__init__(description, http_body, http_status, json_body, headers, code)
        self.args = (code, description, self.http_body, http_status, json_body, self.headers)

    @property
    def error(self):
        from ._object import StripeObject, default_requestor

        if not isinstance(self.json_body, dict):
            return None
        return StripeObject._build({"error": None, "error_description": None, **self.json_body}, default_requestor())


# v2 has a class for each type of error; some have a field of their own.
EXTRA = {
    "CannotProceedError": "reason",
    "InvalidPaymentMethodError": "invalid_param",
    "InvalidVaultedCredentialError": "invalid_param",
    "VerificationAttemptFailedError": "verification_status",
    "VerificationExpiredError": "verification_status",
    "VerificationNotInitiatedError": "verification_status",
}
V2 = (
    "AlreadyCanceled BlockedByStripe CannotProceed CapabilityNotEnabled ControlledByAlternateResource "
    "FeatureNotEnabled FinancialAccountNotOpen FxQuoteNeedsRefresh InsufficientFunds InvalidPaymentMethod "
    "InvalidPayoutMethod InvalidVaultedCredential NotCancelable QuotaExceeded RecipientNotNotifiable "
    "TemporarySessionExpired VerificationAttemptFailed VerificationExpired VerificationNotInitiated"
).split()


def with_extra(field):
    def __init__(
        self, message=None, http_body=None, http_status=None, json_body=None, headers=None, code=None, extra=None
    ):
        StripeError.__init__(self, message, http_body, http_status, json_body, headers, code)
        setattr(self, field, extra)
        self.args = (*self.args, extra)

    return {"__init__": __init__}


for _name in V2:
    _names = with_extra(EXTRA[f"{_name}Error"]) if f"{_name}Error" in EXTRA else {}
    globals()[f"{_name}Error"] = type(f"{_name}Error", (StripeError,), {"__module__": __name__, **_names})


OAuthError.__module__ = "pinstripe.oauth_error"


def oauth_class(code):
    from . import oauth_error

    name = "".join(part.capitalize() for part in (code or "").split("_")) + "Error"
    return getattr(oauth_error, name, OAuthError)


def new_error(reply):
    """The exception of a reply that failed."""
    from ._response import Headers

    kind, class_name, outcome, message, code = reply.error
    body = reply.body.decode("utf-8", "replace") or None
    data, fields, status = reply.plain(), reply.error_data, reply.status or None
    headers = Headers.of(reply)
    facts = (body, status, data, headers)
    if class_name == "OAuthError":
        error = oauth_class(code)(code, message, *facts)
    elif class_name in ("CardError", "InvalidRequestError"):
        param = fields.get("param") if isinstance(fields, dict) else None
        error = globals()[class_name](message, param, code, *facts)
    elif class_name == "SignatureVerificationError":
        error = SignatureVerificationError(message, None, body)
    elif class_name in EXTRA:
        own = fields.get(EXTRA[class_name]) if isinstance(fields, dict) else None
        error = globals()[class_name](message, *facts, code, own)
    else:
        error = globals()[class_name](message, *facts, code)
    if class_name == "APIConnectionError":
        error.should_retry = kind in ("connection", "timeout")
    error.kind, error.outcome, error.attempts = kind, outcome, reply.attempts
    error.idempotency_key = reply.idempotency_key
    return error


def raise_error(reply):
    raise new_error(reply)
