--- Named actions: what cancel, archive, void, deliver … make of an object, by its table alone.
---
--- The name of an action is a verb (VERBS) with the states that it leads to. The object's status takes the first of
--- them that its enum has; a boolean of that name becomes true; `canceled_at`, or `status_transitions.canceled_at`,
--- becomes now; params land in the fields of their names. The event is `<object>.<state>` where the table has one, else
--- `<object>.updated`. No action leaves a final state but those that undo one.
---
--- RULES holds what can't be read from the table: a rule amends the changes and may return the event's type. What
--- creates another object or keeps books of its own is a flow.

local common = require "sandbox.flows.common"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null, given = host.null, common.given

local actions = { rules = {} }

local VERBS = {
  accept = "accepted", activate = "activated active", approve = "approved", archive = "archived", cancel = "canceled",
  close = "closed", deactivate = "deactivated inactive", decline = "declined closed", deliver = "delivered",
  disconnect = "disconnected", expire = "expired", fail = "failed", finalize = "finalized open",
  mark_ready_to_ship = "ready_to_ship", mark_uncollectible = "marked_uncollectible uncollectible",
  mark_undeliverable = "undeliverable", pause = "paused", pay = "paid complete", post = "posted",
  reactivate = "reactivated active", redact = "redacted", reject = "rejected", release = "released", reopen = "open",
  resume = "resumed active", ["return"] = "returned", send_invoice = "sent", ship = "shipped",
  submit = "submitted succeeded", succeed = "succeeded", unarchive = "unarchived active", uninstall = "uninstalling",
  void = "voided void",
}

local OPPOSITES = { deactivated = "active", declined = "approved", unarchived = "archived" }

local FINAL = "accepted archived canceled closed complete completed delivered disconnected expired failed lost paid "
  .. "rejected released reversed succeeded undeliverable void won"
local UNDOING = "activate mark_undeliverable resume unarchive"

local function status_among(fields, words)
  for _, value in ipairs(fields.status and fields.status.values or {}) do
    if common.among(words, value) then return value end
  end
end

local function check_state(object, verb, status)
  local current = object.status
  local is_final = common.among(FINAL, tostring(current))
  if current ~= status and (not is_final or common.among(UNDOING, verb)) then return end
  common.refuse(("This %s cannot be changed by %s: its status is %s."):format(object.object, verb, current))
end

-- Sets what a field of a state's name says: that it came, that its opposite is over, when.
local function tell(call, object, changes, fields, word)
  local function is(of, name, kind) return name and of[name] ~= nil and of[name].kind == kind end
  local at, opposite, times = word .. "_at", OPPOSITES[word], fields.status_transitions
  if is(fields, word, "bool") then changes[word] = true end
  if is(fields, opposite, "bool") then changes[opposite] = false end
  if is(fields, at, "timestamp") then changes[at] = call:now() end
  if times and is(spec.fields(times), at, "timestamp") then
    local before = changes.status_transitions or object.status_transitions
    changes.status_transitions = common.changed(before, { [at] = call:now() })
  end
end

-- What params and the table say of an action: the changes, and the event that tells of one of the states, if any does.
local function infer(call, object)
  local fields, verb, event = spec.object(object.object).by_name, call.operation.name, nil
  while verb and not VERBS[verb] do verb = verb:match "^(.*)_[^_]*$" end -- "void_credit_note" → "void"
  local words = VERBS[verb] or ""
  local changes, status = call:asked(object), status_among(fields, words)
  if status then
    check_state(object, verb, status)
    changes.status = status
    if fields.cancelable then changes.cancelable = false end
  end
  for word in words:gmatch "%S+" do
    tell(call, object, changes, fields, word)
    event = event or events.name(object, word)
  end
  return changes, event
end

-- ---- What the table does not say

local function within(object, field, changes)
  return common.changed(given(object[field]) or shape.nested(spec.object(object.object).by_name[field]), changes)
end

local RULES = actions.rules

-- What is always so: the fields that change beside what was inferred, and the event where that is another.
local function always(operation, fields, event)
  RULES[operation] = function(_, _, changes)
    for name, value in pairs(fields) do changes[name] = value end
    return event
  end
end

always("climate.orders.cancel", { cancellation_reason = "requested" })
always("reviews.approve", { open = false, reason = "approved", closed_reason = "approved" }, "review.closed")
always("sources.verify", { status = "chargeable" }, "source.chargeable")
always("three_d_secure.authentications.submit", { outcome = "authenticated" })
always("issuing.authorizations.approve", { pending_request = null })
always("issuing.authorizations.decline", { pending_request = null })
always("crypto.onramp_sessions.checkout", { status = "fulfillment_processing" })

RULES["billing.credit_grants.expire"] = function(call, _, changes)
  changes.expires_at, changes.updated = call:now(), call:now()
end

RULES["identity.verification_sessions.redact"] = function(_, session, changes)
  changes.redaction = within(session, "redaction", { status = "redacted" })
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
      if feature == "transactions" then changes[field].id = call.store:new_id "fctxnref_" end
      event = event or "financial_connections.account.refreshed_" .. feature
    end
  end
  return event
end

local function subscribe(wanted)
  return function(call, account, changes)
    local features, kept = call.params.features, host.array {}
    for _, feature in ipairs(given(account.subscriptions) or {}) do
      if not common.contains(features, feature) then table.insert(kept, feature) end
    end
    for _, feature in ipairs(wanted and features or {}) do table.insert(kept, feature) end
    changes.subscriptions = kept
  end
end

RULES["financial_connections.accounts.subscribe"] = subscribe(true)
RULES["financial_connections.accounts.unsubscribe"] = subscribe(false)

-- ---- Issuing

-- Cards on their way: the rest of the card stays.
for name, status in pairs {
  deliver = "delivered", fail = "failure", ["return"] = "returned", ship = "shipped", submit = "submitted",
} do
  RULES["test_helpers.issuing.cards." .. name .. "_card"] = function(_, card, changes)
    common.refuse_if(not given(card.shipping),
      "Card %s is not shipped: its type is %s.", nil, nil, card.id, card.type)
    changes.shipping = within(card, "shipping", { status = status })
  end
end

RULES["test_helpers.issuing.authorizations.respond"] = function(call, _, changes)
  changes.verified_by_fraud_challenge = call.params.confirmed
end

-- ---- Billing

RULES["invoices.pay"] = function(_, invoice, changes)
  changes.amount_paid, changes.amount_remaining = invoice.amount_due, 0
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
  common.refuse_if(changes.frozen_time and changes.frozen_time < clock.frozen_time,
    "A test clock cannot go back in time.", "frozen_time")
  return "test_helpers.test_clock.ready"
end

-- ---- What is only shown

local function pdf(lines)
  local text = {}
  for i, line in ipairs(lines) do
    text[i] = ("(%s) '"):format(line:gsub("[\\()]", "\\%0"):gsub("[^\32-\126]", "?"))
  end
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
    if given(object[name]) then lines[#lines + 1] = name .. ": " .. tostring(object[name]) end
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
