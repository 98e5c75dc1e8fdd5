-- A tour in Lua: creates a customer, walks over charges, lists and retrieves file links, fails and looks at errors.
--
--     STRIPE_API_KEY=sk_test_... lua tour.lua
--
-- PINSTRIPE_API_BASE and PINSTRIPE_LISTS_BASE name other servers in Stripe's place, for everything and for lists.
local pinstripe = require "pinstripe"

local requests = 0
local function count() requests = requests + 1 end

local base = os.getenv "PINSTRIPE_API_BASE"
local lists_base = os.getenv "PINSTRIPE_LISTS_BASE" or base
local stripe = pinstripe.client{ api_base = base }
local lists = pinstripe.client{ api_base = lists_base, on_request = count }

local function say(text, ...)
  print(select("#", ...) > 0 and text:format(...) or text)
end

local function money(cents, currency)
  return ("%.2f %s"):format(cents / 100, currency or "usd")
end

-- A field that the server sent as null is pinstripe.null, which is not false.
local function text(value)
  return type(value) == "string" and value or "-"
end

local function shorten(line)
  return #line > 100 and line:sub(1, 97) .. "..." or line
end

local function create_a_customer()
  say '1. Create a customer: stripe.customers:create{ email = "jenny@example.com", metadata = { order = "6735" } }'
  local customer, response = pinstripe.check(stripe.customers:create{
    email = "jenny@example.com",
    metadata = { order = "6735" },
  })
  say("   %s, %s; status %d, attempts: %d", customer.id, customer.email, response.status, response.attempts)
  say("   sent with the idempotency key %s\n", response.idempotency_key)
end

local function walk_over_charges()
  say "2. List charges: for charge in stripe.charges:each() do ... end"
  local number, sum = 0, 0
  for charge in lists.charges:each({}, { fields = { "id", "amount", "currency", "description" } }) do
    number, sum = number + 1, sum + charge.amount
    if number <= 3 then
      say("   %-14s %12s   %s", charge.id, money(charge.amount, charge.currency), text(charge.description))
    end
  end
  say("   ... %d charges, %s, in %d requests\n", number, money(sum), requests)
end

local function look_at_file_links()
  say "3. List file links, then retrieve one: stripe.file_links:list{ limit = 3 }"
  local page = pinstripe.check(lists.file_links:list{ limit = 3 })
  for _, link in ipairs(page.data) do say("   %-14s %s", link.id, text(link.url)) end
  if not page.data[1] then return say "   there are none\n" end
  local link = pinstripe.check(lists.file_links:retrieve(page.data[1].id))
  say("   stripe.file_links:retrieve(%q) is the link to %s\n", link.id, link.file)
end

local function fail()
  say '4. Fail: stripe.payment_intents:create{ amount = "a lot", currency = "usd" }'
  local intent, err = stripe.payment_intents:create{ amount = "a lot", currency = "usd" }
  assert(intent == nil)
  say("   kind %s, status %d, outcome %s", err.kind, err.status, err.outcome)
  say("   %s\n", shorten(err.message))

  say "5. Nobody there: the error tells whether money may have moved"
  local nobody = pinstripe.client("sk_test_nobody", { api_base = "http://127.0.0.1:1", max_retries = 0 })
  local charge, lost = nobody.charges:create{ amount = 2000, currency = "usd" }
  assert(charge == nil)
  say("   kind %s, outcome %s\n", lost.kind, lost.outcome)

  say "6. Misspell: stripe.custmers"
  local _, message = pcall(function() return stripe.custmers end)
  say("   %s\n", message:gsub("^.*/", ""))
end

local operations = 0
for _ in pinstripe.api.operations() do operations = operations + 1 end
say("pinstripe %s in %s, with the %d operations of Stripe's API %s, at %s\n", pinstripe.version, _VERSION, operations,
  pinstripe.api.version, base or "https://api.stripe.com")
create_a_customer()
walk_over_charges()
look_at_file_links()
fail()
say "That was the tour. The README goes on from here."
