"""A stream of meter events, sent in batches of up to 100 with a session token that is fetched when it is needed.

    with client.meter_stream() as stream:
        stream.add({"event_name": "api_requests", "payload": {"stripe_customer_id": "cus_1", "value": "25"}})

What is queued stays so until the server has taken it: after an error it is sent again, by a flush at once, else when a
pause is over, and the identifier that each event has lets it count once. A stream that is collected, or left open when
the program ends, sends what is queued first, and warns of what it could not send; a signal that kills the program, or
os._exit, leaves no time for that. At the end, in close() too, a batch that the server refuses does not keep back
those after it. Any thread may add; one at a time sends, and who adds goes on meanwhile, unless the queue is full."""

import copy
import os
import sys
import threading
import warnings
import weakref

from . import _core, _drive
from ._error import StripeError

FULL = "the queue is full"
PAUSE = 1  # seconds, at least, after what a hook or transport raised, too


class Queue:
    """What is sent after the stream itself is gone, too."""

    def __init__(self, config, max_age, max_pending):
        self.config, self.handle = config, _core.meter_new(config.handle, max_age, max_pending)
        self.lock, self.sender, self.process = threading.RLock(), None, os.getpid()
        self.timing, self.timer = threading.RLock(), None  # a collection may close a queue in the midst of watch
        self.failure, self.is_closed = None, False
        self.has_aside = False  # batches that were refused, and passed over

    def is_foreign(self):
        return self.process != os.getpid()

    def send(self, blocking=True, is_last=False):
        """Sends all that is queued. Not blocking: if another thread does so already, what is queued is its business."""
        if self.sender == threading.get_ident():
            if blocking:
                raise RuntimeError("the stream is being flushed already, by what called this")
            return
        if not self.lock.acquire(blocking):
            return
        try:
            self.sender = threading.get_ident()
            self.send_batches(is_last)
        except StripeError as e:
            self.failure = copy.copy(e)  # without the traceback, which holds the stream
            raise
        finally:
            self.sender = None
            self.lock.release()

    def send_batches(self, is_last):
        while (exchange := _core.meter_exchange(self.handle)) is not None:
            _drive.run(self.config, exchange)
            try:
                _core.meter_feed(self.handle)  # raises what went wrong
            except StripeError:
                if not is_last or not _core.meter_set_aside(self.handle):
                    raise
                self.has_aside = True
        if self.has_aside:
            self.has_aside = False
            _core.meter_feed(self.handle)  # raises why
        self.failure = None

    def make_room(self):
        if self.failure and _core.meter_pause(self.handle) > 0:
            raise copy.copy(self.failure)
        self.send()

    def watch(self, least=0):
        """Has what is queued sent once it is due, though nobody adds to it."""
        with self.timing:
            wait = _core.meter_wait(self.handle)
            if wait < 0 or self.timer is not None or self.is_closed:
                return
            timer = self.timer = threading.Timer(max(wait / 1000, least), self.tick)
            timer.daemon = True
            try:
                timer.start()
            except BaseException as e:
                self.timer = None
                if not isinstance(e, RuntimeError):  # the program ends: so the end sends it
                    raise

    def tick(self):
        least = 0
        with self.timing:
            self.timer = None
        try:
            self.send()
        except Exception:  # what is still queued stays so: the next flush or close tells
            least = PAUSE
        if self.is_closed:
            finish(self)  # the stream was collected meanwhile
        else:
            self.watch(least)

    def close(self):
        with self.timing:
            self.is_closed = True
            if self.timer:
                self.timer.cancel()


def finish(queue):
    if queue.is_foreign():
        return  # a child's copy of what its parent sends
    queue.close()
    if queue.sender == threading.get_ident():
        return  # collected by its own timer's thread, which comes back to it
    try:
        queue.send(is_last=True)
    except BaseException as e:
        count = _core.meter_pending(queue.handle)
        text = f"a meter stream ended, and {count} of its events were not sent: {str(e) or type(e).__name__}"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
        if not isinstance(e, Exception):
            raise


def check(name, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < 2**31:
        raise ValueError(f"meter_stream: {name} must be a number, {least} or more, not {value!r}")
    return value


class MeterStream:
    """`max_age`: seconds after which an event is due though its batch is not full; `max_pending`: how many may be
    queued. What is due is sent by the next add, or by a thread that waits for it."""

    def __init__(self, config, max_age, max_pending):
        self._queue = Queue(config, float(check("max_age", max_age, 0)), int(check("max_pending", max_pending, 1)))
        end = weakref.finalize(self, finish, self._queue)
        if "multiprocessing.util" in sys.modules:  # whose children end without atexit
            sys.modules["multiprocessing.util"].Finalize(self, end, exitpriority=0)

    def _open(self):
        if self._queue.is_closed:
            raise ValueError("the stream is closed")
        if self._queue.is_foreign():
            raise RuntimeError("the stream is that of another process: make one in each")
        return self._queue

    def add(self, event):
        """Queues an event. What is due is sent on the occasion; the exception in which that ended, a StripeError or
        one of a hook or transport, is returned, and what it concerns stays queued. An Exception that is raised means
        that the event is not taken: it is none, or the queue is full and cannot be sent, or not before a pause is
        over."""
        queue = self._open()
        wrong = _core.meter_add(queue.handle, event)
        while wrong and wrong.startswith(FULL):
            queue.make_room()
            wrong = _core.meter_add(queue.handle, event)
        if wrong:
            raise ValueError(wrong)
        try:
            if _core.meter_wait(queue.handle) == 0:
                queue.send(False)
        except Exception as e:
            queue.watch(PAUSE)
            return e
        queue.watch()
        return None

    def flush(self):
        """Sends all that is queued, due or not."""
        self._open().send()

    def pending(self):
        """How many events are queued."""
        return _core.meter_pending(self._queue.handle)

    def skip(self):
        """After an error that will not pass: takes the batch that failed, or all that close was refused, out of the
        queue, and returns its events."""
        queue = self._open()
        events = _core.meter_skip(queue.handle)
        if events:
            queue.has_aside = False
        return events

    def close(self):
        """Sends all that is queued, and ends the stream. A batch that the server refuses does not keep back those after
        it; the error is raised then, and pending() tells how many events were not sent. After an error the stream is
        still open: skip() returns what was refused, and another close sends what is left."""
        if not self._queue.is_closed:
            self._open().send(is_last=True)
            self._queue.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # The same for asyncio, on a thread of its own. A flush whose task is cancelled goes on.

    async def add_async(self, event):
        return await _drive.apply_async(self.add, event)

    async def flush_async(self):
        await _drive.apply_async(self.flush)

    async def close_async(self):
        await _drive.apply_async(self.close)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close_async()


MeterStream.__module__ = "pinstripe"
