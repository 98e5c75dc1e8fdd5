"""Objects as programs use them: changed and saved, copied, pickled, printed, exported."""

import copy
import json
import os
import pickle

import stripe

stripe.api_key = os.environ["STRIPE_KEY"]
stripe.api_base = os.environ["STRIPE_BASE"]

customer = stripe.Customer.create(
    name="Ada", email="ada@example.com", metadata={"a": "1", "b": "2"}, address={"city": "Oslo", "line1": "Storgata 1"}
)
customer.name = "Ada L."
customer.metadata["a"] = "3"
customer["address"]["city"] = "Bergen"
customer.save()
print(customer.name, customer.metadata.to_dict(), customer.address.city)
customer = stripe.Customer.retrieve(customer.id)
customer.metadata["c"] = "4"
customer.phone = "+47"
print(customer.serialize(None))
customer.save()
print(customer.metadata.to_dict(), customer.phone, customer.serialize(None))
fresh = stripe.Customer.retrieve(customer.id)
print(
    fresh == customer,
    fresh is customer,
    copy.deepcopy(fresh).id == fresh.id,
    pickle.loads(pickle.dumps(fresh)) == fresh,
)
print(json.loads(str(fresh)) == fresh.to_dict(), str(fresh).startswith('{\n  "address": {'), repr(fresh)[:18])
print([name for name in ("id", "object", "nothing") if name in fresh], isinstance(fresh, dict), bool(fresh))
for name in ("items", "nothing"):
    try:
        print(fresh[name])
    except KeyError as e:
        print("KeyError", e)
try:
    fresh.email = ""
except ValueError as e:
    print("ValueError", str(e)[:40])
try:
    stripe.Customer.list()[0]
except KeyError as e:
    print("KeyError", ".data[0]" in str(e))
print(fresh.last_response.code, fresh.address.last_response, fresh.refresh() is fresh)
rows = [{"id": c.id, "name": c.name} for c in stripe.Customer.list(limit=3).auto_paging_iter()]
print(json.dumps(rows))
