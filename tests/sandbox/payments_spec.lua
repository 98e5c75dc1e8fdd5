-- What pays: customers, payment methods, tokens and sources, the legacy charges, disputes, payments of a platform.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path

local payments = require "payments"

local check, null = payments.check, payments.null

describe("a customer", function()
  after_each(payments.check_worlds)

  it("comes with a method, a source, a balance, tax ids", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {
      source = "tok_mastercard", payment_method = "pm_card_visa", balance = -300,
      tax_id_data = { { type = "eu_vat", value = "DE123456789" } },
      invoice_settings = { default_payment_method = "pm_card_visa" },
    })
    assert.equal(-300, customer.balance)
    assert.same({
      "customer.created", "customer.tax_id.created", "customer.source.created", "customer.updated",
      "payment_method.attached",
    }, world:since())
    local card = check(world.stripe.customers.payment_sources:retrieve(customer.id, customer.default_source))
    assert.equal("MasterCard", card.brand)
    local method = check(world.stripe.customers.payment_methods:list(customer.id)).data[1]
    assert.equal(method.id, customer.invoice_settings.default_payment_method)
    local transaction = check(world.stripe.customers.balance_transactions:list(customer.id)).data[1]
    assert.equal(-300, transaction.ending_balance)
  end)

  it("is not made of a method that declines, or of none", function()
    local world = payments.world()
    for _, case in ipairs {
      { { source = "tok_chargeDeclined" }, 402, "card_declined" },
      { { payment_method = "pm_card_chargeDeclinedExpiredCard" }, 402, "expired_card" },
      { { source = "tok_none" }, 400, "resource_missing" },
      { { payment_method = "pm_none" }, 400, "resource_missing" },
      { { invoice_settings = { default_payment_method = "pm_card_visa" } }, 400, "resource_missing" },
    } do
      local err = world:refused(function(stripe) return stripe.customers:create(case[1]) end)
      assert.equal(case[2], err.status)
      assert.equal(case[3], err.code)
    end
  end)

  it("owes what its balance transactions sum to", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    world:since()
    for _, amount in ipairs { -500, 200 } do
      check(world.stripe.customers.balance_transactions:create(customer.id, { amount = amount, currency = "usd" }))
    end
    customer = check(world.stripe.customers:update(customer.id, { balance = 50 }))
    assert.equal(50, customer.balance)
    assert.same({ "customer.updated", "customer.updated", "customer.updated" }, world:since())
    local sum, last = 0, nil
    for transaction in world.stripe.customers.balance_transactions:each(customer.id) do
      last = last or transaction
      sum = sum + transaction.amount
    end
    assert.equal(50, sum)
    assert.equal(50, last.ending_balance)
    assert.equal(350, last.amount)
    assert.same({ balance = -300 }, world:event("customer.updated").data.previous_attributes)
  end)

  it("takes its methods and cards with it", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create { source = "tok_visa", payment_method = "pm_card_visa" })
    local method = check(world.stripe.customers.payment_methods:list(customer.id)).data[1]
    world:since()
    assert.is_true(check(world.stripe.customers:delete(customer.id)).deleted)
    assert.same({ "payment_method.detached", "customer.deleted" }, world:since())
    assert.equal(null, check(world.stripe.payment_methods:retrieve(method.id)).customer)
    assert.is_true(check(world.stripe.customers:retrieve(customer.id)).deleted)
    local err = world:refused(function(stripe)
      return stripe.payment_methods:attach(method.id, { customer = customer.id })
    end)
    assert.equal("resource_missing", err.code)
  end)

  it("has a coupon, as earlier versions gave it", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local coupon = check(world.stripe.coupons:create { percent_off = 20 })
    local customer = check(world.stripe.customers:create { coupon = coupon.id })
    assert.equal(coupon.id, customer.discount.source.coupon)
    assert.same({ "coupon.created", "customer.created", "customer.discount.created" }, world:since())
    local discount = check(world.stripe.customers:delete_discount(customer.id))
    assert.is_true(discount.deleted)
    assert.same({ "customer.discount.deleted" }, world:since())
    assert.equal(null, check(world.stripe.customers:retrieve(customer.id)).discount)
  end)

  it("shows its cash balance where that is expanded", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    assert.is_nil(customer.cash_balance)
    check(world.stripe.test_helpers.customers:fund_cash_balance(customer.id, { amount = 700, currency = "eur" }))
    customer = check(world.stripe.customers:retrieve(customer.id, { expand = { "cash_balance" } }))
    assert.same({ eur = 700 }, customer.cash_balance.available)
  end)

  it("may have its money back, as far as it goes", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    check(world.stripe.test_helpers.customers:fund_cash_balance(customer.id, { amount = 700, currency = "eur" }))
    local params = { origin = "customer_balance", customer = customer.id, amount = 500, currency = "eur" }
    assert.equal("succeeded", check(world.stripe.refunds:create(params)).status)
    local err = world:refused(function(stripe) return stripe.refunds:create(params) end)
    assert.equal("amount", err.param)
    assert.same({ eur = 200 }, check(world.stripe.customers.cash_balance:retrieve(customer.id)).available)
  end)

  it("decides by hand what its money pays", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local customer = check(world.stripe.customers:create {})
    check(world.stripe.customers.cash_balance:update(customer.id, { settings = { reconciliation_mode = "manual" } }))
    local intent = check(world.stripe.payment_intents:create {
      amount = 1000, currency = "eur", customer = customer.id, payment_method_types = { "customer_balance" },
      payment_method_data = { type = "customer_balance" }, confirm = true,
    })
    check(world.stripe.test_helpers.customers:fund_cash_balance(customer.id, { amount = 1500, currency = "eur" }))
    assert.equal("requires_action", check(world.stripe.payment_intents:retrieve(intent.id)).status)
    local err = world:refused(function(stripe)
      return stripe.payment_intents:apply_customer_balance(intent.id, { amount = 1001 })
    end)
    assert.equal("amount", err.param)
    intent = check(world.stripe.payment_intents:apply_customer_balance(intent.id, { amount = 400 }))
    assert.equal(600, intent.next_action.display_bank_transfer_instructions.amount_remaining)
    intent = check(world.stripe.payment_intents:apply_customer_balance(intent.id))
    assert.equal("succeeded", intent.status)
    assert.same({ eur = 500 }, check(world.stripe.customers.cash_balance:retrieve(customer.id)).available)
  end)

  it("gets back what was applied to a payment that is canceled", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local customer = check(world.stripe.customers:create {})
    local intent = check(world.stripe.payment_intents:create {
      amount = 1000, currency = "eur", customer = customer.id, payment_method_types = { "customer_balance" },
      payment_method_data = { type = "customer_balance" }, confirm = true,
    })
    check(world.stripe.test_helpers.customers:fund_cash_balance(customer.id, { amount = 300, currency = "eur" }))
    assert.same({ eur = 0 }, check(world.stripe.customers.cash_balance:retrieve(customer.id)).available)
    check(world.stripe.payment_intents:cancel(intent.id))
    assert.same({ eur = 300 }, check(world.stripe.customers.cash_balance:retrieve(customer.id)).available)
  end)

  -- A payment of 1000 by bank transfer or card, of which 600 has come: it and what asks for the customer's balance.
  local function partly_paid(world)
    local customer = check(world.stripe.customers:create {})
    local intent = check(world.stripe.payment_intents:create {
      amount = 1000, currency = "eur", customer = customer.id, payment_method_types = { "customer_balance", "card" },
      payment_method_data = { type = "customer_balance" }, confirm = true,
    })
    check(world.stripe.test_helpers.customers:fund_cash_balance(customer.id, { amount = 600, currency = "eur" }))
    return intent, function()
      return check(world.stripe.customers.cash_balance:retrieve(customer.id)).available
    end
  end

  it("keeps a payment that it paid a part of where and what it is", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local intent, available = partly_paid(world)
    local other = check(world.stripe.customers:create {})
    for name, value in pairs { currency = "gbp", customer = other.id, amount = 600 } do
      local err = world:refused(function(stripe)
        return stripe.payment_intents:update(intent.id, { [name] = value })
      end)
      assert.same({ 400, name }, { err.status, err.param })
    end
    intent = check(world.stripe.payment_intents:update(intent.id, { amount = 700, currency = "eur" }))
    assert.equal(100, intent.next_action.display_bank_transfer_instructions.amount_remaining)
    check(world.stripe.payment_intents:cancel(intent.id))
    assert.same({ eur = 600 }, available())
  end)

  it("gets back what it paid where a card pays after all", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local intent, available = partly_paid(world)
    intent = check(world.stripe.payment_intents:update(intent.id, { payment_method = "pm_card_visa" }))
    assert.same({ "requires_confirmation", null }, { intent.status, intent.next_action })
    assert.same({ eur = 0 }, available())
    assert.equal("succeeded", check(world.stripe.payment_intents:confirm(intent.id)).status)
    assert.same({ eur = 600 }, available())
  end)

  it("gets back what is not captured of what it paid", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local customer = check(world.stripe.customers:create {})
    check(world.stripe.test_helpers.customers:fund_cash_balance(customer.id, { amount = 1000, currency = "eur" }))
    local intent = check(world.stripe.payment_intents:create {
      amount = 1000, currency = "eur", customer = customer.id, payment_method_types = { "customer_balance" },
      payment_method_data = { type = "customer_balance" }, capture_method = "manual", confirm = true,
    })
    assert.equal("requires_capture", intent.status)
    check(world.stripe.payment_intents:capture(intent.id, { amount_to_capture = 400 }))
    assert.same({ eur = 600 }, check(world.stripe.customers.cash_balance:retrieve(customer.id)).available)
  end)

  it("tells when confirming takes what there is of it", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local customer = check(world.stripe.customers:create {})
    check(world.stripe.test_helpers.customers:fund_cash_balance(customer.id, { amount = 250, currency = "eur" }))
    world:since()
    local intent = check(world.stripe.payment_intents:create {
      amount = 1000, currency = "eur", customer = customer.id, payment_method_types = { "customer_balance" },
      payment_method_data = { type = "customer_balance" }, confirm = true,
    })
    assert.equal(750, intent.next_action.display_bank_transfer_instructions.amount_remaining)
    local events = world:since()
    assert.equal("payment_intent.partially_funded", events[#events])
    assert.equal("payment_intent.requires_action", events[#events - 2])
  end)

  it("gets the refunds of what it paid", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local intent, available = partly_paid(world)
    local fund = world.stripe.test_helpers.customers
    check(fund:fund_cash_balance(intent.customer, { amount = 400, currency = "eur" }))
    local refund = check(world.stripe.refunds:create { payment_intent = intent.id, amount = 300 })
    assert.equal("customer_cash_balance", refund.destination_details.type)
    assert.same({ eur = 300 }, available())
    local last = check(world.stripe.customers.cash_balance_transactions:list(intent.customer)).data[1]
    assert.same({ "refunded_from_payment", 300, refund.id },
      { last.type, last.net_amount, last.refunded_from_payment.refund })
    assert.equal("id", world:refused(function()
      return world:helper("refunds.settle", refund.id, { status = "failed" })
    end).param)
  end)

  it("keeps its customer, who is credited when the payment is canceled", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local intent, available = partly_paid(world)
    local function delete(stripe) return stripe.customers:delete(intent.customer) end
    assert.matches("has a cash balance", world:refused(delete).message)
    check(world.stripe.payment_intents:cancel(intent.id))
    assert.same({ eur = 600 }, available())
    assert.equal(400, world:refused(delete).status)
  end)
end)

describe("a payment method", function()
  after_each(payments.check_worlds)

  -- type → details as sent, what is shown of them
  local TYPES = {
    card = {
      { number = "4242424242424242", exp_month = 1, exp_year = 2031 }, { last4 = "4242", exp_year = 2031 },
    },
    us_bank_account = {
      { routing_number = "110000000", account_number = "000123456789", account_holder_type = "company" },
      { last4 = "6789", routing_number = "110000000", account_holder_type = "company", bank_name = "STRIPE TEST BANK" },
    },
    sepa_debit = { { iban = "DE89 3704 0044 0532 0130 00" }, { last4 = "3000", country = "DE" } },
    bacs_debit = { { sort_code = "108800", account_number = "00012345" }, { last4 = "2345", sort_code = "108800" } },
    au_becs_debit = {
      { bsb_number = "000000", account_number = "000123456" }, { last4 = "3456", bsb_number = "000000" },
    },
    acss_debit = { { institution_number = "000", transit_number = "11000", account_number = "000123456789" },
      { last4 = "6789", institution_number = "000", transit_number = "11000" } },
    boleto = { { tax_id = "000.000.000-00" }, { tax_id = "000.000.000-00" } },
    ideal = { { bank = "ing" }, { bank = "ing" } },
    klarna = { {}, {} },
  }
  for type, case in pairs(TYPES) do
    it("is made: " .. type, function()
      local world = payments.world()
      local method = check(world.stripe.payment_methods:create {
        type = type, [type] = case[1], billing_details = { name = "Jo", address = { city = "Berlin" } },
        metadata = { a = "1" },
      })
      assert.equal(type, method.type)
      for name, value in pairs(case[2]) do assert.equal(value, method[type][name]) end
      assert.equal("Jo", method.billing_details.name)
      assert.equal("Berlin", method.billing_details.address.city)
      assert.equal(null, method.billing_details.address.line1)
      assert.same({ a = "1" }, method.metadata)
      assert.equal(null, method.customer)
    end)
  end

  it("is attached, and detached for good", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    local other = check(world.stripe.customers:create {})
    world:since()
    local method = check(world.stripe.payment_methods:attach("pm_card_visa", { customer = customer.id }))
    assert.equal(customer.id, method.customer)
    assert.same({ "payment_method.attached" }, world:since())
    check(world.stripe.customers:update(customer.id, { invoice_settings = { default_payment_method = method.id } }))
    local err = world:refused(function(stripe)
      return stripe.payment_methods:attach(method.id, { customer = other.id })
    end)
    assert.equal("payment_method_unexpected_state", err.code)
    world:since()
    method = check(world.stripe.payment_methods:detach(method.id))
    assert.equal(null, method.customer)
    assert.same({ "payment_method.detached", "customer.updated" }, world:since())
    assert.same({ customer = customer.id }, world:event("payment_method.detached").data.previous_attributes)
    customer = check(world.stripe.customers:retrieve(customer.id))
    assert.equal(null, customer.invoice_settings.default_payment_method)
    for _, operation in ipairs { "attach", "detach" } do
      err = world:refused(function(stripe)
        return stripe.payment_methods[operation](stripe.payment_methods, method.id, operation == "attach" and
          { customer = customer.id } or nil)
      end)
      assert.equal("payment_method_unexpected_state", err.code)
    end
  end)

  it("of a test name is a new one each time", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    local first = check(world.stripe.payment_methods:attach("pm_card_visa", { customer = customer.id }))
    local second = check(world.stripe.payment_methods:attach("pm_card_visa", { customer = customer.id }))
    assert.not_equal(first.id, second.id)
    assert.equal(first.card.fingerprint, second.card.fingerprint)
    local ids = {}
    for method in world.stripe.customers.payment_methods:each(customer.id, { type = "card" }) do
      ids[#ids + 1] = method.id
    end
    assert.same({ second.id, first.id }, ids)
    assert.same(second.id, check(world.stripe.customers.payment_methods:retrieve(customer.id, second.id)).id)
  end)

  it("keeps what an update does not name", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    local method = check(world.stripe.payment_methods:attach("pm_card_visa", { customer = customer.id }))
    check(world.stripe.payment_methods:update(method.id, { billing_details = { name = "Jo" } }))
    world:since()
    method = check(world.stripe.payment_methods:update(method.id, {
      billing_details = { email = "jo@example.com" }, card = { exp_year = 2040 },
    }))
    assert.equal("Jo", method.billing_details.name)
    assert.equal(2040, method.card.exp_year)
    assert.equal("4242", method.card.last4)
    assert.same({ "payment_method.updated" }, world:since())
  end)

  it("that pays once cannot be attached", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    local method = check(world.stripe.payment_methods:create { type = "ideal", ideal = {} })
    local err = world:refused(function(stripe)
      return stripe.payment_methods:attach(method.id, { customer = customer.id })
    end)
    assert.equal("payment_method_unsupported_type", err.code)
  end)

  it("lacks what its type needs", function()
    local world = payments.world()
    for param, params in pairs {
      card = { type = "card" }, us_bank_account = { type = "us_bank_account" },
      type = { card = { token = "tok_visa" } },
      ["card[exp_month]"] = { type = "card", card = { number = "4242424242424242" } },
      ["sepa_debit[iban]"] = { type = "sepa_debit", sepa_debit = { iban = "nonsense" } },
    } do
      local err = world:refused(function(stripe) return stripe.payment_methods:create(params) end)
      assert.equal(param, err.param)
    end
  end)

  it("is made of a token, once", function()
    local world = payments.world()
    local token = check(world.stripe.tokens:create {
      card = { number = "5555555555554444", exp_month = "3", exp_year = "2033" },
    })
    local params = { type = "card", card = { token = token.id } }
    local method = check(world.stripe.payment_methods:create(params))
    assert.equal("mastercard", method.card.brand)
    assert.is_true(check(world.stripe.tokens:retrieve(token.id)).used)
    local err = world:refused(function(stripe) return stripe.payment_methods:create(params) end)
    assert.equal("token_already_used", err.code)
    check(world.stripe.payment_methods:create { type = "card", card = { token = "tok_visa" } })
    check(world.stripe.payment_methods:create { type = "card", card = { token = "tok_visa" } })
  end)

  it("declines as the token that it was made of", function()
    local world = payments.world()
    local method = check(world.stripe.payment_methods:create { type = "card", card = { token = "tok_chargeDeclined" } })
    local _, err = world.stripe.payment_intents:create {
      amount = 500, currency = "usd", payment_method = method.id, confirm = true,
    }
    assert.equal("generic_decline", err.decline_code)
  end)
end)

describe("a source", function()
  after_each(payments.check_worlds)

  local function customer_with(world, source)
    local customer = check(world.stripe.customers:create {})
    local object = check(world.stripe.customers.payment_sources:create(customer.id, { source = source }))
    return check(world.stripe.customers:retrieve(customer.id)), object
  end

  it("becomes the default if it is the first, and makes room when it goes", function()
    local world = payments.world()
    local customer, card = customer_with(world, "tok_visa")
    assert.equal(card.id, customer.default_source)
    assert.same({ "customer.created", "customer.source.created", "customer.updated" }, world:since())
    local second = check(world.stripe.customers.payment_sources:create(customer.id, { source = "tok_amex" }))
    assert.equal("American Express", second.brand)
    assert.equal(card.id, check(world.stripe.customers:retrieve(customer.id)).default_source)
    customer = check(world.stripe.customers:update(customer.id, { default_source = second.id }))
    assert.equal(second.id, customer.default_source)
    world:since()
    local stub = check(world.stripe.customers.payment_sources:delete(customer.id, second.id))
    assert.same({ id = second.id, object = "card", deleted = true }, stub)
    assert.same({ "customer.source.deleted", "customer.updated" }, world:since())
    assert.equal(card.id, check(world.stripe.customers:retrieve(customer.id)).default_source)
    local err = world:refused(function(stripe)
      return stripe.customers.payment_sources:retrieve(customer.id, second.id)
    end)
    assert.equal(404, err.status)
  end)

  it("is one of its customer alone", function()
    local world = payments.world()
    local _, card = customer_with(world, "tok_visa")
    local other = check(world.stripe.customers:create {})
    for _, call in ipairs {
      function(stripe) return stripe.customers.payment_sources:retrieve(other.id, card.id) end,
      function(stripe) return stripe.customers:update(other.id, { default_source = card.id }) end,
      function(stripe)
        return stripe.charges:create { amount = 500, currency = "usd", customer = other.id, source = card.id }
      end,
    } do
      assert.is_truthy(world:refused(call).code)
    end
  end)

  it("changes its expiry, and lists by kind", function()
    local world = payments.world()
    local customer, card = customer_with(world, "tok_visa")
    local bank = check(world.stripe.customers.payment_sources:create(customer.id, { source = "btok_us" }))
    world:since()
    card = check(world.stripe.customers.payment_sources:update(customer.id, card.id, {
      exp_month = "5", exp_year = "2039",
    }))
    assert.equal(5, card.exp_month)
    assert.equal(2039, card.exp_year)
    assert.same({ "customer.source.updated" }, world:since())
    local function ids(object)
      local found = {}
      for source in world.stripe.customers.payment_sources:each(customer.id, { object = object }) do
        found[#found + 1] = source.id
      end
      table.sort(found)
      return found
    end
    assert.same({ bank.id, card.id }, ids())
    assert.same({ card.id }, ids "card")
    assert.same({ bank.id }, ids "bank_account")
  end)

  it("that is a bank account is verified before it pays", function()
    local world = payments.world()
    local token = check(world.stripe.tokens:create { bank_account = {
      country = "US", currency = "usd", account_number = "000123456789", routing_number = "110000000",
    } })
    local customer, bank = customer_with(world, token.id)
    assert.equal("new", bank.status)
    local charge = { amount = 500, currency = "usd", customer = customer.id, source = bank.id }
    local err = world:refused(function(stripe) return stripe.charges:create(charge) end)
    assert.equal("bank_account_unverified", err.code)
    local _, wrong = world.stripe.customers.payment_sources:verify(customer.id, bank.id, { amounts = { 1, 2 } })
    assert.equal("bank_account_verification_failed", wrong.code)
    bank = check(world.stripe.customers.payment_sources:verify(customer.id, bank.id, { amounts = { 32, 45 } }))
    assert.equal("verified", bank.status)
    local paid = check(world.stripe.charges:create(charge))
    assert.equal("pending", paid.status)
    world:since()
    world:advance(5)
    assert.same({ "charge.succeeded" }, world:since())
  end)

  it("that is a bank account pays, or not, as its number says", function()
    local world = payments.world()
    local token = check(world.stripe.tokens:create { bank_account = {
      country = "US", currency = "usd", account_number = "000111111113", routing_number = "110000000",
    } })
    local customer, bank = customer_with(world, token.id)
    check(world.stripe.customers.payment_sources:verify(customer.id, bank.id, { amounts = { 32, 45 } }))
    local charge = check(world.stripe.charges:create { amount = 500, currency = "usd", customer = customer.id })
    world:since()
    world:advance(5)
    assert.same({ "charge.failed" }, world:since())
    charge = check(world.stripe.charges:retrieve(charge.id))
    assert.equal("account_closed", charge.failure_code)
    assert.is_false(charge.paid)
  end)

  it("fails to be verified at the third wrong answer", function()
    local world = payments.world()
    local customer, bank = customer_with(world, "btok_us")
    for _ = 1, 3 do
      assert.is_nil((world.stripe.customers.payment_sources:verify(customer.id, bank.id, { amounts = { 1, 2 } })))
    end
    bank = check(world.stripe.customers.payment_sources:retrieve(customer.id, bank.id))
    assert.equal("verification_failed", bank.status)
  end)

  it("by redirect waits for its customer, and is consumed", function()
    local world = payments.world()
    local source = check(world.stripe.sources:create {
      type = "bancontact", amount = 1000, currency = "eur", redirect = { return_url = "https://example.com/" },
    })
    assert.equal("pending", source.status)
    local charge = { amount = 1000, currency = "eur", source = source.id }
    assert.equal("invalid_source_usage", world:refused(function(stripe) return stripe.charges:create(charge) end).code)
    source = check(world:helper("sources.authorize", source.id))
    assert.equal("chargeable", source.status)
    assert.same({ "source.chargeable" }, world:since())
    check(world.stripe.charges:create(charge))
    assert.equal("consumed", check(world.stripe.sources:retrieve(source.id)).status)
  end)

  it("may be refused by its customer", function()
    local world = payments.world()
    local source = check(world.stripe.sources:create { type = "ideal", amount = 1000, currency = "eur" })
    assert.equal("failed", check(world:helper("sources.authorize", source.id, { outcome = "fail" })).status)
    assert.same({ "source.failed" }, world:since())
  end)

  it("of a token is a card that can be attached", function()
    local world = payments.world()
    local source = check(world.stripe.sources:create { type = "card", token = "tok_visa" })
    assert.equal("4242", source.card.last4)
    assert.equal("chargeable", source.status)
    local customer = customer_with(world, source.id)
    check(world.stripe.charges:create { amount = 500, currency = "usd", customer = customer.id, source = source.id })
    local detached = check(world.stripe.customers.payment_sources:delete(customer.id, source.id))
    assert.equal("source", detached.object)
    assert.is_nil(detached.customer)
  end)

  it("serves as a payment method under its own id", function()
    local world = payments.world()
    local customer, card = customer_with(world, "tok_visa")
    local intent = world:paid { customer = customer.id, payment_method = card.id }
    assert.equal(card.id, intent.payment_method)
    local method = check(world.stripe.payment_methods:retrieve(card.id))
    assert.equal("payment_method", method.object)
    assert.equal(customer.id, method.customer)
  end)
end)

describe("a legacy charge", function()
  after_each(payments.check_worlds)

  it("takes a token", function()
    local world = payments.world()
    local charge = check(world.stripe.charges:create { amount = 1000, currency = "usd", source = "tok_visa" })
    assert.equal("succeeded", charge.status)
    assert.equal("Visa", charge.source.brand)
    assert.equal(charge.source.id, charge.payment_method)
    assert.same({ "charge.succeeded" }, world:since())
  end)

  it("takes what its customer pays with", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create { source = "tok_visa" })
    local charge = check(world.stripe.charges:create { amount = 1000, currency = "usd", customer = customer.id })
    assert.equal(customer.default_source, charge.source.id)
    assert.equal(customer.id, charge.customer)
    local poor = check(world.stripe.customers:create {})
    local err = world:refused(function(stripe)
      return stripe.charges:create { amount = 1000, currency = "usd", customer = poor.id }
    end)
    assert.equal(402, err.status)
    assert.equal("missing", err.code)
  end)

  it("is held, captured once, or expires", function()
    local world = payments.world()
    local params = { amount = 1000, currency = "usd", source = "tok_visa", capture = false }
    local charge = check(world.stripe.charges:create(params))
    assert.is_false(charge.captured)
    assert.equal(null, charge.balance_transaction)
    world:since()
    charge = check(world.stripe.charges:capture(charge.id, { amount = 600 }))
    assert.is_true(charge.captured)
    assert.equal(600, charge.amount_captured)
    assert.equal(400, charge.amount_refunded)
    assert.same({ "charge.captured" }, world:since())
    local err = world:refused(function(stripe) return stripe.charges:capture(charge.id) end)
    assert.equal("charge_already_captured", err.code)
    local expiring = check(world.stripe.charges:create(params))
    err = world:refused(function(stripe) return stripe.charges:capture(expiring.id, { amount = 1001 }) end)
    assert.equal("amount", err.param)
    world:since()
    world:advance(7 * 86400)
    assert.same({ "balance.available", "charge.expired" }, world:since())
    err = world:refused(function(stripe) return stripe.charges:capture(expiring.id) end)
    assert.equal("charge_expired_for_capture", err.code)
  end)

  it("of an intent is captured by that", function()
    local world = payments.world()
    local intent = world:paid { capture_method = "manual" }
    local err = world:refused(function(stripe) return stripe.charges:capture(intent.latest_charge) end)
    assert.equal("charge", err.param)
  end)

  it("tells of changes", function()
    local world = payments.world()
    local charge = check(world.stripe.charges:create { amount = 1000, currency = "usd", source = "tok_visa" })
    world:since()
    charge = check(world.stripe.charges:update(charge.id, {
      metadata = { a = "b" }, fraud_details = { user_report = "safe" },
    }))
    assert.equal("safe", charge.fraud_details.user_report)
    assert.same({ "charge.updated" }, world:since())
    local previous = { fraud_details = { user_report = null }, metadata = { a = null } }
    assert.same(previous, world:event("charge.updated").data.previous_attributes)
  end)

  it("needs an amount, a currency, and what to charge", function()
    local world = payments.world()
    for param, params in pairs {
      amount = { currency = "usd", source = "tok_visa" }, currency = { amount = 500, source = "tok_visa" },
      source = { amount = 500, currency = "usd" },
    } do
      local err = world:refused(function(stripe) return stripe.charges:create(params) end)
      assert.equal("parameter_missing", err.code)
      assert.equal(param, err.param)
    end
  end)
end)

describe("a dispute", function()
  after_each(payments.check_worlds)

  local function disputed(world, name)
    local intent = world:paid { payment_method = "pm_card_" .. (name or "createDispute") }
    world:since()
    return check(world.stripe.disputes:list { charge = intent.latest_charge }).data[1]
  end

  it("is won with the right evidence, and the money comes back", function()
    local world = payments.world()
    local dispute = disputed(world)
    dispute = check(world.stripe.disputes:update(dispute.id, {
      evidence = { product_description = "a hat" }, submit = false,
    }))
    assert.equal("needs_response", dispute.status)
    assert.is_true(dispute.evidence_details.has_evidence)
    assert.equal(0, dispute.evidence_details.submission_count)
    dispute = check(world.stripe.disputes:update(dispute.id, {
      evidence = { uncategorized_text = "winning_evidence" },
    }))
    assert.equal("won", dispute.status)
    assert.equal("a hat", dispute.evidence.product_description)
    assert.equal(1, dispute.evidence_details.submission_count)
    assert.same({
      "charge.dispute.updated", "charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_reinstated",
    }, world:since())
    local sum = 0
    for transaction in world.stripe.balance_transactions:each { source = dispute.id } do
      sum = sum + transaction.amount
    end
    assert.equal(0, sum)
  end)

  it("is under review until it is decided", function()
    local world = payments.world()
    local dispute = disputed(world)
    dispute = check(world.stripe.disputes:update(dispute.id, { evidence = { uncategorized_text = "please" } }))
    assert.equal("under_review", dispute.status)
    dispute = check(world:helper("disputes.resolve", dispute.id, { status = "lost" }))
    assert.equal("lost", dispute.status)
    local err = world:refused(function() return world:helper("disputes.resolve", dispute.id) end)
    assert.equal("status_transition_invalid", err.code)
  end)

  it("is lost when it is closed", function()
    local world = payments.world()
    local dispute = check(world.stripe.disputes:close(disputed(world).id))
    assert.equal("lost", dispute.status)
    assert.same({ "charge.dispute.closed" }, world:since())
    assert.equal("status_transition_invalid",
      world:refused(function(stripe) return stripe.disputes:close(dispute.id) end).code)
  end)

  it("that only asks takes no money, unless it is escalated", function()
    local world = payments.world()
    local inquiry = disputed(world, "createDisputeInquiry")
    assert.equal(0, #inquiry.balance_transactions)
    assert.equal("warning_closed", check(world.stripe.disputes:close(inquiry.id)).status)
    local other = disputed(world, "createDisputeInquiry")
    other = check(world.stripe.disputes:update(other.id, {
      evidence = { uncategorized_text = "escalate_inquiry_evidence" },
    }))
    assert.equal("needs_response", other.status)
    assert.equal(1, #other.balance_transactions)
  end)

  it("that is escalated takes what was not refunded before", function()
    local world = payments.world()
    for _, case in ipairs { { 1500, "needs_response", 500 }, { 2000, "warning_closed" } } do
      local inquiry = disputed(world, "createDisputeInquiry")
      check(world.stripe.refunds:create { charge = inquiry.charge, amount = case[1] })
      inquiry = check(world.stripe.disputes:update(inquiry.id, {
        evidence = { uncategorized_text = "escalate_inquiry_evidence" },
      }))
      local taken = inquiry.balance_transactions[1]
      assert.same({ case[2], case[3] and -case[3] }, { inquiry.status, taken and taken.amount })
      assert.equal(case[3] or 2000, inquiry.amount)
    end
  end)
end)

describe("a payment of a platform", function()
  after_each(payments.check_worlds)

  local function connected(world)
    return check(world.stripe.accounts:create { type = "express", country = "US" }).id
  end

  -- What an account has: pending and available.
  local function holds(world, account)
    local balance = check(world.stripe.balance:retrieve({}, account and { stripe_account = account }))
    local sum = 0
    for _, column in ipairs { "available", "pending" } do
      for _, entry in ipairs(balance[column]) do sum = sum + entry.amount end
    end
    return sum
  end

  it("goes on to a connected account, less the platform's fee", function()
    local world = payments.world()
    local account = connected(world)
    local intent = world:paid {
      amount = 10000, transfer_data = { destination = account }, application_fee_amount = 1000,
    }
    assert.equal(account, intent.transfer_data.destination)
    local charge = check(world.stripe.charges:retrieve(intent.latest_charge, {
      expand = { "transfer", "application_fee" },
    }))
    assert.equal(10000, charge.transfer.amount)
    assert.equal(account, charge.transfer.destination)
    assert.equal(1000, charge.application_fee.amount)
    assert.equal(9000, holds(world, account))
    assert.equal(10000 - 320 - 10000 + 1000, holds(world))
  end)

  it("is given back by all three", function()
    local world = payments.world()
    local account = connected(world)
    local intent = world:paid {
      amount = 10000, transfer_data = { destination = account }, application_fee_amount = 1000,
    }
    check(world.stripe.refunds:create {
      payment_intent = intent.id, amount = 5000, reverse_transfer = true, refund_application_fee = true,
    })
    assert.equal(4500, holds(world, account))
    local there = check(world.stripe.balance:retrieve(nil, { stripe_account = account }))
    assert.same({ 0, 4500 }, { there.available[1].amount, there.pending[1].amount })
    assert.equal(-320 + 500, holds(world))
    local charge = check(world.stripe.charges:retrieve(intent.latest_charge, {
      expand = { "transfer", "application_fee" },
    }))
    assert.equal(5000, charge.transfer.amount_reversed)
    assert.equal(500, charge.application_fee.amount_refunded)
  end)

  it("goes on in parts, where it is captured in parts", function()
    local world = payments.world()
    local account = connected(world)
    local intent = world:paid {
      amount = 10000, transfer_data = { destination = account }, application_fee_amount = 1000,
      capture_method = "manual", payment_method_options = { card = { request_multicapture = "if_available" } },
    }
    check(world.stripe.payment_intents:capture(intent.id, { amount_to_capture = 6000, final_capture = false }))
    assert.equal(5000, holds(world, account))
    check(world.stripe.payment_intents:capture(intent.id, { amount_to_capture = 3000 }))
    assert.equal(8000, holds(world, account))
  end)

  describe("captured in parts", function()
    local world, account

    local function in_parts(params, ...)
      world = payments.world()
      account = connected(world)
      local all = {
        capture_method = "manual", payment_method_options = { card = { request_multicapture = "if_available" } },
      }
      for name, value in pairs(params) do all[name] = value end
      all.transfer_data = params.transfer_data or {}
      all.transfer_data.destination = account
      local intent = world:paid(all)
      for _, part in ipairs { ... } do check(world.stripe.payment_intents:capture(intent.id, part)) end
      return intent
    end

    it("moves what transfer_data says in all, as far as it is captured", function()
      local parts = {
        { amount_to_capture = 800, final_capture = false }, { amount_to_capture = 100, final_capture = false },
        { amount_to_capture = 700 },
      }
      for asked, moved in pairs { [500] = 500, [1000] = 1000, [2000] = 1600 } do
        in_parts({ transfer_data = { amount = asked } }, table.unpack(parts))
        assert.equal(moved, holds(world, account))
        assert.equal(asked == 500 and 1 or 3, #check(world.stripe.transfers:list()).data)
      end
      in_parts({}, parts[1], { amount_to_capture = 200, final_capture = false, transfer_data = { amount = 900 } },
        { amount_to_capture = 1000 })
      assert.equal(900, holds(world, account))
    end)

    it("gives all its transfers back, the latest first", function()
      local intent = in_parts({ application_fee_amount = 1 }, { amount_to_capture = 700, final_capture = false },
        { amount_to_capture = 1300 })
      local function refund(amount)
        local made = check(world.stripe.refunds:create {
          payment_intent = intent.id, amount = amount, reverse_transfer = true, refund_application_fee = true,
        })
        local reversed = {}
        for transfer in world.stripe.transfers:each() do reversed[#reversed + 1] = transfer.amount_reversed end
        assert.matches("^trr_", made.transfer_reversal)
        return reversed
      end
      assert.same({ 1, 0 }, refund(1))
      assert.equal(0, #check(world.stripe.application_fees:list { expand = { "data.refunds" } }).data[1].refunds.data)
      assert.same({ 1300, 200 }, refund(1499))
      assert.same({ 1300, 700 }, refund())
    end)

    it("pays the fee once, of what is captured then", function()
      local intent = in_parts({ application_fee_amount = 1500 }, { amount_to_capture = 1600, final_capture = false })
      assert.equal("application_fee_amount", world:refused(function(stripe)
        return stripe.payment_intents:capture(intent.id, { application_fee_amount = 100 })
      end).param)
      check(world.stripe.payment_intents:capture(intent.id))
      assert.equal(500, holds(world, account))
      in_parts({ application_fee_amount = 1500 }, { amount_to_capture = 1000 })
      assert.equal(0, holds(world, account))
      in_parts({}, { amount_to_capture = 600, final_capture = false }, { application_fee_amount = 300 })
      assert.equal(1700, holds(world, account))
    end)

    it("is refused what does not fit", function()
      local intent = in_parts({}, { amount_to_capture = 600, final_capture = false })
      for param, params in pairs {
        application_fee_amount = { amount_to_capture = 100, application_fee_amount = 101 },
        ["transfer_data[amount]"] = { amount_to_capture = 100, transfer_data = { amount = 701 } },
      } do
        local err = world:refused(function(stripe) return stripe.payment_intents:capture(intent.id, params) end)
        assert.same({ 400, param }, { err.status, err.param })
      end
      local with_fee = in_parts({ application_fee_amount = 100 }, { amount_to_capture = 600, final_capture = false })
      local both = { application_fee_amount = 100, transfer_data = { destination = account, amount = 900 } }
      both.amount, both.currency = 1000, "usd"
      for _, call in ipairs {
        function(stripe) return stripe.payment_intents:create(both) end,
        function(stripe)
          return stripe.charges:create { amount = 1000, currency = "usd", source = "tok_visa",
            application_fee_amount = 100, transfer_data = both.transfer_data }
        end,
        function(stripe) return stripe.payment_intents:capture(with_fee.id, { transfer_data = { amount = 50 } }) end,
      } do
        local err = world:refused(call)
        assert.same({ "transfer_data[amount]", "parameters_exclusive" }, { err.param, err.code })
      end
      local params = { transfer_data = { amount = 1 } }
      local plain = world:paid { capture_method = "manual" }
      local held = check(world.stripe.charges:create {
        amount = 500, currency = "usd", source = "tok_visa", capture = false,
      })
      for _, capture in ipairs {
        function(stripe) return stripe.payment_intents:capture(plain.id, params) end,
        function(stripe) return stripe.charges:capture(held.id, params) end,
      } do assert.equal("transfer_data", world:refused(capture).param) end
    end)
  end)

  it("is made on a connected account, which pays the fee", function()
    local world = payments.world()
    local account = connected(world)
    local intent = check(world.stripe.payment_intents:create({
      amount = 10000, currency = "usd", payment_method = "pm_card_visa", confirm = true, application_fee_amount = 1000,
    }, { stripe_account = account }))
    local charge = check(world.stripe.charges:retrieve(intent.latest_charge, { expand = { "balance_transaction" } },
      { stripe_account = account }))
    assert.equal(1320, charge.balance_transaction.fee)
    assert.equal(8680, holds(world, account))
    assert.equal(1000, holds(world))
    assert.equal(404, world:refused(function(stripe) return stripe.payment_intents:retrieve(intent.id) end).status)
  end)
end)
