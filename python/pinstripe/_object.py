"""Objects of the API and their classes.

The object itself is C (_core.Object): it reads a reply's fields when they are asked for. Here are the methods that all
of them have, and the classes: one for each object of the table and one for each object inside one, made when it is
first named. A class is found by what the reply calls itself: "checkout.session" is pinstripe.checkout.Session."""

from . import _core
from ._naming import class_place, inner_name


class Unset:
    """pinstripe.UNSET: sent as an empty value, which unsets what the API holds."""

    __slots__ = ()

    def __repr__(self):
        return "pinstripe.UNSET"

    def __reduce__(self):
        return "UNSET"


UNSET = Unset()
Unset.__module__ = "pinstripe"


class ObjectType(type):
    """The class of the objects' classes: it finds what they lack, objects inside them and methods made from the
    table."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        from . import _resource

        found = _resource.attribute(cls, name)
        if found is None:
            for field, is_item in _core.inner(*cls.__dict__.get("_WHERE", (cls.__dict__.get("OBJECT_NAME", ""),))):
                if inner_name(field, is_item) == name:
                    return nested(cls, field, is_item)
            raise AttributeError(f"{cls.__name__} has no attribute {name!r}")
        setattr(cls, name, found)
        return getattr(cls, name)

    def __dir__(cls):
        from . import _resource

        return {*type.__dir__(cls), *_resource.names_of(cls)}


def new_class(qualname, module, bases, names):
    body = {"__module__": module, "__qualname__": qualname, **names}
    return ObjectType(qualname.rpartition(".")[2], bases, body)


OPTIONS = ("api_key", "stripe_account", "stripe_context", "stripe_version")


def option(name):
    """A property: what an object's own calls are made with."""
    return property(lambda o: requestor_of(o).option(name))


class StripeObject(_core.Object, metaclass=ObjectType):
    """Fields as attributes and by [], a field before a method of the same name. No dict: to_dict() gives one."""

    OBJECT_NAME = ""

    def __init__(self, id=None, api_key=None, stripe_version=None, stripe_account=None, last_response=None, **params):
        options = {"api_key": api_key, "stripe_version": stripe_version, "stripe_account": stripe_account}
        requestor = requestor_of(self).scoped({**params, **options})
        _core.set_origin(self, requestor)
        if params:  # those of refresh()
            reply = _core.state(StripeObject._build({}, requestor), "reply")
            _core.adopt(self, reply.object(requestor, params, StripeObject))
        if id:
            self["id"] = id

    def __class_getitem__(cls, item):
        return cls  # ListObject[Customer], for annotations

    # Reading

    def get(self, name, default=None):
        return self[name] if name in self else default

    def keys(self):
        return _core.state(self, "fields").keys()

    def values(self):
        return _core.state(self, "fields").values()

    def items(self):
        return _core.state(self, "fields").items()

    @property
    def last_response(self):
        """The response that the object came in; None for objects inside others."""
        reply = _core.state(self, "last")
        if reply is None or not reply.status:
            return None
        from ._response import StripeResponse

        return StripeResponse.of(reply)

    api_key, stripe_account, stripe_context, stripe_version = map(option, OPTIONS)

    def __str__(self):
        import json

        return json.dumps(_core.Object.to_dict(self, for_json=True), sort_keys=True, indent=2)

    def __repr__(self):
        name, ident = (StripeObject.get(self, field) for field in ("object", "id"))
        parts = [type(self).__name__]
        parts += [name] if isinstance(name, str) else []
        parts += [f"id={ident}"] if isinstance(ident, str) else []
        return f"<{' '.join(parts)} at {hex(id(self))}> JSON: {StripeObject.__str__(self)}"

    # Copying; a copy keeps who made the call, a pickle does not

    def __copy__(self):
        return _core.adopt(self._empty(), self)

    def __deepcopy__(self, memo):
        import copy

        other = memo[id(self)] = self._empty()
        _core.state(other, "fields").update(copy.deepcopy(_core.state(self, "fields"), memo))
        return other

    def _empty(self):
        other = type(self).__new__(type(self))
        _core.set_origin(other, requestor_of(self))
        return other

    def __reduce__(self):
        return restore, (type(self), dict(_core.state(self, "fields")))

    # Building

    @classmethod
    def construct_from(
        cls, values, key, stripe_version=None, stripe_account=None, last_response=None, *, api_mode="V1"
    ):
        options = {"api_key": key, "stripe_version": stripe_version, "stripe_account": stripe_account}
        return cls._build(values, default_requestor().scoped(options))

    @classmethod
    def _build(cls, values, requestor):
        if isinstance(values, _core.Object):
            values = _core.Object.to_dict(values, for_json=True)
        return _core.build(cls, values, requestor)

    def refresh_from(
        self, values, api_key=None, partial=False, stripe_version=None, stripe_account=None, last_response=None, **_
    ):
        options = {"api_key": api_key, "stripe_version": stripe_version, "stripe_account": stripe_account}
        requestor = requestor_of(self).scoped(options)
        other = type(self)._build(values, requestor)
        if partial:
            _core.state(self, "fields").update(_core.state(other, "fields"))
        else:
            _core.adopt(self, other)
        _core.set_origin(self, requestor)

    def __dir__(self):
        return {*dir(type(self)), *StripeObject.keys(self)}

    def update(self, values):
        for name, value in values.items():
            self[name] = None if value == "" else value

    def serialize(self, previous=None):
        """What save() sends: the fields that were changed, but not those that were deleted."""
        from ._resource import serialize

        return serialize(self, previous)


class ListIndex:
    """What all pages share: they stand for their `data`."""

    def __getitem__(self, name):
        if isinstance(name, str):
            return super().__getitem__(name)
        hint = "List calls return an object with a 'data' (which is the data array). You likely want to call .data"
        what = f"{type(self).__name__} types only support string keys. (HINT: {hint}[{name!r}])"
        raise KeyError(f"You tried to access the {name!r} index, but {what}")

    def _data(self):
        return self["data"] if "data" in self else []

    def _nothing(self):
        return type(self)._build({"object": self.OBJECT_NAME, "data": [], "has_more": False}, requestor_of(self))

    def __iter__(self):
        return iter(self._data())

    def __len__(self):
        return len(self._data())

    @property
    def is_empty(self):
        return not self._data()

    def auto_paging_iter(self):
        from ._paging import AnyIterator, pages, pages_async

        return AnyIterator(pages(self), pages_async(self))


class ListObject(ListIndex, StripeObject):
    """A page of a list: it iterates, counts and reverses its `data`; auto_paging_iter() goes on over all pages."""

    OBJECT_NAME = "list"

    def __reversed__(self):
        return reversed(self._data())

    def _url(self, what):
        url = self.get("url")
        if isinstance(url, str):
            return url
        raise ValueError(f'Cannot call .{what} on a list object without a string "url" property')

    def list(self, **params):
        return requestor_of(self).request_mixed("GET", self._url("list"), params)

    async def list_async(self, **params):
        return await requestor_of(self).request_mixed_async("GET", self._url("list"), params)

    def create(self, **params):
        return requestor_of(self).request_mixed("POST", self._url("create"), params)

    async def create_async(self, **params):
        return await requestor_of(self).request_mixed_async("POST", self._url("create"), params)

    def retrieve(self, id, **params):
        return requestor_of(self).request_mixed("GET", f"{self._url('retrieve')}/{quote(id)}", params)

    async def retrieve_async(self, id, **params):
        return await requestor_of(self).request_mixed_async("GET", f"{self._url('retrieve')}/{quote(id)}", params)

    def _beside(self, name, index, params):
        """The params of the page after (or before) this one; None: there is none."""
        data = self._data()
        if not self.get("has_more") or not data:
            return None
        ident = data[index].get("id") if isinstance(data[index], StripeObject) else None
        if not ident:
            raise ValueError("Unexpected: element in .data of list object had no id")
        asked = {key: value for key, value in retrieve_params(self).items() if key not in PLACES}
        return {**asked, name: ident, **params}

    def next_page(self, **params):
        beside = self._beside("starting_after", -1, params)
        return self._nothing() if beside is None else ListObject.list(self, **beside)

    async def next_page_async(self, **params):
        beside = self._beside("starting_after", -1, params)
        return self._nothing() if beside is None else await ListObject.list_async(self, **beside)

    def previous_page(self, **params):
        beside = self._beside("ending_before", 0, params)
        return self._nothing() if beside is None else ListObject.list(self, **beside)

    async def previous_page_async(self, **params):
        beside = self._beside("ending_before", 0, params)
        return self._nothing() if beside is None else await ListObject.list_async(self, **beside)


PLACES = ("starting_after", "ending_before")


class SearchResultObject(ListIndex, StripeObject):
    """A page of a search; its field `next_page` is a token, the next page is next_search_result_page()."""

    OBJECT_NAME = "search_result"

    def _beside(self, params):
        if not self.get("has_more"):
            return None
        return {**retrieve_params(self), "page": self["next_page"], **params}

    def search(self, **params):
        return requestor_of(self).request_mixed("GET", ListObject._url(self, "search"), params)

    async def search_async(self, **params):
        return await requestor_of(self).request_mixed_async("GET", ListObject._url(self, "search"), params)

    def next_search_result_page(self, **params):
        beside = self._beside(params)
        return self._nothing() if beside is None else SearchResultObject.search(self, **beside)

    async def next_search_result_page_async(self, **params):
        beside = self._beside(params)
        return self._nothing() if beside is None else await SearchResultObject.search_async(self, **beside)


class V2ListObject(ListIndex, StripeObject):
    """A page of a v2 list, pinstripe.v2.ListObject: it goes on at its `next_page_url`."""

    OBJECT_NAME = "list"
    __reversed__ = ListObject.__reversed__


V2ListObject.__name__ = V2ListObject.__qualname__ = "ListObject"
V2ListObject.__module__ = "pinstripe.v2"


class APIResource(StripeObject):
    """An object with operations of its own: methods made from the table, as customer.delete()."""

    @classmethod
    def class_url(cls):
        from ._resource import class_url

        return class_url(cls)

    def instance_url(self):
        from ._resource import instance_url

        return instance_url(self)

    def refresh(self):
        found = requestor_of(self).request_mixed("GET", APIResource.instance_url(self), retrieve_params(self))
        return _core.adopt(self, found)

    async def refresh_async(self):
        url = APIResource.instance_url(self)
        return _core.adopt(self, await requestor_of(self).request_mixed_async("GET", url, retrieve_params(self)))

    def save(self, idempotency_key=None):
        """Sends what was changed."""
        params = StripeObject.serialize(self)
        if params:
            options = {"idempotency_key": idempotency_key}
            _core.adopt(self, requestor_of(self).request("POST", APIResource.instance_url(self), params, options))
        return self


class ErrorObject(StripeObject):
    """What the API says of an error; a field that it did not send is None."""


class DeletedObject(StripeObject):
    """What a DELETE of v2 returns."""


for _class in (StripeObject, ListObject, SearchResultObject, APIResource, ErrorObject):
    _class.__module__ = "pinstripe"
DeletedObject.__module__ = "pinstripe.v2"
UntypedStripeObject = StripeObject


# Who made the call


def default_requestor():
    from ._client import global_requestor

    return global_requestor


def requestor_of(o):
    return _core.state(o, "origin") or default_requestor()


def retrieve_params(o):
    """The params of the call that a page or object came from."""
    reply = _core.state(o, "last")
    return dict(reply.params or {}) if reply is not None else {}


def set_option(o, name, value):
    _core.set_origin(o, requestor_of(o).scoped({name: value}))


def quote(text):
    from urllib.parse import quote_plus

    return quote_plus(text)


def restore(cls, fields):
    """An object from its pickle: nobody's, so that its methods use the global configuration."""
    o = cls.__new__(cls)
    _core.state(o, "fields").update(fields)
    return o


def json_scalar(value):
    """A value that JSON lacks: decimals as strings, times as Unix seconds."""
    return int(value.timestamp()) if hasattr(value, "timestamp") else str(value)


# Classes

classes = {"list": ListObject, "search_result": SearchResultObject}  # by what objects call themselves


object_names = {}


def class_name(name):
    """("pinstripe.checkout", "Session") of "checkout.session"; None: the table does not have it."""
    if not object_names:
        object_names.update(_core.objects())
    known = object_names.get(name)
    if not known:
        return None
    space, name = class_place(name, known)
    return f"pinstripe.{space}".rstrip("."), name


def resolve(name, event_type=None):
    """The class of objects that call themselves so, made at first."""
    found = classes.get(name)
    if event_type is None and found is not None:
        return found
    if event_type is not None:
        from ._event import event_class

        return event_class(event_type)
    if name == "file_upload":
        return resolve("file")
    place = class_name(name)
    if place is None:
        return StripeObject
    base = StripeObject if name.startswith("v2.") else APIResource
    classes[name] = found = new_class(place[1], place[0], (base,), {"OBJECT_NAME": name})
    return found


inner = {}


def nested(cls, field, is_item):
    """The class of an object inside another one, made at first: Customer.Address of a customer's `address`."""
    found = inner.get(cls, {}).get(field)
    if found is None:
        name = inner_name(field, is_item)
        where = cls.__dict__.get("_WHERE", (cls.__dict__.get("OBJECT_NAME"),))
        if not where[0]:
            return StripeObject  # no class of the table's: nothing is made for it
        found = new_class(f"{cls.__qualname__}.{name}", cls.__module__, (StripeObject,), {"_WHERE": (*where, field)})
        inner.setdefault(cls, {})[field] = found
        setattr(cls, name, found)
    return found


def missing(o, name):
    """An attribute that neither the data nor the class has: a method made from the table, or an error; `from_` is the
    field `from`, whose name Python keeps for itself."""
    if name[-1:] == "_" and name[:-1] in o:
        return o[name[:-1]]
    try:
        getattr(type(o), name)
    except AttributeError:
        raise AttributeError(name) from None
    return object.__getattribute__(o, name)


_core.setup(
    StripeObject, classes, resolve, inner, nested, missing, OPTIONS, set_option, V2ListObject, UNSET, json_scalar
)
