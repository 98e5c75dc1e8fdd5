-- Errors as tables: their fields, how they print, and that no secret is in them.
local pinstripe = require "pinstripe"
local support = require "support"

local reply = support.reply

describe("an error of the API", function()
  local stripe = support.client(function()
    return reply(402, { error = { type = "card_error", code = "card_declined", decline_code = "insufficient_funds",
      advice_code = "try_again_later", message = "Your card was declined.", param = "number", charge = "ch_1",
      payment_intent = { id = "pi_1", charges = support.page({}, false) },
      network_decline_code = pinstripe.null, status = "not ours", kind = "not ours", brand_new = { 1, 2 },
    } }, { ["Request-Id"] = "req_1", ["X-A"] = "b" })
  end)
  local object, err = stripe.charges:create({ amount = 1 }, { idempotency_key = "order-1" })

  it("comes second, after nil", function()
    assert.is_nil(object)
    assert.is_table(err)
  end)

  it("has the server's fields", function()
    assert.are.equal("card_error", err.type)
    assert.are.equal("card_declined", err.code)
    assert.are.equal("insufficient_funds", err.decline_code)
    assert.are.equal("try_again_later", err.advice_code)
    assert.are.equal("number", err.param)
    assert.are.equal("ch_1", err.charge)
    assert.are.equal("pi_1", err.payment_intent.id)
    assert.are.same({ 1, 2 }, setmetatable(err.brand_new, nil))
    assert.is_nil(getmetatable(err.payment_intent.charges))
  end)

  it("has ours, whatever the server sent under these names", function()
    assert.are.equal("card", err.kind)
    assert.are.equal("Your card was declined.", err.message)
    assert.are.equal(402, err.status)
    assert.are.equal("req_1", err.request_id)
    assert.are.equal("rejected", err.outcome)
    assert.are.equal(1, err.attempts)
    assert.are.equal("order-1", err.idempotency_key)
    assert.are.equal("b", err.headers["X-a"])
  end)

  it("leaves out what the server sent as null", function()
    assert.is_nil(err.network_decline_code)
  end)

  it("prints as one line", function()
    assert.are.equal("card: Your card was declined. (status 402, code card_declined, decline_code insufficient_funds, "
      .. "param number, request req_1)", tostring(err))
  end)

  it("is raised by check, as it is", function()
    local ok, raised = pcall(function() pinstripe.check(stripe.charges:create()) end)
    assert.is_false(ok)
    assert.are.equal("card", raised.kind)
    assert.are.equal("pinstripe.error", getmetatable(raised).__name)
  end)
end)

describe("an error of a server that is not Stripe's", function()
  it("prints, whatever its fields hold", function()
    local odd = { { 1 }, { a = 1 }, true, 5, "", "odd" }
    for _, name in ipairs{ "request_id", "message", "code", "decline_code", "param", "kind", "status", "outcome" } do
      for _, value in ipairs(odd) do
        local stripe = support.client({ support.reply(402, { error = { [name] = value } }) }, { max_retries = 0 })
        local _, err = stripe.charges:list()
        assert.are.equal("string", type(tostring(err)))
        assert.matches("402", tostring(err), 1, true)
      end
    end
  end)
end)

describe("an error of the library", function()
  it("says what may have happened", function()
    local stripe = support.client(function() return nil, "cable cut" end)
    local _, err = stripe.charges:create({}, { max_retries = 0 })
    assert.are.equal("connection", err.kind)
    assert.are.equal("unknown", err.outcome)
    assert.are.equal("cable cut", err.message)
    assert.is_nil(err.status)
    assert.is_string(err.idempotency_key)
    assert.are.equal("connection: cable cut (outcome unknown)", tostring(err))
  end)

  it("of a timeout is one", function()
    local stripe = support.client(function() return nil, "timeout" end)
    local _, err = stripe.charges:create({}, { max_retries = 1 })
    assert.are.equal("timeout", err.kind)
    assert.are.equal("unknown", err.outcome)
    assert.are.equal(2, err.attempts)
  end)

  it("that was certainly not sent says so", function()
    local stripe = support.client(function() return nil, "refused", "not_sent" end)
    local _, err = stripe.charges:create({}, { max_retries = 0 })
    assert.are.equal("connection", err.kind)
    assert.are.equal("not_sent", err.outcome)
    assert.are.equal("connection: refused", tostring(err))
  end)

  it("of usage is returned where it depends on data", function()
    local stripe, requests = support.client{}
    for _, call in ipairs{
      function() return stripe.customers:retrieve "" end,
      function() return stripe.customers:create({}, { idempotency_key = ("x"):rep(256) }) end,
      function() return stripe:request("GET", "//evil.example.com/") end,
      function() return stripe.customers:create({}, { headers = { ["X-A"] = "a\nb" } }) end,
    } do
      local object, err = call()
      assert.is_nil(object)
      assert.are.equal("usage", err.kind)
      assert.are.equal("not_sent", err.outcome)
      assert.are.equal(0, err.attempts)
    end
    assert.are.equal(0, #requests)
  end)

  it("names what is unknown under strict", function()
    local stripe = support.client({}, { strict = true })
    local _, err = stripe.customers:create{ emial = "x" }
    assert.are.equal("usage", err.kind)
    assert.is_truthy(err.message:find("params.emial is not a parameter of customers.create; the nearest is email", 1,
      true))
  end)
end)

describe("a secret", function()
  local KEY, SECRET = "sk_test_51SecretSecretSecretSecret99", "whsec_SecretSecretSecretSecret77"
  local BODY = "the-whole-body-of-the-reply"

  -- All text that a value shows: itself, its fields, its metatable's.
  local function everything(value, seen, out)
    out, seen = out or {}, seen or {}
    if seen[value] then return out end
    out[#out + 1] = tostring(value)
    if type(value) ~= "table" then return out end
    seen[value] = true
    for k, v in pairs(value) do
      everything(k, seen, out)
      everything(v, seen, out)
    end
    if getmetatable(value) then everything(getmetatable(value), seen, out) end
    return out
  end

  local function check_clean(...)
    for i = 1, select("#", ...) do
      local text = table.concat(everything((select(i, ...))), "\n")
      for _, secret in ipairs{ KEY, SECRET, BODY } do
        assert.is_nil(text:find(secret, 1, true), text)
      end
    end
  end

  local log = {}
  local function client(send)
    return pinstripe.client(KEY, { transport = { send = send, sleep = function() end },
      log = function(event) log[#log + 1] = event end })
  end

  it("is not in a client, its services and iterators", function()
    local stripe = client(function() return reply(200, support.page({ "ch_1" }, false)) end)
    check_clean(stripe, stripe.charges, stripe.charges.list, stripe.v1, (stripe.charges:each()))
    check_clean((stripe.charges:list()))
    check_clean(stripe.charges:each():cursor())
  end)

  it("is not in an error, whatever the server echoes", function()
    local stripe = client(function()
      return reply(401, { error = { message = "Invalid API Key provided: " .. KEY .. ", " .. SECRET } })
    end)
    local _, err = stripe.balance:retrieve()
    err.headers = nil
    check_clean(err, tostring(err))
    stripe = client(function() return nil, "proxy refused Bearer " .. KEY end)
    _, err = stripe.balance:retrieve()
    check_clean(err, tostring(err))
  end)

  it("is not in the error of an unreadable reply", function()
    local stripe = client(function()
      return { status = 200, headers = {}, body = ("x"):rep(300) .. BODY .. KEY }
    end)
    local _, err = stripe.balance:retrieve()
    assert.are.equal("protocol", err.kind)
    check_clean(err, tostring(err))
  end)

  it("is not in a misuse", function()
    local stripe = client(function() end)
    local _, message = pcall(function() stripe.customers:create({}, { api_key = KEY, tmeout = 1 }) end)
    check_clean(message)
    _, message = pcall(function() stripe.customers:create({ a = print }, { api_key = KEY }) end)
    check_clean(message)
    _, message = pcall(pinstripe.client, KEY .. "\0")
    check_clean(message)
    _, message = pcall(pinstripe.client, { api_key = KEY, api_base = "https://" .. KEY .. "@example.com" })
    check_clean(message)
  end)

  it("is not in an event of any of these", function()
    assert.is_true(#log > 10)
    check_clean(log)
  end)
end)
