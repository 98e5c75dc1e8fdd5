--- Cash balances: what customers have transferred to the account and not yet paid with.
--
-- Invariant: of each customer and currency, what is available is the sum of `net_amount` of its cash balance
-- transactions, and the last one's `ending_balance`; it is never below zero.
local common = require "sandbox.flows.common"
local host = require "sandbox.host"
local intents = require "sandbox.flows.intents"
local spec = require "sandbox.spec"

local null, given, refuse, refuse_if = host.null, common.given, common.refuse, common.refuse_if

local cash = { operations = {} }

-- Where customers transfer to, by currency: the type of transfer, of the address, and its country.
local TRANSFERS = {
  eur = { "eu_bank_transfer", "iban", "IE", { "sepa" } },
  gbp = { "gb_bank_transfer", "sort_code", "GB", { "bacs", "fps" } },
  jpy = { "jp_bank_transfer", "zengin", "JP", { "zengin" } },
  mxn = { "mx_bank_transfer", "spei", "MX", { "spei" } },
  usd = { "us_bank_transfer", "aba", "US", { "ach", "domestic_wire_us" } },
}

-- A customer's cash balance. It stands beside the customer, who shows it when `expand` names it.
local function balance_of(call, customer)
  local private = call:note(customer)
  private.on_demand = private.on_demand or {}
  private.on_demand.cash_balance = private.on_demand.cash_balance or call:new("cash_balance", {
    customer = customer.id, settings = { reconciliation_mode = "automatic", using_merchant_default = true },
  })
  return private.on_demand.cash_balance
end

function cash.available(call, customer, currency)
  return (given(balance_of(call, customer).available) or {})[currency] or 0
end

-- Moves a customer's money; `details` is the field of the transaction that its type brings.
local function post(call, customer, type, amount, currency, details)
  local balance, after = balance_of(call, customer), cash.available(call, customer, currency) + amount
  balance.available = common.changed(given(balance.available) or {}, { [currency] = after })
  return call:keep(call:new("customer_cash_balance_transaction", {
    customer = customer.id, currency = currency, type = type, net_amount = amount, ending_balance = after,
    [type] = details,
  }), customer.id)
end

function cash.apply(call, intent, amount)
  local customer = call:find("customer", intent.customer, "customer")
  post(call, customer, "applied_to_payment", -amount, intent.currency, { payment_intent = intent.id })
end

--- Gives back what was paid of an intent and not captured: it is canceled, captured in part, or paid with something
--- else after all.
function cash.unapply(call, intent)
  local private, customer = call:note(intent), call.store:get("customer", intent.customer)
  local back = (private.funded or 0) - intent.amount_received
  private.funded = nil
  if back <= 0 then return end
  post(call, customer, "unapplied_from_payment", back, intent.currency, { payment_intent = intent.id })
end

--- Raises if changes to an intent, of which a part is paid, would part it from whose money that was, or undercut it.
function cash.check_changes(call, intent, changes)
  local funded = call:note(intent).funded
  for _, name in ipairs(funded and { "currency", "customer" } or {}) do
    refuse_if(changes[name] ~= nil and changes[name] ~= intent[name],
      "A part of this PaymentIntent is paid from a cash balance: its %s cannot change.", name, nil, name)
  end
  refuse_if(funded and changes.amount and changes.amount <= funded,
    "The amount must be greater than what is paid of it already (%d).", "amount", nil, funded)
end

--- Sends a customer's money back to its bank; raises if there is less.
function cash.give_back(call, refund)
  local customer = call:find("customer", refund.customer, "customer")
  refuse_if(cash.available(call, customer, refund.currency) < refund.amount,
    "The customer's cash balance holds less than this amount.", "amount")
  post(call, customer, "return_initiated", -refund.amount, refund.currency)
end

--- Credits the refund of a payment that was made from a cash balance.
function cash.refund(call, refund)
  local customer = call:find("customer", refund.customer, "customer")
  post(call, customer, "refunded_from_payment", refund.amount, refund.currency, { refund = refund.id })
end

-- The list of one address to transfer this currency to, of the type that a field inside a kind has.
local function addresses(call, currency, ...)
  local _, way, country, networks = table.unpack(TRANSFERS[currency])
  local address = spec.fields(common.type_of(...).of)[way]
  return host.array { {
    type = way, supported_networks = host.array(host.copy(networks)),
    [way] = intents.filled(address, call, way, country),
  } }
end

function cash.check_currency(currency)
  if not TRANSFERS[currency] then refuse(("Bank transfers cannot be made in %s."):format(currency), "currency") end
end

--- The next_action of an intent that waits for a transfer.
function cash.instructions(call, intent, remaining)
  local name = "display_bank_transfer_instructions"
  local transfer = intents.option(intent, "customer_balance", "bank_transfer")
  local details = intents.filled(common.type_of("payment_intent", "next_action", name), call, "instructions")
  details.amount_remaining, details.currency = remaining, intent.currency
  details.financial_addresses = addresses(call, intent.currency, "payment_intent", "next_action", name,
    "financial_addresses")
  details.type = transfer and given(transfer.type) or TRANSFERS[intent.currency][1]
  return { type = name, [name] = details }
end

-- ---- Operations

local function path_customer(call) return call:find("customer", call.ids.customer, "customer") end

cash.operations["customers.cash_balance.retrieve"] = function(call) return balance_of(call, path_customer(call)) end

--- Sets how transfers are used, by the params `settings`.
function cash.set(call, customer, settings)
  local mode, balance = settings and settings.reconciliation_mode, balance_of(call, customer)
  local default = mode == "merchant_default"
  if mode then
    balance.settings = { reconciliation_mode = default and "automatic" or mode, using_merchant_default = default }
  end
  return balance
end

cash.operations["customers.cash_balance.update"] = function(call)
  return cash.set(call, path_customer(call), call.params.settings)
end

cash.operations["customers.funding_instructions.create"] = function(call)
  local params = call.params
  path_customer(call)
  cash.check_currency(params.currency)
  local places = addresses(call, params.currency, "funding_instructions", "bank_transfer", "financial_addresses")
  return call:new("funding_instructions", {
    currency = params.currency, funding_type = "bank_transfer", bank_transfer = {
      country = TRANSFERS[params.currency][3], financial_addresses = places, type = params.bank_transfer.type,
    },
  })
end

cash.operations["test_helpers.customers.fund_cash_balance"] = function(call)
  local params, customer = call.params, path_customer(call)
  common.positive(params.amount, "amount")
  cash.check_currency(params.currency)
  local details = { type = TRANSFERS[params.currency][1], reference = params.reference or null }
  local transaction = post(call, customer, "funded", params.amount, params.currency, { bank_transfer = details })
  local balance = balance_of(call, customer)
  call:emit("cash_balance.funds_available", balance)
  if balance.settings.reconciliation_mode == "automatic" then
    require("sandbox.flows.payment_intents").reconcile(call, customer, params.currency)
  end
  return transaction
end

return cash
