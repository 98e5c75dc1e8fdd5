#!/usr/bin/env python3
"""Lays facts of the API out as the folder of this script: import.py FACTS.json [LEGACY.json] [--api DIR]

UPDATING.md describes the facts. They are laid out for people: a file for each resource, everything in the order of its
name, one fact a line, and nothing that follows from something else (a service and a name from the id, path parameters
and the version from the path). The same facts give the same bytes, so that a diff shows what changed in the API.
overrides.json is a person's, and left alone."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

LIST_WIDTH = 72  # a longer list has a line for each member
# Maps from names to facts; all other maps have these keys, in this order.
NAMED = ("fields", "params", "data", "operations", "url_builders", "objects", "v1", "v2", "bases", "source", "defaults",
         "v2_classes", "oauth_classes")
KEYS = (
    "operations", "url_builders", "objects", "version", "source", "bases", "v1", "v2", "types", "object_types", "codes",
    "v2_classes", "oauth_classes", "sdk_name", "id_prefix", "method", "path", "express_path", "alt_paths", "base",
    "kind", "encoding", "alias_of", "status", "origin", "stripe_version", "version_header_suffix",
    "last_package_version", "last_api_version", "note", "throws", "returns", "params_required", "defaults", "type",
    "ref", "format", "const", "required", "optional", "emptyable", "nullable", "deprecated", "open", "metadata",
    "scalar", "omit", "inline", "of", "items", "any", "values", "params", "data", "fields", "deleted")
# Maps each of whose members has a line of its own, and what the members of named ones are.
BLOCKS = (*NAMED, "deleted", "file", "entry")
INSIDE = {**dict.fromkeys(NAMED, ""), **dict.fromkeys(("operations", "url_builders", "objects"), "entry")}
DEFAULTS = {"base": "api", "kind": "plain", "params_required": False, "deprecated": False}


def arrange(value: object, key: str = "") -> object:
    """The same facts in the order of the layout."""
    if isinstance(value, list):
        return [arrange(member) for member in value]
    if not isinstance(value, dict):
        return value
    if key in NAMED:
        return {name: arrange(value[name]) for name in sorted(value)}
    for unknown in set(value) - set(KEYS):
        sys.exit(f"import.py: this layout knows no {unknown!r}, which stands in {json.dumps(value)[:200]}")
    return {k: arrange(value[k], k) for k in KEYS if k in value}


def lay(value: object, key: str, pad: str = "") -> str:
    """The text of a value. What is no block stands on one line, up to the block inside it."""
    if isinstance(value, dict):
        block = key in BLOCKS
        inner = pad + "  " if block else pad
        parts = [f"{json.dumps(k)}: {lay(v, INSIDE.get(key, k), inner)}" for k, v in value.items()]
    elif isinstance(value, list):
        parts = [lay(member, "", pad + "  ") for member in value]
        block = len(", ".join(parts)) > LIST_WIDTH or any("\n" in part for part in parts)
    else:
        return json.dumps(value)
    start, end = "{}" if isinstance(value, dict) else "[]"
    if block and parts:
        return start + "\n" + ",\n".join(f"{pad}  {part}" for part in parts) + f"\n{pad}{end}"
    return start + ", ".join(parts) + end


def operation(op: dict) -> dict:
    """An operation without what follows from its id and path."""
    service, _, name = op["id"].rpartition(".")
    follows = {"id": op["id"], "service": service, "name": name, "path_params": re.findall(r"{(\w+)}", op["path"]),
               "version": "v2" if op["path"].startswith("/v2/") else "v1"}
    for key, value in follows.items():
        if op[key] != value:
            sys.exit(f"import.py: {op['id']}: {key} is {op[key]!r}, not {value!r}")
    return {key: value for key, value in op.items() if key not in follows and DEFAULTS.get(key) != value}


def home_of_service(service: str, services: set) -> str:
    """The shortest beginning of a service's path that has operations of its own."""
    ends = [match.start() for match in re.finditer(r"\.", service)]
    return next((service[:end] for end in ends if service[:end] in services), service)


def home_of_object(name: str, resources: set) -> str:
    """The resource that is its plural, or has its name; else a file of its own."""
    plural = re.sub(r"y$", "ie", name) + ("es" if name.endswith(("s", "x", "ch")) else "s")
    return next((n for n in (plural, name) if n in resources), name)


def resources(facts: dict) -> dict:
    services = {op["service"] for op in facts["operations"]}
    files: dict = {}

    def put(home: str, section: str, name: str, entry: dict) -> None:
        files.setdefault(home, {}).setdefault(section, {})[name] = entry

    for op in facts["operations"]:
        put(home_of_service(op["service"], services), "operations", op["id"], operation(op))
    for builder in facts["url_builders"]:
        home = home_of_service(builder["id"].rpartition(".")[0], services)
        put(home, "url_builders", builder["id"], {key: builder[key] for key in builder if key != "id"})
    homes = {home_of_service(service, services) for service in services}
    for name, entry in facts["objects"].items():
        deleted = facts["deleted_objects"].get(name)
        put(home_of_object(name, homes), "objects", name, dict(entry, deleted=deleted) if deleted else entry)
    return {f"resources/{home}.json": parts for home, parts in files.items()}


def event(facts: dict) -> dict:
    about = facts.get("object", facts.get("related_object"))
    rest = {key: value for key, value in facts.items() if key not in ("type", "object", "related_object")}
    return {**rest, "of": about if isinstance(about, list) else [about]} if about else rest


def layout(facts: dict) -> dict:
    """The text of each file by its path in the folder."""
    known = facts["errors"]
    errors = {key: sorted(known[key]) for key in ("types", "object_types", "codes", "fields")}
    for ours, theirs in (("v2_classes", "generateV2Error"), ("oauth_classes", "generateOAuthError")):
        errors[ours] = known["classes_by_type"][theirs]
    files = {"api.json": {"version": facts["api_version"], "source": facts["source"], "bases": facts["bases"]},
             "errors.json": errors,
             "events.json": {kind: {e["type"]: event(e) for e in facts["events"][kind]} for kind in ("v1", "v2")},
             **resources(facts)}
    return {path: lay(arrange(entries), "file") + "\n" for path, entries in files.items()}


def read(paths: list) -> dict:
    """The facts of all files together."""
    whole: dict = {"operations": [], "url_builders": [], "objects": {}, "deleted_objects": {},
                   "events": {"v1": [], "v2": []}}
    for path in paths:
        facts = json.loads(path.read_text("utf-8"))
        for key in ("operations", "url_builders"):
            whole[key] += facts.pop(key, [])
        for key in ("objects", "deleted_objects"):
            whole[key].update(facts.pop(key))
        for kind, events in facts.pop("events").items():
            whole["events"][kind] += events
        whole.update(facts)
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description="lay facts of the API out, a file for each resource")
    parser.add_argument("facts", type=Path, nargs="+")
    parser.add_argument("--api", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    texts = layout(read(args.facts))
    (args.api / "resources").mkdir(parents=True, exist_ok=True)
    for old in set(args.api.glob("resources/*.json")) - {args.api / path for path in texts}:
        old.unlink()
    for path, text in texts.items():
        (args.api / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
