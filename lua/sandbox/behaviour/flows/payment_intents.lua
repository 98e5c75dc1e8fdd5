--- PaymentIntents: one payment, from what is asked to what is paid, however many attempts it takes.
--
--   requires_payment_method ──▶ requires_confirmation ──confirm──▶ succeeded
--            ▲                                             ├─────▶ requires_capture ──capture──▶ succeeded
--            │ declined, not authenticated                 ├─────▶ requires_action ──customer──▶ (as confirmed)
--            └─────────────────────────────────────────────┴─────▶ processing ──the bank──▶ succeeded
--   any but succeeded, canceled ──cancel──▶ canceled
--
-- Invariant: `amount_received` is what its charges captured, `amount_capturable` what its latest one still holds. An
-- attempt checks everything that can be refused before it changes anything; a decline stands, with its charge.
--
-- Beside an intent is noted {return_url, off_session, authenticated, mandate, multicapture, incremental, funded}.
-- create, update, confirm, cancel and verify_microdeposits are in intents.lua, as `machine` says.
local cards = require "sandbox.cards"
local cash = require "sandbox.flows.cash_balance"
local charges = require "sandbox.flows.charges"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local host = require "sandbox.host"
local intents = require "sandbox.flows.intents"
local methods = require "sandbox.flows.payment_methods"
local sources = require "sandbox.flows.sources"

local null, given, refuse, refuse_if, option = host.null, common.given, common.refuse, common.refuse_if, intents.option

local flow = { operations = {}, jobs = {}, helpers = {} }

local OPEN = "requires_payment_method requires_confirmation requires_action"

local machine = {
  kind = "payment_intent", prefix = "pi_", last_error = "last_payment_error", failed = "payment_failed",
  allowed = {
    confirm = OPEN, update = OPEN, apply_customer_balance = OPEN, cancel = OPEN .. " requires_capture processing",
    capture = "requires_capture", increment_authorization = "requires_capture",
    verify_microdeposits = "requires_action", authenticate = "requires_action", settle = "processing requires_action",
  },
  always = "description expand metadata payment_details receipt_email shipping transfer_group",
  confirmed = [[amount_details capture_method payment_method_options receipt_email setup_future_usage shipping
    payment_details excluded_payment_method_types allowed_payment_method_types radar_options]],
  options = {
    card = { installments = null, mandate_options = null, network = null, request_three_d_secure = "automatic" },
  },
}

-- ---- What was asked for

local function future_usage(intent, type)
  local own = option(intent, type, "setup_future_usage")
  if own then return own ~= "none" and own or nil end
  return given(intent.setup_future_usage)
end

function machine.check(call, fields, currency)
  local params = call.params
  refuse_if(params.off_session and not params.confirm and call.operation.name == "create",
    "`off_session` needs `confirm` to be true.", "off_session")
  charges.check(call, fields, currency)
end

function machine.build(params, intent)
  intent.capture_method = params.capture_method or "automatic_async"
  intent.confirmation_method = params.confirmation_method or "automatic"
  if params.transfer_data then intent.transfer_data = host.copy(params.transfer_data) end
  if given(intent.automatic_payment_methods) then return end
  for i, type in ipairs(intent.payment_method_types) do
    refuse_if(not methods.takes(type, intent.currency), "Payments by %s cannot be made in %s.",
      ("payment_method_types[%d]"):format(i - 1), "payment_intent_invalid_parameter", type, intent.currency)
  end
end

function machine.check_confirmable(call, intent, held)
  local amount = call.params.amount_to_confirm
  refuse_if(amount and amount ~= intent.amount,
    "The amount to confirm is not that of the PaymentIntent (%d).", "amount_to_confirm", nil, intent.amount)
  if held.method.type == "customer_balance" then
    if not given(intent.customer) then error(errors.parameter_missing "customer") end
    call:find("customer", intent.customer, "customer")
    cash.check_currency(intent.currency)
  end
end

-- ---- Outcomes of an attempt

function machine.fail(call, intent, method, err, charge)
  return (intents.fail(machine, call, intent, method, err, { latest_charge = charge and charge.id }))
end

-- Paid: the method belongs to the customer now if it was to be kept, and is used up if it belongs to nobody.
local function settle_method(call, intent, held)
  local method, customer = held.method, given(intent.customer)
  if not call.store:get("payment_method", method.id) then return end
  local usage = future_usage(intent, method.type)
  if customer and usage and methods.kind(method.type).saved then
    methods.attach(call, held, customer)
    if usage == "off_session" then intents.remember_setup(call, method) end
  elseif method.customer == null then
    call:note(method).spent = true
  end
end

local function succeed(call, intent, charge, held)
  intents.become(call, intent, {
    status = "succeeded", amount_received = charge.amount_captured, amount_capturable = 0, latest_charge = charge.id,
    next_action = null,
  }, "succeeded")
  charges.aftermath(call, charge, held)
end

-- Charges the method. `how` as for charges.attempt. Returns the intent, or nil and the decline.
local function pay(call, intent, held, how)
  local private, type = call:note(intent), held.method.type
  how.capture = (option(intent, type, "capture_method") or intent.capture_method) ~= "manual"
  how.mandate, how.incremental, how.multicapture = private.mandate, private.incremental, private.multicapture
  local charge, declined = charges.attempt(call, common.as_changed(intent, { payment_intent = intent.id }), held, how)
  if declined then return nil, machine.fail(call, intent, held.method, declined, charge) end
  settle_method(call, intent, held)
  if charge.status == "pending" then
    local account, args = held.note.account or {}, { id = intent.id, charge = charge.id }
    intents.become(call, intent, { status = "processing", latest_charge = charge.id, next_action = null }, "processing")
    if not account.never then call:later(account.after or sources.SETTLES_AFTER, "payment_intents.settle", args) end
  elseif charge.captured then
    succeed(call, intent, charge, held)
  else
    intents.become(call, intent, {
      status = "requires_capture", amount_capturable = charge.amount, latest_charge = charge.id, next_action = null,
    }, "amount_capturable_updated")
  end
  return intent
end

local function wait_for_customer(call, intent, next_action)
  return intents.become(call, intent, { status = "requires_action", next_action = next_action }, "requires_action")
end

-- ---- Confirming: by how methods of the type pay

local ATTEMPTS = {}

function ATTEMPTS.now(call, intent, held, private)
  local what = { off_session = private.off_session, set_up = held.note.set_up, asked = intents.asked_for_3ds(intent) }
  if private.authenticated or not cards.needs_authentication(cards.of_note(held.note), what) then
    return pay(call, intent, held, { authenticated = private.authenticated })
  end
  if private.off_session or private.error_on_requires_action then
    return pay(call, intent, held, { decline = "authentication_required" })
  end
  return wait_for_customer(call, intent, intents.next_action(call, intent, held))
end

function ATTEMPTS.delayed(call, intent, held)
  if intents.wants_microdeposits(intent, held) then
    return wait_for_customer(call, intent, intents.microdeposits(call))
  end
  return pay(call, intent, held, { delayed = true })
end

function ATTEMPTS.redirect(call, intent, held)
  return wait_for_customer(call, intent, intents.next_action(call, intent, held))
end
ATTEMPTS.voucher = ATTEMPTS.redirect

-- What is not yet paid of an intent by transfers.
local function remaining(call, intent) return intent.amount - (call:note(intent).funded or 0) end

machine.check_changes = cash.check_changes

local function waits_for_transfer(intent)
  local action = given(intent.next_action)
  return action and action.type == "display_bank_transfer_instructions"
end

-- What is to be transferred follows the amount and the currency.
function machine.renew(call, intent, changes)
  if not waits_for_transfer(intent) or not (changes.amount or changes.currency) then return end
  local new = common.as_changed(intent, changes)
  cash.check_currency(new.currency)
  changes.next_action = cash.instructions(call, new, remaining(call, new))
end

-- Pays up to `amount` from the customer's cash balance; charges once all is there.
local function fund(call, intent, amount, held)
  local private = call:note(intent)
  amount = math.min(amount, remaining(call, intent))
  if amount <= 0 then return intent end
  cash.apply(call, intent, amount)
  private.funded = (private.funded or 0) + amount
  if remaining(call, intent) == 0 then return pay(call, intent, held or intents.held(call, intent), {}) end
  if waits_for_transfer(intent) then
    call.store:update(intent, { next_action = cash.instructions(call, intent, remaining(call, intent)) })
  end
  call:emit("payment_intent.partially_funded", intent)
  return intent
end

-- Pays from what the customer has with the account, as far as it goes; what is missing is to be transferred.
function ATTEMPTS.transfer(call, intent, held)
  local customer = call:find("customer", intent.customer, "customer")
  local available, left = cash.available(call, customer, intent.currency), remaining(call, intent)
  if available < left then wait_for_customer(call, intent, cash.instructions(call, intent, left)) end
  return fund(call, intent, available, held)
end

function machine.attempt(call, intent, held, private)
  local params, method = call.params, held.method
  if private.method ~= method.id then private.authenticated = nil end
  private.method, private.off_session = method.id, params.off_session and true or nil
  private.error_on_requires_action = params.error_on_requires_action
  private.incremental = option(intent, "card", "request_incremental_authorization") == "if_available" or nil
  private.multicapture = option(intent, "card", "request_multicapture") == "if_available" or nil
  local single = not future_usage(intent, method.type) and { amount = intent.amount, currency = intent.currency } or nil
  private.mandate = params.mandate or intents.make_mandate(call, params.mandate_data, method, single)
  local pays = methods.kind(method.type).pays
  if pays ~= "transfer" then cash.unapply(call, intent) end
  return ATTEMPTS[pays](call, intent, held, private)
end

-- The customer has authenticated, paid, or told of the microdeposits.
function machine.resume(call, intent, held, authenticated)
  local kind = methods.kind(held.method.type)
  if intent.confirmation_method == "manual" and authenticated then
    call:note(intent).authenticated = true
    call.store:update(intent, { status = "requires_confirmation", next_action = null })
    return intent
  end
  return pay(call, intent, held, { authenticated = authenticated, delayed = kind.later or kind.pays == "delayed" })
end

-- ---- Capturing

local function latest_charge(call, intent) return call:find("charge", intent.latest_charge, "latest_charge") end

local function amount_to_capture(intent, params, private)
  local amount = params.amount_to_capture or intent.amount_capturable
  common.positive(amount, "amount_to_capture")
  refuse_if(amount > intent.amount_capturable, "At most %d can be captured of this PaymentIntent.",
    "amount_to_capture", "amount_too_large", intent.amount_capturable)
  refuse_if(params.final_capture == false and not private.multicapture,
    "This payment can be captured once. Ask for more by payment_method_options[card][request_multicapture].",
    "final_capture", "payment_intent_invalid_parameter")
  return amount
end

flow.operations["payment_intents.capture"] = function(call)
  local intent, params = call:target(), call.params
  intents.check_state(intent, machine.allowed, "capture")
  local amount = amount_to_capture(intent, params, call:note(intent))
  local charge, changes = latest_charge(call, intent), call:asked(intent)
  charges.check_capture(call, charge, amount, params.application_fee_amount)
  call.store:update(intent, changes)
  local left = intent.amount_capturable - amount
  local final = params.final_capture ~= false or left == 0
  charges.capture(call, charge, amount, final, {
    application_fee_amount = params.application_fee_amount, statement_descriptor = params.statement_descriptor,
    statement_descriptor_suffix = params.statement_descriptor_suffix, transfer_data = changes.transfer_data,
  })
  intents.become(call, intent, {
    status = final and "succeeded" or "requires_capture", amount_capturable = final and 0 or left,
    amount_received = intent.amount_received + amount,
  }, final and "succeeded" or "amount_capturable_updated")
  if final then cash.unapply(call, intent) end
  return intent
end

flow.operations["payment_intents.increment_authorization"] = function(call)
  local intent, amount = call:target(), call.params.amount
  intents.check_state(intent, machine.allowed, "increment_authorization")
  if not call:note(intent).incremental then
    refuse("This authorization cannot be incremented. Ask for it by payment_method_options[card]"
      .. "[request_incremental_authorization] when it is confirmed.", nil, "payment_intent_invalid_parameter")
  end
  refuse_if(amount <= intent.amount,
    "The new amount must be greater than the authorized one (%d).", "amount", nil, intent.amount)
  charges.check(call, common.as_changed(intent, { amount = amount }), intent.currency)
  local charge = latest_charge(call, intent)
  local details = host.copy(charge.payment_method_details)
  details.card.amount_authorized = amount
  call:apply(charge, { amount = amount, payment_method_details = details })
  local changes = call:asked(intent)
  changes.amount_capturable = amount
  return intents.become(call, intent, changes, "amount_capturable_updated")
end

-- ---- Canceling

function machine.cancel(call, intent, reason)
  local charge = given(intent.latest_charge) and latest_charge(call, intent)
  if charge and charges.is_held(charge) then charges.release(call, charge) end
  if charge and charge.status == "pending" then
    charges.settle(call, charge, "payment_intent_payment_attempt_failed")
  end
  cash.unapply(call, intent)
  return intents.become(call, intent, {
    status = "canceled", canceled_at = call:now(), cancellation_reason = reason or null, amount_capturable = 0,
    next_action = null,
  }, "canceled")
end

-- The intent that a job is about, if it is still in that state with that charge.
local function still(call, args, status)
  local intent = call.store:get("payment_intent", args.id)
  return intent and intent.status == status and intent.latest_charge == args.charge and intent
end

-- Seven days after it was authorized a payment that nobody captured is released.
flow.jobs["payment_intents.expire"] = function(call, args)
  local intent = still(call, args, "requires_capture")
  if not intent then return end
  charges.release(call, latest_charge(call, intent), "charge.expired")
  machine.cancel(call, intent, "automatic")
end

-- ---- What the bank does

-- The bank has answered: paid, or not with this code. Its account may have been deleted since.
local function settle(call, intent, held, failure)
  local charge = latest_charge(call, intent)
  charges.settle(call, charge, failure)
  if not failure then return succeed(call, intent, charge, held) end
  local err = errors.card { code = failure, message = cards.failure(failure), charge = charge.id }
  machine.fail(call, intent, held.method, err, charge)
end

local function debited(call, intent)
  local held = methods.held(call, intent.payment_method)
    or methods.of_source(call, { id = intent.payment_method, type = "us_bank_account" })
  return held, (held.note.account or {}).failure
end

flow.jobs["payment_intents.settle"] = function(call, args)
  local intent = still(call, args, "processing")
  if intent then settle(call, intent, debited(call, intent)) end
end

--- {id, outcome?, failure_code?}: the bank answers now; without an outcome, as the test account says.
flow.helpers["payment_intents.settle"] = common.helper("payment_intent", function(call, intent, params)
  intents.check_state(intent, machine.allowed, "settle")
  local outcome = intents.check_outcome(params)
  if intent.status == "requires_action" then return intents.authenticate(machine, call, intent, outcome) end
  local held, failure = debited(call, intent)
  if params.outcome == "succeed" then failure = nil end
  if outcome == "fail" then failure = params.failure_code or failure or "insufficient_funds" end
  settle(call, intent, held, failure)
  return intent
end)

-- ---- Bank transfers into the customer's cash balance

flow.operations["payment_intents.apply_customer_balance"] = function(call)
  local intent, params = call:target(), call.params
  intents.check_state(intent, machine.allowed, "apply_customer_balance")
  local held = intents.choose(call, {}, intent)
  refuse_if(not held or held.method.type ~= "customer_balance" or not given(intent.customer),
    "A cash balance can be applied to a PaymentIntent of type customer_balance with a customer.",
    nil, "payment_intent_incompatible_payment_method")
  refuse_if(params.currency and params.currency ~= intent.currency,
    "The currency is not that of the PaymentIntent.", "currency")
  local customer = call:find("customer", intent.customer, "customer")
  local most = math.min(cash.available(call, customer, intent.currency), remaining(call, intent))
  local amount = params.amount or most
  common.at_most(amount, most, "The")
  return fund(call, intent, amount, held)
end

--- Money has come for a customer: the oldest payment that waits for it is paid first.
function flow.reconcile(call, customer, currency)
  local waiting = {}
  for intent in call.store:newest("payment_intent", { customer = customer.id }) do
    if intent.currency == currency and waits_for_transfer(intent) then table.insert(waiting, 1, intent) end
  end
  for _, intent in ipairs(waiting) do fund(call, intent, cash.available(call, customer, currency)) end
end

intents.define(flow, machine)

return flow
