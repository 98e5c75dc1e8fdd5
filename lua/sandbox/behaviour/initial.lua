--- What objects are when they are made, where the table's empty value is not it: above all the first status of a kind.
--- Params land on top of these. What depends on params or on other objects is a flow's.
---
--- A function gets the call and answers with the value.

local host = require "sandbox.host"

local MINUTE, HOUR, DAY = 60, 3600, 86400

local function now(call) return call:now() end

local function ahead(seconds)
  return function(call) return call:now() + seconds end
end

local function secret(prefix, length)
  return function() return prefix .. host.id(length or 24) end
end

local function url(address)
  return function() return "https://" .. address .. "/" .. host.id(24) end
end

local outbound = {
  status = "processing", cancelable = true, expected_arrival_date = ahead(2 * DAY), statement_descriptor = "transfer",
}

return {
  account_link = { expires_at = ahead(5 * MINUTE), url = url "connect.stripe.com/setup/s" },
  account_session = { client_secret = secret "accs_secret__", expires_at = ahead(HOUR) },
  ["apps.install"] = { status = "installed", channel = "public", app = secret "com.example." },
  ["billing.alert"] = { status = "active" },
  ["billing.credit_grant"] = { category = "paid", effective_at = now, updated = now },
  ["billing.feedback_option"] = { status = "active" },
  ["billing.meter"] = { status = "active", updated = now, value_settings = { event_payload_key = "value" },
    customer_mapping = { event_payload_key = "stripe_customer_id", type = "by_id" } },
  ["billing.meter_event"] = { identifier = secret("", 32), timestamp = now },
  ["billing.meter_event_adjustment"] = { status = "pending" },
  ["billing_portal.configuration"] = { active = true, updated = now },
  ["billing_portal.session"] = { url = url "billing.stripe.com/p/session" },
  ["checkout.session"] = {
    status = "open", payment_status = "unpaid", expires_at = ahead(DAY), mode = "payment", ui_mode = "hosted_page",
    url = url "checkout.stripe.com/c/pay",
  },
  ["climate.order"] = { status = "open" },
  coupon = { valid = true, duration = "once" },
  credit_note = { status = "issued", number = secret("CN-", 8), type = "pre_payment" },
  ["crypto.onramp_session"] = { status = "initialized", client_secret = secret "cos_secret_" },
  customer_session = { client_secret = secret "cuss_secret_", expires_at = ahead(30 * MINUTE) },
  ["entitlements.feature"] = { active = true },
  ephemeral_key = { expires = ahead(HOUR), secret = secret "ek_test_" },
  ["financial_connections.session"] = { client_secret = secret "fcsess_client_secret_" },
  ["identity.verification_session"] = {
    status = "requires_input", type = "document", client_secret = secret "vs_secret_",
    url = url "verify.stripe.com/start",
  },
  invoice = { status = "draft", collection_method = "charge_automatically", period_start = now, period_end = now },
  invoiceitem = { date = now, discountable = true, quantity = 1, quantity_decimal = "1" },
  invoice_rendering_template = { status = "active" },
  ["issuing.authorization"] = {
    status = "pending", approved = true, authorization_method = "online", merchant_currency = "usd",
  },
  ["issuing.card"] = {
    status = "inactive", type = "virtual", brand = "Visa", exp_month = 12, exp_year = 2029,
    last4 = function() return ("%04d"):format(math.floor(host.random() * 10000)) end,
  },
  ["issuing.cardholder"] = { status = "active", type = "individual" },
  ["issuing.dispute"] = { status = "unsubmitted" },
  ["issuing.personalization_design"] = { status = "review" },
  ["issuing.token"] = { status = "requested" },
  login_link = { url = url "connect.stripe.com/express" },
  order = { status = "open", client_secret = secret "order_secret_" },
  payment_link = {
    active = true, billing_address_collection = "auto", customer_creation = "if_required",
    payment_method_collection = "always", submit_type = "auto", url = url "buy.stripe.com/test",
  },
  payment_method_configuration = { active = true, name = "Default" },
  payment_method_domain = { enabled = true },
  payment_record = { reported_by = "self" },
  quote = { status = "draft", collection_method = "charge_automatically", expires_at = ahead(30 * DAY) },
  ["radar.payment_evaluation"] = { created_at = now, recommended_action = "continue" },
  ["radar.value_list"] = { created_by = "sandbox@example.com", item_type = "string" },
  ["radar.value_list_item"] = { created_by = "sandbox@example.com" },
  ["reporting.report_run"] = { status = "pending" },
  ["reserve.plan"] = { status = "active" },
  review = { open = true, reason = "rule", opened_reason = "rule" },
  shipping_rate = { active = true, type = "fixed_amount" },
  sku = { active = true, updated = now },
  subscription = {
    status = "active", collection_method = "charge_automatically", billing_cycle_anchor = now, start_date = now,
  },
  subscription_item = { current_period_start = now, current_period_end = ahead(30 * DAY), quantity = 1 },
  subscription_schedule = { status = "not_started", end_behavior = "release" },
  ["tax.calculation"] = { tax_date = now, expires_at = ahead(90 * DAY) },
  ["tax.registration"] = { status = "active", active_from = now },
  ["tax.settings"] = { status = "active" },
  ["tax.transaction"] = { type = "transaction", posted_at = now, tax_date = now },
  ["terminal.connection_token"] = { secret = secret "pst_test_" },
  ["terminal.hardware_order"] = { status = "pending", payment_type = "none" },
  ["terminal.onboarding_link"] = { redirect_url = url "connect.stripe.com/terminal" },
  ["terminal.reader"] = {
    status = "online", device_type = "simulated_wisepos_e", label = "Simulated reader",
    serial_number = secret("", 12), last_seen_at = now,
  },
  ["test_helpers.test_clock"] = { status = "ready", deletes_after = ahead(30 * DAY) },
  ["three_d_secure.authentication"] = { status = "requires_submission", directory_server = "visa" },
  ["treasury.credit_reversal"] = { status = "processing" },
  ["treasury.debit_reversal"] = { status = "processing" },
  ["treasury.financial_account"] = { status = "open", country = "US" },
  ["treasury.inbound_transfer"] = { status = "processing", cancelable = true },
  ["treasury.outbound_payment"] = outbound,
  ["treasury.outbound_transfer"] = outbound,
  ["treasury.received_credit"] = { status = "succeeded", description = "Stripe Test" },
  ["treasury.received_debit"] = { status = "succeeded", description = "Stripe Test" },
  ["treasury.transaction"] = { status = "open" },
  usage_record = { timestamp = now },
  ["v2.billing.meter_event_adjustment"] = { status = "complete" },
  ["v2.commerce.product_catalog_import"] = { status = "awaiting_upload" },
  ["v2.core.event_destination"] = { status = "enabled" },
  ["v2.money_management.financial_account"] = { status = "open", type = "storage", country = "US" },
  ["v2.money_management.financial_address"] = { status = "active", settlement_currency = "usd" },
  ["v2.money_management.outbound_payment"] = { status = "processing", cancelable = true },
  ["v2.money_management.outbound_setup_intent"] = { status = "requires_payout_method", usage_intent = "payment" },
  ["v2.money_management.payout_intent"] = { status = "pending", confirmation_method = "automatic" },
  ["v2.money_management.recipient_verification"] = { status = "verified", match_result = "match" },
  ["v2.money_management.transaction"] = { status = "posted" },
}
