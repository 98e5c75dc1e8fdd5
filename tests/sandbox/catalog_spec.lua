-- Products, prices, plans, coupons, promotion codes, tax rates and shipping rates.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"
local money = require "money"

local pinstripe = support.pinstripe
local check, null = pinstripe.check, pinstripe.null

local box, stripe

-- The error of a call that must fail.
local function refused(object, err)
  assert.is_nil(object)
  return err
end

local function last_event(type)
  return check(stripe.events:list { type = type, limit = 1 }).data[1]
end

before_each(function()
  box = support.box { seed = 1, now = money.NOW }
  stripe = box:client()
end)

describe("a product", function()
  it("may bring its default price", function()
    local product = check(stripe.products:create {
      name = "Gold",
      default_price_data = { currency = "usd", unit_amount = 900, recurring = { interval = "month" } },
      expand = { "default_price" },
    })
    assert.are.same({ true, "service", money.NOW }, { product.active, product.type, product.updated })
    assert.are.same({ 900, product.id, "recurring" },
      { product.default_price.unit_amount, product.default_price.product, product.default_price.type })
    assert.are.same({ "product.created", "plan.created", "price.created" }, support.events(stripe))
  end)

  it("with a default price that is wrong is not made", function()
    local err = refused(stripe.products:create { name = "Gold", default_price_data = { currency = "usd" } })
    assert.are.equal("default_price_data[unit_amount]", err.param)
    assert.are.equal(0, #check(stripe.products:list()).data)
  end)

  it("has an id of its maker's once", function()
    assert.are.equal("gold", check(stripe.products:create { id = "gold", name = "Gold" }).id)
    assert.are.equal("resource_already_exists", refused(stripe.products:create { id = "gold", name = "Gold" }).code)
  end)

  it("tells when it was changed, and what", function()
    local product = check(stripe.products:create { name = "Gold", metadata = { a = "1" } })
    money.advance(box, 10)
    product = check(stripe.products:update(product.id, { description = "Bars", metadata = { a = "" } }))
    assert.are.equal(money.NOW + 10, product.updated)
    local previous = last_event("product.updated").data.previous_attributes
    assert.are.same({ description = null, metadata = { a = "1" }, updated = money.NOW }, previous)
    check(stripe.products:update(product.id, { description = "Bars" }))
  end)

  it("takes a default price of its own that is active", function()
    local product = check(stripe.products:create { name = "Gold" })
    local other = check(stripe.prices:create { currency = "usd", unit_amount = 1, product_data = { name = "Other" } })
    local own = check(stripe.prices:create { currency = "usd", unit_amount = 1, product = product.id })
    assert.are.equal("default_price", refused(stripe.products:update(product.id, { default_price = other.id })).param)
    assert.are.equal(own.id, check(stripe.products:update(product.id, { default_price = own.id })).default_price)
  end)

  it("is deleted only without prices", function()
    local product = check(stripe.products:create { name = "Gold" })
    local price = check(stripe.prices:create { currency = "usd", unit_amount = 1, product = product.id })
    assert.are.equal(400, refused(stripe.products:delete(product.id)).status)
    assert.is_nil(check(stripe.products:retrieve(product.id)).deleted)
    local plan = check(stripe.plans:create { currency = "usd", amount = 1, interval = "day", product = { name = "P" } })
    check(stripe.plans:delete(plan.id))
    assert.is_true(check(stripe.products:delete(plan.product)).deleted)
    assert.are.equal(product.id, check(stripe.prices:retrieve(price.id)).product)
  end)

  it("is found by a search", function()
    check(stripe.products:create { name = "Silver bars", metadata = { tier = "2" } })
    local gold = check(stripe.products:create { name = "Gold bars", metadata = { tier = "1" } })
    local found = check(stripe.products:search { query = "name~'bars' AND metadata['tier']:'1'" }).data
    assert.are.same({ gold.id }, { found[1].id, found[2] and found[2].id })
  end)
end)

describe("a price", function()
  local product
  before_each(function() product = check(stripe.products:create { name = "Gold" }).id end)

  local function make(fields)
    fields.product, fields.currency = fields.product or product, fields.currency or "usd"
    return stripe.prices:create(fields)
  end

  it("keeps its amount in both forms", function()
    local whole = check(make { unit_amount = 1200 })
    assert.are.same({ 1200, "1200" }, { whole.unit_amount, whole.unit_amount_decimal })
    local part = check(make { unit_amount_decimal = "0.5" })
    assert.are.same({ null, "0.5" }, { part.unit_amount, part.unit_amount_decimal })
    assert.are.equal(7, check(make { unit_amount_decimal = "7" }).unit_amount)
    local even = check(make { unit_amount_decimal = "70.00" })
    assert.are.same({ 70, "70" }, { even.unit_amount, even.unit_amount_decimal })
    assert.are.equal(0, check(make { unit_amount = 0 }).unit_amount)
  end)

  it("has one amount", function()
    assert.are.equal("unit_amount_decimal", refused(make { unit_amount = 1, unit_amount_decimal = "1" }).param)
    assert.are.equal("unit_amount", refused(make { nickname = "none" }).param)
    assert.are.equal("parameter_invalid_integer", refused(make { unit_amount = -1 }).code)
  end)

  it("needs a product, and one alone", function()
    assert.are.equal("product", refused(stripe.prices:create { currency = "usd", unit_amount = 1 }).param)
    assert.are.equal("product_data", refused(make { unit_amount = 1, product_data = { name = "x" } }).param)
    local err = refused(make { unit_amount = 1, product = "prod_none" })
    assert.are.same({ "resource_missing", "product" }, { err.code, err.param })
  end)

  it("that recurs is a plan too, and both agree", function()
    local price = check(make { unit_amount = 900, recurring = { interval = "month" }, nickname = "Monthly" })
    assert.are.same({ "month", 1, "licensed", null }, { price.recurring.interval, price.recurring.interval_count,
      price.recurring.usage_type, price.recurring.trial_period_days })
    local plan = check(stripe.plans:retrieve(price.id))
    assert.are.same({ 900, "900", "month", 1, "Monthly", product },
      { plan.amount, plan.amount_decimal, plan.interval, plan.interval_count, plan.nickname, plan.product })
    check(stripe.prices:update(price.id, { active = false, metadata = { a = "1" } }))
    plan = check(stripe.plans:retrieve(price.id))
    assert.are.same({ false, "1" }, { plan.active, plan.metadata.a })
    assert.is_true(last_event("plan.updated").data.previous_attributes.active)
    check(stripe.plans:update(price.id, { nickname = "By month", trial_period_days = 7 }))
    price = check(stripe.prices:retrieve(price.id))
    assert.are.same({ "By month", 7 }, { price.nickname, price.recurring.trial_period_days })
    assert.are.equal("Monthly", last_event("price.updated").data.previous_attributes.nickname)
  end)

  it("that does not recur is no plan", function()
    local price = check(make { unit_amount = 900 })
    assert.are.same({ "one_time", null }, { price.type, price.recurring })
    assert.are.equal(404, refused(stripe.plans:retrieve(price.id)).status)
  end)

  it("shows tiers and currencies when they are named", function()
    local tiers = {
      { up_to = 10, unit_amount = 100 }, { up_to = "inf", unit_amount = 80, flat_amount_decimal = "2.5" },
    }
    local price = check(make {
      billing_scheme = "tiered", tiers_mode = "graduated", tiers = tiers, recurring = { interval = "year" },
      currency_options = { eur = { unit_amount = 90 } },
    })
    assert.are.same({}, { price.tiers, price.currency_options })
    price = check(stripe.prices:retrieve(price.id, { expand = { "tiers", "currency_options" } }))
    assert.are.same({ 10, 100, "100", null }, { price.tiers[1].up_to, price.tiers[1].unit_amount,
      price.tiers[1].unit_amount_decimal, price.tiers[1].flat_amount })
    assert.are.same({ null, null, "2.5" },
      { price.tiers[2].up_to, price.tiers[2].flat_amount, price.tiers[2].flat_amount_decimal })
    assert.are.equal(90, price.currency_options.eur.unit_amount)
    assert.are.equal("unspecified", price.currency_options.usd.tax_behavior)
    assert.are.equal(2, #check(stripe.plans:retrieve(price.id, { expand = { "tiers" } })).tiers)
    check(stripe.prices:update(price.id, { currency_options = { gbp = { unit_amount = 70 } } }))
    local options = check(stripe.prices:retrieve(price.id, { expand = { "currency_options" } })).currency_options
    assert.are.same({ 90, 70 }, { options.eur.unit_amount, options.gbp.unit_amount })
  end)

  it("with tiers says how they count", function()
    assert.are.equal("tiers", refused(make { billing_scheme = "tiered", unit_amount = 1 }).param)
    local tiers = { { up_to = "inf", unit_amount = 1 } }
    assert.are.equal("tiers_mode", refused(make { billing_scheme = "tiered", tiers = tiers }).param)
    assert.are.equal("billing_scheme", refused(make { tiers = tiers }).param)
    local open = { { up_to = 5, unit_amount = 1 } }
    assert.are.equal("tiers", refused(make { billing_scheme = "tiered", tiers_mode = "volume", tiers = open }).param)
  end)

  it("gives up its lookup key only to one that takes it", function()
    local first = check(make { unit_amount = 1, lookup_key = "standard" })
    assert.are.equal("lookup_key", refused(make { unit_amount = 2, lookup_key = "standard" }).param)
    local second = check(make { unit_amount = 2, lookup_key = "standard", transfer_lookup_key = true })
    assert.are.equal(null, check(stripe.prices:retrieve(first.id)).lookup_key)
    local found = check(stripe.prices:list { lookup_keys = { "standard" } }).data
    assert.are.same({ second.id }, { found[1].id, found[2] and found[2].id })
  end)

  it("sets its tax behavior once", function()
    local price = check(make { unit_amount = 1 })
    assert.are.equal("unspecified", price.tax_behavior)
    check(stripe.prices:update(price.id, { tax_behavior = "inclusive" }))
    assert.are.equal("tax_behavior", refused(stripe.prices:update(price.id, { tax_behavior = "exclusive" })).param)
  end)

  it("is listed by product, kind and rhythm", function()
    check(make { unit_amount = 1 })
    check(make { unit_amount = 2, recurring = { interval = "month" } })
    check(make { unit_amount = 3, recurring = { interval = "year" }, currency = "eur" })
    local function count(filter) return #check(stripe.prices:list(filter)).data end
    assert.are.equal(3, count { product = product })
    assert.are.equal(2, count { type = "recurring" })
    assert.are.equal(1, count { recurring = { interval = "month" } })
    assert.are.equal(1, count { currency = "eur", active = true })
    assert.are.equal(0, count { active = false })
  end)
end)

describe("a plan", function()
  it("brings its product and is a price too", function()
    local plan = check(stripe.plans:create {
      id = "gold", currency = "usd", interval = "month", amount = 2000, product = { name = "Gold" },
    })
    assert.are.equal("Gold", check(stripe.products:retrieve(plan.product)).name)
    local price = check(stripe.prices:retrieve "gold")
    assert.are.same({ 2000, "recurring", "month" }, { price.unit_amount, price.type, price.recurring.interval })
    assert.are.equal("resource_already_exists", refused(stripe.plans:create {
      id = "gold", currency = "usd", interval = "day", amount = 1, product = plan.product,
    }).code)
  end)

  it("is deleted with its price", function()
    local gold = { currency = "usd", interval = "month", amount = 1, product = { name = "Gold" } }
    local plan = check(stripe.plans:create(gold))
    assert.is_true(check(stripe.plans:delete(plan.id)).deleted)
    assert.are.equal(404, refused(stripe.prices:retrieve(plan.id)).status)
    assert.are.equal(plan.id, last_event("plan.deleted").data.object.id)
  end)
end)

describe("a coupon", function()
  it("has an id, a discount and a duration", function()
    local coupon = check(stripe.coupons:create { percent_off = 12.5 })
    assert.is_truthy(coupon.id:find "^%w%w%w%w%w%w%w%w$")
    assert.are.same({ 12.5, "once", true, 0 },
      { coupon.percent_off, coupon.duration, coupon.valid, coupon.times_redeemed })
    assert.are.equal("summer", check(stripe.coupons:create { id = "summer", amount_off = 5, currency = "usd" }).id)
    assert.are.equal("resource_already_exists", refused(stripe.coupons:create { id = "summer", percent_off = 1 }).code)
  end)

  it("is refused where its terms are wrong", function()
    for param, fields in pairs {
      percent_off = { percent_off = 101 },
      currency = { amount_off = 5 },
      amount_off = { amount_off = 0, currency = "usd" },
      duration_in_months = { percent_off = 1, duration = "repeating" },
      redeem_by = { percent_off = 1, redeem_by = money.NOW },
      max_redemptions = { percent_off = 1, max_redemptions = 0 },
    } do
      assert.are.equal(param, refused(stripe.coupons:create(fields)).param)
    end
    assert.are.equal("percent_off",
      refused(stripe.coupons:create { percent_off = 1, amount_off = 1, currency = "usd" }).param)
    assert.are.equal("percent_off", refused(stripe.coupons:create { name = "Nothing" }).param)
    assert.are.equal(0, #check(stripe.coupons:list()).data)
  end)

  it("ends by the clock, and its promotion codes with it", function()
    local coupon = check(stripe.coupons:create { percent_off = 5, redeem_by = money.NOW + 100 })
    local code = check(stripe.promotion_codes:create { promotion = { type = "coupon", coupon = coupon.id } })
    money.advance(box, 100)
    assert.is_false(check(stripe.coupons:retrieve(coupon.id)).valid)
    assert.is_false(check(stripe.promotion_codes:retrieve(code.id)).active)
    local _, err = stripe.customers:create({ coupon = coupon.id }, { stripe_version = "2024-06-20" })
    assert.are.equal("coupon_expired", err.code)
  end)

  it("ends with its last redemption", function()
    local coupon = check(stripe.coupons:create { percent_off = 5, max_redemptions = 1 })
    check(stripe.customers:create({ coupon = coupon.id }, { stripe_version = "2024-06-20" }))
    coupon = check(stripe.coupons:retrieve(coupon.id))
    assert.are.same({ 1, false }, { coupon.times_redeemed, coupon.valid })
    assert.are.same({ times_redeemed = 0, valid = true }, last_event("coupon.updated").data.previous_attributes)
  end)

  it("shows what it applies to when that is named", function()
    local product = check(stripe.products:create { name = "Gold" })
    local coupon = check(stripe.coupons:create { percent_off = 5, applies_to = { products = { product.id } } })
    assert.is_nil(coupon.applies_to)
    coupon = check(stripe.coupons:retrieve(coupon.id, { expand = { "applies_to" } }))
    assert.are.same({ product.id }, { coupon.applies_to.products[1] })
  end)

  it("is gone when it is deleted", function()
    local coupon = check(stripe.coupons:create { percent_off = 5 })
    assert.is_true(check(stripe.coupons:delete(coupon.id)).deleted)
    local err = refused(stripe.coupons:retrieve(coupon.id))
    assert.are.same({ 404, "coupon" }, { err.status, err.param })
  end)
end)

describe("a promotion code", function()
  local coupon
  before_each(function() coupon = check(stripe.coupons:create { percent_off = 5 }).id end)

  local function make(fields, options)
    fields.promotion = { type = "coupon", coupon = coupon }
    return stripe.promotion_codes:create(fields, options)
  end

  it("invents its code", function()
    local code = check(make {})
    assert.is_truthy(code.code:find "^[A-Z0-9]+$")
    assert.are.same({ true, coupon, false, null }, { code.active, code.promotion.coupon,
      code.restrictions.first_time_transaction, code.restrictions.minimum_amount })
    assert.are.equal(coupon, check(stripe.promotion_codes:retrieve(code.id, { expand = { "promotion.coupon" } }))
      .promotion.coupon.id)
  end)

  it("is made of `coupon` by older versions", function()
    local older = { stripe_version = "2024-06-20" }
    local code = check(stripe:request("POST", "/v1/promotion_codes", { coupon = coupon }, older))
    assert.are.equal(coupon, code.promotion.coupon)
    local _, err = stripe:request("POST", "/v1/promotion_codes", { coupon = coupon })
    assert.are.equal("parameter_unknown", err.code)
  end)

  it("is unique while it is active", function()
    local first = check(make { code = "FALL20" })
    assert.are.equal("code", refused(make { code = "FALL20" }).param)
    check(stripe.promotion_codes:update(first.id, { active = false }))
    local second = check(make { code = "FALL20" })
    assert.are.equal(400, refused(stripe.promotion_codes:update(first.id, { active = true })).status)
    local found = check(stripe.promotion_codes:list { code = "FALL20", active = true }).data
    assert.are.same({ second.id }, { found[1].id, found[2] and found[2].id })
    assert.are.equal(2, #check(stripe.promotion_codes:list { coupon = coupon }).data)
  end)

  it("expires by the clock", function()
    local code = check(make { expires_at = money.NOW + 60 })
    money.advance(box, 60)
    assert.is_false(check(stripe.promotion_codes:retrieve(code.id)).active)
    assert.is_true(last_event("promotion_code.updated").data.previous_attributes.active)
    assert.are.equal("active", refused(stripe.promotion_codes:update(code.id, { active = true })).param)
  end)

  it("needs a coupon that is valid, and a currency with a least amount", function()
    assert.are.equal("promotion[coupon]",
      refused(stripe.promotion_codes:create { promotion = { type = "coupon", coupon = "none" } }).param)
    assert.are.equal("restrictions[minimum_amount_currency]",
      refused(make { restrictions = { minimum_amount = 5 } }).param)
  end)
end)

describe("rates", function()
  it("of taxes show their percentage", function()
    local rate = check(stripe.tax_rates:create { display_name = "VAT", percentage = 19.5, inclusive = false })
    assert.are.same({ true, 19.5, 19.5, "percentage", null },
      { rate.active, rate.percentage, rate.effective_percentage, rate.rate_type, rate.flat_amount })
    check(stripe.tax_rates:update(rate.id, { active = false }))
    assert.are.same({ active = true }, last_event("tax_rate.updated").data.previous_attributes)
    assert.are.equal(0, #check(stripe.tax_rates:list { active = true }).data)
    assert.are.equal("percentage",
      refused(stripe.tax_rates:create { display_name = "VAT", percentage = 101, inclusive = false }).param)
  end)

  it("of shipping need their amount", function()
    local rate = check(stripe.shipping_rates:create {
      display_name = "Ground", type = "fixed_amount", fixed_amount = { amount = 500, currency = "usd" },
    })
    assert.are.same({ true, 500, "unspecified" }, { rate.active, rate.fixed_amount.amount, rate.tax_behavior })
    rate = check(stripe.shipping_rates:update(rate.id, {
      fixed_amount = { currency_options = { eur = { amount = 450 } } },
    }))
    assert.are.same({ 500, 450 }, { rate.fixed_amount.amount, rate.fixed_amount.currency_options.eur.amount })
    rate = check(stripe.shipping_rates:update(rate.id, {
      fixed_amount = { currency_options = { gbp = { amount = 400 }, eur = { tax_behavior = "inclusive" } } },
    }))
    local options = rate.fixed_amount.currency_options
    assert.are.same({ 450, "inclusive", 400 }, { options.eur.amount, options.eur.tax_behavior, options.gbp.amount })
    local without = { display_name = "x", type = "fixed_amount" }
    assert.are.equal("fixed_amount", refused(stripe.shipping_rates:create(without)).param)
  end)
end)
