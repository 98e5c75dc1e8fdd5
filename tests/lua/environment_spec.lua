-- Clients configured by the environment, and that nothing which a run at level debug prints holds a secret.
local support = require "support"

local SECRETS = { "sk_test_51EnvironmentEnvironment9Xy2", "whsec_EnvironmentEnvironment",
  "pi_1_secret_abcdefgh12345678", "tok_session_5cret", "jenny@example.com" }

local SCRIPT = [[
local pinstripe = require "pinstripe"
local stripe = pinstripe.client()
local function show(object, err) print(object and object.object or tostring(err)) end
show(stripe.customers:create{ email = "jenny@example.com" })
show(stripe.balance:retrieve())
show(stripe.charges:list({ customer = "jenny@example.com" }, { max_retries = 1 }))
show(stripe.files:create{ purpose = "dispute_evidence", file = { content = "jenny@example.com" } })
show(stripe.oauth:deauthorize{ client_id = "ca_1", stripe_user_id = "acct_1" })
print(select(2, pinstripe.webhook.construct("{}", "t=1,v1=00", "whsec_EnvironmentEnvironment")))
local stream = stripe:meter_stream()
stream:add{ event_name = "a", payload = {} }
print(stream:close())
print(tostring(stripe), tostring(stripe.charges))
]]

-- Runs the script with the variables set: what it printed, and wrote to stderr.
local function run(script, variables)
  local path, out, log = os.tmpname(), os.tmpname(), os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  local parts = { "env" }
  for name, value in pairs(variables) do parts[#parts + 1] = name .. "='" .. value .. "'" end
  parts[#parts + 1] = ("%s %s > %s 2> %s"):format(os.getenv "PS_LUA", path, out, log)
  os.execute(table.concat(parts, " "))
  local printed, logged = support.read_file(out), support.read_file(log)
  for _, name in ipairs{ path, out, log } do os.remove(name) end
  return printed, logged
end

describe("the environment", function()
  local server

  local function start(script)
    server = support.server(script)
    return { STRIPE_API_KEY = SECRETS[1], PINSTRIPE_API_BASE = server.base, PINSTRIPE_LOG = "debug" }
  end

  after_each(function()
    if server then server.stop() end
    server = nil
  end)

  it("gives a client its key, its base and its log, without a secret in it", function()
    local variables = start{
      { body = { object = "customer", client_secret = SECRETS[3] }, headers = { ["Stripe-Notice"] = "use "
        .. SECRETS[1] .. " no more" } },
      { status = 401, body = { error = { message = "Invalid API Key provided: " .. SECRETS[1] } } },
      { status = 500, body = { error = { message = "no " .. SECRETS[3] } } },
      { status = 500, body = { error = { message = "no " .. SECRETS[3] } } },
      { body = { object = "file" } },
      { status = 401, body = { error = "invalid_client", error_description = "no" } },
      { body = { authentication_token = SECRETS[4] } },
      { status = 400, body = { error = { message = "bad" } } },
    }
    local printed, logged = run(SCRIPT, variables)
    assert.are.equal(9, #server.requests()) -- the last one: what was queued, at the end of the script
    assert.is_truthy(printed:find("customer\nauthentication: Invalid API Key", 1, true), printed)
    assert.is_truthy(printed:find("oauth: no (status 401, code invalid_client", 1, true), printed)
    assert.is_truthy(printed:find("signature: no signature matches", 1, true), printed)
    assert.is_truthy(logged:find("pinstripe debug POST /v1/customers: attempt 1\n", 1, true), logged)
    assert.is_truthy(logged:find("pinstripe info POST /v1/customers: 200 after ", 1, true), logged)
    assert.is_truthy(logged:find("pinstripe warn POST /v1/customers: notice: use sk_test_", 1, true), logged)
    assert.is_truthy(logged:find("pinstripe info GET /v1/charges: again in ", 1, true), logged)
    assert.is_truthy(logged:find("POST /v2/billing/meter_event_stream: 400 after ", 1, true), logged)
    for _, secret in ipairs(SECRETS) do
      assert.is_nil(printed:find(secret, 1, true), secret)
      assert.is_nil(logged:find(secret, 1, true), secret)
    end
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
