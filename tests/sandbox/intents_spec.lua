-- PaymentIntents and SetupIntents: every row of their tables, every test card, every delayed method.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path

local payments = require "payments"
local cards = require "sandbox.cards"

local check, null = payments.check, payments.null

local function create(world, params)
  local all = { amount = 2000, currency = "usd" }
  for name, value in pairs(params or {}) do all[name] = value end
  return world.stripe.payment_intents:create(all)
end

-- An intent in each status, and the world it is in.
local function intent_in(status)
  local world = payments.world()
  local make = {
    requires_payment_method = {},
    requires_confirmation = { payment_method = "pm_card_visa" },
    requires_action = { payment_method = "pm_card_authenticationRequired", confirm = true },
    requires_capture = { payment_method = "pm_card_visa", confirm = true, capture_method = "manual" },
    processing = { payment_method = "pm_usBankAccount_success", confirm = true },
    succeeded = { payment_method = "pm_card_visa", confirm = true },
    canceled = {},
  }
  local intent = check(create(world, make[status]))
  if status == "canceled" then intent = check(world.stripe.payment_intents:cancel(intent.id)) end
  assert.equal(status, intent.status)
  world:since()
  return world, intent
end

describe("a payment intent", function()
  after_each(payments.check_worlds)

  it("waits for a method, then for its confirmation", function()
    local world = payments.world()
    local intent = check(create(world))
    assert.equal("requires_payment_method", intent.status)
    assert.matches("^pi_%w+_secret_%w+$", intent.client_secret)
    assert.equal(intent.id, intent.client_secret:match "^(pi_%w+)_secret")
    assert.same({ "payment_intent.created" }, world:since())
    intent = check(world.stripe.payment_intents:update(intent.id, { payment_method = "pm_card_visa" }))
    assert.equal("requires_confirmation", intent.status)
    assert.matches("^pm_1?%w+$", intent.payment_method)
    assert.same({}, world:since())
    intent = check(world.stripe.payment_intents:confirm(intent.id))
    assert.equal("succeeded", intent.status)
    assert.equal(2000, intent.amount_received)
    assert.same({ "charge.succeeded", "payment_intent.succeeded" }, world:since())
    world:balance_agrees()
  end)

  it("is shown to a publishable key by its own secret alone", function()
    local world, intent = intent_in "requires_confirmation"
    local public = world.box:client { api_key = "pk_test_123" }
    local path = "/v1/payment_intents/" .. intent.id
    assert.equal(intent.id, check(public:request("GET", path, { client_secret = intent.client_secret })).id)
    for code, params in pairs {
      parameter_missing = {}, payment_intent_invalid_parameter = { client_secret = intent.id .. "_secret_x" },
    } do
      local shown, err = public:request("GET", path, params)
      assert.is_nil(shown)
      assert.same({ 400, code, "client_secret" }, { err.status, err.code, err.param })
    end
  end)

  for _, kind in ipairs { "payment_intents", "setup_intents" } do
    it("is confirmed by a publishable key with its own secret alone: of " .. kind, function()
      local world = payments.world()
      local params = kind == "payment_intents" and { amount = 500, currency = "usd" } or {}
      local intent = check(world.stripe[kind]:create(params))
      local path, method = ("/v1/%s/%s/confirm"):format(kind, intent.id), "pm_card_visa"
      local secret = intent.client_secret
      local public = world.box:client { api_key = "pk_test_123" }
      for _, wrong in ipairs { {}, { client_secret = secret .. "x" } } do
        local err = world:refused(function()
          return public:request("POST", path, { payment_method = method, client_secret = wrong.client_secret })
        end)
        assert.same({ 400, "client_secret" }, { err.status, err.param })
      end
      intent = check(public:request("POST", path, { payment_method = method, client_secret = secret }))
      assert.equal("succeeded", intent.status)
      local err = world:refused(function() return public:request("POST", path, { client_secret = "x" }) end)
      assert.equal("client_secret", err.param)
    end)
  end

  it("takes `off_session` with its confirmation alone", function()
    local world = payments.world()
    local err = world:refused(function() return create(world, { off_session = true }) end)
    assert.same({ 400, "off_session" }, { err.status, err.param })
    assert.equal("succeeded", world:paid({ off_session = true }).status)
  end)

  it("is paid by payment_method_data with a card's token", function()
    local world = payments.world()
    local function with(token) return { type = "card", card = { token = token } } end
    local intent = check(world.stripe:request("POST", "/v1/payment_intents", {
      amount = 2000, currency = "usd", confirm = true, payment_method_data = with "tok_mastercard",
    }))
    assert.equal("succeeded", intent.status)
    assert.equal("mastercard", check(world.stripe.payment_methods:retrieve(intent.payment_method)).card.brand)
    local token = check(world.stripe.tokens:create {
      card = { number = "4242424242424242", exp_month = "12", exp_year = "2031" },
    }).id
    local params = { amount = 2000, currency = "usd", payment_method_data = with(token) }
    check(world.stripe:request("POST", "/v1/payment_intents", params))
    local _, err = world.stripe:request("POST", "/v1/payment_intents", params)
    assert.equal("token_already_used", err.code)
  end)

  it("is created and confirmed in one request", function()
    local world = payments.world()
    local intent = world:paid { description = "one", metadata = { order = "1" }, receipt_email = "a@example.com" }
    assert.same({ "payment_intent.created", "charge.succeeded", "payment_intent.succeeded" }, world:since())
    local charge = check(world.stripe.charges:retrieve(intent.latest_charge, { expand = { "balance_transaction" } }))
    assert.is_true(charge.paid and charge.captured)
    assert.equal("succeeded", charge.status)
    assert.equal(2000, charge.amount_captured)
    assert.same({ order = "1" }, charge.metadata)
    assert.equal("one", charge.description)
    assert.equal("a@example.com", charge.receipt_email)
    assert.equal(intent.id, charge.payment_intent)
    assert.equal(intent.payment_method, charge.payment_method)
    assert.equal("4242", charge.payment_method_details.card.last4)
    assert.equal("approved_by_network", charge.outcome.network_status)
    local transaction = charge.balance_transaction
    assert.equal(2000, transaction.amount)
    assert.equal(88, transaction.fee)
    assert.equal(1912, transaction.net)
    assert.equal("pending", transaction.status)
    assert.equal(world.now + 2 * 86400, transaction.available_on)
    world:balance_agrees()
    world:advance(2 * 86400)
    assert.same({ "balance.available" }, world:since())
    world:balance_agrees()
  end)

  it("shows at its creation that it waits for confirmation", function()
    local world = payments.world()
    world:paid()
    assert.equal("requires_confirmation", world:event("payment_intent.created").data.object.status)
    assert.equal("succeeded", world:event("payment_intent.succeeded").data.object.status)
  end)

  it("is held, and captured in part", function()
    local world = payments.world()
    local intent = world:paid { capture_method = "manual" }
    assert.equal("requires_capture", intent.status)
    assert.equal(2000, intent.amount_capturable)
    assert.equal(0, intent.amount_received)
    assert.same({
      "payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated",
    }, world:since())
    local charge = check(world.stripe.charges:retrieve(intent.latest_charge))
    assert.is_false(charge.captured)
    assert.equal(null, charge.balance_transaction)
    intent = check(world.stripe.payment_intents:capture(intent.id, { amount_to_capture = 1500 }))
    assert.equal("succeeded", intent.status)
    assert.equal(1500, intent.amount_received)
    assert.equal(0, intent.amount_capturable)
    assert.same({ "charge.captured", "payment_intent.succeeded" }, world:since())
    assert.same({ amount_captured = 0, captured = false, amount_refunded = 0, balance_transaction = null },
      world:event("charge.captured").data.previous_attributes)
    charge = check(world.stripe.charges:retrieve(intent.latest_charge))
    assert.equal(1500, charge.amount_captured)
    assert.equal(500, charge.amount_refunded)
    assert.is_false(charge.refunded)
    world:balance_agrees()
    local refused = world:refused(function(stripe) return stripe.payment_intents:capture(intent.id) end)
    assert.equal("payment_intent_unexpected_state", refused.code)
  end)

  it("is captured several times where that was asked for", function()
    local world = payments.world()
    local once = world:paid { capture_method = "manual" }
    local refused = world:refused(function(stripe)
      return stripe.payment_intents:capture(once.id, { amount_to_capture = 1, final_capture = false })
    end)
    assert.equal("final_capture", refused.param)
    local intent = world:paid {
      capture_method = "manual", payment_method_options = { card = { request_multicapture = "if_available" } },
    }
    for left = 1300, 600, -700 do
      intent = check(world.stripe.payment_intents:capture(intent.id, {
        amount_to_capture = 700, final_capture = false,
      }))
      assert.equal("requires_capture", intent.status)
      assert.equal(left, intent.amount_capturable)
    end
    intent = check(world.stripe.payment_intents:capture(intent.id))
    assert.equal("succeeded", intent.status)
    assert.equal(2000, intent.amount_received)
    local amounts = {}
    for transaction in world.stripe.balance_transactions:each { source = intent.latest_charge } do
      amounts[#amounts + 1] = transaction.amount
    end
    assert.same({ 600, 700, 700 }, amounts)
    world:balance_agrees()
  end)

  it("is not captured beyond what is held", function()
    local world, intent = intent_in "requires_capture"
    for amount, code in pairs { [2001] = "amount_too_large", [0] = "parameter_invalid_integer" } do
      local err = world:refused(function(stripe)
        return stripe.payment_intents:capture(intent.id, { amount_to_capture = amount })
      end)
      assert.equal(code, err.code)
      assert.equal("amount_to_capture", err.param)
    end
  end)

  it("is authorized for more where that was asked for", function()
    local world = payments.world()
    local intent = world:paid {
      capture_method = "manual",
      payment_method_options = { card = { request_incremental_authorization = "if_available" } },
    }
    world:since()
    intent = check(world.stripe.payment_intents:increment_authorization(intent.id, { amount = 3000 }))
    assert.equal(3000, intent.amount)
    assert.equal(3000, intent.amount_capturable)
    assert.same({ "charge.updated", "payment_intent.amount_capturable_updated" }, world:since())
    local refused = world:refused(function(stripe)
      return stripe.payment_intents:increment_authorization(intent.id, { amount = 3000 })
    end)
    assert.equal("amount", refused.param)
    intent = check(world.stripe.payment_intents:capture(intent.id))
    assert.equal(3000, intent.amount_received)
    world:balance_agrees()
  end)

  it("keeps a decline, with its charge and its error", function()
    local world = payments.world()
    local intent, err = create(world, { payment_method = "pm_card_chargeDeclinedInsufficientFunds", confirm = true })
    assert.is_nil(intent)
    assert.equal("card", err.kind)
    assert.equal(402, err.status)
    assert.equal("card_declined", err.code)
    assert.equal("insufficient_funds", err.decline_code)
    assert.equal("payment_intent", err.payment_intent.object)
    assert.equal("payment_method", err.payment_method.object)
    assert.same({ "payment_intent.created", "charge.failed", "payment_intent.payment_failed" }, world:since())
    intent = check(world.stripe.payment_intents:retrieve(err.payment_intent.id))
    assert.equal("requires_payment_method", intent.status)
    assert.equal(null, intent.payment_method)
    assert.equal("insufficient_funds", intent.last_payment_error.decline_code)
    assert.equal(err.charge, intent.last_payment_error.charge)
    assert.equal(err.payment_method.id, intent.last_payment_error.payment_method.id)
    local charge = check(world.stripe.charges:retrieve(err.charge))
    assert.equal("failed", charge.status)
    assert.equal("card_declined", charge.failure_code)
    assert.equal("insufficient_funds", charge.outcome.reason)
    assert.is_false(charge.paid)
    intent = check(world.stripe.payment_intents:confirm(intent.id, { payment_method = "pm_card_visa" }))
    assert.equal("succeeded", intent.status)
    assert.equal(null, intent.last_payment_error)
    world:balance_agrees()
  end)

  describe("whose card needs its holder", function()
    it("waits, and is paid once the holder has authenticated", function()
      local world = payments.world()
      local intent = check(create(world, {
        payment_method = "pm_card_threeDSecure2Required", confirm = true, return_url = "https://example.com/back",
      }))
      assert.equal("requires_action", intent.status)
      assert.equal("redirect_to_url", intent.next_action.type)
      assert.equal("https://example.com/back", intent.next_action.redirect_to_url.return_url)
      assert.same({ "payment_intent.created", "payment_intent.requires_action" }, world:since())
      intent = check(world:helper("payment_intents.authenticate", intent.id))
      assert.equal("succeeded", intent.status)
      assert.equal(null, intent.next_action)
      assert.same({ "charge.succeeded", "payment_intent.succeeded" }, world:since())
      local charge = check(world.stripe.charges:retrieve(intent.latest_charge))
      assert.equal("authenticated", charge.payment_method_details.card.three_d_secure.result)
    end)

    it("starts again when the holder fails", function()
      local world, intent = intent_in "requires_action"
      assert.equal("use_stripe_sdk", intent.next_action.type)
      intent = check(world:helper("payment_intents.authenticate", intent.id, { outcome = "fail" }))
      assert.equal("requires_payment_method", intent.status)
      assert.equal("payment_intent_authentication_failure", intent.last_payment_error.code)
      assert.same({ "payment_intent.payment_failed" }, world:since())
      local refused = world:refused(function() return world:helper("payment_intents.authenticate", intent.id) end)
      assert.equal("payment_intent_unexpected_state", refused.code)
    end)

    it("is confirmed once more by its maker, if it is confirmed by hand", function()
      local world = payments.world()
      local intent = check(create(world, {
        payment_method = "pm_card_authenticationRequired", confirm = true, confirmation_method = "manual",
      }))
      intent = check(world:helper("payment_intents.authenticate", intent.id))
      assert.equal("requires_confirmation", intent.status)
      intent = check(world.stripe.payment_intents:confirm(intent.id))
      assert.equal("succeeded", intent.status)
    end)

    it("declines off session, and with error_on_requires_action", function()
      for _, params in ipairs { { off_session = true }, { error_on_requires_action = true } } do
        local world = payments.world()
        params.payment_method, params.confirm = "pm_card_authenticationRequired", true
        local _, err = create(world, params)
        assert.equal(402, err.status)
        assert.equal("authentication_required", err.code)
        assert.equal("authentication_required", err.decline_code)
        assert.equal("requires_payment_method", err.payment_intent.status)
        assert.same({ "payment_intent.created", "charge.failed", "payment_intent.payment_failed" }, world:since())
      end
    end)

    it("goes on after a snapshot was restored", function()
      local host = require "sandbox.host"
      for name, status in pairs {
        authenticationRequired = "succeeded",
        authenticationRequiredChargeDeclinedInsufficientFunds = "requires_payment_method",
      } do
        local world = payments.world()
        local intent = check(create(world, { payment_method = "pm_card_" .. name, confirm = true }))
        world.box:load(host.decode(host.encode(world.box:save())))
        assert.equal(status, check(world:helper("payment_intents.authenticate", intent.id)).status)
      end
    end)

    it("may fail after all", function()
      local world = payments.world()
      local intent = check(create(world, {
        payment_method = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", confirm = true,
      }))
      intent = check(world:helper("payment_intents.authenticate", intent.id))
      assert.equal("requires_payment_method", intent.status)
      assert.equal("insufficient_funds", intent.last_payment_error.decline_code)
    end)

    -- number's name, off session before it was set up, after, on session
    for name, wanted in pairs {
      authenticationRequiredOnSetup = { false, true, false },
      authenticationRequired = { false, false, false },
      authenticationRequiredSetupForOffSession = { true, true, false },
      threeDSecureOptional = { true, true, true },
    } do
      it("knows what pm_card_" .. name .. " wants", function()
        local world = payments.world()
        local customer = check(world.stripe.customers:create {})
        local method = check(world.stripe.payment_methods:attach("pm_card_" .. name, { customer = customer.id }))
        local function pays(params)
          params.payment_method, params.customer, params.confirm = method.id, customer.id, true
          local intent = create(world, params)
          return intent ~= nil and intent.status == "succeeded"
        end
        assert.equal(wanted[1], pays { off_session = true })
        local setup = check(world.stripe.setup_intents:create {
          customer = customer.id, payment_method = method.id, confirm = true,
        })
        if setup.status == "requires_action" then check(world:helper("setup_intents.authenticate", setup.id)) end
        assert.equal(wanted[2], pays { off_session = true })
        assert.equal(wanted[3], pays {})
      end)
    end
  end)

  -- operation → what it is called with, and the statuses that it may be called in
  local OPERATIONS = {
    confirm = { { payment_method = "pm_card_visa" }, "requires_payment_method requires_confirmation requires_action" },
    capture = { {}, "requires_capture" },
    cancel = { {}, "requires_payment_method requires_confirmation requires_action requires_capture processing" },
    update = { { amount = 900 }, "requires_payment_method requires_confirmation requires_action" },
    increment_authorization = { { amount = 9000 }, "" },
    verify_microdeposits = { { amounts = { 32, 45 } }, "" },
    apply_customer_balance = { {}, "" },
  }
  local STATUSES = {
    "requires_payment_method", "requires_confirmation", "requires_action", "requires_capture", "processing",
    "succeeded", "canceled",
  }
  for operation, case in pairs(OPERATIONS) do
    it("allows " .. operation .. " in its states alone", function()
      for _, status in ipairs(STATUSES) do
        local world, intent = intent_in(status)
        if (" " .. case[2] .. " "):find(" " .. status .. " ", 1, true) then
          check(world.stripe.payment_intents[operation](world.stripe.payment_intents, intent.id, case[1]))
        else
          local err = world:refused(function(stripe)
            return stripe.payment_intents[operation](stripe.payment_intents, intent.id, case[1])
          end)
          assert.equal(400, err.status)
          if err.code == "payment_intent_unexpected_state" then assert.equal(intent.id, err.payment_intent.id) end
        end
      end
    end)
  end

  it("is canceled in every state that is not final", function()
    for _, status in ipairs { "requires_payment_method", "requires_confirmation", "requires_action" } do
      local world, intent = intent_in(status)
      intent = check(world.stripe.payment_intents:cancel(intent.id, { cancellation_reason = "abandoned" }))
      assert.equal("canceled", intent.status)
      assert.equal("abandoned", intent.cancellation_reason)
      assert.equal(world.now, intent.canceled_at)
      assert.equal(null, intent.next_action)
      assert.same({ "payment_intent.canceled" }, world:since())
    end
  end)

  it("releases what it holds when it is canceled", function()
    local world, intent = intent_in "requires_capture"
    intent = check(world.stripe.payment_intents:cancel(intent.id))
    assert.equal(0, intent.amount_capturable)
    assert.same({ "payment_intent.canceled" }, world:since())
    local charge = check(world.stripe.charges:retrieve(intent.latest_charge))
    assert.is_true(charge.refunded)
    assert.equal(2000, charge.amount_refunded)
    assert.is_false(charge.captured)
    world:balance_agrees()
  end)

  it("releases by itself what nobody captures in seven days", function()
    local world, intent = intent_in "requires_capture"
    world:advance(7 * 86400)
    assert.same({ "charge.expired", "payment_intent.canceled" }, world:since())
    intent = check(world.stripe.payment_intents:retrieve(intent.id))
    assert.equal("automatic", intent.cancellation_reason)
  end)

  it("changes its metadata in every state", function()
    for _, status in ipairs(STATUSES) do
      local world, intent = intent_in(status)
      intent = check(world.stripe.payment_intents:update(intent.id, { metadata = { a = "b" }, description = "later" }))
      assert.same({ a = "b" }, intent.metadata)
      assert.equal(status, intent.status)
    end
  end)

  describe("by a delayed method", function()
    local function debit(world, kind, details, currency)
      return check(world.stripe.payment_intents:create {
        amount = 5000, currency = currency, confirm = true,
        payment_method_data = { type = kind, [kind] = details, billing_details = { name = "Jo" } },
        mandate_data = { customer_acceptance = { type = "offline" } },
      })
    end

    local METHODS = {
      us_bank_account = { "usd", { routing_number = "110000000", account_number = "000123456789",
        account_holder_type = "individual" } },
      sepa_debit = { "eur", { iban = "DE89370400440532013000" } },
      bacs_debit = { "gbp", { sort_code = "108800", account_number = "00012345" } },
      au_becs_debit = { "aud", { bsb_number = "000000", account_number = "000123456" } },
      acss_debit = { "cad", { institution_number = "000", transit_number = "11000", account_number = "000123456789" } },
    }
    for kind, case in pairs(METHODS) do
      it("is processing until the bank answers: " .. kind, function()
        local world = payments.world()
        local intent = debit(world, kind, case[2], case[1])
        assert.equal("processing", intent.status)
        assert.same({ "payment_intent.created", "charge.pending", "payment_intent.processing" }, world:since())
        local charge = check(world.stripe.charges:retrieve(intent.latest_charge))
        assert.equal("pending", charge.status)
        assert.equal(kind, charge.payment_method_details.type)
        assert.equal(null, charge.balance_transaction)
        world:advance(5)
        assert.same({ "charge.succeeded", "payment_intent.succeeded" }, world:since())
        intent = check(world.stripe.payment_intents:retrieve(intent.id, {
          expand = { "latest_charge.balance_transaction" },
        }))
        assert.equal("succeeded", intent.status)
        assert.equal(5000, intent.amount_received)
        assert.equal("payment", intent.latest_charge.balance_transaction.type)
        world:balance_agrees()
      end)
    end

    it("makes a mandate", function()
      local world = payments.world()
      local intent = debit(world, "sepa_debit", { iban = "DE89370400440532013000" }, "eur")
      local charge = check(world.stripe.charges:retrieve(intent.latest_charge))
      local mandate = check(world.stripe.mandates:retrieve(charge.payment_method_details.sepa_debit.mandate))
      assert.equal("active", mandate.status)
      assert.equal("single_use", mandate.type)
      assert.same({ amount = 5000, currency = "eur" }, mandate.single_use)
      assert.equal("offline", mandate.customer_acceptance.type)
      assert.equal(intent.payment_method, mandate.payment_method)
    end)

    for account, failure in pairs {
      accountClosed = "account_closed", noAccount = "no_account", insufficientFunds = "insufficient_funds",
      debitNotAuthorized = "debit_not_authorized",
    } do
      it("fails as pm_usBankAccount_" .. account .. " says", function()
        local world = payments.world()
        local intent = check(create(world, { payment_method = "pm_usBankAccount_" .. account, confirm = true }))
        world:since()
        world:advance(5)
        assert.same({ "charge.failed", "payment_intent.payment_failed" }, world:since())
        intent = check(world.stripe.payment_intents:retrieve(intent.id, { expand = { "latest_charge" } }))
        assert.equal("requires_payment_method", intent.status)
        assert.equal(failure, intent.last_payment_error.code)
        assert.equal("failed", intent.latest_charge.status)
        assert.equal(failure, intent.latest_charge.failure_code)
        world:balance_agrees()
      end)
    end

    it("takes three minutes, or for ever, where the account says so", function()
      local world = payments.world()
      local slow = debit(world, "sepa_debit", { iban = "DE08370400440532013003" }, "eur")
      local never = check(create(world, { payment_method = "pm_usBankAccount_processing", confirm = true }))
      local function status(intent) return check(world.stripe.payment_intents:retrieve(intent.id)).status end
      world:advance(179)
      assert.equal("processing", status(slow))
      world:advance(1)
      assert.equal("succeeded", status(slow))
      world:advance(30 * 86400)
      assert.equal("processing", status(never))
    end)

    it("settles at once by a helper, as it says", function()
      for outcome, status in pairs { succeed = "succeeded", fail = "requires_payment_method" } do
        local world, intent = intent_in "processing"
        intent = check(world:helper("payment_intents.settle", intent.id, { outcome = outcome }))
        assert.equal(status, intent.status)
        world:since()
        world:advance(5)
        assert.same({}, world:since())
        world:balance_agrees()
      end
    end)

    it("is settled by the answer to its own attempt alone", function()
      local world, intent = intent_in "processing"
      check(world:helper("payment_intents.settle", intent.id, { outcome = "fail" }))
      check(world.stripe.payment_intents:confirm(intent.id, { payment_method = "pm_usBankAccount_processing" }))
      world:advance(5)
      assert.equal("processing", check(world.stripe.payment_intents:retrieve(intent.id)).status)
    end)

    it("verifies the account by microdeposits where that is asked for", function()
      local world = payments.world()
      local intent = check(create(world, {
        payment_method = "pm_usBankAccount_success", confirm = true,
        payment_method_options = { us_bank_account = { verification_method = "microdeposits" } },
      }))
      assert.equal("requires_action", intent.status)
      assert.equal("verify_with_microdeposits", intent.next_action.type)
      for code, params in pairs {
        payment_method_microdeposit_verification_amounts_mismatch = { amounts = { 1, 2 } },
        payment_method_microdeposit_verification_descriptor_code_mismatch = { descriptor_code = "SM33CC" },
        parameter_missing = {},
      } do
        local err = world:refused(function(stripe)
          return stripe.payment_intents:verify_microdeposits(intent.id, params)
        end)
        assert.equal(code, err.code)
      end
      intent = check(world.stripe.payment_intents:verify_microdeposits(intent.id, { amounts = { 45, 32 } }))
      assert.equal("processing", intent.status)
    end)
  end)

  it("leads the customer elsewhere, who pays there or does not", function()
    for outcome, status in pairs { succeed = "succeeded", fail = "requires_payment_method" } do
      local world = payments.world()
      local intent = check(create(world, {
        currency = "eur", payment_method_data = { type = "ideal" }, confirm = true, return_url = "https://example.com/",
      }))
      assert.equal("redirect_to_url", intent.next_action.type)
      intent = check(world:helper("payment_intents.authenticate", intent.id, { outcome = outcome }))
      assert.equal(status, intent.status)
      world:balance_agrees()
    end
    local world = payments.world()
    local err = world:refused(function()
      return create(world, { currency = "eur", payment_method_data = { type = "ideal" }, confirm = true })
    end)
    assert.equal("return_url", err.param)
  end)

  it("tells how to pay by voucher", function()
    local world = payments.world()
    local intent = check(create(world, { currency = "mxn", payment_method_data = { type = "oxxo" }, confirm = true }))
    local details = intent.next_action.oxxo_display_details
    assert.matches("^https://", details.hosted_voucher_url)
    assert.is_true(details.expires_after > world.now)
    assert.equal("succeeded", check(world:helper("payment_intents.settle", intent.id)).status)
  end)

  it("forgets what the customer should have done when another method is named", function()
    local world = payments.world()
    for kind, params in pairs { payment_intents = { amount = 1000, currency = "usd" }, setup_intents = {} } do
      params.payment_method, params.confirm = "pm_card_threeDSecure2Required", true
      local intent = check(world.stripe[kind]:create(params))
      assert.equal("requires_action", intent.status)
      local attempt = intent.latest_attempt
      intent = check(world.stripe[kind]:update(intent.id, { payment_method = "pm_card_visa" }))
      assert.same({ "requires_confirmation", payments.null }, { intent.status, intent.next_action })
      assert.equal("succeeded", check(world.stripe[kind]:confirm(intent.id)).status)
      for other in attempt and world.stripe.setup_attempts:each { setup_intent = intent.id } or function() end do
        assert.equal(other.id == attempt and "abandoned" or "succeeded", other.status)
      end
    end
  end)

  it("is paid by bank transfer, in parts", function()
    local world = payments.world { stripe_version = "2020-08-27" }
    local customer = check(world.stripe.customers:create {})
    local intent = check(create(world, {
      amount = 20000, currency = "jpy", customer = customer.id, payment_method_data = { type = "customer_balance" },
      payment_method_types = { "customer_balance" }, confirm = true,
    }))
    local transfer = intent.next_action.display_bank_transfer_instructions
    assert.equal(20000, transfer.amount_remaining)
    local place = transfer.financial_addresses[1][transfer.financial_addresses[1].type]
    assert.matches("^%u%u$", place.country or place.bank_address.country)
    world:since()
    local function fund(amount)
      check(world.stripe.test_helpers.customers:fund_cash_balance(customer.id, { amount = amount, currency = "jpy" }))
    end
    fund(10000)
    assert.same({
      "customer_cash_balance_transaction.created", "cash_balance.funds_available",
      "customer_cash_balance_transaction.created", "payment_intent.partially_funded",
    }, world:since())
    fund(12000)
    intent = check(world.stripe.payment_intents:retrieve(intent.id))
    assert.equal("succeeded", intent.status)
    local balance = check(world.stripe.customers.cash_balance:retrieve(customer.id))
    assert.same({ jpy = 2000 }, balance.available)
    local sum = 0
    for transaction in world.stripe.customers.cash_balance_transactions:each(customer.id) do
      sum = sum + transaction.net_amount
    end
    assert.equal(2000, sum)
    world:balance_agrees()
  end)

  it("keeps the method of a customer who is to pay again", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    world:since()
    local intent = world:paid { customer = customer.id, setup_future_usage = "off_session" }
    assert.same({
      "payment_intent.created", "charge.succeeded", "payment_method.attached", "payment_intent.succeeded",
    }, world:since())
    local method = check(world.stripe.payment_methods:retrieve(intent.payment_method))
    assert.equal(customer.id, method.customer)
    world:paid { customer = customer.id, payment_method = method.id, off_session = true }
  end)

  it("uses up a method that is nobody's", function()
    local world = payments.world()
    local intent = world:paid()
    local err = world:refused(function()
      return create(world, { payment_method = intent.payment_method, confirm = true })
    end)
    assert.equal("payment_method_unexpected_state", err.code)
  end)

  it("is confirmed by a confirmation token, once", function()
    local world = payments.world()
    local token = check(world.stripe.test_helpers.confirmation_tokens:create { payment_method = "pm_card_mastercard" })
    assert.equal("mastercard", token.payment_method_preview.card.brand)
    local intent = check(create(world, { confirmation_token = token.id, confirm = true }))
    assert.equal("succeeded", intent.status)
    token = check(world.stripe.confirmation_tokens:retrieve(token.id))
    assert.equal(intent.id, token.payment_intent)
    local err = world:refused(function() return create(world, { confirmation_token = token.id, confirm = true }) end)
    assert.equal("confirmation_token", err.param)
  end)

  -- what is wrong → the error
  local REFUSALS = {
    ["too little"] = { { amount = 49 }, "amount_too_small", "amount" },
    ["too little in yen"] = { { amount = 49, currency = "jpy" }, "amount_too_small", "amount" },
    ["too much"] = { { amount = 100000000 }, "amount_too_large", "amount" },
    ["less than nothing"] = { { amount = -5 }, "parameter_invalid_integer", "amount" },
    ["no such currency"] = { { currency = "xyz" }, nil, "currency" },
    ["no such customer"] = { { customer = "cus_none" }, "resource_missing", "customer" },
    ["no such method"] = { { payment_method = "pm_none" }, "resource_missing", "payment_method" },
    ["no method to confirm with"] = { { confirm = true }, "payment_intent_unexpected_state" },
    ["a method of another type"] = { { payment_method = "pm_usBankAccount_success", payment_method_types = { "card" } },
      "payment_intent_incompatible_payment_method", "payment_method", "2020-08-27" },
    ["a method of another currency"] = { { payment_method = "pm_usBankAccount_success", currency = "eur" },
      "payment_method_currency_mismatch", "payment_method" },
    ["both ways to name types"] = {
      { payment_method_types = { "card" }, automatic_payment_methods = { enabled = true } },
      "parameters_exclusive", "automatic_payment_methods", "2020-08-27",
    },
    ["a fee of nobody's"] = { { application_fee_amount = 100 }, nil, "application_fee_amount" },
    ["no such destination"] = { { transfer_data = { destination = "acct_none" } }, "resource_missing",
      "transfer_data[destination]" },
    ["a long descriptor"] = { { statement_descriptor = ("x"):rep(23) }, nil, "statement_descriptor" },
    ["a debit of no account"] = { { payment_method_data = { type = "us_bank_account" } }, "parameter_missing",
      "payment_method_data[us_bank_account]" },
  }
  for name, case in pairs(REFUSALS) do
    it("is refused: " .. name, function()
      local world = payments.world { stripe_version = case[4] }
      local err = world:refused(function() return create(world, case[1]) end)
      assert.equal(case[2], err.code)
      assert.equal(case[3], err.param)
    end)
  end
end)

describe("test card", function()
  after_each(payments.check_worlds)

  local DECLINES = {
    chargeDeclined = { "card_declined", "generic_decline" },
    chargeDeclinedInsufficientFunds = { "card_declined", "insufficient_funds" },
    chargeDeclinedLostCard = { "card_declined", "lost_card" },
    chargeDeclinedStolenCard = { "card_declined", "stolen_card" },
    chargeDeclinedExpiredCard = { "expired_card", "expired_card", "exp_month" },
    chargeDeclinedIncorrectCvc = { "incorrect_cvc", "incorrect_cvc", "cvc" },
    chargeDeclinedProcessingError = { "processing_error", "processing_error" },
    chargeDeclinedVelocityLimitExceeded = { "card_declined", "card_velocity_exceeded" },
    chargeDeclinedFraudulent = { "card_declined", "fraudulent" },
    chargeCustomerFail = { "card_declined", "generic_decline" },
    radarBlock = { "card_declined", "fraudulent" },
  }
  local ATTACHES = { chargeCustomerFail = true, chargeDeclinedFraudulent = true, radarBlock = true }
  for name, wanted in pairs(DECLINES) do
    it(name .. " declines", function()
      local world = payments.world()
      local _, err = create(world, { payment_method = "pm_card_" .. name, confirm = true })
      assert.equal(402, err.status)
      assert.equal(wanted[1], err.code)
      assert.equal(wanted[2], err.decline_code)
      assert.equal(wanted[3], err.param)
      local _, legacy = world.stripe.charges:create { amount = 500, currency = "usd", source = "tok_" .. name }
      assert.equal(wanted[1], legacy.code)
      assert.matches("^ch_", legacy.charge)
      local customer = check(world.stripe.customers:create {})
      if ATTACHES[name] then
        check(world.stripe.payment_methods:attach("pm_card_" .. name, { customer = customer.id }))
      else
        local refused = world:refused(function(stripe)
          return stripe.payment_methods:attach("pm_card_" .. name, { customer = customer.id })
        end)
        assert.equal(402, refused.status)
        assert.equal(wanted[1], refused.code)
      end
    end)
  end

  it("names stand for a payment method and a token each", function()
    local world = payments.world()
    for _, name in ipairs(cards.names()) do
      local method = check(world.stripe.payment_methods:retrieve("pm_card_" .. name))
      assert.matches("^pm_%w+$", method.id)
      assert.equal("card", method.type)
      local token = check(world.stripe.tokens:retrieve("tok_" .. name))
      assert.equal(method.card.last4, token.card.last4)
    end
  end)

  it("numbers that succeed, do", function()
    local world = payments.world()
    for number, brand in pairs {
      ["4242424242424242"] = "visa", ["5555555555554444"] = "mastercard", ["378282246310005"] = "amex",
      ["6011111111111117"] = "discover", ["3056930009020004"] = "diners", ["3566002020360505"] = "jcb",
      ["6200000000000005"] = "unionpay", ["4000000760000002"] = "visa",
    } do
      local method = check(world.stripe.payment_methods:create {
        type = "card", card = { number = number, exp_month = 12, exp_year = 2030, cvc = "123" },
      })
      assert.equal(brand, method.card.brand)
      assert.equal(number:sub(-4), method.card.last4)
      local intent = world:paid { payment_method = method.id }
      local charge = check(world.stripe.charges:retrieve(intent.latest_charge))
      assert.equal("pass", charge.payment_method_details.card.checks.cvc_check)
    end
    world:balance_agrees()
  end)

  it("of nobody's declines, and its number is kept nowhere", function()
    local world = payments.world()
    local number = "4539148803436467"
    local method = check(world.stripe.payment_methods:create {
      type = "card", card = { number = number, exp_month = 12, exp_year = 2030 },
    })
    local _, err = create(world, { payment_method = method.id, confirm = true })
    assert.equal("test_mode_live_card", err.decline_code)
    local host = require "sandbox.host"
    assert.is_nil(host.encode(world.box.state.accounts):find(number, 1, true))
  end)

  for what, case in pairs {
    ["a wrong digit"] = { { number = "4242424242424241" }, "incorrect_number", "number" },
    ["a thirteenth month"] = { { exp_month = 13 }, "invalid_expiry_month", "exp_month" },
    ["a year gone by"] = { { exp_year = 2020 }, "invalid_expiry_year", "exp_year" },
    ["a short code"] = { { cvc = "1" }, "invalid_cvc", "cvc" },
  } do
    it("is refused for " .. what, function()
      local world = payments.world()
      local card = { number = "4242424242424242", exp_month = 12, exp_year = 2030 }
      for name, value in pairs(case[1]) do card[name] = value end
      local err = world:refused(function(stripe)
        return stripe.payment_methods:create { type = "card", card = card }
      end)
      assert.equal(402, err.status)
      assert.equal(case[2], err.code)
      assert.equal(case[3], err.param)
    end)
  end

  it("bypassPending is available at once", function()
    local world = payments.world()
    world:paid { payment_method = "pm_card_bypassPending" }
    assert.same({
      "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "balance.available",
    }, world:since())
    local balance = check(world.stripe.balance:retrieve())
    assert.equal(1912, balance.available[1].amount)
    assert.equal(0, balance.pending[1].amount)
    world:balance_agrees()
  end)

  for name, case in pairs {
    createDispute = { "fraudulent", "needs_response", -2000 - 1500 },
    createDisputeProductNotReceived = { "product_not_received", "needs_response", -2000 - 1500 },
    createDisputeInquiry = { "fraudulent", "warning_needs_response" },
  } do
    it(name .. " is disputed", function()
      local world = payments.world()
      local intent = world:paid { payment_method = "pm_card_" .. name }
      local events = {
        "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.dispute.created",
      }
      if case[3] then events[#events + 1] = "charge.dispute.funds_withdrawn" end
      assert.same(events, world:since())
      local dispute = check(world.stripe.disputes:list { payment_intent = intent.id }).data[1]
      assert.equal(case[1], dispute.reason)
      assert.equal(case[2], dispute.status)
      assert.equal(intent.latest_charge, dispute.charge)
      assert.equal(case[3], dispute.balance_transactions[1] and dispute.balance_transactions[1].net)
      assert.is_true(check(world.stripe.charges:retrieve(intent.latest_charge)).disputed)
      world:balance_agrees()
    end)
  end

  it("createIssuerFraudRecord warns", function()
    local world = payments.world()
    local intent = world:paid { payment_method = "pm_card_createIssuerFraudRecord" }
    local warning = check(world.stripe.radar.early_fraud_warnings:list { charge = intent.latest_charge }).data[1]
    assert.equal(intent.id, warning.payment_intent)
  end)
end)

describe("a setup intent", function()
  after_each(payments.check_worlds)

  local function setup(world, params) return world.stripe.setup_intents:create(params) end

  it("attaches its method to its customer", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    world:since()
    local intent = check(setup(world, { customer = customer.id, payment_method = "pm_card_visa", confirm = true }))
    assert.equal("succeeded", intent.status)
    assert.same({ "setup_intent.created", "payment_method.attached", "setup_intent.succeeded" }, world:since())
    local attempts = check(world.stripe.setup_attempts:list { setup_intent = intent.id }).data
    assert.equal(1, #attempts)
    assert.equal("succeeded", attempts[1].status)
    assert.equal(attempts[1].id, intent.latest_attempt)
    assert.equal(customer.id, check(world.stripe.payment_methods:retrieve(intent.payment_method)).customer)
  end)

  it("keeps a decline, and takes another method", function()
    local world = payments.world()
    local _, err = setup(world, { payment_method = "pm_card_chargeDeclined", confirm = true })
    assert.equal(402, err.status)
    assert.equal("generic_decline", err.decline_code)
    assert.equal("requires_payment_method", err.setup_intent.status)
    assert.same({ "setup_intent.created", "setup_intent.setup_failed" }, world:since())
    local intent = check(world.stripe.setup_intents:confirm(err.setup_intent.id, { payment_method = "pm_card_visa" }))
    assert.equal("succeeded", intent.status)
    local statuses = {}
    for attempt in world.stripe.setup_attempts:each { setup_intent = intent.id } do
      statuses[#statuses + 1] = attempt.status
    end
    assert.same({ "succeeded", "failed" }, statuses)
  end)

  it("waits for the card's holder", function()
    for outcome, case in pairs {
      succeed = { "succeeded", "setup_intent.succeeded" },
      fail = { "requires_payment_method", "setup_intent.setup_failed" },
    } do
      local world = payments.world()
      local intent = check(setup(world, { payment_method = "pm_card_authenticationRequired", confirm = true }))
      assert.equal("requires_action", intent.status)
      assert.same({ "setup_intent.created", "setup_intent.requires_action" }, world:since())
      intent = check(world:helper("setup_intents.authenticate", intent.id, { outcome = outcome }))
      assert.equal(case[1], intent.status)
      assert.same({ case[2] }, world:since())
    end
  end)

  it("makes the mandate of a debit, after microdeposits if asked", function()
    local world = payments.world()
    local customer = check(world.stripe.customers:create {})
    local intent = check(setup(world, {
      customer = customer.id, payment_method = "pm_usBankAccount_success", confirm = true,
      payment_method_options = { us_bank_account = { verification_method = "microdeposits" } },
    }))
    assert.equal("requires_action", intent.status)
    intent = check(world.stripe.setup_intents:verify_microdeposits(intent.id, { descriptor_code = "SM11AA" }))
    assert.equal("succeeded", intent.status)
    assert.equal("multi_use", check(world.stripe.mandates:retrieve(intent.mandate)).type)
  end)

  it("is canceled, and then for good", function()
    local world = payments.world()
    local intent = check(setup(world, {}))
    assert.equal("requires_payment_method", intent.status)
    intent = check(world.stripe.setup_intents:cancel(intent.id))
    assert.equal("canceled", intent.status)
    assert.same({ "setup_intent.created", "setup_intent.canceled" }, world:since())
    for _, operation in ipairs { "cancel", "confirm" } do
      local err = world:refused(function(stripe)
        return stripe.setup_intents[operation](stripe.setup_intents, intent.id)
      end)
      assert.equal("setup_intent_unexpected_state", err.code)
      assert.equal(intent.id, err.setup_intent.id)
    end
  end)
end)
