--- Charges: one attempt to collect money, whether a PaymentIntent or the legacy call makes it.
--
--   succeeded, captured       the money is taken; a balance transaction tells of it
--   succeeded, not captured   held for seven days: captured (once, or in parts), or released
--   pending → succeeded | failed      a debit that settles later
--   failed                    declined; the charge stays, without money
--
-- Invariant: amount_captured is the sum of a charge's transactions; amount_refunded is what was released and refunded,
-- and never more than amount. What may still be refunded is amount − amount_refunded.
local application_fees = require "sandbox.flows.application_fees"
local cards = require "sandbox.cards"
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local currencies = require "sandbox.currencies"
local disputes = require "sandbox.flows.disputes"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local ledger = require "sandbox.flows.ledger"
local methods = require "sandbox.flows.payment_methods"
local shape = require "sandbox.shape"
local sources = require "sandbox.flows.sources"
local spec = require "sandbox.spec"
local transfers = require "sandbox.flows.transfers"

local null = host.null
local refuse = common.refuse

local charges = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

local HELD_FOR = 7 * 86400
local MOST = 99999999
local DESCRIPTOR = "SANDBOX"

-- Fields that a charge takes over from a request or a PaymentIntent as they are.
local TAKEN = {
  "amount", "currency", "customer", "description", "metadata", "receipt_email", "shipping", "statement_descriptor",
  "statement_descriptor_suffix", "on_behalf_of", "transfer_group", "application_fee_amount",
}

-- ---- What may be charged

--- Raises unless the amount can be charged in this currency.
function charges.check_amount(amount, currency, param)
  param = param or "amount"
  common.positive(amount, param)
  local least = currencies.least(currency)
  local text = "Amount must be %s %d in the smallest unit of %s."
  if amount < least then refuse(text:format("at least", least, currency), param, "amount_too_small") end
  if amount > MOST then refuse(text:format("no more than", MOST, currency), param, "amount_too_large") end
end

local function is_direct(call) return call.store ~= call.platform end

local function given(value)
  if value ~= nil and value ~= null then return value end
end

--- Raises unless what a request says of the platform's share can be done. fields: {amount, transfer_data?,
--- application_fee_amount?, on_behalf_of?}.
function charges.check_platform(call, fields)
  local data, fee = given(fields.transfer_data), given(fields.application_fee_amount)
  if data and data.destination and not call:on(data.destination) then
    error(errors.missing("destination", data.destination, "transfer_data[destination]"))
  end
  if data and data.amount and data.amount > fields.amount then
    refuse("The transfer is larger than the payment.", "transfer_data[amount]")
  end
  if not fee then return end
  common.positive(fee, "application_fee_amount")
  if fee > fields.amount then refuse("The fee is larger than the payment.", "application_fee_amount") end
  if not data and not given(fields.on_behalf_of) and not is_direct(call) then
    refuse("An application fee needs a payment on a connected account: name it by the header Stripe-Account, or by"
      .. " transfer_data[destination].", "application_fee_amount")
  end
end

--- Raises unless texts on the statement are as banks take them.
function charges.check_descriptors(fields)
  for _, name in ipairs { "statement_descriptor", "statement_descriptor_suffix" } do
    local text = given(fields[name])
    if text and (utf8.len(text) or 0) > 22 then refuse(name .. " has at most 22 characters.", name) end
    if text and text:find "[<>\\'\"*]" then refuse(name .. " must not hold any of < > \\ ' \" *", name) end
  end
end

-- ---- What a charge shows

local function card_details(charge, held, how)
  local method = held.method
  local card = methods.blank("charge", "payment_method_details", "card")
  for name in pairs(spec.fields(spec.fields(spec.object("charge").by_name.payment_method_details).card)) do
    if method.card[name] ~= nil then card[name] = method.card[name] end
  end
  local address, checked = given(charge.billing_details.address) or {}, given(method.card.checks)
  card.checks = methods.checks(held.note, {
    cvc = checked and checked.cvc_check ~= null, line1 = given(address.line1), postal_code = given(address.postal_code),
  })
  local function may(asked) return { status = asked and "available" or "unavailable" } end
  card.amount_authorized, card.network, card.mandate = charge.amount, card.brand, how.mandate or null
  card.authorization_code = how.decline and null or ("%06d"):format(math.floor(host.random() * 1e6))
  card.network_transaction_id = ("%015d"):format(math.floor(host.random() * 1e15))
  card.extended_authorization, card.regulated_status = { status = "disabled" }, "unregulated"
  card.incremental_authorization, card.multicapture = may(how.incremental), may(how.multicapture)
  card.overcapture = { maximum_amount_capturable = charge.amount, status = "unavailable" }
  if how.capture == false then card.capture_before = charge.created + HELD_FOR end
  if how.authenticated then card.three_d_secure = methods.authenticated "charge" end
  return card
end

local function method_details(charge, held, how)
  local kind = held.method.type
  if kind == "card" then return { type = kind, card = card_details(charge, held, how) } end
  local details = methods.blank("charge", "payment_method_details", kind)
  local fields = spec.fields(spec.object("charge").by_name.payment_method_details)[kind]
  local shown = fields and spec.fields(fields) or {}
  for name in pairs(shown) do
    local value = (held.method[kind] or {})[name]
    if value ~= nil and type(value) ~= "table" then details[name] = value end
  end
  if shown.mandate then details.mandate = how.mandate end
  return { type = kind, [kind] = details }
end

local function outcome(held, decline)
  local result, row = methods.blank("charge", "outcome"), cards.of_note(held.note)
  local known = decline and cards.decline(decline)
  result.network_status, result.type, result.seller_message = "approved_by_network", "authorized", "Payment complete."
  if held.method.type == "card" then
    result.risk_level = row.risk or "normal"
    result.risk_score = ({ elevated = 70, highest = 90 })[row.risk] or 20
  end
  if not known then return result end
  result.reason = known.decline_code
  if known.blocked then
    result.network_status, result.type = "not_sent_to_network", "blocked"
    result.reason = known.risk and known.risk .. "_risk_level" or known.decline_code
    result.seller_message = "The sandbox blocked this payment."
  else
    result.network_status, result.type = "declined_by_network", "issuer_declined"
    result.advice_code = known.advice or null
    result.seller_message = ("The bank returned the decline code `%s`."):format(known.decline_code)
  end
  return result
end

local function descriptor(charge)
  local suffix = given(charge.statement_descriptor_suffix)
  return given(charge.statement_descriptor) or suffix and DESCRIPTOR .. "* " .. suffix or DESCRIPTOR
end

-- A charge of these fields with this method, not yet stored.
local function draw_up(call, fields, held, how)
  local charge, method = shape.new "charge", held.method
  for _, name in ipairs(TAKEN) do
    local value = fields[name]
    if type(value) == "table" then value = generic.land(spec.object("charge").by_name[name], host.copy(value)) end
    if value ~= nil then charge[name] = value end
  end
  charge.id, charge.created = call.store:new_id(method.type == "card" and "ch_" or "py_"), call:now()
  charge.payment_intent, charge.payment_method = fields.payment_intent or null, method.id
  charge.source = fields.source or null
  charge.billing_details, charge.fraud_details = host.copy(method.billing_details), {}
  charge.calculated_statement_descriptor = descriptor(charge)
  charge.payment_method_details = method_details(charge, held, how)
  charge.outcome = outcome(held, how.decline)
  charge.receipt_url = "https://pay.stripe.com/receipts/payment/" .. host.id(40)
  local data = given(fields.transfer_data)
  if data then charge.transfer_data = { amount = data.amount or null, destination = data.destination } end
  if is_direct(call) then charge.application = application_fees.application(call) end
  return charge
end

-- ---- Money

-- A transfer of what was captured to the account that the payment is for, and the platform's fee, at the first capture.
local function share(call, charge, amount, first)
  local fee, data = first and given(charge.application_fee_amount), given(charge.transfer_data)
  local changes = {}
  if data and call:on(data.destination) then
    local transfer = transfers.make(call, {
      charge = charge, amount = math.min(given(data.amount) or amount, amount), currency = charge.currency,
      destination = data.destination,
      fee_details = fee and { application_fees.detail(call, fee, charge.currency) } or nil,
    })
    changes.transfer = charge.transfer or transfer.id
    if fee then
      local taken = { charge = transfer.destination_payment, amount = fee, currency = charge.currency,
        account = data.destination, originating_transaction = charge.id }
      changes.application_fee = application_fees.take(call, taken).id
    end
  elseif fee and is_direct(call) then
    local taken = { charge = charge.id, amount = fee, currency = charge.currency, account = call.account }
    changes.application_fee = application_fees.take(call, taken).id
  end
  call.store:update(charge, changes)
end

-- Posts what was captured: the transaction, the transfer, the fee.
local function collect(call, charge, amount, at_once)
  local first = charge.balance_transaction == null
  local details = { {
    amount = ledger.card_fee(amount), application = null, currency = charge.currency, type = "stripe_fee",
    description = "Stripe processing fees",
  } }
  if first and given(charge.application_fee_amount) and is_direct(call) then
    details[2] = application_fees.detail(call, charge.application_fee_amount, charge.currency)
  end
  local transaction = ledger.post(call, {
    type = charge.payment_method_details.type == "card" and "charge" or "payment", amount = amount,
    currency = charge.currency, source = charge.id, description = given(charge.description), fee_details = details,
    available_on = at_once and call:now() or nil,
  })
  if first then call.store:update(charge, { balance_transaction = transaction.id }) end
  share(call, charge, amount, first)
end

-- ---- One attempt

local ANSWERS = {}

function ANSWERS.failed(call, charge, _, how)
  local decline = cards.decline(how.decline)
  charge.status, charge.failure_code, charge.failure_message = "failed", decline.code, decline.message
  call.store:insert(charge)
  events.emit(call, "charge.failed", charge)
end

function ANSWERS.pending(call, charge)
  charge.status = "pending"
  call.store:insert(charge)
  events.emit(call, "charge.pending", charge)
end

function ANSWERS.held(call, charge)
  charge.status, charge.paid = "succeeded", true
  call.store:insert(charge)
  local intent = given(charge.payment_intent)
  local job = intent and "payment_intents.expire" or "charges.expire"
  clock.schedule(call, call:now() + HELD_FOR, job, { id = intent, charge = charge.id })
  events.emit(call, "charge.succeeded", charge)
end

function ANSWERS.captured(call, charge, held)
  charge.status, charge.paid, charge.captured, charge.amount_captured = "succeeded", true, true, charge.amount
  call.store:insert(charge)
  collect(call, charge, charge.amount, cards.of_note(held.note).available)
  events.emit(call, "charge.succeeded", charge)
end

--- Charges a method: stored, posted and announced. `fields`: TAKEN, payment_intent, transfer_data, source. `how`:
--- {capture = false to hold only, authenticated, delayed, decline = one that the caller knows, mandate, …}.
--- Returns the charge, and the name of the decline if it failed.
function charges.attempt(call, fields, held, how)
  local row = cards.of_note(held.note)
  how.decline = how.decline or row.decline or how.authenticated and row.after or nil
  local charge = draw_up(call, fields, held, how)
  local answer = how.decline and "failed" or how.delayed and "pending" or how.capture == false and "held" or "captured"
  ANSWERS[answer](call, charge, held, how)
  call.store:private(charge).refund = row.refund
  return charge, how.decline
end

--- What comes after a payment was announced: its dispute, a warning, money that is available at once.
function charges.aftermath(call, charge, held)
  local row, account = cards.of_note(held.note), held.note.account or {}
  local reason = row.dispute or account.dispute
  if charge.status ~= "succeeded" or not charge.captured then return end
  if row.available then events.emit(call, "balance.available", ledger.balance(call)) end
  if reason then disputes.open(call, charge, reason, row.inquiry) end
  if row.warning then
    local warning = shape.new "radar.early_fraud_warning"
    warning.actionable, warning.charge, warning.fraud_type = true, charge.id, "misc"
    warning.payment_intent = given(charge.payment_intent)
    call.store:insert(warning)
    events.emit(call, "radar.early_fraud_warning.created", warning)
  end
end

--- The 402 of a declined charge, with these fields beside its own.
function charges.declined(charge, decline, fields)
  fields.charge = charge.id
  return methods.declined(decline, fields)
end

--- A pending charge settles, or fails with this code.
function charges.settle(call, charge, failure)
  if failure then
    local result = host.copy(charge.outcome)
    result.network_status, result.type, result.reason = "declined_by_network", "issuer_declined", failure
    result.seller_message = cards.failure(failure)
    generic.apply(call, charge, {
      status = "failed", failure_code = failure, failure_message = cards.failure(failure), outcome = result,
    }, "charge.failed")
  else
    call.store:update(charge, { status = "succeeded", paid = true, captured = true, amount_captured = charge.amount })
    collect(call, charge, charge.amount)
    events.emit(call, "charge.succeeded", charge)
  end
end

--- Captures a part of a held charge; with `final`, the rest is released.
function charges.capture(call, charge, amount, final)
  local captured = charge.amount_captured + amount
  local before = { amount_captured = charge.amount_captured, captured = false }
  local released = final and charge.amount - captured or 0
  call.store:update(charge, { amount_captured = captured, captured = final, amount_refunded = released })
  collect(call, charge, amount)
  events.emit(call, final and "charge.captured" or "charge.updated", charge, before)
end

--- Releases a held charge: nothing was taken, nothing is owed. `event`: how it is told, if at all.
function charges.release(call, charge, event)
  local changes = { amount_refunded = charge.amount - charge.amount_captured, refunded = charge.amount_captured == 0,
    captured = charge.amount_captured > 0 }
  if event then generic.apply(call, charge, changes, event) else call.store:update(charge, changes) end
end

--- Whether money is held and neither captured nor released.
function charges.is_held(charge)
  return charge.status == "succeeded" and not charge.captured and not charge.refunded
end

-- ---- The legacy calls

-- What the request pays with: {object (as `source` shows it), held}.
local function payer(call)
  local params = call.params
  if params.source then return sources.to_charge(call, params.source, params.customer) end
  if not params.customer then refuse("Must provide source or customer.", "source", "parameter_missing") end
  local customer = call:find("customer", params.customer, "customer")
  if customer.default_source == null then
    error(errors.card { code = "missing", message = "This customer has no source to charge.", param = "card" })
  end
  return sources.to_charge(call, customer.default_source, customer.id)
end

-- The destination and the fee under their older names.
local function modernized(call)
  local params = call.params
  local fields = {}
  for name, value in pairs(params) do fields[name] = value end
  fields.application_fee_amount = params.application_fee_amount or params.application_fee
  local destination = given(params.destination)
  if destination then fields.transfer_data = { amount = destination.amount, destination = destination.account } end
  return fields
end

charges.operations["charges.create"] = function(call)
  local params = call.params
  if not common.says_more(call) then return generic.create(call) end
  for _, name in ipairs { "amount", "currency" } do
    if not params[name] then error(errors.parameter_missing(name)) end
  end
  local fields = modernized(call)
  charges.check_amount(params.amount, params.currency)
  charges.check_platform(call, fields)
  charges.check_descriptors(params)
  local paying = payer(call)
  fields.source, fields.customer = paying.object, params.customer or given(paying.object.customer) or null
  sources.used(call, paying)
  local delayed = methods.kind(paying.held.method.type).pays == "delayed"
  local charge, decline = charges.attempt(call, fields, paying.held, { capture = params.capture, delayed = delayed })
  if decline then return nil, charges.declined(charge, decline, {}) end
  if delayed then
    local args = { id = charge.id, failure = (paying.held.note.account or {}).failure }
    clock.schedule(call, call:now() + sources.SETTLES_AFTER, "charges.settle", args)
  end
  charges.aftermath(call, charge, paying.held)
  return charge
end

local function check_held(charge)
  if charges.is_held(charge) then return end
  if charge.captured then
    refuse(("Charge %s has already been captured."):format(charge.id), nil, "charge_already_captured")
  end
  refuse(("Charge %s holds no money to capture: it failed, expired or was refunded."):format(charge.id),
    nil, "charge_expired_for_capture")
end

charges.operations["charges.capture"] = function(call)
  local charge, params = call:target(), call.params
  if given(charge.payment_intent) then
    refuse(("This charge was made by the PaymentIntent %s: capture that."):format(charge.payment_intent),
      "charge", "charge_invalid_parameter")
  end
  check_held(charge)
  local amount = params.amount or charge.amount
  if amount > charge.amount then
    refuse(("At most %d can be captured of charge %s."):format(charge.amount, charge.id), "amount", "amount_too_large")
  end
  common.positive(amount, "amount")
  local fee = params.application_fee_amount or params.application_fee
  local as_captured = setmetatable({ amount = amount, application_fee_amount = fee or null }, { __index = charge })
  charges.check_platform(call, as_captured)
  charges.check_descriptors(params)
  local changes = generic.merge(charge, params)
  changes.amount = nil
  if fee then changes.application_fee_amount = fee end
  call.store:update(charge, changes)
  charges.capture(call, charge, amount, true)
  return charge
end

charges.jobs["charges.settle"] = function(call, args)
  local charge = call.store:get("charge", args.id)
  if charge and charge.status == "pending" then charges.settle(call, charge, args.failure) end
end

charges.jobs["charges.expire"] = function(call, args)
  local charge = call.store:get("charge", args.charge)
  if charge and charges.is_held(charge) then charges.release(call, charge, "charge.expired") end
end

return charges
