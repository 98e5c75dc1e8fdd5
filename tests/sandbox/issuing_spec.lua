-- Issuing: cards, and what their holders do with them by the test helpers.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"
local money = require "money"

local pinstripe = support.pinstripe
local check, null = pinstripe.check, pinstripe.null

local stripe, test, card, holder

local function refused(object, err)
  assert.is_nil(object)
  return err
end

before_each(function()
  stripe = support.box({ seed = 1, now = money.NOW }):client()
  test = stripe.test_helpers.issuing
  holder = check(stripe.issuing.cardholders:create {
    name = "Jenny Rosen", type = "individual",
    billing = { address = { line1 = "1 Main Street", city = "San Francisco", postal_code = "94111", country = "US" } },
  })
  local fields = { cardholder = holder.id, currency = "usd", type = "virtual", status = "active" }
  card = check(stripe.issuing.cards:create(fields))
end)

describe("an issued card", function()
  it("shows its holder, and its number when that is named", function()
    assert.are.same({ "Jenny Rosen", "active", nil }, { card.cardholder.name, card.status, card.number })
    local shown = check(stripe.issuing.cards:retrieve(card.id, { expand = { "number", "cvc" } }))
    assert.are.equal(card.last4, shown.number:sub(-4))
    assert.are.equal(3, #shown.cvc)
    check(stripe.issuing.cardholders:update(holder.id, { email = "jenny@example.com" }))
    assert.are.equal("jenny@example.com", check(stripe.issuing.cards:retrieve(card.id)).cardholder.email)
  end)

  it("stays canceled", function()
    check(stripe.issuing.cards:update(card.id, { status = "canceled" }))
    assert.are.equal("status", refused(stripe.issuing.cards:update(card.id, { status = "active" })).param)
  end)

  it("is asked, then approved", function()
    local authorization = check(test.authorizations:create { card = card.id, amount = 1000 })
    assert.are.same({ true, "pending", 1000, null },
      { authorization.approved, authorization.status, authorization.amount, authorization.pending_request })
    assert.are.equal("webhook_approved", authorization.request_history[1].reason)
    local request = check(stripe.events:list { type = "issuing_authorization.request" }).data[1].data.object
    assert.are.same({ false, 1000 }, { request.approved, request.pending_request.amount })
    local types = support.events(stripe)
    assert.are.equal("issuing_authorization.created", types[#types])
  end)

  it("is asked at the older address too", function()
    local path = "/v1/issuing/cards/" .. card.id .. "/test/authorizations"
    local authorization = check(stripe:request("POST", path, { held_amount = 100, authorization_method = "online" }))
    assert.are.same({ "issuing.authorization", 100 }, { authorization.object, authorization.amount })
  end)

  it("that is not active is declined", function()
    check(stripe.issuing.cards:update(card.id, { status = "inactive" }))
    local authorization = check(test.authorizations:create { card = card.id, amount = 1000 })
    assert.are.same({ false, "closed", "card_inactive" },
      { authorization.approved, authorization.status, authorization.request_history[1].reason })
    assert.are.equal(400, refused(test.authorizations:capture(authorization.id)).status)
  end)

  it("is captured, which makes a transaction", function()
    local authorization = check(test.authorizations:create { card = card.id, amount = 1000 })
    authorization = check(test.authorizations:capture(authorization.id, { capture_amount = 600 }))
    assert.are.same({ "closed", -600 }, { authorization.status, authorization.transactions[1].amount })
    local transaction = check(stripe.issuing.transactions:list { card = card.id }).data[1]
    assert.are.same({ authorization.id, "capture", holder.id },
      { transaction.authorization, transaction.type, transaction.cardholder })
    assert.are.equal("refund_amount", refused(test.transactions:refund(transaction.id, { refund_amount = 601 })).param)
    check(test.transactions:refund(transaction.id, { refund_amount = 600 }))
    local refund = check(stripe.issuing.transactions:list { card = card.id }).data[1]
    assert.are.same({ 600, "refund" }, { refund.amount, refund.type })
  end)

  it("is held for more or less, released, or left to expire", function()
    local authorization = check(test.authorizations:create { card = card.id, amount = 1000 })
    local id = authorization.id
    assert.are.equal(1500, check(test.authorizations:increment(id, { increment_amount = 500 })).amount)
    assert.are.equal(1200, check(test.authorizations:finalize_amount(id, { final_amount = 1200 })).amount)
    assert.are.equal(900, check(test.authorizations:reverse(id, { reverse_amount = 300 })).amount)
    assert.are.equal("reverse_amount", refused(test.authorizations:reverse(id, { reverse_amount = 901 })).param)
    assert.are.equal("reversed", check(test.authorizations:reverse(id)).status)
    local other = check(test.authorizations:create { card = card.id, amount = 1000 })
    assert.are.equal("expired", check(test.authorizations:expire(other.id)).status)
  end)

  it("tells of a receipt", function()
    local transaction = check(test.transactions:create_force_capture {
      card = card.id, amount = 100, purchase_details = { receipt = { { description = "Ride", quantity = 1 } } },
    })
    assert.are.same({ -100, "Ride" }, { transaction.amount, transaction.purchase_details.receipt[1].description })
    local types = support.events(stripe)
    assert.are.same({ "issuing_transaction.created", "issuing_transaction.purchase_details_receipt_updated" },
      { types[#types - 1], types[#types] })
  end)
end)
