"""Programs written for stripe-python run unchanged, but for the import, and print the same lines with both libraries:
each against a sandbox of its own, with the same seed. The official library stands in build/tools/official."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pinstripe
from support import ROOT, has_sandbox

OFFICIAL = ROOT / "build/tools/official/bin/python"
PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))


@unittest.skipUnless(OFFICIAL.exists(), "the official library is not installed (.ci/install test)")
@unittest.skipUnless(has_sandbox(), "no sandbox is built")
@unittest.skipUnless(sys.version_info[:2] == (3, 11), "once is enough")
class Migration(unittest.TestCase):
    maxDiff = None

    def run_program(self, python, path, **environment):
        with pinstripe.sandbox(seed=7) as sandbox:
            done = subprocess.run(
                [str(python), "-W", "ignore", str(path)],
                env={**os.environ, "STRIPE_KEY": sandbox.key, "STRIPE_BASE": sandbox.url, **environment},
                capture_output=True,
                text=True,
                timeout=60,
            )
        return done.stdout, "\n".join(done.stderr.splitlines()[-6:])


def add_test(path):
    def test(self):
        text = path.read_text(encoding="utf-8")
        moved = re.sub(r"^import stripe$", "import pinstripe as stripe", text, flags=re.M)
        moved = re.sub(r"^from stripe import", "from pinstripe import", moved, flags=re.M)
        self.assertNotEqual(moved, text)
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder) / path.name
            other.write_text(moved, encoding="utf-8")
            ours = self.run_program(sys.executable, other)
        official = self.run_program(OFFICIAL, path, PYTHONPATH="")
        self.assertEqual(official[1], "")
        self.assertEqual(ours, official)
        self.assertGreater(ours[0].count("\n"), 1)

    setattr(Migration, f"test_{path.stem}", test)


for _path in PROGRAMS:
    add_test(_path)


if __name__ == "__main__":
    unittest.main()
