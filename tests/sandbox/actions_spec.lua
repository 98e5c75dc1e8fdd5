-- Named actions: the state that each brings an object to, and the event that tells of it; what a final state refuses.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local maker = require "maker"
local pinstripe = require "pinstripe"

local NOW = 1790000000

-- operation, {fields that it sets: "a.b" is nested; NOW is the time}, the event that it ends with or false for none
local ROWS = {
  { "billing.alerts.activate", { status = "active" }, false },
  { "billing.alerts.archive", { status = "archived" }, false },
  { "billing.alerts.deactivate", { status = "inactive" }, false },
  { "billing.credit_grants.expire", { expires_at = NOW, updated = NOW }, "billing.credit_grant.updated" },
  { "billing.credit_grants.void_grant", { voided_at = NOW }, "billing.credit_grant.updated" },
  { "billing.feedback_options.deactivate", { status = "inactive", ["status_transitions.deactivated_at"] = NOW },
    false },
  { "billing.meters.deactivate", { status = "inactive", ["status_transitions.deactivated_at"] = NOW },
    "billing.meter.deactivated" },
  { "billing.meters.reactivate", { status = "active" }, "billing.meter.reactivated" },
  { "checkout.sessions.expire", { status = "expired" }, "checkout.session.expired" },
  { "climate.orders.cancel", { status = "canceled", canceled_at = NOW, cancellation_reason = "requested" },
    "climate.order.canceled" },
  { "credit_notes.void_credit_note", { status = "void", voided_at = NOW }, "credit_note.voided" },
  { "financial_connections.accounts.disconnect", { status = "disconnected" },
    "financial_connections.account.disconnected" },
  { "identity.verification_sessions.cancel", { status = "canceled" }, "identity.verification_session.canceled" },
  { "identity.verification_sessions.redact", { ["redaction.status"] = "redacted" },
    "identity.verification_session.redacted" },
  { "invoice_rendering_templates.archive", { status = "archived" }, false },
  { "invoice_rendering_templates.unarchive", { status = "active" }, false },
  { "invoices.finalize_invoice", { status = "open", ["status_transitions.finalized_at"] = NOW }, "invoice.finalized" },
  { "invoices.mark_uncollectible", { status = "uncollectible" }, "invoice.marked_uncollectible" },
  { "invoices.pay", { status = "paid", ["status_transitions.paid_at"] = NOW }, "invoice.paid" },
  { "invoices.send_invoice", { status = "open" }, "invoice.sent" },
  { "invoices.void_invoice", { status = "void", ["status_transitions.voided_at"] = NOW }, "invoice.voided" },
  { "issuing.authorizations.approve", { approved = true, status = "pending" }, "issuing_authorization.updated" },
  { "issuing.authorizations.decline", { approved = false, status = "closed" }, "issuing_authorization.updated" },
  { "issuing.disputes.submit", { status = "submitted" }, "issuing_dispute.submitted" },
  { "orders.cancel", { status = "canceled" }, false },
  { "orders.pay", { status = "complete" }, false },
  { "orders.reopen", { status = "open" }, false },
  { "orders.submit", { status = "submitted" }, false },
  { "payment_method_domains.validate", { enabled = true }, false },
  { "quotes.accept", { status = "accepted", ["status_transitions.accepted_at"] = NOW }, "quote.accepted" },
  { "quotes.cancel", { status = "canceled", ["status_transitions.canceled_at"] = NOW }, "quote.canceled" },
  { "quotes.finalize_quote", { status = "open", ["status_transitions.finalized_at"] = NOW }, "quote.finalized" },
  { "reviews.approve", { open = false, reason = "approved", closed_reason = "approved" }, "review.closed" },
  { "subscription_schedules.cancel", { status = "canceled", canceled_at = NOW }, "subscription_schedule.canceled" },
  { "subscription_schedules.release", { status = "released", released_at = NOW }, "subscription_schedule.released" },
  { "subscriptions.cancel", { status = "canceled", canceled_at = NOW, ended_at = NOW },
    "customer.subscription.deleted" },
  { "subscriptions.resume", { status = "active" }, "customer.subscription.resumed" },
  { "terminal.hardware_orders.cancel", { status = "canceled" }, false },
  { "terminal.readers.cancel_action", { action = pinstripe.null }, false },
  { "terminal.readers.set_reader_display", { ["action.type"] = "set_reader_display", ["action.status"] = "succeeded" },
    "terminal.reader.action_updated" },
  { "terminal.readers.process_setup_intent", { ["action.status"] = "in_progress" }, "terminal.reader.action_updated" },
  { "test_helpers.terminal.hardware_orders.deliver", { status = "delivered" }, false },
  { "test_helpers.terminal.hardware_orders.mark_ready_to_ship", { status = "ready_to_ship" }, false },
  { "test_helpers.terminal.hardware_orders.mark_undeliverable", { status = "undeliverable" }, false },
  { "test_helpers.terminal.hardware_orders.ship", { status = "shipped" }, false },
  { "test_helpers.terminal.readers.present_payment_method", { ["action.status"] = "succeeded" },
    "terminal.reader.action_succeeded" },
  { "test_helpers.terminal.readers.timeout_input_collection", { ["action.status"] = "failed" },
    "terminal.reader.action_failed" },
  { "test_helpers.issuing.personalization_designs.activate", { status = "active" },
    "issuing_personalization_design.activated" },
  { "test_helpers.issuing.personalization_designs.deactivate", { status = "inactive" },
    "issuing_personalization_design.deactivated" },
  { "test_helpers.issuing.personalization_designs.reject", { status = "rejected" },
    "issuing_personalization_design.rejected" },
  { "test_helpers.issuing.cards.deliver_card", { ["shipping.status"] = "delivered", ["shipping.name"] = "Jenny" },
    "issuing_card.updated" },
  { "test_helpers.issuing.cards.fail_card", { ["shipping.status"] = "failure" }, "issuing_card.updated" },
  { "test_helpers.issuing.cards.ship_card", { ["shipping.status"] = "shipped" }, "issuing_card.updated" },
  { "test_helpers.test_clocks.advance", { frozen_time = 1800000060, status = "ready" },
    "test_helpers.test_clock.ready" },
  { "test_helpers.treasury.inbound_transfers.fail", { status = "failed",
    ["status_transitions.failed_at"] = NOW, cancelable = false }, "treasury.inbound_transfer.failed" },
  { "test_helpers.treasury.inbound_transfers.succeed", { status = "succeeded" },
    "treasury.inbound_transfer.succeeded" },
  { "test_helpers.treasury.outbound_payments.post", { status = "posted", ["status_transitions.posted_at"] = NOW },
    "treasury.outbound_payment.posted" },
  { "test_helpers.treasury.outbound_transfers.return_outbound_transfer",
    { status = "returned", ["status_transitions.returned_at"] = NOW }, "treasury.outbound_transfer.returned" },
  { "three_d_secure.authentications.cancel", { status = "canceled" }, "three_d_secure.authentication.canceled" },
  { "three_d_secure.authentications.submit", { status = "succeeded", outcome = "authenticated" },
    "three_d_secure.authentication.succeeded" },
  { "treasury.financial_accounts.close", { status = "closed" }, "treasury.financial_account.closed" },
  { "treasury.outbound_payments.cancel", { status = "canceled", cancelable = false },
    "treasury.outbound_payment.canceled" },
}

local function at(object, path)
  for name in path:gmatch "[^.]+" do object = object[name] end
  return object
end

describe("named actions", function()
  local box, stripe, make

  before_each(function()
    box = support.box { now = NOW, seed = 23 }
    stripe = box:client()
    make = maker.new(box, stripe)
  end)

  for _, row in ipairs(ROWS) do
    local op, expected, event = pinstripe.api.operation(row[1]), row[2], row[3]
    it(row[1], function()
      local ids, params = make.ids(op), make.params(op)
      local before = #assert(stripe.events:list { limit = 100 }).data
      local object = assert(make.call(op, ids, params))
      for path, value in pairs(expected) do assert.equal(value, at(object, path), path) end
      local page = assert(stripe.events:list { limit = 100 })
      assert.equal(event and before + 1 or before, #page.data)
      if event then
        assert.equal(event, page.data[1].type)
        assert.equal(object.id, page.data[1].data.object.id)
      end
    end)
  end

  it("leave a final state alone", function()
    for _, id in ipairs {
      "climate.orders.cancel", "quotes.cancel", "identity.verification_sessions.cancel",
      "subscription_schedules.release",
      "treasury.outbound_payments.cancel", "three_d_secure.authentications.cancel", "invoices.void_invoice",
      "orders.pay",
    } do
      local op = pinstripe.api.operation(id)
      local ids, params = make.ids(op), make.params(op)
      assert(make.call(op, ids, params))
      local object, err = make.call(op, ids, params)
      assert.is_nil(object, id)
      assert.equal(400, err.status)
      assert.equal("invalid_request", err.kind)
    end
  end)

  it("that only show something keep nothing", function()
    local invoice = make.object "invoice"
    for _, id in ipairs { "credit_notes.preview", "invoices.create_preview", "terminal.hardware_orders.preview" } do
      local op = pinstripe.api.operation(id)
      local params = make.params(op)
      local before = make.store:count(op.returns.type.ref)
      local shown = assert(make.call(op, {}, params))
      assert.equal(op.returns.type.ref, shown.object)
      assert.equal(before, make.store:count(op.returns.type.ref), id)
    end
    assert.equal(invoice.id, assert(stripe.invoices:retrieve(invoice.id)).id)
  end)

  it("print a quote as a PDF", function()
    local quote = make.object "quote"
    local pdf = assert(stripe.quotes:pdf(quote.id))
    assert.truthy(pdf:find "^%%PDF%-1%.4\n")
    assert.truthy(pdf:find(quote.id, 1, true))
    local table_at = tonumber(pdf:match "startxref\n(%d+)")
    assert.equal("xref", pdf:sub(table_at + 1, table_at + 4))
    for number, offset in pdf:sub(table_at):gmatch "()(%d%d%d%d%d%d%d%d%d%d) 00000 n" do
      assert.truthy(number and pdf:sub(tonumber(offset) + 1):find "^%d 0 obj")
    end
  end)

  it("compute taxes where there is a registration", function()
    local wanted = {
      currency = "usd", customer_details = { address = { country = "US" }, address_source = "billing" },
      line_items = pinstripe.array {
        { amount = 1000, reference = "a" }, { amount = 1100, reference = "b", tax_behavior = "inclusive" },
      },
    }
    local calculation = assert(stripe.tax.calculations:create(wanted))
    assert.same({ 2100, 0, 0 },
      { calculation.amount_total, calculation.tax_amount_exclusive, calculation.tax_amount_inclusive })
    assert(stripe.tax.registrations:create { country = "US", active_from = "now", country_options = {
      us = { state = "CA", type = "state_sales_tax" } } })
    calculation = assert(stripe.tax.calculations:create(wanted))
    assert.same({ 2200, 100, 100 },
      { calculation.amount_total, calculation.tax_amount_exclusive, calculation.tax_amount_inclusive })
    local made = assert(stripe.tax.transactions:create_from_calculation { calculation = calculation.id,
      reference = "r1" })
    assert.equal(400, select(2, stripe.tax.transactions:create_from_calculation {
      calculation = calculation.id, reference = "r1" }).status)
    local back = assert(stripe.tax.transactions:create_reversal {
      mode = "full", original_transaction = made.id, reference = "r2" })
    assert.same({ "reversal", made.id }, { back.type, back.reversal.original_transaction })
  end)

  it("keep one secret for a name and scope", function()
    local scope = { type = "user", user = "u1" }
    assert(stripe.apps.secrets:create { name = "n", payload = "one", scope = scope })
    local two = assert(stripe.apps.secrets:create { name = "n", payload = "two", scope = scope })
    assert.is_nil(two.payload)
    local found = assert(stripe.apps.secrets:find { name = "n", scope = scope, expand = { "payload" } })
    assert.same({ two.id, "two" }, { found.id, found.payload })
    assert.is_nil((stripe.apps.secrets:find { name = "n", scope = { type = "account" } }))
    assert.is_true(assert(stripe.apps.secrets:delete_where { name = "n", scope = scope }).deleted)
    assert.is_nil((stripe.apps.secrets:find { name = "n", scope = scope }))
  end)

  it("let an account join by OAuth, once for each code", function()
    local joined = assert(stripe.oauth:token { grant_type = "authorization_code", code = "ac_1" })
    assert.equal(joined.stripe_user_id, assert(stripe.accounts:retrieve(joined.stripe_user_id)).id)
    local _, err = stripe.oauth:token { grant_type = "authorization_code", code = "ac_1" }
    assert.equal("invalid_grant", err.code)
    _, err = stripe.oauth:token { grant_type = "authorization_code", code = "not_a_code" }
    assert.equal("invalid_grant", err.code)
    local again = assert(stripe.oauth:token { grant_type = "refresh_token", refresh_token = joined.refresh_token })
    assert.equal(joined.stripe_user_id, again.stripe_user_id)
    assert(stripe.oauth:deauthorize { client_id = "ca_1", stripe_user_id = joined.stripe_user_id })
    assert.is_nil((stripe.accounts:retrieve(joined.stripe_user_id)))
  end)
end)
