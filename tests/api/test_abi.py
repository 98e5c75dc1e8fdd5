"""A program built with an old header reaches the same operations through a newer library."""

import functools
import json
import os
import re
import shutil
import unittest
from pathlib import Path

from support import API, ROOT, checked, generate, generated, host, library, scratch

NEWER = "webhook_endpoints.disable"  # stands between delete and list, where dense numbers would shift


@functools.cache
def newer_tables() -> Path:
    """The tables of the same description with one operation more."""
    folder, out = scratch() / "api", scratch()
    shutil.copytree(API, folder)
    path = folder / "resources" / "webhook_endpoints.json"
    resource = json.loads(path.read_text("utf-8"))
    known = resource["operations"]["webhook_endpoints.update"]
    resource["operations"][NEWER] = {**known, "path": known["path"] + "/disable"}
    path.write_text(json.dumps(resource), "utf-8")
    done = generate(folder, out)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return out


def run_on(program: Path, tables: Path) -> list:
    return checked(program, env={**os.environ, "LD_LIBRARY_PATH": str(library(tables))}).splitlines()


class Abi(unittest.TestCase):
    def test_an_old_program_calls_the_same_operations_through_a_newer_library(self):
        old, new, constants = generated(), newer_tables(), scratch()
        ids = dict(re.findall(r'^#define (PS_\w+) "(.*)"$', (old / "pinstripe_operations.h").read_text("utf-8"), re.M))
        (constants / "constants.inc").write_text(",\n".join(ids), "utf-8")
        program = host(ROOT / "tests" / "api" / "host.c", old, f"-I{constants}")
        (count, *before), (newer_count, *after) = run_on(program, old), run_on(program, new)
        self.assertEqual((int(count), int(newer_count)), (len(ids), len(ids) + 1))
        self.assertEqual(len(before), len(ids))
        self.assertEqual([line.split(" ")[0] for line in before], list(ids.values()))
        self.assertEqual(before, after)
        for line in after:
            self.assertRegex(line, r"^\S+ (GET|POST|DELETE) https://\w[\w.-]+\.stripe\.com/\S+$")
        said = dict(line.split(" ", 1) for line in after)
        base = "https://api.stripe.com/v1/webhook_endpoints"
        self.assertEqual(said["webhook_endpoints.list"], f"GET {base}")
        self.assertEqual(said["webhook_endpoints.delete"], f"DELETE {base}/x")

    def test_the_newer_library_has_the_operation(self):
        header = (newer_tables() / "pinstripe_operations.h").read_text("utf-8")
        self.assertIn(f'#define PS_WEBHOOK_ENDPOINTS_DISABLE "{NEWER}"', header)


if __name__ == "__main__":
    unittest.main()
