--- What PaymentIntents and SetupIntents share: the method that a request names, what the customer must do next,
--- mandates, and the verification of bank accounts by microdeposits.
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local methods = require "sandbox.flows.payment_methods"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null = host.null
local refuse = common.refuse

local intents = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

local DAY = 86400
local TOKEN_LASTS = 12 * 3600
local MICRODEPOSITS = { amounts = { 32, 45 }, descriptor_code = "SM11AA" }

--- The value of a field; nil if it is absent or null.
function intents.given(value)
  if value ~= nil and value ~= null then return value end
end
local given = intents.given

--- What the intent's payment_method_options say of a type.
function intents.option(intent, type, name)
  local options = given(intent.payment_method_options)
  local of_type = options and options[type]
  return of_type and given(of_type[name])
end

--- Whether the request wants the card's holder to authenticate.
function intents.asked_for_3ds(intent)
  local asked = intents.option(intent, "card", "request_three_d_secure")
  return asked == "any" or asked == "challenge"
end

-- ---- States

--- Raises unless `operation` is one that `allowed` grants the intent's status: {operation = {status = true}}.
function intents.check_state(intent, allowed, operation)
  local states = allowed[operation]
  if states[intent.status] then return end
  local names, kind = {}, intent.object
  for status in pairs(states) do names[#names + 1] = status end
  table.sort(names)
  local text = "This %s's status is %s; %s needs %s."
  error(errors.unexpected_state {
    code = kind .. "_unexpected_state", [kind] = intent,
    message = text:format(kind, intent.status, operation, table.concat(names, ", ")),
  })
end

-- ---- The method

local function of_token(call, id)
  local token = call:find("confirmation_token", id, "confirmation_token")
  local private = call.store:private(token)
  if private.payment_method then return methods.pick(call, private.payment_method, "confirmation_token"), token end
  if not private.method then refuse("This confirmation token holds no payment method.", "confirmation_token") end
  local method = host.copy(private.method)
  method.id = call.store:new_id "pm_"
  return { method = method, note = private.note, fresh = true }, token
end

--- What a request pays with, else what the intent has: held, and the confirmation token that named it; nil if nothing.
function intents.choose(call, params, intent)
  if params.confirmation_token then return of_token(call, params.confirmation_token) end
  if params.payment_method_data then return methods.draft(call, params.payment_method_data, "payment_method_data") end
  local id = given(params.payment_method) or intent and given(intent.payment_method)
  return id and methods.pick(call, id, "payment_method")
end

local function contains(list, value)
  for _, item in ipairs(list or {}) do
    if item == value then return true end
  end
  return false
end

--- Raises unless the intent takes such a method: its type, its currency, its customer.
function intents.check_method(intent, held, currency)
  local type = held.method.type
  local automatic = given(intent.automatic_payment_methods)
  local any = automatic and automatic.enabled and not contains(given(intent.excluded_payment_method_types), type)
  if not any and not contains(intent.payment_method_types, type) then
    local of_payment = intent.object == "payment_intent"
    refuse(("This intent takes no PaymentMethod of type %s, but: %s."):format(type, table.concat(
      intent.payment_method_types, ", ")), "payment_method",
      of_payment and "payment_intent_incompatible_payment_method" or "setup_intent_invalid_parameter")
  end
  if currency and not methods.takes(type, currency) then
    refuse(("Payments by %s cannot be made in %s."):format(type, currency), "payment_method",
      "payment_method_currency_mismatch")
  end
  methods.check_usable(held, intent.customer)
end

--- Raises unless an intent can be confirmed with what was found: something, that has an address to come back from where
--- it leads the customer, by a token that was not used.
function intents.check_confirmable(call, intent, held, token)
  if not held then
    error(errors.unexpected_state {
      code = intent.object .. "_unexpected_state", [intent.object] = intent.id ~= "" and intent or nil,
      message = "There is no payment method to confirm this intent with: name one in `payment_method`.",
    })
  end
  local kind = methods.kind(held.method.type)
  local return_url = call.params.return_url or intent.id ~= "" and call.store:private(intent).return_url
  if kind.pays == "redirect" and not kind.action and not return_url then
    refuse(("Payments by %s lead the customer away: give the `return_url` to come back to."):format(held.method.type),
      "return_url", "parameter_missing")
  end
  if token and (token.payment_intent ~= null or token.setup_intent ~= null) then
    refuse("This confirmation token was used before: " .. token.id, "confirmation_token",
      "payment_method_unexpected_state")
  end
end

-- Types of payment methods that have another name now.
local renamed = { jp_bank_account = "customer_balance" }

--- The payment method types of a new intent, and its automatic_payment_methods. Raises what is wrong with those named.
function intents.types(params, currency)
  local named, automatic = params.payment_method_types, params.automatic_payment_methods
  if named and automatic and automatic.enabled then
    refuse("You may only specify one of these parameters: automatic_payment_methods, payment_method_types.",
      "automatic_payment_methods", "parameters_exclusive")
  end
  local chosen = host.array {}
  for i, type in ipairs(named or {}) do
    chosen[i] = renamed[type] or type
    if not methods.is_kind(chosen[i]) then
      refuse(("Invalid payment method type: %s"):format(type), ("payment_method_types[%d]"):format(i - 1))
    end
  end
  if #chosen > 0 then return chosen, null end
  local types, excluded = host.array {}, given(params.excluded_payment_method_types)
  for _, type in ipairs(given(params.allowed_payment_method_types) or methods.usual(currency or "usd")) do
    if not contains(excluded, type) then types[#types + 1] = type end
  end
  if automatic and not automatic.enabled then return host.array { "card" }, { enabled = false } end
  return types, { allow_redirects = automatic and automatic.allow_redirects or "always", enabled = true }
end

-- ---- What the customer must do

--- A nested object with something in every field that must be there.
function intents.filled(t, call, field)
  if t.kind == "object" then
    local object = {}
    for name, of in pairs(spec.fields(t)) do
      if not of.optional then object[name] = intents.filled(of, call, name) end
    end
    return object
  end
  if t.kind == "timestamp" then return call:now() + 3 * DAY end
  if t.kind ~= "string" then return shape.empty(t) end
  return field:find "url" and ("https://payments.stripe.com/%s/%s"):format(field, host.id(24)) or host.id(16)
end

local function redirect(return_url)
  local url = "https://hooks.stripe.com/redirect/authenticate/" .. host.id(24)
  if not return_url then
    return { type = "use_stripe_sdk", use_stripe_sdk = { type = "three_d_secure_redirect", stripe_js = url } }
  end
  return { type = "redirect_to_url", redirect_to_url = { return_url = return_url, url = url } }
end

--- The next_action of an intent whose customer must authenticate, or go and pay.
function intents.next_action(call, intent, held, return_url)
  local action = methods.kind(held.method.type).action
  local field = action and spec.fields(spec.object(intent.object).by_name.next_action)[action]
  if not field then return redirect(return_url) end
  local details = intents.filled(field, call, action)
  if details.return_url then details.return_url = return_url or null end
  return { type = action, [action] = details }
end

--- That of one whose customer must tell what the bank was sent.
function intents.microdeposits(call)
  local url = "https://payments.stripe.com/microdeposit/" .. host.id(24)
  local details = { arrival_date = call:now() + DAY, hosted_verification_url = url, microdeposit_type = "amounts" }
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

--- Raises unless what the customer told is what was sent: amounts, or the code of the descriptor.
function intents.check_microdeposits(call, intent, held)
  local params = call.params
  local function wrong(code, message) refuse(message, nil, "payment_method_microdeposit_" .. code) end
  if intent.next_action.type ~= "verify_with_microdeposits" then
    refuse("No microdeposits were sent.", nil, "intent_verification_method_missing")
  end
  if not params.amounts and not params.descriptor_code then error(errors.parameter_missing "amounts") end
  if (held.note.account or {}).microdeposits == "fail" then
    wrong("failed", "The microdeposits could not be sent to this bank account.")
  end
  if params.descriptor_code then
    if params.descriptor_code == MICRODEPOSITS.descriptor_code then return end
    wrong("verification_descriptor_code_mismatch", "This is not the code that was sent.")
  end
  if #params.amounts ~= 2 then wrong("verification_amounts_invalid", "Two amounts were sent to the bank account.") end
  if not intents.are_microdeposits(params.amounts) then
    wrong("verification_amounts_mismatch", "These are not the amounts that were sent.")
  end
end

-- ---- Mandates

local function acceptance(call, params)
  local data = given(params.mandate_data)
  local said = data and data.customer_acceptance or {}
  local result = { accepted_at = said.accepted_at or call:now(), type = said.type or "online" }
  if result.type == "online" then
    local online = said.online or {}
    result.online = { ip_address = online.ip_address or null, user_agent = online.user_agent or null }
  else
    result.offline = {}
  end
  return result
end

--- The customer's permission to debit: made for debits, and where the request tells how it was given; else nil.
--- `single`: {amount, currency} of a permission for one payment.
function intents.make_mandate(call, params, method, single)
  local needed = methods.kind(method.type).pays == "delayed"
  if not needed and not given(params.mandate_data) then return nil end
  local mandate = shape.new "mandate"
  mandate.customer_acceptance, mandate.payment_method = acceptance(call, params), method.id
  mandate.status, mandate.type = "active", single and "single_use" or "multi_use"
  mandate[mandate.type] = single or {}
  local fields = spec.fields(spec.object("mandate").by_name.payment_method_details)
  local details = fields[method.type] and intents.filled(fields[method.type], call, method.type) or {}
  if method.type == "bacs_debit" then details.network_status, details.revocation_reason = "accepted", null end
  mandate.payment_method_details = { type = method.type, [method.type] = details }
  call.store:insert(mandate)
  return mandate.id
end

-- ---- Confirmation tokens

intents.operations["test_helpers.confirmation_tokens.create"] = function(call)
  local params = call.params
  local held = intents.choose(call, params)
  local token = shape.new "confirmation_token"
  for _, name in ipairs { "return_url", "setup_future_usage" } do token[name] = params[name] or null end
  token.shipping = params.shipping and generic.land(spec.object("confirmation_token").by_name.shipping, params.shipping)
    or null
  token.expires_at, token.use_stripe_sdk = call:now() + TOKEN_LASTS, true
  if held then
    local preview = host.copy(held.method)
    for _, name in ipairs { "id", "object", "created", "livemode", "metadata" } do preview[name] = nil end
    token.payment_method_preview = preview
  end
  call.store:insert(token)
  if held then
    local private = call.store:private(token)
    if held.fresh then
      private.method, private.note = held.method, host.copy(held.note)
    else
      private.payment_method = held.method.id
    end
  end
  return token
end

--- Notes which intent a confirmation token confirmed: it confirms once.
function intents.use_token(call, token, intent)
  if token then call.store:update(token, { [intent.object] = intent.id, expires_at = null }) end
end

--- The intent's method once more: of one that waited for its customer, or for the bank.
function intents.held(call, intent) return methods.pick(call, intent.payment_method, "payment_method") end

--- The error object that an intent keeps of what went wrong: without the intent itself.
function intents.kept_error(err, method)
  local kept = { type = err.fields.type, payment_method = host.copy(method) }
  for _, name in ipairs { "advice_code", "charge", "code", "decline_code", "doc_url", "message", "param" } do
    kept[name] = err.fields[name]
  end
  return kept
end

--- The error of a customer who did not authenticate.
function intents.unauthenticated(kind)
  local message = "The customer did not authenticate this payment method. Choose another one, or try again."
  return errors.invalid { code = kind .. "_authentication_failure", message = message }
end

--- What a helper is to make of an intent: "succeed" or "fail".
function intents.check_outcome(params)
  local outcome = params.outcome or "succeed"
  if outcome == "succeed" or outcome == "fail" then return outcome end
  refuse("Invalid outcome: must be one of succeed or fail", "outcome")
end

--- Notes that a method's holder agreed to later payments.
function intents.remember_setup(call, method)
  if call.store:get("payment_method", method.id) then call.store:private(method).set_up = true end
end

--- Tells of an intent's new state.
function intents.become(call, intent, changes, event)
  call.store:update(intent, changes)
  events.emit(call, intent.object .. "." .. event, intent)
  return intent
end

return intents
