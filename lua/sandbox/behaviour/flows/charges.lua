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
local common = require "sandbox.flows.common"
local currencies = require "sandbox.currencies"
local disputes = require "sandbox.flows.disputes"
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local ledger = require "sandbox.flows.ledger"
local methods = require "sandbox.flows.payment_methods"
local sources = require "sandbox.flows.sources"
local spec = require "sandbox.spec"
local transfers = require "sandbox.flows.transfers"

local null, given, refuse, refuse_if = host.null, common.given, common.refuse, common.refuse_if

local charges = { operations = {}, jobs = {} }

local HELD_FOR = 7 * common.DAY
local MOST = 99999999
local DESCRIPTOR = "SANDBOX"

-- Fields that a charge takes over from a request or a PaymentIntent as they are.
local TAKEN = {
  "amount", "currency", "customer", "description", "metadata", "receipt_email", "shipping", "statement_descriptor",
  "statement_descriptor_suffix", "on_behalf_of", "transfer_group", "application_fee_amount",
}

-- ---- What may be charged

local function is_direct(call) return call.store ~= call.platform end

-- The platform keeps its share as a fee of all, or as what it does not transfer.
local function check_shares(fee, data)
  refuse_if(given(fee) and data and given(data.amount), "`transfer_data[amount]` and `application_fee_amount` exclude"
    .. " each other.", "transfer_data[amount]", "parameters_exclusive")
end

local function check_platform(call, fields)
  local data, fee = given(fields.transfer_data), given(fields.application_fee_amount)
  if data and data.destination and not call:on(data.destination) then
    error(errors.missing("destination", data.destination, "transfer_data[destination]"))
  end
  check_shares(fee, data)
  refuse_if(data and data.amount and data.amount > fields.amount,
    "The transfer is larger than the payment.", "transfer_data[amount]")
  if not fee then return end
  common.positive(fee, "application_fee_amount")
  if fee > fields.amount then refuse("The fee is larger than the payment.", "application_fee_amount") end
  if not data and not given(fields.on_behalf_of) and not is_direct(call) then
    refuse("An application fee needs a payment on a connected account: name it by the header Stripe-Account, or by"
      .. " transfer_data[destination].", "application_fee_amount")
  end
end

--- Raises unless what a request says of the amount, of the platform's share and of the statement's text can be charged.
--- `fields`: {amount, transfer_data?, application_fee_amount?, on_behalf_of?}; without a currency any amount will do.
function charges.check(call, fields, currency)
  local amount, least = fields.amount, currencies.least(currency)
  local bounds = "Amount must be %s %d in the smallest unit of %s."
  if currency then
    common.positive(amount, "amount")
    refuse_if(amount < least, bounds, "amount", "amount_too_small", "at least", least, currency)
    refuse_if(amount > MOST, bounds, "amount", "amount_too_large", "no more than", MOST, currency)
  end
  check_platform(call, fields)
  for _, name in ipairs { "statement_descriptor", "statement_descriptor_suffix" } do
    local text = given(call.params[name])
    refuse_if(text and (utf8.len(text) or 0) > 22, "%s has at most 22 characters.", name, nil, name)
    refuse_if(text and text:find "[<>\\'\"*]", "%s must not hold any of < > \\ ' \" *", name, nil, name)
  end
end

--- The same of a capture: what the request itself says of the platform's share must fit this part; what was agreed on
--- before is bounded by what is captured.
function charges.check_capture(call, charge, amount, fee)
  local data, asked = given(charge.transfer_data), given(call.params.transfer_data)
  refuse_if(given(fee) and given(charge.application_fee),
    "The application fee of this payment was taken with an earlier capture.", "application_fee_amount")
  refuse_if(asked and not data, "This payment has no destination to transfer to.", "transfer_data")
  refuse_if(asked and asked.amount and asked.amount > charge.amount_captured + amount,
    "The transfer is larger than what is captured.", "transfer_data[amount]")
  check_shares(fee or charge.application_fee_amount, asked or data)
  charges.check(call, common.as_changed(charge, {
    amount = amount, application_fee_amount = fee or null,
    transfer_data = data and { destination = data.destination } or null,
  }))
end

-- ---- What a charge shows

local function card_details(charge, held, how)
  local card = common.nested(held.method.card, "charge", "payment_method_details", "card")
  local function may(asked) return { status = asked and "available" or "unavailable" } end
  card.checks = methods.card_checks(held, charge.billing_details)
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
  local plain = { mandate = how.mandate }
  for name, value in pairs(held.method[kind] or {}) do
    if type(value) ~= "table" then plain[name] = value end
  end
  return { type = kind, [kind] = common.nested(plain, "charge", "payment_method_details", kind) }
end

local SCORES = { elevated = 70, highest = 90 }

local function outcome(held, decline)
  local row, known = cards.of_note(held.note), decline and cards.decline(decline)
  local is_card, reason = held.method.type == "card", known and known.decline_code
  local result = {
    network_status = "approved_by_network", type = "authorized", seller_message = "Payment complete.", reason = reason,
    risk_level = is_card and (row.risk or "normal") or nil, risk_score = is_card and (SCORES[row.risk] or 20) or nil,
  }
  if known and known.blocked then
    result.network_status, result.type = "not_sent_to_network", "blocked"
    result.reason = known.risk and known.risk .. "_risk_level" or reason
    result.seller_message = "The sandbox blocked this payment."
  elseif known then
    result.network_status, result.type = "declined_by_network", "issuer_declined"
    result.advice_code = known.advice or null
    result.seller_message = ("The bank returned the decline code `%s`."):format(reason)
  end
  return common.nested(result, "charge", "outcome")
end

local function draw_up(call, fields, held, how)
  local method, data = held.method, given(fields.transfer_data)
  local charge = call:new("charge", {
    id = call.store:new_id(method.type == "card" and "ch_" or "py_"), created = call:now(),
    payment_intent = fields.payment_intent or null, payment_method = method.id, source = fields.source or null,
    billing_details = host.copy(method.billing_details), fraud_details = {}, outcome = outcome(held, how.decline),
    receipt_url = "https://pay.stripe.com/receipts/payment/" .. host.id(40),
    transfer_data = data and { amount = data.amount or null, destination = data.destination },
    application = is_direct(call) and application_fees.application(call) or nil,
  })
  for _, name in ipairs(TAKEN) do
    local value = fields[name]
    if type(value) == "table" then value = generic.land(spec.object("charge").by_name[name], host.copy(value)) end
    if value ~= nil then charge[name] = value end
  end
  local suffix = given(charge.statement_descriptor_suffix)
  charge.calculated_statement_descriptor = given(charge.statement_descriptor)
    or suffix and DESCRIPTOR .. "* " .. suffix or DESCRIPTOR
  charge.payment_method_details = method_details(charge, held, how)
  return charge
end

-- ---- Money

-- What is to be transferred now, so that all transfers are the amount asked for, but at most what was captured.
local function to_transfer(call, charge, asked)
  local _, moved = transfers.of(call, charge)
  return math.max(math.min(asked or charge.amount_captured, charge.amount_captured) - moved, 0)
end

-- A transfer of what was captured to the account that the payment is for, and the platform's fee, where it is given.
local function share(call, charge, fee)
  local data = given(charge.transfer_data)
  local taken = { amount = fee, currency = charge.currency, originating_transaction = charge.id }
  if data and call:on(data.destination) then
    local amount = to_transfer(call, charge, given(data.amount))
    if amount == 0 and not fee then return end
    local transfer = transfers.make(call, charge, amount, data.destination,
      fee and application_fees.detail(call, fee, charge.currency))
    call.store:update(charge, { transfer = charge.transfer or transfer.id })
    if fee then
      fee = application_fees.take(call, transfer.destination_payment, data.destination, taken)
      call.store:update(charge, { application_fee = fee.id })
    end
  elseif fee and is_direct(call) then
    taken.originating_transaction = nil
    call.store:update(charge, { application_fee = application_fees.take(call, charge.id, call.account, taken).id })
  end
end

local function collect(call, charge, amount, at_once)
  local first = charge.balance_transaction == null
  local fee = not given(charge.application_fee) and given(charge.application_fee_amount) or nil -- taken once
  if fee then fee = math.min(fee, amount) end
  local details = { ledger.fee(ledger.card_fee(amount), charge.currency) }
  if fee and is_direct(call) then details[2] = application_fees.detail(call, fee, charge.currency) end
  local type = charge.payment_method_details.type == "card" and "charge" or "payment"
  local transaction = ledger.post(call, type, charge, amount, {
    description = given(charge.description), fee_details = details, available_on = at_once and call:now() or nil,
  })
  if first then call.store:update(charge, { balance_transaction = transaction.id }) end
  share(call, charge, fee)
end

-- ---- One attempt

-- What each answer of the bank makes of a charge, and tells.
local ANSWERS = {
  failed = { status = "failed", event = "charge.failed" },
  pending = { status = "pending", event = "charge.pending" },
  held = { status = "succeeded", paid = true, event = "charge.succeeded" },
  captured = { status = "succeeded", paid = true, captured = true, event = "charge.succeeded" },
}

--- Charges a method: stored, posted and announced. `fields`: TAKEN, payment_intent, transfer_data, source. `how`:
--- {capture = false to hold only, authenticated, delayed, decline = one that the caller knows, mandate, …}.
--- Returns the charge, and the 402 if it failed.
function charges.attempt(call, fields, held, how)
  local row = cards.of_note(held.note)
  how.decline = how.decline or row.decline or how.authenticated and row.after or nil
  local answer = how.decline and "failed" or how.delayed and "pending" or how.capture == false and "held" or "captured"
  local charge, known = draw_up(call, fields, held, how), ANSWERS[answer]
  charge.status, charge.paid, charge.captured = known.status, known.paid or false, known.captured or false
  if known.captured then charge.amount_captured = charge.amount end
  if how.decline then
    local decline = cards.decline(how.decline)
    charge.failure_code, charge.failure_message = decline.code, decline.message
  end
  call.store:insert(charge)
  call:note(charge).refund = row.refund
  if answer == "held" then
    local intent = given(charge.payment_intent)
    local job = intent and "payment_intents.expire" or "charges.expire"
    call:later(HELD_FOR, job, { id = intent, charge = charge.id })
  end
  if answer == "captured" then collect(call, charge, charge.amount, row.available) end
  call:emit(known.event, charge)
  return charge, how.decline and methods.declined(how.decline, { charge = charge.id }) or nil
end

--- What comes after a payment was announced: its dispute, a warning, money that is available at once.
function charges.aftermath(call, charge, held)
  local row, account = cards.of_note(held.note), held.note.account or {}
  local reason = row.dispute or account.dispute
  if charge.status ~= "succeeded" or not charge.captured then return end
  if row.available then call:emit("balance.available", ledger.balance(call)) end
  if reason then disputes.open(call, charge, reason, row.inquiry) end
  if row.warning then
    call:keep(call:new("radar.early_fraud_warning", {
      actionable = true, charge = charge.id, fraud_type = "misc", payment_intent = given(charge.payment_intent),
    }))
  end
end

--- A pending charge settles, or fails with this code.
function charges.settle(call, charge, failure)
  if failure then
    local message = cards.failure(failure)
    call:apply(charge, {
      status = "failed", failure_code = failure, failure_message = message,
      outcome = common.changed(charge.outcome, {
        network_status = "declined_by_network", type = "issuer_declined", reason = failure, seller_message = message,
      }),
    }, "charge.failed")
  else
    call.store:update(charge, { status = "succeeded", paid = true, captured = true, amount_captured = charge.amount })
    collect(call, charge, charge.amount)
    call:emit("charge.succeeded", charge)
  end
end

--- Captures a part of a held charge, with what else the request changes of it; with `final`, the rest is released.
function charges.capture(call, charge, amount, final, changes)
  local previous, captured = common.watch(charge), charge.amount_captured + amount
  call.store:update(charge, changes)
  call.store:update(charge, {
    amount_captured = captured, captured = final, amount_refunded = final and charge.amount - captured or 0,
  })
  collect(call, charge, amount)
  call:emit(final and "charge.captured" or "charge.updated", charge, previous())
end

--- Releases a held charge: nothing was taken, nothing is owed. `event`: how it is told, if at all.
function charges.release(call, charge, event)
  local captured = charge.amount_captured
  local changes = { amount_refunded = charge.amount - captured, refunded = captured == 0, captured = captured > 0 }
  if event then call:apply(charge, changes, event) else call.store:update(charge, changes) end
end

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

-- The params, the destination and the fee under their newer names.
local function modernized(params)
  local destination, fee = given(params.destination), params.application_fee_amount or params.application_fee
  return common.as_changed(params, {
    application_fee_amount = fee,
    transfer_data = destination and { amount = destination.amount, destination = destination.account },
  })
end

charges.operations["charges.create"] = function(call)
  local params = call.params
  if not common.says_more(call) then return generic.create(call) end
  common.need(params, "amount", "currency")
  local fields = modernized(params)
  charges.check(call, fields, params.currency)
  local paying = payer(call)
  local customer = params.customer or given(paying.object.customer) or null
  sources.used(call, paying)
  local delayed = methods.kind(paying.held.method.type).pays == "delayed"
  local charge, declined = charges.attempt(call,
    common.as_changed(fields, { source = host.copy(paying.object), customer = customer }), paying.held,
    { capture = params.capture, delayed = delayed })
  if declined then return nil, declined end
  if delayed then
    local failure = (paying.held.note.account or {}).failure
    call:later(sources.SETTLES_AFTER, "charges.settle", { id = charge.id, failure = failure })
  end
  charges.aftermath(call, charge, paying.held)
  return charge
end

local function check_held(charge)
  refuse_if(given(charge.payment_intent), "This charge was made by the PaymentIntent %s: capture that.",
    "charge", "charge_invalid_parameter", charge.payment_intent)
  if charges.is_held(charge) then return end
  refuse_if(charge.captured, "Charge %s has already been captured.", nil, "charge_already_captured", charge.id)
  refuse(("Charge %s holds no money to capture: it failed, expired or was refunded."):format(charge.id),
    nil, "charge_expired_for_capture")
end

charges.operations["charges.capture"] = function(call)
  local charge, params = call:target(), call.params
  check_held(charge)
  local amount = params.amount or charge.amount
  refuse_if(amount > charge.amount,
    "At most %d can be captured of charge %s.", "amount", "amount_too_large", charge.amount, charge.id)
  common.positive(amount, "amount")
  local fee = params.application_fee_amount or params.application_fee
  charges.check_capture(call, charge, amount, fee)
  local changes = call:asked(charge)
  changes.amount, changes.application_fee_amount = nil, fee
  charges.capture(call, charge, amount, true, changes)
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
