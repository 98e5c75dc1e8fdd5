--- Named actions: what cancel, archive, void, deliver … make of an object, by its table alone.
---
--- The name of an action is a verb (VERBS) with the states that it leads to. The object's status takes the first of
--- them that its enum has; a boolean of that name becomes true; `canceled_at`, or `status_transitions.canceled_at`,
--- becomes now; params land in the fields of their names. The event is `<object>.<state>` where the table has one, else
--- `<object>.updated`. No action leaves a final state but those that undo one.
---
--- RULES holds what can't be read from the table: a rule amends the changes and may return the event's type. What
--- creates another object or keeps books of its own is a flow.

local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null = host.null

local actions = { rules = {} }

local VERBS = {
  accept = "accepted", activate = "activated active", approve = "approved", archive = "archived", cancel = "canceled",
  close = "closed", deactivate = "deactivated inactive", decline = "declined closed", deliver = "delivered",
  disconnect = "disconnected", expire = "expired", finalize_invoice = "finalized open",
  finalize_quote = "finalized open",
  mark_ready_to_ship = "ready_to_ship", mark_uncollectible = "marked_uncollectible uncollectible",
  mark_undeliverable = "undeliverable", pause = "paused", pay = "paid", reactivate = "reactivated active",
  redact = "redacted", reject = "rejected", release = "released", resume = "resumed active", send_invoice = "sent",
  ship = "shipped", submit = "submitted succeeded", unarchive = "unarchived active", uninstall = "uninstalling",
  void = "voided void",
}

-- The boolean that becomes false.
local OPPOSITES = { deactivated = "active", declined = "approved", unarchived = "archived" }

local function set_of(text)
  local set = {}
  for word in text:gmatch "%S+" do
    set[#set + 1] = word
    set[word] = true
  end
  return set
end

local FINAL = set_of [[
  accepted archived canceled closed complete completed delivered disconnected expired failed lost paid rejected
  released reversed succeeded undeliverable void won
]]
local UNDOING = set_of "activate mark_undeliverable resume unarchive"

-- "void_credit_note" → "void", and its states.
local function verb_of(name)
  while name and not VERBS[name] do name = name:match "^(.*)_[^_]*$" end
  return name, set_of(VERBS[name] or "")
end

local function status_among(fields, words)
  local status = fields.status
  if not status or not status.values then return nil end
  for _, value in ipairs(status.values) do
    if words[value] then return value end
  end
end

local function set_flags(changes, fields, words)
  for _, word in ipairs(words) do
    local opposite = OPPOSITES[word]
    if fields[word] and fields[word].kind == "bool" then changes[word] = true end
    if opposite and fields[opposite] and fields[opposite].kind == "bool" then changes[opposite] = false end
  end
end

local function set_times(call, object, changes, fields, words)
  local now, known = call:now(), fields.status_transitions and spec.fields(fields.status_transitions) or {}
  for _, word in ipairs(words) do
    local name = word .. "_at"
    if fields[name] and fields[name].kind == "timestamp" then changes[name] = now end
    if known[name] then
      changes.status_transitions = changes.status_transitions or host.copy(object.status_transitions)
      changes.status_transitions[name] = now
    end
  end
end

-- The event that tells of one of these states, if the table names one.
local function event_of(object, words)
  for _, word in ipairs(words) do
    local event = events.name(object, word)
    if event then return event end
  end
end

local function check_state(object, verb, status)
  local current = object.status
  if not FINAL[current] and current ~= status or UNDOING[verb] and current ~= status then return end
  error(errors.invalid {
    message = ("This %s cannot be changed by %s: its status is %s."):format(object.object, verb, current),
  })
end

-- What params and the table say of an action: the changes, and the event.
local function infer(call, object)
  local fields = spec.object(object.object).by_name
  local verb, words = verb_of(call.operation.name)
  local changes, status = generic.merge(object, call.params), status_among(fields, words)
  if status then
    check_state(object, verb, status)
    changes.status = status
    if fields.cancelable then changes.cancelable = false end
  end
  set_flags(changes, fields, words)
  set_times(call, object, changes, fields, words)
  return changes, event_of(object, words)
end

-- ---- What the table does not say

-- The nested object of a field, with some of its own fields changed.
local function within(object, field, changes)
  local type = spec.object(object.object).by_name[field]
  local nested = (object[field] == nil or object[field] == null) and shape.nested(type) or host.copy(object[field])
  for name, value in pairs(changes) do nested[name] = value end
  return nested
end

local RULES = actions.rules

RULES["billing.credit_grants.expire"] = function(call, _, changes)
  changes.expires_at, changes.updated = call:now(), call:now()
end

RULES["climate.orders.cancel"] = function(_, _, changes)
  changes.cancellation_reason = "requested"
end

-- ---- Financial connections

-- What a refresh of each feature fills.
local REFRESHES = { balance = "balance_refresh", ownership = "ownership_refresh", transactions = "transaction_refresh" }

RULES["financial_connections.accounts.refresh"] = function(call, account, changes)
  local event
  for _, feature in ipairs(call.params.features) do
    local field = REFRESHES[feature]
    if field then
      changes[field] = within(account, field, { last_attempted_at = call:now(), status = "succeeded" })
      if field == "transaction_refresh" then changes[field].id = call.store:new_id "fctxnref_" end
      event = event or "financial_connections.account.refreshed_" .. feature
    end
  end
  return event
end

local function subscribe(wanted)
  return function(call, account, changes)
    local kept, named = host.array {}, {}
    for _, feature in ipairs(call.params.features) do named[feature] = true end
    for _, feature in ipairs(account.subscriptions ~= null and account.subscriptions or {}) do
      if not named[feature] then kept[#kept + 1] = feature end
    end
    for _, feature in ipairs(wanted and call.params.features or {}) do kept[#kept + 1] = feature end
    changes.subscriptions = kept
  end
end

RULES["financial_connections.accounts.subscribe"] = subscribe(true)
RULES["financial_connections.accounts.unsubscribe"] = subscribe(false)

-- ---- Identity, reviews, three-d-secure

RULES["identity.verification_sessions.redact"] = function(_, session, changes)
  changes.redaction = within(session, "redaction", { status = "redacted" })
end

RULES["reviews.approve"] = function(_, _, changes)
  changes.open, changes.reason, changes.closed_reason = false, "approved", "approved"
  return "review.closed"
end

RULES["sources.verify"] = function(_, _, changes)
  changes.status = "chargeable"
  return "source.chargeable"
end

RULES["three_d_secure.authentications.submit"] = function(_, _, changes)
  changes.outcome = "authenticated"
end

-- ---- Issuing

-- Cards on their way: the rest of the card stays.
for name, status in pairs {
  deliver_card = "delivered", fail_card = "failure", return_card = "returned", ship_card = "shipped",
  submit_card = "submitted",
} do
  RULES["test_helpers.issuing.cards." .. name] = function(_, card, changes)
    if card.shipping == nil or card.shipping == null then
      error(errors.invalid { message = ("Card %s is not shipped: its type is %s."):format(card.id, card.type) })
    end
    changes.shipping = within(card, "shipping", { status = status })
  end
end

RULES["issuing.authorizations.approve"] = function(_, _, changes) changes.pending_request = null end
RULES["issuing.authorizations.decline"] = RULES["issuing.authorizations.approve"]

RULES["test_helpers.issuing.authorizations.respond"] = function(call, _, changes)
  changes.verified_by_fraud_challenge = call.params.confirmed
end

-- ---- Billing

RULES["invoices.pay"] = function(call, invoice, changes)
  changes.amount_paid, changes.amount_remaining = invoice.amount_due, 0
  changes.status_transitions = within(invoice, "status_transitions", { paid_at = call:now() })
end

RULES["invoices.send_invoice"] = function(call, invoice, changes)
  if invoice.status ~= "draft" then return end
  changes.status = "open"
  changes.status_transitions = within(invoice, "status_transitions", { finalized_at = call:now() })
end

RULES["subscriptions.cancel"] = function(call, _, changes)
  changes.ended_at = call:now()
  return "customer.subscription.deleted"
end

RULES["subscription_schedules.release"] = function(_, schedule, changes)
  changes.released_subscription, changes.subscription = schedule.subscription, null
end

RULES["test_helpers.test_clocks.advance"] = function(_, clock, changes)
  if changes.frozen_time and changes.frozen_time < clock.frozen_time then
    error(errors.invalid { message = "A test clock cannot go back in time.", param = "frozen_time" })
  end
  return "test_helpers.test_clock.ready"
end

RULES["crypto.onramp_sessions.checkout"] = function(_, _, changes) changes.status = "fulfillment_processing" end
RULES["crypto.onramp_sessions.quote"] = function() end

-- ---- What is only shown

local function escape(text) return (text:gsub("[\\()]", "\\%0"):gsub("[^\32-\126]", "?")) end

-- A PDF of one page with these lines of text.
local function pdf(lines)
  local text = {}
  for i, line in ipairs(lines) do text[i] = ("(%s) '"):format(escape(line)) end
  local content = "BT /F1 12 Tf 14 TL 72 720 Td " .. table.concat(text, " ") .. " ET"
  local parts, offsets = { "%PDF-1.4\n" }, {}
  local at = #parts[1]
  for i, body in ipairs {
    "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
    "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
    ("<</Length %d>>stream\n%s\nendstream"):format(#content, content),
    "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
  } do
    parts[#parts + 1] = ("%d 0 obj%s\nendobj\n"):format(i, body)
    offsets[i] = ("%010d 00000 n \n"):format(at)
    at = at + #parts[#parts]
  end
  parts[#parts + 1] = ("xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n")
    :format(table.concat(offsets), at)
  return table.concat(parts)
end

local function document(call)
  local object = call:target()
  local lines = { object.object:gsub("^%l", string.upper) .. " " .. object.id }
  for _, name in ipairs { "status", "currency", "amount_total", "customer", "description" } do
    local value = object[name]
    if value ~= nil and value ~= null then lines[#lines + 1] = name .. ": " .. tostring(value) end
  end
  return { binary = pdf(lines), content_type = "application/pdf" }
end

-- An action without an object: it makes one, or shows what one would be.
local function without_object(call)
  local operation = call.operation
  if operation.method ~= "GET" and operation.name ~= "create_preview" then return generic.create(call) end
  local object = generic.build(call)
  if object.id == "" then object.id = "upcoming_" .. host.id(24) end
  if object.created == 0 then object.created = call:now() end
  return object
end

--- Does what the operation's name says to the object that its path names.
function actions.run(call)
  if call.operation.returns.kind == "binary" then return document(call) end
  if #call.operation.ids == 0 then return without_object(call) end
  local object, rule = generic.target(call), RULES[call.operation.id]
  local changes, event = infer(call, object)
  event = rule and rule(call, object, changes) or event
  if event and next(changes) == nil then events.emit(call, event, object) end
  return generic.apply(call, object, changes, event)
end

return actions
