--- Prices and plans: a recurring price and its plan are two views of one thing, under one id.
--
-- Invariant: what both views show agrees after every step. A price is made first and its plan is drawn from it
-- (MIRRORED); a change of either is carried to the other. An amount is kept twice: as an integer, null if it has a
-- fraction, and as its decimal text. A lookup key names one active price at most; only `transfer_lookup_key` takes it
-- from another.
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local products = require "sandbox.flows.products"
local shape = require "sandbox.shape"

local null = host.null

local flow = { operations = {} }

-- Fields of the price, and of its `recurring`, with their names in the plan.
local MIRRORED = {
  active = "active", billing_scheme = "billing_scheme", currency = "currency", metadata = "metadata",
  nickname = "nickname", product = "product", tiers_mode = "tiers_mode", transform_quantity = "transform_usage",
  unit_amount = "amount", unit_amount_decimal = "amount_decimal",
}
local RECURRING = { "interval", "interval_count", "meter", "trial_period_days", "usage_type" }

-- ---- Amounts

-- Fills `name` and `name`_decimal of an entry from each other.
local function both_forms(entry, name)
  local decimal = name .. "_decimal"
  local amount, text = entry[name], entry[decimal]
  if amount ~= nil and amount ~= null then
    entry[decimal] = tostring(amount)
  elseif text ~= nil and text ~= null then
    entry[name] = math.tointeger(tonumber(text)) or null
    entry[decimal] = text:find(".", 1, true) and text:gsub("%.?0+$", "") or text
  else
    entry[name], entry[decimal] = null, null
  end
  return entry
end

local function custom_amount(custom)
  if not custom then return null end
  return { maximum = custom.maximum or null, minimum = custom.minimum or null, preset = custom.preset or null }
end

-- What is shown when `expand` names it stands in the object's note.
local function keep_on_demand(call, object, fields)
  local note = call.store:private(object)
  note.on_demand = note.on_demand or {}
  for name, value in pairs(fields) do
    note.on_demand[name] = value
  end
end

--- What a price has on demand: {tiers=, currency_options=}.
function flow.on_demand(call, price)
  return call.store:private(price).on_demand or {}
end

local function tiers_of(tiers)
  if not tiers then return nil end
  local shown = host.array {}
  for i, tier in ipairs(tiers) do
    local entry = host.copy(tier)
    if entry.up_to == "inf" then entry.up_to = null end
    shown[i] = both_forms(both_forms(entry, "unit_amount"), "flat_amount")
  end
  return shown
end

local function option_of(fields)
  return both_forms({
    custom_unit_amount = custom_amount(fields.custom_unit_amount),
    tax_behavior = fields.tax_behavior or "unspecified", tiers = tiers_of(fields.tiers),
    unit_amount = fields.unit_amount, unit_amount_decimal = fields.unit_amount_decimal,
  }, "unit_amount")
end

-- ---- Checks

local WAYS = { "unit_amount", "unit_amount_decimal", "custom_unit_amount", "tiers" }

-- Raises unless the amount is given in one way; `within` is the param that holds these fields, if one does.
local function check_amount(fields, within, asked)
  local function name(param)
    return within and ("%s[%s]"):format(within, param) or param
  end
  local given = {}
  for _, way in ipairs(WAYS) do
    if fields[way] then given[#given + 1] = name(way) end
  end
  if #given > 1 then
    common.refuse(("You may only specify one of these parameters: %s."):format(table.concat(given, ", ")), given[2])
  end
  if #given == 0 and asked then
    common.refuse("An amount is missing: give unit_amount, unit_amount_decimal, custom_unit_amount or tiers.",
      name "unit_amount")
  end
  if (fields.unit_amount or 0) < 0 or (tonumber(fields.unit_amount_decimal) or 0) < 0 then
    local text = fields.unit_amount or fields.unit_amount_decimal
    common.refuse(("Invalid non-negative integer: %s"):format(text),
      name(fields.unit_amount and "unit_amount" or "unit_amount_decimal"), "parameter_invalid_integer")
  end
end

local function check_tiers(fields)
  local tiered = fields.billing_scheme == "tiered"
  if tiered and not fields.tiers then error(errors.parameter_missing "tiers") end
  if tiered and not fields.tiers_mode then error(errors.parameter_missing "tiers_mode") end
  if fields.tiers and not tiered then
    common.refuse("`tiers` need `billing_scheme` to be tiered.", "billing_scheme")
  end
  local last = fields.tiers and fields.tiers[#fields.tiers]
  if last and last.up_to ~= "inf" then common.refuse("The last tier must have `up_to` set to inf.", "tiers") end
end

local function holder_of(call, key)
  for price in call.store:newest("price", { lookup_key = key }) do
    if price.active then return price end
  end
end

local function check_lookup_key(call, params, price)
  local holder = params.lookup_key and holder_of(call, params.lookup_key)
  if not holder or holder == price or params.transfer_lookup_key then return end
  common.refuse(("A price (%s) uses that lookup key; set `transfer_lookup_key` to take it."):format(holder.id),
    "lookup_key")
end

--- Raises unless a price can be made of `fields`, which stand in the param `within` if they are not the request's own.
function flow.check(call, fields, within)
  check_amount(fields, within, within or common.says_more(call))
  check_tiers(fields)
  if fields.recurring and fields.custom_unit_amount then
    common.refuse("`custom_unit_amount` cannot be used with `recurring`.", "custom_unit_amount")
  end
  check_lookup_key(call, fields)
end

-- ---- The two views

local function plan_fields(price)
  local fields = {}
  for from, to in pairs(MIRRORED) do
    fields[to] = price[from]
  end
  for _, name in ipairs(RECURRING) do
    fields[name] = price.recurring[name]
  end
  return fields
end

local function add_plan(call, price)
  local plan = shape.new "plan"
  for name, value in pairs(plan_fields(price)) do
    plan[name] = value
  end
  plan.id, plan.created = price.id, price.created
  call.store:insert(plan)
  keep_on_demand(call, plan, { tiers = flow.on_demand(call, price).tiers })
  events.emit(call, "plan.created", plan)
end

local function changed(call, price)
  local plan = call.store:get("plan", price.id)
  if plan then generic.apply(call, plan, plan_fields(price)) end
  return price
end

local function take_lookup_key(call, fields, price)
  local holder = fields.lookup_key and holder_of(call, fields.lookup_key)
  if holder and holder ~= price then generic.apply(call, holder, { lookup_key = null }) end
end

local function recurring_of(recurring)
  if not recurring then return null end
  return {
    interval = recurring.interval, interval_count = recurring.interval_count or 1, meter = recurring.meter or null,
    trial_period_days = recurring.trial_period_days or null, usage_type = recurring.usage_type or "licensed",
  }
end

--- Builds and stores a price, with its plan if it recurs, of checked `fields` as prices.create takes them; `id` is the
--- plan's own.
function flow.make(call, fields, id)
  local price = generic.build(common.with(call, fields), "price")
  local own = option_of(fields)
  price.id = id or ""
  if fields.active == nil then price.active = true end
  price.billing_scheme = fields.billing_scheme or "per_unit"
  price.recurring = recurring_of(fields.recurring)
  price.type = fields.recurring and "recurring" or "one_time"
  local options = { [fields.currency] = own }
  for currency, option in pairs(fields.currency_options or {}) do
    options[currency] = option_of(option)
  end
  for name, value in pairs(own) do
    price[name] = value
  end
  price.tiers, price.currency_options = nil, nil
  take_lookup_key(call, fields, price)
  call.store:insert(price)
  keep_on_demand(call, price, { tiers = own.tiers, currency_options = options })
  if fields.recurring then add_plan(call, price) end
  events.emit(call, "price.created", price)
  return price
end

-- ---- Prices

flow.operations["prices.create"] = function(call)
  local params = call.params
  if params.product and params.product_data then
    common.refuse("You may only specify one of these parameters: product, product_data.", "product_data")
  end
  if common.says_more(call) and not params.product and not params.product_data then
    error(errors.parameter_missing "product")
  end
  flow.check(call, params)
  if params.product then call:find("product", params.product, "product") end
  if not params.product then params.product = products.make(call, params.product_data or { name = "Product" }).id end
  params.product_data = nil
  return flow.make(call, params)
end

flow.operations["prices.update"] = function(call)
  local price, params = call:target(), call.params
  check_lookup_key(call, params, price)
  if params.tax_behavior and price.tax_behavior ~= "unspecified" and params.tax_behavior ~= price.tax_behavior then
    common.refuse("The `tax_behavior` of a price can be set once.", "tax_behavior")
  end
  local options = params.currency_options
  params.currency_options = nil
  local changes = generic.merge(price, params)
  if options then
    local merged = host.copy(flow.on_demand(call, price).currency_options)
    for currency, option in pairs(options == null and {} or options) do
      merged[currency] = option ~= null and option_of(option) or nil
    end
    keep_on_demand(call, price, { currency_options = merged })
  end
  if params.transfer_lookup_key then take_lookup_key(call, params, price) end
  generic.apply(call, price, changes)
  return changed(call, price)
end

-- ---- Plans

local function price_fields(params)
  local fields = { recurring = {}, tiers = params.tiers }
  for to, from in pairs(MIRRORED) do
    fields[to] = params[from]
  end
  for _, name in ipairs(RECURRING) do
    fields.recurring[name] = params[name]
  end
  return fields
end

flow.operations["plans.create"] = function(call)
  local params = call.params
  local fields = price_fields(params)
  if params.id and call.store:get("plan", params.id) then
    common.refuse("There is already a plan with this id.", "id", "resource_already_exists")
  end
  check_amount(fields, nil, common.says_more(call))
  check_tiers(fields)
  local product = params.product
  if type(product) == "string" then call:find("product", product, "product") end
  if type(product) ~= "string" then
    fields.product = products.make(call, product or { name = "Product" }).id
  end
  local price = flow.make(call, fields, params.id or call.store:new_id "plan_")
  return call.store:get("plan", price.id)
end

flow.operations["plans.update"] = function(call)
  local plan, params = call:target(), call.params
  if params.product then call:find("product", params.product, "product") end
  local changes = generic.merge(plan, params)
  generic.apply(call, plan, changes)
  local price = call.store:get("price", plan.id)
  local mirror = {}
  for to, from in pairs(MIRRORED) do
    mirror[to] = plan[from]
  end
  mirror.recurring = host.copy(price.recurring)
  mirror.recurring.trial_period_days = plan.trial_period_days
  generic.apply(call, price, mirror)
  return plan
end

flow.operations["plans.delete"] = function(call)
  local price = call.store:get("price", call:target().id)
  local reply = generic.delete(call)
  if price then
    call.store:delete(price)
    events.emit(call, "price.deleted", price)
  end
  return reply
end

return flow
