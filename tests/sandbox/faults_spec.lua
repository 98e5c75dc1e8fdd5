-- Faults, latency and the rate limit, without a wire: which requests meet them, and what the front is told to do.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path

local support = require "support"

local pinstripe = support.pinstripe
local check = pinstripe.check

local function start(options)
  local box = support.box(options)
  local client = box:client { max_retries = 0 }
  local function ask(method, path, params) return check(client:request(method, "/_sandbox/" .. path, params)) end
  return client, ask, box
end

local function fault(ask, what, match, more)
  local rule = { ["do"] = what, match = match }
  for name, value in pairs(more or {}) do rule[name] = value end
  return ask("POST", "faults", rule)
end

-- A bare request: the reply as the front sees it.
local function post(box, path, body)
  return box:handle {
    method = "POST", path = path, headers = { authorization = "Bearer sk_test_123" }, body = body or "",
  }
end

local function customers(client) return #check(client.customers:list { limit = 100 }).data end

describe("a fault", function()
  it("of each kind: what the front is told, and whether the request was carried out", function()
    local kinds = {
      { { status = 503 }, { status = 503 }, carried_out = false },
      { { status = 500, delay = 0.5 }, { status = 500, delay = 0.5 }, carried_out = false },
      { { decline = "lost_card" }, { status = 402 }, carried_out = false },
      { { drop_before = true }, { close = "drop" }, carried_out = false },
      { { reset = true }, { close = "reset" }, carried_out = false },
      { { drop_after_commit = true }, { close = "drop" }, carried_out = true },
      { { reset = "after_commit" }, { close = "reset" }, carried_out = true },
      { { truncate_at = 10 }, { status = 200, truncate_at = 10 }, carried_out = true },
      { { slow = 100 }, { status = 200, slow = 100 }, carried_out = true },
      { { delay = 2 }, { status = 200, delay = 2 }, carried_out = true },
      { { bad_json = true, delay = 1 }, { status = 200, delay = 1 }, carried_out = true },
      { { html_502 = true }, { status = 502 }, carried_out = true },
    }
    for _, kind in ipairs(kinds) do
      local client, ask, box = start()
      fault(ask, kind[1], { method = "POST" })
      local reply = post(box, "/v1/customers", "name=Jenny")
      for _, field in ipairs { "close", "delay", "truncate_at", "slow" } do
        assert.equal(kind[2][field], reply[field], next(kind[1]) .. " " .. field)
      end
      if kind[2].status then assert.equal(kind[2].status, reply.status) end
      assert.equal(kind.carried_out and 1 or 0, customers(client), next(kind[1]))
      assert.equal(200, post(box, "/v1/customers").status)
    end
  end)

  it("looks like the API's own errors, or like a proxy's", function()
    local _, ask, box = start()
    fault(ask, { status = 429 })
    fault(ask, { status = 500 })
    fault(ask, { decline = "lost_card" })
    fault(ask, { decline = true })
    fault(ask, { decline = "expired_card" })
    fault(ask, { bad_json = true })
    fault(ask, { html_502 = true })
    local function err()
      local reply = post(box, "/v1/customers")
      assert.is_truthy(reply.headers["Request-Id"])
      return pinstripe.json.decode(reply.body).error
    end
    assert.equal("rate_limit", err().code)
    assert.equal("api_error", err().type)
    local declined = err()
    assert.same({ "card_error", "card_declined", "lost_card" }, { declined.type, declined.code, declined.decline_code })
    assert.equal("generic_decline", err().decline_code)
    assert.equal("expired_card", err().code)
    local broken = post(box, "/v1/customers")
    assert.is_nil((pinstripe.json.decode(broken.body)))
    assert.is_truthy(broken.headers["Content-Type"]:find "json")
    local page = post(box, "/v1/customers")
    assert.equal("text/html", page.headers["Content-Type"])
    assert.is_truthy(page.body:find "^<html>")
  end)

  it("declines by the codes that there are", function()
    local _, _, box = start()
    local reply = post(box, "/_sandbox/faults", "do[decline]=zzz")
    local err = pinstripe.json.decode(reply.body).error
    assert.same({ 400, "do[decline]" }, { reply.status, err.param })
    assert.is_truthy(err.message:find("authentication_required, card_velocity_exceeded", 1, true), err.message)
    assert.equal(200, post(box, "/_sandbox/faults", "do[decline]=insufficient_funds").status)
  end)

  it("meets the requests that match", function()
    local _, ask, box = start()
    local function get(path, headers)
      headers = headers or {}
      headers.authorization = headers.authorization or "Bearer sk_test_123"
      return box:handle { method = "GET", path = path, headers = headers }.status
    end
    local function hits(match, requests)
      fault(ask, { status = 599 }, match, { count = 100 })
      local met = {}
      for i, request in ipairs(requests) do met[i] = get(request[1], request[2]) == 599 end
      ask("DELETE", "faults")
      return met
    end
    local list, one, other = { "/v1/customers" }, { "/v1/customers/cus_1" }, { "/v1/products" }
    assert.same({ true, true, true }, hits(nil, { list, one, other }))
    assert.same({ true, false, false }, hits({ path = "/v1/customers" }, { list, one, other }))
    assert.same({ true, true, false }, hits({ path = "/v1/customers*" }, { list, one, other }))
    assert.same({ false, true, false }, hits({ path = "/v1/customers/{customer}" }, { list, one, other }))
    assert.same({ false, false, false }, hits({ path = "/v1.customers" }, { list, one, other }))
    assert.same({ false, true, false }, hits({ operation = "customers.retrieve" }, { list, one, other }))
    assert.same({ false, false, false }, hits({ method = "post" }, { list, one, other }))
    assert.same({ true, true, true }, hits({ method = "get" }, { list, one, other }))
    assert.same({ false, true, false, false }, hits({ method = "GET", nth = 2 }, { list, one, other, list }))
    assert.same({ true, false, true }, hits({ key = "sk_test_a" }, {
      { "/v1/customers", { authorization = "Bearer sk_test_a" } }, list,
      { "/v1/products", { authorization = "Bearer sk_test_a" } },
    }))
    assert.same({ true, false }, hits({ key = "k1" }, {
      { "/v1/customers", { ["idempotency-key"] = "k1" } }, { "/v1/customers", { ["idempotency-key"] = "k2" } },
    }))
  end)

  it("counts all requests that match, whatever other rules do to them", function()
    local _, ask, box = start()
    fault(ask, { status = 500 }, { nth = 1 })
    fault(ask, { status = 501 }, { nth = 3 })
    fault(ask, { status = 502 }, { method = "POST", nth = 2 })
    local met = {}
    for i = 1, 4 do met[i] = post(box, "/v1/customers").status end
    assert.same({ 500, 502, 501, 200 }, met)
  end)

  it("acts as often as it says: once; count times; by the dice, always", function()
    local _, ask, box = start { seed = 4 }
    local function met(what, requests)
      fault(ask, { status = 500 }, nil, what)
      local count = 0
      for _ = 1, requests do count = count + (post(box, "/v1/customers").status == 500 and 1 or 0) end
      ask("DELETE", "faults")
      return count
    end
    assert.equal(1, met({}, 10))
    assert.equal(3, met({ count = 3 }, 10))
    local half = met({ probability = 0.5 }, 400)
    assert.is_true(half > 150 and half < 250, half)
    assert.equal(5, met({ probability = 0.5, count = 5 }, 100))
    assert.equal(0, met({ probability = 0 }, 50))
    assert.equal(50, met({ probability = 1 }, 50))
  end)

  it("is reproducible by a seed", function()
    local function pattern(seed)
      local _, ask, box = start { seed = seed }
      fault(ask, { status = 500 }, nil, { probability = 0.4 })
      local met = {}
      for i = 1, 60 do met[i] = post(box, "/v1/customers").status == 500 and "x" or "." end
      return table.concat(met)
    end
    assert.equal(pattern(1), pattern(1))
    assert.not_equal(pattern(1), pattern(2))
  end)

  it("is listed, with how often it was met, and taken away", function()
    local client, ask = start()
    local first = fault(ask, { status = 500 }, { path = "/v1/customers" }, { count = 5 })
    fault(ask, { drop_before = true })
    assert.is_nil((client.customers:list()))
    local rules = ask("GET", "faults").data
    assert.equal(2, #rules)
    assert.same({ first.id, 1, 5 }, { rules[1].id, rules[1].met, rules[1].count })
    assert.is_true(ask("DELETE", "faults/" .. first.id).deleted)
    local gone, err = client:request("DELETE", "/_sandbox/faults/" .. first.id)
    assert.is_nil(gone)
    assert.equal(404, err.status)
    assert.equal(1, ask("DELETE", "faults").count)
    assert.equal(0, #ask("GET", "faults").data)
    check(client.customers:list())
  end)

  it("that delays a reply keeps its key in use until then", function()
    local client, ask, box = start()
    fault(ask, { delay = 0.2 })
    local function keyed()
      local headers = { authorization = "Bearer sk_test_123", ["idempotency-key"] = "k" }
      return box:handle { method = "POST", path = "/v1/customers", headers = headers, body = "name=Jenny" }
    end
    local first, second = keyed(), keyed()
    assert.same({ 0.2, 409 }, { first.delay, second.status })
    assert.equal("idempotency_key_in_use", pinstripe.json.decode(second.body).error.code)
    os.execute "sleep 0.3"
    assert.equal(first.body, keyed().body)
    assert.equal(1, customers(client))
  end)

  it("never touches control requests, and stands in the log", function()
    local client, ask = start()
    fault(ask, { drop_before = true }, nil, { count = 100 })
    assert.is_nil((client.customers:list()))
    assert.equal(1, #ask("GET", "requests", { fault = "drop_before" }).data)
  end)
end)

describe("latency", function()
  it("is added to every reply", function()
    local _, ask, box = start()
    assert.is_nil(post(box, "/v1/customers").delay)
    ask("POST", "latency", { min = 0.2, max = 0.4 })
    local least, most = 1, 0
    for _ = 1, 100 do
      local delay = post(box, "/v1/customers").delay
      least, most = math.min(least, delay), math.max(most, delay)
    end
    assert.is_true(least >= 0.2 and least < 0.25 and most > 0.35 and most < 0.4)
    fault(ask, { status = 500, delay = 1 })
    assert.is_true(post(box, "/v1/customers").delay >= 1.2)
    ask("DELETE", "latency")
    assert.is_nil(post(box, "/v1/customers").delay)
  end)
end)

describe("the rate limit", function()
  it("is 25 a second for each key, when it is on", function()
    local _, ask, box = start()
    assert.equal(25, ask("POST", "rate_limit").rate)
    local refused
    for _ = 1, 200 do
      local reply = post(box, "/v1/customers")
      if reply.status == 429 then refused = reply end
    end
    assert.equal("global-rate", refused.headers["Stripe-Rate-Limited-Reason"])
    local err = pinstripe.json.decode(refused.body).error
    assert.same({ "invalid_request_error", "rate_limit" }, { err.type, err.code })
    local headers = { authorization = "Bearer sk_test_b" }
    local other = box:handle { method = "GET", path = "/v1/customers", headers = headers }
    assert.equal(200, other.status)
    ask("DELETE", "rate_limit")
    for _ = 1, 200 do assert.equal(200, post(box, "/v1/customers").status) end
  end)

  it("takes another rate", function()
    local _, ask, box = start()
    ask("POST", "rate_limit", { rate = 3 })
    local passed = 0
    for _ = 1, 50 do passed = passed + (post(box, "/v1/customers").status == 200 and 1 or 0) end
    assert.is_true(passed >= 3 and passed <= 6, passed)
  end)
end)

describe("a client's retry", function()
  local what = {
    { drop_before = true }, { drop_after_commit = true }, { reset = true }, { reset = "after_commit" },
    { truncate_at = 40 }, { html_502 = true }, { status = 409 }, { status = 429 }, { status = 500 },
  }
  for _, action in ipairs(what) do
    local name = next(action)
    it("makes one customer in spite of " .. name .. " " .. tostring(action[name]), function()
      local client, ask, box = start()
      fault(ask, action, { method = "POST", path = "/v1/customers" }, { count = 2 })
      local made = check(box:client().customers:create { name = "Jenny" })
      assert.equal(1, customers(client))
      assert.equal(made.id, check(client.customers:list()).data[1].id)
      assert.equal(3, #ask("GET", "requests", { path = "/v1/customers", method = "POST" }).data)
    end)
  end
end)
