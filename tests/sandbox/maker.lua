-- What a call of any operation needs, made up from the table: its required params, and objects for its ids.
--
--     local make = maker.new(box, client)
--     make.params(op)            the params that the table requires of it, as a client gives them
--     make.ids(op)               ids of objects that there are, fresh ones, in a state that allows the operation
--     make.object("customer")    a fresh object
--     make.call(op, ids, params)
--
-- Objects are made through the client where an operation creates them. What only the world outside makes (a review, a
-- received credit) is put into the account's store.
local accounts = require "sandbox.accounts"
local pinstripe = require "pinstripe"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local maker = {}

maker.KEY = "sk_test_123"

-- Params that name objects.
local REFERENCES = {
  account = "account", calculation = "tax.calculation", card = "issuing.card", cardholder = "issuing.cardholder",
  charge = "charge", credit_note = "credit_note", customer = "customer", destination = "account",
  entitlement_feature = "entitlements.feature", file = "file", financial_account = "treasury.financial_account",
  invoice = "invoice", original_transaction = "tax.transaction", payment_intent = "payment_intent",
  payment_method = "payment_method", payment_record = "payment_record", physical_bundle = "issuing.physical_bundle",
  price = "price", product = "product", received_credit = "treasury.received_credit",
  received_debit = "treasury.received_debit", report_type = "reporting.report_type", setup_intent = "setup_intent",
  subscription = "subscription", terminal_hardware_sku = "terminal.hardware_sku", value_list = "radar.value_list",
  shipping_method = "terminal.hardware_shipping_method", transaction = "issuing.transaction",
}

-- Words that the table calls a string and the API reads.
local WORDS = {
  account_number = "000123456789", country = "US", currency = "usd", email = "jenny@example.com",
  domain_name = "example.com", query = "created>0", registration_code = "simulated-wpe", routing_number = "110000000",
  supported_currencies = "usd", url = "https://example.com/hook", enabled_events = "*", alias = "names",
  origin_payment_method = "pm_usBankAccount", source = "tok_visa", number = "4242424242424242",
}

local HOOK = "https://example.com/hook"

-- What single operations need beside or instead of that; "@coupon" is the id of a coupon.
local GIVEN = {
  ["account_links.create"] = { refresh_url = HOOK, return_url = HOOK },
  ["accounts.create"] = { type = "express", country = "US", capabilities = { transfers = { requested = true } } },
  ["accounts.external_accounts.create"] = { external_account = "btok_us_verified" },
  ["charges.create"] = { amount = 2000, currency = "usd", source = "tok_visa" },
  ["customers.payment_sources.verify"] = { amounts = pinstripe.array { 32, 45 } },
  ["oauth.deauthorize"] = { stripe_user_id = "@account" },
  ["oauth.token"] = { code = "ac_123" },
  ["orders.submit"] = { expected_total = 0 },
  ["payment_intents.confirm"] = { payment_method = "pm_card_visa" },
  ["payment_intents.create"] = { amount = 2000 },
  ["payment_intents.increment_authorization"] = { amount = 3000 },
  ["payment_intents.verify_microdeposits"] = { amounts = pinstripe.array { 32, 45 } },
  ["payment_methods.attach"] = { customer = "@customer" },
  ["payouts.create"] = { amount = 100 },
  ["prices.search"] = { query = "active:'true'" },
  ["products.search"] = { query = "active:'true'" },
  ["promotion_codes.create"] = { promotion = { type = "coupon", coupon = "@coupon" } },
  ["setup_intents.confirm"] = { payment_method = "pm_card_visa" },
  ["setup_intents.verify_microdeposits"] = { amounts = pinstripe.array { 32, 45 } },
  ["test_helpers.test_clocks.advance"] = { frozen_time = 1800000060 },
  ["transfers.create"] = { amount = 100 },
  ["v2.core.event_destinations.create"] = { type = "webhook_endpoint", webhook_endpoint = { url = HOOK } },
  ["v2.money_management.inbound_transfers.create"] = { from = { payment_method = "@payment_method" } },
}

-- What an object must be before an operation can be done to it.
local BEFORE = {
  ["billing.alerts.activate"] = { status = "inactive" },
  ["billing.meters.reactivate"] = { status = "inactive" },
  ["invoice_rendering_templates.unarchive"] = { status = "archived" },
  ["orders.reopen"] = { status = "submitted" },
  ["payouts.reverse"] = { status = "paid" },
  ["refunds.cancel"] = { status = "requires_action" },
  ["subscriptions.resume"] = { status = "paused" },
  ["test_helpers.refunds.expire"] = { status = "requires_action" },
  ["test_helpers.treasury.inbound_transfers.return_inbound_transfer"] = { status = "succeeded" },
  ["test_helpers.treasury.outbound_payments.return_outbound_payment"] = { status = "posted" },
  ["test_helpers.treasury.outbound_transfers.return_outbound_transfer"] = { status = "posted" },
  ["v2.core.vault.us_bank_accounts.confirm_microdeposits"] = { verification = { status = "awaiting_verification" } },
  ["v2.money_management.payout_intents.confirm"] = { status = "requires_action" },
}

local PLAIN = {
  string = "a text", any = "any", bool = true, int = 7, number = 1.5, timestamp = 1800000000, decimal = "1.5",
  int64 = "7", file = { content = "bytes", filename = "a.png", type = "image/png" },
}

-- The operation that creates each kind, of several the one with the shortest path.
local creators = {}
for op in pinstripe.api.operations() do
  local kind = op.name == "create" and op.returns.type and op.returns.type.ref
  if kind and (not creators[kind] or #op.path < #creators[kind].path) then creators[kind] = op end
end

-- Objects that no plain create makes: function(make, client) → object.
local OBJECTS = {
  application_fee = function(make, client)
    local charge = { amount = 1000, currency = "usd", source = "tok_visa", application_fee_amount = 100 }
    assert(client.charges:create(charge, { stripe_account = make.kept "account".id }))
    return assert(client.application_fees:list()).data[1]
  end,
  bank_account = function(make, client)
    return assert(client.customers.payment_sources:create(make.kept "customer".id, { source = "btok_us_verified" }))
  end,
  card = function(make, client)
    return assert(client.customers.payment_sources:create(make.kept "customer".id, { source = "tok_visa" }))
  end,
  dispute = function(_, client)
    assert(client.charges:create { amount = 1000, currency = "usd", source = "tok_createDispute" })
    return assert(client.disputes:list()).data[1]
  end,
  file = function(make) return make.seed("file", { purpose = "dispute_evidence" }) end,
  payment_record = function(make)
    local report = pinstripe.api.operation "payment_records.report_payment"
    return assert(make.call(report, {}, make.params(report)))
  end,
  ["issuing.transaction"] = function(make, client)
    local transaction = { amount = 100, card = make.kept "issuing.card".id }
    return assert(client.test_helpers.issuing.transactions:create_force_capture(transaction))
  end,
}

-- The ids for operations that ask for more than a fresh object.
local SCENES = {}

local function scene(ids, make_ids)
  for id in ids:gmatch "%S+" do SCENES[id] = make_ids end
end

scene("accounts.capabilities.retrieve accounts.capabilities.update", function(make)
  return { make.object "account".id, "transfers" }
end)
scene("application_fees.refunds.retrieve application_fees.refunds.update", function(make, client)
  local fee = make.object "application_fee"
  return { fee.id, assert(client.application_fees.refunds:create(fee.id)).id }
end)
scene("charges.capture", function(_, client)
  local charge = { amount = 2000, currency = "usd", source = "tok_visa", capture = false }
  return { assert(client.charges:create(charge)).id }
end)
scene("customers.delete_discount", function(make, client)
  local coupon = make.object "coupon"
  local customer = assert(client.customers:create({ coupon = coupon.id }, { stripe_version = "2020-08-27" }))
  return { customer.id }
end)
scene("customers.payment_sources.verify", function(make, client)
  local customer = make.object "customer"
  local source = { source = "btok_us_verified" }
  local account = assert(client.customers.payment_sources:create(customer.id, source))
  make.store:update(make.store:get("bank_account", account.id), { status = "new" })
  return { customer.id, account.id }
end)
scene("customers.payment_methods.retrieve", function(make, client)
  local customer = make.object "customer"
  return { customer.id, assert(client.payment_methods:attach("pm_card_visa", { customer = customer.id })).id }
end)
scene("sources.detach", function(make, client)
  local customer = make.object "customer"
  return { customer.id, assert(client.customers.payment_sources:create(customer.id, { source = "tok_visa" })).id }
end)
scene("payment_methods.detach", function(make, client)
  return { assert(client.payment_methods:attach("pm_card_visa", { customer = make.object "customer".id })).id }
end)

local function held(options)
  return function(_, client)
    return { assert(client.payment_intents:create({
      amount = 2000, currency = "usd", confirm = true, payment_method = "pm_card_visa", capture_method = "manual",
      payment_method_types = pinstripe.array { "card" }, payment_method_options = options,
    }, { stripe_version = "2020-08-27" })).id }
  end
end

scene("payment_records.report_refund", function(make, client)
  local record = make.object "payment_record"
  assert(client.payment_records:report_payment_attempt_guaranteed(record.id, { guaranteed_at = 1790000000 }))
  return { record.id }
end)
scene([[test_helpers.issuing.cards.deliver_card test_helpers.issuing.cards.fail_card
  test_helpers.issuing.cards.return_card test_helpers.issuing.cards.ship_card
  test_helpers.issuing.cards.submit_card]], function(make, client)
  local card = { type = "physical", currency = "usd", cardholder = make.kept "issuing.cardholder".id }
  card.shipping = { name = "Jenny", address = { line1 = "1", city = "C", postal_code = "1", country = "US" } }
  return { assert(client.issuing.cards:create(card)).id }
end)
scene("payment_intents.capture", held())
scene("payment_intents.increment_authorization", held { card = { request_incremental_authorization = "if_available" } })
scene("payment_intents.apply_customer_balance", function(make, client)
  local customer = make.object "customer".id
  assert(client.customers.cash_balance:update(customer, { settings = { reconciliation_mode = "manual" } }))
  local intent = assert(client.payment_intents:create({
    amount = 2000, currency = "usd", confirm = true, customer = customer,
    payment_method_types = pinstripe.array { "customer_balance" },
    payment_method_data = { type = "customer_balance" },
    payment_method_options = { customer_balance = {
      funding_type = "bank_transfer", bank_transfer = { type = "us_bank_transfer" },
    } },
  }, { stripe_version = "2020-08-27" }))
  assert(client.test_helpers.customers:fund_cash_balance(customer, { amount = 5000, currency = "usd" }))
  return { intent.id }
end)
scene("payment_intents.verify_microdeposits", function(_, client)
  return { assert(client.payment_intents:create({
    amount = 2000, currency = "usd", confirm = true, payment_method_types = pinstripe.array { "us_bank_account" },
    payment_method_data = { type = "us_bank_account", us_bank_account = {
      account_number = "000123456789", routing_number = "110000000", account_holder_type = "individual",
    }, billing_details = { name = "Jenny Rosen" } },
    payment_method_options = { us_bank_account = { verification_method = "microdeposits" } },
  }, { stripe_version = "2020-08-27" })).id }
end)
scene("setup_intents.verify_microdeposits", function(_, client)
  return { assert(client.setup_intents:create({
    confirm = true, payment_method_types = pinstripe.array { "us_bank_account" },
    payment_method_data = { type = "us_bank_account", us_bank_account = {
      account_number = "000123456789", routing_number = "110000000", account_holder_type = "individual",
    }, billing_details = { name = "Jenny Rosen" } },
    payment_method_options = { us_bank_account = { verification_method = "microdeposits" } },
  }, { stripe_version = "2020-08-27" })).id }
end)
scene("test_helpers.terminal.readers.present_payment_method", function(make, client)
  local reader = make.object "terminal.reader"
  local setup = { setup_intent = make.kept "setup_intent".id, allow_redisplay = "always" }
  assert(client.terminal.readers:process_setup_intent(reader.id, setup))
  return { reader.id }
end)
scene([[test_helpers.terminal.readers.succeed_input_collection
  test_helpers.terminal.readers.timeout_input_collection]], function(make, client)
  local reader = make.object "terminal.reader"
  local inputs = pinstripe.array { { type = "text", custom_text = { title = "Name" } } }
  assert(client.terminal.readers:collect_inputs(reader.id, { inputs = inputs }))
  return { reader.id }
end)
scene([[issuing.authorizations.approve issuing.authorizations.decline test_helpers.issuing.authorizations.capture
  test_helpers.issuing.authorizations.expire test_helpers.issuing.authorizations.finalize_amount
  test_helpers.issuing.authorizations.increment test_helpers.issuing.authorizations.respond
  test_helpers.issuing.authorizations.reverse]], function(make)
  local authorization = make.object "issuing.authorization"
  make.store:update(make.store:get("issuing.authorization", authorization.id), { status = "pending" })
  return { authorization.id }
end)

-- What must be there before an operation without an id.
local function fund(_, client)
  assert(client.charges:create { amount = 100000, currency = "usd", source = "tok_bypassPending" })
end

local function keep_secret(make) make.object "apps.secret" end

local PREPARE = {
  ["payouts.create"] = fund, ["transfers.create"] = fund,
  ["apps.secrets.find"] = keep_secret, ["apps.secrets.delete_where"] = keep_secret,
}

function maker.new(box, client)
  local make, kept = {}, {}
  local _, account = accounts.authenticate { headers = { authorization = "Bearer " .. maker.KEY } }
  local store = box:store(account)
  make.store = store

  local value

  local function text(name, op)
    if REFERENCES[name] and op.version == 1 then return make.kept(REFERENCES[name]).id end
    return WORDS[name] or PLAIN.string
  end

  local function fields_of(fields, op)
    local map = {}
    for _, field in ipairs(fields) do
      if field.required then map[field.name] = value(field, field.name, op) end
    end
    return map
  end

  -- The same inside another: what would be empty, and so not sent, gets its first field.
  local function nested(t, op)
    local map, first = fields_of(t.fields, op), t.fields[1]
    if next(map) == nil and first then map[first.name] = value(first, first.name, op) end
    return map
  end

  function value(t, name, op)
    if t.kind == "object" then return nested(t, op) end
    if t.kind == "string" then return text(name or "", op) end
    if t.kind == "enum" then return t.values[1] ~= "" and t.values[1] or t.values[2] end
    if t.kind == "array" then return pinstripe.array { value(t.of, name, op) } end
    if t.kind == "map" then return { some_key = value(t.of, nil, op) } end
    if t.kind == "range" then return { gte = value(t.of, nil, op) } end
    if t.kind == "union" then return value(t.any[1], name, op) end
    return PLAIN[t.kind]
  end

  -- Puts what is given into params; "@coupon" stands for the id of one.
  local function give(params, given)
    for name, part in pairs(given) do
      if type(part) == "string" and part:sub(1, 1) == "@" then part = make.kept(part:sub(2)).id end
      if type(part) == "table" and type(params[name]) == "table" and not part[1] then
        part = give(params[name], part)
      elseif type(part) == "table" and not part[1] then
        part = give({}, part)
      end
      params[name] = part
    end
    return params
  end

  function make.params(op) return give(fields_of(op.params, op), GIVEN[op.id] or {}) end

  function make.call(op, ids, params, options, another)
    local service, arguments = another or client, {}
    for segment in op.service:gmatch "[^.]+" do service = service[segment] end
    for i, id in ipairs(ids) do arguments[i] = id end
    arguments[#arguments + 1] = params
    if op.id == "ephemeral_keys.create" then options = { stripe_version = "2020-08-27" } end
    arguments[#arguments + 1] = options
    return service[op.name](service, table.unpack(arguments))
  end

  -- Puts an object that no operation makes into the store, with those of `fields` that it has.
  function make.seed(kind, fields, parent)
    local object, known = shape.new(kind), spec.object(kind).by_name
    for name, given in pairs(fields or {}) do
      if known[name] then object[name] = given end
    end
    if object.created == "" then object.created = "2026-01-01T00:00:00.000Z" end
    return store:insert(object, parent)
  end

  --- A fresh object of a kind.
  function make.object(kind)
    if OBJECTS[kind] then return OBJECTS[kind](make, client) end
    local op = creators[kind]
    if not op then return make.seed(kind) end
    local object, err = make.call(op, make.ids(op), make.params(op))
    if not object then error(("making a %s by %s: %s"):format(kind, op.id, tostring(err)), 0) end
    return object
  end

  --- An object of a kind, always the same.
  function make.kept(kind)
    kept[kind] = kept[kind] or make.object(kind)
    return kept[kind]
  end

  -- The ids of a path whose last object was made under the one before.
  local function nested_ids(op)
    local sibling = pinstripe.api.operation(op.service .. ".create")
    local known = spec.operation(op.id).path_kinds
    local parent = make.object(known[1][1])
    if sibling and #sibling.ids == #op.ids - 1 then
      local child, err = make.call(sibling, { parent.id }, make.params(sibling))
      if not child then error(("making it by %s: %s"):format(sibling.id, tostring(err)), 0) end
      return { parent.id, child.id }
    end
    local fields = { account = parent.id, customer = parent.id }
    return { parent.id, make.seed(known[2][1], fields, parent.id).id }
  end

  --- Ids for an operation's path.
  function make.ids(op)
    if PREPARE[op.id] then PREPARE[op.id](make, client) end
    if SCENES[op.id] then return SCENES[op.id](make, client) end
    if #op.ids == 0 then return {} end
    if #op.ids > 1 then return nested_ids(op) end
    local kind = spec.operation(op.id).path_kinds[1][1]
    local id = make.object(kind).id
    if BEFORE[op.id] then store:update(store:get(kind, id), BEFORE[op.id]) end
    return { id }
  end

  return make
end

return maker
