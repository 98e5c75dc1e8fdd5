"""ours.py LIBRARY MODE KEY BASE: a side of the benchmarks in Python, the same program for pinstripe and for stripe.
For each count read from stdin it runs its mode so often, and answers with the sum of what it read."""

import hashlib
import hmac
import importlib
import sys

library, mode, key, base = sys.argv[1:]
stripe = importlib.import_module(library)
client = stripe.StripeClient(key, base_addresses={"api": base})


def charges():
    return client.v1.charges.list({"limit": 100}).auto_paging_iter()


def export():
    return sum(charge.amount for charge in charges())


def five():
    total = 0
    for charge in charges():
        assert charge.id and charge.currency and charge.created and charge.customer
        total += charge.amount
    return total


def plain():
    return sum(charge.to_dict()["amount"] for charge in charges())


def get():
    return client.v1.balance.retrieve().available[0].amount


payload = "x" * 4096
signed = hmac.new(b"whsec_bench", f"1700000000.{payload}".encode(), hashlib.sha256).hexdigest()


def verify():
    return stripe.WebhookSignature.verify_header(payload, f"t=1700000000,v1={signed}", "whsec_bench") is True


def hold():
    """Bytes for each of the objects held."""
    with open("/proc/self/statm", encoding="ascii") as f:
        before = int(f.read().split()[1])
    held = [charge for _ in range(5) for charge in charges()]
    with open("/proc/self/statm", encoding="ascii") as f:
        return (int(f.read().split()[1]) - before) * 4096 // len(held)


work = globals()[mode]
for line in sys.stdin:
    print(sum(work() for _ in range(int(line))), flush=True)
