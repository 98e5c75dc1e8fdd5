"""How a call is carried out.

The core runs a call in slices, so that Ctrl-C is noticed between two of them. A client with hooks or a transport of
its own, or a program that listens to the log, is driven step by step. `run_async` is the one place where asyncio meets
a call: it lends a thread of a bounded pool, but to a transport of asyncio's own, and may be replaced."""

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


def steps(config, exchange, logger, tend):
    """What is to be done for the call, one thing after the other, until it is done."""
    while True:
        step = _core.exchange_step(exchange)
        tell(config.hooks, exchange, logger)
        tend(exchange)
        if step == DONE:
            return
        yield step


def drive(config, exchange, logger, tend):
    transport = config.transport
    for step in steps(config, exchange, logger, tend):
        if step == SEND and transport:
            send(transport, exchange, tend)
        elif step == WAIT and transport and transport.sleep:
            transport.sleep(_core.exchange_wait(exchange) / 1000)
        else:
            while not _core.exchange_carry(exchange, SLICE_MS):
                tend(exchange)


# Hooks and the log


class CallEvent(dict):
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
        event = CallEvent(happened)
        if logger and event.kind != "notice":
            logger.log(LEVELS.get(event.level, 10), "%s", event.line)
        for name in ("log", f"on_{event.kind}"):
            if hooks and name in hooks:
                hooks[name](event)


logger, shown, modules = None, None, sys.modules  # `shown`: what pinstripe.log was


def listener():
    """The logger "pinstripe", if somebody listens to it. A program that never loaded `logging` does not."""
    global logger, shown
    level = None if package["log"] in ("", "off") else package["log"]
    if level != shown:
        console(level or "notset")
        shown = level
    if logger is None and "logging" in modules:
        import logging  # not out of the modules: another thread may not be through with its import

        logger = logging.getLogger("pinstripe")
    return logger if logger and (shown or logger.isEnabledFor(20)) else None


def console(level):
    """The logger as `pinstripe.log = "info"` wants it, on the program's standard error."""
    import logging

    logger = logging.getLogger("pinstripe")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())


def read_environment():
    """PINSTRIPE_LOG, where a client is made without a key of its own."""
    level = os.environ.get("PINSTRIPE_LOG", "")
    if level not in ("", "off", *LEVELS):
        raise ValueError(f"PINSTRIPE_LOG must be off, error, warn, info or debug, not {level}")
    package["log"] = package["log"] or level


def warn(notice):
    if os.environ.get("STRIPE_SUPPRESS_NOTICES", "").lower() == "true":
        return
    import warnings

    frame, level = sys._getframe(), 1  # up to the program's own line, whichever way it came
    while frame.f_back and frame.f_globals.get("__package__") == "pinstripe":
        frame, level = frame.f_back, level + 1
    hint = "To suppress Stripe notices in test and sandbox environments, set the STRIPE_SUPPRESS_NOTICES environment"
    warnings.warn(f"{notice}\n{hint} variable to true.", stacklevel=level)


# Transports


class Transport:
    """What carries requests in place of the core: `send(request)` returns (status, headers, body). Where there is a
    `send_async`, asyncio's calls await that."""

    def __init__(self, send, sleep=None, send_async=None, sleep_async=None):
        self.send, self.sleep, self.send_async, self.sleep_async = send, sleep, send_async, sleep_async


class Request:
    """What a transport sends."""

    __slots__ = ("method", "url", "headers", "body", "timeout", "connect_timeout")

    def __init__(self, exchange, tend):
        facts = _core.request_of(exchange)
        self.method, self.url, headers, has_body, self.timeout, self.connect_timeout = facts
        self.headers, self.body = dict(headers), body_of(exchange, tend) if has_body else None


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

    request = Request(exchange, tend)  # what a reader raises is no answer of the transport's
    try:
        reply = transport.send(request)
    except (APIConnectionError, TimeoutError) as e:
        fail(exchange, e)
    else:
        answer(exchange, *reply)


async def send_async(transport, exchange, tend):
    import asyncio

    from ._error import APIConnectionError

    request = Request(exchange, tend)
    try:
        reply = await transport.send_async(request)
    except (APIConnectionError, TimeoutError, asyncio.TimeoutError) as e:
        fail(exchange, e)
    else:
        answer(exchange, *reply)


def fail(exchange, e):
    """`e`: a transport's way to say that no answer came. Nothing was sent only if it sets `outcome` so itself. As in
    stripe-python, an APIConnectionError is sent again only if its `should_retry` says so."""
    is_timeout, not_sent = not hasattr(e, "outcome"), vars(e).get("outcome") == "not_sent"
    message = str(getattr(e, "user_message", str(e)) or ("timeout" if is_timeout else "connection lost"))
    text = message.encode("utf-8", "replace").replace(b"\0", b"?").decode()
    _core.plain_fail(exchange, text, is_timeout, not_sent, not getattr(e, "should_retry", True))


def answer(exchange, status, headers, body):
    body = body.encode() if isinstance(body, str) else bytes(body or b"")
    _core.answer(exchange, int(status), {str(name): str(value) for name, value in dict(headers or {}).items()}, body)


def transport_of(transport, http_client, options):
    """The transport that a client's options name; a shell of _http only adds to the options."""
    if http_client is not None:
        return http_client.join(options)
    if transport is None or isinstance(transport, Transport):
        return transport
    if hasattr(transport, "send"):
        return Transport(*(getattr(transport, name, None) for name in ("send", "sleep", "send_async", "sleep_async")))
    if callable(transport):
        return Transport(transport)
    raise TypeError("the option transport must be a function, or have a method send")


# asyncio

pool, lent = None, {}  # `lent`: the exchanges that are under way for asyncio, and the threads that wait for them


def forget_pool():
    """A child has none of its parent's threads."""
    global pool
    pool = None
    lent.clear()


def leave():
    """At the interpreter's end, which waits for the pool: nobody waits any more for the calls of these threads."""
    from threading import main_thread

    for exchange, thread in list(lent.items()):
        if thread.daemon or thread is main_thread():
            _core.exchange_cancel(exchange)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_pool)


def submit(*args):
    """On a thread of the pool, in the context (of contextvars) that it is asked for in."""
    from contextvars import copy_context

    global pool
    if pool is None:
        import threading
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="pinstripe")
        threading._register_atexit(leave)  # before the executor's own, which waits; those of atexit come after it
    return pool.submit(copy_context().run, *args)


def apply_async(*args):
    import asyncio

    return asyncio.wrap_future(submit(*args))


def run_lent(waiting, config, exchange, tend):
    """On a thread of the pool. A call whose task was cancelled while it stood in the queue is never begun: its future
    knows at once, the task only when it wakes."""
    if not any(future.cancelled() for future in waiting):
        run(config, exchange, tend)


async def run_async(config, exchange, tend=None):
    """Carries a call out without blocking the event loop; if its task is cancelled, or it is closed, so is the
    call."""
    import asyncio
    from threading import current_thread

    is_driven_here = config.transport and config.transport.send_async
    try:
        if is_driven_here:
            lent[exchange] = current_thread()
            await drive_async(config, exchange, tend or idle)
        else:
            waiting = []
            future = submit(run_lent, waiting, config, exchange, tend)
            lent[exchange] = current_thread()
            future.add_done_callback(lambda _: lent.pop(exchange, None))
            waiting.append(asyncio.wrap_future(future))
            await waiting[0]
    except (asyncio.CancelledError, GeneratorExit):
        if exchange in lent:  # else it never began, or has ended, and its page may have been taken
            _core.exchange_cancel(exchange)
        raise
    finally:
        if is_driven_here:
            lent.pop(exchange, None)


async def drive_async(config, exchange, tend):
    """With a transport of asyncio's own."""
    import asyncio

    transport = config.transport
    for step in steps(config, exchange, listener(), tend):
        if step == SEND:
            await send_async(transport, exchange, tend)
        else:
            await (transport.sleep_async or asyncio.sleep)(_core.exchange_wait(exchange) / 1000)
