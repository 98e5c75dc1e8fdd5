"""Thin events: what says that something happened, and to which object. Their classes are made by their types,
"v1.billing.meter.no_meter_found" is V1BillingMeterNoMeterFoundEventNotification, and its event ...Event."""

from . import _core, _drive
from ._naming import camel
from ._object import StripeObject, classes, new_class, requestor_of, resolve
from ._webhook import as_bytes, checked, evidence


class StripeContext:
    """The segments of a Stripe-Context header. Immutable."""

    __slots__ = ("_segments",)

    def __init__(self, segments=None):
        self._segments = list(segments or [])

    @staticmethod
    def parse(context_str):
        return StripeContext(context_str.split("/") if context_str else [])

    def push(self, segment):
        return StripeContext([*self._segments, segment])

    def pop(self):
        if not self._segments:
            raise ValueError("Cannot pop from an empty StripeContext")
        return StripeContext(self._segments[:-1])

    def __str__(self):
        return "/".join(self._segments)

    def __repr__(self):
        return f"StripeContext({self._segments!r})"

    def __eq__(self, other):
        return isinstance(other, StripeContext) and self._segments == other._segments

    def __hash__(self):
        return hash(tuple(self._segments))


# What an event tells of

RELATED = _core.exchange_new_related_object


def begin(requestor, make, event):
    config = requestor.config
    return config, make(config.handle, StripeObject.to_dict(event, for_json=True))


def fetch(requestor, make, event):
    config, exchange = begin(requestor, make, event)
    _drive.run(config, exchange)
    return requestor.finish_request(exchange, None, requestor)


async def fetch_async(requestor, make, event):
    config, exchange = begin(requestor, make, event)
    await _drive.run_async(config, exchange)
    return requestor.finish_request(exchange, None, requestor)


def place_of(event):
    return requestor_of(event).in_context(event.get("context"))


class Related:
    """Of events that were fetched: what they are about, in their context."""

    def fetch_related_object(self):
        return self.get("related_object") and fetch(place_of(self), RELATED, self)

    async def fetch_related_object_async(self):
        return self.get("related_object") and await fetch_async(place_of(self), RELATED, self)


# Classes

notification_classes = {}


def known_types():
    """{name of its classes: type} of every thin event."""
    if not notification_classes.get("known"):
        notification_classes["known"] = {camel(name): name for name in _core.thin_events()}
    return notification_classes["known"]


def event_class(event_type):
    """The class of an event that was fetched."""
    name = camel(event_type)
    if name not in known_types():
        return base_event()
    if event_type not in classes:
        body = {"LOOKUP_TYPE": event_type}
        classes[event_type] = new_class(f"{name}Event", "pinstripe.events", (Related, base_event()), body)
    return classes[event_type]


def base_event():
    return resolve("v2.core.event")


def notification_class(event_type):
    found = notification_classes.get(event_type)
    if found is None:
        name = camel(event_type)
        if name not in known_types():
            return UnknownEventNotification
        body = {"LOOKUP_TYPE": event_type, "__module__": "pinstripe.events"}
        found = notification_classes[event_type] = type(f"{name}EventNotification", (EventNotification,), body)
    return found


def named_class(module, name):
    """What pinstripe.events or pinstripe.v2.core has by that name."""
    if module == "pinstripe.v2.core":
        return {"Event": base_event, "EventNotification": lambda: EventNotification}.get(name, lambda: None)()
    if name in ("EventNotification", "UnknownEventNotification"):
        return globals()[name]
    make, end = (notification_class, "EventNotification") if name.endswith("Notification") else (event_class, "Event")
    event_type = known_types().get(name[: -len(end)])
    return make(event_type) if event_type else None


# Notifications

ALWAYS = "id object type created livemode reason related_object".split()  # None, where a sender leaves one out


class EventNotification:
    """A thin event as it was delivered: its fields as attributes."""

    def __init__(self, data, client):
        self._data = data
        context = data.get("context")
        self.context = StripeContext.parse(context) if isinstance(context, str) and context else None
        self._client = client.with_stripe_context(self.context)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._data.get(name) if name in ALWAYS else getattr(self._data, name)

    @staticmethod
    def from_json(payload, client):
        """Of a body whose signature was verified elsewhere, or of its dict."""
        import json

        return parse_without_verification(client, json.dumps(payload) if isinstance(payload, dict) else payload)

    def to_dict(self):
        return StripeObject.to_dict(self._data)

    def __repr__(self):
        return (
            f"<{type(self).__name__} id={self.id} type={self.type} created={self.created} context={self.context} "
            f"reason={self.reason}>"
        )

    def fetch_event(self):
        return fetch(self._client._requestor, _core.exchange_new_event, self._data)

    async def fetch_event_async(self):
        return await fetch_async(self._client._requestor, _core.exchange_new_event, self._data)

    def fetch_related_object(self):
        return self.related_object and fetch(self._client._requestor, RELATED, self._data)

    async def fetch_related_object_async(self):
        return self.related_object and await fetch_async(self._client._requestor, RELATED, self._data)


class UnknownEventNotification(EventNotification):
    """Of a type that the table does not know."""


EventNotification.__module__ = "pinstripe.v2.core"
UnknownEventNotification.__module__ = "pinstripe.events"


def notification(client, reply):
    data = reply.object(client._requestor, None, StripeObject)
    event_type = data.get("type")
    return notification_class(event_type if isinstance(event_type, str) else "")(data, client)


def parse(client, payload, sig_header, secret, tolerance, now=None):
    reply = _core.plain_event(*evidence(payload, sig_header, secret, tolerance, now), True)
    return notification(client, checked(reply, payload, sig_header))


def parse_without_verification(client, payload):
    return notification(client, checked(_core.plain_event_unverified(as_bytes(payload), True), payload, None))


# Handlers


class UnhandledNotificationDetails:
    def __init__(self, is_known_event_type):
        self.is_known_event_type = is_known_event_type

    def __repr__(self):
        return f"UnhandledNotificationDetails(is_known_event_type={self.is_known_event_type!r})"


class _Handler:
    """Gives each event to the function of its type: @handler.on_v1_billing_meter_no_meter_found; all others to the
    fallback, with what is known of them. No function is added once an event was handled."""

    def __init__(self, client, fallback_callback):
        self._client, self._fallback = client, fallback_callback
        self._functions, self._pre_handle, self._has_handled = {}, None, False

    def _check_open(self):
        if self._has_handled:
            raise RuntimeError(
                "Cannot register new callbacks after an event has been handled. This is indicative of a bug."
            )

    def pre_handle(self, func):
        self._check_open()
        if self._pre_handle:
            raise ValueError("A pre_handle callback is already registered")
        self._pre_handle = func
        return func

    def __getattr__(self, name):
        event_type = known_types().get(camel(name[3:])) if name.startswith("on_") else None
        if event_type is None:
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}: on_<type> registers a known type of event"
            )

        def register(func):
            self._check_open()
            if event_type in self._functions:
                raise ValueError(f'Callback for event type "{event_type}" is already registered')
            self._functions[event_type] = func
            return func

        return register

    @property
    def registered_event_types(self):
        return sorted(self._functions)

    def _parse(self, body, sig_header):
        self._has_handled = True
        return self._client.parse_event_notification(body, sig_header, self._secret)

    def _parse_without_verification(self, body):
        self._has_handled = True
        return self._client.parse_event_notification_without_verification(body)

    def _call(self, event):
        """The function of an event, with its arguments."""
        func = self._functions.get(event.type)
        if func:
            return func, (event, event._client)
        details = UnhandledNotificationDetails(type(event) is not UnknownEventNotification)
        return self._fallback, (event, event._client, details)

    def _dispatch(self, event):
        if self._pre_handle is None or self._pre_handle(event, event._client):
            func, arguments = self._call(event)
            func(*arguments)

    async def _dispatch_async(self, event):
        if self._pre_handle is None or await self._pre_handle(event, event._client):
            func, arguments = self._call(event)
            await func(*arguments)


class _Verified(_Handler):
    def __init__(self, client, webhook_secret, fallback_callback):
        super().__init__(client, fallback_callback)
        if not webhook_secret:
            raise ValueError("webhook_secret must be a non-empty string")
        self._secret = webhook_secret


class StripeEventNotificationHandler(_Verified):
    def handle(self, webhook_body, sig_header):
        self._dispatch(self._parse(webhook_body, sig_header))

    @staticmethod
    def without_verification(client, fallback_callback):
        return StripeEventNotificationHandlerWithoutVerification(client, fallback_callback)


class StripeEventNotificationHandlerWithoutVerification(_Handler):
    def handle(self, webhook_body):
        self._dispatch(self._parse_without_verification(webhook_body))


class AsyncStripeEventNotificationHandler(_Verified):
    async def handle_async(self, webhook_body, sig_header):
        await self._dispatch_async(self._parse(webhook_body, sig_header))

    @staticmethod
    def without_verification(client, fallback_callback):
        return AsyncStripeEventNotificationHandlerWithoutVerification(client, fallback_callback)


class AsyncStripeEventNotificationHandlerWithoutVerification(_Handler):
    async def handle_async(self, webhook_body):
        await self._dispatch_async(self._parse_without_verification(webhook_body))
