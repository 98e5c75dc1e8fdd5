-- Clients configured by the environment.
local support = require "support"

local KEY = "sk_test_51EnvironmentEnvironment9Xy2"
local run = support.run

describe("the environment", function()
  local server

  local function start(script)
    server = support.server(script)
    return { STRIPE_API_KEY = KEY, PINSTRIPE_API_BASE = server.base, PINSTRIPE_LOG = "debug" }
  end

  after_each(function()
    if server then server.stop() end
    server = nil
  end)

  it("gives a client its key, its base and its log", function()
    local variables = start{
      { body = { object = "customer" }, headers = { ["Stripe-Notice"] = "mind the gap" } },
      { status = 500, body = {} },
    }
    local printed, logged = run([[
      local stripe = require "pinstripe".client()
      print(stripe.customers:create{ email = "jenny@example.com" }.object)
      stripe.charges:list({}, { max_retries = 1 })
      stripe.files:create{ purpose = "dispute_evidence", file = { content = "x" } }]], variables)
    assert.are.equal("customer\n", printed)
    assert.is_truthy(logged:find("pinstripe debug POST /v1/customers: attempt 1\n", 1, true), logged)
    assert.is_truthy(logged:find("pinstripe info POST /v1/customers: 200 after ", 1, true), logged)
    assert.is_truthy(logged:find("pinstripe warn POST /v1/customers: notice: mind the gap", 1, true), logged)
    assert.is_truthy(logged:find("pinstripe info GET /v1/charges: again in ", 1, true), logged)
    local requests = server.requests()
    assert.are.equal(4, #requests)
    assert.are.equal("/v1/files", requests[4].path)
    for _, request in ipairs(requests) do assert.are.equal("Bearer " .. KEY, request.headers.authorization) end
  end)

  it("is not asked where the key is given", function()
    local variables = start{}
    local printed, logged = run([[
      local client = require "pinstripe".client("sk_test_x", { max_retries = 0, api_base = "http://127.0.0.1:1" })
      print(select(2, client.balance:retrieve()).kind)]], variables)
    assert.are.equal("connection\n", printed)
    assert.are.equal("", logged)
    assert.are.equal(0, #server.requests())
  end)

  it("is less than an option", function()
    local variables = start{}
    local printed, logged = run([[
      local lines = 0
      local function log() lines = lines + 1 end
      local client = require "pinstripe".client{ log = log, files_base = "https://x.example" }
      client.balance:retrieve()
      print(lines)]], variables)
    assert.are.equal("2\n", printed)
    assert.are.equal("", logged)
  end)

  it("names a level that there is not", function()
    local _, logged = run('require "pinstripe".client()', { PINSTRIPE_LOG = "loud" })
    assert.is_truthy(logged:find("PINSTRIPE_LOG must be off, error, warn, info or debug, not loud", 1, true), logged)
  end)

  it("logs up to a level", function()
    local variables = start{ { status = 404, body = { error = { message = "no" } } } }
    variables.PINSTRIPE_LOG = "warn"
    local _, logged = run([[
      local client = require "pinstripe".client()
      client.balance:retrieve() client.balance:retrieve()]], variables)
    assert.is_truthy(logged:find "^pinstripe warn GET /v1/balance: 404 after %d+ ms, attempt 1, req_1\n$", logged)
  end)
end)
