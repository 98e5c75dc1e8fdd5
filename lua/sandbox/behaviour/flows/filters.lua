--- How parameters of lists filter that are named like no field of what is listed: {operation = {param = function(call,
--- wanted) → test of an object}}.
local common = require "sandbox.flows.common"
local lists = require "sandbox.lists"

local null = common.null

-- A filter of a test that gets the object, what is wanted, and the call.
local function by(test)
  return function(call, wanted) return function(object) return test(object, wanted, call) end end
end

-- Compares what stands at a path of names inside the object.
local function equals(path)
  return by(function(object, wanted)
    for name in path:gmatch "[^.]+" do object = type(object) == "table" and object[name] end
    return object == wanted
  end)
end

-- Asks whether the object was made under, or for, another.
local parent = by(function(object, wanted, call) return call.store:parent(object) == wanted end)

-- Asks whether one of a subscription's items passes a test.
local function any_item(passes)
  return by(function(subscription, wanted, call)
    for item in call.store:newest("subscription_item", { subscription = subscription.id }) do
      if passes(item, wanted) then return true end
    end
    return false
  end)
end

-- Compares a field of a credit balance transaction's grant.
local function of_grant(name)
  return by(function(transaction, wanted, call)
    local grant = call.store:get("billing.credit_grant", transaction.credit_grant)
    return grant ~= nil and grant[name] == wanted
  end)
end

return { filters = {
  ["billing.alerts.list"] = { meter = equals "usage_threshold.meter" },
  ["billing.credit_balance_transactions.list"] = {
    customer = of_grant "customer", customer_account = of_grant "customer_account",
  },
  ["crypto.onramp_sessions.list"] = {
    destination_currency = equals "transaction_details.destination_currency",
    destination_network = equals "transaction_details.destination_network",
  },
  ["entitlements.active_entitlements.list"] = { customer = parent },
  ["entitlements.features.list"] = {
    archived = by(function(feature, archived) return feature.active ~= archived end),
  },
  ["financial_connections.accounts.list"] = { session = parent },
  ["invoice_items.list"] = { pending = by(function(item, pending) return (item.invoice == null) == pending end) },
  ["invoices.list"] = { subscription = equals "parent.subscription_details.subscription" },
  ["payment_records.list"] = {
    created_after = by(function(record, time) return record.created > time end),
    created_before = by(function(record, time) return record.created < time end),
  },
  ["product_catalog.trial_offers.list"] = {
    prices = by(function(offer, prices) return common.contains(prices, offer.price) end),
  },
  ["radar.value_lists.list"] = {
    contains = by(function(list, value, call)
      return call.store:newest("radar.value_list_item", { value_list = list.id, value = value })() ~= nil
    end),
  },
  ["shipping_rates.list"] = { currency = equals "fixed_amount.currency" },
  ["subscription_schedules.list"] = {
    scheduled = by(function(schedule, scheduled) return (schedule.status == "not_started") == scheduled end),
  },
  ["subscriptions.list"] = {
    price = any_item(function(item, price) return item.price.id == price end),
    plan = any_item(function(item, plan) return item.plan.id == plan end),
    current_period_start = any_item(function(item, range) return lists.in_range(range)(item.current_period_start) end),
    current_period_end = any_item(function(item, range) return lists.in_range(range)(item.current_period_end) end),
  },
  ["treasury.debit_reversals.list"] = {
    resolution = by(function(reversal, resolution)
      return reversal.status == (resolution == "won" and "succeeded" or "failed")
    end),
  },
} }
