-- A bit of everything, for test_script_oom.c, which runs it while memory fails. The host sets `stripe`, whose
-- transport is in the host, and `strict`: then nothing fails and everything must be right. Each part is tried by
-- itself, so that one that fails does not hide the next.
-- luacheck: globals stripe strict
local pinstripe = require "pinstripe"

local function try(part)
  local ok, err = pcall(part)
  if strict and not ok then error(err, 0) end
end

local function check(object, err)
  if object == nil and err ~= nil then
    tostring(err)
    assert(not strict)
  end
  return object
end

try(function()
  local params = { email = "a@b.c", metadata = { a = "b" }, items = { { x = 1.5, y = { true, pinstripe.null } } } }
  check(stripe.customers:create(params, {
    idempotency_key = "k", headers = { ["X-A"] = "b" }, stripe_account = "acct_1", fields = { "id", "metadata.a" },
  }))
end)

try(function()
  local sum = 0
  for charge in stripe.charges:each({ limit = 2 }, { fields = { "amount", "customer.email" } }) do
    sum = sum + charge.amount
  end
  assert(sum == 15.5)
end)

try(function()
  local page = check(stripe.charges:list({}, { headers = { ["X-A"] = "b" } }))
  local it = page:each()
  check(it:next())
  local again = stripe.charges:each({}, { cursor = it:cursor() })
  assert(check(again:next()).id == "ch_4")
  again:close()
  assert(check(page:fetch_next()).data[1].id == "ch_3")
end)

try(function()
  local invoice = check(stripe.invoices:retrieve "in_1")
  assert(check(invoice.lines:each():next()).tags[2] == "b")
end)

try(function()
  local _, err = stripe:request("GET", "/v1/bad", { a = { 1, 2 } })
  if strict then assert(err.payment_intent.id == "pi_1") end
  tostring(err)
end)

try(function() stripe.files:create{ purpose = "x", file = { content = "abc", filename = "a" } } end)

try(function()
  local other = pinstripe.client("sk_test_2", {
    headers = { ["X-B"] = "c" },
    app_info = { name = "Shop" },
    log = function(event) return tostring(event) end,
    transport = {
      send = function(request)
        assert(request.body or request.method == "GET")
        return { status = 200, headers = { ["X-A"] = { "1", "2" } }, body = '{"id": "x", "a": [1, {"b": "c"}]}' }
      end,
      sleep = function() end,
    },
  })
  assert(check(other.charges:retrieve "ch_1").id == "x")
  check((other.charges:each():next()))
  check(other.files:create{ purpose = "x", file = { content = "abc", filename = "a" } })
end)

try(function() assert(pinstripe.json.encode(pinstripe.json.decode '{"a":[1,2.5,"x"]}') == '{"a":[1,2.5,"x"]}') end)

try(function() assert(pinstripe.api.operation("charges.list").params.limit.kind == "int") end)

assert(not pcall(function() stripe.customers:create{ a = { b = print } } end))
assert(not pcall(function() stripe.customers:create({}, { idempotencykey = "x" }) end))
