--- SetupIntents: a payment method is made ready for payments to come, without one.
--
--   requires_payment_method ──▶ requires_confirmation ──confirm──▶ succeeded        its customer has the method now
--            ▲                                             ├─────▶ requires_action ──customer──▶ succeeded
--            └── declined, not authenticated ──────────────┘
--   any but succeeded, canceled ──cancel──▶ canceled
--
-- Invariant: every confirmation leaves one setup attempt, whose status says how it ended; `latest_attempt` is the last.
local cards = require "sandbox.cards"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local intents = require "sandbox.flows.intents"
local methods = require "sandbox.flows.payment_methods"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null, given = host.null, intents.given

local flow = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

local OPEN = { requires_payment_method = true, requires_confirmation = true, requires_action = true }
local ALLOWED = {
  confirm = OPEN,
  cancel = { requires_payment_method = true, requires_confirmation = true, requires_action = true, processing = true },
  update = OPEN,
  verify_microdeposits = { requires_action = true },
  authenticate = { requires_action = true },
}

local INITIAL_OPTIONS = { card = { mandate_options = null, network = null, request_three_d_secure = "automatic" } }

-- What confirm takes over into the intent.
local CONFIRMED = { "payment_method_options", "allowed_payment_method_types" }

-- ---- Attempts

local function attempt_details(held, authenticated)
  local kind = held.method.type
  local details = methods.blank("setup_attempt", "payment_method_details", kind)
  if kind == "card" then
    local fields = spec.fields(spec.fields(spec.object("setup_attempt").by_name.payment_method_details).card)
    for name in pairs(fields) do
      if held.method.card[name] ~= nil then details[name] = host.copy(held.method.card[name]) end
    end
    details.network, details.wallet = held.method.card.brand, null
    if authenticated then details.three_d_secure = methods.authenticated "setup_attempt" end
  end
  local known = spec.fields(spec.object("setup_attempt").by_name.payment_method_details)[kind]
  return { type = kind, [kind] = known and details or nil }
end

local function begin_attempt(call, intent, held)
  local attempt = shape.new "setup_attempt"
  attempt.setup_intent, attempt.customer, attempt.payment_method = intent.id, intent.customer, held.method.id
  attempt.on_behalf_of, attempt.usage = intent.on_behalf_of, intent.usage
  attempt.flow_directions = intent.flow_directions or null
  attempt.payment_method_details, attempt.status = attempt_details(held), "processing"
  call.store:insert(attempt)
  return attempt
end

local function latest_attempt(call, intent) return call.store:get("setup_attempt", intent.latest_attempt) end

-- ---- Outcomes

local function fail(call, intent, held, err)
  local kept = intents.kept_error(err, held.method)
  call.store:update(latest_attempt(call, intent), { status = "failed", setup_error = kept })
  intents.become(call, intent, {
    status = "requires_payment_method", payment_method = null, next_action = null, last_setup_error = kept,
  }, "setup_failed")
  err.fields.setup_intent, err.fields.payment_method = intent, held.method
  return err
end

local function succeed(call, intent, held, authenticated)
  local private, method = call.store:private(intent), held.method
  local details = attempt_details(held, authenticated)
  call.store:update(latest_attempt(call, intent), { status = "succeeded", payment_method_details = details })
  local mandate = intents.make_mandate(call, { mandate_data = private.mandate_data }, method)
  if call.store:get("payment_method", method.id) then
    if given(intent.customer) and methods.kind(method.type).saved then methods.attach(call, held, intent.customer) end
    if intent.usage == "off_session" then intents.remember_setup(call, method) end
  end
  local changes = { status = "succeeded", next_action = null, mandate = mandate or null }
  return intents.become(call, intent, changes, "succeeded")
end

local function wait_for_customer(call, intent, next_action)
  call.store:update(latest_attempt(call, intent), { status = "requires_action" })
  return intents.become(call, intent, { status = "requires_action", next_action = next_action }, "requires_action")
end

-- Sets the method up: at once, after its holder did something, or not at all.
local function attempt(call, intent, held)
  local row, kind = cards.of_note(held.note), methods.kind(held.method.type)
  local decline = methods.refusal(held)
  if decline then return nil, fail(call, intent, held, methods.declined(decline, {})) end
  local private = call.store:private(intent)
  local secure = row.secure and row.secure ~= "optional" or intents.asked_for_3ds(intent) and row.secure
  if kind.pays == "redirect" or secure then
    return wait_for_customer(call, intent, intents.next_action(call, intent, held, private.return_url))
  end
  if kind.pays == "delayed" and intents.wants_microdeposits(intent, held) then
    return wait_for_customer(call, intent, intents.microdeposits(call))
  end
  return succeed(call, intent, held)
end

-- ---- Operations

local function confirm(call, intent, held, token)
  local params, private = call.params, call.store:private(intent)
  local method = methods.keep(call, held)
  private.return_url = params.return_url or private.return_url
  private.mandate_data = given(params.mandate_data) or private.mandate_data
  intents.use_token(call, token, intent)
  call.store:update(intent, {
    payment_method = method.id,
    status = "requires_confirmation",
    next_action = null,
    last_setup_error = null,
    latest_attempt = begin_attempt(call, intent, held).id,
  })
  return attempt(call, intent, held)
end

flow.operations["setup_intents.create"] = function(call)
  local params = call.params
  local intent = generic.build(call)
  intent.payment_method_types, intent.automatic_payment_methods = intents.types(params)
  intent.status, intent.usage, intent.payment_method = "requires_payment_method", params.usage or "off_session", null
  intent.metadata = given(intent.metadata) or {}
  if intent.payment_method_options == null then intent.payment_method_options = host.copy(INITIAL_OPTIONS) end
  local held, token = intents.choose(call, params)
  if held then intents.check_method(intent, held) end
  if params.confirm then intents.check_confirmable(call, intent, held, token) end
  intent.id = call.store:new_id "seti_"
  intent.client_secret = intent.id .. "_secret_" .. host.id(25)
  if held then intent.payment_method, intent.status = methods.keep(call, held).id, "requires_confirmation" end
  call.store:insert(intent)
  events.emit(call, "setup_intent.created", intent)
  if params.confirm then return confirm(call, intent, held, token) end
  return intent
end

flow.operations["setup_intents.confirm"] = function(call)
  local intent, params = call:target(), call.params
  intents.check_state(intent, ALLOWED, "confirm")
  local held, token = intents.choose(call, params, intent)
  intents.check_confirmable(call, intent, held, token)
  intents.check_method(intent, held)
  local asked = {}
  for _, name in ipairs(CONFIRMED) do asked[name] = params[name] end
  call.store:update(intent, generic.merge(intent, asked))
  return confirm(call, intent, held, token)
end

flow.operations["setup_intents.update"] = function(call)
  local intent, params = call:target(), call.params
  for name in pairs(params) do
    if name ~= "metadata" and name ~= "description" and name ~= "expand" then
      intents.check_state(intent, ALLOWED, "update")
    end
  end
  local changes = generic.merge(intent, params)
  local held = (params.payment_method or params.payment_method_data) and intents.choose(call, params)
  if held then
    intents.check_method(setmetatable({ customer = changes.customer }, { __index = intent }), held)
    changes.payment_method, changes.status = methods.keep(call, held).id, "requires_confirmation"
  end
  return generic.apply(call, intent, changes)
end

flow.operations["setup_intents.cancel"] = function(call)
  local intent = call:target()
  intents.check_state(intent, ALLOWED, "cancel")
  local last = given(intent.latest_attempt) and latest_attempt(call, intent)
  if last and last.status == "requires_action" then call.store:update(last, { status = "abandoned" }) end
  return intents.become(call, intent, {
    status = "canceled", cancellation_reason = call.params.cancellation_reason or null, next_action = null,
  }, "canceled")
end

flow.operations["setup_intents.verify_microdeposits"] = function(call)
  local intent = call:target()
  intents.check_state(intent, ALLOWED, "verify_microdeposits")
  local held = intents.held(call, intent)
  intents.check_microdeposits(call, intent, held)
  held.note.verified = true
  return succeed(call, intent, held)
end

--- POST /_sandbox/helpers/setup_intents.authenticate {id, outcome = "succeed" (default) or "fail"}
flow.helpers["setup_intents.authenticate"] = function(call, id, params)
  local intent = call:find("setup_intent", id, "id")
  intents.check_state(intent, ALLOWED, "authenticate")
  local held = intents.held(call, intent)
  if intents.check_outcome(params) == "fail" then
    fail(call, intent, held, intents.unauthenticated "setup_intent")
    return intent
  end
  return succeed(call, intent, held, methods.kind(held.method.type).pays == "now")
end

return flow
