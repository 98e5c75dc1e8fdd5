"""A tour in Python: creates a customer, walks over charges, lists and retrieves file links, fails and looks at errors.

    STRIPE_API_KEY=sk_test_... python3 tour.py

PINSTRIPE_API_BASE and PINSTRIPE_LISTS_BASE name other servers in Stripe's place, for everything and for lists."""

import os

import pinstripe

BASE = os.environ.get("PINSTRIPE_API_BASE")
requests: "list[object]" = []
stripe = pinstripe.StripeClient(api_base=BASE)
LISTS_BASE = os.environ.get("PINSTRIPE_LISTS_BASE") or BASE
lists = pinstripe.StripeClient(api_base=LISTS_BASE, on_request=requests.append)


def money(cents: int, currency: str) -> str:
    return f"{cents / 100:.2f} {currency}"


def create_a_customer() -> None:
    print('1. Create a customer: stripe.v1.customers.create({"email": "jenny@example.com"})')
    customer = stripe.v1.customers.create({"email": "jenny@example.com", "metadata": {"order": "6735"}})
    response = customer.last_response
    assert response is not None
    print(f"   {customer.id}, {customer.email}; status {response.code}\n")


def walk_over_charges() -> None:
    print("2. List charges: for charge in stripe.v1.charges.list().auto_paging_iter()")
    number = total = 0
    for charge in lists.v1.charges.list({"limit": 100}).auto_paging_iter():
        number, total = number + 1, total + charge.amount
        if number <= 3:
            print(f"   {charge.id:<14} {money(charge.amount, charge.currency):>12}   {charge.description}")
    print(f"   ... {number} charges, {money(total, 'usd')}, in {len(requests)} requests\n")


def look_at_file_links() -> None:
    print('3. List file links, then retrieve one: stripe.v1.file_links.list({"limit": 3})')
    links = lists.v1.file_links.list({"limit": 3})
    for link in links:
        print(f"   {link.id:<14} {link.url}")
    if links.is_empty:
        print("   there are none\n")
        return
    link = lists.v1.file_links.retrieve(links.data[0].id)
    print(f'   stripe.v1.file_links.retrieve("{link.id}") is the link to {link.file}\n')


def fail() -> None:
    print('4. Fail: stripe.raw_request("post", "/v1/payment_intents", amount="a lot", currency="usd")')
    try:
        stripe.raw_request("post", "/v1/payment_intents", amount="a lot", currency="usd")
    except pinstripe.StripeError as e:
        print(f"   {type(e).__name__}, status {e.http_status}, outcome {e.outcome}")
        print(f"   {(e.user_message or '')[:100]}\n")

    print("5. Nobody there: the error tells whether money may have moved")
    nobody = pinstripe.StripeClient("sk_test_nobody", api_base="http://127.0.0.1:1", max_retries=0)
    try:
        nobody.v1.charges.create({"amount": 2000, "currency": "usd"})
    except pinstripe.APIConnectionError as e:
        print(f"   {type(e).__name__}, outcome {e.outcome}\n")

    print("6. Misspell: stripe.v1.customers.creat")
    try:
        print(getattr(stripe.v1.customers, "crea" + "t"))
    except AttributeError as e:
        print(f"   {e}\n")


if __name__ == "__main__":
    print(
        f"pinstripe {pinstripe.VERSION}, with Stripe's API {pinstripe.api_version}, at {BASE or 'https://api.stripe.com'}\n"
    )
    create_a_customer()
    walk_over_charges()
    look_at_file_links()
    fail()
    print("That was the tour. The README goes on from here.")
