-- Snapshots: what GET shows before and after, and what comes next.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path

local support = require "support"

local host = require "sandbox.host"
local spec = require "sandbox.spec"
local pinstripe = support.pinstripe
local check = pinstripe.check

local function start(options)
  local box = support.box(options or { seed = 9 })
  local client = box:client()
  local function ask(method, path, params) return check(client:request(method, "/_sandbox/" .. path, params)) end
  return client, ask, box
end

-- A bare GET: status and body.
local function get(box, path_and_query)
  local path, query = path_and_query:match "^([^?]*)%??(.*)$"
  local reply = box:handle {
    method = "GET", path = path, query = query, headers = { authorization = "Bearer sk_test_123" },
  }
  return reply.status .. " " .. reply.body
end

-- Where operations retrieve and list objects at the top: {path of the list, ...}.
local function list_paths()
  local core, paths = require "pinstripe.core", {}
  local function walk(service)
    local of = core.service(service)
    for _, name in ipairs(of.operations) do
      local operation = spec.operation((service == "" and "" or service .. ".") .. name)
      if operation and operation.method == "GET" and #operation.ids == 0 then paths[#paths + 1] = operation.path end
    end
    for _, child in ipairs(of.services) do walk(child) end
  end
  walk ""
  return paths
end

-- What every GET answers: all lists, and each object in them by its id. Some throw the dice.
local function everything(box)
  local seen = {}
  for _, path in ipairs(list_paths()) do
    local whole = get(box, path .. "?limit=100")
    local at_once = whole:find "^200" and path .. "?limit=100" or path
    local answer = get(box, at_once)
    seen[#seen + 1] = at_once .. ": " .. answer
    local page = host.decode(answer:match "^%d+ (.*)")
    for _, object in ipairs(page and page.data or {}) do
      local at = object.id and path .. "/" .. object.id
      if at then seen[#seen + 1] = at .. ": " .. get(box, at) end
    end
  end
  return seen
end

local function fill(client)
  local jenny = check(client.customers:create { name = "Jenny ✓", metadata = { order = "1" }, email = "j@example.com" })
  for i = 1, 12 do check(client.products:create { name = "P" .. i, active = i % 3 > 0 }) end
  check(client.customers:update(jenny.id, { description = "first" }))
  local gone = check(client.customers:create { name = "Gone" })
  check(client.customers:delete(gone.id))
  check(client.prices:create { currency = "eur", unit_amount = 500, product_data = { name = "Gold" } })
  check(client.webhook_endpoints:create { url = "https://example.com", enabled_events = { "*" } })
  check(client.coupons:create { percent_off = 12.5, duration = "once" })
  return jenny, gone
end

describe("a snapshot", function()
  it("is JSON that a person can read", function()
    local client, _, box = start()
    local jenny = fill(client)
    local text = box:handle { method = "GET", path = "/_sandbox/snapshot", headers = {} }.body
    assert.is_truthy(text:find('\n  "pinstripe_snapshot": 1,\n', 1, true))
    assert.is_truthy(text:find('"id": "' .. jenny.id .. '",\n', 1, true))
    assert.is_truthy(text:find('"name": "Jenny ✓"', 1, true))
  end)

  it("restored, answers every GET as before", function()
    local client, ask, box = start()
    local _, gone = fill(client)
    ask("POST", "snapshot", { name = "full" })
    local before = everything(box)
    check(client.customers:create { name = "After" })
    check(client.products:update(check(client.products:list()).data[1].id, { name = "Changed" }))
    ask("POST", "restore", { name = "full" })
    local after = everything(box)
    for i, answer in ipairs(before) do assert.equal(answer, after[i]) end
    assert.equal(#before, #after)
    assert.is_true(#before > 120, #before)
    ask("POST", "restore", { name = "full" })
    assert.is_true(check(client.customers:retrieve(gone.id)).deleted)
    assert.equal(9, #check(client.products:list { active = true, limit = 100 }).data)
  end)

  it("goes on with the same ids, dice, clock and faults", function()
    local client, ask, box = start()
    fill(client)
    ask("POST", "faults", { ["do"] = { status = 500 }, probability = 0.5 })
    ask("POST", "clock", { advance = 100 })
    local text = ask("GET", "snapshot", { text = true }).snapshot
    local function go_on(to)
      local seen = {}
      for i = 1, 40 do
        local headers = { authorization = "Bearer sk_test_123" }
        local reply = to:handle { method = "POST", path = "/v1/customers", headers = headers, body = "name=" .. i }
        seen[i] = reply.status .. reply.headers["Request-Id"] .. reply.body
      end
      return seen
    end
    local first = go_on(box)
    ask("POST", "restore", { snapshot = text })
    assert.same(first, go_on(box))
    local other_client, other_ask, other = start { seed = 1 }
    other_ask("POST", "restore", { snapshot = text })
    assert.same(first, go_on(other))
    other_ask("DELETE", "faults")
    assert.equal(check(other_client.customers:list()).data[1].created, ask("GET", "clock").now)
  end)

  it("taken again after a restore is the same text", function()
    local client, ask = start()
    fill(client)
    local text = ask("GET", "snapshot", { text = true }).snapshot
    ask("POST", "restore", { snapshot = text })
    assert.equal(text, ask("GET", "snapshot", { text = true }).snapshot)
  end)

  it("keeps replies under their keys, byte for byte", function()
    local client, ask = start()
    local options = { idempotency_key = "clé" }
    local made = check(client.customers:create({ name = "Jenny" }, options))
    local text = ask("GET", "snapshot", { text = true }).snapshot
    ask("POST", "reset")
    ask("POST", "restore", { snapshot = text })
    local again, response = client.customers:create({ name = "Jenny" }, options)
    assert.same(made, again)
    assert.equal("true", response.headers["idempotent-replayed"] or response.headers["Idempotent-Replayed"])
    local _, err = client.customers:create({ name = "Jane" }, options)
    assert.equal("idempotency_error", err.type)
  end)

  it("keeps jobs of the clock and waiting webhooks", function()
    local client, ask, box = start()
    check(client.customers:create {})
    local clock = require "sandbox.clock"
    local flows = require "sandbox.flows"
    flows.jobs["test.rename"] = function(call, args)
      call.store:update(call:get("customer", args.id), { name = "Renamed" })
    end
    finally(function() flows.jobs["test.rename"] = nil end)
    local made = check(client.customers:create {})
    clock.at(box, box.state.clock.stands + 50, "test.rename", { id = made.id }, next(box.state.accounts))
    local text = ask("GET", "snapshot", { text = true }).snapshot
    ask("POST", "reset")
    ask("POST", "restore", { snapshot = text })
    ask("POST", "clock", { advance = 50 })
    assert.equal("Renamed", check(client.customers:retrieve(made.id)).name)
    assert.equal(2, #ask("GET", "webhooks").data)
  end)

  it("keeps bytes that are no text, and tables that are no JSON", function()
    local _, ask, box = start()
    local every = {}
    for i = 0, 255 do every[i + 1] = string.char(i) end
    local bytes = table.concat(every)
    local state = box:save()
    state.test = {
      text = "a\0b", bytes = bytes, one = "\xff", two = "\xff\xfe", [bytes] = 1, sparse = { [3] = "x", [70] = "y" },
      list = host.array {}, map = {}, null = host.null, int = 1, float = 0.1, flag = false,
    }
    local text = ask("GET", "snapshot", { text = true }).snapshot
    ask("POST", "restore", { snapshot = text })
    local back = box.state.test
    assert.equal(bytes, back.bytes)
    assert.equal("a\0b", back.text)
    assert.same({ "\xff", "\xff\xfe", 1 }, { back.one, back.two, back[bytes] })
    assert.same({ [3] = "x", [70] = "y" }, back.sparse)
    assert.is_true(host.is_array(back.list))
    assert.is_false(host.is_array(back.map))
    assert.same({ host.null, 1, 0.1, false }, { back.null, back.int, back.float, back.flag })
  end)

  it("that is none changes nothing", function()
    local client, ask = start()
    local jenny = fill(client)
    local texts = { "{}", "[]", '{"pinstripe_snapshot": 1}', '{"pinstripe_snapshot": 1, "state": {"dice": 5}}', "x" }
    for _, text in ipairs(texts) do
      local ok, err = client:request("POST", "/_sandbox/restore", { snapshot = text })
      assert.is_nil(ok)
      assert.equal(400, err.status)
      assert.is_truthy(err.message:find "This is not a snapshot")
    end
    assert.equal("first", check(client.customers:retrieve(jenny.id)).description)
    assert.is_table(ask("GET", "clock"))
  end)

  it("goes back and forth under names", function()
    local client, ask = start()
    ask("POST", "snapshot", { name = "empty" })
    fill(client)
    ask("POST", "snapshot", { name = "full" })
    ask("POST", "restore", { name = "empty" })
    assert.equal(0, #check(client.customers:list()).data)
    ask("POST", "restore", { name = "full" })
    assert.equal(1, #check(client.customers:list()).data)
  end)
end)
