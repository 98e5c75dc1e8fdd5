--- Tax rates and shipping rates: what they say beyond their params.
local common = require "sandbox.flows.common"
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local flow = { operations = {} }

flow.operations["tax_rates.create"] = function(call)
  local percentage = call.params.percentage
  common.refuse_if(percentage < 0 or percentage > 100,
    "Invalid percentage: must be between 0 and 100.", "percentage")
  return generic.create(call, {
    active = call.params.active ~= false, effective_percentage = percentage, rate_type = "percentage",
  })
end

flow.operations["shipping_rates.create"] = function(call)
  local fixed = call.params.fixed_amount
  if common.says_more(call) then common.need(call.params, "fixed_amount") end
  if fixed and fixed.amount < 0 then
    common.refuse(("Invalid non-negative integer: %d"):format(fixed.amount), "fixed_amount[amount]",
      "parameter_invalid_integer")
  end
  return generic.create(call, { tax_behavior = call.params.tax_behavior or "unspecified" })
end

-- Currencies keep what an update does not name.
flow.operations["shipping_rates.update"] = function(call)
  local rate, fixed = call:target(), call.params.fixed_amount
  local options = fixed and host.copy(rate.fixed_amount.currency_options or {})
  for currency, option in pairs(fixed and fixed.currency_options or {}) do
    options[currency] = common.changed(options[currency] or { tax_behavior = "unspecified" }, option)
  end
  if fixed then fixed.currency_options = options end
  return generic.update(call, rate)
end

return flow
