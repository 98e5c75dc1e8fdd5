"""A scripted HTTP server on 127.0.0.1 that answers, or fails to, exactly as it is told.

    python3 server.py SCRIPT [--tls CERT KEY] [--h2] [--log FILE] [--lists N]

It prints its URL and that of its control port, a line each, and exits when stdin closes. SCRIPT is a JSON list, or the
path of a file with one. Each request takes the next entry; the last one stays if it has "repeat": true. After the
script every request is answered with 200 and an echo: {"object": "echo", "method", "path", "headers", "body"}.

What an entry may hold (all are optional, most combine):

    status, headers, body   the answer; a body that is not a string is sent as JSON; names of headers in any case
    delay: s                waits before answering
    interim: [103, ...]     sends these 1xx first
    size: n                 a body of n bytes
    file: [n, etag]         a body of n bytes that tell where they stand; with an etag (text in quotes, or null) it can
                            be asked for in parts: Range, if If-Range is that etag
    gzip: true              compresses the body
    chunked: true           sends the body in chunks, without a Content-Length
    slow: [n, s]            sends the body in pieces of n bytes, s seconds apart
    cut: n                  announces the whole body, sends n bytes of it, then does what `then` says (default: close)
    raw: text               sends these bytes in place of an answer, then `then` (default: close)
    then: close | reset | hold      after the answer, which does not say so; hold: silence on the open connection
    close: true             reads the request, closes without an answer. As the second request of a connection: what a
                            server does that drops a kept connection at the wrong moment
    reset: when             "accept": as soon as the connection stands; "before": without reading the request;
                            "headers": after its headers; "after": after all of it. A real RST
    silence: when           "headers" or "after": never answers; "accept": not even to a TLS handshake

With --h2 (needs --tls) connections speak HTTP/2; an entry holds status and body, or
`stream`: "reset" (RST_STREAM, INTERNAL_ERROR), "refused" (REFUSED_STREAM) or "goaway".

With --lists N, /v1/charges and /v1/file_links are lists of N items, newest first, with limit, starting_after,
ending_before and has_more, whenever the script has no more entries; /v1/charges/ID and the like give one item.

Apart from the script, and never logged, on either port: GET /_log is what was received, {"data": [{n, connection, t,
method, path, headers, body}]}, with t in monotonic seconds; POST /_script replaces the script and empties the log. The
control port is plain HTTP and takes no part in the faults."""

import argparse
import base64
import gzip
import json
import os
import re
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

import h2

REASONS = {100: "Continue", 103: "Early Hints", 200: "OK", 400: "Bad Request", 404: "Not Found"}
LISTS = {"/v1/charges": ("charge", "ch"), "/v1/file_links": ("file_link", "link")}


class State:
    """What all connections share: the script and the log."""

    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.script, self.log = options.script, []
        self.connections = 0

    def connect(self):
        """The number of a new connection, and the entry that concerns accepting it."""
        with self.lock:
            self.connections += 1
            head = self.script[0] if self.script else {}
            at_accept = "accept" in (head.get("reset"), head.get("silence"))
            return self.connections, self._take() if at_accept else None

    def receive(self, connection, request):
        """Logs a request and returns its entry, or None after the script."""
        with self.lock:
            record = {"n": len(self.log) + 1, "connection": connection, "t": time.monotonic(), **request}
            self.log.append(record)
            if self.options.log:
                with open(self.options.log, "a", encoding="utf-8") as f:
                    f.write(json.dumps(record) + "\n")
            return record["n"], self._take()

    def head(self):
        with self.lock:
            return self.script[0] if self.script else {}

    def _take(self):
        if not self.script:
            return None
        return self.script[0] if len(self.script) == 1 and self.script[0].get("repeat") else self.script.pop(0)

    def control(self, method, path, body):
        """The answer to /_log and /_script, or None for any other path."""
        if path == "/_log":
            with self.lock:
                return {"body": {"object": "list", "data": list(self.log)}}
        if path == "/_script" and method == "POST":
            with self.lock:
                self.script, self.log = json.loads(body), []
            return {"body": {}}
        return None


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def hold(sock):
    """Silence until the other side gives up."""
    try:
        sock.settimeout(None)
        while sock.recv(65536):
            pass
    except OSError:
        pass


def hold_unread(sock):
    """Silence without reading, so that the other side's sending stops too."""
    poll = threading.Event()
    while sock.fileno() >= 0 and not poll.wait(0.05):
        try:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return
            if struct.unpack("B", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))[0] != 1:  # ESTABLISHED
                return
        except OSError:
            return


def as_text(body):
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(body).decode("ascii")


def part_of_file(entry, asked):
    """What of the file is sent: the entry with its status, the bytes, and the headers that tell."""
    size, etag = entry["file"]
    body = b"".join(b"%08d" % i for i in range(size // 8 + 1))[:size]
    headers = {"content-type": "application/pdf"}
    if etag:
        headers.update({"etag": etag, "accept-ranges": "bytes"})
    match = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
    if not match or not etag or asked.get("if-range") != etag:
        return entry, body, headers
    begin = int(match[1])
    headers["content-range"] = f"bytes {begin}-{size - 1}/{size}"
    return {"status": 206, **entry}, body[begin:], headers


class Connection:
    """One client's connection, in HTTP/1.1."""

    def __init__(self, state, sock, number):
        self.state, self.sock, self.number = state, sock, number
        self.input = sock.makefile("rb")

    def serve(self):
        while self.serve_one():
            pass

    def serve_one(self):
        """Answers one request; False: the connection is over."""
        begin = self.input.peek(1)
        if not begin:
            return False
        if self.state.head().get("reset") == "before" and b" /_" not in begin[:8]:
            self.state.receive(self.number, {"method": None})
            reset(self.sock)
            return False
        line = self.input.readline().decode("latin-1").split()
        if len(line) != 3:
            return False
        headers = self.headers = self.read_headers()
        early = {} if line[1].startswith("/_") else self.state.head()
        if "headers" in (early.get("reset"), early.get("silence")):
            self.state.receive(self.number, {"method": line[0], "path": line[1], "headers": headers, "body": ""})
            hold_unread(self.sock) if early.get("silence") else reset(self.sock)
            return False
        body = self.read_body(headers)
        request = {"method": line[0], "path": line[1], "headers": headers, "body": as_text(body)}
        control = self.state.control(line[0], line[1], body)
        if control:
            return self.answer(control)
        n, entry = self.state.receive(self.number, request)
        return self.act(entry if entry is not None else self.after_script(request), n)

    def read_headers(self):
        headers = {}
        while True:
            line = self.input.readline().decode("latin-1").strip()
            if not line:
                return headers
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()

    def read_body(self, headers):
        """A body that ends early is that of no request: its client has given up."""
        if headers.get("transfer-encoding") != "chunked":
            size = int(headers.get("content-length", 0))
            body = self.input.read(size)
            if len(body) < size:
                raise ConnectionError
            return body
        body = bytearray()
        while True:
            size = int(self.input.readline(), 16)
            piece = self.input.read(size + 2)[:-2]
            if size == 0:
                return bytes(body)
            body += piece

    def after_script(self, request):
        page = list_entry(request, self.state.options.lists) if self.state.options.lists else None
        return page or {"body": {"object": "echo", **request}}

    def act(self, entry, n):
        time.sleep(entry.get("delay", 0))
        if entry.get("close"):
            return False
        if "reset" in entry:
            reset(self.sock)
            return False
        if "silence" in entry:
            hold(self.sock)
            return False
        if "raw" in entry:
            self.sock.sendall(entry["raw"].encode("latin-1"))
            return self.then(entry.get("then", "close"))
        return self.answer(entry, n)

    def answer(self, entry, n=0):
        body = entry.get("body", {})
        body = (body if isinstance(body, str) else json.dumps(body)).encode("utf-8")
        if "size" in entry:
            body = b"x" * entry["size"]
        headers = {"content-type": "application/json", "request-id": f"req_{n}"}
        if "file" in entry:
            entry, body, more = part_of_file(entry, self.headers)
            headers.update(more)
        if entry.get("gzip"):
            body = gzip.compress(body)
            headers["content-encoding"] = "gzip"
        headers["transfer-encoding" if entry.get("chunked") else "content-length"] = (
            "chunked" if entry.get("chunked") else str(len(body))
        )
        headers.update({name.lower(): str(value) for name, value in entry.get("headers", {}).items()})
        for status in entry.get("interim", []):
            self.sock.sendall(f"HTTP/1.1 {status} {REASONS.get(status, 'Other')}\r\nX-Interim: 1\r\n\r\n".encode())
        status = entry.get("status", 200)
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Other')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        self.send_answer(head.encode("latin-1"), body, entry)
        return self.then(entry.get("then", "close" if "cut" in entry else None))

    def send_answer(self, head, body, entry):
        body = body[: entry.get("cut", len(body))]
        if entry.get("chunked"):
            pieces = [body[i : i + 1000] for i in range(0, len(body), 1000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\nX-Trailer: 1\r\n\r\n"
        if "slow" not in entry:
            self.sock.sendall(head + body)
            return
        count, seconds = entry["slow"]
        self.sock.sendall(head)
        for i in range(0, len(body), count):
            time.sleep(seconds)
            self.sock.sendall(body[i : i + count])

    def then(self, what):
        if what == "reset":
            reset(self.sock)
        elif what == "hold":
            hold(self.sock)
        return what is None


# ---- Lists ----


def item(kind, prefix, number):
    """Item `number` of a list, counted from the oldest."""
    thing = {
        "id": f"{prefix}_{number:08d}",
        "object": kind,
        "created": 1700000000 + 60 * number,
        "livemode": False,
        "metadata": {"number": str(number)},
    }
    if kind == "charge":
        thing.update(amount=100 + number, currency="usd", description=f"Order {number}", status="succeeded")
        thing.update(customer=f"cus_{number % 97:04d}", paid=True, captured=True, refunded=False)
    else:
        thing.update(expired=False, expires_at=None, file=f"file_{number:08d}")
        thing.update(url=f"https://files.stripe.com/links/{number:08d}")
    return thing


def refusal(status, message, code):
    error = {"type": "invalid_request_error", "message": message, "code": code}
    return {"status": status, "body": {"error": error}}


def page_bounds(query, count, prefix):
    """The numbers [low, high] of a page, oldest and newest, and whether more follow; None: no such item."""
    limit = min(max(int(query.get("limit", 10)), 1), 100)
    name = "starting_after" if "starting_after" in query else "ending_before"
    number = 0
    if name in query:
        digits = query[name].removeprefix(prefix + "_")
        number = int(digits) if digits.isdigit() else 0
        if not 1 <= number <= count:
            return None
    if name == "ending_before" and number:
        return number + 1, min(number + limit, count), number + limit < count
    newest = number - 1 if number else count
    return max(newest - limit + 1, 1), newest, newest > limit


def list_entry(request, count):
    """The answer of the list or item that a path names, or None."""
    url = urllib.parse.urlsplit(request["path"])
    query = dict(urllib.parse.parse_qsl(url.query))
    path, _, name = url.path.rpartition("/") if url.path not in LISTS else (url.path, "", "")
    if path not in LISTS or request["method"] != "GET":
        return None
    kind, prefix = LISTS[path]
    if name:
        digits = name.removeprefix(prefix + "_")
        if digits.isdigit() and 1 <= int(digits) <= count:
            return {"body": item(kind, prefix, int(digits))}
        return refusal(404, f"No such {kind}: '{name}'", "resource_missing")
    bounds = page_bounds(query, count, prefix)
    if not bounds:
        return refusal(400, f"No such {kind}", "resource_missing")
    low, high, more = bounds
    data = [item(kind, prefix, i) for i in range(high, low - 1, -1)]
    return {"body": {"object": "list", "url": path, "has_more": more, "data": data}}


# ---- The process ----


def serve_control(state, sock, _):
    with sock:
        Connection(state, sock, 0).serve()


def serve_connection(state, sock, context):
    number, entry = state.connect()
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if entry:
            reset(sock) if entry.get("reset") else hold_unread(sock)
            return
        if context:
            sock = context.wrap_socket(sock, server_side=True)
        http2 = context and sock.selected_alpn_protocol() == "h2"
        (h2.Connection if http2 else Connection)(state, sock, number).serve()
    except (OSError, ValueError):
        pass  # the client has gone, or speaks something else: what it is tested for
    finally:
        sock.close()


def listen(serve, state, context):
    """Serves a port of the system's choice with a thread for each connection; returns its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def accept():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=serve, args=(state, sock, context), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def read_script(text):
    if not text.lstrip().startswith("["):
        with open(text, encoding="utf-8") as f:
            text = f.read()
    return json.loads(text)


def main():
    parser = argparse.ArgumentParser(description="A scripted HTTP server for tests: see the top of this file.")
    parser.add_argument("script", type=read_script)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--h2", action="store_true")
    parser.add_argument("--log", metavar="FILE")
    parser.add_argument("--lists", type=int, default=0, metavar="N")
    options = parser.parse_args()
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
        context.set_alpn_protocols(["h2"] if options.h2 else ["http/1.1"])
    state = State(options)
    print(("https://" if context else "http://") + listen(serve_connection, state, context))
    print("http://" + listen(serve_control, state, None), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
