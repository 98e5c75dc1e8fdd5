-- pinstripe.sandbox as a script meets it: started in its process, asked through a client, closed in every way there is.
local pinstripe = require "pinstripe"

local check = pinstripe.check

local function raises(pattern, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
end

-- Runs the test with a sandbox that is closed after it, whatever happens.
local function with_sandbox(test)
  return function()
    local sandbox = pinstripe.sandbox{ seed = 7 }
    local ok, err = pcall(test, sandbox, sandbox:client())
    sandbox:close()
    if not ok then error(err, 0) end
  end
end

local function create_customer(stripe, email)
  return check(stripe.customers:create{ email = email or "jenny@example.com" })
end

describe("pinstripe.sandbox", function()
  it("keeps what its clients create", with_sandbox(function(sandbox, stripe)
    assert.is_truthy(sandbox:url():find("^http://127%.0%.0%.1:%d+$"))
    local customer = create_customer(stripe)
    assert.are.equal("jenny@example.com", check(stripe.customers:retrieve(customer.id)).email)
    assert.are.equal("pinstripe.sandbox " .. sandbox:url(), tostring(sandbox))
  end))

  -- The program of each Lua exports its own lua_*, which the Lua inside the sandbox must not meet.
  it("takes a payment and gives it back in a host of any Lua", with_sandbox(function(_, stripe)
    local intent = check(stripe.payment_intents:create{
      amount = 2000, currency = "usd", payment_method = "pm_card_visa", confirm = true,
      automatic_payment_methods = { enabled = true, allow_redirects = "never" },
    })
    assert.are.equal("succeeded", intent.status)
    assert.are.equal(2000, check(stripe.refunds:create{ payment_intent = intent.id }).amount)
  end))

  it("gives the same ids for the same seed", function()
    local function first_id(seed)
      local sandbox = pinstripe.sandbox{ seed = seed }
      local id = create_customer(sandbox:client()).id
      sandbox:close()
      return id
    end
    assert.are.equal(first_id(3), first_id(3))
    assert.are_not.equal(first_id(3), first_id(4))
    assert.are_not.equal(first_id(), first_id())
  end)

  it("gives clients their options", with_sandbox(function(sandbox)
    local heard = 0
    local stripe = sandbox:client{ api_key = "sk_test_other", on_response = function() heard = heard + 1 end }
    create_customer(stripe)
    assert.are.equal(1, heard)
    assert.are.equal(0, #check(sandbox:client().customers:list()).data) -- the state of each key is its own
  end))

  it("runs several at once, which share nothing", function()
    local a, b = pinstripe.sandbox(), pinstripe.sandbox()
    create_customer(a:client())
    assert.are.equal(1, #check(a:client().customers:list()).data)
    assert.are.equal(0, #check(b:client().customers:list()).data)
    a:close()
    assert.are.equal(0, #check(b:client().customers:list()).data)
    b:close()
  end)

  it("may be closed twice, and is then of no use", function()
    local sandbox = pinstripe.sandbox()
    local stripe = sandbox:client{ max_retries = 0 }
    sandbox:close()
    sandbox:close()
    assert.are.equal("pinstripe.sandbox (closed)", tostring(sandbox))
    raises("the sandbox is closed", sandbox.reset, sandbox)
    local _, err = stripe.customers:list()
    assert.are.equal("connection", err.kind)
    assert.are.equal("not_sent", err.outcome)
  end)

  it("is closed by the collector", function()
    local stripe = (function() return pinstripe.sandbox():client{ max_retries = 0 } end)()
    collectgarbage()
    collectgarbage()
    local _, err = stripe.customers:list()
    assert.are.equal("connection", err.kind)
  end)

  if _VERSION == "Lua 5.4" then
    it("is closed at the end of its block", function()
      local run = assert(load[[
        local sandbox <close> = ...
        return sandbox:client{ max_retries = 0 }
      ]])
      local _, err = run(pinstripe.sandbox()).customers:list()
      assert.are.equal("connection", err.kind)
    end)
  end

  it("names wrong options", function()
    raises("prot is not an option (port, seed, listen)", function() pinstripe.sandbox{ prot = 1 } end)
    raises("the option port must be a whole number from 0 on", function() pinstripe.sandbox{ port = "80" } end)
    raises("the option seed must be a whole number from 0 on", function() pinstripe.sandbox{ seed = 1.5 } end)
    raises("the option seed must be a whole number from 0 on", function() pinstripe.sandbox{ seed = -1 } end)
    raises("options must be a table, not a number", function() pinstripe.sandbox(1) end)
    raises("the port 65536 is not one of", function() pinstripe.sandbox{ port = 65536 } end)
    raises("is not a numeric address", function() pinstripe.sandbox{ listen = "localhost" } end)
    raises("sandbox_spec.lua", function() pinstripe.sandbox{ prot = 1 } end)
    raises("sandbox_spec.lua", function() pinstripe.sandbox{ port = 65536 } end)
  end)
end)

describe("control calls", function()
  it("forget everything", with_sandbox(function(sandbox, stripe)
    create_customer(stripe)
    sandbox:reset()
    assert.are.equal(0, #check(stripe.customers:list()).data)
  end))

  it("keep the state in a file and bring it back", with_sandbox(function(sandbox, stripe)
    local path = os.tmpname()
    local customer = create_customer(stripe, "kept@example.com")
    local text = sandbox:snapshot(path)
    sandbox:reset()
    sandbox:restore(path)
    assert.is_true(text == sandbox:snapshot())
    assert.are.equal("kept@example.com", check(stripe.customers:retrieve(customer.id)).email)
    os.remove(path)
    raises(path, sandbox.restore, sandbox, path)
    raises("/no/such/folder", sandbox.snapshot, sandbox, "/no/such/folder/file")
  end))

  it("run fixtures, from a table or a file", with_sandbox(function(sandbox, stripe)
    local fixtures = {
      _meta = { template_version = 0 },
      fixtures = {
        { name = "jenny", path = "/v1/customers", method = "post", params = { email = "seed@example.com" } },
      },
    }
    sandbox:seed(fixtures)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(pinstripe.json.encode(fixtures))
    file:close()
    sandbox:seed(path)
    os.remove(path)
    local data = check(stripe.customers:list()).data
    assert.are.equal(2, #data)
    assert.are.equal("seed@example.com", data[1].email)
  end))

  it("move the clock", with_sandbox(function(sandbox)
    sandbox:clock{ set = 1800000000 }
    sandbox:clock{ advance = 86400 }
    assert.are.equal(1800086400, sandbox:clock().now)
    raises("Give one of set", sandbox.clock, sandbox, {})
  end))

  it("make a write fail on the wire after it was done: it is asked for again, and done once", with_sandbox(
    function(sandbox, stripe)
      local fault = sandbox:fault{ match = { path = "/v1/customers" }, drop_after_commit = true, count = 1 }
      assert.are.equal(fault.id, sandbox:faults()[1].id)
      create_customer(stripe)
      assert.are.equal(1, #check(stripe.customers:list()).data)
      assert.are.equal(2, #sandbox:requests{ method = "POST", path = "/v1/customers" })
    end))

  it("set faults, latency and a rate limit, and take them away", with_sandbox(function(sandbox)
    local stripe = sandbox:client{ max_retries = 0 }
    sandbox:fault{ status = 500 }
    local _, err = stripe.customers:list()
    assert.are.equal(500, err.status)
    sandbox:clear_faults()
    assert.are.equal(0, #sandbox:faults())
    sandbox:latency{ min = 0, max = 0.01 }
    check(stripe.customers:list())
    sandbox:latency(false)
    sandbox:rate_limit(1)
    repeat _, err = stripe.customers:list() until err.kind
    assert.are.equal("rate_limit", err.kind)
    sandbox:rate_limit(false)
    check(stripe.customers:list())
  end))

  it("give webhooks to a loop, signed", with_sandbox(function(sandbox, stripe)
    local types, secret = {}, sandbox:webhook_secret()
    create_customer(stripe)
    create_customer(stripe)
    for body, header in sandbox:webhooks() do
      types[#types + 1] = check(pinstripe.webhook.construct(body, header, secret)).type
    end
    assert.are.same({ "customer.created", "customer.created" }, types)
    for _ in sandbox:webhooks() do error("a webhook came twice") end
  end))

  it("call listeners inside flush, with what they cause too", with_sandbox(function(sandbox, stripe)
    local seen, caused, secret = {}, false, nil
    secret = sandbox:listen(function(body, header)
      local event = check(pinstripe.webhook.construct(body, header, secret))
      seen[#seen + 1] = event.type
      if not caused then check(stripe.customers:update(event.data.object.id, { name = "Jenny" })) end
      caused = true
    end)
    create_customer(stripe)
    assert.are.equal(0, #seen)
    local counts = sandbox:flush()
    assert.are.same({ "customer.created", "customer.updated" }, seen)
    assert.are.equal(2, counts.listened)
    local also = 0
    sandbox:flush(function() also = also + 1 end)
    assert.are.equal(2, also)
  end))

  it("hold deliveries back and change them", with_sandbox(function(sandbox, stripe)
    sandbox:pause()
    create_customer(stripe)
    for _ in sandbox:webhooks() do error("it was delivered while paused") end
    assert.are.equal(1, sandbox:duplicate())
    sandbox:reorder()
    sandbox:resume()
    local count = 0
    for _ in sandbox:webhooks() do count = count + 1 end
    assert.are.equal(2, count)
    create_customer(stripe)
    assert.are.equal(1, sandbox:drop{ type = "customer.created" })
    for _ in sandbox:webhooks() do error("it was dropped") end
    local event = check(stripe.events:list{ limit = 1 }).data[1]
    assert.are.equal(1, sandbox:resend(event.id))
    assert.is_true(#sandbox:deliveries{ type = "customer.created" } >= 4)
  end))

  it("move objects, and name the helpers there are", with_sandbox(function(sandbox, stripe)
    local customer = create_customer(stripe)
    sandbox:move("customer", customer.id, { delinquent = true }, "customer.updated")
    assert.is_true(check(stripe.customers:retrieve(customer.id)).delinquent)
    assert.is_true(#sandbox:helpers() > 0)
    raises("no_such_helper", sandbox.run, sandbox, "no_such_helper", "x")
  end))
end)
