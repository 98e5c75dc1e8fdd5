-- A payment from customer to refund, with all that goes with it, against the sandbox: no key, no network.
--
--     lua payment.lua
--
-- The sandbox answers as the API does, keeps what it is told, and lives as long as this script. With
-- pinstripe.client(os.getenv "STRIPE_API_KEY") in place of sandbox:client(), the first three steps run against Stripe.
local pinstripe = require "pinstripe"

local check = pinstripe.check
local sandbox = pinstripe.sandbox()
local stripe = sandbox:client{ max_retries = 0 }

local function say(text, ...)
  print(select("#", ...) > 0 and text:format(...) or text)
end

local function money(cents, currency)
  return ("%.2f %s"):format(cents / 100, currency or "usd")
end

local function pay()
  say "1. A customer pays"
  local customer = check(stripe.customers:create{ email = "jenny@example.com", name = "Jenny Rosen" })
  local intent = check(stripe.payment_intents:create{
    amount = 2000,
    currency = "usd",
    customer = customer.id,
    payment_method = "pm_card_visa",
    automatic_payment_methods = { enabled = true, allow_redirects = "never" },
    confirm = true,
    expand = { "latest_charge.balance_transaction" },
  })
  local charge = intent.latest_charge
  local ledger = charge.balance_transaction
  say("   %s of %s is %s", intent.id, money(intent.amount), intent.status)
  say("   %s with %s ending in %s", charge.id, charge.payment_method_details.card.brand,
    charge.payment_method_details.card.last4)
  say("   the fee is %s, so %s arrive\n", money(ledger.fee), money(ledger.net))
  return intent
end

local function refund(intent)
  say "2. Part of it goes back"
  local params = { payment_intent = intent.id, amount = 500, reason = "requested_by_customer" }
  local back = check(stripe.refunds:create(params))
  local charge = check(stripe.charges:retrieve(intent.latest_charge.id))
  say("   %s of %s is %s; of %s, %s are refunded\n", back.id, money(back.amount), back.status, money(charge.amount),
    money(charge.amount_refunded))
end

local function decline()
  say "3. A card is declined"
  local intent, err = stripe.payment_intents:create{
    amount = 2000, currency = "usd", payment_method = "pm_card_chargeDeclinedInsufficientFunds", confirm = true,
    automatic_payment_methods = { enabled = true, allow_redirects = "never" },
  }
  assert(intent == nil)
  say("   kind %s, code %s, decline_code %s, outcome %s\n", err.kind, err.code, err.decline_code, err.outcome)
end

local function read_webhooks()
  say "4. What happened arrives as signed webhooks"
  local count = 0
  for body, header in sandbox:webhooks() do
    local event = check(pinstripe.webhook.construct(body, header, sandbox:webhook_secret()))
    count = count + 1
    if count <= 4 then say("   %-32s %s", event.type, event.data.object.id) end
  end
  say("   ... %d events, each with a good signature\n", count)
end

local function share_a_file()
  say "5. A file is uploaded, shared and fetched by its link, without a key"
  local file = check(stripe.files:create{
    purpose = "dispute_evidence",
    file = { content = "The parcel was delivered.\n", filename = "receipt.txt", type = "text/plain" },
  })
  local link = check(stripe.file_links:create{ file = file.id })
  local content = check(stripe:download(link.url))
  say("   %s has %d bytes; %s gives: %s", file.id, file.size, link.id, content)
end

local function page()
  say "6. 250 charges, then all of them: for charge in stripe.charges:each() do ... end"
  for i = 1, 250 do
    check(stripe.charges:create{ amount = 100 + i, currency = "usd", source = "tok_visa" })
  end
  local number, sum = 0, 0
  local before = #sandbox:requests{ method = "GET", path = "/v1/charges" }
  for charge in stripe.charges:each({}, { fields = { "id", "amount", "paid" } }) do
    if charge.paid then number, sum = number + 1, sum + charge.amount end
  end
  local requests = #sandbox:requests{ method = "GET", path = "/v1/charges" } - before
  say("   %d paid charges, %s, in %d requests\n", number, money(sum), requests)
end

local function lose_a_reply()
  say "7. The charge is made, but its reply is lost on the way"
  sandbox:fault{ match = { method = "POST", path = "/v1/charges" }, drop_after_commit = true }
  local params = { amount = 4200, currency = "usd", source = "tok_visa", description = "Rocket ride" }
  local charge, err = stripe.charges:create(params)
  assert(charge == nil)
  say("   kind %s, outcome %s: money may have moved", err.kind, err.outcome)
  charge = check(stripe.charges:create(params, { idempotency_key = err.idempotency_key }))
  local made = 0
  for other in stripe.charges:each() do
    if other.description == "Rocket ride" then made = made + 1 end
  end
  say("   sent again with the key of the error: %s; charges made: %d\n", charge.id, made)
end

local function balance()
  say "8. The balance agrees with all that"
  local now = check(stripe.balance:retrieve())
  local net = 0
  for transaction in stripe.balance_transactions:each() do net = net + transaction.net end
  say("   pending: %s; the sum of all balance transactions: %s", money(now.pending[1].amount), money(net))
end

say("pinstripe %s in %s, against a sandbox at %s\n", pinstripe.version, _VERSION, sandbox:url())
refund(pay())
decline()
read_webhooks()
share_a_file()
page()
lose_a_reply()
balance()
sandbox:close()
