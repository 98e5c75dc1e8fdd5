"""How a call is carried out.

The core runs a call in slices, so that Ctrl-C is noticed between two of them. A client with hooks or a transport of
its own, or a program that listens to the log, is driven step by step. `run_async` is the one place where asyncio meets
a call: it lends a thread of a bounded pool, and may be replaced."""

import os
import sys

from . import _core

LANGUAGE = "python {}.{}.{}".format(*sys.version_info[:3])
SLICE_MS = 100
MOST_THREADS = 64
SEND, WAIT, DONE = range(3)
package = sys.modules["pinstripe"].__dict__
LEVELS = {"error": 40, "warn": 30, "info": 20, "debug": 10}


def idle(exchange):
    """What most calls have to do between two slices."""


def run(config, exchange, tend=None):
    """`tend`: called between two pieces of a transfer."""
    logger, tend = listener(), tend or idle
    if config.is_driven or logger:
        drive(config, exchange, logger, tend)
    else:
        while not _core.plain_run(exchange, SLICE_MS):
            tend(exchange)
        tend(exchange)


def drive(config, exchange, logger, tend):
    transport = config.transport
    while True:
        step = _core.exchange_step(exchange)
        tell(config.hooks, exchange, logger)
        tend(exchange)
        if step == DONE:
            return
        if step == SEND and transport:
            send(transport, exchange, tend)
        elif step == WAIT and transport and transport.sleep:
            transport.sleep(_core.exchange_wait(exchange) / 1000)
        else:
            while not _core.plain_carry(exchange, SLICE_MS):
                tend(exchange)


# Hooks and the log


class Event(dict):
    """One thing that happened to a call: kind, operation, method, path, attempt, status, duration, request_id,
    message. Its text is a line for a log."""

    __slots__ = ()

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __str__(self):
        return self["line"]


def tell(hooks, exchange, logger):
    while True:
        happened = _core.event(exchange)
        if happened is None:
            return
        event = Event(happened)
        if logger and event.kind != "notice":
            logger.log(LEVELS.get(event.level, 10), "%s", event.line)
        for name in ("log", f"on_{event.kind}"):
            if hooks and name in hooks:
                hooks[name](event)


def listener():
    """The logger "pinstripe", if somebody listens to it. A program that never loaded `logging` does not."""
    logging, level = sys.modules.get("logging"), package.get("log")
    if logging is None and not level:
        return None
    logger = console(level) if level else logging.getLogger("pinstripe")
    return logger if level or logger.isEnabledFor(20) else None


def console(level):
    """The logger as `pinstripe.log = "info"` wants it, on the program's standard error."""
    import logging

    logger = logging.getLogger("pinstripe")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())
    return logger


def read_environment():
    """PINSTRIPE_LOG, where a client is made without a key of its own."""
    level = os.environ.get("PINSTRIPE_LOG", "")
    if level not in ("", "off", *LEVELS):
        raise ValueError(f"PINSTRIPE_LOG must be off, error, warn, info or debug, not {level}")
    if level not in ("", "off") and not package["log"]:
        package["log"] = level


def warn(notice):
    if os.environ.get("STRIPE_SUPPRESS_NOTICES", "").lower() == "true":
        return
    import warnings

    warnings.warn(
        f"{notice}\nTo suppress Stripe notices in test and sandbox environments, set the "
        f"STRIPE_SUPPRESS_NOTICES environment "
        "variable to true.",
        stacklevel=5,
    )


# Transports


class Transport:
    """What carries requests in place of the core: `send(request)` returns (status, headers, body)."""

    def __init__(self, send, sleep=None):
        self.send, self.sleep = send, sleep


class Request:
    """What a transport sends."""

    __slots__ = ("method", "url", "headers", "body", "timeout", "connect_timeout")

    def __init__(self, *facts):
        self.method, self.url, self.headers, self.body, self.timeout, self.connect_timeout = facts


def body_of(exchange, tend):
    """The whole body, as a transport wants it."""
    pieces = []
    while (piece := _core.read_body(exchange)) != b"":
        if piece is None:
            tend(exchange)
        else:
            pieces.append(piece)
    return b"".join(pieces)


def send(transport, exchange, tend):
    from ._error import APIConnectionError

    request = Request(*_core.request_of(exchange))
    request.body = body_of(exchange, tend) if request.body else None
    try:
        status, headers, body = transport.send(request)
    except APIConnectionError as e:
        _core.fail(exchange, str(e.user_message or "connection lost"), False, e.outcome == "not_sent")
        return
    except TimeoutError as e:
        _core.fail(exchange, str(e) or "timeout", True, False)
        return
    body = body.encode() if isinstance(body, str) else bytes(body or b"")
    _core.answer(exchange, int(status), {str(name): str(value) for name, value in dict(headers or {}).items()}, body)


def transport_of(transport, http_client, options):
    """The transport that a client's options name; a shell of _http only adds to the options."""
    if http_client is not None:
        return http_client.join(options)
    if transport is None or isinstance(transport, Transport):
        return transport
    if hasattr(transport, "send"):
        return Transport(transport.send, getattr(transport, "sleep", None))
    if callable(transport):
        return Transport(transport)
    raise TypeError("the option transport must be a function, or have a method send")


# asyncio

pool = None


def forget_pool():
    """A child has none of its parent's threads."""
    global pool
    pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_pool)


def submit(*args):
    global pool
    if pool is None:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="pinstripe")
    return pool.submit(*args)


def apply_async(*args):
    import asyncio

    return asyncio.wrap_future(submit(*args))


async def run_async(config, exchange, tend=None):
    """Carries a call out without blocking the event loop; if its task is cancelled, so is the call."""
    import asyncio

    try:
        await apply_async(run, config, exchange, tend)
    except asyncio.CancelledError:
        _core.exchange_cancel(exchange)
        raise
