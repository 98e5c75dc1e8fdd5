--- The ledger: every movement of money is one balance transaction, and the balance is nothing but their sum.
--
-- Invariant: in each account and currency, `available` is the sum of `net` over the transactions whose status is
-- "available", `pending` over those that are "pending". Both are kept up as transactions are posted and settle, never
-- recounted; `net` is always `amount - fee`, `fee` the sum of `fee_details`.
--
-- Payments settle after two days of the clock, a refund no sooner than the payment that it returns (`of`), all else at
-- once. What settles in the same second settles in one step, with one balance.available.
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local host = require "sandbox.host"

local null, array = host.null, host.array

local ledger = { operations = {}, jobs = {}, filters = {} }

local SETTLES_AFTER = { charge = 2 * common.DAY, payment = 2 * common.DAY }

local REPORTED_AS = {
  adjustment = "other_adjustment", application_fee = "platform_earning",
  application_fee_refund = "platform_earning_refund", payment = "charge", payment_failure_refund = "refund_failure",
  payment_refund = "refund", payout_cancel = "payout_reversal", payout_failure = "payout_reversal",
  stripe_fee = "fee", transfer_refund = "transfer_reversal",
}

--- The fee of a card payment: 2.9 % and 30, rounded half up.
function ledger.card_fee(amount) return (amount * 29 + 500) // 1000 + 30 end

--- A row of fee_details.
function ledger.fee(amount, currency)
  return { amount = amount, application = null, currency = currency, description = "Stripe processing fees",
    type = "stripe_fee" }
end

local function nothing(currency) return { amount = 0, currency = currency, source_types = { card = 0 } } end

local function line(balance, column, currency)
  for i, entry in ipairs(balance[column]) do
    if entry.currency == currency then return entry, i end
  end
  return nothing(currency), #balance[column] + 1
end

--- The account's balance, as GET /v1/balance shows it.
function ledger.balance(call)
  local singletons = call.store.state.singletons
  if not singletons.balance then
    local account = call.platform:get("account", call.account)
    local home = account and account.default_currency or "usd"
    singletons.balance = call:new("balance", { available = array { nothing(home) }, pending = array { nothing(home) } })
  end
  return singletons.balance
end

-- Events keep what a balance was: its lines are replaced, never changed.
local function add(call, column, currency, source_type, amount)
  local balance = ledger.balance(call)
  local lines, entry, at = host.copy(balance[column]), line(balance, column, currency)
  entry = host.copy(entry)
  entry.amount = entry.amount + amount
  entry.source_types[source_type] = (entry.source_types[source_type] or 0) + amount
  lines[at] = entry
  balance[column] = lines
end

--- What may be spent now: of one source type, or of all.
function ledger.available(call, currency, source_type)
  local entry = line(ledger.balance(call), "available", currency)
  if source_type then return entry.source_types[source_type] or 0 end
  return entry.amount
end

--- What there is in all, settled or not.
function ledger.total(call, currency)
  local balance = ledger.balance(call)
  return line(balance, "available", currency).amount + line(balance, "pending", currency).amount
end

--- Raises balance_insufficient unless `amount` may be spent.
function ledger.check_funds(call, amount, currency, source_type)
  if ledger.available(call, currency, source_type) >= amount then return end
  common.refuse("You have insufficient funds in your Stripe account. One likely reason is that a payment is not"
    .. " available yet; see your balance at GET /v1/balance.", nil, "balance_insufficient")
end

-- Under this name the store remembers what is still to settle.
local WAITING = { id = "balance" }

-- Transactions wait under the second in which they settle; the first to wait there books the one job.
local function wait_to_settle(call, transaction, source_type)
  local waiting, second = call:note(WAITING), tostring(transaction.available_on)
  if not waiting[second] then
    waiting[second] = array {}
    clock.schedule(call, transaction.available_on, "ledger.settle", { second = second })
  end
  table.insert(waiting[second], { id = transaction.id, source_type = source_type })
end

--- Posts one transaction of `object`'s (its source): stored, added to the balance, settled when its time comes.
--- `more`: fee_details, description, available_on, of (a transaction's id), reporting_category, source_type.
function ledger.post(call, type, object, amount, more)
  more = more or {}
  local fee, now, source_type = 0, call:now(), more.source_type or "card"
  for _, detail in ipairs(more.fee_details or {}) do fee = fee + detail.amount end
  local original = more.of and call.store:get("balance_transaction", more.of)
  local available_on = more.available_on or original and math.max(now, original.available_on)
    or now + (SETTLES_AFTER[type] or 0)
  local transaction = call:add("balance_transaction", {
    type = type, amount = amount, currency = object.currency, fee = fee, net = amount - fee, source = object.id,
    fee_details = array(more.fee_details or {}), description = more.description or null, available_on = available_on,
    balance_type = "payments", reporting_category = more.reporting_category or REPORTED_AS[type] or type,
    status = available_on > now and "pending" or "available",
  })
  add(call, transaction.status, object.currency, source_type, transaction.net)
  if available_on > now then wait_to_settle(call, transaction, source_type) end
  return transaction
end

ledger.jobs["ledger.settle"] = function(call, args)
  local waiting = call:note(WAITING)
  for _, entry in ipairs(waiting[args.second] or {}) do
    local transaction = call.store:get("balance_transaction", entry.id)
    add(call, "pending", transaction.currency, entry.source_type, -transaction.net)
    add(call, "available", transaction.currency, entry.source_type, transaction.net)
    call.store:update(transaction, { status = "available" })
  end
  waiting[args.second] = nil
  call:emit("balance.available", ledger.balance(call))
end

ledger.operations["balance.retrieve"] = ledger.balance

-- A payout made by request settles no transactions but its own.
ledger.filters["balance_transactions.list"] = {
  payout = function(_, payout)
    return function(transaction) return transaction.source == payout end
  end,
}

return ledger
