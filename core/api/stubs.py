"""The stubs of the Python package, from the rows of the tables: a type checker knows what the library knows.
library.pyi has what the description does not hold; names follow python/pinstripe/_naming.py, as the package does at
run time.

  _objects, checkout, v2/core    a class for each object: its fields, the objects inside it, the global style's methods
  _services, checkout, ...       a class for each service, with its operations
  params, params/checkout        what an operation takes: a TypedDict, and one for each map inside it
  _words                         long lists of words"""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

from tables import DEPRECATED, FLAGS, NONE, PARAMS_REQUIRED, Operation, Tables

RULE = Path(__file__).resolve().parents[2] / "python/pinstripe/_naming.py"
PLAIN = {
    "any": "_t.Any",
    "string": "str",
    "int": "int",
    "number": "float",
    "bool": "bool",
    "timestamp": "int",
    "decimal": "_l.Decimal",
    "int64": "int",
    "file": "_t.Any",
}
SENT = {**PLAIN, "timestamp": "_l.Time", "decimal": "_l.Number", "int64": "_t.Union[int, str]", "file": "_l.File"}
PAGES = {"list": "_l.ListObject", "search_result": "_l.SearchResultObject", "v2_list": "_l.V2ListObject"}
WORDS_INLINE = 6
MIXED = (
    "api_key stripe_account stripe_context stripe_version idempotency_key max_network_retries "
    "content_type headers timeout "
    "deadline max_retries"
).split()
HEAD = "import typing as _t\n\nimport typing_extensions as _x\n\nimport pinstripe._library as _l"


def load_rule() -> object:
    spec = importlib.util.spec_from_file_location("naming", RULE)
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    return rule


def is_name(word: str) -> bool:
    return word.isidentifier() and not keyword.iskeyword(word)


def indent(lines: list) -> list:
    return [f"    {line}" if line else line for line in lines]


def either(types: list) -> str:
    types = list(dict.fromkeys(types))
    return types[0] if len(types) == 1 else f"_t.Union[{', '.join(types)}]"


class Page:
    """One stub: its text, and the other stubs that it names."""

    def __init__(self) -> None:
        self.blocks, self.uses = [], set()

    def text(self, head: str) -> str:
        uses = "".join(f"\nimport pinstripe.{name} as {alias(name)}" for name in sorted(self.uses))
        return "\n\n".join([f"{head}\n{HEAD}{uses}", *self.blocks]) + "\n"


def alias(module: str) -> str:
    return "_" + module.replace(".", "_").strip("_")


class Stubs:
    def __init__(self, tables: Tables) -> None:
        self.t, self.rule = tables, load_rule()
        self.pages: dict = {}
        self.words: dict = {}
        self.taken: set = set()
        self.by_id = {op.id: op for op in tables.operations}
        self.children: dict = {}
        for path, *_ in tables.services:
            self.children.setdefault(path.rpartition(".")[0], []).append(path.rpartition(".")[2])
        self.own = {
            path: [tables.operations[i].name for i in tables.lists.rows[first : first + count]]
            for path, _, first, count in tables.services
        }
        self.spaces = self.find_spaces()

    # What the rule asks of the table

    def names(self, path: str) -> tuple:
        return self.children.get(path, []), self.own.get(path, [])

    def resolve(self, path: str, name: str) -> object:
        return self.by_id.get(f"{path}.{name}")

    def namespaces(self) -> set:
        return self.spaces

    def find_spaces(self) -> set:
        found = {"events", "params", "v2", "test_helpers", "test_helpers.issuing"}
        found |= {path for path, names in self.own.items() if not names}
        for name in self.t.object_names:
            parts = name.split(".")[:-1]
            found |= {".".join(parts[: end + 1]) for end in range(len(parts))}
        return found

    # Pages and names

    def page(self, module: str) -> Page:
        return self.pages.setdefault(module, Page())

    def use(self, page: Page, module: str, name: str) -> str:
        page.uses.add(module)
        return f"{alias(module)}.{name}"

    def object_place(self, index: int) -> tuple:
        name = self.t.object_names[index]
        space, cls = self.rule.class_place(name, self.t.d.objects[name].get("sdk_name") or name)
        return space or "_objects", cls

    def object_name(self, page: Page, index: int) -> str:
        return self.use(page, *self.object_place(index))

    # Types

    def type(self, index: int, page: Page, sent: bool, inner: object, flags: int = 0) -> str:
        """A type as a checker reads it; `inner` names a map inside, given whether it is a list's item."""
        if index == NONE:
            return "_t.Any"
        t = self.t.types.rows[index]
        said = self.kinds(t, index, page, sent, inner)
        if (flags | t.flags) & FLAGS["nullable"] and not (sent and "_t.Any" in said):
            said.append("None")
        if sent and (flags | t.flags) & (FLAGS["emptyable"] | FLAGS["nullable"]):
            said += ['_t.Literal[""]', "_l.Unset"]
        return either(said)

    def kinds(self, t: tuple, index: int, page: Page, sent: bool, inner: object) -> list:
        if t.kind in PLAIN:
            return [(SENT if sent else PLAIN)[t.kind]] + ["_l.Time"] * bool(sent and t.flags & FLAGS["date_time"])
        if t.kind == "enum":
            return self.literal(self.t.lists.rows[t.first : t.first + t.count], page) + ["str"] * bool(
                t.flags & FLAGS["open"]
            )
        if t.kind == "array":
            return [f"{'_l.Items' if sent else '_t.List'}[{self.type(t.of, page, sent, lambda _: inner(True))}]"]
        if t.kind == "map":
            return [self.map(t, page, sent, inner)]
        if t.kind in ("expandable", "union"):
            members = self.t.lists.rows[t.first : t.first + t.count]
            return ["str"] * (t.kind == "expandable") + [self.type(m, page, sent, inner) for m in members]
        if t.kind == "list":
            return [f"_l.ListObject[{self.type(t.of, page, sent, lambda _: inner(True))}]"]
        if t.kind == "ref":
            return [self.object_name(page, self.t.types.rows[t.of].of)]
        if t.kind == "range":
            scalar = self.type(t.of, page, sent, inner)
            return [f"_l._Bounds[{scalar}]"] + [scalar] * bool(t.flags & FLAGS["scalar"])
        if t.of != NONE:
            return [self.object_name(page, t.of)]
        if not t.count:
            return ["_t.Mapping[str, _t.Any]" if sent else "_l.UntypedStripeObject[_t.Any]"]
        return [inner(False)]

    def map(self, t: tuple, page: Page, sent: bool, inner: object) -> str:
        of = self.type(t.of, page, sent, lambda _: inner(True))
        return f"{'_t.Mapping[str, ' if sent else '_l.UntypedStripeObject['}{of}]"

    def literal(self, words: list, page: Page) -> list:
        if not words:
            return ["str"]
        if len(words) <= WORDS_INLINE:
            return [f"_t.Literal[{', '.join(map(quoted, words))}]"]
        key = tuple(words)
        if key not in self.words:
            self.words[key] = f"Words{len(self.words) + 1}"
            lines = [f"    {quoted(word)}," for word in words]
            self.page("_words").blocks.append("\n".join([f"{self.words[key]} = _t.Literal[", *lines, "]"]))
        return [self.use(page, "_words", self.words[key])]

    # Objects

    def members(self, index: int, page: Page) -> list:
        """The lines of a class's body: the classes inside it, and its fields."""
        t = self.t.types.rows[index]
        classes, fields = {}, []
        for field, of, flags in self.t.fields.rows[t.first : t.first + t.count]:
            found = {}
            said = self.type(of, page, False, self.inside(field, of, found), flags)
            classes.update(found)
            if is_name(field):
                fields.append(f"{field}: {said}")
        lines = []
        for name, inner in classes.items():
            lines += [f"class {name}(_l.StripeObject):", *indent(self.members(inner, page) or ["..."]), ""]
        return lines + fields

    def inside(self, field: str, of: int, found: dict) -> object:
        """Names the class of the map inside a field, and notes which type it is."""
        index = self.innermost(of)

        def name(is_item: bool) -> str:
            found[self.rule.inner_name(field, is_item)] = index
            return self.rule.inner_name(field, is_item)

        return name if index is not None else lambda _: "_l.StripeObject"

    def innermost(self, of: int) -> object:
        t = self.t.types.rows[of]
        if t.kind in ("array", "map"):
            return self.innermost(t.of)
        return of if t.kind == "object" and t.of == NONE else None

    def object(self, index: int) -> None:
        name = self.t.object_names[index]
        module, cls = self.object_place(index)
        if (module, cls) in self.taken:
            return
        self.taken.add((module, cls))
        page = self.page(module)
        lines = [f'OBJECT_NAME: _t.ClassVar[_t.Literal["{name}"]]', *self.members(self.t.forms[name, False], page)]
        if (name, True) in self.t.forms:
            lines.append("deleted: _t.Optional[_t.Literal[True]]")
        by_hand = self.rule.BY_HAND.get(name, {})
        methods = self.rule.methods_of(self, name)
        for method, op in methods.items():
            lines += [] if method in by_hand else self.method(page, method, op)
        for walk, lister in self.rule.WALKS.items():
            lines += self.walk(page, walk, methods[lister]) if lister in methods else []
        for method in by_hand:
            said = "(self, idempotency_key: _t.Optional[str] = None, **params: _t.Any) -> _t.Any: ..."
            lines += [f"def {method}{said}", f"async def {method}_async{said}"]
        helpers = self.rule.helpers_of(self, name)
        if helpers:
            body = [line for method, op in helpers.items() for line in self.method(page, method, op, True)]
            lines += [
                "class TestHelpers:",
                *indent([f"def __init__(self, resource: {cls}) -> None: ...", *body]),
                "@property",
                "def test_helpers(self) -> TestHelpers: ...",
            ]
        base = "_l.StripeObject" if name.startswith("v2.") else "_l.APIResource"
        page.blocks.append("\n".join([f"class {cls}({base}):", *indent(lines)]))

    def method(self, page: Page, name: str, op: Operation, helper: bool = False) -> list:
        """The global style: of the class with all ids, of an object without the first."""
        params, returned = self.mixed(page, op), self.returned(page, op, False)
        ids = self.t.lists.rows[op.path_params : op.path_params + op.path_param_count]
        dual = ids and (
            helper
            or name.partition("_")[0] not in ("create", "modify", "retrieve", "delete", "list")
            or name == "delete"
            or "payment_method" in name
        )
        if dual:
            head, self_ = [], "*ids: _t.Any, "
        else:
            head, self_ = (
                ["@classmethod"],
                "cls, " + "".join(f"{self.id_name(i, ids, name)}: str, " for i in range(len(ids))),
            )
            self_ += "/, " * bool(ids and name != "retrieve")
        if name == "retrieve" and "cls, " in self_ and op.id == "accounts.retrieve":
            self_ = "cls, id: _t.Optional[str] = None, "
        lines = [*head, f"def {name}({self_}**params: {params}) -> {returned}: ..."]
        return lines + [
            *head,
            f"async def {name}_async({self_}**params: {params}) -> {self.returned(page, op, True)}: ...",
        ]

    def walk(self, page: Page, name: str, op: Operation) -> list:
        """Over all pages of a list or a search."""
        said = f"(**params: {self.mixed(page, op)}) -> _l.AnyIterator[{self.item(page, op)}]: ..."
        return ["@staticmethod", f"def {name}{said}", "@staticmethod", f"async def {name}_async{said}"]

    @staticmethod
    def id_name(i: int, ids: list, name: str) -> str:
        return "id" if name == "retrieve" and len(ids) == 1 else ids[i]

    # Params

    def params(self, op: Operation) -> tuple:
        """(module, name) of the TypedDict of an operation's params, printed at first."""
        space, words = self.rule.split_service(self, op.id.rpartition(".")[0])
        module = f"params.{space}".rstrip(".")
        name = f"{''.join(words)}{self.rule.camel(op.name)}Params"
        if (module, name) not in self.taken:
            self.taken.add((module, name))
            self.typed_dict(self.page(module), name, op.params)
        return module, name

    def typed_dict(self, page: Page, name: str, index: int) -> None:
        t, entries, below = self.t.types.rows[index], [], []
        for field, of, flags in self.t.fields.rows[t.first : t.first + t.count]:
            inner = self.innermost_sent(of)
            said = self.type(of, page, True, self.dict_inside(name, field, below, inner), flags)
            required = "Required" if flags & FLAGS["required"] else "NotRequired"
            entries.append((field, f"_x.{required}[{said}]"))
        if all(is_name(field) for field, _ in entries):
            lines = [
                f"class {name}(_x.TypedDict):",
                *indent([f"{field}: {said}" for field, said in entries] or ["..."]),
            ]
        else:
            pairs = [f"{quoted(field)}: {said}," for field, said in entries]
            lines = [f'{name} = _x.TypedDict("{name}", {{', *indent(pairs), "})"]
        page.blocks.append("\n".join(lines))
        for inner_name, inner in dict(below).items():
            self.typed_dict(page, inner_name, inner)

    def innermost_sent(self, of: int) -> list:
        """The maps inside a type; a union may have several."""
        t = self.t.types.rows[of]
        if t.kind in ("array", "map"):
            return self.innermost_sent(t.of)
        if t.kind == "union":
            return [one for m in self.t.lists.rows[t.first : t.first + t.count] for one in self.innermost_sent(m)]
        return [of] if t.kind == "object" and t.of == NONE and t.count else []

    def dict_inside(self, outer: str, field: str, below: list, inner: list) -> object:
        left = list(inner)

        def name(is_item: bool) -> str:
            found = f"{outer}{self.rule.inner_name(re.sub(r'[^0-9A-Za-z_]', '_', field), is_item)}"
            found += str(len(inner) - len(left) + 1) if len(inner) > len(left) else ""
            below.append((found, left.pop(0) if left else inner[-1]))
            return found

        return name

    def mixed(self, page: Page, op: Operation) -> str:
        """The params of the global style, with options among them."""
        t = self.t.types.rows[op.params]
        if any(field in MIXED or not is_name(field) for field, *_ in self.t.fields.rows[t.first : t.first + t.count]):
            return "_t.Any"
        module, name = self.params(op)
        if (module, name, "mixed") not in self.taken:
            self.taken.add((module, name, "mixed"))
            self.page(module).blocks.append(f"class _{name}({name}, _l.RequestOptions): ...")
        return f"_x.Unpack[{self.use(page, module, f'_{name}')}]"

    # Services

    def returned(self, page: Page, op: Operation, is_async: bool) -> str:
        if op.returns_kind == "binary":
            return "_l.StripeStreamResponseAsync" if is_async else "_l.StripeStreamResponse"
        if op.returns_kind in ("none", "unknown") or op.returns == NONE:
            return "_t.Any"
        if op.version == 2 and op.method == "DELETE":
            return "_l.DeletedObject"
        if op.returns_kind in PAGES:
            return f"{PAGES[op.returns_kind]}[{self.item(page, op)}]"
        return self.type(op.returns, page, False, lambda _: "_l.StripeObject")

    def item(self, page: Page, op: Operation) -> str:
        """The type of what a page lists."""
        return self.type(self.t.types.rows[op.returns].of, page, False, lambda _: "_l.StripeObject")

    def service(self, path: str) -> None:
        space, name = self.rule.service_place(self, path)
        page = self.page(space or "_services")
        lines = self.services_below(page, path)
        for op_name in self.own.get(path, []):
            lines += self.operation(page, self.by_id[f"{path}.{op_name}"])
        page.blocks.append("\n".join([f"class {name}(_l.StripeService):", *indent(lines or ["..."])]))

    def services_below(self, page: Page, path: str) -> list:
        lines = []
        for child in self.children.get(path, []):
            space, name = self.rule.service_place(self, f"{path}.{child}" if path else child)
            if child != "v2" or path:
                lines += ["@property", f"def {child}(self) -> {self.use(page, space or '_services', name)}: ..."]
        return lines

    def operation(self, page: Page, op: Operation) -> list:
        ids = self.t.lists.rows[op.path_params : op.path_params + op.path_param_count]
        params = self.use(page, *self.params(op))
        params = f"params: {params}" if op.flags & PARAMS_REQUIRED else f"params: _t.Optional[{params}] = None"
        head = "".join(f"{name}: str, " for name in ids) + "/, " * bool(ids)
        tail = f"(self, {head}{params}, options: _t.Optional[_l.RequestOptions] = None)"
        decorator = ['@_x.deprecated("The API will drop it.")'] * bool(op.flags & DEPRECATED)
        return [
            *decorator,
            f"def {op.name}{tail} -> {self.returned(page, op, False)}: ...",
            *decorator,
            f"async def {op.name}_async{tail} -> {self.returned(page, op, True)}: ...",
        ]

    # Everything

    def events(self) -> None:
        """The classes of thin events, and a handler's decorators."""
        page, handler = self.page("events"), []
        for event_type, thin, data, *_ in self.t.events:
            if not thin:
                continue
            name, type_ = self.rule.camel(event_type), f"_t.Literal[{quoted(event_type)}]"
            about = self.t.d.events["v2"][event_type].get("of", ())
            of = either([self.object_name(page, self.t.object_names.index(o)) for o in about] or ["_t.Any"])
            always = [
                f"LOOKUP_TYPE: _t.ClassVar[{type_}]",
                f"type: {type_}",
                *["related_object: _l._RelatedObject"] * bool(about),
                f"def fetch_related_object(self) -> {of}: ...",
                f"async def fetch_related_object_async(self) -> {of}: ...",
            ]
            lines = [
                *always,
                f"def fetch_event(self) -> {name}Event: ...",
                f"async def fetch_event_async(self) -> {name}Event: ...",
            ]
            page.blocks.append("\n".join([f"class {name}EventNotification(_l.EventNotification):", *indent(lines)]))
            inner = list(always)
            if data != NONE:
                inner += ["class Data(_l.StripeObject):", *indent(self.members(data, page) or ["..."]), "data: Data"]
            page.blocks.append("\n".join([f"class {name}Event(_l._ThinEvent):", *indent(inner)]))
            word = re.sub(r"\[", "_including_", event_type.replace(".", "_")).replace("]", "")
            handler.append((word, f"{name}EventNotification"))
        page.blocks.append("class UnknownEventNotification(_l.UnknownEventNotification): ...")
        for kind in ("Sync", "Async"):
            result = "None" if kind == "Sync" else "_t.Awaitable[None]"
            lines = [
                f"def on_{word}(self, func: _t.Callable[[{cls}, _l.StripeClient], {result}]) -> "
                f"_t.Callable[[{cls}, _l.StripeClient], {result}]: ..."
                for word, cls in handler
            ]
            page.blocks.append("\n".join([f"class _{kind}Registration:", *indent(lines)]))

    def texts(self, head: str, library: str) -> dict:
        """Every stub by its path."""
        for index in range(len(self.t.object_names)):
            self.object(index)
        for path in ["", "v2", *(path for path, *_ in self.t.services if path != "v2")]:
            self.service(path)
        self.events()
        exports = [f"from .{'_services' if m == '_services' else m} import {names}" for m, names in self.exports()]
        spaces = sorted({space.partition(".")[0] for space in self.spaces})
        for space in self.spaces | {f"params.{space}" for space in self.spaces}:
            self.page(space).blocks += [f"from . import {c} as {c}" for c in self.below(space)]
        names = re.findall(r"^(?:class|def) (\w+)|^(\w+)(?=[:=] )", library, re.M)
        public = sorted({a or b for a, b in names if not (a or b).startswith("_")})
        errors = re.findall(r"^class (\w+Error(?:WithParamCode)?)\(", library, re.M)
        init = [
            head,
            *(f"from ._library import {name} as {name}" for name in public),
            *exports,
            *(f"from . import {space} as {space}" for space in ["error", "oauth_error", *spaces]),
            SETTINGS,
        ]
        texts = {
            "__init__": "\n".join(init),
            "_library": f"{head}\n{library}",
            "error": "\n".join([head, *(f"from ._library import {name} as {name}" for name in errors), ERROR]),
            "oauth_error": f"{head}\n{OAUTH}",
        }
        self.page("v2").blocks.append(V2)
        self.page("v2.core").blocks.append("from pinstripe._library import EventNotification as EventNotification")
        for module, page in self.pages.items():
            path = module.replace(".", "/") + ("" if module.startswith("_") else "/__init__")
            texts[path] = page.text(head)
        return texts

    def below(self, space: str) -> list:
        known = self.spaces | {f"params.{space}" for space in self.spaces}
        return sorted(name[len(space) + 1 :] for name in known if name.rpartition(".")[0] == space)

    def exports(self) -> list:
        return [
            (module, f"{name} as {name}")
            for module in ("_objects", "_services")
            for block in self.pages[module].blocks
            for name in re.findall(r"^class (\w+)", block)
        ]


def quoted(word: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'


SETTINGS = """
__version__: str
VERSION: str
DEFAULT_API_BASE: str
DEFAULT_CONNECT_API_BASE: str
DEFAULT_UPLOAD_API_BASE: str
DEFAULT_METER_EVENTS_API_BASE: str
api_key: str | None
client_id: str | None
api_version: str
major_api_version: str
api_base: str
connect_api_base: str
upload_api_base: str
meter_events_api_base: str
verify_ssl_certs: bool
proxy: str | None
ca_bundle_path: str | None
max_network_retries: int
app_info: AppInfo | None
log: str | None
default_http_client: HTTPClient | None
enable_telemetry: bool
"""
ERROR = "from . import oauth_error as oauth_error\n"
OAUTH = """from ._library import OAuthError as OAuthError

class InvalidClientError(OAuthError): ...
class InvalidGrantError(OAuthError): ...
class InvalidRequestError(OAuthError): ...
class InvalidScopeError(OAuthError): ...
class UnsupportedGrantTypeError(OAuthError): ...
class UnsupportedResponseTypeError(OAuthError): ...
"""
V2 = """from pinstripe._library import DeletedObject as DeletedObject
from pinstripe._library import V2ListObject

ListObject = V2ListObject"""
