-- The ledger: transactions, the balance that is their sum, and the clock that settles them.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"
local money = require "money"

local check = support.pinstripe.check

describe("the balance", function()
  local box, stripe
  before_each(function()
    box = support.box { seed = 1, now = money.NOW }
    stripe = box:client()
  end)

  it("of a fresh account is nothing, in its currency", function()
    local balance = check(stripe.balance:retrieve())
    assert.are.same({ { amount = 0, currency = "usd", source_types = { card = 0 } } }, balance.available)
    assert.are.same({ { amount = 0, currency = "usd", source_types = { card = 0 } } }, balance.pending)
    assert.is_nil(balance.id)
  end)

  it("takes a charge less its fee, pending for two days", function()
    local charge = check(stripe.charges:create({ amount = 10000, currency = "usd", source = "tok_visa" }))
    local transaction = check(stripe.balance_transactions:retrieve(charge.balance_transaction))
    assert.are.equal(320, transaction.fee)
    assert.are.equal(9680, transaction.net)
    assert.are.equal("pending", transaction.status)
    assert.are.equal(money.NOW + 2 * money.DAY, transaction.available_on)
    assert.are.equal(charge.id, transaction.source)
    assert.are.equal("charge", transaction.reporting_category)
    assert.are.equal("stripe_fee", transaction.fee_details[1].type)
    assert.are.same({ 0, 9680 }, { money.balance(stripe) })

    money.advance(box, 2 * money.DAY - 1)
    assert.are.same({ 0, 9680 }, { money.balance(stripe) })
    money.advance(box, 1)
    assert.are.same({ 9680, 0 }, { money.balance(stripe) })
    assert.are.equal("available", check(stripe.balance_transactions:retrieve(transaction.id)).status)
    local event = check(stripe.events:list { type = "balance.available" }).data[1]
    assert.are.equal(9680, event.data.object.available[1].amount)
  end)

  it("settles what was charged in one second in one step", function()
    for _ = 1, 3 do check(stripe.charges:create { amount = 1000, currency = "usd", source = "tok_visa" }) end
    money.advance(box, 2 * money.DAY)
    assert.are.equal(1, #check(stripe.events:list { type = "balance.available" }).data)
    assert.are.same({ 3 * 941, 0 }, { money.balance(stripe) })
  end)

  it("is at hand at once with the card that bypasses pending", function()
    check(stripe.charges:create { amount = 1000, currency = "usd", source = "tok_bypassPending" })
    assert.are.same({ 941, 0 }, { money.balance(stripe) })
  end)

  it("gives a refund back, and keeps the fee", function()
    local charge = check(stripe.charges:create { amount = 1000, currency = "usd", source = "tok_visa" })
    check(stripe.refunds:create { charge = charge.id, amount = 400 })
    money.assert_sums(stripe)
    local available, pending = money.balance(stripe)
    assert.are.equal(1000 - 59 - 400, available + pending)
  end)

  it("keeps currencies apart", function()
    check(stripe.charges:create { amount = 1000, currency = "usd", source = "tok_bypassPending" })
    check(stripe.charges:create { amount = 2000, currency = "eur", source = "tok_bypassPending" })
    assert.are.same({ 941, 0 }, { money.balance(stripe, "usd") })
    assert.are.same({ 1912, 0 }, { money.balance(stripe, "eur") })
    money.assert_sums(stripe)
  end)

  it("lists transactions by type, currency, source and payout", function()
    local charge = check(stripe.charges:create { amount = 9000, currency = "usd", source = "tok_bypassPending" })
    check(stripe.charges:create { amount = 2000, currency = "eur", source = "tok_visa" })
    local payout = check(stripe.payouts:create { amount = 500, currency = "usd" })
    local function count(filter) return #check(stripe.balance_transactions:list(filter)).data end
    assert.are.equal(3, count {})
    assert.are.equal(2, count { type = "charge" })
    assert.are.equal(1, count { currency = "eur" })
    assert.are.equal(1, count { source = charge.id })
    assert.are.equal(1, count { payout = payout.id })
  end)

  it("agrees with its transactions, whatever happened", function()
    money.random_history(box, stripe, 200)
    money.assert_sums(stripe)
    money.advance(box, 30 * money.DAY)
    money.assert_sums(stripe)
    local _, pending = money.balance(stripe)
    assert.are.equal(0, pending)
  end)
end)
