-- The webhook endpoints of examples/, with deliveries of the sandbox: repeated, in another order, forged.
local pinstripe = require "pinstripe"
local support = require "support"

local build = os.getenv "PS_BUILD_DIR" or "build"

local function exists(path)
  local file = io.open(path)
  return file and file:close() and true
end

local has_sandbox = exists(build .. "/lib/libpinstripe-sandbox.so") or exists(build .. "/examples/sandbox")

-- Payments whose events are the ones to come.
local function pay(stripe, count)
  for i = 1, count do
    pinstripe.check(stripe.charges:create{ amount = 1000 + i, currency = "usd", source = "tok_visa" })
  end
end

describe("the example in Lua", function()
  if not has_sandbox then return pending "no sandbox is built here" end
  local example = dofile(support.source "examples/lua/webhook.lua")

  it("handles each event once", function()
    local sandbox = pinstripe.sandbox()
    local seen, count = {}, 0
    local endpoint = example.new(sandbox:webhook_secret(), example.memory(), {
      ["charge.succeeded"] = function(charge, event)
        assert.is_nil(seen[event.id])
        seen[event.id], count = charge.id, count + 1
      end,
    })
    pay(sandbox:client(), 5)
    local deliveries = {}
    for body, header in sandbox:webhooks() do deliveries[#deliveries + 1] = { body, header } end
    assert.is_true(#deliveries >= 5)
    for at = #deliveries, 1, -1 do
      for _ = 1, 2 do assert.are.equal(200, (endpoint:receive(deliveries[at][1], deliveries[at][2]))) end
    end
    assert.are.equal(5, count)
    local status, text = endpoint:receive(deliveries[1][1] .. " ", deliveries[1][2])
    assert.are.equal(400, status)
    assert.is_truthy(text:find("no signature matches", 1, true))
    sandbox:close()
  end)

  it("handles an event again whose work failed, and asks for one again that cannot be kept", function()
    local body = '{"id": "evt_1", "object": "event", "type": "charge.succeeded", "data": {"object": {"id": "ch_1"}}}'
    local header, fails, done, endpoint = pinstripe.webhook.sign(body, "whsec_1"), true, 0, nil
    local function handler()
      assert.are.equal(500, (endpoint:receive(body, header))) -- nobody may think that it is done
      if fails then error "no database" end
      done = done + 1
    end
    endpoint = example.new("whsec_1", example.memory(), { ["charge.succeeded"] = handler })
    local status, text, raised = endpoint:receive(body, header)
    assert.are.equal("500 not handled", status .. " " .. text)
    assert.is_truthy(raised:find("no database", 1, true))
    fails = false
    for _ = 1, 2 do assert.are.equal(200, (endpoint:receive(body, header))) end
    assert.are.equal(1, done)
    local full = example.new("whsec_1", { claim = function() return nil, "no memory" end }, {})
    assert.are.equal(500, (full:receive(body, header)))
    local strange = '{"id": "evt_2", "object": "event", "type": "charge.succeeded"}'
    assert.are.equal(500, (endpoint:receive(strange, pinstripe.webhook.sign(strange, "whsec_1"))))
  end)
end)

describe("the example in C", function()
  if not has_sandbox or not exists(build .. "/examples/webhook") then return pending "it is not built here" end

  local function free_port()
    local process = io.popen((os.getenv "PS_PYTHON" or "python3")
      .. " -c 'import socket; s = socket.socket(); s.bind((\"127.0.0.1\", 0)); print(s.getsockname()[1])'")
    local port = process:read "*l"
    process:close()
    return port
  end

  local function wait_for(path, pattern)
    for _ = 1, 100 do
      if support.read_file(path):find(pattern) then return end
      os.execute "sleep 0.05"
    end
    error(path .. " never said " .. pattern .. ": " .. support.read_file(path))
  end

  it("handles each event once, in whatever order", function()
    local sandbox, port, output = pinstripe.sandbox(), free_port(), os.tmpname()
    local stripe = sandbox:client()
    local endpoint = pinstripe.check(stripe.webhook_endpoints:create{
      url = "http://127.0.0.1:" .. port .. "/webhook", enabled_events = { "charge.succeeded" } })
    local process = io.popen(("STRIPE_WEBHOOK_SECRET=%s '%s/examples/webhook' %s > %s"):format(endpoint.secret, build,
      port, output), "w")
    wait_for(output, "listening")
    sandbox:pause()
    pay(stripe, 6)
    assert.are.equal(6, sandbox:duplicate{ destination = endpoint.id })
    sandbox:reorder{ destination = endpoint.id }
    local total = sandbox:flush()
    assert.are.equal(12, total.delivered)
    assert.are.equal(0, total.failed)
    wait_for(output, ("evt_%S+ charge.succeeded ch_%S+\n"):rep(6))
    local seen, count = {}, 0
    for id in support.read_file(output):gmatch "(evt_%S+) charge.succeeded" do
      assert.is_nil(seen[id])
      seen[id], count = true, count + 1
    end
    assert.are.equal(6, count)
    local other = pinstripe.client("sk_test_forged", { api_base = "http://127.0.0.1:" .. port, max_retries = 0 })
    local _, err = other:request("POST", "/v1/webhook", { a = "b" })
    assert.are.equal(400, err.status)
    assert.is_truthy(err.message:find("no Stripe-Signature header", 1, true), err.message)
    process:close()
    sandbox:close()
    os.remove(output)
  end)
end)
