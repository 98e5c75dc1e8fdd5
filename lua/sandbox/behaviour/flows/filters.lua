--- How parameters of lists filter that are named like no field of what is listed: each makes a test of a parameter's
--- value.
local host = require "sandbox.host"

local null = host.null
local flow = { filters = {} }

-- The value at a path of names inside an object, or nil.
local function at(object, path)
  for name in path:gmatch "[^.]+" do
    if type(object) ~= "table" then return nil end
    object = object[name]
  end
  return object
end

-- The filter that compares what stands at a path.
local function equals(path)
  return function(_, wanted)
    return function(object) return at(object, path) == wanted end
  end
end

-- The filter that asks whether the object was made under, or for, another.
local function parent(call, wanted)
  return function(object) return call.store:parent(object) == wanted end
end

local function is_within(range, value)
  if type(range) ~= "table" then return value == range end
  return value > (range.gt or -math.huge) and value >= (range.gte or -math.huge) and value < (range.lt or math.huge)
    and value <= (range.lte or math.huge)
end

-- The filter that asks whether one of a subscription's items passes a test of the value.
local function any_item(passes)
  return function(call, wanted)
    return function(subscription)
      for item in call.store:newest("subscription_item", { subscription = subscription.id }) do
        if passes(item, wanted) then return true end
      end
      return false
    end
  end
end

local function add(operation, filters) flow.filters[operation .. ".list"] = filters end

add("billing.alerts", { meter = equals "usage_threshold.meter" })
add("crypto.onramp_sessions", {
  destination_currency = equals "transaction_details.destination_currency",
  destination_network = equals "transaction_details.destination_network",
})
add("entitlements.active_entitlements", { customer = parent })
add("entitlements.features", {
  archived = function(_, archived)
    return function(feature) return feature.active ~= archived end
  end,
})
add("financial_connections.accounts", { session = parent })
add("invoice_items", {
  pending = function(_, pending)
    return function(item) return (item.invoice == null) == pending end
  end,
})
add("invoices", { subscription = equals "parent.subscription_details.subscription" })
add("payment_records", {
  created_after = function(_, time)
    return function(record) return record.created > time end
  end,
  created_before = function(_, time)
    return function(record) return record.created < time end
  end,
})
add("product_catalog.trial_offers", {
  prices = function(_, prices)
    local wanted = {}
    for _, price in ipairs(prices) do wanted[price] = true end
    return function(offer) return wanted[offer.price] == true end
  end,
})
add("radar.value_lists", {
  contains = function(call, value)
    return function(list) return call.store:newest("radar.value_list_item", { value_list = list.id,
      value = value })() ~= nil end
  end,
})
add("shipping_rates", { currency = equals "fixed_amount.currency" })
add("subscription_schedules", {
  scheduled = function(_, scheduled)
    return function(schedule) return (schedule.status == "not_started") == scheduled end
  end,
})
add("subscriptions", {
  price = any_item(function(item, price) return item.price.id == price end),
  plan = any_item(function(item, plan) return item.plan.id == plan end),
  current_period_start = any_item(function(item, range) return is_within(range, item.current_period_start) end),
  current_period_end = any_item(function(item, range) return is_within(range, item.current_period_end) end),
})
add("treasury.debit_reversals", {
  resolution = function(_, resolution)
    local status = resolution == "won" and "succeeded" or "failed"
    return function(reversal) return reversal.status == status end
  end,
})

local function of_grant(name)
  return function(call, wanted)
    return function(transaction)
      local grant = call.store:get("billing.credit_grant", transaction.credit_grant)
      return grant ~= nil and grant[name] == wanted
    end
  end
end

add("billing.credit_balance_transactions", {
  customer = of_grant "customer", customer_account = of_grant "customer_account",
})

return flow
