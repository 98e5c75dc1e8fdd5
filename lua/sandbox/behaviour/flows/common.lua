--- What several flows of money and catalog ask alike: amounts above zero, requests that say nothing, a call with other
--- params.
local errors = require "sandbox.errors"

local common = {}

--- Raises a 400.
function common.refuse(message, param, code)
  error(errors.invalid { message = message, param = param, code = code })
end

local CURRENCIES = {}
for country, currency in ([[AE aed AU aud BR brl CA cad CH chf CZ czk DK dkk GB gbp HK hkd HU huf IN inr JP jpy
  MX mxn MY myr NO nok NZ nzd PL pln RO ron SE sek SG sgd TH thb US usd]]):gmatch "(%u+) (%l+)" do
  CURRENCIES[country] = currency
end

--- The currency of a country.
function common.currency_of(country)
  return CURRENCIES[country] or "eur"
end

--- Raises unless `amount` is above zero; an absent one passes.
function common.positive(amount, param)
  if not amount or amount > 0 then return end
  common.refuse(("Invalid integer: %d. This value must be greater than or equal to 1."):format(amount), param,
    "parameter_invalid_integer")
end

--- Raises when `amount` is above what is left.
function common.at_most(amount, left, what)
  common.positive(amount, "amount")
  if amount <= left then return end
  common.refuse(("%s amount (%d) is greater than what is left (%d)."):format(what, amount, left), "amount")
end

--- Whether the request says anything beyond what the table requires. What one parameter makes necessary is asked of
--- such a request alone, so that the least request that the table allows is accepted.
function common.says_more(call)
  for name in pairs(call.params) do
    local param = call.operation.by_name[name]
    if name ~= "expand" and name ~= "metadata" and not (param and param.required) then return true end
  end
  return false
end

--- The same call with other params.
function common.with(call, params)
  return setmetatable({ params = params }, { __index = call })
end

return common
