"""`pinstripe sandbox`, as a shell or a test runner meets it: what it prints, what it takes, how it ends."""

import json
import os
import re
import signal
import subprocess
import time
import unittest
import urllib.request
from pathlib import Path

PROGRAM = Path(os.environ["PS_BUILD_DIR"]) / "bin/pinstripe"


def said(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False, timeout=20)


class Running:
    """A sandbox, ended at the end of the block if it has not ended yet."""

    def __init__(self, *options: str) -> None:
        command = [PROGRAM, "sandbox", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> "Running":
        self.url = self.process.stdout.readline().rstrip("\n")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def post(self, path: str, body: bytes) -> dict:
        request = urllib.request.Request(self.url + path, body, {"Authorization": "Bearer sk_test_1"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)


class Program(unittest.TestCase):
    def test_the_first_line_is_the_url(self) -> None:
        with Running() as sandbox:
            self.assertRegex(sandbox.url, r"^http://127\.0\.0\.1:\d+$")
            self.assertEqual(sandbox.post("/v1/customers", b"email=a%40b.c")["email"], "a@b.c")

    def test_a_port_and_a_seed_may_be_given(self) -> None:
        with Running("--seed", "5") as sandbox:
            port = sandbox.url.rsplit(":", 1)[1]
            first = sandbox.post("/v1/customers", b"")["id"]
            taken = said("sandbox", "--port", port)
        self.assertEqual(taken.returncode, 1)
        self.assertEqual(taken.stdout, "")
        self.assertIn(f"cannot listen on 127.0.0.1, port {port}: ", taken.stderr)
        with Running("--seed=5", f"--port={port}") as sandbox:
            self.assertEqual(sandbox.url.rsplit(":", 1)[1], port)
            self.assertEqual(sandbox.post("/v1/customers", b"")["id"], first)

    def test_another_address_is_opened_by_name(self) -> None:
        with Running("--listen", "0.0.0.0") as sandbox:
            self.assertRegex(sandbox.url, r"^http://127\.0\.0\.1:\d+$")

    def test_signals_end_it_cleanly(self) -> None:
        for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(which), Running() as sandbox:
                sandbox.post("/v1/customers", b"")
                begin = time.monotonic()
                sandbox.process.send_signal(which)
                out, err = sandbox.process.communicate(timeout=10)
                self.assertEqual(sandbox.process.returncode, 0, err)
                self.assertEqual(out, "")
                self.assertLess(time.monotonic() - begin, 5)

    def test_a_misuse_is_named(self) -> None:
        for words, message in (
            (["sandbox", "--port", "x"], '"x" is not a port'),
            (["sandbox", "--port", "65536"], "the port 65536 is not one of"),
            (["sandbox", "--seed", "-1"], '"-1" is not a seed'),
            (["sandbox", "--seed", "99999999999999999999"], "is not a seed"),
            (["sandbox", "--listen", "localhost"], '"localhost" is not a numeric address'),
            (["sandbox", "--prot", "1"], "--prot"),
            (["sandbox", "more"], '"more" is one word too many'),
            (["sandbx"], 'there is no command "sandbx"'),
            ([], "usage: pinstripe sandbox"),
        ):
            with self.subTest(words):
                done = said(*words)
                self.assertIn(done.returncode, (1, 2))
                self.assertEqual(done.stdout, "")
                self.assertIn(message, done.stderr)

    def test_help(self) -> None:
        for words in (["--help"], ["help"], ["sandbox", "--help"]):
            done = said(*words)
            self.assertEqual(done.returncode, 0)
            self.assertTrue(re.match(r"usage: pinstripe sandbox", done.stdout))
            self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
