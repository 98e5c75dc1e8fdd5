"""The annotations for editors (LuaCATS), from the rows of the tables: an editor knows what the library knows.

  pinstripe.service.customers          a service, with its operations as methods
  pinstripe.params.customers.create    what an operation takes
  pinstripe.object.customer            what it returns; pinstripe.deleted.customer is the deleted form
  pinstripe.part.address_2             a table inside of these, called as the field where it was met first

They make several pages, because editors pass over a long file. library.lua is what the description does not hold."""

from __future__ import annotations

import re

from tables import DEPRECATED, FLAGS, NONE, PARAMS_REQUIRED, Operation, Tables

PLAIN = {"any": "any", "string": "string", "int": "integer", "number": "number", "bool": "boolean",
         "timestamp": "integer", "decimal": "string", "int64": "string", "file": "pinstripe.upload"}
SENT = {"decimal": "string|number", "int64": "string|integer"}  # written as strings by the library
OPTION = {"STRING": "string", "BYTES": "string", "SECONDS": "number", "COUNT": "integer", "FLAG": "boolean",
          "MAP": "table<string, string>", "EVENTS": "fun(event: pinstripe.call_event)"}
KEYWORDS = {"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
            "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
            "package", "private", "protected", "public"}  # these last ones are words of @field
OF_C = {"stream"}  # options that Lua has another form of
WORDS_ON_A_LINE = 6


class Meta:
    def __init__(self, tables: Tables) -> None:
        self.t = tables
        self.known: dict = {}  # the name of a class or alias by what it is
        self.taken: dict = {}  # how often a name was wanted
        self.texts: dict = {"params": [], "params_parts": [], "objects": [], "objects_parts": [], "words": []}
        for (name, form), index in tables.forms.items():
            self.known[index, False] = self.fresh(f"{'deleted' if form is True else 'object'}.{name}")

    def fresh(self, name: str) -> str:
        self.taken[name] = self.taken.get(name, 0) + 1
        return f"pinstripe.{name}" + (f"_{self.taken[name]}" if self.taken[name] > 1 else "")

    def type(self, index: int, hint: str, sent: bool, flags: int = 0) -> str:
        """A type as editors read it; `hint`: the field that has it, `sent`: in params, not in results."""
        if index == NONE:
            return "any"
        t = self.t.types.rows[index]
        members = self.t.lists.rows[t.first:t.first + t.count]
        if t.kind in PLAIN:
            said = [SENT[t.kind] if sent and t.kind in SENT else PLAIN[t.kind]]
            said += ["integer"] * bool(sent and t.flags & FLAGS["date_time"])
        elif t.kind == "enum":
            said = [self.words(members + ["string"] * bool(t.flags & FLAGS["open"]), hint)]
        elif t.kind in ("array", "map"):
            inner = self.type(t.of, hint, sent)
            said = [f"table<string, {inner}>" if t.kind == "map" else f"({inner})[]" if "|" in inner else f"{inner}[]"]
        elif t.kind in ("expandable", "union"):
            said = ["string"] * (t.kind == "expandable") + [self.type(member, hint, sent) for member in members]
        else:
            said = [self.known[t.of, False] if t.kind == "ref" else self.table(index, hint, sent)]
            if t.flags & FLAGS["scalar"]:
                said.append(self.type(t.of, hint, sent))
        for flag, name in (("emptyable", "pinstripe.unset"), ("nullable", "pinstripe.null")):
            said += [name] * bool((flags | t.flags) & FLAGS[flag])
        return "|".join(dict.fromkeys(said))

    def words(self, words: list, hint: str) -> str:
        said = [word if word == "string" else '"' + re.sub(r'(["\\])', r"\\\1", word) + '"' for word in words]
        if len(said) <= WORDS_ON_A_LINE:
            return "|".join(said) or "string"
        key = tuple(words)
        if key not in self.known:
            self.known[key] = self.fresh(f"words.{hint}")
            self.texts["words"].append("\n".join([f"---@alias {self.known[key]}", *(f"---| {word}" for word in said)]))
        return self.known[key]

    def table(self, index: int, hint: str, sent: bool) -> str:
        """The class of a table that is no API object: of an object inside one, a list or a range."""
        t = self.t.types.rows[index]
        if t.kind == "object" and not t.count:
            return "table"
        if (index, sent) not in self.known:
            item = self.t.types.rows[t.of] if t.kind == "list" else t
            listed = self.t.object_names[self.t.types.rows[item.of].of] if item.kind == "ref" else ""
            self.known[index, sent] = self.fresh(f"list.{listed}" if listed else f"part.{hint}")
            name = self.known[index, sent] + (": pinstripe.page" if t.kind == "list" else "")
            self.texts["params_parts" if sent else "objects_parts"].append(self.declare(name, index, sent))
        return self.known[index, sent]

    def declare(self, name: str, index: int, sent: bool) -> str:
        t = self.t.types.rows[index]
        lines = [f"---@class {name}"]
        for field, of, flags in self.t.fields.rows[t.first:t.first + t.count]:
            absent = not flags & FLAGS["required"] if sent else flags & FLAGS["optional"]
            shown = f'["{field}"]' if field in KEYWORDS else field
            lines.append(f"---@field {shown}{'?' if absent else ''} {self.type(of, field, sent, flags)}")
        return "\n".join(lines)

    def operation(self, op: Operation) -> list:
        """The lines of its method, and of `each`, if it lists."""
        ids = self.t.lists.rows[op.path_params:op.path_params + op.path_param_count]
        params = f"pinstripe.params.{op.id}" if self.t.types.rows[op.params].count else "table"
        if params != "table":
            self.texts["params"].append(self.declare(params, op.params, True))
        head = [f"---{op.method} {op.path}" + f" ({op.status})" * bool(op.status)]
        head += ["---@deprecated"] * bool(op.flags & DEPRECATED) + [f"---@param {name} string" for name in ids]
        head += [f"---@param params{'' if op.flags & PARAMS_REQUIRED else '?'} {params}",
                 "---@param options? pinstripe.call_options"]
        tail = f"({', '.join([*ids, 'params', 'options'])}) end"
        returned = "string" if op.returns_kind == "binary" else self.type(op.returns, op.name, False)
        lines = [*head, f"---@return ({returned})? result",
                 "---@return pinstripe.response|pinstripe.error response", f"function service:{op.name}{tail}"]
        if op.name == "list":
            item = self.type(self.t.types.rows[op.returns].of, op.name, False) if op.returns != NONE else "any"
            lines += [*head, f"---@return pinstripe.iterator|fun(): {item} iterator", f"function service:each{tail}"]
        return lines

    @staticmethod
    def url(url_id: str, path: str) -> list:
        name = url_id.rpartition(".")[2]
        return [f"---The address {path}, built and not called.", f"---@param params? pinstripe.params.{url_id}",
                "---@param options? { express: boolean }", "---@return string? url",
                "---@return pinstripe.error? err", f"function service:{name}(params, options) end"]

    def service(self, index: int) -> str:
        path, _, first, count = self.t.services[index]
        lines = ["do", f"---@class pinstripe.service.{path}", *self.children(index), "local service = {}"]
        for i in self.t.lists.rows[first:first + count]:
            lines += self.operation(self.t.operations[i])
        for url_id, _, url_path, _, params, *_ in self.t.urls:
            if url_id.rpartition(".")[0] == path:
                self.texts["params"].append(self.declare(f"pinstripe.params.{url_id}", params, True))
                lines += self.url(url_id, url_path)
        return "\n".join([*lines, "end"])

    def children(self, index: int) -> list:
        return [f"---@field {path.rpartition('.')[2]} pinstripe.service.{path}"
                for path, parent, *_ in self.t.services if parent == index]

    def pages(self, head: str, library: str, options: str) -> dict:
        """Every page by its name."""
        v1 = [line for line in self.children(NONE) if not line.endswith(".v2")]
        v2 = [line for line in self.children(NONE) if line.endswith(".v2")]
        errors = [f"---@field {name}? any" for name in self.t.d.errors["fields"]]
        classes = {"client": v2, "v1": v1, "error": errors, "client_options": option_fields(options, "CLIENT"),
                   "call_options": option_fields(options, "CALL")}
        library = re.sub(r"^---@class pinstripe\.(\w+).*", lambda m: "\n".join([m[0], *classes.get(m[1], ())]),
                         library.rstrip(), flags=re.M)
        parts = [f"---@meta pinstripe\n{head}", library]
        parts += [self.service(i) for i in range(len(self.t.services))]
        for alias, thin in (("event_type", 0), ("thin_event_type", 1)):
            words = [f'---| "{event_type}"' for event_type, is_thin, *_ in self.t.events if is_thin == thin]
            self.texts["words"].append("\n".join([f"---@alias pinstripe.{alias}", *words]))
        self.texts["objects"] = [self.declare(self.known[i, False], i, False) for i in self.t.forms.values()]
        pages = {"pinstripe": "\n\n".join([*parts, "return pinstripe\n"])}
        for name, texts in self.texts.items():
            pages[f"pinstripe_{name}"] = "\n\n".join([f"---@meta _\n{head}", *texts]) + "\n"
        return pages


def option_fields(options: str, owner: str) -> list:
    """The fields of options.def for a client or a call."""
    part = re.search(rf"#ifdef PS_{owner}_OPTIONS\n(.*?)#endif", options, re.S)
    rows = re.findall(r'^PS_OPTION_(\w+)\((\w+), "((?:[^"\\]|\\.)*)"\)', part[1] if part else "", re.M)
    return [f"---@field {name}? {OPTION[kind]} # " + meaning.replace('\\"', '"') for kind, name, meaning in rows
            if name not in OF_C]
