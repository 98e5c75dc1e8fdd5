"""Which name means what: classes of objects, services and exceptions, in the package and in its namespaces."""

from . import _core
from ._naming import service_place
from ._object import class_name, resolve

# Names of the package that stand in one of its files.
FILES = {
    "_client": "StripeClient StripeService",
    "_object": "UNSET Unset StripeObject UntypedStripeObject ListObject SearchResultObject V2ListObject DeletedObject "
    "APIResource ErrorObject",
    "_response": "StripeResponse StripeResponseBase StripeStreamResponse StripeStreamResponseAsync",
    "_http": "HTTPClient RequestsClient HTTPXClient AIOHTTPClient PycurlClient UrllibClient UrlFetchClient "
    "new_default_http_client",
    "_webhook": "Webhook WebhookSignature",
    "_drive": "CallEvent",
    "_paging": "AnyIterator",
    "_event": "StripeContext EventNotification UnknownEventNotification UnhandledNotificationDetails "
    "StripeEventNotificationHandler AsyncStripeEventNotificationHandler "
    "StripeEventNotificationHandlerWithoutVerification AsyncStripeEventNotificationHandlerWithoutVerification",
    "_oauth": "OAuth OAuthService",
    "_meter": "MeterStream",
    "_sandbox": "sandbox Sandbox",
    "_resource": "convert_to_stripe_object",
}
ERRORS = (
    "StripeError APIError ConflictError APIConnectionError CardError InvalidRequestError IdempotencyError "
    "AuthenticationError PermissionError RateLimitError SignatureVerificationError StripeErrorWithParamCode"
).split()
DICTS = ("RequestOptions", "AppInfo", "BaseAddresses", "Range")  # TypedDicts: dicts at run time
PLACES = {name: file for file, names in FILES.items() for name in names.split()}


def load(file):
    from importlib import import_module

    return import_module(f"pinstripe.{file}")


def object_table():
    """{(module, name of the class): name of the object}."""
    return {class_name(name): name for name, _ in reversed(_core.objects())}


class Table:
    """The table, as _naming asks it."""

    names, resolve = _core.names, _core.resolve

    @staticmethod
    def namespaces():
        from pinstripe import _NAMESPACES

        return _NAMESPACES


def service_name(path):
    """("pinstripe.checkout", "SessionService") of "checkout.sessions"."""
    space, name = service_place(Table, path)
    return f"pinstripe.{space}".rstrip("."), name


def service_table(path="", found=None):
    found = {} if found is None else found
    found[service_name(path)] = path
    for child in _core.names(path)[0]:
        below = f"{path}.{child}" if path else child
        service_table(below, found)
    return found


tables = {}


def table(make, *args):
    """What `make` makes of these arguments, made at first."""
    if (make, args) not in tables:
        tables.setdefault((make, args), make(*args))
    return tables[make, args]


def lookup(module, name):
    """What `module.name` is, made at first."""
    found = special(module, name)
    if found is not None:
        return found
    known = table(object_table).get((module, name))
    if known:
        return resolve(known)
    path = table(service_table).get((module, name))
    if path is not None:
        from ._client import service_class

        return table(service_class, path)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def special(module, name):
    if module == "pinstripe":
        if name in PLACES:
            return getattr(load(PLACES[name]), name)
        if name in ERRORS:
            return getattr(load("_error"), name)
        if name in (*FILES, "_error", "error", "oauth_error"):
            return load(name)
        if name in DICTS:
            return dict
        return getattr(load("_error"), name) if name.endswith("Error") and hasattr(load("_error"), name) else None
    if module.startswith("pinstripe.params") and "Params" in name:
        return dict
    if module == "pinstripe.v2" and name in ("ListObject", "DeletedObject"):
        return getattr(load("_object"), "V2ListObject" if name == "ListObject" else name)
    if module in ("pinstripe.events", "pinstripe.v2.core") and name.endswith(("Event", "EventNotification")):
        return load("_event").named_class(module, name)
    return None


def listed(module):
    names = [name for place, name in [*table(object_table), *table(service_table)] if place == module]
    return [*names, *PLACES, *ERRORS] if module == "pinstripe" else names
