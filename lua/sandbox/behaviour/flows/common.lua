--- What several flows ask alike: of params, of the state of an object, of amounts.
local errors = require "sandbox.errors"
local host = require "sandbox.host"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local common = { DAY = 86400, null = host.null }

function common.refuse(message, param, code)
  error(errors.invalid { message = message, param = param, code = code })
end
local refuse = common.refuse

--- The same where something is wrong; what follows fills the message in.
function common.refuse_if(wrong, message, param, code, ...)
  if wrong then refuse(message:format(...), param, code) end
end

--- The value of a field; nil if it is absent or null.
function common.given(value)
  if value ~= nil and value ~= host.null then return value end
end

--- Whether a word is one of those in a text: among("pending paid", status).
function common.among(words, word) return (" " .. words .. " "):find(" " .. word .. " ", 1, true) ~= nil end

function common.contains(list, value)
  for _, item in ipairs(list or {}) do
    if item == value then return true end
  end
  return false
end

function common.keys(t)
  local keys = host.array {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- A copy of a nested object with some of its fields changed.
function common.changed(nested, changes)
  local copy = host.copy(nested)
  for name, value in pairs(changes) do copy[name] = value end
  return copy
end

--- The type of a field inside a kind of object: type_of("charge", "payment_method_details", "card"); nil if none is.
function common.type_of(kind, ...)
  local t = spec.object(kind)
  for _, name in ipairs { ... } do t = t and t.fields and spec.fields(t)[name] end
  return t
end

--- A nested object of such a type with all its fields: as `given` has them, else empty.
function common.nested(given, ...)
  local t = common.type_of(...)
  if not t or not t.fields then return {} end
  local object, fields = shape.nested(t), spec.fields(t)
  for name, value in pairs(given) do
    if fields[name] then object[name] = host.copy(value) end
  end
  return object
end

--- Notes an object's fields; what this returns tells the previous_attributes of all changes since.
function common.watch(object)
  local before = {}
  for name, value in pairs(object) do before[name] = value end
  return function()
    local previous = {}
    for name, value in pairs(object) do
      if before[name] == nil then previous[name] = host.null
      elseif before[name] ~= value then previous[name] = before[name] end
    end
    return previous
  end
end

--- An object as it would be with these changes; not a copy.
function common.as_changed(object, changes)
  return setmetatable({}, { __index = function(_, name)
    if changes[name] ~= nil then return changes[name] end
    return object[name]
  end })
end

-- ---- Params

--- Raises for the first of these params that is not there.
function common.need(params, ...)
  for _, name in ipairs { ... } do
    if not params[name] then error(errors.parameter_missing(name)) end
  end
end

--- The name of the one of these params that is given; raises for a second. `within`: the param that holds them.
function common.one_of(params, names, within)
  local found
  for _, name in ipairs(names) do
    common.refuse_if(params[name] and found, "You may only specify one of these parameters: %s.",
      within and ("%s[%s]"):format(within, name) or name, nil, table.concat(names, ", "))
    found = params[name] and name or found
  end
  return found
end

--- The metadata of something new: empty values set nothing.
function common.metadata(params)
  local set = {}
  for key, value in pairs(common.given(params.metadata) or {}) do set[key] = common.given(value) end
  return set
end

--- Raises unless a time, if there is one, lies ahead.
function common.check_future(call, time, param)
  if type(time) ~= "number" or time > call:now() then return end
  refuse(("`%s` must lie in the future."):format(param), param)
end

--- Raises unless `amount` is above zero; an absent one passes.
function common.positive(amount, param)
  if not amount or amount > 0 then return end
  refuse(("Invalid integer: %d. This value must be greater than or equal to 1."):format(amount), param,
    "parameter_invalid_integer")
end

function common.at_most(amount, left, what)
  common.positive(amount, "amount")
  if amount <= left then return end
  refuse(("%s amount (%d) is greater than what is left (%d)."):format(what, amount, left), "amount")
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

--- The same call with other params; `operation`: as if that were asked for.
function common.with(call, params, operation)
  return setmetatable({ params = params, operation = operation }, { __index = call })
end

-- ---- States: a table {[status] = {from = "a b", ...}} says from where an object gets to a status, and how

function common.may(moves, object, status)
  return moves[status] ~= nil and common.among(moves[status].from, object.status)
end

--- The move's row; raises unless the object's status allows it.
function common.step(moves, object, status, code)
  if common.may(moves, object, status) then return moves[status] end
  refuse(("The %s %s cannot become %s: its status is %s."):format(object.object, object.id, status, object.status), nil,
    code)
end

--- A helper (POST /_sandbox/helpers/NAME {id, …}) for objects of a kind.
function common.helper(kind, act)
  return function(call, id, params) return act(call, call:find(kind, id, "id"), params) end
end

-- ---- Countries

local CURRENCIES = {}
for country, currency in ([[AE aed AU aud BR brl CA cad CH chf CZ czk DK dkk GB gbp HK hkd HU huf IN inr JP jpy
  MX mxn MY myr NO nok NZ nzd PL pln RO ron SE sek SG sgd TH thb US usd]]):gmatch "(%u+) (%l+)" do
  CURRENCIES[country] = currency
end

function common.currency_of(country) return CURRENCIES[country] or "eur" end

return common
