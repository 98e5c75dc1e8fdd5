"""The interface of bindings/pinstripe.i in a language without typemaps of its own: Tcl retrieves an object."""

import os
import shutil
import subprocess
import unittest
from pathlib import Path

from support import ROOT, Server

MODULE = Path(os.environ.get("PS_BUILD_DIR", ROOT / "build")) / "tcl/pinstripe.so"


@unittest.skipUnless(MODULE.exists() and shutil.which("tclsh"), "Tcl is not installed, or its module not built")
class Tcl(unittest.TestCase):
    def run_script(self, ident):
        with Server([], "--lists", 9) as server:
            command = ["tclsh", ROOT / "tests/python/retrieve.tcl", MODULE, server.base, ident]
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout.strip(), done.stderr

    def test_an_object(self):
        self.assertEqual(self.run_script("ch_00000005"), (0, "ch_00000005 105", ""))

    def test_an_error(self):
        self.assertEqual(self.run_script("ch_99999999"), (1, "No such charge: 'ch_99999999'", ""))


if __name__ == "__main__":
    unittest.main()
