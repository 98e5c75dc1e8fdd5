--- Cash balances: what customers have transferred to the account and not yet paid with.
--
-- Invariant: of each customer and currency, what is available is the sum of `net_amount` of its cash balance
-- transactions, and the last one's `ending_balance`; it is never below zero.
local common = require "sandbox.flows.common"
local events = require "sandbox.events"
local host = require "sandbox.host"
local intents = require "sandbox.flows.intents"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null = host.null
local refuse = common.refuse

local cash = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

-- Where customers transfer to, by currency: the type of transfer, of the address, and its country.
local TRANSFERS = {
  eur = { "eu_bank_transfer", "iban", "IE", { "sepa" } },
  gbp = { "gb_bank_transfer", "sort_code", "GB", { "bacs", "fps" } },
  jpy = { "jp_bank_transfer", "zengin", "JP", { "zengin" } },
  mxn = { "mx_bank_transfer", "spei", "MX", { "spei" } },
  usd = { "us_bank_transfer", "aba", "US", { "ach", "domestic_wire_us" } },
}

--- A customer's cash balance. It stands beside the customer, who shows it when `expand` names it.
function cash.balance(call, customer)
  local private = call.store:private(customer)
  private.on_demand = private.on_demand or {}
  local balance = private.on_demand.cash_balance
  if not balance then
    balance = shape.new "cash_balance"
    balance.customer = customer.id
    balance.settings = { reconciliation_mode = "automatic", using_merchant_default = true }
    private.on_demand.cash_balance = balance
  end
  return balance
end

--- What a customer has in a currency.
function cash.available(call, customer, currency)
  local available = cash.balance(call, customer).available
  return available ~= null and available[currency] or 0
end

-- Moves a customer's money; `details` is the field of the transaction that its type brings.
local function post(call, customer, type, amount, currency, details)
  local balance = cash.balance(call, customer)
  local available = balance.available ~= null and host.copy(balance.available) or {}
  available[currency] = (available[currency] or 0) + amount
  balance.available = available
  local transaction = shape.new "customer_cash_balance_transaction"
  transaction.customer, transaction.currency, transaction.type = customer.id, currency, type
  transaction.net_amount, transaction.ending_balance = amount, available[currency]
  transaction[type] = details
  call.store:insert(transaction, customer.id)
  events.emit(call, "customer_cash_balance_transaction.created", transaction)
  return transaction
end

--- Takes what pays a part of an intent.
function cash.apply(call, intent, amount)
  local customer = call:find("customer", intent.customer, "customer")
  return post(call, customer, "applied_to_payment", -amount, intent.currency, { payment_intent = intent.id })
end

--- Gives back what was paid of an intent that is canceled.
function cash.unapply(call, intent)
  local private, customer = call.store:private(intent), call.store:get("customer", intent.customer)
  if not private.funded or not customer then return end
  post(call, customer, "unapplied_from_payment", private.funded, intent.currency, { payment_intent = intent.id })
  private.funded = nil
end

--- Sends a customer's money back to its bank; raises if there is less.
function cash.give_back(call, refund)
  local customer = call:find("customer", refund.customer, "customer")
  if cash.available(call, customer, refund.currency) < refund.amount then
    refuse("The customer's cash balance holds less than this amount.", "amount")
  end
  return post(call, customer, "return_initiated", -refund.amount, refund.currency)
end

local function addresses(call, kind, t)
  local place, by_name = TRANSFERS[kind], spec.fields(t)
  local address = { type = place[2], supported_networks = host.array(host.copy(place[4])) }
  address[place[2]] = intents.filled(by_name[place[2]], call, place[2])
  return host.array { address }
end

--- Raises unless customers can transfer this currency.
function cash.check_currency(currency)
  if TRANSFERS[currency] then return end
  refuse(("Bank transfers cannot be made in %s."):format(currency), "currency")
end

--- The next_action of an intent that waits for a transfer.
function cash.instructions(call, intent, remaining)
  cash.check_currency(intent.currency)
  local action = spec.fields(spec.object("payment_intent").by_name.next_action).display_bank_transfer_instructions
  local options = intent.payment_method_options ~= null and intent.payment_method_options.customer_balance or {}
  local transfer = type(options.bank_transfer) == "table" and options.bank_transfer.type
  local details = intents.filled(action, call, "instructions")
  details.amount_remaining, details.currency = remaining, intent.currency
  details.financial_addresses = addresses(call, intent.currency, spec.fields(action).financial_addresses.of)
  details.type = transfer and transfer ~= null and transfer or TRANSFERS[intent.currency][1]
  return { type = "display_bank_transfer_instructions", display_bank_transfer_instructions = details }
end

-- ---- Operations

cash.operations["customers.cash_balance.retrieve"] = function(call)
  return cash.balance(call, call:find("customer", call.ids.customer, "customer"))
end

--- Sets how transfers are used, by the params `settings`.
function cash.set(call, customer, settings)
  local mode = settings and settings.reconciliation_mode
  if not mode then return end
  local default = mode == "merchant_default"
  local settings_now = { reconciliation_mode = default and "automatic" or mode, using_merchant_default = default }
  cash.balance(call, customer).settings = settings_now
end

cash.operations["customers.cash_balance.update"] = function(call)
  local customer = call:find("customer", call.ids.customer, "customer")
  cash.set(call, customer, call.params.settings)
  return cash.balance(call, customer)
end

cash.operations["customers.funding_instructions.create"] = function(call)
  local params = call.params
  call:find("customer", call.ids.customer, "customer")
  cash.check_currency(params.currency)
  local instructions = shape.new "funding_instructions"
  local transfer = spec.object("funding_instructions").by_name.bank_transfer
  instructions.currency, instructions.funding_type = params.currency, "bank_transfer"
  instructions.bank_transfer = {
    country = TRANSFERS[params.currency][3],
    financial_addresses = addresses(call, params.currency, spec.fields(transfer).financial_addresses.of),
    type = params.bank_transfer.type,
  }
  return instructions
end

cash.operations["test_helpers.customers.fund_cash_balance"] = function(call)
  local params = call.params
  local customer = call:find("customer", call.ids.customer, "customer")
  common.positive(params.amount, "amount")
  cash.check_currency(params.currency)
  local place = TRANSFERS[params.currency]
  local details = { type = place[1], reference = params.reference or null }
  local transaction = post(call, customer, "funded", params.amount, params.currency, { bank_transfer = details })
  events.emit(call, "cash_balance.funds_available", cash.balance(call, customer))
  if cash.balance(call, customer).settings.reconciliation_mode == "automatic" then
    require("sandbox.flows.payment_intents").reconcile(call, customer, params.currency)
  end
  return transaction
end

return cash
