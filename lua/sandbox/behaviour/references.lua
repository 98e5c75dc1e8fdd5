--- Ids in parameters: each must name an object that there is. Which kinds a parameter names follows from its name, or
--- from the field of the same name in what the operation returns. Ids that stand for something made on demand
--- (pm_card_visa) are known to resolvers, which flows bring.

local errors = require "sandbox.errors"
local host = require "sandbox.host"
local spec = require "sandbox.spec"

local references = {
  --- resolvers[kind](call, id, only_ask) → an object or nil; with `only_ask`, whether there would be one, making
  --- nothing
  resolvers = {},
  --- Parameters that flows look up themselves: ["subscriptions.create"] = { default_source = true }
  own = {},
}

-- Names of parameters, anywhere, that hold the id of an object.
local named = {
  customer = { "customer" }, charge = { "charge" }, payment_intent = { "payment_intent" }, invoice = { "invoice" },
  setup_intent = { "setup_intent" }, subscription = { "subscription" }, price = { "price" }, product = { "product" },
  coupon = { "coupon" }, promotion_code = { "promotion_code" }, payment_method = { "payment_method" },
  default_payment_method = { "payment_method" }, quote = { "quote" }, tax_rate = { "tax_rate" },
  tax_rates = { "tax_rate" }, default_tax_rates = { "tax_rate" }, file = { "file" }, refund = { "refund" },
  transfer = { "transfer" }, payout = { "payout" }, dispute = { "dispute" }, test_clock = { "test_helpers.test_clock" },
  shipping_rate = { "shipping_rate" }, credit_note = { "credit_note" }, meter = { "billing.meter" },
  cardholder = { "issuing.cardholder" }, plan = { "plan" }, subscription_item = { "subscription_item" },
}

local function kinds_named(operation, t)
  if t.kind ~= "string" and not (t.kind == "array" and t.of.kind == "string") then return nil end
  local kinds = operation.kind ~= "list" and named[t.name]
  if not kinds then
    local object = operation.object and spec.object(operation.object)
    local field = object and object.by_name[t.name]
    kinds = field and field.kind == "expandable" and spec.kinds(field) or named[t.name]
  end
  return kinds and #kinds > 0 and kinds or nil
end

local function is_known(call, kinds, id)
  for _, kind in ipairs(kinds) do
    if call.store:get(kind, id) or call.platform:get(kind, id) then return true end
    local resolve = references.resolvers[kind]
    if resolve and resolve(call, id, true) then return true end
    if kind == "account" and (id == call.account or call.box:has_account(call, id)) then return true end
  end
  return false
end

local function check_id(call, kinds, id, path)
  if type(id) ~= "string" or is_known(call, kinds, id) then return end
  error(errors.missing(kinds[1], id, path))
end

local function check_ids(call, kinds, value, path)
  if type(value) ~= "table" then return check_id(call, kinds, value, path) end
  for i, id in ipairs(value) do check_id(call, kinds, id, path .. "[" .. (i - 1) .. "]") end
end

-- The parameters of a type that hold ids: {name → kinds}, and those with such inside: {name → their
-- fields}.
local function plan_of(operation, t)
  local plan = { ids = {}, below = {} }
  for _, field in ipairs(t.fields) do
    local inner = field.kind == "array" and field.of or field
    plan.ids[field.name] = kinds_named(operation, field)
    if inner.kind == "object" then plan.below[field.name] = inner end
  end
  return plan
end

local check

local function check_below(call, t, value, path)
  if type(value) ~= "table" then return end
  if host.is_array(value) then
    for i, item in ipairs(value) do check_below(call, t, item, path .. "[" .. (i - 1) .. "]") end
  else
    check(call, t, value, path)
  end
end

function check(call, t, values, path)
  local plan = t.plan or plan_of(call.operation, t)
  t.plan = plan
  local ids, below = plan.ids, plan.below
  for name, value in pairs(values) do
    local kinds, inner = ids[name], below[name]
    if kinds or inner then
      local at = path and path .. "[" .. name .. "]" or name
      if kinds then check_ids(call, kinds, value, at) else check_below(call, inner, value, at) end
    end
  end
end

--- Raises the API's error for the first parameter that names nothing.
function references.check(call)
  local operation = call.operation
  if references.own[operation.id] == true then return end
  operation.fields = operation.fields or operation.params
  check(call, operation, call.params)
end

return references
