--- Tax rates and shipping rates: what is fixed when one is made, and what they say beyond their params.
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local flow = { operations = {} }

local function keep(call, object)
  call.store:insert(object)
  events.emit(call, object.object .. ".created", object)
  return object
end

flow.operations["tax_rates.create"] = function(call)
  local percentage = call.params.percentage
  if percentage < 0 or percentage > 100 then
    common.refuse("Invalid percentage: must be between 0 and 100.", "percentage")
  end
  local rate = generic.build(call)
  rate.active = call.params.active ~= false
  rate.effective_percentage, rate.rate_type = percentage, "percentage"
  return keep(call, rate)
end

flow.operations["shipping_rates.create"] = function(call)
  local fixed = call.params.fixed_amount
  if common.says_more(call) and not fixed then error(errors.parameter_missing "fixed_amount") end
  if fixed and fixed.amount < 0 then
    common.refuse(("Invalid non-negative integer: %d"):format(fixed.amount),
      "fixed_amount[amount]", "parameter_invalid_integer")
  end
  local rate = generic.build(call)
  rate.active, rate.type = true, "fixed_amount"
  rate.tax_behavior = call.params.tax_behavior or "unspecified"
  return keep(call, rate)
end

flow.operations["shipping_rates.update"] = function(call)
  local rate, fixed = call:target(), call.params.fixed_amount
  call.params.fixed_amount = nil
  local changes = generic.merge(rate, call.params)
  if fixed and fixed.currency_options and rate.fixed_amount then
    changes.fixed_amount = host.copy(rate.fixed_amount)
    local options = changes.fixed_amount.currency_options or {}
    for currency, option in pairs(fixed.currency_options) do
      local before = options[currency] or { amount = 0, tax_behavior = "unspecified" }
      options[currency] = {
        amount = option.amount or before.amount, tax_behavior = option.tax_behavior or before.tax_behavior,
      }
    end
    changes.fixed_amount.currency_options = options
  end
  return generic.apply(call, rate, changes)
end

return flow
