// The official node library against the sandbox: `judge_node.mjs URL TOOLS`.
//
// Twenty kinds of object live through KINDS: created, retrieved, changed, listed, searched where the library can, deleted
// where they can be. Then paging, expand, a replayed key, a decline, an upload, a webhook's signature. Each check says its
// name when it fails; the exit status is the number of failures.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [url, tools] = process.argv.slice(2);
const Stripe = createRequire(`${tools}/npm/`)("stripe");
const { hostname, port } = new URL(url);
const stripe = new Stripe("sk_test_judges", { host: hostname, port, protocol: "http", maxNetworkRetries: 0, telemetry: false });

let passed = 0;
let failed = 0;

async function check(name, body) {
  try {
    await body();
    passed += 1;
  } catch (error) {
    failed += 1;
    console.log(`not ok - ${name}: ${error.message.split("\n").slice(0, 12).join("\n  ")}`);
  }
}

const metadata = { order: "6735" };
const product = await stripe.products.create({ name: "T-shirt" });
const customer = await stripe.customers.create({ email: "first@example.com" });
const coupon = await stripe.coupons.create({ percent_off: 20 });
const address = { line1: "1 Main Street", city: "San Francisco", state: "CA", postal_code: "94111", country: "US" };
const cardholder = { name: "Jenny Rosen", type: "individual", billing: { address } };
const paid = () => stripe.paymentIntents.create({ amount: 2000, currency: "usd", confirm: true,
  payment_method: "pm_card_visa", return_url: "https://example.com/back" });
const sourced = async () => (await paid()).latest_charge;

// kind: [service, params of create, a change, what else it can do]
const KINDS = {
  customer: [stripe.customers, { email: "jenny@example.com" }, { name: "Jenny" }, { search: "email:'jenny@example.com'", deletes: true }],
  product: [stripe.products, { name: "Socks" }, { description: "Wool" }, { search: "name:'Socks'", deletes: true }],
  price: [stripe.prices, { product: product.id, currency: "usd", unit_amount: 500 }, { nickname: "usual" },
    { search: `product:'${product.id}'` }],
  plan: [stripe.plans, { product: { name: "Gold" }, currency: "usd", interval: "month", amount: 900 }, { nickname: "gold" },
    { deletes: true }],
  coupon: [stripe.coupons, { percent_off: 10, duration: "forever" }, { name: "Ten" }, { deletes: true }],
  promotion_code: [stripe.promotionCodes, { promotion: { type: "coupon", coupon: coupon.id } }, { active: false }],
  tax_rate: [stripe.taxRates, { display_name: "VAT", inclusive: false, percentage: 19 }, { active: false }],
  shipping_rate: [stripe.shippingRates, { display_name: "Ground", type: "fixed_amount",
    fixed_amount: { amount: 500, currency: "usd" } }, { active: false }],
  payment_intent: [stripe.paymentIntents, { amount: 1000, currency: "usd" }, { description: "order" },
    { search: "status:'requires_payment_method'" }],
  setup_intent: [stripe.setupIntents, { usage: "off_session" }, { description: "later" }],
  charge: [stripe.charges, { amount: 1500, currency: "usd", source: "tok_visa" }, { description: "legacy" },
    { search: "amount>1400" }],
  refund: [stripe.refunds, async () => ({ charge: await sourced() }), { metadata }],
  topup: [stripe.topups, { amount: 5000, currency: "usd", description: "Top-up" }, { description: "changed" }],
  account: [stripe.accounts, { type: "custom", country: "US" }, { email: "shop@example.com" }, { deletes: true }],
  webhook_endpoint: [stripe.webhookEndpoints, { url: "https://example.com/hook", enabled_events: ["charge.failed"] },
    { description: "hook" }, { deletes: true }],
  file_link: [stripe.fileLinks, async () => ({ file: (await upload()).id }), { metadata }],
  invoice_item: [stripe.invoiceItems, { customer: customer.id, amount: 700, currency: "usd" }, { description: "extra" },
    { deletes: true }],
  value_list: [stripe.radar.valueLists, { alias: "trusted", name: "Trusted" }, { name: "Very trusted" }, { deletes: true }],
  cardholder: [stripe.issuing.cardholders, cardholder, { email: "jenny@example.com" }],
  portal: [stripe.billingPortal.configurations, { features: { invoice_history: { enabled: true } } }, { active: false }],
};

function upload() {
  const file = { data: Buffer.from([0, 1, 2, 255, 10, 13]), name: "évidence.png", type: "image/png" };
  return stripe.files.create({ purpose: "dispute_evidence", file });
}

async function live([service, params, change, more = {}]) {
  const made = await service.create(typeof params === "function" ? await params() : params);
  assert.equal((await service.retrieve(made.id)).id, made.id);
  const changed = await service.update(made.id, change);
  for (const [name, value] of Object.entries(change)) assert.deepEqual(changed[name], value);
  const listed = await service.list({ limit: 3 });
  assert.equal(listed.object, "list");
  assert.ok(listed.data.some((item) => item.id === made.id), "it is listed");
  if (more.search) {
    const found = await service.search({ query: more.search, limit: 100 });
    assert.ok(found.data.some((item) => item.id === made.id), "it is found");
  }
  if (more.deletes) {
    assert.equal((await service.del(made.id)).deleted, true);
    const gone = await service.retrieve(made.id).catch((error) => error);
    assert.ok(gone.deleted || gone.statusCode === 404 || gone.statusCode === 403, "it is gone");
  }
}

for (const [name, row] of Object.entries(KINDS)) await check(name, () => live(row));

await check("pages through 250", async () => {
  const made = [];
  for (let i = 0; i < 250; i += 1) made.push((await stripe.customers.create({ name: `page ${i}`, phone: "250" })).id);
  const seen = [];
  for await (const one of stripe.customers.list({ limit: 100 })) if (one.phone === "250") seen.push(one.id);
  assert.deepEqual(seen, made.reverse());
});

await check("expands", async () => {
  const intent = await stripe.paymentIntents.create({ amount: 900, currency: "usd", customer: customer.id, confirm: true,
    payment_method: "pm_card_visa", return_url: "https://example.com/back",
    expand: ["latest_charge.balance_transaction", "customer"] });
  assert.equal(intent.customer.email, "first@example.com");
  assert.equal(intent.latest_charge.balance_transaction.amount, 900);
  const listed = await stripe.paymentIntents.list({ limit: 1, expand: ["data.customer"] });
  assert.equal(listed.data[0].customer.id, customer.id);
});

await check("replays a key", async () => {
  const options = { idempotencyKey: "key-1" };
  const first = await stripe.charges.create({ amount: 700, currency: "usd", source: "tok_visa" }, options);
  const again = await stripe.charges.create({ amount: 700, currency: "usd", source: "tok_visa" }, options);
  assert.equal(again.id, first.id);
  assert.equal(again.lastResponse.headers["idempotent-replayed"], "true");
  const other = await stripe.charges.create({ amount: 701, currency: "usd", source: "tok_visa" }, options).catch((e) => e);
  assert.ok(other instanceof Stripe.errors.StripeIdempotencyError, `an idempotency error, not ${other}`);
});

await check("declines", async () => {
  const error = await stripe.paymentIntents.create({ amount: 2000, currency: "usd", confirm: true,
    payment_method: "pm_card_chargeDeclinedInsufficientFunds", return_url: "https://example.com/back" }).catch((e) => e);
  assert.ok(error instanceof Stripe.errors.StripeCardError, `a card error, not ${error}`);
  assert.equal(error.code, "card_declined");
  assert.equal(error.decline_code, "insufficient_funds");
  assert.equal(error.payment_intent.status, "requires_payment_method");
});

await check("says what is wrong", async () => {
  const missing = await stripe.customers.retrieve("cus_nobody").catch((e) => e);
  assert.ok(missing instanceof Stripe.errors.StripeInvalidRequestError);
  assert.equal(missing.statusCode, 404);
  assert.equal(missing.code, "resource_missing");
  const unknown = await stripe.customers.create({ emial: "x" }).catch((e) => e);
  assert.equal(unknown.code, "parameter_unknown");
});

await check("keeps an upload", async () => {
  const file = await upload();
  assert.equal(file.size, 6);
  assert.equal(file.filename, "évidence.png");
  const link = await stripe.fileLinks.create({ file: file.id });
  const bytes = Buffer.from(await (await fetch(link.url)).arrayBuffer());
  assert.deepEqual([...bytes], [0, 1, 2, 255, 10, 13]);
});

await check("signs what it delivers", async () => {
  let deliver;
  const delivered = new Promise((resolve, reject) => {
    deliver = resolve;
    setTimeout(() => reject(new Error("nothing was delivered within 10 s")), 10000).unref();
  });
  const server = createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      response.end();
      deliver({ body: Buffer.concat(pieces), signature: request.headers["stripe-signature"] });
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = await stripe.webhookEndpoints.create({ enabled_events: ["product.created"],
    url: `http://127.0.0.1:${server.address().port}/` });
  const made = await stripe.products.create({ name: "Signed" });
  const { body, signature } = await delivered.finally(() => server.close());
  const event = stripe.webhooks.constructEvent(body, signature, endpoint.secret);
  assert.equal(event.type, "product.created");
  assert.equal(event.data.object.id, made.id);
  assert.throws(() => stripe.webhooks.constructEvent(body, signature, "whsec_wrong"));
});

console.log(`node: ${passed} passed, ${failed} failed`);
process.exit(failed);
