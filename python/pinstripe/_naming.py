"""The names that the table's names become in Python: one rule for the package, and for its stubs, which core/api
prints.

`api` is the table: names(path) → (services below it, operations), resolve(path, name) → an operation's facts, which
begin with its id, and namespaces(). The package has _core for that."""


def camel(words):
    """The name of a class: "payment_method" is PaymentMethod."""
    words = words.replace("[", "_including_").replace("]", "").replace(".", "_")
    return "".join(part[:1].upper() + part[1:] for part in words.split("_"))


SINGULARS = {"ies": "y", "sses": "ss", "xes": "x", "ches": "ch", "ss": "ss", "us": "us", "s": ""}


def singular(word):
    """Of a list's field: items of "tax_ids" are called tax_id."""
    for end, other in SINGULARS.items():
        if word.endswith(end):
            return word[: -len(end)] + other
    return word


def plural(word):
    if word.endswith("y") and word[-2] not in "aeou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch")) else "s")


# Classes

# Classes that are not called as the table calls their objects.
CLASS_NAMES = {"event": "Event", "v2.core.event": "Event", "fee_refund": "ApplicationFeeRefund", "file_upload": "File"}


def class_place(name, known):
    """("checkout", "Session") of "checkout.session", which the table also calls `known`."""
    space = "sigma" if name == "scheduled_query_run" else name.rpartition(".")[0]
    return space, camel((CLASS_NAMES.get(name) or known).rpartition(".")[2])


def inner_name(field, is_item):
    """The class of an object inside another one."""
    return camel(singular(field) if is_item else field)


# Services

# Services whose classes keep their plural.
PLURALS = (
    "balance_settings quotes.computed_upfront_line_items credit_notes.preview_lines "
    "customers.funding_instructions tax.settings treasury.financial_accounts.features"
).split()


def split_service(api, path):
    """("checkout", ["Session"]) of "checkout.sessions": its namespace, and the words of its class's name."""
    parts, depth, spaces = path.split("."), 0, api.namespaces()
    while depth < len(parts) - 1 and ".".join(parts[: depth + 1]) in spaces:
        depth += 1
    plain = path in PLURALS or not api.names(path)[1]
    words = [*map(singular, parts[depth:-1]), parts[-1] if plain else singular(parts[-1])]
    return ".".join(parts[:depth]), [camel(word) for word in words]


def service_place(api, path):
    """("checkout", "SessionService") of "checkout.sessions"."""
    if path in ("", "v2"):
        return "", f"{path.upper() or 'V1'}Services"
    space, words = split_service(api, path)
    return space, f"{''.join(words)}Service"


# The global style's methods: see _resource.py

# Homes that are not called as their objects.
HOMES = {"file_upload": "files", "invoiceitem": "invoice_items", "scheduled_query_run": "sigma.scheduled_query_runs"}
# What the rule does not say: names of methods, by object, and their operations.
OTHERS = {
    "account": {"persons": "accounts.persons.list"},
    "application_fee": {"refund": "application_fees.refunds.create"},
    "credit_note": {"list_lines": "credit_notes.line_items.list", "preview_lines": "credit_notes.preview_lines.list"},
    "customer": {
        "create_funding_instructions": "customers.funding_instructions.create",
        "create_source": "customers.payment_sources.create",
        "delete_source": "customers.payment_sources.delete",
        "list_sources": "customers.payment_sources.list",
        "modify_source": "customers.payment_sources.update",
        "retrieve_source": "customers.payment_sources.retrieve",
    },
    "financial_connections.account": {"refresh_account": "financial_connections.accounts.refresh", "refresh": None},
    "invoice": {"list_lines": "invoices.line_items.list"},
    "line_item": {"modify": "invoices.line_items.update"},
    "source": {"list_source_transactions": "sources.transactions.list"},
    "subscription": {"delete": "subscriptions.cancel"},
    "treasury.financial_account": {
        "retrieve_features": "treasury.financial_accounts.features.retrieve",
        "update_features": "treasury.financial_accounts.features.update",
    },
}
# Methods of objects beside the table: what is sent to where, below the object's own path, or to its customer's.
BY_HAND = {
    "account": {"deauthorize": ("POST", "oauth", {})},
    "bank_account": {"delete": ("DELETE", "", {}), "verify": ("POST", "/verify", {})},
    "card": {"delete": ("DELETE", "", {})},
    "charge": {
        "mark_as_fraudulent": ("POST", "", {"fraud_details": {"user_report": "fraudulent"}}),
        "mark_as_safe": ("POST", "", {"fraud_details": {"user_report": "safe"}}),
    },
    "source": {"detach": ("DELETE", "customer", {})},
}


def home_of(api, name):
    """The path of the service that an object's class stands for, or None."""
    if name.startswith("v2."):
        return None
    return next((path for path in (HOMES.get(name) or plural(name), name) if api.names(path)[1]), None)


def operations_of(api, path):
    return {name: api.resolve(path, name) for name in api.names(path)[1]}


def verb(name):
    return "modify" if name == "update" else name


# Over all pages: on classes that have this operation.
WALKS = {"auto_paging_iter": "list", "search_auto_paging_iter": "search"}


def methods_of(api, name):
    """{name of a method: facts of its operation} for the class of an object."""
    found, home = {}, home_of(api, name)
    if home:
        found = {verb(method): operation for method, operation in operations_of(api, home).items()}
        for child in api.names(home)[0]:
            for method, operation in operations_of(api, f"{home}.{child}").items():
                thing = child if method == "list" else singular(child)
                found.setdefault(f"{verb(method)}_{thing}", operation)
    for method, ident in OTHERS.get(name, {}).items():
        found[method] = ident and api.resolve(*ident.rsplit(".", 1))
    return {method: operation for method, operation in found.items() if operation}


def helpers_of(api, name):
    """The same for its TestHelpers."""
    return operations_of(api, f"test_helpers.{home_of(api, name) or '-'}")
