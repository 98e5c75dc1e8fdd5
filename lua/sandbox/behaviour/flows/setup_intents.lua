--- SetupIntents: a payment method is made ready for payments to come, without one.
--
--   requires_payment_method ──▶ requires_confirmation ──confirm──▶ succeeded        its customer has the method now
--            ▲                                             ├─────▶ requires_action ──customer──▶ succeeded
--            └── declined, not authenticated ──────────────┘
--   any but succeeded, canceled ──cancel──▶ canceled
--
-- Invariant: every confirmation leaves one setup attempt, whose status says how it ended; `latest_attempt` is the last.
-- The operations themselves are in intents.lua.
local cards = require "sandbox.cards"
local common = require "sandbox.flows.common"
local intents = require "sandbox.flows.intents"
local methods = require "sandbox.flows.payment_methods"

local null, given = common.null, common.given

local flow = { operations = {}, helpers = {} }

local OPEN = "requires_payment_method requires_confirmation requires_action"

local machine = {
  kind = "setup_intent", prefix = "seti_", last_error = "last_setup_error", failed = "setup_failed",
  allowed = {
    confirm = OPEN, update = OPEN, cancel = OPEN .. " processing", verify_microdeposits = "requires_action",
    authenticate = "requires_action",
  },
  always = "metadata description expand",
  confirmed = "payment_method_options allowed_payment_method_types",
  options = { card = { mandate_options = null, network = null, request_three_d_secure = "automatic" } },
  check = function() end,
}

function machine.build(params, intent)
  intent.usage, intent.metadata = params.usage or "off_session", given(intent.metadata) or {}
end

-- ---- Attempts

local function attempt_details(held, authenticated)
  local kind, details = held.method.type, nil
  if kind == "card" then
    details = common.nested(held.method.card, "setup_attempt", "payment_method_details", "card")
    details.network, details.wallet = held.method.card.brand, null
    if authenticated then details.three_d_secure = methods.authenticated "setup_attempt" end
  elseif common.type_of("setup_attempt", "payment_method_details", kind) then
    details = common.nested({}, "setup_attempt", "payment_method_details", kind)
  end
  return { type = kind, [kind] = details }
end

local function change_attempt(call, intent, changes)
  call.store:update(call.store:get("setup_attempt", intent.latest_attempt), changes)
end

function machine.fail(call, intent, method, err)
  local shown, kept = intents.fail(machine, call, intent, method, err)
  change_attempt(call, intent, { status = "failed", setup_error = kept })
  return shown
end

function machine.resume(call, intent, held, authenticated)
  local method = held.method
  change_attempt(call, intent, {
    status = "succeeded", payment_method_details = attempt_details(held, authenticated),
  })
  local mandate = intents.make_mandate(call, call:note(intent).mandate_data, method)
  if call.store:get("payment_method", method.id) then
    if given(intent.customer) and methods.kind(method.type).saved then methods.attach(call, held, intent.customer) end
    if intent.usage == "off_session" then intents.remember_setup(call, method) end
  end
  local changes = { status = "succeeded", next_action = null, mandate = mandate or null }
  return intents.become(call, intent, changes, "succeeded")
end

local function wait_for_customer(call, intent, next_action)
  change_attempt(call, intent, { status = "requires_action" })
  return intents.become(call, intent, { status = "requires_action", next_action = next_action }, "requires_action")
end

-- Of an attempt that still waits for the customer nothing will come.
local function abandon(call, intent)
  local last = given(intent.latest_attempt) and call.store:get("setup_attempt", intent.latest_attempt)
  if last and last.status == "requires_action" then call.store:update(last, { status = "abandoned" }) end
end

-- Sets the method up: at once, after its holder did something, or not at all.
function machine.attempt(call, intent, held, private)
  local row, pays = cards.of_note(held.note), methods.kind(held.method.type).pays
  private.mandate_data = given(call.params.mandate_data) or private.mandate_data
  abandon(call, intent)
  call.store:update(intent, {
    latest_attempt = call:add("setup_attempt", {
      setup_intent = intent.id, customer = intent.customer, payment_method = held.method.id, usage = intent.usage,
      on_behalf_of = intent.on_behalf_of, flow_directions = intent.flow_directions or null, status = "processing",
      payment_method_details = attempt_details(held),
    }).id,
  })
  local decline = methods.refusal(held)
  if decline then return nil, machine.fail(call, intent, held.method, methods.declined(decline, {})) end
  local secure = row.secure and (row.secure ~= "optional" or intents.asked_for_3ds(intent))
  if pays == "redirect" or secure then
    return wait_for_customer(call, intent, intents.next_action(call, intent, held))
  end
  if pays == "delayed" and intents.wants_microdeposits(intent, held) then
    return wait_for_customer(call, intent, intents.microdeposits(call))
  end
  return machine.resume(call, intent, held)
end

function machine.cancel(call, intent, reason)
  abandon(call, intent)
  local changes = { status = "canceled", cancellation_reason = reason or null, next_action = null }
  return intents.become(call, intent, changes, "canceled")
end

intents.define(flow, machine)

return flow
