"""The client's style: services, options, lists."""

import os

import stripe
from stripe import StripeClient

client = StripeClient(
    os.environ["STRIPE_KEY"], base_addresses={"api": os.environ["STRIPE_BASE"]}, max_network_retries=1
)
names = ["Ada", "Grace", "Jenny"]
for i, name in enumerate(names):
    client.v1.customers.create({"name": name, "metadata": {"order": str(i)}}, options={"idempotency_key": f"c{i}"})
same = client.v1.customers.create({"name": "Ada", "metadata": {"order": "0"}}, {"idempotency_key": "c0"})
page = client.v1.customers.list(params={"limit": 2})
print([customer.name for customer in page], page.has_more, len(page), page.is_empty, type(page).__name__)
print([customer.name for customer in page.auto_paging_iter()])
second = page.next_page()
print([customer.name for customer in second.data], second.has_more, second.next_page().is_empty)
jenny = client.v1.customers.update(
    page.data[0].id, {"email": "jenny@example.com", "address": {"city": "Oslo", "country": "NO"}}
)
print(jenny.email, jenny.address.city, jenny["address"]["country"], jenny.address.line2)
client.v1.customers.tax_ids.create(jenny.id, {"type": "no_vat", "value": "123456789MVA"})
print([tax_id.value for tax_id in client.v1.customers.tax_ids.list(jenny.id).data])
gone = client.v1.customers.delete(jenny.id)
print(gone.deleted, gone.id == jenny.id)
try:
    client.v1.customers.retrieve("cus_nobody")
except stripe.InvalidRequestError as e:
    print(type(e).__name__, e.http_status, e.code, e.param, e.user_message)
response = client.raw_request("get", "/v1/customers", limit=1)
print(response.code, response.data["data"][0]["name"], type(client.deserialize(response, api_mode="V1")).__name__)
