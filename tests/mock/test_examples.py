"""The examples run, against the servers that stand in for Stripe, and say what they should."""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

SOURCE = Path(os.environ["PS_SOURCE_DIR"])
BUILD = Path(os.environ["PS_BUILD_DIR"])
SERVERS = (sys.executable, SOURCE / "tests/mock/servers.py", "--lists", "250")


class Examples(unittest.TestCase):
    def run_example(self, *command: object, status: int = 0, **environment: str) -> str:
        done = subprocess.run(
            command,
            env={**os.environ, "STRIPE_API_KEY": "sk_test_examples", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def run_host(self, name: str) -> str:
        if not (BUILD / "examples" / name).exists():
            self.skipTest(f"{name} is not built here")
        command = '. "$PS_BUILD_DIR/lua/5.4/env"; PINSTRIPE_API_BASE="$STRIPE_ECHO" exec "$PS_BUILD_DIR/examples/$0"'
        return self.run_example(*SERVERS, "sh", "-c", command, name)

    def test_the_tour_in_lua(self) -> None:
        said = self.run_example(SOURCE / "tests/tools/run-tour", BUILD, "mock", STRIPE_API_KEY="sk_live_not_used")
        for part in ("jenny@example.com; status 200", "250 charges, 563.75 usd, in 3 requests", "is the link to file_"):
            self.assertIn(part, said)
        for part in ("kind invalid_request, status 400, outcome rejected", "kind connection, outcome not_sent"):
            self.assertIn(part, said)
        self.assertNotIn("sk_live_not_used", said)

    def test_a_live_tour_takes_test_keys_alone(self) -> None:
        for key in ("", "sk_live_123", "rk_live_123", "pk_test_123", " sk_test_123"):
            said = self.run_example(SOURCE / "tests/tools/run-tour", BUILD, "live", status=2, STRIPE_API_KEY=key)
            self.assertIn("sk_test_... or rk_test_...", said)
            self.assertNotIn("_123", said)

    def test_the_tour_in_c(self) -> None:
        said = self.run_host("tour")
        self.assertIn("250 charges of 56375 cents", said)
        self.assertIn("invalid_request: No such file_link", said)
        self.assertIn("outcome: not_sent, attempts: 0", said)

    def test_spans_of_calls(self) -> None:
        if not (BUILD / "examples/sandbox").exists():
            self.skipTest("no sandbox is built here")
        command = '. "$PS_BUILD_DIR/lua/5.4/env"; exec lua5.4 "$PS_SOURCE_DIR/examples/lua/tracing.lua"'
        said = self.run_example("sh", "-c", command)
        self.assertRegex(said, r"(?m)^customers.retrieve\n.*status_code=500.*\n.*resend_count=1.*status_code=200")
        self.assertRegex(said, r"(?m)^charges.retrieve\n.*status_code=404.*path=/v1/charges/ch_none$")

    def test_a_payment_in_the_sandbox(self) -> None:
        if not (BUILD / "examples/sandbox").exists():
            self.skipTest("no sandbox is built here")
        command = '. "$PS_BUILD_DIR/lua/5.4/env"; exec lua5.4 "$PS_SOURCE_DIR/examples/lua/payment.lua"'
        said = self.run_example("sh", "-c", command, STRIPE_API_KEY="")
        for part in ("of 20.00 usd is succeeded", "decline_code insufficient_funds", "each with a good signature",
                     "The parcel was delivered.", "250 charges, then all", "charges made: 1"):
            self.assertIn(part, said)
        sums = re.search(r"pending: (\S+) usd; the sum of all balance transactions: (\S+) usd", said)
        self.assertEqual(sums[1], sums[2])

    def test_a_payment_in_the_sandbox_in_c(self) -> None:
        program = BUILD / "examples/sandbox"
        if not program.exists():
            self.skipTest("no sandbox is built here")
        said = self.run_example(program, STRIPE_API_KEY="")
        self.assertRegex(said, r"paid 20\.00 usd: pi_\w+\nrefunded 5\.00 usd: re_\w+\n")
        self.assertIn("card: Your card was declined.", said)
        self.assertRegex(said, r"an answer was lost: pi_\w+ after 2 attempts\n2 payments succeeded in all\n$")

    def test_a_host_lends_its_client(self) -> None:
        said = self.run_host("lua_host").splitlines()
        self.assertEqual(said[0], "ch_00000250\t350")
        self.assertRegex(said[-1], r"^\d+ requests were made$")


if __name__ == "__main__":
    unittest.main()
