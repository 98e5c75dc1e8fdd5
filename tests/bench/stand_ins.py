"""The sandbox beside two other stand-ins for the API, stripe-mock (canned answers) and localstripe (stateful, Python).

Rates are wrk's, with 16 connections on one thread, each side in turn in every round; a reply that is no 2xx ends the
run. A start is from the process's beginning to the first reply on a socket; in process, from before the library is
loaded. Memory is the resident set, after the first reply and, by customer, between two counts of them."""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
KEY = "sk_test_123"
STARTS, ROUNDS, SECONDS = 15, 3, 2
MANY = 100_000

POST = """
wrk.method = "POST"
wrk.body = "email=jenny%40example.com&name=Jenny+Rosen&metadata[order]=6735"
wrk.headers["Authorization"] = "Bearer sk_test_123"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
"""
GET = 'wrk.headers["Authorization"] = "Bearer sk_test_123"\n'


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(base, path):
    request = urllib.request.Request(base + path, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read()


def create_customer(base):
    request = urllib.request.Request(
        base + "/v1/customers", data=b"email=jenny%40example.com", headers={"Authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)["id"]


class StandIn:
    """A server of the API as a process of its own. `command` may name a port by {port}; else its first line has a
    URL."""

    def __init__(self, command, path="/v1/customers"):
        self.command, self.path = command, path

    def start(self):
        """Starts it; seconds to the first reply."""
        port = free_port()
        command = [part.format(port=port) for part in self.command]
        tells = command == self.command
        # Nobody reads a log: a process that writes one to a pipe stops when the pipe is full.
        output = subprocess.PIPE if tells else subprocess.DEVNULL
        begin = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        self.base = f"http://127.0.0.1:{port}"
        if tells:
            self.base = re.search(rb"http://[\d.:]+", self.process.stdout.readline())[0].decode()
        while True:
            try:
                get(self.base, self.path)
                return time.perf_counter() - begin
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - begin > 20:
                    raise SystemExit(f"{command[0]} does not answer") from None
                time.sleep(0.0005)

    def resident(self):
        """KiB."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def stop(self):
        self.process.terminate()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def wrk(folder, base, path, script, seconds=SECONDS):
    """Requests a second."""
    file = f"{folder}/wrk.lua"
    with open(file, "w") as f:
        f.write(script)
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", file, base + path]
    output = subprocess.check_output(command, text=True)
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{' '.join(command)}\n{output}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])


def stand_ins(build):
    found = {"pinstripe sandbox": StandIn([f"{build}/bin/pinstripe", "sandbox"])}
    tools = f"{SOURCE}/build/tools"
    if os.path.exists(f"{tools}/stripe-mock"):
        command = [f"{tools}/stripe-mock", "-http-addr", "127.0.0.1:{port}"]
        found["stripe-mock"] = StandIn(command)
    if os.path.exists(f"{tools}/venv/bin/localstripe"):
        found["localstripe"] = StandIn([f"{tools}/venv/bin/localstripe", "--from-scratch", "--port", "{port}"])
    return found


def line(name, values, unit, goal=None, least=False):
    value = statistics.median(values)
    text = f"{name:<58}{value:>12.1f} {unit:<12}"
    if goal is not None:
        met = value >= goal if least else value <= goal
        text += f"{'>' if least else '<'} {goal:g}" + ("" if met else "  missed")
    print(text)


def bench_start(build, folder, servers):
    binary = f"{folder}/sandbox"
    flags = ["-std=c11", "-O2", "-D_GNU_SOURCE", f"-I{SOURCE}/lua/sandbox"]
    cc = os.environ.get("CC", "cc")
    subprocess.run([cc, *flags, f"{HERE}/sandbox.c", "-ldl", "-o", binary], check=True)
    library = f"{build}/lib/libpinstripe-sandbox.so"
    inside, starts, sizes = [], {name: [] for name in servers}, {name: [] for name in servers}
    for _ in range(STARTS):
        inside.append(subprocess.check_output([binary, library], text=True).split())
        for name, server in servers.items():
            starts[name].append(server.start() * 1e3)
            sizes[name].append(server.resident() / 1024)
            server.stop()
    print("\nstart to first reply")
    line("pinstripe sandbox, in process", [float(ms) for ms, _ in inside], "ms", 10)
    for name in servers:
        line(name, starts[name], "ms", 20 if name.startswith("pinstripe") else None)
    print("\nresident after the first reply")
    line("pinstripe sandbox, in process", [int(kib) / 1024 for _, kib in inside], "MB", 12)
    for name in servers:
        line(name, sizes[name], "MB", 12 if name.startswith("pinstripe") else None)


def bench_rates(folder, servers):
    rates = {}
    for server in servers.values():
        server.start()
        server.customer = create_customer(server.base)
    try:
        for _ in range(ROUNDS):
            for name, server in servers.items():
                one = f"/v1/customers/{server.customer}"
                for what, path, script in (("POST", "/v1/customers", POST), ("GET by id", one, GET)):
                    rates.setdefault((what, name), []).append(wrk(folder, server.base, path, script))
    finally:
        for server in servers.values():
            server.stop()
    print("\n/v1/customers, 16 connections")
    for (what, name), values in sorted(rates.items(), key=lambda item: item[0][0] != "POST"):
        goal = 20_000 if (what, name) == ("POST", "pinstripe sandbox") else None
        line(f"{what}, {name}", values, "a second", goal, least=True)


def fill(folder, server, count):
    """Customers until there are `count` more; returns how many were made."""
    made = 0
    while made < count:
        made += int(wrk(folder, server.base, "/v1/customers", POST, 1))
    return made


def bench_many(folder, server):
    """Lists and filters with few objects and with many."""
    server.start()
    asked = {
        "GET by id": "/v1/customers/{id}",
        "list of 100": "/v1/customers?limit=100",
        "list of 10 by email": "/v1/customers?email=jenny%40example.com&limit=10",
        "list of 10 by created": "/v1/customers?created[gte]=1&limit=10",
    }
    try:
        customer = create_customer(server.base)
        fill(folder, server, 200)
        few = {name: wrk(folder, server.base, path.format(id=customer), GET) for name, path in asked.items()}
        before = server.resident()
        made = fill(folder, server, MANY)
        size = (server.resident() - before) / (made / 1000)
        many = {name: wrk(folder, server.base, path.format(id=customer), GET) for name, path in asked.items()}
    finally:
        server.stop()
    print(f"\nwith {made:,} customers (in brackets: with few)")
    for name in asked:
        print(f"{name:<58}{many[name]:>12.1f} a second    ({few[name]:.1f})")
    line("resident for each 1,000 customers", [size / 1024], "MB")


def bench(build, folder):
    servers = stand_ins(build)
    bench_start(build, folder, servers)
    bench_rates(folder, servers)
    bench_many(folder, servers["pinstripe sandbox"])


if __name__ == "__main__":
    os.makedirs(f"{sys.argv[1]}/bench", exist_ok=True)
    bench(os.path.abspath(sys.argv[1]), f"{os.path.abspath(sys.argv[1])}/bench")
