"""Clients, and services as their attributes.

Nothing here knows an operation by name. A service's attribute that is not there yet is looked up in the core's table:
it is a service, or an operation, which becomes a method of the service's class. Every call takes one path:

    method ──▶ Requestor.call ──▶ _core.call ──▶ an object; else finish ──▶ an exception, a warning, another class

With hooks, a log, a transport of its own or asyncio, _core.begin, _drive and _core.end stand in place of _core.call. A
Requestor is who makes calls: a configuration with a few options laid over it. Objects remember theirs."""

import os

from . import _core, _drive
from ._drive import package
from ._error import AuthenticationError, raise_error
from ._names import load, service_name, table
from ._response import StripeResponse

# What a requestor keeps for the calls that come after.
PERSISTENT = ("api_key", "stripe_account", "stripe_context", "stripe_version")
# Options where they stand among the params; no other name is taken from these.
OF_A_CALL = "idempotency_key max_network_retries content_type headers timeout deadline max_retries"
MIXED = (*PERSISTENT, *OF_A_CALL.split())
NAMES = {"max_network_retries": "max_retries"}
FILES = ("upload", "stream")


def read_options(options):
    """Options under the core's names; None and '' fall back to the client's."""
    found = {}
    for name, value in options.items():
        if value is None or value == "" or (name == "content_type" and "body" not in options):
            continue
        found[NAMES.get(name, name)] = str(value) if name == "stripe_context" else value
    return found


class Config:
    """What a client was made from: the core's client, and what Python adds to it."""

    def __init__(self, api_key, options, hooks=None, transport=None):
        misuse = _core.plain_client_misuse(options)
        if misuse:
            raise ValueError(misuse)
        self.hooks = hooks
        self.transport = transport
        self.is_driven = bool(hooks or transport)
        self.options = options
        self.handle = _core.plain_client(api_key, options, _drive.LANGUAGE, transport is not None)
        self.error = _core.client_error(self.handle)

    def in_context(self, context):
        """The same configuration in another context, and in no account."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.handle = _core.client_scoped(self.handle, context)
        other.options = {**self.options, "stripe_context": context or None, "stripe_account": None}
        return other


class Requestor:
    __slots__ = ("config", "_options")

    def __init__(self, config, options=None):
        self.config = config
        self._options = options

    def option(self, name):
        own = (self._options or {}).get(name)
        return own if own is not None else self.config.options.get(name)

    def in_context(self, context):
        """For what an event is about: its context, or none, and no account."""
        config = self.config.in_context(str(context) if context else "")
        own = {name: value for name, value in (self._options or {}).items() if name in ("api_key", "stripe_version")}
        return Requestor(config, own or None)

    def scoped(self, options):
        """The same requestor with these options laid over it, as far as they last."""
        lasting = {name: str(options[name]) for name in PERSISTENT if options.get(name)}
        return self.over({**(self._options or {}), **lasting}) if lasting else self

    def over(self, options):
        return Requestor(self.config, options)

    def kept(self, options):
        """What the answers to a call with these options remember: the configuration as it is now."""
        return self.scoped(options) if options else self

    def merged(self, options):
        """This requestor's options and those of one call."""
        if not options:
            return self._options
        own = read_options(options)
        return {**self._options, **own} if self._options else own

    # One call

    def call(self, operation, ids, params=None, options=None):
        params, options, tend = prepare(params, options) if operation[3] in FILES else (params, options, None)
        origin, merged = self.kept(options), self.merged(options)
        if tend or origin.config.is_driven or _drive.listener():
            exchange = _core.begin(origin.config.handle, operation, ids, params, merged)
            _drive.run(origin.config, exchange, tend)
            found = _core.end(exchange, operation, params, origin)
        else:
            found = _core.call(origin.config.handle, operation, ids, params, merged, origin)
        return self.finish(found, operation) if type(found) is _core.Reply else found

    async def call_async(self, operation, ids, params=None, options=None):
        params, options, tend = prepare(params, options) if operation[3] in FILES else (params, options, None)
        origin, merged = self.kept(options), self.merged(options)
        exchange = _core.begin(origin.config.handle, operation, ids, params, merged)
        await _drive.run_async(origin.config, exchange, tend)
        found = _core.end(exchange, operation, params, origin)
        return self.finish(found, operation, True) if type(found) is _core.Reply else found

    def finish(self, reply, operation, is_async=False):
        """What a reply is that is more, or less, than an object of its data."""
        checked(reply)
        if operation[4] == "binary":
            from . import _response

            return (_response.StripeStreamResponseAsync if is_async else _response.StripeStreamResponse).of(reply)
        from ._object import DeletedObject

        return reply.read(DeletedObject if operation[1] == 2 and operation[6] == "DELETE" else None)

    # Any path

    def begin_request(self, method, path, params, options):
        params, options, tend = prepare(params, options) if path == "/v1/files" else (params, options, None)
        exchange = _core.request(self.config.handle, method, path, params, self.merged(options))
        return self.config, exchange, tend

    def finish_request(self, exchange, params, origin):
        reply = checked(_core.exchange_result(exchange))
        return as_page(reply.object(origin, params, None))

    def request(self, method, path, params=None, options=None):
        origin, begun = self.kept(options), self.begin_request(method, path, params, options)
        _drive.run(*begun)
        return self.finish_request(begun[1], params if method == "GET" else None, origin)

    async def request_async(self, method, path, params=None, options=None):
        origin, begun = self.kept(options), self.begin_request(method, path, params, options)
        await _drive.run_async(*begun)
        return self.finish_request(begun[1], params if method == "GET" else None, origin)

    def request_mixed(self, method, path, params):
        options, params = split(params)
        return self.request(method, path, params, options)

    async def request_mixed_async(self, method, path, params):
        options, params = split(params)
        return await self.request_async(method, path, params, options)


def checked(reply):
    """The reply, if it is a good one."""
    if reply.notice:
        _drive.warn(reply.notice)
    if not reply.ok:
        raise_error(reply)
    return reply


def as_page(o):
    """A page of v2 that the table does not know does not say what it is."""
    from ._object import StripeObject, V2ListObject

    if type(o) is not StripeObject or "data" not in o or "next_page_url" not in o:
        return o
    return _core.adopt(V2ListObject.__new__(V2ListObject), o)


def prepare(params, options):
    return load("_files").prepare(params, options)


def split(params):
    """Options and params, which stand side by side in the global style."""
    options = {name: params[name] for name in MIXED if name in params}
    return options, {name: value for name, value in params.items() if name not in options} if options else params


# Services


def arguments(operation, args, params, options):
    """The ids, params and options of a method's arguments."""
    ident, count, names = operation[0], operation[2], operation[5]
    given, rest = args[:count], args[count:]
    for name, value in zip(names, given):
        if not isinstance(value, str):
            raise TypeError(f"{ident}: the id {name} must be a str, not {type(value).__name__}")
    if len(given) < count:
        raise TypeError(f"{ident} needs {count} id{'s' * (count > 1)} ({', '.join(names)}), got {len(given)}")
    if len(rest) > 2 or (rest and params is not None) or (len(rest) > 1 and options is not None):
        raise TypeError(f"{ident} takes {count} id{'s' * (count != 1)}, then params and options")
    params = rest[0] if rest else params
    options = rest[1] if len(rest) > 1 else options
    if options is not None and not hasattr(options, "items"):
        raise TypeError(f"{ident}: options must be a dict, not {type(options).__name__}")
    return given, params, options


def new_method(operation):
    count = operation[2]

    def method(self, *args, params=None, options=None):
        if count or args or options:
            args, params, options = arguments(operation, args, params, options)
        return self._requestor.call(operation, args, params, options)

    return method


def new_async_method(operation):
    async def method(self, *args, params=None, options=None):
        return await self._requestor.call_async(operation, *arguments(operation, args, params, options))

    return method


class ServiceType(type):
    """The class of the services' classes, which make their methods when they are first named."""

    def __getattr__(cls, name):
        found = None if name.startswith("_") else find(cls._PATH, name)
        if not isinstance(found, tuple):
            raise AttributeError(f"{cls.__name__} has no attribute {name!r}")
        method = (new_async_method if found[0] != name else new_method)(found[1])
        method.__name__ = name
        method.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, method)
        return method


class StripeService(metaclass=ServiceType):
    """Below a client: operations as methods, services as attributes. `_PATH` is that of the table,
    "checkout.sessions"."""

    _PATH = ""

    def __init__(self, requestor):
        self._requestor = requestor

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        found = find(type(self)._PATH, name)
        if found is None:
            refuse(type(self)._PATH, name)
        if isinstance(found, str):
            service = self.__dict__[name] = table(service_class, found)(self._requestor)
            return service
        return getattr(type(self), name).__get__(self)

    def __dir__(self):
        services, operations = _core.names(type(self)._PATH)
        return [*services, *operations, *(f"{name}_async" for name in operations)]

    def __repr__(self):
        return f"<pinstripe service {type(self)._PATH or 'v1'}>"


def find(path, name):
    """What a service's attribute is: the path of a service, (name of the operation, its facts), or None."""
    found = _core.resolve(path, name)
    if isinstance(found, tuple):
        return name, found
    if found is None and name.endswith("_async"):
        found = _core.resolve(path, name[:-6])
        return (name[:-6], found) if isinstance(found, tuple) else None
    return None if found == "v2" else found


def refuse(path, name):
    dotted = f"{path}.{name}" if path else name
    nearest = _core.api_nearest_operation(dotted)
    hint = f"; the nearest is {nearest}" if nearest else ""
    raise AttributeError(f"there is no operation or service {dotted}{hint}")


def service_class(path):
    module, name = service_name(path)
    return type(name, (StripeService,), {"_PATH": path, "__module__": module})


# Clients

OWN_OPTIONS = (
    "connect_timeout timeout deadline api_base files_base connect_base meter_events_base ca_file ca_path ca_data "
    "app_info headers strict max_body rate_limit"
).split()
HOOKS = ("log", "on_request", "on_response")


def client_options(keywords):
    """The core's options, from stripe-python's names and ours."""
    options = {name: keywords.pop(name) for name in OWN_OPTIONS if keywords.get(name) is not None}
    for name, address in (keywords.pop("base_addresses", None) or {}).items():
        options[f"{name}_base"] = address
    for name in ("stripe_account", "stripe_context", "stripe_version", "client_id", "proxy"):
        value = keywords.pop(name, None)
        if value is not None:
            options[name] = str(value)
    retries = [keywords.pop(name, None) for name in ("max_retries", "max_network_retries")]
    if retries != [None, None]:
        options["max_retries"] = next(n for n in retries if n is not None)
    return options


def check_verification(verify):
    if verify is not True:
        raise ValueError(
            "verify_ssl_certs must be True: pinstripe never sends a key to a server that it cannot verify. Trust "
            "another certificate with ca_file, ca_path or ca_data"
        )


class StripeClient:
    """The API with one key: client.v1.customers.create({...}), client.v2.core.events.list(); v1's services stand at
    the top, too. Options are those of the README."""

    def __init__(self, api_key=None, **keywords):
        given, api_key = api_key, api_key or os.environ.get("STRIPE_API_KEY")
        if not api_key:
            raise AuthenticationError(
                'No API key provided. (HINT: set your API key using "client = pinstripe.StripeClient(<API-KEY>)", or '
                "the environment variable STRIPE_API_KEY). You can generate API keys from the Stripe web interface."
            )
        if not isinstance(api_key, str):
            raise TypeError(f"the API key must be a str, not {type(api_key).__name__}")
        if not given:
            _drive.read_environment()
        http_client, verify = keywords.pop("http_client", None), keywords.pop("verify_ssl_certs", True)
        if http_client is not None and (keywords.get("proxy") or verify is not True):
            raise ValueError(
                "You cannot specify `proxy` or `verify_ssl_certs` when passing in a custom `http_client`. "
                "Please set these values on your custom `http_client` instead."
            )
        check_verification(verify)
        options = client_options(keywords)
        hooks = {name: keywords.pop(name) for name in HOOKS if keywords.get(name) is not None}
        transport = _drive.transport_of(keywords.pop("transport", None), http_client, options)
        for name, value in keywords.items():
            if value is not None or name not in HOOKS:
                options[name] = value  # the core names what it does not know
        config = Config(given or None, options, hooks, transport)  # without a key, the core reads its environment
        config.options = {**options, "api_key": api_key}
        if config.error:
            raise ValueError(config.error)
        self._requestor = Requestor(config)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        if name in ("v1", "v2"):
            service = table(service_class, "v2" if name == "v2" else "")(self._requestor)
        else:
            service = getattr(self.v1, name)
        self.__dict__[name] = service
        return service

    def __dir__(self):
        return [*super().__dir__(), "v1", "v2", *dir(self.v1)]

    def __repr__(self):
        return "<pinstripe.StripeClient>"

    @property
    def oauth(self):
        return load("_oauth").OAuthService(self._requestor)

    def raw_request(self, method_, url_, **params):
        """Any method and path; options, and `base`, stand among the params. Returns a StripeResponse."""
        begun = self._begin_raw(method_, url_, params)
        _drive.run(*begun)
        return StripeResponse.of(checked(_core.exchange_result(begun[1])))

    async def raw_request_async(self, method_, url_, **params):
        begun = self._begin_raw(method_, url_, params)
        await _drive.run_async(*begun)
        return StripeResponse.of(checked(_core.exchange_result(begun[1])))

    def _begin_raw(self, method, url, params):
        for name, value in (("method", method), ("url", url)):
            if not isinstance(value, str):
                raise TypeError(f"raw_request: the {name} must be a str, not {type(value).__name__}")
        base = params.pop("base", None)
        options, params = split(params)
        return self._requestor.begin_request(method.upper(), url, params, {**options, "base": base})

    def download(self, url, **options):
        """The bytes at the `url` of a file, a file link or a report's result; none, if they went to the path `save_to`
        or to the function `write_to`. `progress(done, total)` is told how far they are."""
        begun = self._begin_download(url, options)
        _drive.run(*begun)
        return checked(_core.exchange_result(begun[1])).body

    async def download_async(self, url, **options):
        begun = self._begin_download(url, options)
        await _drive.run_async(*begun)
        return checked(_core.exchange_result(begun[1])).body

    def _begin_download(self, url, options):
        _, options, tend = prepare(None, options)
        config = self._requestor.config
        return config, _core.plain_download(config.handle, url, self._requestor.merged(options)), tend

    def meter_stream(self, max_age=1, max_pending=10000):
        """A queue of meter events that are sent in batches: see pinstripe._meter."""
        return load("_meter").MeterStream(self._requestor.config, max_age, max_pending)

    def deserialize(self, resp, params=None, *, api_mode="V1"):
        """The objects of a raw response, or of a dict."""
        data = resp.body.encode() if hasattr(resp, "body") else resp
        if isinstance(data, list):
            return [self.deserialize(item, params, api_mode=api_mode) for item in data]
        found = _core.build(None, data, self._requestor)
        return as_page(found) if api_mode == "V2" else found

    # Events

    def construct_event(self, payload, sig_header, secret, tolerance=300, *, now=None):
        requestor = self._requestor
        return load("_webhook").Webhook._construct(payload, sig_header, secret, tolerance, requestor, now)

    def construct_event_without_verification(self, payload):
        return load("_webhook").Webhook._construct_without_verification(payload, self._requestor)

    def parse_event_notification(self, raw, sig_header, secret, tolerance=300, *, now=None):
        return load("_event").parse(self, raw, sig_header, secret, tolerance, now)

    def parse_event_notification_without_verification(self, payload):
        return load("_event").parse_without_verification(self, payload)

    def notification_handler(self, webhook_secret, fallback_callback):
        return load("_event").StripeEventNotificationHandler(self, webhook_secret, fallback_callback)

    def notification_handler_without_verification(self, fallback_callback):
        return load("_event").StripeEventNotificationHandlerWithoutVerification(self, fallback_callback)

    def async_notification_handler(self, webhook_secret, fallback_callback):
        return load("_event").AsyncStripeEventNotificationHandler(self, webhook_secret, fallback_callback)

    def async_notification_handler_without_verification(self, fallback_callback):
        return load("_event").AsyncStripeEventNotificationHandlerWithoutVerification(self, fallback_callback)

    def with_stripe_context(self, stripe_context):
        """This client in another context, and in no account; None: in none."""
        other = type(self).__new__(type(self))
        other._requestor = self._requestor.in_context(stripe_context)
        return other


# The global style


# The core's options, and the module's names for them.
SOURCES = {name: name for name in ("api_key", "api_base", "client_id", "proxy", "app_info")}
SOURCES.update(files_base="upload_api_base", connect_base="connect_api_base", meter_events_base="meter_events_api_base")
SOURCES.update(stripe_version="api_version", max_retries="max_network_retries", ca_file="ca_bundle_path")
READ = (*SOURCES.values(), "default_http_client", "verify_ssl_certs")


def from_environment(options):
    """Where the key comes from the environment, so do the log's level and the addresses that nobody has set."""
    _drive.read_environment()
    options["api_key"], base = os.environ.get("STRIPE_API_KEY"), os.environ.get("PINSTRIPE_API_BASE")
    for name, source in SOURCES.items():
        if base and name.endswith("_base") and options[name] == package[f"DEFAULT_{source.upper()}"]:
            options[name] = base


class GlobalConfig:
    """The module's own configuration, read at each call; a core's client for each that was met."""

    def __init__(self):
        self.known, self.last = {}, (None, None)  # what was read, and the configuration that it made

    def current(self):
        values = [package[name] for name in READ]
        if not values[0]:
            values += os.environ.get("STRIPE_API_KEY"), os.environ.get("PINSTRIPE_API_BASE")
        known, config = self.last
        if values != known:
            config = self.find(dict(zip(SOURCES, values)), *values[len(SOURCES) : len(READ)])
            self.last = [dict(value) if isinstance(value, dict) else value for value in values], config
        return config

    def find(self, options, http_client, verify):
        if http_client is None:
            check_verification(verify)
        if not options["api_key"]:
            from_environment(options)
        mark = (repr(options), id(http_client))
        config = self.known.get(mark)
        if config is None or config.http_client is not http_client:
            config = self.make(options, http_client)
            lately = list(self.known.items())[1 - MOST_CONFIGS :]
            self.known = dict([*lately, (mark, config)])  # a new one: other threads may be reading the old one
        return config

    def make(self, options, http_client):
        options = {name: value for name, value in options.items() if value is not None}
        if "app_info" in options:
            options["app_info"] = {name: value for name, value in options["app_info"].items() if value is not None}
        key = options.pop("api_key", None)
        config = Config(key or "none", options, None, _drive.transport_of(None, http_client, options))
        config.http_client = http_client
        config.options = {**options, "api_key": key}
        return config


MOST_CONFIGS = 16


class GlobalRequestor(Requestor):
    """Its configuration is the module's, as it is now. Fails without a key as stripe-python does, at the first call."""

    __slots__ = ()
    source = GlobalConfig()
    config = property(lambda self: self.source.current())

    def __init__(self, options=None):
        self._options = options

    def merged(self, options):
        merged = Requestor.merged(self, options)
        if not (merged or {}).get("api_key") and not (package["api_key"] or os.environ.get("STRIPE_API_KEY")):
            raise AuthenticationError(
                'No API key provided. (HINT: set your API key using "pinstripe.api_key = <API-KEY>"). You can generate '
                "API keys from the Stripe web interface."
            )
        return merged

    def over(self, options):
        return GlobalRequestor(options)

    def kept(self, options):
        return Requestor(self.config, self._options).kept(options)


global_requestor = GlobalRequestor()
StripeClient.__module__ = StripeService.__module__ = "pinstripe"
