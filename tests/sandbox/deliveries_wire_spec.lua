-- Deliveries over the wire, to a server that answers as it is told.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/lua/?.lua;" .. package.path

local support = require "support"

local pinstripe = require "pinstripe"
local check = pinstripe.check

local OK, BUSY = { status = 200, body = "{}" }, { status = 503, body = "{}" }

-- A sandbox with an endpoint at a server that gives these answers.
local function start(answers, options)
  local server, sandbox = support.server(answers), pinstripe.sandbox(options)
  finally(function()
    sandbox:close()
    server.stop()
  end)
  local client = sandbox:client()
  local made = check(client.webhook_endpoints:create { url = server.base .. "/hook", enabled_events = { "*" } })
  return sandbox, client, server, made
end

describe("a delivery over the wire", function()
  it("is a signed POST, which flush waits for", function()
    local sandbox, client, server, made = start { OK, OK }
    check(client.customers:create { name = "Jenny" })
    check(client.products:create { name = "Gold" })
    local counts = sandbox:flush()
    local requests = server.requests()
    assert.equal(2, #requests)
    assert.same({ "POST", "/hook" }, { requests[1].method, requests[1].path })
    local signature = requests[1].headers["stripe-signature"] or requests[1].headers["Stripe-Signature"]
    local event = check(pinstripe.webhook.construct(requests[1].body, signature, made.secret))
    assert.equal("customer.created", event.type)
    assert.equal("product.created", pinstripe.json.decode(requests[2].body).type)
    assert.equal(0, counts.failed)
    for _, delivery in ipairs(sandbox:deliveries { destination = made.id }) do
      assert.same({ "delivered", 200, 1 }, { delivery.status, delivery.response_status, delivery.attempts })
    end
    for _, shown in ipairs(check(client.events:list()).data) do assert.equal(0, shown.pending_webhooks) end
  end)

  it("is tried again when the clock says so", function()
    local sandbox, client, server, made = start({ BUSY, OK }, { seed = 1 })
    sandbox:pause() -- or the first attempt may be over, and its retry sent by the flush
    check(client.customers:create {})
    assert.same({ 0, 1 }, { sandbox:flush().delivered, #server.requests() })
    sandbox:resume()
    assert.equal("retrying", sandbox:deliveries({ destination = made.id })[1].status)
    sandbox:clock { advance = 10 }
    sandbox:flush()
    assert.equal(2, #server.requests())
    assert.equal("delivered", sandbox:deliveries({ destination = made.id })[1].status)
  end)

  it("to nobody says so", function()
    local sandbox, client, server, made = start {}
    check(client.webhook_endpoints:update(made.id, { url = server.base:gsub("%d+$", "1") .. "/hook" }))
    check(client.customers:create {})
    sandbox:flush()
    local delivery = sandbox:deliveries({ destination = made.id })[1]
    assert.equal("retrying", delivery.status)
    assert.is_truthy(delivery.error)
    assert.is_nil(delivery.response_status)
  end)

  it("that is under way does not hold up a reset", function()
    local sandbox, client = start { { status = 200, body = "{}", delay = 5 } }
    check(client.customers:create {})
    sandbox:reset()
    assert.same({ delivered = 0, failed = 0, listened = 0 }, sandbox:flush())
  end)
end)
