--- Coupons, and the promotion codes under which customers know them.
--
-- Invariant: a coupon is `valid` until its last redemption or its `redeem_by`, a promotion code `active` until its own
-- last redemption, its `expires_at`, or its coupon's end; no two active codes read alike.
--
-- For flows that discount: coupons.redeem(call, coupon, code) counts one redemption; coupons.usable(call, coupon,
-- param) and coupons.usable_code(call, promotion code, {customer=, amount=, currency=}, param) raise where it may not
-- be redeemed.
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local null = host.null

local flow = { operations = {}, jobs = {}, filters = {} }

-- Eight capital letters and digits, as ids of coupons and codes are.
local function short_id()
  return (host.id(8):upper())
end

-- ---- Coupons

local function check_discount(call, params)
  local amount, percent = params.amount_off, params.percent_off
  if amount and percent then
    common.refuse("You may only specify one of these parameters: amount_off, percent_off.", "percent_off")
  end
  if not amount and not percent and common.says_more(call) then error(errors.parameter_missing "percent_off") end
  common.positive(amount, "amount_off")
  if amount and not params.currency then error(errors.parameter_missing "currency") end
  if percent and (percent <= 0 or percent > 100) then
    common.refuse("Invalid percent_off: must be greater than 0 and at most 100.", "percent_off")
  end
end

local function check_duration(params)
  local months = params.duration_in_months
  if params.duration == "repeating" and not months then error(errors.parameter_missing "duration_in_months") end
  if months and params.duration ~= "repeating" then
    common.refuse("`duration_in_months` needs `duration` to be repeating.", "duration_in_months")
  end
  common.positive(months, "duration_in_months")
  common.positive(params.max_redemptions, "max_redemptions")
end

local function check_future(call, time, param)
  if time and time <= call:now() then common.refuse(("`%s` must lie in the future."):format(param), param) end
end

flow.operations["coupons.create"] = function(call)
  local params = call.params
  check_discount(call, params)
  check_duration(params)
  check_future(call, params.redeem_by, "redeem_by")
  for _, id in ipairs(params.applies_to and params.applies_to.products or {}) do
    call:find("product", id, "applies_to[products]")
  end
  local coupon = generic.build(call)
  if not params.id then coupon.id = short_id() end
  coupon.duration = params.duration or "once"
  coupon.valid = true
  call.store:insert(coupon)
  call.store:private(coupon).on_demand = { applies_to = coupon.applies_to, currency_options = coupon.currency_options }
  coupon.applies_to, coupon.currency_options = nil, nil
  events.emit(call, "coupon.created", coupon)
  if params.redeem_by then clock.schedule(call, params.redeem_by, "coupon.end", { coupon = coupon.id }) end
  return coupon
end

flow.operations["coupons.update"] = function(call)
  local coupon, options = call:target(), call.params.currency_options
  call.params.currency_options = nil
  if options then
    local note = call.store:private(coupon).on_demand
    note.currency_options = host.copy(note.currency_options or {})
    for currency, option in pairs(options) do
      note.currency_options[currency] = option
    end
  end
  return generic.update(call, coupon)
end

local function deactivate_codes(call, coupon)
  for code in call.store:newest "promotion_code" do
    if code.active and code.promotion.coupon == coupon.id then generic.apply(call, code, { active = false }) end
  end
end

local function finish(call, coupon)
  generic.apply(call, coupon, { valid = false })
  deactivate_codes(call, coupon)
end

flow.operations["coupons.delete"] = function(call)
  local coupon = call:target()
  local reply = generic.delete(call)
  deactivate_codes(call, coupon)
  return reply
end

flow.jobs["coupon.end"] = function(call, args)
  local coupon = call.store:get("coupon", args.coupon)
  if coupon and coupon.valid then finish(call, coupon) end
end

--- Raises unless the coupon may be redeemed.
function flow.usable(_, coupon, param)
  if coupon.valid then return end
  common.refuse(("Coupon expired: %s"):format(coupon.id), param or "coupon", "coupon_expired")
end

local function count(call, object, ended)
  local times = object.times_redeemed + 1
  local last = object.max_redemptions ~= null and times >= object.max_redemptions
  call.store:update(object, { times_redeemed = times })
  if last then ended(object) end
end

--- Counts a redemption of a coupon, and of the promotion code that led to it.
function flow.redeem(call, coupon, code)
  count(call, coupon, function() finish(call, coupon) end)
  if code then count(call, code, function() generic.apply(call, code, { active = false }) end) end
end

-- ---- Promotion codes

local function active_code(call, text)
  for _, form in ipairs { text, text:upper(), text:lower() } do
    for code in call.store:newest("promotion_code", { code = form }) do
      if code.active then return code end
    end
  end
end

local function check_code(call, text)
  if not text then return end
  if not text:find "^[%w-]+$" then
    common.refuse("A promotion code consists of letters, digits and dashes.", "code")
  end
  if active_code(call, text) then
    common.refuse(("An active promotion code with `code: %s` already exists."):format(text), "code")
  end
end

local function restrictions_of(given)
  given = given or {}
  if given.minimum_amount and not given.minimum_amount_currency then
    error(errors.parameter_missing "restrictions[minimum_amount_currency]")
  end
  return {
    currency_options = given.currency_options, first_time_transaction = given.first_time_transaction or false,
    minimum_amount = given.minimum_amount or null, minimum_amount_currency = given.minimum_amount_currency or null,
  }
end

flow.operations["promotion_codes.create"] = function(call)
  local params = call.params
  local promotion = params.promotion or { type = "coupon", coupon = params.coupon }
  local param = params.promotion and "promotion[coupon]" or "coupon"
  if not promotion.coupon then error(errors.parameter_missing(param)) end
  local coupon = call:find("coupon", promotion.coupon, param)
  flow.usable(call, coupon, param)
  if params.customer then call:find("customer", params.customer, "customer") end
  check_code(call, params.code)
  check_future(call, params.expires_at, "expires_at")
  common.positive(params.max_redemptions, "max_redemptions")
  local restrictions = restrictions_of(params.restrictions)
  local code = generic.build(call)
  code.active = params.active ~= false
  code.code = params.code or short_id()
  code.promotion = { coupon = coupon.id, type = "coupon" }
  code.restrictions = restrictions
  call.store:insert(code)
  events.emit(call, "promotion_code.created", code)
  if params.expires_at then clock.schedule(call, params.expires_at, "promotion_code.end", { code = code.id }) end
  return code
end

flow.operations["promotion_codes.update"] = function(call)
  local code = call:target()
  if call.params.active and not code.active then
    check_code(call, code.code)
    local coupon = call.store:get("coupon", code.promotion.coupon)
    if not coupon or not coupon.valid or code.expires_at ~= null and code.expires_at <= call:now() then
      common.refuse("This promotion code cannot be activated: it, or its coupon, has expired.", "active")
    end
  end
  return generic.update(call)
end

flow.jobs["promotion_code.end"] = function(call, args)
  local code = call.store:get("promotion_code", args.code)
  if code.active then generic.apply(call, code, { active = false }) end
end

flow.filters["promotion_codes.list"] = {
  coupon = function(_, coupon)
    return function(code) return code.promotion.coupon == coupon end
  end,
}

--- Raises unless the code may be redeemed by the customer for the amount.
function flow.usable_code(call, code, purchase, param)
  local limits = code.restrictions
  if not code.active then common.refuse(("This promotion code is not active: %s"):format(code.code), param) end
  if code.customer ~= null and code.customer ~= purchase.customer then
    common.refuse("This promotion code belongs to another customer.", param)
  end
  local least = purchase.currency == limits.minimum_amount_currency and limits.minimum_amount
  if least and purchase.amount and purchase.amount < least then
    common.refuse(("This promotion code needs a purchase of at least %d."):format(least), param)
  end
  if limits.first_time_transaction and call.store:newest("charge", { customer = purchase.customer, paid = true })() then
    common.refuse("This promotion code is for first purchases only.", param)
  end
end

return flow
