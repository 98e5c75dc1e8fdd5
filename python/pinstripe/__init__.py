"""pinstripe: the Stripe API for Python, over the core that Lua and C use.

    from pinstripe import StripeClient

    client = StripeClient("sk_test_...")
    customer = client.v1.customers.create({"email": "jenny@example.com"})
    for charge in client.v1.charges.list({"customer": customer.id}).auto_paging_iter():
        print(charge.id, charge.amount)

The names are those of stripe-python, in both its styles: a program moves over by changing its import. What follows
here is the module's own configuration, read at each call of the global style; everything else is made when it is first
named."""

import sys

from . import _core

VERSION = __version__ = _core.version()

DEFAULT_API_BASE = "https://api.stripe.com"
DEFAULT_CONNECT_API_BASE = "https://connect.stripe.com"
DEFAULT_UPLOAD_API_BASE = "https://files.stripe.com"
DEFAULT_METER_EVENTS_API_BASE = "https://meter-events.stripe.com"

api_key = None
client_id = None
api_version = _core.api_version()
major_api_version = api_version.rpartition(".")[2]
api_base = DEFAULT_API_BASE
connect_api_base = DEFAULT_CONNECT_API_BASE
upload_api_base = DEFAULT_UPLOAD_API_BASE
meter_events_api_base = DEFAULT_METER_EVENTS_API_BASE
verify_ssl_certs = True
proxy = None
ca_bundle_path = None  # the system's certificates
max_network_retries = 2
app_info = None
log = None  # "info" or "debug": calls are logged on standard error
default_http_client = None
enable_telemetry = True  # accepted; nothing is sent

SETTINGS = frozenset(name for name in globals() if name[0] != "_" and name.islower()) - {"sys"}


def set_app_info(name, partner_id=None, url=None, version=None):
    """Names your application in the User-Agent."""
    sys.modules[__name__].app_info = {"name": name, "partner_id": partner_id, "url": url, "version": version}


class _Module(type(sys)):
    """The module and its namespaces (pinstripe.checkout): what they lack is looked up, once."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        from ._names import lookup

        found = lookup(self.__name__, name)
        type(sys).__setattr__(self, name, found)
        return found

    def __dir__(self):
        from ._names import listed

        return sorted({*super().__dir__(), *listed(self.__name__)})

    def __setattr__(self, name, value):
        known = name in SETTINGS or name[:1] == "_" or self.__name__ != __name__ or name in self.__dict__
        if not known and not isinstance(value, type(sys)):
            import warnings

            warnings.warn(f"pinstripe.{name} is not a setting: it changes nothing", stacklevel=2)
        super().__setattr__(name, value)


_NAMESPACES = list(dict.fromkeys(_core.namespaces()))


def _add_namespaces():
    for path in [*_NAMESPACES, *(f"params.{path}" for path in _NAMESPACES)]:
        name = f"{__name__}.{path}"
        module = sys.modules[name] = _Module(name)
        module.__path__ = []
        parent, _, last = name.rpartition(".")
        type(sys).__setattr__(sys.modules[parent], last, module)


sys.modules[__name__].__class__ = _Module
_add_namespaces()
