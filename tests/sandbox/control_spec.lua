-- Requests under /_sandbox/: what they take, refuse and do.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path

local support = require "support"

local pinstripe = support.pinstripe
local check = pinstripe.check

local function control(box)
  local client = box:client()
  return client, function(method, path, params) return client:request(method, "/_sandbox/" .. path, params) end
end

-- A request with this body, as the front hands it over.
local function post(box, path, body, headers)
  local reply = box:handle { method = "POST", path = "/_sandbox/" .. path, headers = headers or {}, body = body }
  return reply, pinstripe.json.decode(reply.body)
end

describe("control requests", function()
  it("take JSON and form text alike, and need no key", function()
    local box = support.box()
    local _, as_json = post(box, "clock", '{"set": 1700000000}')
    assert.equal(1700000000, as_json.now)
    local reply, as_form = post(box, "clock", "set=1700000001")
    assert.equal(1700000001, as_form.now)
    assert.equal("application/json", reply.headers["Content-Type"])
    assert.matches("^req_", reply.headers["Request-Id"])
    local shown = pinstripe.json.decode(box:handle {
      method = "GET", path = "/_sandbox/requests", query = "limit=5", headers = {},
    }.body)
    assert.same({}, shown.data)
  end)

  it("name what is wrong", function()
    local box = support.box()
    local wrong = {
      { "clock", "{}", "Give one of set" },
      { "clock", '{"set": 1, "real": true}', "one of these parameters: set, advance, real", "real" },
      { "clock", '{"set": "soon"}', "Invalid integer: soon", "set" },
      { "clock", '{"set": -1}', "Invalid set: %-1%. It must be from 0 to", "set" },
      { "clock", '{"advance": -5}', "Invalid advance: %-5", "advance" },
      { "clock", '{"speed": 2}', "unknown parameter: speed", "speed" },
      { "clock", "{", "not JSON" },
      { "clock", "set=%ff", "not form text" },
      { "faults", "{}", "Missing required param: do", "do" },
      { "faults", '{"do": {}}', "do must name a fault: delay, status", "do" },
      { "faults", '{"do": {"explode": true}}', "unknown parameter: do%[explode%]", "do[explode]" },
      { "clock", '{"advance": -1}', "Invalid advance: %-1%. It must be from 0 to 253402300799%.", "advance" },
      { "faults", '{"do": {"status": 500}, "count": 0}', "Invalid count: 0%. It must be 1 or more%.", "count" },
      { "faults", '{"do": {"status": 200}}', "Invalid do%[status%]: 200%. It must be from 400 to 599", "do[status]" },
      { "faults", '{"do": {"status": 500, "reset": true}}', "one of these parameters: status, ", "do[reset]" },
      { "faults", '{"do": {"reset": "sometimes"}}', "boolean", "do[reset]" },
      { "faults", '{"do": {"delay": 9999}}', "from 0 to 3600", "do[delay]" },
      { "faults", '{"do": {"status": 500}, "probability": 2}', "from 0 to 1", "probability" },
      { "faults", '{"do": {"status": 500}, "match": {"nth": 0}}', "1 or more", "match[nth]" },
      { "faults", '{"do": {"status": 500}, "match": {"operation": "charge.create"}}', "no operation 'charge.create'",
        "match[operation]" },
      { "latency", '{"min": 2, "max": 1}', "max must be min or more", "max" },
      { "latency", '{"min": -1}', "from 0 to 3600", "min" },
      { "rate_limit", '{"rate": 0}', "1 or more", "rate" },
      { "restore", '{"name": "before"}', "no snapshot named 'before'", "name" },
      { "restore", '{"pinstripe_snapshot": 7}', "pinstripe_snapshot must be 1" },
      { "restore", "", "not a snapshot" },
      { "snapshot", "", "Missing required param: name", "name" },
      { "seed", "fixtures", "A fixture file is JSON" },
      { "seed", '{"file": "{"}', "A fixture file is JSON" },
      { "seed", "file[a]=b", "A fixture file is JSON" },
      { "seed", '{"fixture": []}', "unknown parameter: fixture", "fixture" },
      { "webhooks", '{"enabled_events": ["charge.exploded"]}', "no event 'charge.exploded'", "enabled_events" },
      { "deliveries/resend", "", "Missing required param: event", "event" },
      { "deliveries/resend", "event=evt_1", "Nothing of this event", "event" },
    }
    for _, case in ipairs(wrong) do
      local reply, body = post(box, case[1], case[2])
      local message = ("%s %s: %s"):format(case[1], case[2], reply.body)
      assert.equal(400, reply.status, message)
      assert.equal("invalid_request_error", body.error.type, message)
      assert.is_truthy(body.error.message:find(case[3]), message)
      assert.equal(case[4], body.error.param, message)
    end
  end)

  it("tell what there is where nothing is", function()
    local box = support.box()
    local reply, body = post(box, "clocks", "")
    assert.equal(404, reply.status)
    assert.is_truthy(body.error.message:find("/_sandbox/clock, ", 1, true))
    reply, body = post(box, "requests", "")
    assert.equal(405, reply.status)
    assert.equal("/_sandbox/requests takes GET and DELETE, not POST.", body.error.message)
    for _, path in ipairs { "helpers/payment_intents.explode", "objects/customer/cus_none", "objects/unicorn/uni_1" } do
      reply = post(box, path, '{"set": {"name": "x"}}')
      assert.equal(404, reply.status, path)
    end
  end)

  it("reset everything", function()
    local box = support.box()
    local client, ask = control(box)
    check(client.customers:create { email = "a@example.com" })
    check(ask("POST", "faults", { ["do"] = { status = 500 }, match = { path = "/v1/none" } }))
    check(ask("POST", "clock", { set = 1700000000 }))
    check(ask("POST", "reset"))
    assert.same({}, check(client.customers:list()).data)
    assert.same({}, check(client.events:list()).data)
    assert.same({}, check(ask("GET", "faults")).data)
    assert.equal("real", check(ask("GET", "clock")).mode)
    assert.equal(2, #check(ask("GET", "requests")).data)
  end)

  it("give the same ids again after a reset of a sandbox with a seed", function()
    local box = support.box { seed = 11 }
    local client, ask = control(box)
    local first = check(client.customers:create { email = "a@example.com" })
    check(ask("POST", "reset"))
    local again = check(client.customers:create { email = "a@example.com" })
    assert.same(first, again)
  end)
end)

describe("the log of requests", function()
  it("is asked by method, path, status, operation, account and key", function()
    local box = support.box()
    local client, ask = control(box)
    check(client.customers:create({ name = "Jenny" }, { idempotency_key = "first" }))
    check(client.customers:list { limit = 3 })
    local gone = client.customers:retrieve "cus_none"
    assert.is_nil(gone)
    local function count(query) return #check(ask("GET", "requests", query)).data end
    assert.equal(3, count())
    assert.equal(2, count { path = "/v1/customers" })
    assert.equal(1, count { path = "/v1/customers", method = "post" })
    assert.equal(1, count { status = 404 })
    assert.equal(1, count { operation = "customers.list" })
    assert.equal(1, count { key = "first" })
    assert.equal(3, count { key = "sk_test_123" })
    assert.equal(0, count { key = "sk_test_other" })
    assert.equal(2, count { limit = 2 })
    local entry = check(ask("GET", "requests", { key = "first" })).data[1]
    assert.equal("name=Jenny", entry.body)
    assert.equal(200, entry.status)
    assert.equal("customers.create", entry.operation)
    assert.equal("first", entry.idempotency_key)
    assert.is_truthy(entry.request_id:find "^req_")
    assert.equal(3, count { account = entry.account })
    assert.is_nil(entry.authorization)
    local last = check(ask("GET", "requests", { limit = 1 })).data[1]
    assert.equal("/v1/customers/cus_none", last.path)
    check(ask("DELETE", "requests"))
    assert.equal(0, count())
  end)

  it("keeps the last 2,000, oldest first", function()
    local box = support.box()
    local requestlog = require "sandbox.requestlog"
    local bare = { log = requestlog.new() }
    for i = 1, 2500 do
      requestlog.add(bare, { method = "GET", path = "/v1/" .. i, headers = {} }, { status = 200 })
    end
    local found = requestlog.find(bare, {})
    assert.equal(2000, #found)
    assert.equal("/v1/501", found[1].path)
    assert.equal("/v1/2500", found[2000].path)
    assert.is_not_nil(box)
  end)

  it("leaves large bodies out", function()
    local box = support.box()
    local client, ask = control(box)
    check(client.customers:create { description = ("x"):rep(5000) })
    assert.is_nil(check(ask("GET", "requests")).data[1].body)
  end)
end)

describe("objects", function()
  it("are moved to any state, and tell of it", function()
    local box = support.box()
    local client, ask = control(box)
    local customer = check(client.customers:create { name = "Jenny" })
    local moved = check(ask("POST", "objects/customer/" .. customer.id, { set = { name = "Jane", delinquent = true } }))
    assert.equal("Jane", moved.name)
    assert.is_true(moved.delinquent)
    assert.is_true(check(client.customers:retrieve(customer.id)).delinquent)
    assert.same({ "customer.created", "customer.updated" }, support.events(client))
    local topup = check(client.products:create { name = "Gold" })
    check(ask("POST", "objects/product/" .. topup.id, { set = { active = false }, event = "product.deleted" }))
    assert.equal("product.deleted", support.events(client)[4])
  end)

  it("keep the types of the table", function()
    local box = support.box()
    local client, ask = control(box)
    local customer = check(client.customers:create { name = "Jenny" })
    local function refused(params)
      local ok, err = ask("POST", "objects/customer/" .. customer.id, params)
      assert.is_nil(ok)
      assert.equal(400, err.status)
      return err.param
    end
    assert.equal("delinquent", refused { set = { delinquent = "perhaps" } })
    assert.equal("nickname", refused { set = { nickname = "J" } })
    assert.equal("set[id]", refused { set = { id = "cus_other" } })
    assert.equal("event", refused { set = { name = "J" }, event = "customer.exploded" })
    assert.equal("set", refused {})
    assert.same(customer, check(client.customers:retrieve(customer.id)))
  end)
end)

describe("helpers", function()
  it("are listed", function()
    local _, ask = control(support.box())
    local names = check(ask("GET", "helpers")).data
    for i = 2, #names do assert.is_true(names[i - 1] < names[i]) end
  end)

  it("act on an object of the request's account", function()
    local box = support.box()
    local flows = require "sandbox.flows"
    local generic = require "sandbox.generic"
    flows.helpers["customers.rename"] = function(call, id, params)
      return generic.apply(call, call:find("customer", id, "id"), { name = params.name })
    end
    finally(function() flows.helpers["customers.rename"] = nil end)
    local client, ask = control(box)
    local customer = check(client.customers:create {})
    assert.equal("New", check(ask("POST", "helpers/customers.rename", { id = customer.id, name = "New" })).name)
    local other = box:client { api_key = "sk_test_other" }
    local ok, err = other:request("POST", "/_sandbox/helpers/customers.rename", { id = customer.id, name = "x" })
    assert.is_nil(ok)
    assert.equal("resource_missing", err.code)
  end)
end)

describe("fixtures", function()
  local file = [[{"_meta": {"template_version": 0}, "fixtures": [
    {"name": "jenny", "path": "/v1/customers", "method": "post",
     "params": {"name": "Jenny", "address": {"city": "Rome"}, "metadata": {"a b": "1 & 2"}}},
    {"name": "again", "path": "/v1/customers/${jenny:id}", "method": "post",
     "params": {"description": "of ${jenny:address.city}, ${jenny:phone|no phone}", "email": "${.env:MAIL|x@y.z}",
                "balance": 12.0, "phone": null}, "idempotency_key": "for ${jenny:id}",
     "headers": {"Stripe-Version": "2024-06-20"}},
    {"name": "none", "path": "/v1/customers/cus_none", "method": "get", "expected_error_type": "invalid_request_error"},
    {"name": "list", "path": "/v1/customers", "method": "get", "params": {"limit": 1}},
    {"name": "last", "path": "/v1/customers/${list:data.[0].id}", "method": "get"}]}]]

  it("are requests that use each other's replies", function()
    local box = support.box()
    local reply, body = post(box, "seed", file, { authorization = "Bearer sk_test_123" })
    assert.equal(200, reply.status, reply.body)
    local jenny = body.fixtures.jenny
    assert.equal("1 & 2", jenny.metadata["a b"])
    local stored = check(box:client().customers:retrieve(jenny.id))
    assert.equal("of Rome, no phone", stored.description)
    assert.equal("x@y.z", stored.email)
    assert.equal(12, stored.balance)
    local keyed = { key = "for " .. jenny.id }
    assert.equal(1, #check(box:client():request("GET", "/_sandbox/requests", keyed)).data)
    assert.same(stored, body.fixtures.last)
  end)

  it("say which one failed, and how", function()
    local function refused(text)
      local reply, body = post(support.box(), "seed", text)
      assert.equal(400, reply.status, reply.body)
      return body.error.message
    end
    local head = '{"_meta": {"template_version": 0}, "fixtures": '
    assert.is_truthy(refused(head .. '[{"name": "x", "path": "/v1/customers", "method": "post", "params": {"z": 1}}]}')
      :find "The fixture 'x' failed with status 400: Received unknown parameter: z")
    assert.is_truthy(refused(head .. '[{"name": "x", "path": "/v1/customers/${y:id}", "method": "get"}]}')
      :find("${y:id} stands for nothing", 1, true))
    assert.is_truthy(refused(head .. '[{"name": "x", "path": "/v1/customers/${.env:HOME}", "method": "get"}]}')
      :find("${.env:HOME} stands for nothing", 1, true))
    assert.is_truthy(refused(head .. '[{"name": "x", "method": "get"}]}'):find "path must be a string")
    assert.is_truthy(refused(head .. "[1]}"):find "name must be a string")
    assert.is_truthy(refused(head .. '[{"name": "x", "path": "/v1/customers", "method": "get", "params": [1]}]}')
      :find "params must be an object")
    assert.is_truthy(refused(head .. "{}}"):find "fixtures must be a list")
    assert.is_truthy(refused '{"_meta": {"template_version": 1}, "fixtures": []}':find "template_version must be 0")
  end)
end)
