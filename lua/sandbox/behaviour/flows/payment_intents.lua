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
local cards = require "sandbox.cards"
local cash = require "sandbox.flows.cash_balance"
local charges = require "sandbox.flows.charges"
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local intents = require "sandbox.flows.intents"
local methods = require "sandbox.flows.payment_methods"
local sources = require "sandbox.flows.sources"

local null, given, option = host.null, intents.given, intents.option
local refuse = common.refuse

local flow = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

local function set(...)
  local states = {}
  for _, status in ipairs { ... } do states[status] = true end
  return states
end

-- What each operation needs of the status.
local ALLOWED = {
  confirm = set("requires_payment_method", "requires_confirmation", "requires_action"),
  capture = set "requires_capture",
  cancel = set("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture", "processing"),
  update = set("requires_payment_method", "requires_confirmation", "requires_action"),
  increment_authorization = set "requires_capture",
  apply_customer_balance = set("requires_payment_method", "requires_confirmation", "requires_action"),
  verify_microdeposits = set "requires_action",
  authenticate = set "requires_action",
  settle = set("processing", "requires_action"),
}

-- What may be changed in every state.
local ALWAYS = set("description", "expand", "metadata", "payment_details", "receipt_email", "shipping",
  "transfer_group")

-- What confirm takes over into the intent.
local CONFIRMED = {
  "amount_details", "capture_method", "payment_method_options", "receipt_email", "setup_future_usage", "shipping",
  "payment_details", "excluded_payment_method_types", "allowed_payment_method_types", "radar_options",
}

local INITIAL_OPTIONS = {
  card = { installments = null, mandate_options = null, network = null, request_three_d_secure = "automatic" },
}

-- ---- What was asked for

local function future_usage(intent, type)
  local own = option(intent, type, "setup_future_usage")
  if own then return own ~= "none" and own or nil end
  return given(intent.setup_future_usage)
end

local function is_manual(intent, type)
  return (option(intent, type, "capture_method") or intent.capture_method) == "manual"
end

-- ---- Outcomes of an attempt

-- Back to the start, with what went wrong. Returns the error as the reply shows it.
local function fail(call, intent, method, err, charge)
  intents.become(call, intent, {
    status = "requires_payment_method", payment_method = null, next_action = null,
    last_payment_error = intents.kept_error(err, method), latest_charge = charge and charge.id or intent.latest_charge,
  }, "payment_failed")
  err.fields.payment_intent, err.fields.payment_method = intent, method
  return err
end

-- Paid: the method belongs to the customer now if it was to be kept, and is used up if it belongs to nobody.
local function settle_method(call, intent, held)
  local method = held.method
  if not call.store:get("payment_method", method.id) then return end
  local customer = given(intent.customer)
  if customer and future_usage(intent, method.type) and methods.kind(method.type).saved then
    methods.attach(call, held, customer)
    if future_usage(intent, method.type) == "off_session" then intents.remember_setup(call, method) end
  elseif method.customer == null then
    call.store:private(method).spent = true
  end
end

local function succeed(call, intent, charge, held)
  intents.become(call, intent, {
    status = "succeeded", amount_received = charge.amount_captured, amount_capturable = 0,
    latest_charge = charge.id, next_action = null,
  }, "succeeded")
  charges.aftermath(call, charge, held)
end

local OUTCOMES = { captured = succeed }

function OUTCOMES.held(call, intent, charge)
  intents.become(call, intent, {
    status = "requires_capture", amount_capturable = charge.amount, latest_charge = charge.id, next_action = null,
  }, "amount_capturable_updated")
end

function OUTCOMES.pending(call, intent, charge, held)
  local account = held.note.account or {}
  intents.become(call, intent, { status = "processing", latest_charge = charge.id, next_action = null }, "processing")
  if not account.never then
    local due = call:now() + (account.after or sources.SETTLES_AFTER)
    clock.schedule(call, due, "payment_intents.settle", { id = intent.id, charge = charge.id })
  end
end

-- Charges the method. `how` as for charges.attempt. Returns the intent, or nil and the decline.
local function pay(call, intent, held, how)
  local private = call.store:private(intent)
  how.capture = not is_manual(intent, held.method.type)
  how.mandate, how.incremental, how.multicapture = private.mandate, private.incremental, private.multicapture
  local fields = setmetatable({ payment_intent = intent.id }, { __index = intent })
  local charge, decline = charges.attempt(call, fields, held, how)
  if decline then return nil, fail(call, intent, held.method, charges.declined(charge, decline, {}), charge) end
  settle_method(call, intent, held)
  local outcome = charge.status == "pending" and "pending" or charge.captured and "captured" or "held"
  OUTCOMES[outcome](call, intent, charge, held)
  return intent
end

local function wait_for_customer(call, intent, next_action)
  return intents.become(call, intent, { status = "requires_action", next_action = next_action }, "requires_action")
end

-- ---- Confirming

local ATTEMPTS = {}

function ATTEMPTS.now(call, intent, held, private)
  local what = { off_session = private.off_session, set_up = held.note.set_up, asked = intents.asked_for_3ds(intent) }
  local row = cards.of_note(held.note)
  if not private.authenticated and cards.needs_authentication(row, what) then
    if private.off_session or private.error_on_requires_action then
      return pay(call, intent, held, { decline = "authentication_required" })
    end
    return wait_for_customer(call, intent, intents.next_action(call, intent, held, private.return_url))
  end
  return pay(call, intent, held, { authenticated = private.authenticated })
end

function ATTEMPTS.delayed(call, intent, held)
  if intents.wants_microdeposits(intent, held) then
    return wait_for_customer(call, intent, intents.microdeposits(call))
  end
  return pay(call, intent, held, { delayed = true })
end

function ATTEMPTS.redirect(call, intent, held, private)
  return wait_for_customer(call, intent, intents.next_action(call, intent, held, private.return_url))
end
ATTEMPTS.voucher = ATTEMPTS.redirect

-- Pays from what the customer has with the account, as far as it goes; what is missing is to be transferred.
function ATTEMPTS.transfer(call, intent, held)
  local customer = call:find("customer", intent.customer, "customer")
  flow.fund(call, intent, cash.available(call, customer, intent.currency), held)
  if intent.status == "succeeded" then return intent end
  return wait_for_customer(call, intent, cash.instructions(call, intent, flow.remaining(call, intent)))
end

local function check_confirmable(call, intent, held, token)
  local params = call.params
  intents.check_confirmable(call, intent, held, token)
  if params.amount_to_confirm and params.amount_to_confirm ~= intent.amount then
    refuse(("The amount to confirm is not that of the PaymentIntent (%d)."):format(intent.amount), "amount_to_confirm")
  end
  if held.method.type == "customer_balance" then
    if not given(intent.customer) then error(errors.parameter_missing "customer") end
    call:find("customer", intent.customer, "customer")
    cash.check_currency(intent.currency)
  end
end

-- Confirms an intent with a method that was found good.
local function confirm(call, intent, held, token)
  local params, private = call.params, call.store:private(intent)
  local method = methods.keep(call, held)
  if private.method ~= method.id then private.authenticated = nil end
  private.method, private.return_url = method.id, params.return_url or private.return_url
  private.off_session = params.off_session and true or nil
  private.error_on_requires_action = params.error_on_requires_action
  private.incremental = option(intent, "card", "request_incremental_authorization") == "if_available" or nil
  private.multicapture = option(intent, "card", "request_multicapture") == "if_available" or nil
  call.store:update(intent, {
    payment_method = method.id, status = "requires_confirmation", next_action = null, last_payment_error = null,
  })
  intents.use_token(call, token, intent)
  local single = not future_usage(intent, method.type) and { amount = intent.amount, currency = intent.currency } or nil
  private.mandate = params.mandate or intents.make_mandate(call, params, method, single)
  return ATTEMPTS[methods.kind(method.type).pays](call, intent, held, private)
end

flow.operations["payment_intents.confirm"] = function(call)
  local intent, params = call:target(), call.params
  intents.check_state(intent, ALLOWED, "confirm")
  local held, token = intents.choose(call, params, intent)
  local asked = {}
  for _, name in ipairs(CONFIRMED) do asked[name] = params[name] end
  local changes = generic.merge(intent, asked)
  local as_changed = setmetatable(changes, { __index = intent })
  check_confirmable(call, intent, held, token)
  intents.check_method(as_changed, held, intent.currency)
  call.store:update(intent, setmetatable(changes, nil))
  return confirm(call, intent, held, token)
end

-- ---- Creating and changing

local function build(call)
  local params = call.params
  local intent = generic.build(call)
  intent.status = "requires_payment_method"
  intent.payment_method_types, intent.automatic_payment_methods = intents.types(params, params.currency)
  intent.capture_method = params.capture_method or "automatic_async"
  intent.confirmation_method = params.confirmation_method or "automatic"
  intent.payment_method = null
  if intent.payment_method_options == null then intent.payment_method_options = host.copy(INITIAL_OPTIONS) end
  if params.transfer_data then intent.transfer_data = host.copy(params.transfer_data) end
  return intent
end

local function check_types(intent)
  if given(intent.automatic_payment_methods) then return end
  for i, type in ipairs(intent.payment_method_types) do
    if not methods.takes(type, intent.currency) then
      refuse(("Payments by %s cannot be made in %s."):format(type, intent.currency),
        ("payment_method_types[%d]"):format(i - 1), "payment_intent_invalid_parameter")
    end
  end
end

flow.operations["payment_intents.create"] = function(call)
  local params = call.params
  charges.check_amount(params.amount, params.currency)
  charges.check_platform(call, params)
  charges.check_descriptors(params)
  local intent = build(call)
  check_types(intent)
  local held, token = intents.choose(call, params)
  if held then intents.check_method(intent, held, intent.currency) end
  if params.confirm then check_confirmable(call, intent, held, token) end
  intent.id = call.store:new_id "pi_"
  intent.client_secret = intent.id .. "_secret_" .. host.id(25)
  if held then intent.payment_method, intent.status = methods.keep(call, held).id, "requires_confirmation" end
  call.store:insert(intent)
  events.emit(call, "payment_intent.created", intent)
  if params.confirm then return confirm(call, intent, held, token) end
  return intent
end

local function check_update(intent, params)
  for name in pairs(params) do
    if not ALWAYS[name] then return intents.check_state(intent, ALLOWED, "update") end
  end
end

flow.operations["payment_intents.update"] = function(call)
  local intent, params = call:target(), call.params
  check_update(intent, params)
  local amount, currency = params.amount or intent.amount, params.currency or intent.currency
  if params.amount or params.currency then charges.check_amount(amount, currency) end
  local changes = generic.merge(intent, params)
  local as_changed = setmetatable(changes, { __index = intent })
  charges.check_platform(call, as_changed)
  charges.check_descriptors(params)
  local concerned = params.payment_method or params.payment_method_data or params.currency or params.customer
  local held = concerned and intents.choose(call, params, intent)
  if held then intents.check_method(as_changed, held, currency) end
  setmetatable(changes, nil)
  if held and (params.payment_method or params.payment_method_data) then
    changes.payment_method, changes.status = methods.keep(call, held).id, "requires_confirmation"
  end
  return generic.apply(call, intent, changes)
end

-- ---- Capturing

local function latest_charge(call, intent) return call:find("charge", intent.latest_charge, "latest_charge") end

local function check_capture(intent, params, private)
  local amount = params.amount_to_capture or intent.amount_capturable
  common.positive(amount, "amount_to_capture")
  if amount > intent.amount_capturable then
    refuse(("At most %d can be captured of this PaymentIntent."):format(intent.amount_capturable),
      "amount_to_capture", "amount_too_large")
  end
  if params.final_capture == false and not private.multicapture then
    refuse("This payment can be captured once. Ask for more by payment_method_options[card][request_multicapture].",
      "final_capture", "payment_intent_invalid_parameter")
  end
  return amount
end

flow.operations["payment_intents.capture"] = function(call)
  local intent, params = call:target(), call.params
  intents.check_state(intent, ALLOWED, "capture")
  local amount = check_capture(intent, params, call.store:private(intent))
  local changes = generic.merge(intent, params)
  local as_changed = setmetatable({ amount = amount }, { __index = function(_, name)
    if changes[name] ~= nil then return changes[name] end
    return intent[name]
  end })
  charges.check_platform(call, as_changed)
  charges.check_descriptors(params)
  local charge = latest_charge(call, intent)
  call.store:update(intent, changes)
  local shared = {}
  for _, name in ipairs { "application_fee_amount", "statement_descriptor", "statement_descriptor_suffix" } do
    if params[name] then shared[name] = params[name] end
  end
  call.store:update(charge, shared)
  local left = intent.amount_capturable - amount
  local final = params.final_capture ~= false or left == 0
  charges.capture(call, charge, amount, final)
  return intents.become(call, intent, {
    status = final and "succeeded" or "requires_capture", amount_capturable = final and 0 or left,
    amount_received = intent.amount_received + amount,
  }, final and "succeeded" or "amount_capturable_updated")
end

flow.operations["payment_intents.increment_authorization"] = function(call)
  local intent, params = call:target(), call.params
  intents.check_state(intent, ALLOWED, "increment_authorization")
  if not call.store:private(intent).incremental then
    refuse("This authorization cannot be incremented. Ask for it by payment_method_options[card]"
      .. "[request_incremental_authorization] when it is confirmed.", nil, "payment_intent_invalid_parameter")
  end
  if params.amount <= intent.amount then
    refuse(("The new amount must be greater than the authorized one (%d)."):format(intent.amount), "amount")
  end
  charges.check_amount(params.amount, intent.currency)
  charges.check_platform(call, setmetatable({ amount = params.amount }, { __index = intent }))
  local charge = latest_charge(call, intent)
  local details = host.copy(charge.payment_method_details)
  details.card.amount_authorized = params.amount
  generic.apply(call, charge, { amount = params.amount, payment_method_details = details })
  local changes = generic.merge(intent, params)
  changes.amount_capturable = params.amount
  return intents.become(call, intent, changes, "amount_capturable_updated")
end

-- ---- Canceling

local function cancel(call, intent, reason)
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

flow.operations["payment_intents.cancel"] = function(call)
  local intent = call:target()
  intents.check_state(intent, ALLOWED, "cancel")
  return cancel(call, intent, call.params.cancellation_reason)
end

-- Seven days after it was authorized a payment that nobody captured is released.
flow.jobs["payment_intents.expire"] = function(call, args)
  local intent, charge = call.store:get("payment_intent", args.id), call.store:get("charge", args.charge)
  if not intent or intent.status ~= "requires_capture" or intent.latest_charge ~= args.charge then return end
  charges.release(call, charge, "charge.expired")
  cancel(call, intent, "automatic")
end

-- ---- What the customer and the bank do

flow.operations["payment_intents.verify_microdeposits"] = function(call)
  local intent = call:target()
  intents.check_state(intent, ALLOWED, "verify_microdeposits")
  local held = intents.held(call, intent)
  intents.check_microdeposits(call, intent, held)
  held.note.verified = true
  return pay(call, intent, held, { delayed = true })
end

local function authenticate(call, intent, outcome)
  local held = intents.held(call, intent)
  if outcome == "fail" then
    fail(call, intent, held.method, intents.unauthenticated "payment_intent")
    return intent
  end
  local kind, private = methods.kind(held.method.type), call.store:private(intent)
  if intent.confirmation_method == "manual" and kind.pays == "now" then
    private.authenticated = true
    call.store:update(intent, { status = "requires_confirmation", next_action = null })
    return intent
  end
  pay(call, intent, held, { authenticated = kind.pays == "now", delayed = kind.later })
  return intent
end

--- POST /_sandbox/helpers/payment_intents.authenticate {id, outcome = "succeed" (default) or "fail"}: the customer
--- authenticates, or pays at the page that next_action leads to.
flow.helpers["payment_intents.authenticate"] = function(call, id, params)
  local intent = call:find("payment_intent", id, "id")
  intents.check_state(intent, ALLOWED, "authenticate")
  return authenticate(call, intent, intents.check_outcome(params))
end

-- The bank has answered: paid, or not with this code. Its account may have been deleted since.
local function settle(call, intent, held, failure)
  local charge = latest_charge(call, intent)
  charges.settle(call, charge, failure)
  if not failure then return succeed(call, intent, charge, held) end
  local err = errors.card { code = failure, message = cards.failure(failure), charge = charge.id }
  fail(call, intent, held.method, err, charge)
end

local function debited(call, intent)
  local held = methods.held(call, intent.payment_method)
    or methods.of_source(call, { id = intent.payment_method, type = "us_bank_account" })
  return held, (held.note.account or {}).failure
end

flow.jobs["payment_intents.settle"] = function(call, args)
  local intent = call.store:get("payment_intent", args.id)
  if not intent or intent.status ~= "processing" or intent.latest_charge ~= args.charge then return end
  settle(call, intent, debited(call, intent))
end

--- POST /_sandbox/helpers/payment_intents.settle {id, outcome?, failure_code?}: the bank answers now; without an
--- outcome, as the test account says.
flow.helpers["payment_intents.settle"] = function(call, id, params)
  local intent = call:find("payment_intent", id, "id")
  intents.check_state(intent, ALLOWED, "settle")
  local outcome = intents.check_outcome(params)
  if intent.status == "requires_action" then return authenticate(call, intent, outcome) end
  local held, failure = debited(call, intent)
  if params.outcome == "succeed" then failure = nil end
  if outcome == "fail" then failure = params.failure_code or failure or "insufficient_funds" end
  settle(call, intent, held, failure)
  return intent
end

-- ---- Bank transfers into the customer's cash balance

--- What is not yet paid of an intent by transfers.
function flow.remaining(call, intent) return intent.amount - (call.store:private(intent).funded or 0) end

--- Pays up to `amount` from the customer's cash balance; charges once all is there.
function flow.fund(call, intent, amount, held)
  local private = call.store:private(intent)
  amount = math.min(amount, flow.remaining(call, intent))
  if amount <= 0 then return intent end
  cash.apply(call, intent, amount)
  private.funded = (private.funded or 0) + amount
  if flow.remaining(call, intent) == 0 then return pay(call, intent, held or intents.held(call, intent), {}) end
  if intent.status == "requires_action" then
    call.store:update(intent, { next_action = cash.instructions(call, intent, flow.remaining(call, intent)) })
    events.emit(call, "payment_intent.partially_funded", intent)
  end
  return intent
end

flow.operations["payment_intents.apply_customer_balance"] = function(call)
  local intent, params = call:target(), call.params
  intents.check_state(intent, ALLOWED, "apply_customer_balance")
  local held = intents.choose(call, {}, intent)
  if not held or held.method.type ~= "customer_balance" or not given(intent.customer) then
    refuse("A cash balance can be applied to a PaymentIntent of type customer_balance with a customer.",
      nil, "payment_intent_incompatible_payment_method")
  end
  if params.currency and params.currency ~= intent.currency then
    refuse("The currency is not that of the PaymentIntent.", "currency")
  end
  local customer = call:find("customer", intent.customer, "customer")
  local available = cash.available(call, customer, intent.currency)
  local amount = params.amount or math.min(available, flow.remaining(call, intent))
  common.positive(amount, "amount")
  if amount > available or amount > flow.remaining(call, intent) then
    refuse("The amount is more than the cash balance has, or the payment needs.", "amount")
  end
  return flow.fund(call, intent, amount, held)
end

--- Money has come for a customer: the oldest payment that waits for it is paid first.
function flow.reconcile(call, customer, currency)
  local waiting = {}
  for intent in call.store:newest("payment_intent", { customer = customer.id }) do
    local action = given(intent.next_action)
    if intent.currency == currency and action and action.type == "display_bank_transfer_instructions" then
      table.insert(waiting, 1, intent)
    end
  end
  for _, intent in ipairs(waiting) do flow.fund(call, intent, cash.available(call, customer, currency)) end
end

return flow
