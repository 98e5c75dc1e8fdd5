"""A webhook endpoint for any server of Python, as a WSGI and as an ASGI application: each delivery is verified and
answered at once; each event is handled once, by a thread of its own, however often and in whatever order it is
delivered.

    export STRIPE_API_KEY=sk_... STRIPE_WEBHOOK_SECRET=whsec_...    # while the secret is replaced: both, with a comma
    gunicorn 'webhook:make_wsgi()'
    uvicorn --factory webhook:make_asgi
    python3 webhook.py 8080                                         # the standard library's server, to try it

Events are put down in a file of SQLite before they are answered, so that none is lost when the process ends, and any
number of processes may share them. A shop with a database of its own keeps them there."""

import asyncio
import contextlib
import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, Callable, Optional

import pinstripe

MOST_BYTES = 1 << 20
LEASE = 300  # seconds for the work on one event; then its process is taken for dead
PAUSE = 30  # seconds after a failure; twice as many after each further one
log = logging.getLogger("webhook")

Handler = Callable[[pinstripe.Event, sqlite3.Connection, pinstripe.StripeClient], None]

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  id TEXT PRIMARY KEY, body BLOB NOT NULL, due REAL NOT NULL,
  failures INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS events_due ON events (due) WHERE NOT done;
CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, status TEXT NOT NULL, amount INTEGER NOT NULL);
"""


# What the shop does with events. They come in no order: what counts is how the object stands now. A handler asks Stripe
# first and writes last; what it writes is kept with the note that the event is done, both or neither.


def note_payment(event: pinstripe.Event, db: sqlite3.Connection, stripe: pinstripe.StripeClient) -> None:
    intent = stripe.v1.payment_intents.retrieve(event.data.object["id"])
    db.execute("REPLACE INTO payments VALUES (?, ?, ?)", (intent.id, intent.status, intent.amount))


HANDLERS: dict[str, Handler] = {
    "payment_intent.succeeded": note_payment,
    "payment_intent.payment_failed": note_payment,
    "payment_intent.canceled": note_payment,
}


class Inbox:
    """The events that have come, each once."""

    def __init__(self, path: str) -> None:
        self.path = path
        with self.open() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)

    @contextlib.contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """A connection, committed at the end, or rolled back."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as db, db:
            yield db

    def put(self, ident: str, body: bytes) -> bool:
        """Whether the event is a new one."""
        row = (ident, body, time.time())
        with self.open() as db:
            return db.execute("INSERT OR IGNORE INTO events (id, body, due) VALUES (?, ?, ?)", row).rowcount == 1

    def take(self) -> Optional[tuple[str, bytes]]:
        """An event that is due, which is this process's for as long as its lease; None: there is none."""
        now = time.time()
        with self.open() as db:
            for ident, body, due in db.execute(
                "SELECT id, body, due FROM events WHERE NOT done AND due <= ? ORDER BY due LIMIT 10", (now,)
            ).fetchall():
                taken = db.execute("UPDATE events SET due = ? WHERE id = ? AND due = ?", (now + LEASE, ident, due))
                if taken.rowcount == 1:
                    return ident, body
        return None

    def put_back(self, ident: str) -> None:
        with self.open() as db:
            db.execute(
                "UPDATE events SET due = ? + ? * (1 << min(failures, 7)), failures = failures + 1 WHERE id = ?",
                (time.time(), PAUSE, ident),
            )


class Endpoint:
    def __init__(
        self, stripe: pinstripe.StripeClient, secrets: list[str], inbox: Inbox, handlers: dict[str, Handler] = HANDLERS
    ) -> None:
        self.stripe, self.secrets, self.inbox, self.handlers = stripe, secrets, inbox, handlers
        self.more, self.lock = threading.Event(), threading.Lock()
        self.worker: Optional[threading.Thread] = None
        self.is_stopping = False

    def receive(self, body: bytes, header: Optional[str]) -> tuple[int, str]:
        """Verifies a delivery and puts its event down: status and text of the answer."""
        try:
            event = self.stripe.construct_event(body, header, self.secrets)
        except (pinstripe.SignatureVerificationError, ValueError) as e:
            return 400, str(e)
        try:
            self.inbox.put(event.id, body)
        except sqlite3.Error:
            log.exception("%s could not be put down", event.id)
            return 500, "try again later"
        self.start()
        return 200, "ok"

    def start(self) -> None:
        """Has a thread work on what is there. Begun late: a server's processes fork first."""
        with self.lock:
            if self.worker is None or not self.worker.is_alive():
                self.worker = threading.Thread(target=self.work_on, name="webhook", daemon=True)
                self.worker.start()
        self.more.set()

    def stop(self) -> None:
        """Waits for the event that is being handled; the others are there when the process starts again."""
        self.is_stopping = True
        self.more.set()
        if self.worker:
            self.worker.join()

    def work_on(self) -> None:
        while not self.is_stopping:
            try:
                self.work()
            except sqlite3.Error:
                log.exception("the inbox cannot be read")
            self.more.wait(PAUSE)
            self.more.clear()

    def work(self) -> int:
        """Handles what is due; returns how many events that were."""
        count = 0
        while not self.is_stopping and (taken := self.inbox.take()):
            count += 1
            try:
                self.handle(*taken)
            except Exception:
                log.exception("%s was not handled", taken[0])
                self.inbox.put_back(taken[0])
        return count

    def handle(self, ident: str, body: bytes) -> None:
        event = self.stripe.construct_event_without_verification(body)  # which it has passed, when it came
        handler = self.handlers.get(event.type)
        with self.inbox.open() as db:
            if handler:
                handler(event, db, self.stripe)
            db.execute("UPDATE events SET done = 1 WHERE id = ?", (ident,))


# ---- WSGI

REASONS = {200: "OK", 400: "Bad Request", 405: "Method Not Allowed", 413: "Content Too Large", 500: "Server Error"}


def wsgi(endpoint: Endpoint) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    def answer(environ: dict[str, Any]) -> tuple[int, str]:
        length = environ.get("CONTENT_LENGTH") or "0"
        if environ["REQUEST_METHOD"] != "POST":
            return 405, "POST only"
        if not length.isdigit():
            return 400, "a length that is no number"
        if int(length) > MOST_BYTES:
            return 413, "too large"
        return endpoint.receive(environ["wsgi.input"].read(int(length)), environ.get("HTTP_STRIPE_SIGNATURE"))

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, text = answer(environ)
        start_response(f"{status} {REASONS[status]}", [("Content-Type", "text/plain; charset=utf-8")])
        return [text.encode()]

    return application


# ---- ASGI

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def read_body(receive: Receive) -> Optional[bytes]:
    """b"" if it is too large, None if the sender has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return b""
        if not message.get("more_body"):
            return bytes(body)


async def answer(endpoint: Endpoint, scope: dict[str, Any], receive: Receive) -> Optional[tuple[int, str]]:
    if scope["method"] != "POST":
        return 405, "POST only"
    body = await read_body(receive)
    if not body:
        return None if body is None else (413, "too large, or empty")
    header = dict(scope["headers"]).get(b"stripe-signature", b"").decode("latin-1")
    return await asyncio.to_thread(endpoint.receive, body, header)  # SQLite may have to wait for its disk


async def live(endpoint: Endpoint, receive: Receive, send: Send) -> None:
    """What waits from before is worked on from the start."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            endpoint.start()
        else:
            await asyncio.to_thread(endpoint.stop)
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def asgi(endpoint: Endpoint) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(endpoint, receive, send)
        elif scope["type"] == "http" and (answered := await answer(endpoint, scope, receive)):
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": answered[0], "headers": headers})
            await send({"type": "http.response.body", "body": answered[1].encode()})

    return application


# ---- For servers


def make_endpoint() -> Endpoint:
    secrets = [secret for secret in os.environ.get("STRIPE_WEBHOOK_SECRET", "").split(",") if secret]
    if not secrets:
        raise SystemExit("STRIPE_WEBHOOK_SECRET must be the endpoint's secret, whsec_...")
    return Endpoint(pinstripe.StripeClient(), secrets, Inbox(os.environ.get("WEBHOOK_FILE", "webhook.sqlite")))


def make_wsgi() -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    return wsgi(make_endpoint())


def make_asgi() -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    return asgi(make_endpoint())


if __name__ == "__main__":
    from wsgiref.simple_server import make_server

    with make_server("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080, make_wsgi()) as server:
        print(f"listening on port {server.server_port}", flush=True)
        server.serve_forever()
