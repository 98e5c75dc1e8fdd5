"""The benchmarks of the Python package, beside stripe-python in its own environment (build/tools/official).

export, five fields, to_dict   1,000 charges in pages of 100, by processes that live through all rounds
GET                            of the balance; libcurl alone sends the key and no other header, and reads no JSON
webhook                        checks of the signature of 4 KB, with what it takes to convert the body's text
import                         of a whole process, above one that imports nothing
held                           what a charge takes of memory, of 5,000 that are kept
latency                        50 pages at 100 ms each, 100 calls of asyncio at 50 ms, seconds"""

import json
import os
import subprocess
import sys

import server

EXPORTS = (("export", "list export"), ("five", "five fields of each"), ("plain", "to_dict() of each"))
CALLS = 200
ASYNCIO = """
import asyncio, sys, time, pinstripe
async def main():
    client = pinstripe.StripeClient("sk_test_bench", api_base=sys.argv[1])
    begin = time.perf_counter()
    await asyncio.gather(*(client.v1.balance.retrieve_async() for _ in range(100)))
    print(time.perf_counter() - begin)
asyncio.run(main())
"""
PAGES = """
import sys, time, pinstripe
client = pinstripe.StripeClient("sk_test_bench", api_base=sys.argv[1])
begin = time.perf_counter()
assert sum(1 for _ in client.v1.charges.list({"limit": 1}).auto_paging_iter()) == 50
print(time.perf_counter() - begin)
"""


class Sides:
    def __init__(self, bench, build, root):
        self.bench, here = bench, os.path.dirname(os.path.abspath(__file__))
        official = f"{root}/build/tools/official/bin/python"
        self.ours = [sys.executable, f"{here}/ours.py", "pinstripe"]
        self.theirs = [official, f"{here}/ours.py", "stripe"] if os.path.exists(official) else None
        self.environment = {**bench.ENVIRONMENT, "PYTHONPATH": f"{build}/python", "PYTHONDONTWRITEBYTECODE": "1"}

    def worker(self, command, mode, base, expected):
        return self.bench.Worker([*command, mode, self.bench.KEY, base], self.environment, expected)

    def export(self, folder, base, pages):
        queries, size, amount = pages
        urls = [f"{base}/v1/charges?{query}" for query in queries]
        lexing = [f"{folder}/bare", "lex", self.bench.KEY, *urls]
        sides = {"lexing": self.bench.Worker(lexing, self.environment, size)}
        for mode, _ in EXPORTS:
            sides[mode] = self.worker(self.ours, mode, base, amount)
            if self.theirs:
                sides[f"{mode} stripe"] = self.worker(self.theirs, mode, base, amount)
        times = self.bench.measure(sides, 10, 1)
        units = 1e6 / (server.PAGES * server.PER_PAGE)
        self.bench.heading("Python: list export, us per charge")
        self.bench.row("libcurl + yajl lexing", times["lexing"], units)
        for mode, title in EXPORTS:
            self.bench.row(
                f"pinstripe, {title}", times[mode], units, times["lexing"], 1.5 if mode == "export" else None
            )
            if self.theirs:
                self.bench.row(f"stripe-python, {title}", times[f"{mode} stripe"], units, times[mode])

    def calls(self, folder, base):
        amount = server.BALANCE["available"][0]["amount"]
        url = f"{base}/v1/balance"
        bare = [f"{folder}/bare", "get", self.bench.KEY, url]
        size = os.path.getsize(f"{folder}/www/v1/balance")
        sides = {
            "libcurl": self.bench.Worker(bare, self.environment, size),
            "pinstripe": self.worker(self.ours, "get", base, amount),
        }
        if self.theirs:
            sides["stripe-python"] = self.worker(self.theirs, "get", base, amount)
        times = self.bench.measure(sides, 20, CALLS)
        self.bench.heading("Python: GET of the balance, us")
        self.bench.row("libcurl", times["libcurl"], 1e6 / CALLS)
        self.bench.row("pinstripe", times["pinstripe"], 1e6 / CALLS, times["libcurl"], 1.4)
        if self.theirs:
            self.bench.row("stripe-python", times["stripe-python"], 1e6 / CALLS, times["libcurl"])

    def webhooks(self, folder, base):
        c = [f"{folder}/ours", "verify", self.bench.KEY, base]
        sides = {"C": self.bench.Worker(c, self.environment, 1), "pinstripe": self.worker(self.ours, "verify", base, 1)}
        if self.theirs:
            sides["stripe-python"] = self.worker(self.theirs, "verify", base, 1)
        times = self.bench.measure(sides, 100, CALLS)
        self.bench.heading("Python: signature of a webhook of 4 KB, us")
        self.bench.row("pinstripe, C", times["C"], 1e6 / CALLS)
        for name in list(sides)[1:]:
            self.bench.row(name, times[name], 1e6 / CALLS, times["C"])

    def start(self):
        python = self.ours[0]
        sides = {
            "bare": self.bench.Start([python, "-c", ""], self.environment),
            "pinstripe": self.bench.Start([python, "-c", "import pinstripe"], self.environment),
        }
        if self.theirs:
            sides["stripe"] = self.bench.Start([self.theirs[0], "-c", "import stripe"], self.environment)
        times = self.bench.measure(sides, 30, 1)
        self.bench.heading("Python: process, start to exit, ms")
        self.bench.row("python3", times["bare"], 1e3)
        self.bench.over("above it: import pinstripe", times["pinstripe"], times["bare"], 8)
        if self.theirs:
            self.bench.row("python3 with import stripe", times["stripe"], 1e3)

    def held(self, base):
        print("\nPython: bytes for each of 5,000 charges held")
        for name, command in (("pinstripe", self.ours), ("stripe-python", self.theirs)):
            if command:
                arguments = [*command, "hold", self.bench.KEY, base]
                done = subprocess.run(
                    arguments, input="1\n", env=self.environment, capture_output=True, text=True, check=True
                )
                print(f"{name:<58}{int(done.stdout):>8}")

    def latency(self, root):
        page = {"object": "list", "url": "/v1/charges", "has_more": True, "data": [{"id": "ch_1", "object": "charge"}]}
        last = {**page, "has_more": False}
        pages = [{"delay": 0.1, "body": page}] * 49 + [{"delay": 0.1, "body": last}]
        slow = [{"delay": 0.05, "body": server.BALANCE, "repeat": True}]
        print(f"\n{'Python: latency, s':<58}{'wall':>8}")
        for name, script, code in (("50 pages at 100 ms", pages, PAGES), ("100 of asyncio at 50 ms", slow, ASYNCIO)):
            command = [sys.executable, f"{root}/tests/faults/server.py", json.dumps(script)]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as scripted:
                url = scripted.stdout.readline().strip()
                arguments = [sys.executable, "-c", code, url]
                done = subprocess.run(arguments, env=self.environment, capture_output=True, text=True, check=True)
                print(f"{name:<58}{float(done.stdout):>8.2f}")
                scripted.stdin.close()


def bench(run, build, folder, base, pages, root):
    """All of it; nothing, where the package is not built. `run`: the module of that name."""
    if not os.path.exists(f"{build}/python/pinstripe/_core.abi3.so"):
        print("\nNo Python module is built: nothing of it is measured")
        return
    sides = Sides(run, build, root)
    sides.export(folder, base, pages)
    sides.calls(folder, base)
    sides.webhooks(folder, base)
    sides.start()
    sides.held(base)
    sides.latency(root)
