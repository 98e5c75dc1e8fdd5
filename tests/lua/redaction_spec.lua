-- One run of a program at level debug, with each kind of call, whose server repeats every secret that it can: nothing
-- that the program prints, or the library logs or tells a hook, holds one.
local pinstripe = require "pinstripe"
local support = require "support"

-- What must not be seen, by the name that the script below has for it.
local secrets = {
  key = "sk_test_51RedactionOfTheClient9Xy2",
  call_key = "rk_test_51RedactionOfOneCall8Wv1",
  webhook = "whsec_RedactionOfTheEndpoint7Ut0",
  old_webhook = "whsec_RedactionOfTheOldOne6Sr9",
  client_secret = "pi_1_secret_RedactionOfThePayer5",
  refresh_token = "rt_RedactionOfTheConnectedOne4Q",
  ephemeral = "ek_test_RedactionOfTheMobileOne3",
  terminal = "pst_test_RedactionOfTheReader2Op",
  session = "token_RedactionOfTheMeter1Nm",
  link = "MDB8RedactionOfWhoeverHasTheLink0",
  password = "redaction-of-the-proxy",
  email = "jenny.rosen@redaction.example",
  evidence = "the evidence itself, for redaction",
}

local SCRIPT = [[
local pinstripe = require "pinstripe"
local secrets, base = pinstripe.json.decode(SECRETS), BASE

local function show(what, object, err)
  print(what, type(object), tostring(err))
  if type(err) ~= "table" then return end
  for _, name in ipairs{ "kind", "message", "outcome", "code", "request_id", "status", "attempts" } do
    print("", name, tostring(err[name]))
  end
end

local function hook(event)
  for name, value in pairs(event) do print("event", name, tostring(value)) end
  print(tostring(event))
end

local hooks = { on_request = hook, on_response = hook, max_retries = 0 }
local stripe = pinstripe.client(hooks)
local person = { email = secrets.email }

-- Calls
show("create", stripe.customers:create(person))
show("refused", stripe.customers:create(person))
show("retried", stripe.customers:create(person, { max_retries = 1 }))
show("own key", stripe.customers:create(person, { api_key = secrets.call_key }))
show("idempotency", stripe.customers:create(person, { idempotency_key = "order-6735" }))
show("not JSON", stripe.customers:create(person))
show("lost", stripe.customers:create(person))
show("search", stripe.customers:search{ query = "email:'" .. secrets.email .. "'" })
show("raw", stripe:request("GET", "/v1/customers?email=" .. secrets.email))
show("no path", stripe:request("GET", "https://elsewhere/v1/customers?email=" .. secrets.email))
show("v2", stripe.v2.core.accounts:create{ contact_email = secrets.email })
show("misuse", pcall(function() stripe.customers:create(person, { api_kye = secrets.call_key }) end))
show("strict", pinstripe.client{ strict = true, max_retries = 0 }.customers:create{ emial = secrets.email })
show("header", stripe.customers:create(person, { headers = { ["X-Token"] = secrets.webhook .. "\n" } }))

-- Lists
local list = stripe.charges:each({ customer = "cus_1" }, { api_key = secrets.call_key })
show("item", list:next())
print(list:cursor())
print(tostring(list), tostring(stripe), tostring(stripe.charges))

-- Files
local function burns() return nil, "cannot read " .. secrets.evidence:sub(1, 12) .. secrets.webhook end
show("upload", stripe.files:create{ purpose = "dispute_evidence", file = { content = secrets.evidence } })
show("reader", stripe.files:create{ purpose = "dispute_evidence", file = { reader = burns } })
show("download", stripe:download(base .. "/links/" .. secrets.link .. "?email=" .. secrets.email))
show("elsewhere", stripe:download("https://elsewhere/links/" .. secrets.link))
show("place", stripe:download(base .. "/links/" .. secrets.link, { save_to = "/nonexistent/receipt.pdf" }))
show("writer", stripe.quotes:pdf("qt_1", nil, { write_to = function() return nil, "no " .. secrets.key end }))

-- OAuth
print((stripe.oauth:authorize_url{ client_id = "ca_1" }))
show("token", stripe.oauth:token{ grant_type = "refresh_token", refresh_token = secrets.refresh_token })
show("deauthorize", stripe.oauth:deauthorize{ client_id = "ca_1", stripe_user_id = "acct_1" })

-- Webhooks
local both = { secrets.webhook, secrets.old_webhook }
local body = pinstripe.json.encode{ object = "v2.core.event", id = "evt_1", type = "x", context = secrets.webhook,
  related_object = { url = "//elsewhere/" .. secrets.key } }
show("signature", pinstripe.webhook.construct("{}", "t=1,v1=00", both))
show("stale", pinstripe.webhook.construct("{}", pinstripe.webhook.sign("{}", secrets.webhook, 1), both))
show("blank", pinstripe.webhook.construct("{}", "t=1,v1=00", secrets.webhook .. "\n"))
show("not an event", pinstripe.webhook.construct("x" .. secrets.key, pinstripe.webhook.sign("x" .. secrets.key,
  secrets.webhook), both))
local handler = stripe:notification_handler(both, print)
show("handler", handler:handle(body, "t=1,v1=00"))
local notification = pinstripe.webhook.parse_notification_without_verification(body)
show("related", stripe:fetch_related_object(notification))
notification.context = nil
show("event", stripe:fetch_event(notification))
print(tostring(handler))

-- Meters
local stream = stripe:meter_stream()
stream:add{ event_name = "requests", payload = { value = secrets.email } }
show("meter", stream:close())
show("skipped", stream:skip())
print(tostring(stream), stream:close())

-- Connections
local proxy = "http://user:" .. secrets.password .. "@127.0.0.1:1"
local away = pinstripe.client{ proxy = proxy, api_base = "http://api.stripe.test", max_retries = 0 }
show("proxy", away.balance:retrieve())
show("base", pcall(pinstripe.client, { api_base = "https://user:" .. secrets.password .. "@api.stripe.com" }))
show("blank key", pinstripe.client(secrets.key .. " x", { api_base = base, max_retries = 0 }).balance:retrieve())
local function refuse() return nil, "refused Bearer " .. secrets.key end
show("transport", pinstripe.client{ transport = refuse, max_retries = 0 }.balance:retrieve())
]]

describe("a run at level debug", function()
  local server

  after_each(function() server.stop() end)

  local all = {}
  for _, name in ipairs{ "key", "call_key", "webhook", "client_secret", "refresh_token", "ephemeral", "terminal" } do
    all[#all + 1] = secrets[name]
  end
  local everything = table.concat(all, " and ")

  local function refusal(status, more)
    local err = { type = "invalid_request_error", message = "not with " .. everything, param = "email" }
    for name, value in pairs(more or {}) do err[name] = value end
    return { status = status, body = { error = err } }
  end

  -- What each call of the script came to: its kind, or what else tells that it was the one that was meant.
  local expected = {
    create = "nil", refused = "authentication", retried = "api", ["own key"] = "permission",
    idempotency = "idempotency", ["not JSON"] = "protocol", lost = "connection", search = "invalid_request",
    raw = "invalid_request", ["no path"] = "usage", v2 = "quota_exceeded", strict = "usage", header = "usage",
    item = "invalid_request", upload = "invalid_request", reader = "usage", download = "protocol", elsewhere = "usage",
    place = "usage", writer = "usage", token = "oauth", deauthorize = "oauth", signature = "signature",
    stale = "signature", blank = "signature", ["not an event"] = "protocol", handler = "signature", related = "usage",
    event = "invalid_request", meter = "invalid_request", proxy = "connection", ["blank key"] = "authentication",
    transport = "connection",
  }

  it("shows no secret", function()
    server = support.server{
      { body = { object = "customer", client_secret = secrets.client_secret },
        headers = { ["Stripe-Notice"] = "use no more " .. everything } }, -- create
      refusal(401), -- refused
      refusal(500), refusal(500), -- retried
      refusal(403), -- own key
      refusal(400, { type = "idempotency_error" }), -- idempotency
      { body = "<html>" .. secrets.key .. " " .. secrets.client_secret }, -- not JSON
      { reset = "after" }, -- lost
      refusal(400), -- search
      refusal(404), -- raw
      refusal(400, { type = "quota_exceeded" }), -- v2
      refusal(400), -- item
      refusal(400), -- upload
      { status = 404, body = "<html>it has expired: /links/" .. secrets.link }, -- download
      { file = { 80, '"a"' } }, -- writer
      { status = 401, body = { error = "invalid_grant", error_description = "no " .. secrets.refresh_token } }, -- token
      { status = 401, body = { error = "invalid_client", error_description = "no " .. everything } }, -- deauthorize
      refusal(404), -- event
      { body = { authentication_token = secrets.session } }, -- meter
      refusal(400, { message = "not with " .. secrets.session }),
    }
    local script = SCRIPT:gsub("SECRETS", function() return ("%q"):format(pinstripe.json.encode(secrets)) end)
      :gsub("BASE", function() return ("%q"):format(server.base) end)
    local printed, logged = support.run(script, {
      STRIPE_API_KEY = secrets.key, PINSTRIPE_API_BASE = server.base, PINSTRIPE_LOG = "debug",
    })
    local sent = pinstripe.json.encode(pinstripe.array(server.requests()))
    for what, kind in pairs(expected) do
      assert.is_truthy(printed:find("\n" .. what .. "\t[^\n]*\n\tkind\t" .. kind .. "\n") or
        ("\n" .. printed):find("\n" .. what .. "\t[^\n]*\n\tkind\t" .. kind .. "\n"), what .. "\n" .. printed)
    end
    assert.is_truthy(printed:find("api_kye is not an option", 1, true))
    assert.is_truthy(printed:find("api_base must be https", 1, true))
    for name, secret in pairs(secrets) do
      assert.is_nil(printed:find(secret, 1, true), name)
      assert.is_nil(logged:find(secret, 1, true), name)
    end
    for _, name in ipairs{ "key", "call_key", "session", "link", "refresh_token", "email", "evidence" } do
      assert.is_truthy(sent:find(secrets[name], 1, true), name .. " was never in use")
    end
    for _, name in ipairs{ "key", "webhook", "client_secret", "refresh_token", "session", "link" } do
      assert.is_truthy(printed:find("*" .. secrets[name]:sub(-4), 1, true), name .. " was never told")
    end
    assert.is_truthy(logged:find("pinstripe warn POST /v1/customers: notice: use no more sk_test_***", 1, true), logged)
    assert.is_truthy(logged:find("pinstripe info POST /v1/customers: again in ", 1, true), logged)
    assert.is_truthy(logged:find("GET /links/*****************************ink0: 404 after ", 1, true), logged)
    assert.is_truthy(logged:find("POST /v2/billing/meter_event_stream: 400 after ", 1, true), logged)
  end)
end)
