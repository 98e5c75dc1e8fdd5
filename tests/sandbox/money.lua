-- What the specs of money share: the clock, the balance in two numbers, and the law that sums agree.
local support = require "support"

local pinstripe = support.pinstripe
local check = pinstripe.check

local money = { NOW = 1700000000, DAY = 86400 }

local function control(box, path, body)
  local reply = box:handle {
    method = "POST",
    path = "/_sandbox/" .. path,
    headers = { ["authorization"] = "Bearer sk_test_123", ["content-type"] = "application/x-www-form-urlencoded" },
    body = body,
  }
  assert(reply.status == 200, reply.body)
  return reply.body
end

--- Moves the clock on.
function money.advance(box, seconds)
  control(box, "clock", "advance=" .. seconds)
end

--- Has a helper do something to an object: money.help(box, "payouts.fail", "po_1", "failure_code=no_account").
function money.help(box, name, id, more)
  return control(box, "helpers/" .. name, "id=" .. id .. (more and "&" .. more or ""))
end

local function amount_of(entries, currency)
  for _, entry in ipairs(entries) do
    if entry.currency == currency then return entry.amount end
  end
  return 0
end

--- What is available, and what is pending.
function money.balance(stripe, currency, options)
  local balance = check(stripe.balance:retrieve(nil, options))
  currency = currency or "usd"
  return amount_of(balance.available, currency), amount_of(balance.pending, currency)
end

--- Asserts that the balance is the sum of its transactions, by currency and status, and each fee that of its details.
function money.assert_sums(stripe, options)
  local sums = {}
  for transaction in stripe.balance_transactions:each({}, options) do
    local currency, status = transaction.currency, transaction.status
    local fee = 0
    for _, detail in ipairs(transaction.fee_details) do fee = fee + detail.amount end
    assert(transaction.fee == fee and transaction.net == transaction.amount - fee, transaction.id)
    sums[currency] = sums[currency] or { available = 0, pending = 0 }
    sums[currency][status] = sums[currency][status] + transaction.net
  end
  for currency, sum in pairs(sums) do
    local available, pending = money.balance(stripe, currency, options)
    local shown = ("%s: %d available, %d pending"):format(currency, available, pending)
    local summed = ("%s: %d available, %d pending"):format(currency, sum.available, sum.pending)
    assert(shown == summed, "the balance has " .. shown .. "; the sum is " .. summed)
  end
end

local CARDS = { "tok_visa", "tok_bypassPending", "tok_chargeDeclined", "tok_refundFail" }

-- What may happen; each may be refused.
local STEPS = {
  function(stripe, dice)
    stripe.charges:create { amount = dice(100, 9000), currency = "usd", source = CARDS[dice(1, #CARDS)] }
  end,
  function(stripe, dice)
    local charge = check(stripe.charges:list { limit = 20 }).data[dice(1, 20)]
    if charge then stripe.refunds:create { charge = charge.id, amount = dice(1, charge.amount) } end
  end,
  function(stripe, dice) stripe.payouts:create { amount = dice(1, 5000), currency = "usd" } end,
  function(stripe)
    local payout = check(stripe.payouts:list { limit = 1 }).data[1]
    if payout then stripe.payouts:cancel(payout.id) end
  end,
  function(stripe, dice) stripe.topups:create { amount = dice(1, 5000), currency = "usd" } end,
  function(stripe, dice)
    local account = check(stripe.accounts:list()).data[1] or check(stripe.accounts:create { type = "custom" })
    stripe.transfers:create { amount = dice(1, 3000), currency = "usd", destination = account.id }
  end,
  function(stripe, dice)
    local transfer = check(stripe.transfers:list { limit = 1 }).data[1]
    if transfer then stripe.transfers.reversals:create(transfer.id, { amount = dice(1, transfer.amount) }) end
  end,
}

--- Lets so many things happen, the same ones for the same count.
function money.random_history(box, stripe, steps)
  local state = steps
  local function dice(low, high)
    state = (state * 1103515245 + 12345) % 2147483648
    return low + (state // 65536) % (high - low + 1)
  end
  for _ = 1, steps do
    STEPS[dice(1, #STEPS)](stripe, dice)
    if dice(1, 10) == 1 then money.advance(box, dice(1, 2 * money.DAY)) end
  end
end

return money
