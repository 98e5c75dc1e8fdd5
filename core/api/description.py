"""Reads the description of the API: the JSON files of one folder, overrides applied, checked to the last key.

Whatever is wrong is a Problem, which says where (file and line) and why. What a generator relies on is checked here:
the shape of each entry, that references lead somewhere, that no two operations share a route or a constant's name."""

from __future__ import annotations

import json
import re
from pathlib import Path

NAME, DOTTED = r"[a-z_][a-z0-9_]*", r"[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*"
PATH = r"(/([a-z0-9_.-]+|{[a-z_]+}))+"
EVENT = r"[a-z0-9_]+(\[[a-z_.]+\])?(\.[a-z0-9_]+(\[[a-z_.]+\])?)+"


class Problem(Exception):
    def __init__(self, place: tuple, reason: str) -> None:
        super().__init__(f"{place[0]}:{place[1]}: {reason}")


# Reading: JSON whose maps and lists know where each of their members stands, in `at`.

class Map(dict):
    def __init__(self) -> None:
        super().__init__()
        self.at: dict = {}


class Seq(list):
    def __init__(self) -> None:
        super().__init__()
        self.at: list = []


TOKEN = re.compile(r'\n|[{}\[\]]|"(?:[^"\\]|\\.)*"|[^\s{}\[\]:,"]+')


def tokens(text: str, file: str):
    line = 1
    for match in TOKEN.finditer(text):
        if match[0] == "\n":
            line += 1
        else:
            yield match[0], (file, line)


def build(token: str, rest) -> object:
    """The value that begins with `token`, of a text that is known to be JSON."""
    if token not in "{[":
        return json.loads(token)
    node = Map() if token == "{" else Seq()
    for first, place in rest:
        if first in "}]":
            break
        if isinstance(node, Seq):
            node.at.append(place)
            node.append(build(first, rest))
            continue
        key = json.loads(first)
        if key in node:
            raise Problem(place, f"{quoted(key)} stands here twice")
        node.at[key] = place
        node[key] = build(next(rest)[0], rest)
    return node


def read(folder: Path, file: str) -> object:
    try:
        text = (folder / file).read_text("utf-8")
        json.loads(text)
    except FileNotFoundError:
        raise Problem((file, 1), "no such file") from None
    except UnicodeDecodeError as e:
        raise Problem((file, e.object.count(b"\n", 0, e.start) + 1), "not UTF-8") from None
    except json.JSONDecodeError as e:
        raise Problem((file, e.lineno), f"not JSON: {e.msg}") from None
    rest = tokens(text, file)
    return build(next(rest)[0], rest)


# Checking: a check takes a value and its place, and raises a Problem.

def quoted(value: object) -> str:
    return json.dumps(value)


def like(pattern: str, what: str):
    def check(value: object, place: tuple) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise Problem(place, f"{quoted(value)} is not {what}")
    return check


def one_of(*words: object):
    def check(value: object, place: tuple) -> None:
        if not isinstance(value, (str, bool)) or value not in words:
            raise Problem(place, f"{quoted(value)} is not {' or '.join(map(quoted, words))}")
    return check


def every(check_one, least: int = 1):
    def check(value: object, place: tuple) -> None:
        if not isinstance(value, Seq) or len(value) < least:
            raise Problem(place, f"a list is wanted here, of {least} or more")
        seen = set()
        for one, at in zip(value, value.at):
            check_one(one, at)
            if quoted(one) in seen:
                raise Problem(at, f"{quoted(one)} stands in this list twice")
            seen.add(quoted(one))
    return check


def named(check_name, check_one):
    def check(value: object, place: tuple) -> None:
        if not isinstance(value, Map):
            raise Problem(place, "a map is wanted here")
        for key, one in value.items():
            check_name(key, value.at[key])
            check_one(one, value.at[key])
    return check


def entry(what: str, required: dict, optional: dict | None = None):
    checks = {**required, **(optional or {})}

    def check(value: object, place: tuple) -> None:
        if not isinstance(value, Map):
            raise Problem(place, f"{what} is a map")
        for key, one in value.items():
            if key not in checks:
                raise Problem(value.at[key], f"{what} has no {quoted(key)}, but {', '.join(sorted(checks))}")
            checks[key](one, value.at[key])
        for key in required:
            if key not in value:
                raise Problem(place, f"{what} lacks {quoted(key)}")
    return check


text = like(r"[ -~]+", "text in printable ASCII")
name = like(NAME, "a name (a-z, 0-9, _)")
dotted = like(DOTTED, "a dotted name (a-z, 0-9, _)")
path = like(PATH, "a path (/v1/name/{id})")
event_type = like(EVENT, "the type of an event (object.happened)")
true = one_of(True)
refs = {"any": every(entry("a reference", {"ref": dotted}, {"deleted": true}))}


def types(*flags: str):
    """The check of a type in a position that has these flags."""
    def check(value: object, place: tuple) -> None:
        kind = value.get("type") if isinstance(value, Map) else None
        if not isinstance(kind, str) or kind not in kinds:
            raise Problem(place, f"a type is a map whose \"type\" is one of {', '.join(kinds)}")
        required, optional = kinds[kind]
        entry(f"{kind} here", {"type": text, **required}, {**optional, **dict.fromkeys(flags, true)})(value, place)
        if value.get("values") == [] and "emptyable" not in value:
            raise Problem(value.at["values"], "an enum without words")

    kinds: dict = {
        **dict.fromkeys(("any", "int", "number", "timestamp", "decimal", "int64", "file"), ({}, {})),
        "string": ({}, {"format": one_of("date-time")}), "bool": ({}, {"const": true}),
        "enum": ({"values": every(text, 0)}, {"open": true}), "object": ({"fields": named(name, check)}, {}),
        "array": ({"items": check}, {}), "list": ({"items": check}, {}), "map": ({"of": check}, {"metadata": true}),
        "range": ({"of": one_of("int", "timestamp")}, {"scalar": true}), "ref": ({"ref": dotted}, {"deleted": true}),
        "refs": (refs, {}), "expandable": (refs, {}), "union": ({"any": every(check, 2)}, {}),
    }
    return check


params = named(name, types("required", "emptyable", "deprecated"))
field = types("optional", "nullable", "deprecated")
fields = named(name, field)
origin = {"status": one_of("removed", "preview", "docs_only"), "origin": text, "note": text, "last_api_version": text,
          "last_package_version": text, "version_header_suffix": text}
returned = entry("what is returned", {}, {"ref": dotted, "deleted": true, "omit": every(name), "inline": field})
returns = entry("returns", {"kind": one_of("object", "list", "search_result", "v2_list", "binary", "none", "unknown")},
                {"of": every(returned)})
operation = entry("an operation", {
    "method": one_of("GET", "POST", "DELETE"), "path": path, "encoding": one_of("query", "form", "json", "multipart"),
    "returns": returns, "params": params,
}, {
    "base": name, "kind": one_of("list", "search", "v2_list", "upload", "stream"), "alias_of": dotted,
    "alt_paths": every(like(f"(GET|POST|DELETE) {PATH}", "a method and a path")), "params_required": true,
    "throws": every(like(r"\w+Error", "the name of an error")), "deprecated": true, "stripe_version": text, **origin,
})
url_builder = entry("a URL builder", {"method": one_of("GET"), "base": name, "path": path, "params": params},
                    {"express_path": path, "defaults": named(name, text)})
form = {"sdk_name": text, "id_prefix": name, **origin}
deleted = entry("a deleted form", {"fields": fields}, form)
api_object = entry("an object", {"fields": fields}, {"deleted": deleted, **form})
resource = entry("a resource", {}, {"operations": named(dotted, operation), "objects": named(dotted, api_object),
                                    "url_builders": named(dotted, url_builder)})
event = entry("an event", {}, {"of": every(dotted), "data": fields, **origin})
override = entry("an override", {"reason": text, "at": dotted},
                 {"operation": dotted, "object": dotted, "was": lambda *_: None, "set": lambda *_: None})
FILES = {
    "api.json": entry("api.json", {"version": text, "bases": named(name, text)}, {"source": named(name, text)}),
    "events.json": entry("events.json", dict.fromkeys(("v1", "v2"), named(event_type, event))),
    "errors.json": entry("errors.json", dict.fromkeys(("types", "object_types", "codes", "fields"), every(name)),
                         dict.fromkeys(("v2_classes", "oauth_classes"), named(name, text))),
    "overrides.json": every(override, 0),
}


class Description:
    """The facts: `version`, `bases`, `operations` and `objects` by name, `events` by generation and type, `errors`."""

    def __init__(self, folder: Path) -> None:
        api, self.events, self.errors, overrides = (self.checked(folder, file, FILES[file]) for file in FILES)
        self.version, self.bases = api["version"], api["bases"]
        self.operations, self.objects, self.urls = Map(), Map(), Map()
        names = sorted(f"resources/{path.name}" for path in folder.glob("resources/*.json"))
        files = {file: read(folder, file) for file in names}
        for entries in files.values():
            self.gather(entries)
        for correction, place in zip(overrides, overrides.at):
            self.correct(correction, place)
        for file, entries in files.items():
            resource(entries, (file, 1))
        self.check_references([*files.values(), self.events])
        self.check_operations()
        self.check_urls()
        for kind in ("v1", "v2"):
            self.check_events(self.events[kind], self.events["v1"] if kind == "v2" else {})

    @staticmethod
    def checked(folder: Path, file: str, check) -> object:
        facts = read(folder, file)
        check(facts, (file, 1))
        return facts

    def gather(self, entries: object) -> None:
        """Puts what stands in the files into one map each; their shape is checked later, after the overrides."""
        for section, whole in (("operations", self.operations), ("objects", self.objects),
                               ("url_builders", self.urls)):
            part = entries.get(section) if isinstance(entries, Map) else None
            for key in part if isinstance(part, Map) else ():
                if key in whole:
                    raise Problem(part.at[key], f"{key} stands in {whole.at[key][0]}, too")
                whole[key], whole.at[key] = part[key], part.at[key]

    def correct(self, correction: Map, place: tuple) -> None:
        wholes = {"operation": self.operations, "object": self.objects}
        targets = [(key, wholes[key]) for key in wholes if key in correction]
        if len(targets) != 1 or not {"was", "set"} & set(correction):
            raise Problem(place, "an override has an operation or an object, and was, set or both")
        kind, whole = targets[0]
        if correction[kind] not in whole:
            raise Problem(correction.at[kind], f"there is no {kind} {correction[kind]}")
        node, (*way, last) = whole[correction[kind]], correction["at"].split(".")
        for step in way:
            node = node.get(step) if isinstance(node, Map) else None
        if not isinstance(node, Map) or node.get(last) != correction.get("was"):
            raise Problem(place, f"{correction[kind]} does not have at {correction['at']} what this corrects")
        node.pop(last, None)
        if "set" in correction:
            node[last], node.at[last] = correction["set"], correction.at["set"]

    def check_references(self, nodes: list) -> None:
        for node in nodes:
            if isinstance(node, Map) and isinstance(node.get("ref"), str):
                self.check_reference(node)
            members = node.values() if isinstance(node, Map) else node
            self.check_references([member for member in members if isinstance(member, (Map, Seq))])

    def check_reference(self, ref: Map) -> None:
        known = self.objects.get(ref["ref"])
        if known is None:
            raise Problem(ref.at["ref"], f"there is no object {ref['ref']}")
        if "deleted" in ref and "deleted" not in known:
            raise Problem(ref.at["deleted"], f"{ref['ref']} has no deleted form")
        for field_name in ref.get("omit", ()):
            if field_name not in known["fields"]:
                raise Problem(ref.at["omit"], f"{ref['ref']} has no field {field_name}")

    def check_operations(self) -> None:
        seen: dict = {}
        services = {op_id.rpartition(".")[0] for op_id in self.operations}
        for op_id, op in self.operations.items():
            place = self.operations.at[op_id]
            if "." not in op_id or op_id in services:
                raise Problem(place, f"{op_id} is no name of an operation, service.name, apart from all services")
            if op.get("base", "api") not in self.bases:
                raise Problem(op.at["base"], f"there is no base {op['base']}")
            self.check_returns(op["returns"], op.at["returns"])
            taken = ["PS_" + op_id.replace(".", "_").upper(), f"{op['method']} {re.sub('{.*?}', '{}', op['path'])}"]
            if "alias_of" in op:
                self.check_alias(op, taken.pop())
            for key in taken:
                if key in seen:
                    raise Problem(place, f"{op_id} and {seen[key]} are both {key}")
                seen[key] = op_id

    def check_urls(self) -> None:
        services = {op_id.rpartition(".")[0] for op_id in self.operations}
        for url_id, url in self.urls.items():
            if url_id in self.operations or url_id.rpartition(".")[0] not in services:
                raise Problem(self.urls.at[url_id], f"{url_id} is no name beside the operations of a service")
            if url["base"] not in self.bases:
                raise Problem(url.at["base"], f"there is no base {url['base']}")

    @staticmethod
    def check_returns(returns: Map, place: tuple) -> None:
        if ("of" in returns) == (returns["kind"] in ("binary", "none", "unknown")):
            raise Problem(place, f"returns of kind {returns['kind']} {'have no' if 'of' in returns else 'lack'} \"of\"")
        for one in returns.get("of", ()):
            if ("ref" in one) == ("inline" in one):
                raise Problem(place, "what is returned is a ref or inline")

    def check_alias(self, op: Map, route: str) -> None:
        known = self.operations.get(op["alias_of"], {})
        if "alias_of" in known or f"{known.get('method')} {re.sub('{.*?}', '{}', known.get('path', ''))}" != route:
            raise Problem(op.at["alias_of"], f"there is no operation {op['alias_of']} that is {route}")

    def check_events(self, events: Map, others: dict) -> None:
        for kind, facts in events.items():
            for known in facts.get("of", ()):
                if known not in self.objects:
                    raise Problem(facts.at["of"], f"there is no object {known}")
            if kind in others:
                raise Problem(events.at[kind], f"{kind} is an event of v1, too")
