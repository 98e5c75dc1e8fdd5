"""asyncio."""

import asyncio
import os

import stripe

client = stripe.StripeClient(
    os.environ["STRIPE_KEY"], base_addresses={"api": os.environ["STRIPE_BASE"]}, http_client=stripe.HTTPXClient()
)


async def main():
    made = [await client.v1.customers.create_async({"name": f"n{i}"}) for i in range(5)]
    found = await asyncio.gather(*(client.v1.customers.retrieve_async(customer.id) for customer in made))
    print([customer.name for customer in found])
    names = []
    async for customer in (await client.v1.customers.list_async({"limit": 2})).auto_paging_iter():
        names.append(customer.name)
    print(names)
    try:
        await client.v1.customers.retrieve_async("cus_nobody")
    except stripe.InvalidRequestError as e:
        print(e.code)


asyncio.run(main())
