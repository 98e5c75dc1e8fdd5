"""The global style: class methods and instance methods of the objects' classes, made from the table by rule.

An object's home is the service whose path is its name's plural (Customer: /v1/customers). From the operations at home:

    customers.create, list, search          Customer.create(...)        update is called modify
    customers.delete, payment_intents.confirm
                                            PaymentIntent.confirm(id, ...) and payment_intent.confirm(...)
    customers.tax_ids.create, list          Customer.create_tax_id(id, ...), list_tax_ids
    test_helpers.customers.fund_...         Customer.TestHelpers.fund_...(id), customer.test_helpers.fund_...()

The rule stands in _naming.py, with what stripe-python has beside it. Each method has its `_async` twin."""

from types import MethodType

from . import _core, _naming
from ._client import global_requestor, split
from ._names import table
from ._object import APIResource, StripeObject, quote, requestor_of

# Where objects lie that have no home: the fields that name who has them, and the path below.
OWNERS = {
    "bank_account": (("customer", "/v1/customers/{}/sources/{}"), ("account", "/v1/accounts/{}/external_accounts/{}")),
    "capability": (("account", "/v1/accounts/{}/capabilities/{}"),),
    "card": (("customer", "/v1/customers/{}/sources/{}"), ("account", "/v1/accounts/{}/external_accounts/{}")),
    "cash_balance": (("customer", "/v1/customers/{}/cash_balance"),),
    "customer_balance_transaction": (("customer", "/v1/customers/{}/balance_transactions/{}"),),
    "fee_refund": (("fee", "/v1/application_fees/{}/refunds/{}"),),
    "person": (("account", "/v1/accounts/{}/persons/{}"),),
    "transfer_reversal": (("transfer", "/v1/transfers/{}/reversals/{}"),),
}


def methods_of(name):
    return table(_naming.methods_of, _core, name)


def helpers_of(name):
    return _naming.helpers_of(_core, name)


# Methods


def take_ids(operation, args, params):
    """The ids of a class method: positional, or by the path's names, or `id`."""
    ident, count, names = operation[0], operation[2], operation[5]
    ids = list(args)
    for name in names[len(ids) :]:
        found = next((params.pop(word) for word in (name, *["id"] * (count == 1)) if word in params), ABSENT)
        ids += [found] if found is not ABSENT else []
    if len(ids) != count:
        raise TypeError(f"{ident} needs {count} id{'s' * (count != 1)} ({', '.join(names)}), and then keywords")
    for name, value in zip(names, ids):
        if not isinstance(value, str):
            refuse_id(f"{ident}: {name} is an invalid ID: {value!r}")
    return ids


ABSENT = object()


def refuse_id(why):
    from ._error import InvalidRequestError

    raise InvalidRequestError(f"Could not determine which URL to request: {why}. ID should be a str", "id")


class Method(classmethod):
    """Of the class, with all ids; and of an object, whose id comes first and which takes its own new state."""

    def __get__(self, o, cls=None):
        return MethodType(self.__func__, cls if o is None else o)


class HelperMethod(Method):
    """Of Customer.TestHelpers: its objects stand for a customer."""

    def __get__(self, helpers, cls=None):
        return super().__get__(helpers and helpers.resource, cls)


def new_function(cls, name, operation):
    def call(target, /, *args, **params):
        me, cls, requestor, asked = begin(operation, target, args, params)
        return conclude(me, cls, asked[0], requestor.call(*asked))

    async def call_async(target, /, *args, **params):
        me, cls, requestor, asked = begin(operation, target, args, params)
        return conclude(me, cls, asked[0], await requestor.call_async(*asked))

    function = call_async if name.endswith("_async") else call
    function.__name__, function.__qualname__ = name, f"{cls.__qualname__}.{name}"
    function.__module__, function.__doc__ = cls.__module__, f"{operation[6]} {operation[7]}"
    return function


def begin(operation, target, args, params):
    """Whom the call is about, or None; of which class; who makes it, and how."""
    cls = target if isinstance(target, type) else type(target)
    me = target if target is not cls else None
    if me is None and args and isinstance(args[0], cls):
        me, args = args[0], args[1:]
    if operation[0] == "accounts.retrieve" and not any((*args, params.get("id"))):
        operation, args = _core.resolve("accounts", "retrieve_current"), ()  # the key's own
        params.pop("id", None)
    if me is not None and len(args) >= operation[2]:
        me = None  # called with all ids, or without need of any: as a class method
    ids = take_ids(operation, args if me is None else (ident_of(me), *args), params)
    options, params = split(params)
    return me, cls, requestor_of(me) if me is not None else global_requestor, (operation, ids, params, options)


def conclude(me, cls, operation, found):
    """As below; what is retrieved is of the class that was asked for it: a program's own, too."""
    if me is None and operation[0].endswith(".retrieve") and type(found) in cls.__mro__[1:]:
        is_own = type(found) is not StripeObject or operation[8] == cls.OBJECT_NAME
        return _core.adopt(cls.__new__(cls), found) if is_own else found
    return settle(me, found)


def settle(me, found):
    """What a method returns: the object itself, brought up to date, if the reply is of its class. The options of one
    call are not the object's."""
    if me is None or type(me) is not type(found):
        return found
    origin = requestor_of(me)
    _core.adopt(me, found)
    _core.set_origin(me, origin)
    return me


def ident_of(o):
    ident = o.get("id") if isinstance(o, StripeObject) else None
    if isinstance(ident, str) and ident:
        return ident
    return refuse_id(f"{type(o).__name__} instance has invalid ID: {ident!r}")


def helpers_class(cls, operations):
    names = {"__module__": cls.__module__, "__qualname__": f"{cls.__qualname__}.TestHelpers", "_resource_cls": cls}
    for name, operation in operations.items():
        for method in (name, f"{name}_async"):
            names[method] = HelperMethod(new_function(cls, method, operation))

    def __init__(self, resource):
        self.resource = resource

    return type("TestHelpers", (), {**names, "__init__": __init__})


def all_pages(cls, name):
    lister = _naming.WALKS[name.removesuffix("_async")]
    if name.endswith("_async"):

        async def iterate(**params):
            return (await getattr(cls, f"{lister}_async")(**params)).auto_paging_iter()
    else:

        def iterate(**params):
            return getattr(cls, lister)(**params).auto_paging_iter()

    return staticmethod(iterate)


def attribute(cls, name):
    """A class's attribute that the table gives: a method's descriptor or TestHelpers; None: there is no such."""
    if not issubclass(cls, APIResource) or not cls.OBJECT_NAME:
        return None
    base = name[:-6] if name.endswith("_async") else name
    operations = methods_of(cls.OBJECT_NAME)
    if base in _naming.BY_HAND.get(cls.OBJECT_NAME, ()):
        return by_hand(*_naming.BY_HAND[cls.OBJECT_NAME][base], base != name)
    if operations.get(base):
        return Method(new_function(cls, name, operations[base]))
    if _naming.WALKS.get(base) in operations:
        return all_pages(cls, name)
    if name in ("TestHelpers", "test_helpers") and helpers_of(cls.OBJECT_NAME):
        return (
            helpers_class(cls, helpers_of(cls.OBJECT_NAME))
            if name[0] == "T"
            else property(lambda o: cls.TestHelpers(o))
        )
    return None


def names_of(cls):
    """What `attribute` knows."""
    found = methods_of(cls.OBJECT_NAME) if issubclass(cls, APIResource) and cls.OBJECT_NAME else {}
    walks = [name for name, lister in _naming.WALKS.items() if lister in found]
    names = [*found, *walks, *_naming.BY_HAND.get(cls.OBJECT_NAME, ())]
    return [*names, *(f"{name}_async" for name in names)]


# Paths


def class_url(cls):
    operations = methods_of(cls.OBJECT_NAME) if cls.OBJECT_NAME else {}
    for name in ("list", "create", "retrieve"):
        if operations.get(name):
            return operations[name][7].partition("/{")[0]
    if not cls.OBJECT_NAME:
        raise NotImplementedError("APIResource is an abstract class. You should perform actions on its subclasses")
    return f"/v1/{cls.OBJECT_NAME.replace('.', '/')}s"


def instance_url(o):
    name = type(o).OBJECT_NAME
    for field, path in OWNERS.get(name, ()):
        owner = o.get(field)
        if owner:
            return path.format(quote(owner if isinstance(owner, str) else ident_of(owner)), quote(o.get("id") or ""))
    operation = methods_of(name).get("retrieve") if name else None
    if operation and operation[2] == 0:
        return operation[7]
    return f"{class_url(type(o))}/{quote(ident_of(o))}"


# By hand


def customers_url(source):
    """Where a source is attached."""
    customer = source.get("customer")
    if not customer:
        from ._error import InvalidRequestError

        raise InvalidRequestError(
            f"Source {source.get('id')} does not appear to be currently attached to a customer object.", "id"
        )
    return f"/v1/customers/{quote(customer)}/sources/{quote(ident_of(source))}"


def by_hand(method, where, fixed, is_async):
    """A method of _naming.BY_HAND, or its twin."""

    def arguments(o, idempotency_key, params):
        mixed, params = split(params)
        path = customers_url(o) if where == "customer" else instance_url(o) + where
        return method, path, {**params, **fixed}, {**mixed, "idempotency_key": idempotency_key}

    if where == "oauth":
        from ._oauth import OAuth

        end = OAuth.deauthorize_async if is_async else OAuth.deauthorize
        return lambda o, **params: end(stripe_user_id=ident_of(o), **params)

    if is_async:

        async def call_async(o, idempotency_key=None, **params):
            return settle(o, await requestor_of(o).request_async(*arguments(o, idempotency_key, params)))

        return call_async

    def call(o, idempotency_key=None, **params):
        return settle(o, requestor_of(o).request(*arguments(o, idempotency_key, params)))

    return call


# What save() sends


def difference(value, before):
    """A map that was assigned: what it no longer has goes as ''."""
    if isinstance(value, dict):
        gone = set(before if isinstance(before, dict) else ()) - set(value)
        return {**value, **dict.fromkeys(sorted(gone), "")}
    return "" if value is None else value


PARTS = ("cash_balance", "individual")  # of a customer, of an account: saved with it


def serialize(o, previous=None):
    changed, fields = _core.state(o, "changed") or (), _core.state(o, "fields")
    before = previous if isinstance(previous, dict) else _core.state(o, "sent")
    params = {}
    for name, value in fields.items():
        if name == "id" or name[:1] == "_" or (isinstance(value, APIResource) and name not in PARTS):
            continue
        if isinstance(value, StripeObject):
            child = serialize(value)
            if child:
                params[name] = child
        elif name in changed:
            params[name] = difference(value, before.get(name))
    return params


def convert_to_stripe_object(
    resp, api_key=None, stripe_version=None, stripe_account=None, params=None, klass_=None, **_
):
    """The objects of a dict, or of a list of such; anything else as it is."""
    if isinstance(resp, list):
        return [
            convert_to_stripe_object(item, api_key, stripe_version, stripe_account, params, klass_) for item in resp
        ]
    if not isinstance(resp, dict):
        return resp
    options = {"api_key": api_key, "stripe_version": stripe_version, "stripe_account": stripe_account}
    return _core.build(klass_, resp, global_requestor.scoped(options))
