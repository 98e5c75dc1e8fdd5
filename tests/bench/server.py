"""The API's side of the benchmarks: nginx on loopback with pages of charges, and certificates to trust it by."""

import contextlib
import json
import os
import random
import re
import socket
import subprocess
import time

PAGES, PER_PAGE = 10, 100
SYSTEM_CERTIFICATES = "/etc/ssl/certs"

# A charge as the API sends it; what names {id}, {n} or {email} differs from one to the next.
CHARGE = {
    "id": "ch_{id}",
    "object": "charge",
    "amount": 0,
    "amount_captured": 0,
    "amount_refunded": 0,
    "application": None,
    "application_fee": None,
    "application_fee_amount": None,
    "balance_transaction": "txn_{id}",
    "billing_details": {
        "address": {"city": "Grünwald", "country": "DE", "line1": "Lärchenweg {n}", "line2": None,
                    "postal_code": "82031", "state": None},
        "email": "{email}",
        "name": "Jenny Rosen",
        "phone": None,
        "tax_id": None,
    },
    "calculated_statement_descriptor": "ROCKET RIDES",
    "captured": True,
    "created": 0,
    "currency": "eur",
    "customer": "cus_{id}",
    "description": "Order {n}: \"Rocket ride\", 2 seats",
    "disputed": False,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "fraud_details": {},
    "livemode": False,
    "metadata": {"order": "{n}", "channel": "web"},
    "on_behalf_of": None,
    "outcome": {
        "advice_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "Payment complete.",
        "type": "authorized",
    },
    "paid": True,
    "payment_intent": "pi_{id}",
    "payment_method": "pm_{id}",
    "payment_method_details": {
        "card": {
            "amount_authorized": 0,
            "brand": "visa",
            "checks": {"address_line1_check": "pass", "address_postal_code_check": "pass", "cvc_check": "pass"},
            "country": "DE",
            "exp_month": 8,
            "exp_year": 2031,
            "fingerprint": "Xt5EWLLDS7FJjR1c",
            "funding": "credit",
            "installments": None,
            "last4": "4242",
            "network": "visa",
            "network_token": {"used": False},
            "three_d_secure": None,
            "wallet": None,
        },
        "type": "card",
    },
    "receipt_email": "{email}",
    "receipt_number": None,
    "receipt_url": "https://pay.example.com/receipts/payment/{id}{id}",
    "refunded": False,
    "review": None,
    "shipping": None,
    "source_transfer": None,
    "statement_descriptor": None,
    "statement_descriptor_suffix": None,
    "status": "succeeded",
    "transfer_data": None,
    "transfer_group": None,
}

BALANCE = {
    "object": "balance",
    "available": [{"amount": 666670, "currency": "eur", "source_types": {"card": 666670}}],
    "connect_reserved": [{"amount": 0, "currency": "eur"}],
    "livemode": False,
    "pending": [{"amount": 61414, "currency": "eur", "source_types": {"card": 61414}}],
}

CONFIGURATION = """
daemon off;
master_process off;
error_log error.log;
pid nginx.pid;
events {{ }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  default_type application/json;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  add_header Cache-Control "no-cache, no-store";
  add_header Request-Id req_1pinstripebench;
  add_header Strict-Transport-Security "max-age=63072000; includeSubDomains; preload";
  add_header Stripe-Version 2026-10-28.endive;
  add_header Vary Origin;
  server {{
    listen 127.0.0.1:{http};
    listen 127.0.0.1:{https} ssl http2;
    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    root www;
    location = /v1/charges {{ try_files /charges/after-$arg_starting_after.json =404; }}
  }}
}}
"""


def charge(number, rng):
    amount = rng.randrange(500, 90000)
    ids = {"id": f"3Q{number:08d}{rng.getrandbits(64):016x}", "n": str(number), "email": f"jenny.{number}@example.com"}
    text = json.dumps(CHARGE, indent=2, ensure_ascii=False)
    text = re.sub(r"\{(id|n|email)\}", lambda m: ids[m.group(1)], text)
    made = json.loads(text)
    made["amount"] = made["amount_captured"] = made["payment_method_details"]["card"]["amount_authorized"] = amount
    made["created"] = 1790000000 - 60 * number
    return made


def write_pages(www):
    """Writes the pages; returns their queries, their bytes in all, and the sum of the amounts."""
    rng = random.Random(1)
    queries, size, amount, after = [], 0, 0, ""
    for page in range(PAGES):
        data = [charge(page * PER_PAGE + i, rng) for i in range(PER_PAGE)]
        page = {"object": "list", "data": data, "has_more": page < PAGES - 1, "url": "/v1/charges"}
        text = json.dumps(page, indent=2, ensure_ascii=False).encode()
        write(f"{www}/charges/after-{after}.json", text)
        queries.append(f"limit={PER_PAGE}" + (f"&starting_after={after}" if after else ""))
        size += len(text)
        amount += sum(c["amount"] for c in data)
        after = data[-1]["id"]
    return queries, size, amount


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write_certificates(folder):
    """A CA, the server's certificate, and the CA beside the system's own: in a bundle, and in a directory by hash."""
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3"]
    openssl(*new, "-subj", "/CN=pinstripe bench", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")
    openssl(*new, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:FALSE", "-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key",
            "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.pem")
    with open(f"{SYSTEM_CERTIFICATES}/ca-certificates.crt", "rb") as system, open(f"{folder}/ca.pem", "rb") as ours:
        bundle = system.read() + ours.read()
    write(f"{folder}/bundle.pem", bundle)
    os.makedirs(f"{folder}/hashed")
    os.symlink("../ca.pem", f"{folder}/hashed/bench.pem")
    for entry in os.scandir(SYSTEM_CERTIFICATES):
        if entry.name.endswith(".pem"):
            os.symlink(os.path.realpath(entry.path), f"{folder}/hashed/{entry.name}")
    openssl("rehash", f"{folder}/hashed")
    return bundle.count(b"BEGIN CERTIFICATE")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process, folder):
    for _ in range(100):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    with open(f"{folder}/error.log", encoding="utf-8") as log:
        raise SystemExit("nginx did not start: " + log.read())


@contextlib.contextmanager
def serve(folder):
    """Runs nginx in `folder`, as this user; gives its ports for HTTP and HTTPS."""
    http, https = free_port(), free_port()
    write(f"{folder}/nginx.conf", CONFIGURATION.format(http=http, https=https).encode())
    process = subprocess.Popen(["nginx", "-p", folder, "-c", "nginx.conf", "-e", "error.log"], stdin=subprocess.DEVNULL,
                               env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
    try:
        wait_for(http, process, folder)
        yield process.pid, http, https
    finally:
        process.terminate()
        process.wait()
