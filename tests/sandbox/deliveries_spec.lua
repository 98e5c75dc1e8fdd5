-- Webhooks: who gets which events, signed how, in what order, and what happens when nobody answers.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path

local support = require "support"

local clock = require "sandbox.clock"
local pinstripe = support.pinstripe
local check = pinstripe.check

-- A front that only notes what it is asked to deliver; answer(status) ends the oldest delivery, or all of them.
local function new_front()
  local front = { sent = {}, finished = {}, open = {} }
  function front.deliver(delivery)
    table.insert(front.sent, delivery)
    table.insert(front.open, delivery)
  end
  function front.finish(key, reply)
    front.finished[key] = pinstripe.json.decode(reply.body)
    return true
  end
  function front.wake() end
  function front.answer(status, err)
    local delivery = table.remove(front.open, 1)
    front.box:delivered(delivery.id, status, err)
    return pinstripe.json.decode(delivery.body)
  end
  function front.answer_all(status)
    local types = {}
    while front.open[1] do table.insert(types, front.answer(status).type) end
    return types
  end
  return front
end

local function start(options)
  local front = new_front()
  local box = support.box(options or { now = 1700000000 }, front)
  front.box = box
  local client = box:client()
  local function ask(method, path, params) return check(client:request(method, "/_sandbox/" .. path, params)) end
  return client, front, ask
end

local function endpoint(client, events, more)
  local params = { url = "http://127.0.0.1:9/hook", enabled_events = events or { "*" } }
  for name, value in pairs(more or {}) do params[name] = value end
  return check(client.webhook_endpoints:create(params))
end

local function types_of(list)
  local types = {}
  for i, item in ipairs(list) do types[i] = item.type end
  return types
end

describe("webhook endpoints", function()
  it("show their secret once", function()
    local client = start()
    local made = endpoint(client, { "customer.created" }, { description = "mine", metadata = { a = "b" } })
    assert.is_truthy(made.secret:find "^whsec_%w+$")
    assert.equal("enabled", made.status)
    local read = check(client.webhook_endpoints:retrieve(made.id))
    assert.is_nil(read.secret)
    assert.is_nil(check(client.webhook_endpoints:list()).data[1].secret)
    assert.is_nil(check(client.webhook_endpoints:update(made.id, { description = "x" })).secret)
    made.secret, read.secret = nil, nil
    assert.same(made, read)
  end)

  it("check their URL and events", function()
    local client = start()
    local function refused(params)
      local ok, err = client.webhook_endpoints:create(params)
      assert.is_nil(ok)
      assert.equal(400, err.status)
      return err.param
    end
    assert.equal("url", refused { url = "ftp://x.y", enabled_events = { "*" } })
    assert.equal("url", refused { url = "https://", enabled_events = { "*" } })
    assert.equal("url", refused { enabled_events = { "*" } })
    assert.equal("enabled_events", refused { url = "https://x.y" })
    assert.equal("enabled_events[0]", refused { url = "https://x.y", enabled_events = { "customer.exploded" } })
  end)

  it("can be disabled, changed and deleted", function()
    local client, front = start()
    local made = endpoint(client)
    assert.equal("disabled", check(client.webhook_endpoints:update(made.id, { disabled = true })).status)
    check(client.customers:create {})
    assert.equal(0, #front.sent)
    local changed = check(client.webhook_endpoints:update(made.id, {
      disabled = false, enabled_events = { "product.created" }, url = "https://example.com/x",
    }))
    assert.equal("enabled", changed.status)
    check(client.customers:create {})
    check(client.products:create { name = "Gold" })
    assert.equal(1, #front.sent)
    assert.equal("https://example.com/x", front.sent[1].url)
    assert.is_true(check(client.webhook_endpoints:delete(made.id)).deleted)
    check(client.products:create { name = "Silver" })
    front.answer_all(200)
    assert.equal(1, #front.sent)
  end)
end)

describe("deliveries to endpoints", function()
  it("are signed by the endpoint's secret, in its version", function()
    local client, front = start()
    local made = endpoint(client, nil, { api_version = "2024-06-20" })
    local customer = check(client.customers:create { name = "Jenny" })
    local sent = front.sent[1]
    local event = check(pinstripe.webhook.construct(sent.body, sent.headers["Stripe-Signature"], made.secret))
    assert.equal("customer.created", event.type)
    assert.equal("2024-06-20", event.api_version)
    assert.equal(1, event.pending_webhooks)
    assert.is_nil(event.account)
    assert.same(customer, event.data.object)
    assert.is_truthy(sent.headers["Content-Type"]:find "^application/json")
    local other = pinstripe.webhook.construct(sent.body, sent.headers["Stripe-Signature"], "whsec_other")
    assert.is_nil(other)
  end)

  it("go to those that want them, one after the other", function()
    local client, front = start()
    endpoint(client, { "customer.created" }, { url = "http://127.0.0.1:9/some" })
    endpoint(client, { "*" }, { url = "http://127.0.0.1:9/all" })
    check(client.customers:create {})
    check(client.products:create { name = "Gold" })
    assert.equal(2, #front.sent)
    assert.equal(2, check(client.events:list()).data[2].pending_webhooks)
    front.answer(200)
    assert.equal(1, check(client.events:list()).data[2].pending_webhooks)
    front.answer_all(200)
    assert.equal(3, #front.sent)
    assert.same({ "http://127.0.0.1:9/all", "product.created" },
      { front.sent[3].url, pinstripe.json.decode(front.sent[3].body).type })
    for _, event in ipairs(check(client.events:list()).data) do assert.equal(0, event.pending_webhooks) end
  end)

  it("are tried again by the clock, less and less often, then given up", function()
    local client, front, ask = start()
    local made = endpoint(client)
    check(client.customers:create {})
    front.answer(500)
    local shown = ask("GET", "deliveries", { destination = made.id }).data[1]
    assert.same({ "retrying", 1, 500, 1700000010 },
      { shown.status, shown.attempts, shown.response_status, shown.next_attempt })
    ask("POST", "clock", { advance = 9 })
    assert.equal(1, #front.sent)
    ask("POST", "clock", { advance = 1 })
    assert.equal(2, #front.sent)
    front.answer(302)
    ask("POST", "clock", { advance = 300 })
    front.answer(nil, "connection refused")
    assert.equal("connection refused", ask("GET", "deliveries").data[1].error)
    ask("POST", "clock", { advance = 7200 })
    assert.equal(1, check(client.events:list()).data[1].pending_webhooks)
    front.answer(404)
    shown = ask("GET", "deliveries", { status = "failed" }).data[1]
    assert.equal(4, shown.attempts)
    assert.equal(0, check(client.events:list()).data[1].pending_webhooks)
    ask("POST", "clock", { advance = 1000000 })
    assert.equal(4, #front.sent)
    assert.equal(front.sent[1].body, front.sent[4].body:gsub('"pending_webhooks": %d', '"pending_webhooks": 1'))
  end)

  it("of one that fails do not hold up the next", function()
    local client, front = start()
    endpoint(client)
    check(client.customers:create {})
    check(client.products:create { name = "Gold" })
    front.answer(500)
    assert.same({ "product.created" }, front.answer_all(200))
  end)

  it("wait while paused, and can be duplicated, dropped and put in another order", function()
    local client, front, ask = start { seed = 5 }
    local made = endpoint(client)
    ask("POST", "deliveries/pause")
    for i = 1, 6 do check(client.products:create { name = "P" .. i }) end
    check(client.customers:create {})
    check(client.customers:create {})
    assert.equal(0, #front.sent)
    local last = check(client.events:list()).data[1].id
    assert.equal(1, ask("POST", "deliveries/duplicate", { destination = made.id, event = last }).count)
    assert.equal(3, ask("POST", "deliveries/drop", { destination = made.id, type = "customer.created" }).count)
    assert.equal(6, ask("POST", "deliveries/reorder", { destination = made.id }).count)
    ask("POST", "deliveries/resume")
    local names = {}
    while front.open[1] do table.insert(names, front.answer(200).data.object.name) end
    assert.equal(6, #names)
    assert.not_equal("P1 P2 P3 P4 P5 P6", table.concat(names, " "))
    table.sort(names)
    assert.equal("P1 P2 P3 P4 P5 P6", table.concat(names, " "))
    assert.equal(3, #ask("GET", "deliveries", { status = "dropped", destination = made.id }).data)
    for _, event in ipairs(check(client.events:list()).data) do assert.equal(0, event.pending_webhooks) end
  end)

  it("duplicated, come twice in a row", function()
    local client, front, ask = start()
    local made = endpoint(client)
    ask("POST", "deliveries/pause")
    check(client.customers:create {})
    check(client.products:create { name = "Gold" })
    ask("POST", "deliveries/duplicate", { destination = made.id, type = "customer.created" })
    ask("POST", "deliveries/resume")
    assert.equal(2, pinstripe.json.decode(front.sent[1].body).pending_webhooks)
    assert.same({ "customer.created", "customer.created", "product.created" }, front.answer_all(200))
  end)

  it("are all sent by a flush, which waits for the outcomes", function()
    local client, front, ask = start()
    endpoint(client)
    check(client.customers:create {})
    front.answer(500)
    ask("POST", "deliveries/pause")
    check(client.products:create { name = "Gold" })
    local reply = front.box:handle { method = "POST", path = "/_sandbox/flush", headers = {} }
    assert.is_string(reply.wait)
    assert.same({}, front.finished)
    front.answer(200)
    assert.same({}, front.finished)
    front.answer(503)
    assert.same({ delivered = 1, failed = 1 }, front.finished[reply.wait])
    check(client.products:create { name = "Silver" })
    assert.equal(3, #front.sent)
    assert.equal(1, #ask("GET", "deliveries", { status = "retrying" }).data)
  end)

  it("flushed with nothing to do, are done", function()
    local _, _, ask = start()
    assert.same({ delivered = 0, failed = 0 }, ask("POST", "flush"))
  end)

  it("can be sent once more", function()
    local client, front, ask = start()
    local made = endpoint(client)
    check(client.customers:create {})
    front.answer_all(200)
    local event = check(client.events:list()).data[1]
    assert.equal(1, ask("POST", "deliveries/resend", { event = event.id, destination = made.id }).count)
    assert.same({ "customer.created" }, front.answer_all(200))
    assert.equal(2, ask("POST", "deliveries/resend", { event = event.id }).count)
  end)

  it("of a connected account go to Connect endpoints of the platform, with its name", function()
    local client, front = start()
    local account = check(client.accounts:create { type = "custom" })
    endpoint(client, { "*" }, { url = "http://127.0.0.1:9/mine" })
    local connect = endpoint(client, { "customer.created" }, { url = "http://127.0.0.1:9/connect", connect = true })
    check(client.customers:create({}, { stripe_account = account.id }))
    assert.equal(1, #front.sent)
    local sent = front.sent[1]
    assert.equal("http://127.0.0.1:9/connect", sent.url)
    local event = check(pinstripe.webhook.construct(sent.body, sent.headers["Stripe-Signature"], connect.secret))
    assert.equal(account.id, event.account)
    check(client.customers:create {})
    assert.equal("http://127.0.0.1:9/mine", front.sent[2].url)
  end)

  it("go to event destinations too, whole or thin", function()
    local client, front = start()
    local function destination(payload, events)
      return check(client.v2.core.event_destinations:create {
        name = payload, type = "webhook_endpoint", event_payload = payload, enabled_events = events,
        webhook_endpoint = { url = "http://127.0.0.1:9/" .. payload },
        include = { "webhook_endpoint.signing_secret" },
      })
    end
    local whole = destination("snapshot", { "customer.created" })
    local thin = destination("thin", { "v2.core.event_destination.ping" })
    local customer = check(client.customers:create {})
    check(client.v2.core.event_destinations:ping(thin.id))
    assert.equal(2, #front.sent)
    local sent, secret = front.sent[1], whole.webhook_endpoint.signing_secret
    assert.equal("http://127.0.0.1:9/snapshot", sent.url)
    local event = check(pinstripe.webhook.construct(sent.body, sent.headers["Stripe-Signature"], secret))
    assert.equal(customer.id, event.data.object.id)
    sent, secret = front.sent[2], thin.webhook_endpoint.signing_secret
    assert.equal("http://127.0.0.1:9/thin", sent.url)
    event = check(pinstripe.webhook.parse_notification(sent.body, sent.headers["Stripe-Signature"], secret))
    assert.same({ "v2.core.event_destination.ping", thin.id }, { event.type, event.related_object.id })
    check(client.v2.core.event_destinations:disable(whole.id))
    check(client.customers:create {})
    front.answer_all(200)
    assert.equal(2, #front.sent)
  end)

  it("in flight at a reset mean nothing after it", function()
    local client, front, ask = start()
    endpoint(client)
    check(client.customers:create {})
    local before = front.open[1]
    ask("POST", "reset")
    endpoint(client)
    check(client.customers:create {})
    front.box:delivered(before.id, 200)
    assert.equal("sending", ask("GET", "deliveries", { type = "customer.created" }).data[1].status)
  end)

  it("in flight in a snapshot are sent again when it is restored", function()
    local client, front, ask = start()
    endpoint(client)
    check(client.customers:create {})
    ask("POST", "snapshot", { name = "in flight" })
    front.answer_all(200)
    ask("POST", "restore", { name = "in flight" })
    assert.equal(2, #front.sent)
    assert.equal(front.sent[1].body, front.sent[2].body)
    front.answer_all(200)
    assert.equal(0, check(client.events:list()).data[1].pending_webhooks)
  end)

  it("that are over are forgotten in the end", function()
    local client, front, ask = start()
    endpoint(client)
    for _ = 1, 2100 do
      check(client.customers:create {})
      front.answer(200)
    end
    local count = #ask("GET", "deliveries", { status = "delivered" }).data
    assert.is_true(count >= 1000 and count <= 2001, count)
  end)
end)

describe("the list of events", function()
  it("is filtered by groups of types, and by whether they were delivered", function()
    local client, front, ask = start()
    endpoint(client, { "customer.created" })
    check(client.customers:create {})
    local function types(params) return types_of(check(client.events:list(params)).data) end
    assert.same({ "customer.created" }, types { delivery_success = false })
    front.answer_all(200)
    check(client.products:create { name = "Gold" })
    assert.same({}, types { delivery_success = false })
    assert.same({ "product.created", "customer.created" }, types { delivery_success = true })
    assert.same({ "customer.created" }, types { type = "customer.*" })
    assert.same({ "product.created", "customer.created" }, types { type = "*.created" })
    assert.same({}, types { type = "customer.*d.x" })
    check(client.customers:create {})
    for _, seconds in ipairs { 10, 300, 7200 } do
      front.answer_all(500)
      ask("POST", "clock", { advance = seconds })
    end
    front.answer_all(500)
    assert.same({ "customer.created" }, types { delivery_success = false })
  end)
end)

describe("listeners", function()
  it("pull signed deliveries of all that happened, once", function()
    local client, _, ask = start()
    check(client.customers:create { name = "Jenny" })
    check(client.products:create { name = "Gold" })
    local pulled = ask("GET", "webhooks")
    assert.same({ "customer.created", "product.created" }, types_of(pulled.data))
    local first = pulled.data[1]
    local event = check(pinstripe.webhook.construct(first.body, first.headers["Stripe-Signature"], pulled.secret))
    assert.equal(first.event, event.id)
    assert.equal(0, event.pending_webhooks)
    assert.same({}, ask("GET", "webhooks").data)
    check(client.customers:create {})
    assert.equal(1, #ask("GET", "webhooks").data)
  end)

  it("may look for their secret alone", function()
    local client, _, ask = start()
    check(client.customers:create {})
    local looked = ask("GET", "webhooks", { peek = true })
    assert.same({}, looked.data)
    local pulled = ask("GET", "webhooks")
    assert.equal(1, #pulled.data)
    assert.equal(pulled.secret, looked.secret)
  end)

  it("pull so many at a time", function()
    local client, _, ask = start()
    for _ = 1, 250 do check(client.customers:create {}) end
    local sizes = {}
    for i = 1, 4 do sizes[i] = #ask("GET", "webhooks").data end
    assert.same({ 100, 100, 50, 0 }, sizes)
    check(client.customers:create {})
    check(client.customers:create {})
    assert.equal(1, #ask("GET", "webhooks", { limit = 1 }).data)
  end)

  it("of one's own get the events that they name, from then on", function()
    local client, _, ask = start()
    check(client.customers:create {})
    local mine = ask("POST", "webhooks", { enabled_events = { "customer.created" } })
    local all = ask("POST", "webhooks")
    assert.not_equal(mine.secret, all.secret)
    check(client.products:create { name = "Gold" })
    check(client.customers:create {})
    assert.same({ "customer.created" }, types_of(ask("GET", "webhooks", { listener = mine.id }).data))
    assert.same({ "product.created", "customer.created" }, types_of(ask("GET", "webhooks", { listener = all.id }).data))
    assert.equal(3, #ask("GET", "webhooks").data)
    ask("DELETE", "webhooks/" .. mine.id)
    local gone, err = client:request("GET", "/_sandbox/webhooks", { listener = mine.id })
    assert.is_nil(gone)
    assert.equal("listener", err.param)
    local kept
    kept, err = client:request("DELETE", "/_sandbox/webhooks/default")
    assert.is_nil(kept)
    assert.equal(404, err.status)
  end)

  it("see duplicates, drops, other orders and pauses too", function()
    local client, _, ask = start { seed = 2 }
    for i = 1, 5 do check(client.products:create { name = "P" .. i }) end
    check(client.customers:create {})
    ask("POST", "deliveries/drop", { type = "customer.created" })
    ask("POST", "deliveries/duplicate")
    ask("POST", "deliveries/reorder")
    ask("POST", "deliveries/pause")
    assert.same({}, ask("GET", "webhooks").data)
    ask("POST", "deliveries/resume")
    local pulled = ask("GET", "webhooks").data
    local seen, order = {}, {}
    for i, item in ipairs(pulled) do
      local name = pinstripe.json.decode(item.body).data.object.name
      seen[name], order[i] = (seen[name] or 0) + 1, name
    end
    assert.same({ P1 = 2, P2 = 2, P3 = 2, P4 = 2, P5 = 2 }, seen)
    assert.not_equal("P1 P1 P2 P2 P3 P3 P4 P4 P5 P5", table.concat(order, " "))
  end)

  it("are given the same order by the same seed", function()
    local function order()
      local client, _, ask = start { seed = 2 }
      for i = 1, 9 do check(client.products:create { name = "P" .. i }) end
      ask("POST", "deliveries/reorder")
      local names = {}
      for i, item in ipairs(ask("GET", "webhooks").data) do
        names[i] = pinstripe.json.decode(item.body).data.object.name
      end
      return names
    end
    assert.same(order(), order())
  end)

  it("get an event once more when it is sent again", function()
    local client, _, ask = start()
    check(client.customers:create {})
    local event = ask("GET", "webhooks").data[1].event
    assert.equal(1, ask("POST", "deliveries/resend", { event = event }).count)
    assert.equal(event, ask("GET", "webhooks").data[1].event)
  end)
end)

describe("a sandbox without a front", function()
  it("keeps deliveries to endpoints pending", function()
    local client = support.box { now = clock.SEEDED }:client()
    endpoint(client)
    check(client.customers:create {})
    local pending = { status = "pending", type = "customer.created" }
    assert.equal(2, #check(client:request("GET", "/_sandbox/deliveries", pending)).data)
    assert.same({ delivered = 0, failed = 0 }, check(client:request("POST", "/_sandbox/flush")))
  end)
end)
