-- Connected accounts: what they may do, what they own apart, and the money between them and the platform.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"
local money = require "money"

local pinstripe = support.pinstripe
local check, null = pinstripe.check, pinstripe.null

local box, stripe

local function refused(object, err)
  assert.is_nil(object)
  return err
end

local BANK = {
  object = "bank_account", country = "US", currency = "usd", routing_number = "110000000",
  account_number = "000123456789",
}

local function connect(fields)
  fields = fields or {}
  fields.type, fields.country = fields.type or "custom", fields.country or "US"
  return check(stripe.accounts:create(fields))
end

local function fund(amount)
  check(stripe.charges:create { amount = amount, currency = "usd", source = "tok_bypassPending" })
end

before_each(function()
  box = support.box { seed = 1, now = money.NOW }
  stripe = box:client()
end)

describe("an account", function()
  it("may do what its capabilities say", function()
    local wanted = { card_payments = { requested = true }, transfers = { requested = true } }
    local account = connect { capabilities = wanted }
    assert.are.same({ card_payments = "active", transfers = "active" }, account.capabilities)
    assert.are.same({ true, false, false },
      { account.charges_enabled, account.payouts_enabled, account.details_submitted })
    check(stripe.accounts.external_accounts:create(account.id, { external_account = BANK }))
    account = check(stripe.accounts:retrieve(account.id))
    assert.is_true(account.payouts_enabled)
    assert.are.same({ "business_type", "tos_acceptance.date", "tos_acceptance.ip" },
      { table.unpack(account.requirements.currently_due) })
    account = check(stripe.accounts:update(account.id, {
      business_type = "individual", tos_acceptance = { date = money.NOW, ip = "127.0.0.1" },
    }))
    assert.are.same({ true, 0 }, { account.details_submitted, #account.requirements.currently_due })
    local event = check(stripe.events:list { type = "account.updated" }).data[1]
    assert.is_false(event.data.previous_attributes.details_submitted)
  end)

  it("waits for capabilities that are reviewed", function()
    local account = connect { capabilities = { card_issuing = { requested = true } } }
    assert.are.equal("pending", account.capabilities.card_issuing)
    money.advance(box, money.DAY)
    assert.are.equal("active", check(stripe.accounts.capabilities:retrieve(account.id, "card_issuing")).status)
    local event = check(stripe.events:list { type = "capability.updated" }).data[1]
    assert.are.same({ "card_issuing", "active", "pending" },
      { event.data.object.id, event.data.object.status, event.data.previous_attributes.status })
  end)

  it("lists and changes its capabilities", function()
    local account = connect()
    assert.are.equal(0, #check(stripe.accounts.capabilities:list(account.id)).data)
    local capability = check(stripe.accounts.capabilities:update(account.id, "transfers", { requested = true }))
    assert.are.same({ "transfers", account.id, true, money.NOW, "active" },
      { capability.id, capability.account, capability.requested, capability.requested_at, capability.status })
    assert.are.equal(1, #check(stripe.accounts.capabilities:list(account.id)).data)
    capability = check(stripe.accounts.capabilities:update(account.id, "transfers", { requested = false }))
    assert.are.same({ false, "unrequested" }, { capability.requested, capability.status })
    assert.is_nil(check(stripe.accounts:retrieve(account.id)).capabilities.transfers)
    assert.are.equal(404, refused(stripe.accounts.capabilities:retrieve(account.id, "flying")).status)
  end)

  it("of the standard kind is onboarded by a helper", function()
    local account = connect { type = "standard" }
    assert.is_false(account.charges_enabled)
    money.help(box, "accounts.onboard", account.id)
    account = check(stripe.accounts:retrieve(account.id))
    assert.are.same({ true, true, true },
      { account.charges_enabled, account.payouts_enabled, account.details_submitted })
  end)

  it("has a controller by its type, or of its maker's", function()
    assert.are.same({ "express", "application" },
      { connect({ type = "express" }).controller.stripe_dashboard.type, connect().controller.requirement_collection })
    local account = check(stripe.accounts:create { controller = { stripe_dashboard = { type = "none" } } })
    assert.are.same({ "none", "none" }, { account.type, account.controller.stripe_dashboard.type })
    assert.are.equal("controller", refused(stripe.accounts:create {
      type = "custom", controller = { stripe_dashboard = { type = "none" } },
    }).param)
  end)

  it("that is rejected may do nothing, until it is accepted again", function()
    local account = connect { capabilities = { card_payments = { requested = true } } }
    account = check(stripe.accounts:reject(account.id, { reason = "fraud_other" }))
    assert.is_false(account.charges_enabled)
    assert.are.equal("rejected.fraud", account.requirements.disabled_reason)
    account = check(stripe.accounts:unreject(account.id))
    assert.are.same({ true, null }, { account.charges_enabled, account.requirements.disabled_reason })
  end)

  it("is the platform's own at /v1/account, and the connected one's with its header", function()
    local own = check(stripe.accounts:retrieve_current())
    assert.are.same({ "account", true, own.id },
      { own.object, own.charges_enabled, check(stripe.accounts:retrieve(own.id)).id })
    local account = connect()
    assert.are.equal(account.id, check(stripe.accounts:retrieve_current(nil, { stripe_account = account.id })).id)
  end)

  it("that is unknown is forbidden", function()
    local err = refused(stripe.accounts:retrieve "acct_none")
    assert.are.same({ 403, "account_invalid" }, { err.status, err.code })
    err = refused(stripe.customers:list({}, { stripe_account = "acct_none" }))
    assert.are.same({ 403, "account_invalid" }, { err.status, err.code })
  end)

  it("with an external account that is unknown is not made", function()
    assert.is_nil((stripe.accounts:create { type = "custom", external_account = "tok_none" }))
    assert.are.equal(0, #check(stripe.accounts:list()).data)
  end)

  it("that is deleted is deauthorized", function()
    local account = connect()
    assert.is_true(check(stripe.accounts:delete(account.id)).deleted)
    assert.are.equal("account.application.deauthorized", check(stripe.events:list()).data[1].type)
    assert.are.equal(403, refused(stripe.customers:list({}, { stripe_account = account.id })).status)
    assert.are.equal(403, refused(stripe.accounts:retrieve(account.id)).status)
  end)

  it("keeps what is its own apart", function()
    local account = connect()
    local theirs = { stripe_account = account.id }
    local customer = check(stripe.customers:create({ email = "jenny@example.com" }, theirs))
    assert.are.equal(404, refused(stripe.customers:retrieve(customer.id)).status)
    assert.are.equal(1, #check(stripe.customers:list({}, theirs)).data)
    local event = check(stripe.events:list({ type = "customer.created" }, theirs)).data[1]
    assert.are.equal(account.id, event.account)
    assert.are.equal(0, #check(stripe.events:list { type = "customer.created" }).data)
  end)
end)

describe("what belongs to an account", function()
  local account
  before_each(function() account = connect().id end)

  it("are persons", function()
    local person = check(stripe.accounts.persons:create(account, {
      first_name = "Jenny", relationship = { owner = true, percent_ownership = 60 },
    }))
    assert.are.same({ account, true }, { person.account, person.relationship.owner })
    check(stripe.accounts.persons:create(account, { first_name = "Jan", relationship = { director = true } }))
    local owners = check(stripe.accounts.persons:list(account, { relationship = { owner = true } })).data
    assert.are.same({ person.id }, { owners[1].id, owners[2] and owners[2].id })
    person = check(stripe.accounts.persons:update(account, person.id, { last_name = "Rosen" }))
    assert.are.same({ "Jenny", "Rosen" }, { person.first_name, person.last_name })
    assert.is_true(check(stripe.accounts.persons:delete(account, person.id)).deleted)
    assert.are.equal(1, #check(stripe.accounts.persons:list(account)).data)
    local types = support.events(stripe)
    assert.are.same({ "person.created", "person.created", "person.updated", "person.deleted" }, types)
    for _, method in ipairs { "create", "list" } do
      assert.are.equal(403, refused(stripe.accounts.persons[method](stripe.accounts.persons, "acct_none", {})).status)
    end
  end)

  it("is its individual", function()
    local other = connect { business_type = "individual", individual = { first_name = "Jenny" } }
    assert.are.same({ "Jenny", true }, { other.individual.first_name, other.individual.relationship.representative })
    other = check(stripe.accounts:update(other.id, { individual = { last_name = "Rosen" } }))
    assert.are.same({ "Jenny", "Rosen" }, { other.individual.first_name, other.individual.last_name })
    assert.are.equal("Rosen", check(stripe.accounts.persons:list(other.id)).data[1].last_name)
  end)

  it("are external accounts, one of them the default of its currency", function()
    local external = stripe.accounts.external_accounts
    local first = check(external:create(account, { external_account = BANK }))
    assert.are.same({ "bank_account", "6789", true, account },
      { first.object, first.last4, first.default_for_currency, first.account })
    local second = check(external:create(account, {
      external_account = "tok_visa_debit", default_for_currency = true, metadata = { a = "1" },
    }))
    assert.are.same({ "card", "5556", true }, { second.object, second.last4, second.default_for_currency })
    assert.is_false(check(external:retrieve(account, first.id)).default_for_currency)
    assert.are.equal(2, #check(external:list(account)).data)
    assert.are.equal(1, #check(external:list(account, { object = "card" })).data)
    assert.are.equal(400, refused(external:delete(account, second.id)).status)
    assert.is_true(check(external:delete(account, first.id)).deleted)
    assert.are.equal("x", check(external:update(account, second.id, { metadata = { b = "x" } })).metadata.b)
    assert.are.equal(404, refused(external:retrieve(connect().id, second.id)).status)
    local shown = check(stripe.accounts:retrieve(account, { expand = { "external_accounts" } }))
    assert.are.equal(second.id, shown.external_accounts.data[1].id)
  end)

  it("are links to onboard and to log in", function()
    local link = check(stripe.account_links:create {
      account = account, type = "account_onboarding",
      refresh_url = "https://a.example", return_url = "https://b.example",
    })
    assert.are.same({ "account_link", money.NOW + 300 }, { link.object, link.expires_at })
    assert.are.equal("refresh_url",
      refused(stripe.account_links:create {
        account = account, type = "account_onboarding", return_url = "https://b.example",
      }).param)
    assert.are.equal(400, refused(stripe.accounts.login_links:create(account)).status)
    assert.are.equal("login_link", check(stripe.accounts.login_links:create(connect({ type = "express" }).id)).object)
    local session = check(stripe.account_sessions:create {
      account = account, components = { payments = { enabled = true } },
    })
    assert.are.same({ account, true }, { session.account, session.components.payments.enabled })
  end)
end)

describe("a transfer", function()
  local account, theirs
  before_each(function()
    account = connect().id
    theirs = { stripe_account = account }
    fund(10000)
  end)

  it("moves money to the account at once", function()
    local transfer = check(stripe.transfers:create {
      amount = 4000, currency = "usd", destination = account, transfer_group = "order-1", metadata = { a = "1" },
    })
    assert.are.same({ 5680, 0 }, { money.balance(stripe) })
    assert.are.same({ 4000, 0 }, { money.balance(stripe, "usd", theirs) })
    local payment = check(stripe.charges:retrieve(transfer.destination_payment, nil, theirs))
    assert.are.same({ 4000, transfer.id, "succeeded" }, { payment.amount, payment.source_transfer, payment.status })
    assert.are.same({ false, 0, "order-1" }, { transfer.reversed, transfer.amount_reversed, transfer.transfer_group })
    assert.are.equal(1, #check(stripe.transfers:list { transfer_group = "order-1" }).data)
    assert.are.equal(1, #check(stripe.transfers:list { destination = account }).data)
    money.assert_sums(stripe)
    money.assert_sums(stripe, theirs)
  end)

  it("that is wrong moves nothing", function()
    local function fails(fields) return refused(stripe.transfers:create(fields)) end
    assert.are.equal("balance_insufficient", fails { amount = 9681, currency = "usd", destination = account }.code)
    assert.are.equal("destination", fails { amount = 1, currency = "usd", destination = "acct_none" }.param)
    local own = check(stripe.accounts:retrieve_current()).id
    assert.are.equal("destination", fails { amount = 1, currency = "usd", destination = own }.param)
    assert.are.equal("amount", fails { currency = "usd", destination = account }.param)
    assert.are.equal("amount", fails { amount = 0, currency = "usd", destination = account }.param)
    assert.are.same({ 9680, 0 }, { money.balance(stripe) })
  end)

  it("of a charge settles when that does", function()
    local charge = check(stripe.charges:create { amount = 5000, currency = "usd", source = "tok_visa" })
    local transfer = check(stripe.transfers:create {
      amount = 3000, currency = "usd", destination = account, source_transaction = charge.id,
    })
    assert.are.equal("group_" .. charge.id, transfer.transfer_group)
    assert.are.same({ 0, 3000 }, { money.balance(stripe, "usd", theirs) })
    assert.are.equal("amount", refused(stripe.transfers:create {
      amount = 2001, currency = "usd", destination = account, source_transaction = charge.id,
    }).param)
    local rest = check(stripe.transfers:create {
      currency = "usd", destination = account, source_transaction = charge.id,
    })
    assert.are.equal(2000, rest.amount)
    money.advance(box, 2 * money.DAY)
    assert.are.same({ 5000, 0 }, { money.balance(stripe, "usd", theirs) })
    money.assert_sums(stripe)
    money.assert_sums(stripe, theirs)
  end)

  it("is reversed in parts, until nothing is left", function()
    local transfer = check(stripe.transfers:create { amount = 4000, currency = "usd", destination = account })
    local reversal = check(stripe.transfers.reversals:create(transfer.id, {
      amount = 1500, metadata = { a = "1", b = "" },
    }))
    assert.is_nil(reversal.metadata.b)
    assert.are.same({ 1500, transfer.id, "1" }, { reversal.amount, reversal.transfer, reversal.metadata.a })
    assert.are.same({ 2500, 0 }, { money.balance(stripe, "usd", theirs) })
    assert.are.same({ 7180, 0 }, { money.balance(stripe) })
    assert.are.equal("amount", refused(stripe.transfers.reversals:create(transfer.id, { amount = 2501 })).param)
    check(stripe.transfers.reversals:create(transfer.id))
    transfer = check(stripe.transfers:retrieve(transfer.id))
    assert.are.same({ true, 4000, 2 }, { transfer.reversed, transfer.amount_reversed, #transfer.reversals.data })
    assert.are.equal(400, refused(stripe.transfers.reversals:create(transfer.id)).status)
    assert.are.same({ 0, 0 }, { money.balance(stripe, "usd", theirs) })
    local event = check(stripe.events:list { type = "transfer.reversed" }).data[1]
    assert.are.same({ 1500, false }, { event.data.previous_attributes.amount_reversed,
      event.data.previous_attributes.reversed })
    money.assert_sums(stripe, theirs)
  end)

  it("is not reversed, nor its charge refunded with it, once the account has left", function()
    local charge = check(stripe.charges:create {
      amount = 5000, currency = "usd", source = "tok_visa", transfer_data = { destination = account },
    })
    check(stripe.accounts:delete(account))
    for _, err in ipairs {
      refused(stripe.transfers.reversals:create(charge.transfer)),
      refused(stripe.refunds:create { charge = charge.id, reverse_transfer = true }),
    } do assert.are.same({ 400, "account_invalid" }, { err.status, err.code }) end
    assert.are.equal(0, #check(stripe.refunds:list()).data)
    assert.are.equal(0, check(stripe.charges:retrieve(charge.id)).amount_refunded)
    check(stripe.refunds:create { charge = charge.id })
  end)

  it("takes empty metadata for none, as others that are made within another do", function()
    local transfer = check(stripe.transfers:create { amount = 4000, currency = "usd", destination = account })
    local file = check(stripe.files:create {
      purpose = "dispute_evidence", file = { content = "a", filename = "a.txt" },
    })
    local customer = check(stripe.customers:create())
    for path, params in pairs {
      ["transfers/" .. transfer.id .. "/reversals"] = { amount = 10 },
      ["customers/" .. customer.id .. "/balance_transactions"] = { amount = 10, currency = "usd" },
      file_links = { file = file.id },
    } do
      params.metadata = ""
      assert.are.same({}, check(stripe:request("POST", "/v1/" .. path, params)).metadata)
    end
  end)

  it("cannot be reversed when the account has spent it", function()
    local transfer = check(stripe.transfers:create { amount = 4000, currency = "usd", destination = account })
    check(stripe.accounts.external_accounts:create(account, { external_account = BANK }))
    check(stripe.payouts:create({ amount = 3000, currency = "usd" }, theirs))
    assert.are.equal("balance_insufficient", refused(stripe.transfers.reversals:create(transfer.id)).code)
    check(stripe.transfers.reversals:create(transfer.id, { amount = 1000 }))
  end)
end)

describe("an application fee", function()
  local account, theirs
  before_each(function()
    account = connect().id
    theirs = { stripe_account = account }
  end)

  it("of a direct charge goes from the account to the platform", function()
    local charge = check(stripe.charges:create({
      amount = 10000, currency = "usd", source = "tok_bypassPending", application_fee_amount = 1000,
    }, theirs))
    assert.are.same({ 10000 - 320 - 1000, 0 }, { money.balance(stripe, "usd", theirs) })
    assert.are.same({ 1000, 0 }, { money.balance(stripe) })
    local fee = check(stripe.application_fees:retrieve(charge.application_fee))
    assert.are.same({ 1000, account, charge.id, false }, { fee.amount, fee.account, fee.charge, fee.refunded })
    assert.are.equal(fee.id, check(stripe.application_fees:list { charge = charge.id }).data[1].id)
    assert.are.same({ "application_fee.created" }, support.events(stripe))
    money.assert_sums(stripe, theirs)
  end)

  it("of a destination charge comes out of the transfer", function()
    local charge = check(stripe.charges:create {
      amount = 10000, currency = "usd", source = "tok_visa", application_fee_amount = 1000,
      transfer_data = { destination = account },
    })
    assert.are.same({ 0, 9000 }, { money.balance(stripe, "usd", theirs) })
    assert.are.same({ 0, -320 + 1000 }, { money.balance(stripe) })
    money.advance(box, 2 * money.DAY)
    assert.are.same({ 9000, 0 }, { money.balance(stripe, "usd", theirs) })
    assert.are.same({ 680, 0 }, { money.balance(stripe) })
    local transfer = check(stripe.transfers:retrieve(charge.transfer))
    assert.are.same({ 10000, charge.id, account },
      { transfer.amount, transfer.source_transaction, transfer.destination })
    money.assert_sums(stripe)
    money.assert_sums(stripe, theirs)
  end)

  it("is refunded in parts, with its events", function()
    local charge = check(stripe.charges:create({
      amount = 10000, currency = "usd", source = "tok_bypassPending", application_fee_amount = 1000,
    }, theirs))
    local refund = check(stripe.application_fees.refunds:create(charge.application_fee, { amount = 400 }))
    assert.are.same({ 400, charge.application_fee }, { refund.amount, refund.fee })
    assert.are.same({ 600, 0 }, { money.balance(stripe) })
    assert.are.same({ 9080, 0 }, { money.balance(stripe, "usd", theirs) })
    assert.are.equal("amount",
      refused(stripe.application_fees.refunds:create(charge.application_fee, { amount = 601 })).param)
    check(stripe.application_fees.refunds:update(charge.application_fee, refund.id, { metadata = { a = "1" } }))
    check(stripe.application_fees.refunds:create(charge.application_fee))
    local fee = check(stripe.application_fees:retrieve(charge.application_fee))
    assert.are.same({ true, 1000, 2 }, { fee.refunded, fee.amount_refunded, #fee.refunds.data })
    assert.are.equal(400, refused(stripe.application_fees.refunds:create(charge.application_fee)).status)
    local types = support.events(stripe)
    assert.are.same({ "application_fee.refunded", "application_fee.refund.updated", "application_fee.refunded" },
      { types[#types - 2], types[#types - 1], types[#types] })
    money.assert_sums(stripe)
    money.assert_sums(stripe, theirs)
  end)
end)
