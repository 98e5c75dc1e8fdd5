--- Coupons, and the promotion codes under which customers know them.
--
-- Invariant: a coupon is `valid` until its last redemption or its `redeem_by`, a promotion code `active` until its own
-- `expires_at`, or its coupon's end; no two active codes read alike.
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local null, given, refuse, refuse_if = host.null, common.given, common.refuse, common.refuse_if

local flow = { operations = {}, jobs = {}, filters = {} }

-- Eight capital letters and digits, as ids of coupons and codes are.
local function short_id() return (host.id(8):upper()) end

-- ---- Coupons

local function check(call, params)
  local amount, percent = params.amount_off, params.percent_off
  common.one_of(params, { "amount_off", "percent_off" })
  if not amount and common.says_more(call) then common.need(params, "percent_off") end
  common.positive(amount, "amount_off")
  if amount then common.need(params, "currency") end
  refuse_if(percent and (percent <= 0 or percent > 100),
    "Invalid percent_off: must be greater than 0 and at most 100.", "percent_off")
  local months, repeating = params.duration_in_months, params.duration == "repeating"
  if repeating then common.need(params, "duration_in_months") end
  refuse_if(months and not repeating, "`duration_in_months` needs `duration` to be repeating.", "duration_in_months")
  common.positive(months, "duration_in_months")
  common.positive(params.max_redemptions, "max_redemptions")
  common.check_future(call, params.redeem_by, "redeem_by")
end

flow.operations["coupons.create"] = function(call)
  local params = call.params
  check(call, params)
  for _, id in ipairs(params.applies_to and params.applies_to.products or {}) do
    call:find("product", id, "applies_to[products]")
  end
  local coupon = generic.build(call)
  local on_demand = { applies_to = coupon.applies_to, currency_options = coupon.currency_options }
  coupon.id = params.id or short_id()
  coupon.applies_to, coupon.currency_options = nil, nil
  call:note(coupon).on_demand = on_demand
  call:keep(coupon)
  if params.redeem_by then clock.schedule(call, params.redeem_by, "coupon.end", { coupon = coupon.id }) end
  return coupon
end

flow.operations["coupons.update"] = function(call)
  local coupon, options = call:target(), call.params.currency_options
  call.params.currency_options = nil
  if options then
    local note = call:note(coupon).on_demand
    note.currency_options = common.changed(note.currency_options or {}, options)
  end
  return generic.update(call, coupon)
end

local function deactivate_codes(call, coupon)
  for code in call.store:newest "promotion_code" do
    if code.active and code.promotion.coupon == coupon.id then call:apply(code, { active = false }) end
  end
end

local function finish(call, coupon, times)
  call:apply(coupon, { valid = false, times_redeemed = times })
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

function flow.usable(_, coupon, param)
  if not coupon.valid then refuse(("Coupon expired: %s"):format(coupon.id), param, "coupon_expired") end
end

function flow.redeem(call, coupon)
  local times = coupon.times_redeemed + 1
  if times >= (given(coupon.max_redemptions) or math.huge) then return finish(call, coupon, times) end
  call.store:update(coupon, { times_redeemed = times })
end

-- ---- Promotion codes

local function check_code(call, text)
  if not text then return end
  if not text:find "^[%w-]+$" then refuse("A promotion code consists of letters, digits and dashes.", "code") end
  for _, form in ipairs { text, text:upper(), text:lower() } do
    for code in call.store:newest("promotion_code", { code = form }) do
      refuse_if(code.active, "An active promotion code with `code: %s` already exists.", "code", nil, text)
    end
  end
end

flow.operations["promotion_codes.create"] = function(call)
  local params = call.params
  local promotion, limits = params.promotion or { coupon = params.coupon }, params.restrictions or {}
  local param = params.promotion and "promotion[coupon]" or "coupon"
  if not promotion.coupon then error(errors.parameter_missing(param)) end
  flow.usable(call, call:find("coupon", promotion.coupon, param), param)
  if params.customer then call:find("customer", params.customer, "customer") end
  check_code(call, params.code)
  common.check_future(call, params.expires_at, "expires_at")
  common.positive(params.max_redemptions, "max_redemptions")
  if limits.minimum_amount and not limits.minimum_amount_currency then
    error(errors.parameter_missing "restrictions[minimum_amount_currency]")
  end
  local code = generic.build(call)
  code.active, code.code = params.active ~= false, params.code or short_id()
  code.promotion = { coupon = promotion.coupon, type = "coupon" }
  code.restrictions = {
    currency_options = limits.currency_options, first_time_transaction = limits.first_time_transaction or false,
    minimum_amount = limits.minimum_amount or null, minimum_amount_currency = limits.minimum_amount_currency or null,
  }
  call:keep(code)
  if params.expires_at then clock.schedule(call, params.expires_at, "promotion_code.end", { code = code.id }) end
  return code
end

flow.operations["promotion_codes.update"] = function(call)
  local code = call:target()
  if call.params.active and not code.active then
    check_code(call, code.code)
    local coupon = call.store:get("coupon", code.promotion.coupon)
    refuse_if(not coupon or not coupon.valid or (given(code.expires_at) or math.huge) <= call:now(),
      "This promotion code cannot be activated: it, or its coupon, has expired.", "active")
  end
  return generic.update(call)
end

flow.jobs["promotion_code.end"] = function(call, args)
  local code = call.store:get("promotion_code", args.code)
  if code.active then call:apply(code, { active = false }) end
end

flow.filters["promotion_codes.list"] = {
  coupon = function(_, coupon)
    return function(code) return code.promotion.coupon == coupon end
  end,
}

return flow
