"""What the tests of the description share: running its scripts, compiling what they print."""

import functools
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
API = ROOT / "core" / "api"
TINY = Path(__file__).resolve().parent / "tiny"
CC = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-fPIC", "-fvisibility=hidden", f"-I{ROOT / 'core'}"]

_folders = []  # deleted when the process ends


def scratch() -> Path:
    folder = tempfile.TemporaryDirectory()
    _folders.append(folder)
    return Path(folder.name)


def run(*command: object, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


def checked(*command: object, **options: object) -> str:
    done = run(*command, **options)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def generate(api: Path, out: Path, **options: object) -> subprocess.CompletedProcess:
    arguments = ["--options", TINY / "options.def"] if TINY in (api, *api.parents) else []
    return run(sys.executable, API / "generate.py", "--api", api, *arguments, "--out", out, **options)


@functools.cache
def generated() -> Path:
    """The folder of what is printed from the description itself."""
    out = scratch()
    done = generate(API, out)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return out


@functools.cache
def library(tables: Path) -> Path:
    """The folder of a libpinstripe.so made of the core and the tables in a folder."""
    out = scratch()
    sources = [*sorted((ROOT / "core").glob("*.c")), tables / "api_tables.c"]
    checked(*CC, "-O0", f"-I{tables}", *package_flags("--cflags"), "-c", *sources, cwd=out)
    checked("gcc", "-shared", "-o", out / "libpinstripe.so", *sorted(out.glob("*.o")), *package_flags("--libs"), "-lm",
            "-pthread")
    return out


def package_flags(which: str) -> list:
    return shlex.split(checked("pkg-config", which, "libcurl", "yajl", "libcrypto"))


def host(source: Path, tables: Path, *flags: object) -> Path:
    """A program that was built against the library of `tables`, and finds its library by LD_LIBRARY_PATH."""
    program = scratch() / source.stem
    folder = library(tables)
    checked("gcc", "-std=c11", f"-I{ROOT / 'core'}", f"-I{tables}", *flags, source, f"-L{folder}", "-lpinstripe", "-o",
            program)
    return program


def read_facts() -> dict:
    """The description as plain JSON, overrides applied: operations, objects, url_builders, events, errors."""
    facts = {name: json.loads((API / f"{name}.json").read_text("utf-8")) for name in ("api", "events", "errors")}
    facts["operations"], facts["objects"], facts["url_builders"] = {}, {}, {}
    for path in sorted(API.glob("resources/*.json")):
        parts = json.loads(path.read_text("utf-8"))
        for section in ("operations", "objects", "url_builders"):
            facts[section].update(parts.get(section, {}))
    for override in json.loads((API / "overrides.json").read_text("utf-8")):
        kind = "operation" if "operation" in override else "object"
        node = facts[f"{kind}s"][override[kind]]
        *way, last = override["at"].split(".")
        for step in way:
            node = node[step]
        node.pop(last, None)
        if "set" in override:
            node[last] = override["set"]
    return facts
