--- What PaymentIntents and SetupIntents share: the method that a request names, what the customer must do next,
--- mandates, microdeposits, confirmation tokens, and the operations create, retrieve, update, confirm, cancel and
--- verify_microdeposits up to the attempt that each kind makes in its own way (intents.define).
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local methods = require "sandbox.flows.payment_methods"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null, given, refuse, refuse_if = host.null, common.given, common.refuse, common.refuse_if

local intents = { operations = {} }

local TOKEN_LASTS = 12 * 3600
local MICRODEPOSITS = { amounts = { 32, 45 }, descriptor_code = "SM11AA" }

function intents.option(intent, type, name)
  local options = given(intent.payment_method_options)
  local of_type = options and options[type]
  return of_type and given(of_type[name])
end

function intents.asked_for_3ds(intent)
  return common.among("any challenge", tostring(intents.option(intent, "card", "request_three_d_secure")))
end

-- ---- States

--- Raises unless the intent's status is one of those in which `allowed` has the operation: {operation = "a b c"}.
function intents.check_state(intent, allowed, operation)
  local states, kind = allowed[operation], intent.object
  if common.among(states, intent.status) then return end
  error(errors.unexpected_state {
    code = kind .. "_unexpected_state", [kind] = intent,
    message = ("This %s's status is %s; %s needs %s."):format(kind, intent.status, operation, states:gsub(" ", ", ")),
  })
end

function intents.become(call, intent, changes, event)
  call.store:update(intent, changes)
  call:emit(intent.object .. "." .. event, intent)
  return intent
end

--- Back to the start, with what went wrong. Returns the error as the reply shows it, and what the intent keeps of it:
--- without the intent itself.
function intents.fail(of, call, intent, method, err, changes)
  local kept = { type = err.fields.type, payment_method = host.copy(method) }
  for _, name in ipairs { "advice_code", "charge", "code", "decline_code", "doc_url", "message", "param" } do
    kept[name] = err.fields[name]
  end
  changes = changes or {}
  changes.status, changes.payment_method, changes.next_action = "requires_payment_method", null, null
  changes[of.last_error] = kept
  intents.become(call, intent, changes, of.failed)
  err.fields[of.kind], err.fields.payment_method = intent, method
  return err, kept
end

-- ---- The method

local function of_token(call, id)
  local token = call:find("confirmation_token", id, "confirmation_token")
  local private = call:note(token)
  if private.payment_method then return methods.pick(call, private.payment_method, "confirmation_token"), token end
  if not private.method then refuse("This confirmation token holds no payment method.", "confirmation_token") end
  local method = common.changed(private.method, { id = call.store:new_id "pm_" })
  return { method = method, note = private.note, fresh = true }, token
end

--- What a request pays with, else what the intent has: held, and the confirmation token that named it; nil if nothing.
function intents.choose(call, params, intent)
  if params.confirmation_token then return of_token(call, params.confirmation_token) end
  if params.payment_method_data then return methods.draft(call, params.payment_method_data, "payment_method_data") end
  local id = given(params.payment_method) or intent and given(intent.payment_method)
  return id and methods.pick(call, id, "payment_method")
end

function intents.held(call, intent) return methods.pick(call, intent.payment_method, "payment_method") end

local function check_method(intent, held)
  local type, currency, automatic = held.method.type, intent.currency, given(intent.automatic_payment_methods)
  local any = automatic and automatic.enabled and not common.contains(given(intent.excluded_payment_method_types), type)
  if not any and not common.contains(intent.payment_method_types, type) then
    refuse(("This intent takes no PaymentMethod of type %s, but: %s."):format(type, table.concat(
      intent.payment_method_types, ", ")), "payment_method", intent.object == "payment_intent"
      and "payment_intent_incompatible_payment_method" or "setup_intent_invalid_parameter")
  end
  refuse_if(currency and not methods.takes(type, currency),
    "Payments by %s cannot be made in %s.", "payment_method", "payment_method_currency_mismatch", type, currency)
  methods.check_usable(held, intent.customer)
end

-- An intent is confirmed with something, that has an address to come back from where it leads the customer, by a token
-- that was not used.
local function check_confirmable(of, call, intent, held, token)
  if not held then
    error(errors.unexpected_state {
      code = of.kind .. "_unexpected_state", [of.kind] = intent.id ~= "" and intent or nil,
      message = "There is no payment method to confirm this intent with: name one in `payment_method`.",
    })
  end
  local kind = methods.kind(held.method.type)
  local return_url = call.params.return_url or intent.id ~= "" and call:note(intent).return_url
  refuse_if(kind.pays == "redirect" and not kind.action and not return_url,
    "Payments by %s lead the customer away: give the `return_url` to come back to.",
    "return_url", "parameter_missing", held.method.type)
  if token and (given(token.payment_intent) or given(token.setup_intent)) then
    refuse("This confirmation token was used before: " .. token.id, "confirmation_token",
      "payment_method_unexpected_state")
  end
  if of.check_confirmable then of.check_confirmable(call, intent, held) end
end

-- Types of payment methods that have another name now.
local renamed = { jp_bank_account = "customer_balance" }

-- The payment method types of a new intent, and its automatic_payment_methods. Raises what is wrong with those named.
local function types(params)
  local named, automatic = params.payment_method_types, params.automatic_payment_methods
  refuse_if(named and automatic and automatic.enabled,
    "You may only specify one of these parameters: automatic_payment_methods, payment_method_types.",
    "automatic_payment_methods", "parameters_exclusive")
  local chosen, excluded = host.array {}, given(params.excluded_payment_method_types)
  for i, type in ipairs(named or {}) do
    chosen[i] = renamed[type] or type
    refuse_if(not methods.is_kind(chosen[i]),
      "Invalid payment method type: %s", ("payment_method_types[%d]"):format(i - 1), nil, type)
  end
  if #chosen > 0 then return chosen, null end
  if automatic and not automatic.enabled then return host.array { "card" }, { enabled = false } end
  for _, type in ipairs(given(params.allowed_payment_method_types) or methods.usual(params.currency or "usd")) do
    if not common.contains(excluded, type) then chosen[#chosen + 1] = type end
  end
  return chosen, { allow_redirects = automatic and automatic.allow_redirects or "always", enabled = true }
end

-- ---- What the customer must do

-- What texts say that a bank or a shop would tell.
local TEXTS = {
  account_holder_name = "Sandbox", account_type = "checking", bank_name = "STRIPE TEST BANK", bic = "TESTIE2X",
  branch_name = "STRIPE TEST BRANCH", city = "San Francisco", line1 = "1 Main Street", postal_code = "94111",
  state = "CA", swift_code = "TESTUS33",
}

local function text_of(name, country)
  if name == "country" then return country or "US" end
  if name:find "url" then return ("https://payments.stripe.com/%s/%s"):format(name, host.id(24)) end
  local digits = ("%014d"):format(math.floor(host.random() * 1e14))
  return TEXTS[name] or name == "iban" and (country or "IE") .. digits or digits
end

--- A nested object with something in every field that must be there.
function intents.filled(t, call, name, country)
  if t.kind == "timestamp" then return call:now() + 3 * common.DAY end
  if t.kind == "string" then return text_of(name, country) end
  if t.kind ~= "object" then return shape.empty(t) end
  local object = {}
  for field, of in pairs(spec.fields(t)) do
    if not of.optional then object[field] = intents.filled(of, call, field, country) end
  end
  return object
end

local function redirect(return_url)
  local url = "https://hooks.stripe.com/redirect/authenticate/" .. host.id(24)
  if not return_url then
    return { type = "use_stripe_sdk", use_stripe_sdk = { type = "three_d_secure_redirect", stripe_js = url } }
  end
  return { type = "redirect_to_url", redirect_to_url = { return_url = return_url, url = url } }
end

--- The next_action of an intent whose customer must authenticate, or go and pay.
function intents.next_action(call, intent, held)
  local return_url, action = call:note(intent).return_url, methods.kind(held.method.type).action
  local field = action and common.type_of(intent.object, "next_action", action)
  if not field then return redirect(return_url) end
  local details = intents.filled(field, call, action)
  if details.return_url then details.return_url = return_url or null end
  return { type = action, [action] = details }
end

--- That of one whose customer must tell what the bank was sent.
function intents.microdeposits(call)
  local url = "https://payments.stripe.com/microdeposit/" .. host.id(24)
  local arrives = call:now() + common.DAY
  local details = { arrival_date = arrives, hosted_verification_url = url, microdeposit_type = "amounts" }
  return { type = "verify_with_microdeposits", verify_with_microdeposits = details }
end

--- Whether the request wants a bank account verified before it pays.
function intents.wants_microdeposits(intent, held)
  return intents.option(intent, held.method.type, "verification_method") == "microdeposits" and not held.note.verified
end

--- Whether these are the two amounts that every bank account is sent.
function intents.are_microdeposits(amounts)
  local low, high = table.unpack(MICRODEPOSITS.amounts)
  return #amounts == 2 and math.min(amounts[1], amounts[2]) == low and math.max(amounts[1], amounts[2]) == high
end

-- Raises unless what the customer told is what was sent: amounts, or the code of the descriptor.
local function check_microdeposits(call, intent, held)
  local amounts, code = call.params.amounts, call.params.descriptor_code
  local function wrong(why, message) refuse(message, nil, "payment_method_microdeposit_" .. why) end
  refuse_if(intent.next_action.type ~= "verify_with_microdeposits",
    "No microdeposits were sent.", nil, "intent_verification_method_missing")
  if not amounts and not code then error(errors.parameter_missing "amounts") end
  if (held.note.account or {}).microdeposits == "fail" then
    wrong("failed", "The microdeposits could not be sent to this bank account.")
  end
  if code and code ~= MICRODEPOSITS.descriptor_code then
    wrong("verification_descriptor_code_mismatch", "This is not the code that was sent.")
  end
  if code then return end
  if #amounts ~= 2 then wrong("verification_amounts_invalid", "Two amounts were sent to the bank account.") end
  if not intents.are_microdeposits(amounts) then
    wrong("verification_amounts_mismatch", "These are not the amounts that were sent.")
  end
end

-- ---- Mandates

local function acceptance(call, data)
  local said = data and data.customer_acceptance or {}
  local result = { accepted_at = said.accepted_at or call:now(), type = said.type or "online" }
  local online = said.online or {}
  if result.type == "online" then
    result.online = { ip_address = online.ip_address or null, user_agent = online.user_agent or null }
  else
    result.offline = {}
  end
  return result
end

--- The customer's permission to debit: made for debits, and where the request tells how it was given; else nil.
--- `single`: {amount, currency} of a permission for one payment.
function intents.make_mandate(call, data, method, single)
  local kind, use = method.type, single and "single_use" or "multi_use"
  if methods.kind(kind).pays ~= "delayed" and not given(data) then return nil end
  local field = common.type_of("mandate", "payment_method_details", kind)
  local details = field and intents.filled(field, call, kind) or {}
  if kind == "bacs_debit" then details.network_status, details.revocation_reason = "accepted", null end
  return call:add("mandate", {
    customer_acceptance = acceptance(call, given(data)), payment_method = method.id, status = "active", type = use,
    [use] = single or {}, payment_method_details = { type = kind, [kind] = details },
  }).id
end

--- Notes that a method's holder agreed to later payments.
function intents.remember_setup(call, method)
  if call.store:get("payment_method", method.id) then call:note(method).set_up = true end
end

-- ---- Confirmation tokens

intents.operations["test_helpers.confirmation_tokens.create"] = function(call)
  local params, held = call.params, intents.choose(call, call.params)
  local shipping = params.shipping and generic.land(common.type_of("confirmation_token", "shipping"), params.shipping)
  local token = call:new("confirmation_token", {
    return_url = params.return_url or null, setup_future_usage = params.setup_future_usage or null,
    expires_at = call:now() + TOKEN_LASTS, use_stripe_sdk = true, shipping = shipping or null,
  })
  if held then
    token.payment_method_preview = host.copy(held.method)
    for _, name in ipairs { "id", "object", "created", "livemode", "metadata" } do
      token.payment_method_preview[name] = nil
    end
  end
  call.store:insert(token)
  local private = call:note(token)
  if held and held.fresh then
    private.method, private.note = held.method, host.copy(held.note)
  elseif held then
    private.payment_method = held.method.id
  end
  return token
end

-- ---- Operations

-- A publishable key sees and confirms an intent by its secret.
local function check_secret(of, call, intent)
  local secret = call.params.client_secret
  if call.key_kind == "pk" then common.need(call.params, "client_secret") end
  refuse_if(secret and secret ~= intent.client_secret,
    "This is not the client_secret of this intent.", "client_secret", of.kind .. "_invalid_parameter")
end

local function target(of, call)
  local intent = call:target()
  check_secret(of, call, intent)
  intents.check_state(intent, of.allowed, call.operation.name)
  return intent
end

local function confirm(of, call, intent, held, token)
  local private = call:note(intent)
  local method = methods.keep(call, held)
  private.return_url = call.params.return_url or private.return_url
  if token then call.store:update(token, { [of.kind] = intent.id, expires_at = null }) end
  call.store:update(intent, {
    payment_method = method.id, status = "requires_confirmation", next_action = null, [of.last_error] = null,
  })
  return of.attempt(call, intent, held, private)
end

local OPERATIONS = {}

function OPERATIONS.create(of, call)
  local params = call.params
  of.check(call, params, params.currency)
  local intent = generic.build(call)
  intent.status, intent.payment_method = "requires_payment_method", null
  intent.payment_method_types, intent.automatic_payment_methods = types(params)
  if intent.payment_method_options == null then intent.payment_method_options = host.copy(of.options) end
  of.build(params, intent)
  local held, token = intents.choose(call, params)
  if held then check_method(intent, held) end
  if params.confirm then check_confirmable(of, call, intent, held, token) end
  intent.id = call.store:new_id(of.prefix)
  intent.client_secret = intent.id .. "_secret_" .. host.id(25)
  if held then intent.payment_method, intent.status = methods.keep(call, held).id, "requires_confirmation" end
  call:keep(intent)
  if params.confirm then return confirm(of, call, intent, held, token) end
  return intent
end

function OPERATIONS.retrieve(of, call)
  local intent = call:target()
  check_secret(of, call, intent)
  return intent
end

function OPERATIONS.update(of, call)
  local intent, params = call:target(), call.params
  for name in pairs(params) do
    if not common.among(of.always, name) then intents.check_state(intent, of.allowed, "update") end
  end
  local changes = call:asked(intent)
  if of.check_changes then of.check_changes(call, intent, changes) end
  local as_changed, named = common.as_changed(intent, changes), params.payment_method or params.payment_method_data
  of.check(call, as_changed, (params.amount or params.currency) and as_changed.currency)
  local held = (named or params.currency or params.customer) and intents.choose(call, params, intent)
  if held then check_method(as_changed, held) end
  if held and named then
    changes.payment_method, changes.status = methods.keep(call, held).id, "requires_confirmation"
    changes.next_action = null
  elseif of.renew then
    of.renew(call, intent, changes)
  end
  return call:apply(intent, changes)
end

function OPERATIONS.confirm(of, call)
  local intent, params, asked = target(of, call), call.params, {}
  local held, token = intents.choose(call, params, intent)
  for name in of.confirmed:gmatch "%S+" do asked[name] = params[name] end
  local changes = generic.merge(intent, asked)
  check_confirmable(of, call, intent, held, token)
  check_method(common.as_changed(intent, changes), held)
  call.store:update(intent, changes)
  return confirm(of, call, intent, held, token)
end

function OPERATIONS.cancel(of, call) return of.cancel(call, target(of, call), call.params.cancellation_reason) end

function OPERATIONS.verify_microdeposits(of, call)
  local intent = target(of, call)
  local held = intents.held(call, intent)
  check_microdeposits(call, intent, held)
  held.note.verified = true
  return of.resume(call, intent, held, false)
end

--- What a helper is to make of an intent: "succeed" or "fail".
function intents.check_outcome(params)
  local outcome = params.outcome or "succeed"
  if outcome == "succeed" or outcome == "fail" then return outcome end
  refuse("Invalid outcome: must be one of succeed or fail", "outcome")
end

--- The customer authenticates, or pays at the page that next_action leads to; or does not.
function intents.authenticate(of, call, intent, outcome)
  local held = intents.held(call, intent)
  if outcome == "fail" then
    of.fail(call, intent, held.method, errors.invalid {
      code = of.kind .. "_authentication_failure",
      message = "The customer did not authenticate this payment method. Choose another one, or try again.",
    })
  else
    of.resume(call, intent, held, methods.kind(held.method.type).pays == "now")
  end
  return intent
end

--- Gives a flow the operations of its kind of intent. `of`: {kind, prefix, allowed (by operation), always (params of
--- update for every state), confirmed (params that confirm takes over), options (those of a new one), last_error (a
--- field), failed (an event), check(call, fields, currency), build(params, intent), check_confirmable?(call, intent,
--- held), check_changes?(call, intent, changes), renew?(call, intent, changes: what follows from them is added),
--- attempt(call, intent, held, note), fail(call, intent, method, err), resume(call, intent, held, authenticated),
--- cancel(call, intent, reason)}.
function intents.define(flow, of)
  for name, act in pairs(OPERATIONS) do
    flow.operations[of.kind .. "s." .. name] = function(call) return act(of, call) end
  end
  --- {id, outcome = "succeed" (default) or "fail"}
  flow.helpers[of.kind .. "s.authenticate"] = common.helper(of.kind, function(call, intent, params)
    intents.check_state(intent, of.allowed, "authenticate")
    return intents.authenticate(of, call, intent, intents.check_outcome(params))
  end)
end

return intents
