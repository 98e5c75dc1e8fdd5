#!/usr/bin/env python3
"""Prints what is made from the description of the API: generate.py [--api DIR] [--options FILE] --out DIR

  api_tables.c             the tables that the core reads
  pinstripe_operations.h   a constant for each operation
  meta/*.lua               annotations for editors (LuaCATS)
  stubs/*.pyi              the types of the Python package

Same description, same bytes. A description that is wrong prints nothing: one line says file, line and reason."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is left in the tree

from description import Description, Problem  # noqa: E402
from meta import Meta  # noqa: E402
from stubs import Stubs  # noqa: E402
from tables import Overflow, Tables  # noqa: E402

HERE = Path(__file__).resolve().parent
HEAD = "Printed by core/api/generate.py from the description of the Stripe API {}. Change that, not this."


def operations(ids: list) -> str:
    lines = [f'#define PS_{op_id.upper().replace(".", "_")} "{op_id}"' for op_id in ids]
    guard = "PINSTRIPE_OPERATIONS_H"
    return "\n".join([f"#ifndef {guard}", f"#define {guard}", "", *lines, "", "#endif", ""])


def generate(api: Path, options: Path) -> dict:
    """Every text by its path in the output folder."""
    tables = Tables(Description(api))
    head = HEAD.format(tables.d.version)
    pages = Meta(tables).pages(f"-- {head}\n-- luacheck: ignore", (HERE / "library.lua").read_text("utf-8"),
                               options.read_text("utf-8"))
    stubs = Stubs(tables).texts(f"# {head}\n# mypy: ignore-errors", (HERE / "library.pyi").read_text("utf-8"))
    return {"api_tables.c": f"/* {head} */\n{tables.c()}",
            "pinstripe_operations.h": f"/* {head} */\n{operations(tables.ids)}",
            **{f"meta/{name}.lua": page for name, page in pages.items()},
            **{f"stubs/{name}.pyi": page for name, page in stubs.items()}}


def main() -> int:
    parser = argparse.ArgumentParser(description="print the C tables, the constants and the annotations of the API")
    parser.add_argument("--api", type=Path, default=HERE, help="the folder of the description")
    parser.add_argument("--options", type=Path, default=HERE.parent / "options.def", help="the list of options")
    parser.add_argument("--out", type=Path, required=True, help="the folder to print to")
    args = parser.parse_args()
    try:
        texts = generate(args.api, args.options)
    except (Problem, Overflow) as e:
        print(e, file=sys.stderr)
        return 1
    for path, text in texts.items():
        (args.out / path).parent.mkdir(parents=True, exist_ok=True)
        (args.out / path).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
