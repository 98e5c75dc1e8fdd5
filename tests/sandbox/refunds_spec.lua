-- Refunds: whole, in part, later, failed, canceled; what may not be refunded.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path

local payments = require "payments"

local check, null = payments.check, payments.null

local function paid(world, params)
  local intent = world:paid(params)
  world:since()
  return intent
end

describe("a refund", function()
  after_each(payments.check_worlds)

  it("gives back the whole, but not the fee", function()
    local world = payments.world()
    local intent = paid(world)
    local refund = check(world.stripe.refunds:create {
      payment_intent = intent.id, reason = "requested_by_customer", expand = { "balance_transaction" },
    })
    assert.equal("succeeded", refund.status)
    assert.equal(2000, refund.amount)
    assert.equal("requested_by_customer", refund.reason)
    assert.equal(intent.latest_charge, refund.charge)
    assert.equal(-2000, refund.balance_transaction.amount)
    assert.equal(0, refund.balance_transaction.fee)
    assert.equal(world.now + 2 * 86400, refund.balance_transaction.available_on)
    assert.equal("refund", refund.balance_transaction.type)
    assert.equal(refund.id, refund.balance_transaction.source)
    assert.same({ "refund.created", "charge.refunded" }, world:since())
    assert.same({ amount_refunded = 0, refunded = false }, world:event("charge.refunded").data.previous_attributes)
    local charge = check(world.stripe.charges:retrieve(intent.latest_charge, { expand = { "refunds" } }))
    assert.is_true(charge.refunded)
    assert.equal(2000, charge.amount_refunded)
    assert.equal(refund.id, charge.refunds.data[1].id)
    local sum = 0
    for transaction in world.stripe.balance_transactions:each() do sum = sum + transaction.net end
    assert.equal(-88, sum)
    local err = world:refused(function(stripe) return stripe.refunds:create { payment_intent = intent.id } end)
    assert.equal("charge_already_refunded", err.code)
  end)

  it("gives back parts, until nothing is left", function()
    local world = payments.world()
    local intent = paid(world)
    for _, amount in ipairs { 500, 700 } do
      check(world.stripe.refunds:create { charge = intent.latest_charge, amount = amount })
    end
    local charge = check(world.stripe.charges:retrieve(intent.latest_charge))
    assert.equal(1200, charge.amount_refunded)
    assert.is_false(charge.refunded)
    for amount, code in pairs { [801] = false, [0] = "parameter_invalid_integer" } do
      local err = world:refused(function(stripe)
        return stripe.refunds:create { charge = intent.latest_charge, amount = amount }
      end)
      assert.equal(code or nil, err.code)
      assert.equal("amount", err.param)
      assert.equal(400, err.status)
    end
    assert.equal(800, check(world.stripe.refunds:create { charge = intent.latest_charge }).amount)
    local amounts = {}
    for refund in world.stripe.refunds:each { payment_intent = intent.id } do amounts[#amounts + 1] = refund.amount end
    assert.same({ 800, 700, 500 }, amounts)
  end)

  it("gives back no more than was captured", function()
    local world = payments.world()
    local intent = paid(world, { capture_method = "manual" })
    check(world.stripe.payment_intents:capture(intent.id, { amount_to_capture = 1200 }))
    local err = world:refused(function(stripe)
      return stripe.refunds:create { payment_intent = intent.id, amount = 1201 }
    end)
    assert.equal("amount", err.param)
    assert.equal(1200, check(world.stripe.refunds:create { payment_intent = intent.id }).amount)
    assert.is_true(check(world.stripe.charges:retrieve(intent.latest_charge)).refunded)
  end)

  it("releases a charge that is only held, and moves no money", function()
    local world = payments.world()
    local charge = check(world.stripe.charges:create {
      amount = 900, currency = "usd", source = "tok_visa", capture = false,
    })
    local err = world:refused(function(stripe) return stripe.refunds:create { charge = charge.id, amount = 100 } end)
    assert.equal("amount", err.param)
    local refund = check(world.stripe.refunds:create { charge = charge.id })
    assert.equal(null, refund.balance_transaction)
    err = world:refused(function(stripe) return stripe.charges:capture(charge.id) end)
    assert.equal("charge_expired_for_capture", err.code)
  end)

  for _, pays in ipairs { "intent", "charge" } do
    local function pay(world, name)
      if pays == "intent" then return paid(world, { payment_method = "pm_card_" .. name }).latest_charge end
      local charge = check(world.stripe.charges:create { amount = 2000, currency = "usd", source = "tok_" .. name })
      world:since()
      return charge.id
    end

    it("succeeds later with pendingRefund, paid by " .. pays, function()
      local world = payments.world()
      local charge = pay(world, "pendingRefund")
      local refund = check(world.stripe.refunds:create { charge = charge })
      assert.equal("pending", refund.status)
      assert.same({ "refund.created", "charge.refunded" }, world:since())
      world:advance(5)
      assert.same({ "refund.updated", "charge.refund.updated" }, world:since())
      assert.equal("pending", world:event("refund.updated").data.previous_attributes.status)
      refund = check(world.stripe.refunds:retrieve(refund.id))
      assert.equal("succeeded", refund.status)
      assert.is_nil(refund.pending_reason)
    end)

    it("fails later with refundFail, and the money comes back, paid by " .. pays, function()
      local world = payments.world()
      local id = pay(world, "refundFail")
      local refund = check(world.stripe.refunds:create { charge = id })
      assert.equal("succeeded", refund.status)
      world:since()
      world:advance(5)
      assert.same({ "refund.failed", "charge.refund.updated" }, world:since())
      refund = check(world.stripe.refunds:retrieve(refund.id, { expand = { "failure_balance_transaction" } }))
      assert.equal("failed", refund.status)
      assert.equal("expired_or_canceled_card", refund.failure_reason)
      assert.equal(2000, refund.failure_balance_transaction.amount)
      local charge = check(world.stripe.charges:retrieve(id))
      assert.equal(0, charge.amount_refunded)
      assert.is_false(charge.refunded)
    end)
  end

  it("is canceled while it is pending", function()
    local world = payments.world()
    local intent = paid(world, { payment_method = "pm_card_pendingRefund" })
    local refund = check(world.stripe.refunds:create { payment_intent = intent.id, amount = 300 })
    world:since()
    refund = check(world.stripe.refunds:cancel(refund.id))
    assert.equal("canceled", refund.status)
    assert.same({ "refund.updated", "charge.refund.updated" }, world:since())
    assert.equal(0, check(world.stripe.charges:retrieve(intent.latest_charge)).amount_refunded)
    world:advance(5)
    assert.equal("canceled", check(world.stripe.refunds:retrieve(refund.id)).status)
    local err = world:refused(function(stripe) return stripe.refunds:cancel(refund.id) end)
    assert.equal("status_transition_invalid", err.code)
  end)

  it("is settled by a helper", function()
    local world = payments.world()
    local intent = paid(world, { payment_method = "pm_card_pendingRefund" })
    local refund = check(world.stripe.refunds:create { payment_intent = intent.id })
    refund = check(world:helper("refunds.settle", refund.id, {
      status = "failed", failure_reason = "lost_or_stolen_card",
    }))
    assert.equal("lost_or_stolen_card", refund.failure_reason)
  end)

  it("of a card that succeeded cannot be canceled, and changes its metadata alone", function()
    local world = payments.world()
    local intent = paid(world)
    local refund = check(world.stripe.refunds:create { payment_intent = intent.id })
    world:refused(function(stripe) return stripe.refunds:cancel(refund.id) end)
    world:since()
    refund = check(world.stripe.refunds:update(refund.id, { metadata = { order = "1" } }))
    assert.same({ order = "1" }, refund.metadata)
    assert.same({ "refund.updated", "charge.refund.updated" }, world:since())
  end)

  it("of a debit is a payment's", function()
    local world = payments.world()
    local intent = paid(world, { payment_method = "pm_usBankAccount_success" })
    local err = world:refused(function(stripe) return stripe.refunds:create { payment_intent = intent.id } end)
    assert.equal("charge_not_refundable", err.code)
    world:advance(5)
    local refund = check(world.stripe.refunds:create { payment_intent = intent.id, expand = { "balance_transaction" } })
    assert.equal("payment_refund", refund.balance_transaction.type)
    assert.equal("us_bank_transfer", refund.destination_details.type)
  end)

  -- what is wrong → params (a function of what there is), the error's code and param
  local REFUSALS = {
    ["nothing named"] = { function() return { amount = 100 } end, "parameter_missing", "payment_intent" },
    ["no such charge"] = { function() return { charge = "ch_none" } end, "resource_missing", "charge" },
    ["no such intent"] = { function() return { payment_intent = "pi_none" } end, "resource_missing", "payment_intent" },
    ["a charge of another intent"] = { function(world, intent)
      return { payment_intent = paid(world).id, charge = intent.latest_charge }
    end, nil, "charge" },
    ["no transfer"] = { function(_, intent) return { charge = intent.latest_charge, reverse_transfer = true } end, nil,
      "reverse_transfer" },
    ["no fee"] = { function(_, intent) return { charge = intent.latest_charge, refund_application_fee = true } end, nil,
      "refund_application_fee" },
    ["a disputed charge"] = { function(world)
      return { payment_intent = paid(world, { payment_method = "pm_card_createDispute" }).id }
    end, "charge_disputed" },
    ["an intent that is only held"] = { function(world)
      return { payment_intent = paid(world, { capture_method = "manual" }).id }
    end, "charge_not_refundable", "charge" },
    ["an intent without a charge"] = { function(world)
      return { payment_intent = check(world.stripe.payment_intents:create { amount = 500, currency = "usd" }).id }
    end, nil, "payment_intent" },
  }
  for name, case in pairs(REFUSALS) do
    it("is refused: " .. name, function()
      local world = payments.world()
      local params = case[1](world, paid(world))
      local err = world:refused(function(stripe) return stripe.refunds:create(params) end)
      assert.equal(400, err.status)
      assert.equal(case[2], err.code)
      assert.equal(case[3], err.param)
    end)
  end
end)
