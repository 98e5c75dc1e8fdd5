"""The tables: all that the description holds can be read through pinstripe.h, from few bytes of constant memory."""

import json
import os
import re
import shutil
import unittest

from support import CC, ROOT, checked, generated, host, library, read_facts, run, scratch

HERE = ROOT / "tests" / "api"
LARGEST = 400_000
LARGEST_PAGE = 500_000  # what lua-language-server reads of one file, unless told otherwise


def flag_bits() -> dict:
    header = (ROOT / "core" / "pinstripe.h").read_text("utf-8")
    return {name.lower(): int(bit) for name, bit in re.findall(r"PS_FLAG_(\w+) = (\d+)", header)}


class Expected:
    """What dump.c should print, from the description alone."""

    def __init__(self, facts: dict) -> None:
        self.facts, self.bits = facts, flag_bits()

    def flags(self, t: dict) -> int:
        names = {"format": "date_time", "const": "true"}
        return sum(self.bits[names.get(key, key)] for key in t
                   if names.get(key, key) in self.bits and (key == "format" or t[key] is True))

    def type(self, t: dict) -> dict:
        kind = {"refs": "union"}.get(t.get("type", "ref"), t.get("type", "ref"))
        said = {"type": kind, "flags": self.flags(t)}
        if kind == "ref":
            said["ref"] = t["ref"]
        elif kind == "enum":
            said["values"] = t["values"]
        elif kind == "object":
            said["fields"] = self.fields(t["fields"])
        elif kind in ("expandable", "union"):
            said["any"] = [self.type(one) for one in t["any"]]
        elif kind in ("array", "map"):
            said["items"] = self.type(t["items"] if kind == "array" else t["of"])
        elif kind == "list":
            said.update(self.page("list", self.type(t["items"])))
        elif kind == "range":
            said["items"] = self.type({"type": t["of"]})
            said["fields"] = dict.fromkeys(("gt", "gte", "lt", "lte"), said["items"])
        return said

    def fields(self, fields: dict) -> dict:
        return {name: self.type(t) for name, t in fields.items()}

    def page(self, kind: str, item: dict) -> dict:
        text, unset = {"type": "string"}, {"type": "string", "nullable": True}
        fields = {"list": {"object": text, "has_more": {"type": "bool"}, "url": text},
                  "search_result": {"object": text, "has_more": {"type": "bool"}, "url": text, "next_page": unset,
                                    "total_count": {"type": "int", "optional": True}},
                  "v2_list": {"next_page_url": unset, "previous_page_url": unset}}[kind]
        data = {"type": "array", "flags": 0, "items": item}
        return {"fields": {"data": data, **self.fields(fields)}, "items": item}

    def returns(self, returns: dict) -> object:
        of = [self.type(one.get("inline", one)) for one in returns.get("of", ())]
        item = of[0] if len(of) == 1 else {"type": "union", "flags": 0, "any": of}
        if returns["kind"] in ("list", "search_result", "v2_list"):
            return {"type": "list", "flags": 0, **self.page(returns["kind"], item)}
        return item if of else None

    def operation(self, op_id: str) -> dict:
        op = self.facts["operations"][op_id]
        service, name = op_id.rsplit(".", 1)
        params = {"type": "object", "flags": 0, "fields": self.fields(op["params"])}
        return {
            "id": op_id, "name": name, "service": service, "method": op["method"], "path": op["path"],
            "base": op.get("base", "api"), "kind": op.get("kind", "plain"), "encoding": op["encoding"],
            "returns_kind": op["returns"]["kind"], "status": op.get("status", ""),
            "stripe_version": op.get("stripe_version", ""), "alias_of": op.get("alias_of", ""),
            "version": 2 if op["path"].startswith("/v2/") else 1,
            "params_required": int("params_required" in op), "deprecated": int("deprecated" in op),
            "path_params": re.findall(r"{(.*?)}", op["path"]), "throws": op.get("throws", []),
            "params": params, "returns": self.returns(op["returns"])}

    def object(self, name: str) -> dict:
        facts = self.facts["objects"][name]
        deleted = facts.get("deleted")
        return {"name": name, "sdk_name": facts.get("sdk_name", ""),
                "id_prefix": facts["id_prefix"] + "_" if "id_prefix" in facts else "",
                "form": {"type": "object", "flags": 0, "fields": self.fields(facts["fields"])},
                "deleted": deleted and {"type": "object", "flags": self.bits["deleted"],
                                        "fields": self.fields(deleted["fields"])}}

    def event(self, event_type: str) -> dict:
        thin = event_type in self.facts["events"]["v2"]
        event = self.facts["events"]["v2" if thin else "v1"][event_type]
        data = {"type": "object", "flags": 0, "fields": self.fields(event["data"])} if "data" in event else None
        return {"type": event_type, "thin": int(thin), "of": event.get("of", []), "data": data}


class Tables(unittest.TestCase):
    maxDiff = 4000

    def test_everything_can_be_read_through_the_public_functions(self):
        facts = read_facts()
        expected = Expected(facts)
        program = host(HERE / "dump.c", generated())
        found = json.loads(checked(program, env={**os.environ, "LD_LIBRARY_PATH": str(library(generated()))}))
        self.assertEqual(found["version"], facts["api"]["version"])
        self.assertEqual(found["codes"], sorted(facts["errors"]["codes"]))
        for what, key in (("operation", "id"), ("object", "name"), ("event", "type")):
            names = facts[f"{what}s"] if what != "event" else {**facts["events"]["v1"], **facts["events"]["v2"]}
            self.assertEqual([one[key] for one in found[f"{what}s"]], sorted(names))
            for one in found[f"{what}s"]:
                self.assertEqual(one, getattr(expected, what)(one[key]), one[key])

    def test_the_description_has_every_operation_and_object(self):
        facts = read_facts()
        removed = [op for op in facts["operations"].values() if "origin" in op]
        self.assertEqual((len(facts["operations"]), len(removed)), (651 + 48, 48))
        self.assertEqual(len(facts["objects"]), 181 + 19)
        self.assertEqual([len(facts["events"][kind]) for kind in ("v1", "v2")], [275 + 8, 326])

    def test_the_tables_are_small_constant_and_without_relocations(self):
        for compiler in ("gcc", "clang"):
            if shutil.which(compiler) is None:
                continue
            made = scratch() / "api_tables.o"
            flags = ["-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", f"-I{generated()}"]
            checked(compiler, *CC[1:], *flags, "-c", generated() / "api_tables.c", "-o", made)
            self.assertIn("no relocations", checked("readelf", "-r", made))
            text, data, bss = map(int, checked("size", made).splitlines()[1].split()[:3])
            self.assertEqual((data, bss), (0, 0))
            self.assertLessEqual(text, LARGEST)
            symbols = re.findall(r" ([A-Za-z]) ps_\w+$", checked("nm", made), re.M)
            self.assertGreater(len(symbols), 10)
            self.assertEqual(set(symbols), {"R"}, "a table that is not in .rodata")

    def test_every_v2_error_has_a_kind(self):
        kinds = dict(re.findall(r'PS_ERROR\(\w+, "(\w+)", "(\w+)"', (ROOT / "core" / "errors.def").read_text("utf-8")))
        facts = read_facts()
        for name, error_class in facts["errors"]["v2_classes"].items():
            if error_class.startswith("Stripe") or name in ("rate_limit", "invalid_fields"):
                continue  # kinds of v1, too
            self.assertEqual(kinds.get(name), error_class)
        thrown = {name for op in facts["operations"].values() for name in op.get("throws", ())}
        self.assertLessEqual(thrown, set(kinds.values()))


class Annotations(unittest.TestCase):
    def pages(self) -> dict:
        return {path.name: path.read_text("utf-8") for path in sorted((generated() / "meta").glob("*.lua"))}

    def test_every_method_is_an_operation_and_every_operation_a_method(self):
        facts = read_facts()
        called = {**facts["operations"], **facts["url_builders"]}
        methods, each = [], []
        services = re.compile(r"---@class pinstripe\.service\.(\S+)\n(.*?)\nend\n", re.S)
        for service, body in services.findall(self.pages()["pinstripe.lua"]):
            for name, arguments in re.findall(r"^function service:(\w+)\((.*?)\) end$", body, re.M):
                (each if name == "each" else methods).append(f"{service}.{name}")
                if name != "each":
                    op = called[f"{service}.{name}"]
                    self.assertEqual(arguments.split(", "), [*re.findall(r"{(.*?)}", op["path"]), "params", "options"])
        self.assertEqual(sorted(methods), sorted(called))
        self.assertEqual(sorted(each), sorted(op_id[:-len("list")] + "each" for op_id in facts["operations"]
                                              if op_id.endswith(".list")))

    def test_every_class_that_is_named_is_declared_once(self):
        text = "\n".join(self.pages().values())
        declared = re.findall(r"^---@(?:class|alias) (pinstripe(?:\.\w+)*)", text, re.M)
        self.assertEqual(len(declared), len(set(declared)))
        plain = re.sub(r'"(?:[^"\\]|\\.)*"|#.*', "", text)  # words and descriptions may look like names
        named = re.findall(r"(?:---@(?:field|param|return|alias)|---\|)[^\n]*", plain)
        used = {name for line in named for name in re.findall(r"\bpinstripe\.\w+(?:\.\w+)*", line)}
        self.assertEqual(used - set(declared), set())

    def test_editors_read_every_page_whole(self):
        for name, text in self.pages().items():
            self.assertLess(len(text.encode()), LARGEST_PAGE, name)

    def test_lua_reads_every_page(self):
        paths = sorted((generated() / "meta").glob("*.lua"))
        self.assertEqual(run("luacheck", "--no-config", "-q", *paths).returncode, 0)
        for compiler in ("luac5.1", "luac5.3", "luac5.4"):
            for path in paths if shutil.which(compiler) else ():
                checked(compiler, "-p", path)


if __name__ == "__main__":
    unittest.main()
