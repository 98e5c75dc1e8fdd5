-- Faults on the real wire, as the blocking client meets them; and 1,000 charges through all of them: each is made once.
local pinstripe = require "pinstripe"

local check = pinstripe.check

local CHARGE = { amount = 500, currency = "usd", source = "tok_visa" }

-- A sandbox, and a client of it that tries once.
local function start(options)
  local sandbox = pinstripe.sandbox(options)
  finally(function() sandbox:close() end)
  return sandbox, sandbox:client { max_retries = 0 }
end

-- When the sandbox took the last request.
local function last_time(sandbox) return sandbox:requests({ limit = 1 })[1].time end

local function charges(sandbox) return #check(sandbox:client().charges:list { limit = 100 }).data end

describe("on the wire", function()
  -- fault, error's kind, outcome, status, charges that there are after it
  local kinds = {
    { { status = 503 }, "api", "unknown", 503, 0 },
    { { status = 429 }, "rate_limit", "rejected", 429, 0 },
    { { decline = "lost_card" }, "card", "rejected", 402, 0 },
    { { drop_before = true }, "connection", "unknown", nil, 0 },
    { { drop_after_commit = true }, "connection", "unknown", nil, 1 },
    { { reset = true }, "connection", "unknown", nil, 0 },
    { { reset = "after_commit" }, "connection", "unknown", nil, 1 },
    { { truncate_at = 0 }, "connection", "unknown", nil, 1 },
    { { truncate_at = 100 }, "connection", "unknown", nil, 1 },
    { { bad_json = true }, "protocol", "unknown", 200, 1 },
    { { html_502 = true }, "protocol", "unknown", 502, 1 },
  }
  for _, kind in ipairs(kinds) do
    local name, value = next(kind[1])
    it(("%s %s is a client's %s error"):format(name, tostring(value), kind[2]), function()
      local sandbox, client = start()
      sandbox:fault { match = { path = "/v1/charges", method = "POST" }, [name] = value }
      local made, err = client.charges:create(CHARGE)
      assert.is_nil(made)
      assert.same({ kind[2], kind[3], kind[4] }, { err.kind, err.outcome, err.status }, tostring(err))
      assert.equal(kind[5], charges(sandbox))
      check(client.charges:create(CHARGE, { idempotency_key = err.idempotency_key }))
      assert.equal(1, charges(sandbox))
    end)
  end

  it("a reply that is shorter than where it would be cut comes whole", function()
    local sandbox, client = start()
    sandbox:fault { truncate_at = 1000000 }
    check(client.charges:create(CHARGE))
  end)

  it("a delay is a client's timeout, and holds up nobody else", function()
    local sandbox, client = start()
    local hasty = sandbox:client { max_retries = 0, timeout = 0.2 }
    sandbox:fault { match = { path = "/v1/charges" }, delay = 3 }
    local made, err = hasty.charges:create(CHARGE)
    assert.is_nil(made)
    assert.same({ "timeout", "unknown" }, { err.kind, err.outcome })
    local begin = last_time(sandbox)
    check(client.customers:list())
    assert.is_true(last_time(sandbox) - begin < 2)
    assert.equal(1, charges(sandbox))
  end)

  it("a slow reply comes whole in the end, or not in time", function()
    local sandbox, client = start()
    sandbox:fault { match = { path = "/v1/charges" }, slow = 20000 }
    local made = check(client.charges:create(CHARGE))
    assert.equal("charge", made.object)
    sandbox:fault { match = { path = "/v1/charges" }, slow = 100 }
    local _, err = sandbox:client { max_retries = 0, timeout = 0.3 }.charges:create(CHARGE)
    assert.same({ "timeout", "unknown" }, { err.kind, err.outcome })
  end)

  it("the rate limit is a client's rate_limit error", function()
    local sandbox, client = start()
    sandbox:rate_limit(5)
    local refused
    for _ = 1, 40 do
      local _, err = client.customers:list()
      if err.kind then refused = err end
    end
    assert.same({ "rate_limit", "rate_limit", 429 }, { refused.kind, refused.code, refused.status })
    assert.equal("global-rate", refused.headers["stripe-rate-limited-reason"])
  end)
end)

-- ---- 1,000 charges ----

local RUNS = 1000

-- What each POST may meet, and how likely.
local KINDS = {
  { status = 500 }, { status = 503 }, { status = 409 }, { status = 429 }, { decline = "generic_decline" },
  { drop_before = true }, { drop_after_commit = true }, { reset = true }, { reset = "after_commit" },
  { truncate_at = 0 }, { truncate_at = 100 }, { bad_json = true }, { html_502 = true }, { slow = 200000 },
  { delay = 0.002 },
}
local PROBABILITY = 0.05

-- A client that tries as ever, over real connections, but does not wait before it tries again.
local function impatient(sandbox)
  local driver = require "pinstripe.driver"
  local drive = driver.drive
  function driver.drive(_, machine)
    while true do
      local step = machine:step()
      if step == "done" then return end
      if step == "send" then while not machine:carry() do end end
    end
  end
  finally(function()
    driver.drive = drive
    sandbox:close()
  end)
  return sandbox:client { on_response = function() end }
end

-- Asks until the charge is settled, each time with the key of the first time. Returns it, and how often it asked. As
-- long as every error said "rejected", there is no charge. (A decline may be the answer to a key that has made a charge
-- only here, where it is a fault.)
local function settle(client, run)
  local params = { amount = 1000 + run, currency = "usd", source = "tok_visa", metadata = { run = run } }
  local key, unsure
  for asked = 1, 50 do
    local charge, err = client.charges:create(params, { idempotency_key = key })
    if charge then return charge, asked end
    key = assert(err.idempotency_key)
    unsure = unsure or err.outcome ~= "rejected" or err.kind == "card"
    if not unsure then
      local newest = check(client.charges:list { limit = 1 }).data[1]
      assert.is_true(not newest or newest.metadata.run ~= tostring(run), "it was made, but the error says rejected")
    end
  end
  error("run " .. run .. " was never settled")
end

describe("1,000 charges through random faults", function()
  it("are made once each, whatever is dropped", function()
    local sandbox = pinstripe.sandbox { seed = 20 }
    local client = impatient(sandbox)
    for _, action in ipairs(KINDS) do
      local rule = { match = { method = "POST", path = "/v1/charges" }, probability = PROBABILITY }
      for name, value in pairs(action) do rule[name] = value end
      sandbox:fault(rule)
    end
    local ids, again = {}, 0
    for run = 1, RUNS do
      local charge, asked = settle(client, run)
      assert.is_nil(ids[charge.id])
      ids[charge.id], again = run, again + asked - 1
    end

    local count = 0
    for charge in client.charges:each() do
      assert.equal(tostring(ids[charge.id]), charge.metadata.run)
      assert.equal(1000 + ids[charge.id], charge.amount)
      ids[charge.id], count = nil, count + 1
    end
    assert.equal(RUNS, count)
    assert.is_nil(next(ids))

    local survived = {}
    for _, rule in ipairs(sandbox:faults()) do
      local action = rule["do"]
      local name, value = next(action)
      assert.is_true(rule.met > 20, name .. " was met only " .. rule.met .. " times")
      table.insert(survived, ("%s %s: %d"):format(name, tostring(value), rule.met))
    end
    table.sort(survived)
    local all = table.concat(survived, ", ")
    print(("\n%d charges, each made once; asked again %d times; survived %s"):format(RUNS, again, all))
  end)
end)
