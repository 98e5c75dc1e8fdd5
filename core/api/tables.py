"""The description as rows of 16-bit indices into pools without duplicates, and their print as C (core/api.h).

A row is a tuple; a string in it stands for its index, which is known once all are collected and sorted."""

from __future__ import annotations

import re
from collections import namedtuple

from description import Description

LIMIT = 0xFFFF
NONE = 0xFFFF
CHUNK = 4096
FLAGS = {flag: 1 << i for i, flag in enumerate((
    "required", "optional", "emptyable", "nullable", "deprecated", "open", "date_time", "metadata", "scalar", "deleted",
    "true"))}
OF_FIELD = FLAGS["open"] - 1  # the flags before it belong to a field's row
SPELLED = {"format": "date_time", "const": "true"}
OBJECT_NAME = {"type": "string"}
PAGES = {
    "list": {"object": OBJECT_NAME, "has_more": {"type": "bool"}, "url": {"type": "string"}},
    "search_result": {"object": OBJECT_NAME, "has_more": {"type": "bool"}, "url": {"type": "string"},
                      "next_page": {"type": "string", "nullable": True},
                      "total_count": {"type": "int", "optional": True}},
    "v2_list": {"next_page_url": {"type": "string", "nullable": True},
                "previous_page_url": {"type": "string", "nullable": True}},
}


Type = namedtuple("Type", "kind flags first count of")
Operation = namedtuple("Operation", "id name method path base kind encoding returns_kind status stripe_version service "
                       "params returns alias_of path_params path_param_count throws throws_count version flags")
PARAMS_REQUIRED, DEPRECATED = 1, 2


class Overflow(Exception):
    pass


class Pool:
    """Rows, or runs of rows, each kept once; `add` tells where it begins."""

    def __init__(self, what: str) -> None:
        self.what, self.rows, self.places = what, [], {}

    def add(self, *run: object) -> int:
        if run not in self.places:
            self.places[run] = len(self.rows)
            self.rows.extend(run)
            if len(self.rows) > LIMIT:
                raise Overflow(f"more than {LIMIT:,} {self.what}: 16 bits cannot count them")
        return self.places[run]

    def run(self, run: list) -> tuple:
        """(first, count) of a run."""
        return (self.add(*run), len(run)) if run else (0, 0)


def flags_of(t: dict) -> int:
    return sum(FLAGS.get(SPELLED.get(key, key), 0) for key, value in t.items() if value is True or key == "format")


class Tables:
    def __init__(self, d: Description) -> None:
        self.d = d
        self.lists, self.fields, self.types = Pool("list members"), Pool("fields"), Pool("types")
        self.object_names, self.ids = sorted(d.objects), sorted(d.operations)
        self.forms = {}  # the type of each object and of its deleted form, known before their fields are
        for name in self.object_names:
            for deleted in (False, True)[:1 + ("deleted" in d.objects[name])]:
                self.forms[name, deleted] = self.types.add(("form", name, deleted))
        for (name, deleted), index in self.forms.items():
            facts = d.objects[name]["deleted"] if deleted else d.objects[name]
            self.types.rows[index] = self.form(name, facts["fields"], deleted)
        self.string_type = self.type(OBJECT_NAME)
        self.services = self.service_rows()
        self.operations = [self.operation_row(op_id) for op_id in self.ids]
        self.objects = [self.object_row(name) for name in self.object_names]
        self.events = sorted(self.event_row(thin, event_type, event) for thin, kind in enumerate(("v1", "v2"))
                             for event_type, event in d.events[kind].items())
        self.urls = [self.url_row(url_id) for url_id in sorted(d.urls)]
        self.bases = self.lists.run([text for base in sorted(d.bases) for text in (base, d.bases[base])])
        self.codes = self.lists.run(sorted(d.errors["codes"]))
        self.routes = self.route_rows()
        self.strings = self.collect()

    # Types

    def type(self, t: dict, flags: int = 0) -> int:
        """The index of a type; `flags`: those that no field's row holds."""
        kind = {"refs": "union"}.get(t.get("type", "ref"), t.get("type", "ref"))
        first, count, of = 0, 0, NONE
        if kind == "enum":
            first, count = self.lists.run(list(t["values"]))
        elif kind == "object":
            first, count = self.run_of_fields(t["fields"])
        elif kind in ("expandable", "union"):
            first, count = self.lists.run([self.item(one) for one in t["any"]])
        elif kind in ("array", "map"):
            of = self.item(t["items"] if kind == "array" else t["of"])
        elif kind == "list":
            return self.page(PAGES["list"], self.item(t["items"]), flags)
        elif kind == "range":
            of = self.type({"type": t["of"]})
            first, count = self.run_of_fields(dict.fromkeys(("gt", "gte", "lt", "lte"), {"type": t["of"]}))
        elif kind == "ref":
            of = self.omitting(t) if "omit" in t else self.forms[t["ref"], "deleted" in t]
        return self.types.add(Type(kind, flags | flags_of(t) & ~OF_FIELD, first, count, of))

    def item(self, t: dict) -> int:
        return self.type(t, flags_of(t) & OF_FIELD)

    def page(self, page: dict, item: int, flags: int = 0) -> int:
        data = ("data", self.types.add(Type("array", 0, 0, 0, item)), 0)
        rows = [(name, self.type(t), flags_of(t) & OF_FIELD) for name, t in page.items()]
        return self.types.add(Type("list", flags, *self.fields.run(sorted([data, *rows])), item))

    def run_of_fields(self, fields: dict) -> tuple:
        return self.fields.run([(name, self.type(fields[name]), flags_of(fields[name]) & OF_FIELD)
                                for name in sorted(fields)])

    def form(self, name: str, fields: dict, deleted: bool = False) -> Type:
        flags = FLAGS["deleted"] if deleted else 0
        return Type("object", flags, *self.run_of_fields(fields), self.object_names.index(name))

    # Rows

    def returned(self, returns: dict) -> int:
        one = [self.item(t.get("inline") or t) for t in returns.get("of", ())]
        if not one:
            return NONE
        item = one[0] if len(one) == 1 else self.types.add(Type("union", 0, *self.lists.run(one), NONE))
        return self.page(PAGES[returns["kind"]], item) if returns["kind"] in PAGES else item

    def omitting(self, ref: dict) -> int:
        """A form of an API object without some of its fields."""
        fields = {n: t for n, t in self.d.objects[ref["ref"]]["fields"].items() if n not in ref["omit"]}
        return self.forms.setdefault((ref["ref"], tuple(ref["omit"])), self.types.add(self.form(ref["ref"], fields)))

    def service_rows(self) -> list:
        paths = sorted({path[:end] for op_id in self.ids for path in [op_id.rpartition(".")[0]]
                        for end in [*(m.start() for m in re.finditer(r"\.", path)), None]})
        self.service_paths = paths
        rows = []
        for path in paths:
            own = [i for i, op_id in enumerate(self.ids) if op_id.rpartition(".")[0] == path]
            parent = path.rpartition(".")[0]
            rows.append((path, paths.index(parent) if parent else NONE, *self.lists.run(own)))
        return rows

    def operation_row(self, op_id: str) -> Operation:
        op = self.d.operations[op_id]
        service, _, name = op_id.rpartition(".")
        params = self.type({"type": "object", "fields": op["params"]})
        alias = self.ids.index(op["alias_of"]) if "alias_of" in op else NONE
        flags = PARAMS_REQUIRED * ("params_required" in op) + DEPRECATED * ("deprecated" in op)
        return Operation(
            op_id, name, op["method"], op["path"], op.get("base", "api"), op.get("kind", "plain"), op["encoding"],
            op["returns"]["kind"], op.get("status", ""), op.get("stripe_version", ""),
            self.service_paths.index(service), params, self.returned(op["returns"]), alias,
            *self.lists.run(re.findall(r"{(\w+)}", op["path"])), *self.lists.run(list(op.get("throws", ()))),
            2 if op["path"].startswith("/v2/") else 1, flags)

    def object_row(self, name: str) -> tuple:
        facts = self.d.objects[name]
        prefix = facts["id_prefix"] + "_" if "id_prefix" in facts else ""
        return name, facts.get("sdk_name", ""), prefix, self.forms[name, False], self.forms.get((name, True), NONE)

    def event_row(self, thin: int, event_type: str, event: dict) -> tuple:
        data = self.type({"type": "object", "fields": event["data"]}) if "data" in event else NONE
        return (event_type, thin, data, *self.lists.run(list(event.get("of", ()))))

    def url_row(self, url_id: str) -> tuple:
        url = self.d.urls[url_id]
        params = self.type({"type": "object", "fields": url["params"]})
        defaults = [text for pair in url.get("defaults", {}).items() for text in pair]
        return url_id, url["base"], url["path"], url.get("express_path", ""), params, *self.lists.run(defaults)

    def route_rows(self) -> list:
        """The tree of all paths, breadth first, so that the children of a node stand together, an id's last."""
        root: dict = {"ends": {}, "next": {}}
        routes = [(op["method"], op["path"], i) for i, op in enumerate(map(self.d.operations.get, self.ids))
                  if "alias_of" not in op]
        routes += [(*alt.split(" ", 1), i) for i, op in enumerate(map(self.d.operations.get, self.ids))
                   for alt in op.get("alt_paths", ())]
        for method, path, index in routes:
            node = root
            for segment in path[1:].split("/"):
                node = node["next"].setdefault("" if segment[0] == "{" else segment, {"ends": {}, "next": {}})
            node["ends"].setdefault(method, index)
        rows, queue, free = [], [(NONE, root)], 1
        for segment, node in queue:
            below = sorted(node["next"].items(), key=lambda pair: (pair[0] == "", pair[0]))
            rows.append((segment, free, len(below), *(node["ends"].get(m, NONE) for m in ("GET", "POST", "DELETE"))))
            queue.extend((child or NONE, deeper) for child, deeper in below)
            free += len(below)
        return rows

    # Printing

    def pools(self) -> dict:
        return {"types": self.types.rows, "fields": self.fields.rows, "operations": self.operations,
                "services": self.services, "objects": self.objects, "events": self.events, "urls": self.urls,
                "routes": self.routes}

    def collect(self) -> dict:
        found = {self.d.version, ""} | {member for member in self.lists.rows if isinstance(member, str)}
        for what, rows in self.pools().items():
            found.update(cell for row in rows for cell in row[what == "types":] if isinstance(cell, str))
        if len(found) > LIMIT:
            raise Overflow(f"more than {LIMIT:,} strings: 16 bits cannot count them")
        return {text: i for i, text in enumerate(sorted(found))}

    def cells(self, row: tuple) -> str:
        return ", ".join(str(self.strings[cell] if isinstance(cell, str) else cell) for cell in row)

    def c(self) -> str:
        types = [f"{{PS_TYPE_{kind.upper()}, {self.cells(rest)}}}" for kind, *rest in self.types.rows]
        counts = (len(self.strings), len(self.operations), len(self.services), len(self.objects), len(self.events),
                  len(self.urls), self.d.version, self.string_type, *self.bases, *self.codes)
        flags = [f'_Static_assert(PS_FLAG_{f.upper()} == {bit}, "as in tables.py");\n' for f, bit in FLAGS.items()]
        parts = ['#include "api.h"\n', "".join(flags), self.text(),
                 array("uint16_t", "lists", [self.cells((member,)) for member in self.lists.rows]),
                 array("ps_api_type", "types", types)]
        for what, rows in list(self.pools().items())[1:]:
            parts.append(array(f"ps_api_{what[:-1]}", what, [f"{{{self.cells(row)}}}" for row in rows]))
        return "\n".join([*parts, f"const ps_api_counts ps_table = {{{self.cells(counts)}}};\n"])

    def text(self) -> str:
        """The strings, in literals of a length that every compiler takes, and where each begins. One that ends another
        is read there."""
        chunks, begins, used = [[]], {}, 0
        inside, host = {}, ""
        for text in sorted(self.strings, key=lambda s: s[::-1], reverse=True):
            host = host if host.endswith(text) else text
            inside[text] = host
        for text in self.strings:
            if inside[text] != text:
                continue
            if used + len(text) + 1 > CHUNK:
                chunks.append([])
                used = 0
            begins[text] = (len(chunks) - 1) * CHUNK + used
            chunks[-1].append(re.sub(r'(["\\?])', r"\\\1", text))
            used += len(text) + 1
        offsets = [str(begins[inside[text]] + len(inside[text]) - len(text)) for text in self.strings]
        literals = ["\n  ".join(f'"{text}\\0"' for text in chunk[:-1]) + f'\n  "{chunk[-1]}"' for chunk in chunks]
        return "const char ps_table_text[][PS_TEXT_CHUNK] = {\n  " + ",\n\n  ".join(literals) + "};\n\n" + array(
            "uint32_t", "strings", offsets)


def array(kind: str, what: str, members: list) -> str:
    lines, line = [], " "
    for member in members or ["{0}"]:
        if len(line) + len(member) > 116:
            lines.append(line)
            line = " "
        line += f" {member},"
    return f"const {kind} ps_table_{what}[] = {{\n" + "\n".join([*lines, line]) + "\n};\n"
