-- The second generation of the API: JSON, its times, pages, includes, errors and events; meter events by session.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local clock = require "sandbox.clock"
local host = require "sandbox.host"
local v2 = require "sandbox.v2"

local null = support.pinstripe.null
local NOW = 1790000000

describe("v2", function()
  local box, stripe

  before_each(function()
    box = support.box { now = NOW, seed = 17 }
    stripe = box:client()
  end)

  local function send(method, path, body, headers)
    headers = headers or {}
    headers.authorization = headers.authorization or "Bearer sk_test_123"
    headers["content-type"] = "application/json"
    local before, query = path:match "^([^?]*)%??(.*)$"
    local reply = box:handle {
      method = method, path = before, query = query ~= "" and query or nil, headers = headers, body = body,
    }
    return reply, reply.body ~= "" and host.decode(reply.body) or nil
  end

  it("writes times as RFC 3339, and compares them", function()
    local account = assert(stripe.v2.core.accounts:create { contact_email = "a@b.c" })
    assert.equal("2026-09-21T14:13:20.000Z", account.created)
    assert.equal("2000-02-29T23:59:59.000Z", v2.time(951868799))
    local function made(params) return #assert(stripe.v2.commerce.product_catalog.imports:list(params)).data end
    assert(stripe.v2.commerce.product_catalog.imports:create { feed_type = "product", mode = "upsert",
      metadata = { a = "1" } })
    assert.equal(1, made { created = "2026-09-21T14:13:20Z" })
    assert.equal(1, made { created_gte = "2026-09-21T14:13:20Z", created_lt = "2026-09-21T14:13:21.000Z" })
    assert.equal(0, made { created_gt = "2026-09-21T14:13:20Z" })
    assert.equal(0, made { created_lt = "2026-09-21T14:13:20.500Z" })
  end)

  it("creates, retrieves, updates and deletes", function()
    local account = assert(stripe.v2.core.accounts:create { contact_email = "a@b.c", metadata = { a = "1", b = "2" } })
    assert.equal("v2.core.account", account.object)
    assert.truthy(account.id:find "^acct_")
    assert.same(account, assert(stripe.v2.core.accounts:retrieve(account.id)))
    local changed = assert(stripe.v2.core.accounts:update(account.id, { display_name = "Shop",
      metadata = { b = null } }))
    assert.equal("Shop", changed.display_name)
    assert.same({ a = "1" }, changed.metadata)
    local person = assert(stripe.v2.core.accounts.persons:create(account.id, { given_name = "Jenny" }))
    assert.equal(account.id, person.account)
    clock.advance(box, 60)
    person = assert(stripe.v2.core.accounts.persons:update(account.id, person.id, { surname = "Rosen" }))
    assert.equal("Jenny", person.given_name)
    assert.equal(v2.time(NOW + 60), person.updated)
    assert.same({ id = person.id, object = "v2.core.account_person" },
      assert(stripe.v2.core.accounts.persons:delete(account.id, person.id)))
    local _, err = stripe.v2.core.accounts.persons:retrieve(account.id, person.id)
    assert.equal(404, err.status)
  end)

  it("shows what `include` names, and hides it otherwise", function()
    local wanted = {
      configuration = { customer = {}, merchant = { mcc = "5734" } }, identity = { country = "us" },
      include = support.pinstripe.array { "configuration.merchant", "identity" },
    }
    local account = assert(stripe.v2.core.accounts:create(wanted))
    assert.same({ "customer", "merchant" }, account.applied_configurations)
    assert.equal("5734", account.configuration.merchant.mcc)
    assert.is_nil(account.configuration.customer)
    assert.equal("us", account.identity.country)
    assert.is_nil(account.requirements)
    account = assert(stripe.v2.core.accounts:retrieve(account.id))
    assert.is_nil(account.configuration)
    assert.is_nil(account.identity)
    account = assert(stripe.v2.core.accounts:retrieve(account.id,
      { include = support.pinstripe.array { "requirements" } }))
    assert.is_table(account.requirements)
  end)

  it("makes accounts that v1 knows, and that requests can act in", function()
    local account = assert(stripe.v2.core.accounts:create {})
    assert.equal(account.id, assert(stripe.accounts:retrieve(account.id)).id)
    assert(stripe.customers:create({ name = "theirs" }, { stripe_account = account.id }))
    assert.equal(0, #assert(stripe.customers:list()).data)
  end)

  it("lists by pages with addresses, forth and back", function()
    local made = {}
    for i = 1, 7 do made[8 - i] = assert(stripe.v2.core.accounts:create { display_name = "n" .. i }).id end
    local function ids(page)
      local found = {}
      for i, item in ipairs(page.data) do found[i] = item.id end
      return found
    end
    local _, first = send("GET", "/v2/core/accounts?limit=3")
    assert.same({ made[1], made[2], made[3] }, ids(first))
    assert.equal(null, first.previous_page_url)
    assert.truthy(first.next_page_url:find("^/v2/core/accounts%?limit=3&page="))
    local _, second = send("GET", first.next_page_url)
    assert.same({ made[4], made[5], made[6] }, ids(second))
    local _, third = send("GET", second.next_page_url)
    assert.same({ made[7] }, ids(third))
    assert.equal(null, third.next_page_url)
    local _, back = send("GET", third.previous_page_url)
    assert.same(ids(second), ids(back))
    _, back = send("GET", back.previous_page_url)
    assert.same(ids(first), ids(back))
    assert.equal(null, back.previous_page_url)
    assert.truthy(back.next_page_url)
    local seen = {}
    for account in stripe.v2.core.accounts:each { limit = 2 } do seen[#seen + 1] = account.id end
    assert.same(made, seen)
    assert.equal(400, send("GET", "/v2/core/accounts?page=zz").status)
  end)

  it("filters lists, and keeps the filter in the next page's address", function()
    for i = 1, 5 do
      assert(stripe.v2.core.accounts:create { configuration = i % 2 == 1 and { merchant = {} } or { customer = {} } })
    end
    local _, page = send("GET", "/v2/core/accounts?limit=2&applied_configurations[0]=merchant")
    assert.equal(2, #page.data)
    _, page = send("GET", page.next_page_url)
    assert.equal(1, #page.data)
    assert.equal(null, page.next_page_url)
    local account = assert(stripe.v2.core.accounts:create {})
    assert(stripe.v2.core.accounts:close(account.id))
    assert.equal(1, #assert(stripe.v2.core.accounts:list { closed = true }).data)
    local us = assert(stripe.v2.core.vault.us_bank_accounts:create { account_number = "000123456789",
      currency = "usd" })
    assert.equal("6789", us.last4)
    assert.same({}, assert(stripe.v2.core.vault.us_bank_accounts:list { verification_status = "verified" }).data)
    assert.equal(1, #assert(stripe.v2.core.vault.us_bank_accounts:list { verification_status = "unverified" }).data)
  end)

  it("refuses with its own types", function()
    local reply, body = send("POST", "/v2/core/accounts", '{"no_such": 1}')
    assert.equal(400, reply.status)
    assert.equal("invalid_fields", body.error.type)
    assert.truthy(body.error.message:find "no_such")
    reply, body = send("GET", "/v2/core/accounts/acct_no")
    assert.equal(404, reply.status)
    assert.equal("not_found", body.error.code)
    reply = send("POST", "/v2/core/accounts", "{bad")
    assert.equal(400, reply.status)
    reply = send("POST", "/v2/core/accounts", "[]")
    assert.equal(400, reply.status)
    assert.equal(200, send("POST", "/v2/core/accounts", "").status)
    local _, err = stripe.v2.billing.meter_events:create { event_name = "x" }
    assert.equal("invalid_request", err.kind)
    local payment = assert(stripe.v2.money_management.outbound_payments:create {
      amount = { currency = "usd", value = 100 }, from = { currency = "usd", financial_account = "fa_1" },
      to = { recipient = "acct_1" },
    })
    assert.equal("canceled", assert(stripe.v2.money_management.outbound_payments:cancel(payment.id)).status)
    _, err = stripe.v2.money_management.outbound_payments:cancel(payment.id)
    assert.equal("already_canceled", err.kind)
  end)

  it("types JSON strictly: numbers are no strings of times, objects no lists", function()
    local reply, body = send("POST", "/v2/billing/meter_events", '{"event_name": {"a": 1}, "payload": {"v": "1"}}')
    assert.equal(400, reply.status)
    assert.truthy(body.error.message:find "event_name" or body.error.param == "event_name")
  end)

  it("replays by key, also deletions", function()
    local headers = function() return { ["idempotency-key"] = "k" } end
    local first = send("POST", "/v2/core/accounts", '{"display_name": "a", "contact_email": "a@b.c"}', headers())
    local again = send("POST", "/v2/core/accounts", '{ "contact_email":"a@b.c","display_name":"a"}', headers())
    assert.equal(first.body, again.body)
    assert.equal("true", again.headers["Idempotent-Replayed"])
    local reply, body = send("POST", "/v2/core/accounts", '{"display_name": "b"}', headers())
    assert.equal(400, reply.status)
    assert.equal("idempotency_error", body.error.type)
  end)

  it("emits thin events, without the object", function()
    local account = assert(stripe.v2.core.accounts:create {})
    assert(stripe.v2.core.accounts:update(account.id, { display_name = "Shop" }))
    local person = assert(stripe.v2.core.accounts.persons:create(account.id, {}))
    local types = {}
    for event in stripe.v2.core.events:each() do table.insert(types, 1, event.type) end
    assert.same({ "v2.core.account.created", "v2.core.account.updated", "v2.core.account_person.created" }, types)
    local page = assert(stripe.v2.core.events:list { object_id = person.id })
    assert.equal(1, #page.data)
    local event = assert(stripe.v2.core.events:retrieve(page.data[1].id))
    assert.equal("v2.core.event", event.object)
    assert.same({ id = person.id, type = "v2.core.account_person",
      url = ("/v2/core/accounts/%s/persons/%s"):format(account.id, person.id) }, event.related_object)
    assert.equal(account.id, event.data.account_id)
    assert.equal("request", event.reason.type)
    assert.equal(2, #assert(stripe.v2.core.events:list {
      types = support.pinstripe.array { "v2.core.account.created", "v2.core.account.updated" },
    }).data)
    assert.equal(3, #assert(stripe.v2.core.events:list { created = { gte = NOW } }).data)
    assert.equal(0, #assert(stripe.v2.core.events:list { created = { gt = NOW } }).data)
    assert.equal(0, #assert(stripe.events:list()).data)
  end)

  it("keeps event destinations, whose secret is told when asked for", function()
    local wanted = {
      name = "mine", type = "webhook_endpoint", event_payload = "thin",
        webhook_endpoint = { url = "https://example.com/h" },
      enabled_events = support.pinstripe.array { "v2.core.account.created" },
      include = support.pinstripe.array { "webhook_endpoint.signing_secret", "webhook_endpoint.url" },
    }
    local made = assert(stripe.v2.core.event_destinations:create(wanted))
    assert.truthy(made.webhook_endpoint.signing_secret:find "^whsec_")
    assert.equal("enabled", made.status)
    local found = assert(stripe.v2.core.event_destinations:retrieve(made.id))
    assert.is_nil(found.webhook_endpoint)
    assert.equal("disabled", assert(stripe.v2.core.event_destinations:disable(made.id)).status)
    assert.equal("enabled", assert(stripe.v2.core.event_destinations:enable(made.id)).status)
    local ping = assert(stripe.v2.core.event_destinations:ping(made.id))
    assert.equal("v2.core.event_destination.ping", ping.type)
    assert.equal(made.id, ping.related_object.id)
    wanted.webhook_endpoint = nil
    assert.is_nil((stripe.v2.core.event_destinations:create(wanted)))
    assert.equal(made.id, assert(stripe.v2.core.event_destinations:delete(made.id)).id)
  end)

  it("takes meter events by session for a quarter of an hour, with its token alone", function()
    local session = assert(stripe.v2.billing.meter_event_session:create())
    assert.equal(v2.time(NOW + 900), session.expires_at)
    local metered = box:client { api_key = session.authentication_token }
    local events = support.pinstripe.array { { event_name = "calls", payload = { value = "1",
      stripe_customer_id = "cus_1" } } }
    local _, response = metered.v2.billing.meter_event_stream:create { events = events }
    assert.equal(200, response.status)
    assert.equal(401, select(2, metered.customers:list()).status)
    clock.advance(box, 901)
    local _, err = metered.v2.billing.meter_event_stream:create { events = events }
    assert.equal("temporary_session_expired", err.kind)
    local event = assert(stripe.v2.billing.meter_events:create { event_name = "calls", payload = { value = "1" } })
    assert.is_nil(event.id)
    assert.truthy(#event.identifier > 0)
  end)

  it("has meters sum up the events of both generations, each once", function()
    local function meter(formula)
      return assert(stripe.billing.meters:create { display_name = "Calls", event_name = "calls_" .. formula,
        default_aggregation = { formula = formula } })
    end
    local one, other = assert(stripe.customers:create()).id, assert(stripe.customers:create()).id
    local meters = { sum = meter "sum", count = meter "count", last = meter "last" }
    local session = assert(stripe.v2.billing.meter_event_session:create())
    local metered = box:client { api_key = session.authentication_token }
    local start = NOW - NOW % 3600
    for _, made in pairs(meters) do
      local function send_value(value, identifier, customer)
        local payload = { value = value, stripe_customer_id = customer or one }
        assert(stripe.billing.meter_events:create { event_name = made.event_name, payload = payload,
          identifier = identifier, timestamp = start + 3600 })
      end
      send_value("25", "a")
      send_value("7", "b", other)
      local function again(hour, identifier)
        return { event_name = made.event_name, payload = { value = "4", stripe_customer_id = one },
          identifier = identifier, timestamp = v2.time(start + hour * 3600) }
      end
      assert(stripe.v2.billing.meter_events:create(again(1, "c")))
      local events = support.pinstripe.array { again(2, "d"), again(2, "d"), again(3, "e") }
      assert.equal(200, select(2, metered.v2.billing.meter_event_stream:create { events = events }).status)
    end
    local function values(made, params)
      params.customer, params.start_time, params.end_time = one, start, start + 3 * 3600
      local found = {}
      for i, summary in ipairs(assert(stripe.billing.meters.event_summaries:list(made.id, params)).data) do
        local from, to = summary.start_time - start, summary.end_time - start
        found[i] = { summary.aggregated_value, from // 3600, to // 3600 }
      end
      return found
    end
    assert.same({ { 33, 0, 3 } }, values(meters.sum, {}))
    assert.same({ { 4, 2, 3 }, { 29, 1, 2 } }, values(meters.sum, { value_grouping_window = "hour" }))
    assert.same({ { 3, 0, 3 } }, values(meters.count, {}))
    assert.same({ { 4, 0, 3 } }, values(meters.last, {}))
    local _, err = stripe.v2.billing.meter_events:create { event_name = "calls_sum", payload = {}, timestamp = "soon" }
    assert.same({ 400, "invalid_fields" }, { err.status, err.code or err.kind })
    assert.equal(951868799, v2.seconds(v2.time(951868799)))
  end)

  it("archives a bank account, and takes it back", function()
    local banks = stripe.v2.core.vault.us_bank_accounts
    local account = assert(banks:create { account_number = "000123456789", currency = "usd",
      routing_number = "110000000" })
    assert.is_true(assert(banks:archive(account.id)).archived)
    assert.is_false(assert(banks:unarchive(account.id)).archived)
  end)
end)
