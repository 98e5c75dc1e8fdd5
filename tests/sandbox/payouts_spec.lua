-- Payouts and top-ups: the balance before and after, by the clock and by helpers.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"
local money = require "money"

local pinstripe = support.pinstripe
local check, null = pinstripe.check, pinstripe.null

local box, stripe

local function types_of(id)
  local types = {}
  for event in stripe.events:each() do
    if event.data.object.id == id then table.insert(types, 1, event.type) end
  end
  return types
end

before_each(function()
  box = support.box { seed = 1, now = money.NOW }
  stripe = box:client()
  check(stripe.charges:create { amount = 10000, currency = "usd", source = "tok_bypassPending" })
end)

describe("a payout", function()
  it("takes the money at once and arrives after two days", function()
    local payout = check(stripe.payouts:create { amount = 5000, currency = "usd" })
    assert.are.equal("pending", payout.status)
    assert.are.equal("standard", payout.method)
    assert.are.equal(money.NOW + 2 * money.DAY, payout.arrival_date)
    assert.are.same({ 4680, 0 }, { money.balance(stripe) })
    local transaction = check(stripe.balance_transactions:retrieve(payout.balance_transaction))
    assert.are.same({ -5000, "payout", payout.id }, { transaction.amount, transaction.type, transaction.source })

    money.advance(box, money.DAY)
    assert.are.equal("in_transit", check(stripe.payouts:retrieve(payout.id)).status)
    money.advance(box, money.DAY)
    assert.are.equal("paid", check(stripe.payouts:retrieve(payout.id)).status)
    assert.are.same({ "payout.created", "payout.updated", "payout.paid" }, types_of(payout.id))
    assert.are.same({ 4680, 0 }, { money.balance(stripe) })
  end)

  it("that is instant is on its way at once", function()
    local payout = check(stripe.payouts:create { amount = 500, currency = "usd", method = "instant" })
    assert.are.equal("in_transit", payout.status)
    money.advance(box, 1800)
    assert.are.equal("paid", check(stripe.payouts:retrieve(payout.id)).status)
  end)

  it("of more than there is changes nothing", function()
    local payout, err = stripe.payouts:create { amount = 9681, currency = "usd" }
    assert.is_nil(payout)
    assert.are.same({ 400, "balance_insufficient" }, { err.status, err.code })
    assert.are.same({ 9680, 0 }, { money.balance(stripe) })
    assert.are.equal(0, #check(stripe.payouts:list()).data)
    assert.is_nil((stripe.payouts:create { amount = 1, currency = "eur" }))
  end)

  it("of nothing is refused", function()
    local _, err = stripe.payouts:create { amount = 0, currency = "usd" }
    assert.are.same({ "parameter_invalid_integer", "amount" }, { err.code, err.param })
  end)

  it("can be canceled while it is pending", function()
    local payout = check(stripe.payouts:create { amount = 5000, currency = "usd" })
    local canceled = check(stripe.payouts:cancel(payout.id))
    assert.are.equal("canceled", canceled.status)
    assert.are.same({ 9680, 0 }, { money.balance(stripe) })
    local back = check(stripe.balance_transactions:retrieve(canceled.failure_balance_transaction))
    assert.are.same({ 5000, "payout_cancel" }, { back.amount, back.type })
    money.advance(box, 3 * money.DAY)
    assert.are.equal("canceled", check(stripe.payouts:retrieve(payout.id)).status)
    local _, err = stripe.payouts:cancel(payout.id)
    assert.are.equal(400, err.status)
    assert.are.same({ "payout.created", "payout.canceled" }, types_of(payout.id))
  end)

  it("to a bank account that refuses it fails, and the money is back", function()
    local account = check(stripe.accounts:create { type = "custom", country = "US" })
    check(stripe.accounts.external_accounts:create(account.id, {
      external_account = {
        object = "bank_account", country = "US", currency = "usd", routing_number = "110000000",
        account_number = "000111111116",
      },
    }))
    check(stripe.transfers:create { amount = 3000, currency = "usd", destination = account.id })
    local options = { stripe_account = account.id }
    local payout = check(stripe.payouts:create({ amount = 2500, currency = "usd" }, options))
    assert.are.same({ 500, 0 }, { money.balance(stripe, "usd", options) })
    money.advance(box, 2 * money.DAY)
    payout = check(stripe.payouts:retrieve(payout.id, nil, options))
    assert.are.same({ "failed", "no_account" }, { payout.status, payout.failure_code })
    assert.are.equal("string", type(payout.failure_message))
    assert.are.same({ 3000, 0 }, { money.balance(stripe, "usd", options) })
    money.assert_sums(stripe, options)
    local event = check(stripe.events:list({ type = "payout.failed" }, options)).data[1]
    assert.are.equal(account.id, event.account)
    payout = check(stripe.payouts:create({ amount = 2500, currency = "usd" }, options))
    money.advance(box, money.DAY)
    check(stripe.payouts:reverse(payout.id, nil, options))
    money.advance(box, money.DAY)
    assert.are.equal("paid", check(stripe.payouts:retrieve(payout.id, nil, options)).status)
    assert.are.same({ 3000, 0 }, { money.balance(stripe, "usd", options) })
  end)

  it("of a connected account needs an external account in the currency", function()
    local account = check(stripe.accounts:create { type = "custom", country = "US" })
    check(stripe.transfers:create { amount = 3000, currency = "usd", destination = account.id })
    local payout, err = stripe.payouts:create({ amount = 100, currency = "usd" }, { stripe_account = account.id })
    assert.is_nil(payout)
    assert.are.equal(400, err.status)
    assert.are.same({ 3000, 0 }, { money.balance(stripe, "usd", { stripe_account = account.id }) })
  end)

  it("can be moved by helpers", function()
    local payout = check(stripe.payouts:create { amount = 100, currency = "usd" })
    money.help(box, "payouts.send", payout.id)
    assert.are.equal("in_transit", check(stripe.payouts:retrieve(payout.id)).status)
    money.help(box, "payouts.pay", payout.id)
    money.help(box, "payouts.fail", payout.id, "failure_code=account_closed")
    payout = check(stripe.payouts:retrieve(payout.id))
    assert.are.same({ "failed", "account_closed" }, { payout.status, payout.failure_code })
    assert.are.same({ 9680, 0 }, { money.balance(stripe) })
  end)

  it("that was paid can be reversed once", function()
    local payout = check(stripe.payouts:create { amount = 5000, currency = "usd" })
    assert.is_nil((stripe.payouts:reverse(payout.id)))
    money.advance(box, 2 * money.DAY)
    local reversal = check(stripe.payouts:reverse(payout.id, { metadata = { why = "error" } }))
    assert.are.same({ -5000, payout.id, "error" }, { reversal.amount, reversal.original_payout, reversal.metadata.why })
    assert.are.equal(reversal.id, check(stripe.payouts:retrieve(payout.id)).reversed_by)
    assert.is_nil((stripe.payouts:reverse(payout.id)))
    money.help(box, "payouts.fail", reversal.id)
    assert.are.equal(null, check(stripe.payouts:retrieve(payout.id)).reversed_by)
    check(stripe.payouts:reverse(payout.id))
    local failed, err = stripe:request("POST", "/_sandbox/helpers/payouts.fail", { id = payout.id })
    assert.are.same({ nil, 400 }, { failed, err.status })
    money.advance(box, 2 * money.DAY)
    assert.are.same({ 9680, 0 }, { money.balance(stripe) })
    money.assert_sums(stripe)
  end)

  it("is listed by status, destination and time of arrival", function()
    local payout = check(stripe.payouts:create { amount = 100, currency = "usd" })
    local function count(filter) return #check(stripe.payouts:list(filter)).data end
    assert.are.equal(1, count { status = "pending" })
    assert.are.equal(0, count { status = "paid" })
    assert.are.equal(1, count { destination = payout.destination })
    assert.are.equal(1, count { arrival_date = { gte = money.NOW } })
    assert.are.equal(0, count { arrival_date = { lt = money.NOW } })
  end)

  it("tells what an update changed", function()
    local payout = check(stripe.payouts:create { amount = 100, currency = "usd", metadata = { a = "1" } })
    check(stripe.payouts:update(payout.id, { metadata = { b = "2" } }))
    local event = check(stripe.events:list { type = "payout.updated" }).data[1]
    assert.are.same({ metadata = { b = null } }, event.data.previous_attributes)
    assert.are.same({ a = "1", b = "2" }, event.data.object.metadata)
    check(stripe.payouts:update(payout.id, { metadata = { a = "3", b = "" } }))
    event = check(stripe.events:list { type = "payout.updated" }).data[1]
    assert.are.same({ metadata = { a = "1", b = "2" } }, event.data.previous_attributes)
  end)
end)

describe("a top-up", function()
  it("brings its money after a day", function()
    local topup = check(stripe.topups:create { amount = 2000, currency = "usd", description = "more" })
    assert.are.same({ "pending", null }, { topup.status, topup.balance_transaction })
    assert.are.same({ 9680, 0 }, { money.balance(stripe) })
    money.advance(box, money.DAY)
    topup = check(stripe.topups:retrieve(topup.id, { expand = { "balance_transaction" } }))
    assert.are.same({ "succeeded", 2000 }, { topup.status, topup.balance_transaction.net })
    assert.are.same({ 11680, 0 }, { money.balance(stripe) })
    assert.are.same({ "topup.created", "topup.succeeded" }, types_of(topup.id))
  end)

  it("can be canceled before that, and not after", function()
    local topup = check(stripe.topups:create { amount = 2000, currency = "usd" })
    assert.are.equal("canceled", check(stripe.topups:cancel(topup.id)).status)
    money.advance(box, 2 * money.DAY)
    assert.are.equal("canceled", check(stripe.topups:retrieve(topup.id)).status)
    assert.is_nil((stripe.topups:cancel(topup.id)))
    assert.are.same({ 9680, 0 }, { money.balance(stripe) })
  end)

  it("fails, or is reversed, by helper", function()
    local failed = check(stripe.topups:create { amount = 2000, currency = "usd" })
    money.help(box, "topups.fail", failed.id)
    assert.are.equal("insufficient_funds", check(stripe.topups:retrieve(failed.id)).failure_code)
    local reversed = check(stripe.topups:create { amount = 2000, currency = "usd" })
    money.help(box, "topups.succeed", reversed.id)
    money.help(box, "topups.reverse", reversed.id)
    assert.are.equal("reversed", check(stripe.topups:retrieve(reversed.id)).status)
    assert.are.same({ 9680, 0 }, { money.balance(stripe) })
    money.assert_sums(stripe)
  end)
end)
