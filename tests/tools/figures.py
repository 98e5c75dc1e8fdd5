"""Measures what DESIGN promises of the sources' shape, and fails when a promise is broken.

    functions   median of 12 lines at most, nine of ten within 40, none over 60
    core        at most 5,250 lines of code in its C sources, blank lines and comments not counted
    order       a core file includes only what stands above it; one file knows yajl, one libcurl, one OpenSSL

Usage: figures.py [ROOT]
"""

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MEDIAN, MOST, LONGEST, CORE_LINES = 12, 40, 60, 5250

# From the bottom up; files of one line stand on the same step.
ORDER = [
    ["arena", "buf"],
    ["error"],
    ["value"],
    ["json"],
    ["form"],
    ["api"],
    ["request"],
    ["retry"],
    ["result"],
    ["download"],
    ["exchange"],
    ["page"],
    ["http"],
    ["client"],
    ["loop"],
    ["webhook"],
    ["notification"],
    ["meter"],
    ["log"],
]
STEP = {name: step for step, names in enumerate(ORDER) for name in names}
ONLY = {"yajl": "json", "curl": "http", "openssl": "webhook"}
PUBLIC = {"pinstripe", "pinstripe_operations"}


class Function(NamedTuple):
    path: Path
    line: int
    name: str
    length: int


def blank(match: re.Match) -> str:
    return "\n" * match.group().count("\n")


def strip_c(text: str) -> str:
    """The text without comments, and with empty strings, on the same lines."""
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)


def c_functions(path: Path) -> Iterator[Function]:
    """A function begins at the left margin, has parameters before its brace, and ends with a brace at the margin."""
    lines = strip_c(path.read_text()).split("\n")
    begin, head = 0, ""
    for number, line in enumerate(lines):
        if re.match(r"[A-Za-z_]", line):
            begin, head = number, ""
        head += line + "\n"
        if not line.startswith("}") and not re.match(r"[A-Za-z_].*\)\s*\{.*\}\s*$", line):
            continue
        before_body = head.split("{")[0]
        name = re.search(r"(\w+)\s*\([^{}]*\)\s*$", before_body)
        if name and "=" not in before_body and not before_body.startswith("typedef"):
            yield Function(path, begin + 1, name.group(1), number - begin + 1)
        head = "typedef"


def lua_functions(path: Path) -> Iterator[Function]:
    """Functions at the left margin; those inside them count as part of them."""
    begin, name = -1, ""
    for number, line in enumerate(path.read_text().split("\n")):
        head = re.match(r"(?:local )?function ([\w.:]+)|(?:local )?([\w.]+) = function\b", line)
        if head:
            begin, name = number, head.group(1) or head.group(2)
        if begin >= 0 and (re.match(r"end\b", line) or (begin == number and re.search(r"\bend\s*$", line))):
            yield Function(path, begin + 1, name, number - begin + 1)
            begin = -1


def python_functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Function(path, node.lineno, node.name, node.end_lineno - node.lineno + 1)


READERS = {".c": c_functions, ".h": c_functions, ".lua": lua_functions, ".py": python_functions}


def functions(root: Path) -> list:
    found = []
    for folder in ("core", "lua", "bindings", "python"):
        for path in sorted((root / folder).rglob("*")):
            found += READERS.get(path.suffix, lambda _: ())(path)
    return found


def check_functions(found: list) -> Iterator[str]:
    lengths = sorted(f.length for f in found)
    median, most = statistics.median(lengths), lengths[len(lengths) * 9 // 10]
    print(f"functions: {len(found)}, median {median:g} lines, nine of ten within {most}, longest {lengths[-1]}")
    if median > MEDIAN:
        yield f"the median function has {median:g} lines, over {MEDIAN}"
    if most > MOST:
        yield f"nine of ten functions have up to {most} lines, over {MOST}"
    for f in found:
        if f.length > LONGEST:
            yield f"{f.path}:{f.line}: {f.name} has {f.length} lines, over {LONGEST}"


def code_lines(path: Path) -> int:
    text = path.read_text()
    if path.suffix != ".py":
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("# "))


def check_size(core: Path) -> Iterator[str]:
    sources = sum(map(code_lines, core.glob("*.c")))
    headers = sum(map(code_lines, [*core.glob("*.h"), *core.glob("*.def")]))
    generator = sum(map(code_lines, (core / "api").rglob("*.py")))
    print(f"core: {sources} lines of code in C, {headers} in headers and lists, {generator} in the generator")
    if sources > CORE_LINES:
        yield f"the C sources of core have {sources} lines of code, over {CORE_LINES}"


def check_order(core: Path) -> Iterator[str]:
    for path in sorted(core.glob("*.[ch]")):
        if path.stem in PUBLIC:
            continue
        if path.stem not in STEP:
            yield f"{path}: not in the order of DESIGN"
            continue
        for included in re.findall(r'^#include ["<]([^">]+)[">]', path.read_text(), re.M):
            yield from check_include(path, included)


def check_include(path: Path, included: str) -> Iterator[str]:
    folder, name = included.split("/")[0], Path(included).stem
    if ONLY.get(folder, path.stem) != path.stem:
        yield f"{path}: includes <{included}>, which only {ONLY[folder]}.c knows"
    if name in STEP and "/" not in included and STEP[name] > STEP[path.stem]:
        yield f'{path}: includes "{included}", which stands above it'


def main(arguments: list) -> int:
    root = Path(arguments[1] if len(arguments) > 1 else ".")
    found = functions(root)
    failures = [*check_functions(found), *check_size(root / "core"), *check_order(root / "core")]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
