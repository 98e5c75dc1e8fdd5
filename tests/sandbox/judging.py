"""What the judges share: a sandbox as a program, and where the tools from the registries stand.

The tools know nothing of the sandbox, and it nothing of them: each gets its address by its own options.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PS_BUILD_DIR", SOURCE / "build"))
TOOLS = SOURCE / "build" / "tools"
KEY = "sk_test_judges"
SKIPPED = 77  # the exit status by which ctest knows a test that had to do without


def tool(path, *, otherwise=None):
    """A tool's path; where it was not to be had, the test says so and is skipped."""
    found = otherwise or next(iter(sorted(TOOLS.glob(path))), None)
    if not found:
        print(f"skipped: there is no {path} in {TOOLS}: .ci/install test fetches it")
        sys.exit(SKIPPED)
    return found


@contextlib.contextmanager
def sandbox(*arguments):
    """Runs `pinstripe sandbox`; gives its URL."""
    command = [BUILD / "bin" / "pinstripe", "sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            words = program.stdout.readline().split()
            url = next((word for word in words if word.startswith("http://")), None)
            if not url:
                raise RuntimeError("the first line of the sandbox's output holds no URL")
            yield url
        finally:
            program.terminate()


def get(url, path, key=KEY):
    """GETs a path; gives status and decoded body."""
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
