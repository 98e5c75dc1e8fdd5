"""Runs what stands in for Stripe, on loopback, for as long as it is needed: the official mock, stripe-mock, whose lists
have one item, and the scripted server of tests/faults, which echoes requests and has lists of many pages.

    servers.py [--lists N]                prints STRIPE_MOCK=..., STRIPE_MOCK_TLS=... and STRIPE_ECHO=..., a line each;
                                          ends when standard input does
    servers.py [--lists N] COMMAND ...    runs a command with these in its environment; ends when it does

stripe-mock is build/tools/stripe-mock, which `.ci/install test` makes, or PS_STRIPE_MOCK. Ports are chosen freely.
"""

import argparse
import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOCK = Path(os.environ.get("PS_STRIPE_MOCK") or ROOT / "build/tools/stripe-mock")
LISTENING = re.compile(r"Listening for (HTTPS?) at address: (\S+)")
VARIABLES = {"HTTP": "STRIPE_MOCK", "HTTPS": "STRIPE_MOCK_TLS"}


def end_with_parent() -> None:
    """A test that runs out of time is killed, and cannot end its servers itself."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


@contextlib.contextmanager
def process(*command: object) -> Iterator[subprocess.Popen]:
    command = [str(part) for part in command]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, preexec_fn=end_with_parent) as started:
        try:
            yield started
        finally:
            started.terminate()


def mock_addresses(mock: subprocess.Popen) -> dict:
    """What stripe-mock listens on: it says so once it is ready."""
    found = {}
    for line in mock.stdout:
        match = LISTENING.search(line)
        if match:
            scheme, address = match.groups()
            found[VARIABLES[scheme]] = f"{scheme.lower()}://{address}"
        if len(found) == len(VARIABLES):
            threading.Thread(target=mock.stdout.read, daemon=True).start()  # a full pipe would stop it
            return found
    raise SystemExit(f"stripe-mock ended before it listened: exit status {mock.wait()}")


def run(command: list, found: dict) -> int:
    if command:
        return subprocess.call(command, env={**os.environ, **found})
    print(*(f"{name}={value}" for name, value in found.items()), sep="\n", flush=True)
    sys.stdin.read()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--lists", default="0")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not MOCK.exists():
        raise SystemExit(f"{MOCK} is missing: run .ci/install test")
    scripted = (sys.executable, ROOT / "tests/faults/server.py", "[]", "--lists", options.lists)
    with process(MOCK, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0") as mock, process(*scripted) as echo:
        return run(options.command, {**mock_addresses(mock), "STRIPE_ECHO": echo.stdout.readline().strip()})


if __name__ == "__main__":
    sys.exit(main())
