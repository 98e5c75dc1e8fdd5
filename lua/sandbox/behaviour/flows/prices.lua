--- Prices and plans: a recurring price and its plan are two views of one thing, under one id.
--
-- Invariant: what both views show agrees after every step. A price is made first and its plan is drawn from it
-- (MIRRORED); a change of either is carried to the other. An amount is kept twice: as an integer, null if it has a
-- fraction, and as its decimal text. A lookup key names one active price at most; only `transfer_lookup_key` takes it
-- from another.
local common = require "sandbox.flows.common"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local products = require "sandbox.flows.products"

local null, given, refuse, refuse_if = host.null, common.given, common.refuse, common.refuse_if

local flow = { operations = {} }

-- Fields of the price, and of its `recurring`, with their names in the plan.
local MIRRORED = {
  active = "active", billing_scheme = "billing_scheme", currency = "currency", metadata = "metadata",
  nickname = "nickname", product = "product", tiers_mode = "tiers_mode", transform_quantity = "transform_usage",
  unit_amount = "amount", unit_amount_decimal = "amount_decimal",
}
local RECURRING = { "interval", "interval_count", "meter", "trial_period_days", "usage_type" }

-- Fields of a price that those of a plan tell.
local function price_fields(plan)
  local fields = { recurring = {} }
  for to, from in pairs(MIRRORED) do fields[to] = plan[from] end
  for _, name in ipairs(RECURRING) do fields.recurring[name] = plan[name] end
  return fields
end

local function plan_fields(price)
  local fields = {}
  for from, to in pairs(MIRRORED) do fields[to] = price[from] end
  for _, name in ipairs(RECURRING) do fields[name] = price.recurring[name] end
  return fields
end

-- ---- Amounts

-- Fills `name` and `name`_decimal of an entry from each other.
local function both_forms(entry, name)
  local decimal = name .. "_decimal"
  local amount, text = given(entry[name]), given(entry[decimal])
  if amount then
    text = tostring(amount)
  elseif text then
    amount = math.tointeger(tonumber(text))
    text = text:find(".", 1, true) and text:gsub("%.?0+$", "") or text
  end
  entry[name], entry[decimal] = amount or null, text or null
  return entry
end

local function tiers_of(tiers)
  local shown = tiers and host.array {}
  for i, tier in ipairs(tiers or {}) do
    local entry = common.changed(tier, { up_to = tier.up_to == "inf" and null or tier.up_to })
    shown[i] = both_forms(both_forms(entry, "unit_amount"), "flat_amount")
  end
  return shown
end

-- What a price says in one currency.
local function option_of(fields)
  local custom = fields.custom_unit_amount and common.nested(fields.custom_unit_amount, "price", "custom_unit_amount")
  return both_forms({
    custom_unit_amount = custom or null,
    tax_behavior = fields.tax_behavior or "unspecified", tiers = tiers_of(fields.tiers),
    unit_amount = fields.unit_amount, unit_amount_decimal = fields.unit_amount_decimal,
  }, "unit_amount")
end

-- ---- Checks

local WAYS = { "unit_amount", "unit_amount_decimal", "custom_unit_amount", "tiers" }

-- Raises unless the amount is given in one way; `within` is the param that holds these fields, if one does.
local function check_amount(fields, within, asked)
  local way = common.one_of(fields, WAYS, within)
  local param = way or "unit_amount"
  param = within and ("%s[%s]"):format(within, param) or param
  refuse_if(not way and asked,
    "An amount is missing: give unit_amount, unit_amount_decimal, custom_unit_amount or tiers.", param)
  local amount = fields.unit_amount or fields.unit_amount_decimal
  refuse_if(amount and tonumber(amount) < 0,
    "Invalid non-negative integer: %s", param, "parameter_invalid_integer", amount)
end

local function check_tiers(fields)
  local tiered, last = fields.billing_scheme == "tiered", fields.tiers and fields.tiers[#fields.tiers]
  if tiered then common.need(fields, "tiers", "tiers_mode") end
  if fields.tiers and not tiered then refuse("`tiers` need `billing_scheme` to be tiered.", "billing_scheme") end
  if last and last.up_to ~= "inf" then refuse("The last tier must have `up_to` set to inf.", "tiers") end
end

-- The active price, other than this one, that has a lookup key.
local function holder_of(call, key, price)
  for other in key and call.store:newest("price", { lookup_key = key }) or function() end do
    if other.active and other ~= price then return other end
  end
end

local function check_lookup_key(call, params, price)
  local holder = not params.transfer_lookup_key and holder_of(call, params.lookup_key, price)
  if not holder then return end
  refuse(("A price (%s) uses that lookup key; set `transfer_lookup_key` to take it."):format(holder.id), "lookup_key")
end

local function take_lookup_key(call, fields, price)
  local holder = holder_of(call, fields.lookup_key, price)
  if holder then call:apply(holder, { lookup_key = null }) end
end

--- Raises unless a price can be made of `fields`, which stand in the param `within` if they are not the request's own.
function flow.check(call, fields, within)
  check_amount(fields, within, within or common.says_more(call))
  check_tiers(fields)
  refuse_if(fields.recurring and fields.custom_unit_amount,
    "`custom_unit_amount` cannot be used with `recurring`.", "custom_unit_amount")
  check_lookup_key(call, fields)
end

-- ---- The two views

--- Builds and stores a price, with its plan if it recurs, of checked `fields` as prices.create takes them; `id` is the
--- plan's own. What is shown when `expand` names it stands in the note that both share.
function flow.make(call, fields, id)
  local price, own = generic.build(common.with(call, fields, call.operation), "price"), option_of(fields)
  local options = { [fields.currency] = own }
  for currency, option in pairs(fields.currency_options or {}) do options[currency] = option_of(option) end
  for name, value in pairs(own) do price[name] = value end
  price.id, price.active, price.billing_scheme = id or "", fields.active ~= false, fields.billing_scheme or "per_unit"
  local recurring = fields.recurring
  price.recurring, price.type = null, recurring and "recurring" or "one_time"
  if recurring then
    price.recurring = {
      interval = recurring.interval, interval_count = recurring.interval_count or 1, meter = recurring.meter or null,
      trial_period_days = recurring.trial_period_days or null, usage_type = recurring.usage_type or "licensed",
    }
  end
  price.tiers, price.currency_options = nil, nil
  take_lookup_key(call, fields)
  call.store:insert(price)
  call:note(price).on_demand = { tiers = own.tiers, currency_options = options }
  if fields.recurring then
    local plan = call:new("plan", plan_fields(price))
    plan.id, plan.created = price.id, price.created
    call:keep(plan)
  end
  call:emit("price.created", price)
  return price
end

-- ---- Prices

flow.operations["prices.create"] = function(call)
  local params = call.params
  if not common.one_of(params, { "product", "product_data" }) and common.says_more(call) then
    common.need(params, "product")
  end
  flow.check(call, params)
  if params.product then call:find("product", params.product, "product") end
  params.product = params.product or products.make(call, params.product_data or { name = "Product" }).id
  params.product_data = nil
  return flow.make(call, params)
end

flow.operations["prices.update"] = function(call)
  local price, params = call:target(), call.params
  local options, note = params.currency_options, call:note(price).on_demand
  check_lookup_key(call, params, price)
  refuse_if(params.tax_behavior and price.tax_behavior ~= "unspecified" and params.tax_behavior ~= price.tax_behavior,
    "The `tax_behavior` of a price can be set once.", "tax_behavior")
  params.currency_options = nil
  if options then
    note.currency_options = host.copy(note.currency_options)
    for currency, option in pairs(given(options) or {}) do
      note.currency_options[currency] = given(option) and option_of(option) or nil
    end
  end
  if params.transfer_lookup_key then take_lookup_key(call, params, price) end
  call:apply(price, call:asked(price))
  local plan = call.store:get("plan", price.id)
  if plan then call:apply(plan, plan_fields(price)) end
  return price
end

-- ---- Plans

flow.operations["plans.create"] = function(call)
  local params = call.params
  local fields, product = price_fields(params), params.product
  fields.tiers = params.tiers
  refuse_if(params.id and call.store:get("plan", params.id),
    "There is already a plan with this id.", "id", "resource_already_exists")
  check_amount(fields, nil, common.says_more(call))
  check_tiers(fields)
  local known = type(product) == "string" and call:find("product", product, "product")
  fields.product = (known or products.make(call, product or { name = "Product" })).id
  return call.store:get("plan", flow.make(call, fields, params.id or call.store:new_id "plan_").id)
end

flow.operations["plans.update"] = function(call)
  local plan, price = call:target(), call.store:get("price", call:target().id)
  if call.params.product then call:find("product", call.params.product, "product") end
  generic.update(call, plan)
  call:apply(price, price_fields(plan))
  return plan
end

flow.operations["plans.delete"] = function(call)
  local price = call.store:get("price", call:target().id)
  local reply = generic.delete(call)
  if price then
    call.store:delete(price)
    call:emit("price.deleted", price)
  end
  return reply
end

return flow
