"""A catalogue: products, prices, coupons, what belongs to what."""

import os
from decimal import Decimal

import stripe

stripe.api_key = os.environ["STRIPE_KEY"]
stripe.api_base = os.environ["STRIPE_BASE"]

product = stripe.Product.create(name="Rocket rides", metadata={"kind": "ride"}, images=["https://example.com/a.png"])
prices = [
    stripe.Price.create(product=product.id, unit_amount=amount, currency="usd", recurring={"interval": "month"})
    for amount in (1000, 2500)
]
print([(p.unit_amount, p.unit_amount_decimal, p.recurring.interval, p["recurring"]["interval"]) for p in prices])
small = stripe.Price.create(product=product, unit_amount_decimal=Decimal("0.25"), currency="usd")
print(
    small.unit_amount, small.unit_amount_decimal, type(small.unit_amount_decimal).__name__, small.product == product.id
)
print(stripe.Product.modify(product.id, metadata={"kind": "", "size": "L"}, description="Up and away").metadata)
print(sorted(p.unit_amount or 0 for p in stripe.Price.list(product=product.id).auto_paging_iter()))
coupon = stripe.Coupon.create(percent_off=12.5, duration="once", id="SPRING")
print(coupon.percent_off, coupon.id, coupon.valid, coupon.delete().deleted)
page = stripe.Price.list(limit=1)
print(len(page.data), page.has_more, page.next_page(limit=2).has_more, [len(list(p)) for p in (page, page.next_page())])
try:
    product.refresh().delete()
except stripe.InvalidRequestError as e:
    print(e.user_message)
print(str(product.metadata), stripe.Product.retrieve(product.id).active, product.images)
