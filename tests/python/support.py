"""What the tests share: the scripted server of tests/faults, clients for it, and transports that answer from a list."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(os.environ.get("PS_SOURCE_DIR") or Path(__file__).resolve().parents[2])
KEY = "sk_test_51SpecsSpecsSpecsSpecs9Xy2"

import pinstripe  # noqa: E402


class Server:
    """tests/faults/server.py with a script; `client()` talks to it."""

    def __init__(self, script=(), *arguments):
        command = [sys.executable, str(ROOT / "tests/faults/server.py"), json.dumps(list(script)), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.base = self.process.stdout.readline().strip()
        self.control = self.process.stdout.readline().strip()

    def client(self, **options):
        bases = {f"{name}_base": self.base for name in ("api", "files", "connect", "meter_events")}
        options = {**bases, **options}
        return pinstripe.StripeClient(KEY, **options)

    def requests(self):
        with urllib.request.urlopen(self.control + "/_log") as reply:
            return json.load(reply)["data"]

    def script(self, script):
        request = urllib.request.Request(self.control + "/_script", json.dumps(script).encode(), method="POST")
        urllib.request.urlopen(request).close()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Stage:
    """A transport that answers from a list: values that are sent as JSON, or (status, headers, body), or exceptions."""

    def __init__(self, *replies):
        self.replies, self.requests, self.slept = list(replies), [], []

    def send(self, request):
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, tuple):
            return reply
        return 200, {"Request-Id": f"req_{len(self.requests)}"}, json.dumps(reply)

    def sleep(self, seconds):
        self.slept.append(seconds)

    def client(self, **options):
        return pinstripe.StripeClient(KEY, transport=self, **options)


def load_cases(name):
    with open(ROOT / "tests/cases" / name, encoding="utf-8") as f:
        return json.load(f)


def has_sandbox():
    try:
        pinstripe.sandbox().close()
    except OSError:
        return False
    return True
