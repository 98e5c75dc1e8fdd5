"""Runs the official mock of the API, stripe-mock, on loopback for as long as it is needed.

    stripe_mock.py                 prints its HTTP and its HTTPS address, a line each; ends when standard input does
    stripe_mock.py COMMAND ...     runs a command with them in STRIPE_MOCK and STRIPE_MOCK_TLS; ends when it does

The binary is build/tools/stripe-mock, which `.ci/install test` makes. The mock chooses free ports by itself.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

BINARY = Path(os.environ.get("PS_STRIPE_MOCK") or Path(__file__).resolve().parents[2] / "build/tools/stripe-mock")
LISTENING = re.compile(r"Listening for (HTTPS?) at address: (\S+)")


def end_with_parent() -> None:
    """A test that runs out of time is killed, and cannot end the mock itself."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def start() -> subprocess.Popen:
    command = [BINARY, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0"]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent
    )


def addresses(mock: subprocess.Popen) -> dict:
    """What it listens on, by scheme: it says so once it is ready."""
    found = {}
    for line in mock.stdout:
        match = LISTENING.search(line)
        if match:
            found[match.group(1).lower()] = f"{match.group(1).lower()}://{match.group(2)}"
        if len(found) == 2:
            threading.Thread(target=mock.stdout.read, daemon=True).start()  # a full pipe would stop it
            return found
    raise SystemExit(f"stripe-mock ended before it listened: exit status {mock.wait()}")


def run(command: list, found: dict) -> int:
    if not command:
        print(found["http"], found["https"], sep="\n", flush=True)
        sys.stdin.read()
        return 0
    environment = {**os.environ, "STRIPE_MOCK": found["http"], "STRIPE_MOCK_TLS": found["https"]}
    return subprocess.call(command, env=environment)


def main() -> int:
    if not BINARY.exists():
        raise SystemExit(f"{BINARY} is missing: run .ci/install test")
    mock = start()
    try:
        return run(sys.argv[1:], addresses(mock))
    finally:
        mock.terminate()
        mock.wait()


if __name__ == "__main__":
    sys.exit(main())
