--- The second generation of the API: JSON in, times as RFC 3339, `include` in place of `expand`, pages by address, thin
--- events, errors with types of their own. Objects are kept as those of v1 are; what is particular to one kind is at
--- the end.

local accounts = require "sandbox.flows.accounts"
local actions = require "sandbox.actions"
local deliveries = require "sandbox.deliveries"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local lists = require "sandbox.lists"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null, array = host.null, host.array

local v2 = {
  operations = {},
  creates = {}, -- [operation's id] = function(call) → the fields that a create sets beside its parameters
}

-- Beginnings of ids where the initials of the kind would not do.
local PREFIXES = {
  ["v2.billing.meter_event_adjustment"] = "mtradj_", ["v2.billing.meter_event_session"] = "mesess_",
  ["v2.commerce.product_catalog_import"] = "pcimprt_", ["v2.core.account_person_token"] = "perstok_",
  ["v2.core.account_token"] = "accttok_", ["v2.core.vault.gb_bank_account"] = "gbba_",
  ["v2.core.vault.us_bank_account"] = "usba_", ["v2.money_management.adjustment"] = "adj_",
  ["v2.money_management.financial_account"] = "fa_", ["v2.money_management.financial_address"] = "finaddr_",
  ["v2.money_management.inbound_transfer"] = "ibt_", ["v2.money_management.outbound_payment"] = "obp_",
  ["v2.money_management.outbound_setup_intent"] = "osi_", ["v2.money_management.payout_intent"] = "poi_",
  ["v2.money_management.payout_method"] = "pm_", ["v2.money_management.received_credit"] = "rc_",
  ["v2.money_management.recipient_verification"] = "recver_", ["v2.money_management.transaction"] = "trxn_",
  ["v2.money_management.transaction_entry"] = "trxne_",
}

-- ---- Time

--- Seconds as v2 writes them.
function v2.time(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S.000Z", seconds)
end

local function stamp(call, seconds) return v2.time(call:now() + (seconds or 0)) end

-- ---- Objects

-- Every time that an object must have and nobody gave is now.
local function set_times(call, object)
  for _, field in ipairs(spec.object(object.object).fields) do
    if field.format == "date-time" and object[field.name] == "" then object[field.name] = stamp(call) end
  end
end

--- A new object of a kind, with the call's parameters in its fields; not stored.
function v2.build(call, kind, fields)
  local object = generic.build(call, kind)
  for name, value in pairs(fields or {}) do object[name] = value end
  if object.id == "" then object.id = call.store:new_id(PREFIXES[object.object]
    or spec.object(object.object).id_prefix) end
  set_times(call, object)
  return object
end

local function parent_of(call)
  if #call.operation.ids == 0 then return nil end
  return call:target().id
end

--- Stores what was built and announces it.
function v2.keep(call, object)
  local parent = parent_of(call)
  call.store:insert(object, parent)
  events.of(call, object, "created")
  return object
end

local function create(call)
  local fields = v2.creates[call.operation.id]
  return v2.keep(call, v2.build(call, nil, fields and fields(call)))
end

local function update(call)
  local object = call:target()
  local changes = generic.merge(object, call.params)
  if next(changes) and object.updated then changes.updated = stamp(call) end
  return generic.apply(call, object, changes)
end

local function delete(call)
  local object = call:target()
  events.of(call, object, "deleted")
  call.store:delete(object)
  return { id = object.id, object = object.object }
end

-- ---- Events

local function url_of(call, object)
  local path, parent = spec.path(object.object), call.store:parent(object)
  return path and path:gsub("{[^}]*}$", object.id):gsub("{[^}]*}", parent or "") or null
end

--- Emits a thin event: what happened to which object, without the object.
function events.thin(call, type, object)
  local event = shape.new "v2.core.event"
  event.id, event.created, event.type = call.store:new_id "evt_", stamp(call), type
  event.related_object = { id = object.id, type = object.object, url = url_of(call, object) }
  if call.request_id then
    event.reason = { type = "request", request = { id = call.request_id, idempotency_key = call.key or null } }
  end
  if call.account_header then event.context = call.account end
  if spec.event(type).data and object.account then event.data = { account_id = object.account } end
  call.store:insert(event)
  deliveries.queue(call, event)
  return event
end

-- ---- Lists

local function one_of(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

local function holds(value, wanted)
  if type(value) ~= "table" then return value == wanted end
  for _, part in pairs(value) do
    if part == wanted or type(part) == "table" and holds(part, wanted) then return true end
  end
  return false
end

-- Times compare as their texts do, to the second; a number is a time in seconds.
local function bound(operator)
  local compare = ({
    gt = function(a, b) return a > b end, gte = function(a, b) return a >= b end,
    lt = function(a, b) return a < b end, lte = function(a, b) return a <= b end,
  })[operator]
  return function(value)
    local limit = (type(value) == "number" and v2.time(value) or value):sub(1, 19)
    return function(object) return compare(object.created:sub(1, 19), limit) end
  end
end

-- What the parameters of lists ask of an object, where the field of that name does not answer it.
local ASKS = {
  created_gt = bound "gt", created_gte = bound "gte", created_lt = bound "lt", created_lte = bound "lte",
  applied_configurations = function(wanted)
    return function(object)
      for _, name in ipairs(wanted) do
        if one_of(object.applied_configurations, name) then return true end
      end
      return false
    end
  end,
  closed = function(wanted) return function(object) return (object.closed or false) == wanted end end,
  object_id = function(id) return function(event) return event.related_object and event.related_object.id == id end end,
  recipient = function(id) return function(payment) return payment.to.recipient == id end end,
  statuses = function(wanted) return function(object) return one_of(wanted, object.status) end end,
  types = function(wanted) return function(event) return one_of(wanted, event.type) end end,
  verification_status = function(wanted) return function(account) return account.verification.status == wanted end end,
}

function ASKS.created(wanted)
  local range, tests = type(wanted) == "table" and wanted or { gte = wanted, lte = wanted }, {}
  for operator, value in pairs(range) do tests[#tests + 1] = bound(operator)(value) end
  return function(object)
    for _, test in ipairs(tests) do
      if not test(object) then return false end
    end
    return true
  end
end

-- usage_status: for payments and for transfers, the words that will do.
function ASKS.usage_status(wanted)
  return function(method)
    for name, words in pairs(wanted) do
      local has = method.usage_status[name]
      if words ~= has and not (type(words) == "table" and one_of(words, has)) then return false end
    end
    return true
  end
end

local function ask(name, wanted)
  if ASKS[name] then return ASKS[name](wanted) end
  return function(object)
    local value = object[name]
    return type(wanted) == "table" and one_of(wanted, value) or holds(value, wanted)
  end
end

local NO_FILTER = { limit = true, page = true, include = true }

-- A page's token: on which side of which row it lies.
local function read_token(page, query)
  local side, number = page:match "^([ab])(%x+)$"
  if not side then error(errors.invalid { message = ("Invalid page: '%s'."):format(page), param = "page" }) end
  query[side == "a" and "after" or "before"] = tonumber(number, 16)
end

local function add_param(parts, name, value)
  if type(value) ~= "table" then
    local text = tostring(value):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end)
    parts[#parts + 1] = name .. "=" .. text
    return
  end
  for key, part in pairs(value) do
    add_param(parts, ("%s[%s]"):format(name, host.is_array(value) and key - 1 or key), part)
  end
end

local function address(call, side, object)
  local parts = {}
  for name, value in pairs(call.params) do
    if name ~= "page" then add_param(parts, name, value) end
  end
  table.sort(parts)
  parts[#parts + 1] = ("page=%s%x"):format(side, call.store:number(object))
  return call.path .. "?" .. table.concat(parts, "&")
end

local function list(call)
  local params = call.params
  local query = { kinds = { call.operation.object }, filters = { parent = parent_of(call) }, tests = {} }
  query.limit = lists.limit(params.limit)
  for name, value in pairs(params) do
    if not NO_FILTER[name] and value ~= null then query.tests[#query.tests + 1] = ask(name, value) end
  end
  if params.page then read_token(params.page, query) end
  local objects, more = lists.page(call.store, query)
  local first, last = objects[1], objects[#objects]
  local older, newer = query.before and true or more, query.after and true or query.before and more
  return {
    data = objects, is_page = true,
    next_page_url = last and older and address(call, "a", last) or null,
    previous_page_url = first and newer and address(call, "b", first) or null,
  }
end

-- ---- Showing

-- Where a kind's `include` says so, fields are hidden until it names them: {kind = {"identity", ...}}.
local HIDDEN = {
  ["v2.core.account"] = "v2.core.accounts.create",
  ["v2.core.event_destination"] = "v2.core.event_destinations.create",
  ["v2.money_management.financial_account"] = "v2.money_management.financial_accounts.retrieve",
}

local function without(object, path)
  local name, rest = path:match "^([^.]+)%.?(.*)$"
  if type(object[name]) ~= "table" and object[name] == nil then return object end
  local copy = {}
  for key, value in pairs(object) do copy[key] = value end
  copy[name] = nil
  if rest ~= "" then
    local inner = without(object[name], rest)
    if next(inner) ~= nil then copy[name] = inner end
  end
  return copy
end

local function show(object, included)
  local operation = HIDDEN[object.object]
  if not operation then return object end
  for _, path in ipairs(spec.operation(operation).by_name.include.of.values) do
    if not one_of(included, path) then object = without(object, path) end
  end
  return object
end

--- What an operation returned, as its reply shows it.
function v2.render(call, result)
  local included = call.params.include or {}
  if not result.is_page then return show(result, included) end
  local data = array {}
  for i, object in ipairs(result.data) do data[i] = show(object, included) end
  return { data = data, next_page_url = result.next_page_url, previous_page_url = result.previous_page_url }
end

--- The reply of an error: v2 says `invalid_fields` of parameters and `not_found` of ids.
function v2.failure(err)
  local fields = err.fields
  if fields.code == "resource_missing" and err.status == 404 then
    fields.code, fields.param, fields.doc_url = "not_found", nil, nil
  elseif fields.type == "invalid_request_error" and fields.param then
    fields.type = "invalid_fields"
  end
  return errors.reply(err, function(object) return object end)
end

local named = { create = create, retrieve = generic.retrieve, update = update, delete = delete }

--- What carries an operation out.
function v2.handler(operation)
  return v2.operations[operation.id] or v2.creates[operation.id] and create or operation.kind == "v2_list" and list
    or named[operation.name] or actions.run
end

-- ---- What single kinds do

local own, creates = v2.operations, v2.creates

local function refuse(type, message)
  error(errors.new(400, type, { code = type, message = message }))
end

-- A list of the account's configurations follows from what they hold.
local function settle(fields)
  if not fields.configuration then return fields end
  fields.applied_configurations = array {}
  for name, part in pairs(fields.configuration) do
    part.applied = true
    table.insert(fields.applied_configurations, name)
  end
  table.sort(fields.applied_configurations)
  return fields
end

-- The same account is one of v1's, so that Stripe-Account and /v1/accounts find it.
own["v2.core.accounts.create"] = function(call)
  local params = { controller = {}, email = call.params.contact_email }
  local as_v1 = setmetatable({ params = params, operation = spec.operation "accounts.create" }, { __index = call })
  local twin = accounts.operations["accounts.create"](as_v1)
  local account = settle(v2.build(call, nil, { id = twin.id }))
  account.requirements, account.future_requirements = { entries = array {} }, { entries = array {} }
  return v2.keep(call, account)
end

own["v2.core.accounts.update"] = function(call)
  local account = call:target()
  return generic.apply(call, account, settle(generic.merge(account, call.params)))
end

own["v2.core.accounts.close"] = function(call)
  local account = call:target()
  if account.closed then refuse("cannot_proceed", "This account is closed already.") end
  local changes = { closed = true, applied_configurations = array {} }
  return generic.apply(call, account, changes, "v2.core.account.closed")
end

creates["v2.core.accounts.persons.create"] = function(call) return { account = call:target().id } end

local function token(call) return { expires_at = stamp(call, 1800) } end

creates["v2.core.account_tokens.create"] = token
creates["v2.core.accounts.person_tokens.create"] = token

-- A link is followed, never retrieved: it has no id.
own["v2.core.account_links.create"] = function(call)
  local link = v2.build(call, nil, { id = false, expires_at = stamp(call, 300) })
  link.id, link.url = nil, "https://accounts.stripe.com/setup/s/" .. host.id(24)
  return link
end

own["v2.core.event_destinations.create"] = function(call)
  local type = call.params.type
  if not call.params[type] then error(errors.parameter_missing(type)) end
  local destination = v2.build(call)
  destination.status = "enabled"
  if type == "webhook_endpoint" then destination.webhook_endpoint.signing_secret = "whsec_" .. host.id(32) end
  if destination.event_payload == "snapshot" then
    destination.snapshot_api_version = destination.snapshot_api_version or spec.version
  end
  return v2.keep(call, destination)
end

own["v2.core.event_destinations.ping"] = function(call)
  return events.thin(call, "v2.core.event_destination.ping", call:target())
end

local function turn(status, details)
  return function(call)
    return generic.apply(call, call:target(), { status = status, status_details = details, updated = stamp(call) })
  end
end

own["v2.core.event_destinations.disable"] = turn("disabled", { disabled = { reason = "user" } })
own["v2.core.event_destinations.enable"] = turn("enabled", {})

creates["v2.commerce.product_catalog.imports.create"] = function(call)
  local url = "https://stripeusercontent.com/files/upload/" .. host.id(24)
  return { status_details = { awaiting_upload = { upload_url = { url = url, expires_at = stamp(call, 300) } } } }
end

-- ---- Meter events

local SESSION = 15 * 60

-- The token holds the account and the time of its end, so that whoever has it needs no other key.
creates["v2.billing.meter_event_session.create"] = function(call)
  local authentication = ("mes_test_%s_%x_%s"):format(call.account, call:now() + SESSION, host.id(24))
  return { expires_at = stamp(call, SESSION), authentication_token = authentication }
end

-- Meter events have no id: nobody can ask for one, and none is kept.
own["v2.billing.meter_events.create"] = function(call)
  local event = v2.build(call)
  if event.identifier == "" then event.identifier = host.id(32) end
  return event
end

-- The stream is answered with nothing.
own["v2.billing.meter_event_stream.create"] = function(call)
  local ends = tostring(call.headers.authorization):match "mes_test_acct_%w+_(%x+)_"
  if ends and tonumber(ends, 16) <= call:now() then
    refuse("temporary_session_expired", "The session of this token has ended. Create another one.")
  end
  return { binary = "" }
end

-- ---- Bank accounts

local function bank_account(call)
  local number = call.params.account_number or call.params.iban or ""
  return {
    last4 = number:sub(-4), bank_name = "STRIPE TEST BANK", supported_currencies = array { call.params.currency },
    verification = call.operation.object:find "us_bank" and { status = "unverified" } or nil,
  }
end

creates["v2.core.vault.us_bank_accounts.create"] = bank_account
creates["v2.core.vault.gb_bank_accounts.create"] = bank_account

own["v2.core.vault.us_bank_accounts.send_microdeposits"] = function(call)
  local details = { expires = stamp(call, 10 * 86400), microdeposit_type = "amounts", sent = stamp(call) }
  return generic.apply(call, call:target(), {
    verification = { status = "awaiting_verification", microdeposit_verification_details = details },
  })
end

own["v2.core.vault.us_bank_accounts.confirm_microdeposits"] = function(call)
  local account, amounts, code = call:target(), call.params.amounts, call.params.descriptor_code
  if account.verification.status ~= "awaiting_verification" then
    refuse("verification_not_initiated", "No microdeposits have been sent to this bank account.")
  end
  if amounts and (amounts[1] ~= 32 or amounts[2] ~= 45) or code and code ~= "SM11AA" then
    refuse("verification_attempt_failed", "These are not the microdeposits that were sent: 32 and 45, or SM11AA.")
  end
  return generic.apply(call, account, { verification = { status = "verified" } })
end

-- ---- Money

-- Moves the target to a state, from those that allow it; `wrong` is the type of the error otherwise.
local function move(status, from, wrong)
  return function(call)
    local object = call:target()
    if object.status == status and status == "canceled" then refuse("already_canceled", "It is canceled already.") end
    if from and not one_of(from, object.status) then
      refuse(wrong, ("It cannot become %s: its status is %s."):format(status, object.status))
    end
    local changes = { status = status, status_transitions = host.copy(object.status_transitions or {}) }
    changes.status_transitions[status .. "_at"] = stamp(call)
    if object.cancelable then changes.cancelable = false end
    return generic.apply(call, object, changes, ("%s.%s"):format(object.object, status))
  end
end

own["v2.money_management.outbound_payments.cancel"] = move("canceled", { "processing" }, "not_cancelable")
own["v2.money_management.payout_intents.cancel"] = move("canceled", { "pending", "requires_action" }, "not_cancelable")
own["v2.money_management.payout_intents.confirm"] = move("processing", { "requires_action" }, "cannot_proceed")
own["v2.money_management.recipient_verifications.acknowledge"] = move "acknowledged"

creates["v2.money_management.outbound_payments.create"] = function(call)
  local params = call.params
  return {
    expected_arrival_date = stamp(call, 2 * 86400):sub(1, 10),
    from = { debited = params.amount, financial_account = params.from.financial_account },
    to = { credited = params.amount, payout_method = params.to.payout_method, recipient = params.to.recipient },
    recipient_notification = params.recipient_notification or { setting = "none" },
  }
end

creates["v2.money_management.inbound_transfers.create"] = function(call)
  local params = call.params
  return {
    from = { debited = params.amount, payment_method = { type = "us_bank_account",
      us_bank_account = params.from.payment_method } },
    to = { credited = params.amount, financial_account = params.to.financial_account },
    transfer_history = array { {
      id = call.store:new_id "ibthist_", created = stamp(call), effective_at = stamp(call),
        type = "bank_debit_processing",
    } },
  }
end

creates["v2.money_management.payout_intents.create"] = function(call)
  if call.params.confirmation_method ~= "manual" then return {} end
  return { status = "requires_action", next_action = { type = "confirm" } }
end

-- A quote, and a verification, are fresh whenever they are asked for.
local function unchanged(call) return call:target() end

own["v2.money_management.payout_intents.refresh_fx_quote"] = unchanged
own["v2.money_management.payout_intents.refresh_recipient_verification"] = unchanged

creates["v2.money_management.outbound_setup_intents.create"] = function(call)
  return { status = (call.params.payout_method or call.params.payout_method_data) and "succeeded" or nil }
end

creates["v2.money_management.financial_addresses.create"] = function(call)
  return { settlement_currency = (call.params.bank_account or {}).currency or "usd" }
end

own["v2.money_management.test_helpers.financial_addresses.credit"] = function(call)
  local target, amount = call:target(), call.params.amount
  local credit = v2.build(call, "v2.money_management.received_credit", {
    amount = amount, amount_received = amount, financial_account = target.financial_account, status = "succeeded",
    type = "bank_transfer", status_transitions = { succeeded_at = stamp(call) },
  })
  call.store:insert(credit)
  events.emit(call, "v2.money_management.received_credit.succeeded", credit)
  local simulation = shape.new(call.operation.object)
  simulation.status = "succeeded"
  return simulation
end

local function verification(call)
  local match = call.params.match_result or "match"
  return {
    match_result = match, status = match == "match" and "verified" or "awaiting_acknowledgement",
    match_result_details = { message = "The name given and that of the account: " .. match, provided_name = "" },
  }
end

creates["v2.money_management.recipient_verifications.create"] = verification
creates["v2.test_helpers.money_management.recipient_verifications"] = verification

own["v2.money_management.transactions.refresh_regulatory_receipt"] = function(call)
  return generic.apply(call, call:target(), { regulatory_receipt = { status = "available" } })
end

own["v2.money_management.payout_methods_bank_account_spec.retrieve"] = function(call)
  local answer = shape.new(call.operation.object)
  for _, country in ipairs(call.params.countries or { "US" }) do answer.countries[country] = { fields = array {} } end
  return answer
end

return v2
