--- The ledger: every movement of money is one balance transaction, and the balance is nothing but their sum.
--
-- Invariant: in each account and currency, `available` is the sum of `net` over the transactions whose status is
-- "available", `pending` over those that are "pending". Both are kept up as transactions are posted and settle, never
-- recounted; `net` is always `amount - fee`, `fee` the sum of `fee_details`.
--
-- Payments settle after two days of the clock, a refund no sooner than the payment that it returns (`of`), all else at
-- once. What settles in the same second settles in one step, with one balance.available.
--
-- For other flows:
--   ledger.post(call, {type=, amount=, currency=, source=id, fee= or fee_details=, description=, available_on=,
--     of=transaction id, reporting_category=, source_type=}) → the stored transaction; only the first three are needed
--   ledger.card_fee(amount) → the fee of a card payment      ledger.balance(call) → the balance
--   ledger.available(call, currency, source_type) → what may be spent now; ledger.total(call, currency) → in all
--   ledger.check_funds(call, amount, currency, source_type) raises if that much may not be spent
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local events = require "sandbox.events"
local host = require "sandbox.host"
local shape = require "sandbox.shape"

local ledger = { operations = {}, jobs = {}, filters = {} }

local SETTLES_AFTER = { charge = 172800, payment = 172800 }

local REPORTED_AS = {
  adjustment = "other_adjustment", application_fee = "platform_earning",
  application_fee_refund = "platform_earning_refund", payment = "charge", payment_failure_refund = "refund_failure",
  payment_refund = "refund", payout_cancel = "payout_reversal", payout_failure = "payout_reversal",
  stripe_fee = "fee", transfer_refund = "transfer_reversal",
}

--- The fee of a card payment: 2.9 % and 30, rounded half up.
function ledger.card_fee(amount)
  return (amount * 29 + 500) // 1000 + 30
end

local function nothing(currency)
  return { amount = 0, currency = currency, source_types = { card = 0 } }
end

local function line(balance, column, currency)
  for i, entry in ipairs(balance[column]) do
    if entry.currency == currency then return entry, i end
  end
  return nothing(currency), #balance[column] + 1
end

local function home_currency(call)
  local account = call.platform:get("account", call.account)
  return account and account.default_currency or "usd"
end

--- The account's balance, as GET /v1/balance shows it.
function ledger.balance(call)
  local balance = call.store.state.singletons.balance
  if not balance then
    balance = shape.new "balance"
    balance.available = host.array { nothing(home_currency(call)) }
    balance.pending = host.array { nothing(home_currency(call)) }
    call.store.state.singletons.balance = balance
  end
  return balance
end

-- Events keep what a balance was: its lines are replaced, never changed.
local function add(call, column, currency, source_type, amount)
  local balance = ledger.balance(call)
  local lines = host.copy(balance[column])
  local _, at = line(balance, column, currency)
  local entry = lines[at] or nothing(currency)
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
  local available, pending = line(balance, "available", currency), line(balance, "pending", currency)
  return available.amount + pending.amount
end

--- Raises balance_insufficient unless `amount` may be spent.
function ledger.check_funds(call, amount, currency, source_type)
  if ledger.available(call, currency, source_type) >= amount then return end
  common.refuse("You have insufficient funds in your Stripe account. One likely reason is that a payment is not"
    .. " available yet; see your balance at GET /v1/balance.",
    nil, "balance_insufficient")
end

local function fee_details(fields)
  if fields.fee_details then return host.array(fields.fee_details) end
  if (fields.fee or 0) == 0 then return host.array {} end
  return host.array {
    {
      amount = fields.fee, application = host.null, currency = fields.currency,
      description = "Stripe processing fees", type = "stripe_fee",
    },
  }
end

local function settles_on(call, fields)
  if fields.available_on then return fields.available_on end
  local now = call:now()
  local original = fields.of and call.store:get("balance_transaction", fields.of)
  if original then return math.max(now, original.available_on) end
  return now + (SETTLES_AFTER[fields.type] or 0)
end

-- Under this name the store remembers what is still to settle.
local WAITING = { id = "balance" }

-- Transactions wait under the second in which they settle; the first to wait there books the one job.
local function wait_to_settle(call, transaction, source_type)
  local waiting = call.store:private(WAITING)
  local second = tostring(transaction.available_on)
  if not waiting[second] then
    waiting[second] = host.array {}
    clock.schedule(call, transaction.available_on, "ledger.settle", { second = second })
  end
  table.insert(waiting[second], { id = transaction.id, source_type = source_type })
end

--- Posts one transaction: stored, added to the balance, and settled when its time comes.
function ledger.post(call, fields)
  local transaction = shape.new "balance_transaction"
  local fee = 0
  transaction.fee_details = fee_details(fields)
  for _, detail in ipairs(transaction.fee_details) do
    fee = fee + detail.amount
  end
  transaction.type, transaction.amount, transaction.currency = fields.type, fields.amount, fields.currency
  transaction.fee, transaction.net = fee, fields.amount - fee
  transaction.source, transaction.description = fields.source or host.null, fields.description or host.null
  transaction.available_on = settles_on(call, fields)
  transaction.balance_type = "payments"
  transaction.reporting_category = fields.reporting_category or REPORTED_AS[fields.type] or fields.type
  transaction.status = transaction.available_on > call:now() and "pending" or "available"
  call.store:insert(transaction)
  local source_type = fields.source_type or "card"
  add(call, transaction.status, transaction.currency, source_type, transaction.net)
  if transaction.status == "pending" then wait_to_settle(call, transaction, source_type) end
  return transaction
end

ledger.jobs["ledger.settle"] = function(call, args)
  local waiting = call.store:private(WAITING)
  for _, entry in ipairs(waiting[args.second] or {}) do
    local transaction = call.store:get("balance_transaction", entry.id)
    add(call, "pending", transaction.currency, entry.source_type, -transaction.net)
    add(call, "available", transaction.currency, entry.source_type, transaction.net)
    call.store:update(transaction, { status = "available" })
  end
  waiting[args.second] = nil
  events.emit(call, "balance.available", ledger.balance(call))
end

ledger.operations["balance.retrieve"] = function(call)
  return ledger.balance(call)
end

-- A payout made by request settles no transactions but its own.
ledger.filters["balance_transactions.list"] = {
  payout = function(_, payout)
    return function(transaction) return transaction.source == payout end
  end,
}

return ledger
