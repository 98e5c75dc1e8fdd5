"""pinstripe.sandbox: an offline stand-in for the API, with state, in this process.

    with pinstripe.sandbox(seed=1) as sandbox:
        client = sandbox.client()
        ...
        for body, header in sandbox.webhooks():
            handle(body, header)

What is asked of the sandbox itself goes to paths below /_sandbox/, through a client of its own: its thread alone
touches the state. These calls raise what goes wrong."""

import ctypes
import os
import sys

from ._client import StripeClient
from ._object import quote

LIBRARY = "libpinstripe-sandbox.so.0" if sys.platform != "darwin" else "libpinstripe-sandbox.0.dylib"
# Where the library may be, seen from the package: in it, or where it is installed or built.
PLACES = ("", "../../lib", "../../../..", "../../..")
BASES = ("api_base", "files_base", "connect_base", "meter_events_base")
ACTIONS = "delay status decline drop_before drop_after_commit reset truncate_at slow bad_json html_502 either".split()


size_t, text_t, int_t = ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int64


class Options(ctypes.Structure):
    _fields_ = list(zip(("size", "listen", "port", "seed"), (size_t, text_t, int_t, int_t)))


loaded = None


def library():
    """Loaded when the first sandbox is started."""
    global loaded
    if loaded is None:
        here = os.path.dirname(os.path.realpath(__file__))
        paths = [os.path.join(here, place, LIBRARY) for place in PLACES]
        loaded = ctypes.CDLL(next((path for path in paths if os.path.exists(path)), LIBRARY))
        loaded.ps_sandbox_start.restype = ctypes.c_void_p
        for name in ("error", "url", "key"):
            getattr(loaded, f"ps_sandbox_{name}").restype = ctypes.c_char_p
        for name in ("error", "url", "key", "close"):
            getattr(loaded, f"ps_sandbox_{name}").argtypes = [ctypes.c_void_p]
    return loaded


def whole(name, value):
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise TypeError(f"sandbox: {name} must be an int, 0 or more")
    return -1 if value is None else value


class Sandbox:
    _handle = _control = None

    def __init__(self, *, port=None, listen=None, seed=None):
        self._listeners = []
        address = None if listen is None else listen.encode()
        options = Options(ctypes.sizeof(Options), address, whole("port", port), whole("seed", seed))
        self._library = library()
        self._handle = self._library.ps_sandbox_start(ctypes.byref(options))
        error = self._library.ps_sandbox_error(self._handle).decode()
        if error:
            self.close()
            raise OSError(error)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends it and frees its state."""
        handle, self._handle = self._handle, None
        if handle:
            self._library.ps_sandbox_close(handle)

    __del__ = close

    def __repr__(self):
        return f"<pinstripe.sandbox {self.url or '(closed)'}>"

    @property
    def url(self):
        """Its address; '' once it is closed."""
        return self._library.ps_sandbox_url(self._handle).decode() if self._handle else ""

    @property
    def key(self):
        """A key that it takes. It takes every test key, and keeps the state of each apart."""
        return self._library.ps_sandbox_key(self._handle).decode() if self._handle else ""

    def client(self, api_key=None, **options):
        """A client of this sandbox, with the options of StripeClient."""
        return StripeClient(api_key or self.key, **{**dict.fromkeys(BASES, self.url), **options})

    def _ask(self, method, path, params=None):
        if not self._handle:
            raise RuntimeError("the sandbox is closed")
        self._control = self._control or self.client(max_retries=0)
        return self._control._requestor.request(method, f"/_sandbox/{path}", params)

    # State and time

    def reset(self):
        """Forgets everything: objects, faults, the clock's setting."""
        self._ask("POST", "reset")

    def snapshot(self, path=None):
        """The whole state as text, written to a file if a path is given."""
        text = self._ask("GET", "snapshot", {"text": True})["snapshot"]
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return text

    def restore(self, path):
        """The state of a snapshot's file."""
        with open(path, encoding="utf-8") as file:
            self._ask("POST", "restore", {"snapshot": file.read()})

    def seed(self, fixtures):
        """Runs a fixture file of the official command line, its path or a dict; what each request came to, by name."""
        if isinstance(fixtures, dict):
            import json

            return self._ask("POST", "seed", {"file": json.dumps(fixtures)})
        with open(fixtures, encoding="utf-8") as file:
            return self._ask("POST", "seed", {"file": file.read()})

    def clock(self, **change):
        """clock(), clock(advance=seconds), clock(set=time), clock(real=True): what falls due happens, in order."""
        return self._ask("POST" if change else "GET", "clock", change or None)

    # Faults

    def fault(self, **rule):
        """Has requests fail: fault(match={...}, count=1, status=500); docs/sandbox.md lists what can be asked."""
        action = {**rule.pop("do", {}), **{name: rule.pop(name) for name in ACTIONS if name in rule}}
        return self._ask("POST", "faults", {**rule, "do": action})

    def faults(self):
        return self._ask("GET", "faults").data

    def clear_faults(self, id=None):
        self._ask("DELETE", f"faults/{quote(id)}" if id else "faults")

    def latency(self, least=None, most=None):
        """Every answer takes so many seconds; latency(): no longer."""
        if least is None:
            return self._ask("DELETE", "latency")
        return self._ask("POST", "latency", {"min": least, "max": least if most is None else most})

    def rate_limit(self, rate):
        """At most so many requests a second; None: any number."""
        return self._ask("DELETE", "rate_limit") if rate is None else self._ask("POST", "rate_limit", {"rate": rate})

    def requests(self, **query):
        """The log of requests, oldest first."""
        return self._ask("GET", "requests", query).data

    # Webhooks

    @property
    def webhook_secret(self):
        """What signs the webhooks that webhooks() gives."""
        return self._ask("GET", "webhooks", {"peek": True}).secret

    def webhooks(self):
        """Every webhook since the last time, as (body, Stripe-Signature)."""
        return self._pull(None)

    def _pull(self, listener):
        while True:
            data = self._ask("GET", "webhooks", {"listener": listener}).data
            if not data:
                return
            for webhook in data:
                yield webhook.body, webhook.headers["Stripe-Signature"]

    def listen(self, listener, enabled_events=None):
        """Has flush() call `listener(body, header)` for each webhook from now on; returns the secret that signs
        them."""
        made = self._ask("POST", "webhooks", {"enabled_events": enabled_events})
        self._listeners.append((made.id, listener))
        return made.secret

    def flush(self, listener=None):
        """Sends what waits, and what that causes in turn; returns how many were delivered, failed, listened."""
        total = {"delivered": 0, "failed": 0, "listened": 0}
        while True:
            counts, called = self._ask("POST", "flush"), 0
            for ident, call in [*self._listeners, *([(None, listener)] if listener else [])]:
                for body, header in self._pull(ident):
                    call(body, header)
                    called += 1
            total["delivered"] += counts.delivered
            total["failed"] += counts.failed
            total["listened"] += called
            if not called:
                return total

    def deliveries(self, **query):
        return self._ask("GET", "deliveries", query).data

    def pause(self):
        """Nothing is delivered until resume(), but by flush()."""
        self._ask("POST", "deliveries/pause")

    def resume(self):
        self._ask("POST", "deliveries/resume")

    def duplicate(self, **match):
        """What waits and matches destination, type, event comes twice; how many that are. Pause first."""
        return self._ask("POST", "deliveries/duplicate", match).count

    def reorder(self, **match):
        """The same, in another order."""
        return self._ask("POST", "deliveries/reorder", match).count

    def drop(self, **match):
        """The same, never."""
        return self._ask("POST", "deliveries/drop", match).count

    def resend(self, event, destination=None):
        """An event once more, to one destination or to all that had it; how many deliveries that makes."""
        return self._ask("POST", "deliveries/resend", {"event": event, "destination": destination}).count

    # What a customer or a bank would do

    def helpers(self):
        """The names of what run() does."""
        return self._ask("GET", "helpers").data

    def run(self, name, id, **params):
        return self._ask("POST", f"helpers/{quote(name)}", {**params, "id": id})

    def move(self, object, id, set, event=None):
        """Sets fields of an object, whatever the API would allow, and emits an event of that type."""
        return self._ask("POST", f"objects/{quote(object)}/{quote(id)}", {"set": set, "event": event})


def sandbox(**options):
    """Starts one. Options: port (default: any), listen (a numeric address), seed (makes ids, times and chances
    repeat)."""
    return Sandbox(**options)
