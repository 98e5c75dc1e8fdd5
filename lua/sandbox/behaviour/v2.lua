--- The second generation of the API: JSON in, times as RFC 3339, `include` in place of `expand`, pages by address, thin
--- events, errors with types of their own. Objects are kept as those of v1 are; what is particular to one kind is at
--- the end.

local accounts = require "sandbox.flows.accounts"
local actions = require "sandbox.actions"
local common = require "sandbox.flows.common"
local deliveries = require "sandbox.deliveries"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local fixtures = require "sandbox.fixtures"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local lists = require "sandbox.lists"
local meters = require "sandbox.flows.meters"
local spec = require "sandbox.spec"

local null, array, contains = host.null, host.array, common.contains

local v2 = {
  operations = {},
  creates = {}, -- [operation's id] = function(call) → the fields that a create sets beside its parameters
}

--- Seconds as v2 writes them.
function v2.time(seconds) return os.date("!%Y-%m-%dT%H:%M:%S.000Z", seconds) end

--- The seconds of such a time, of UTC.
function v2.seconds(time)
  local year, month, day, hour, min, sec = time:match "^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)"
  if not year then return nil end
  local here = os.time { year = year, month = month, day = day, hour = hour, min = min, sec = sec, isdst = false }
  return here + (here - os.time(os.date("!*t", here)))
end

local function stamp(call, seconds) return v2.time(call:now() + (seconds or 0)) end

-- ---- Objects

-- A new object of a kind, with the call's parameters in its fields; every time that nobody gave is now. Not stored.
local function build(call, kind, fields)
  local object = generic.build(call, kind)
  for name, value in pairs(fields or {}) do object[name] = value end
  for _, field in ipairs(spec.object(object.object).fields) do
    if field.format == "date-time" and object[field.name] == "" then object[field.name] = stamp(call) end
  end
  return object
end

local function parent_of(call) return #call.operation.ids > 0 and call:target().id or nil end

local function create(call)
  local fields = v2.creates[call.operation.id]
  return call:keep(build(call, nil, fields and fields(call)), parent_of(call))
end

local function update(call)
  local object = call:target()
  local changes = call:asked(object)
  if next(changes) and object.updated then changes.updated = stamp(call) end
  return call:apply(object, changes)
end

local function delete(call)
  local object = call:target()
  events.of(call, object, "deleted")
  call.store:delete(object)
  return { id = object.id, object = object.object }
end

-- ---- Events

--- Emits a thin event: what happened to which object, without the object.
function events.thin(call, type, object)
  local path, parent = spec.path(object.object), call.store:parent(object) or ""
  local url = path and path:gsub("{[^}]*}$", object.id):gsub("{[^}]*}", parent) or null
  local event = call:new("v2.core.event", {
    id = call.store:new_id "evt_", created = stamp(call), type = type,
    context = call.account_header and call.account or nil,
    related_object = { id = object.id, type = object.object, url = url },
    data = spec.event(type).data and object.account and { account_id = object.account } or nil,
  })
  if call.request_id then
    event.reason = { type = "request", request = { id = call.request_id, idempotency_key = call.key or null } }
  end
  call.store:insert(event)
  deliveries.queue(call, event)
  return event
end

-- ---- Lists

local function holds(value, wanted)
  if type(value) ~= "table" then return value == wanted end
  for _, part in pairs(value) do
    if part == wanted or type(part) == "table" and holds(part, wanted) then return true end
  end
  return false
end

local COMPARE = {
  gt = function(a, b) return a > b end, gte = function(a, b) return a >= b end,
  lt = function(a, b) return a < b end, lte = function(a, b) return a <= b end,
}

-- Whether an object was created within a range. Times compare as their texts do, to the second; a number is a time in
-- seconds.
local function is_created(object, range)
  for operator, value in pairs(type(range) == "table" and range or { gte = range, lte = range }) do
    local limit = type(value) == "number" and v2.time(value) or value
    if not COMPARE[operator](object.created:sub(1, 19), limit:sub(1, 19)) then return false end
  end
  return true
end

-- Fields that parameters of lists ask about under another name.
local ASKED = {
  object_id = "related_object", recipient = "to", statuses = "status", types = "type",
  verification_status = "verification",
}

-- Whether a value is, or holds, what is wanted: one of a list, all of a map.
local function fits(value, wanted)
  if type(wanted) ~= "table" then return holds(value, wanted) end
  local is_list = host.is_array(wanted)
  for key, part in pairs(wanted) do
    local fit
    if is_list then fit = holds(value, part) else fit = type(value) == "table" and fits(value[key], part) end
    if fit == is_list then return is_list end
  end
  return not is_list
end

local function ask(name, wanted)
  local operator = name:match "^created_(%a+)$"
  if operator then wanted = { [operator] = wanted } end
  return function(object)
    if operator or name == "created" then return is_created(object, wanted) end
    return fits(object[ASKED[name] or name] or false, wanted)
  end
end

-- A page's address; its token tells on which side of which row it lies.
local function address(call, side, object)
  local params = common.changed(call.params, { page = ("%s%x"):format(side, call.store:number(object)) })
  return call.path .. "?" .. fixtures.form(params)
end

local function list(call)
  local params = call.params
  local query = { kinds = { call.operation.object }, filters = { parent = parent_of(call) }, tests = {} }
  query.limit = lists.limit(params.limit)
  for name, value in pairs(params) do
    local is_filter = value ~= null and not common.among("limit page include", name)
    if is_filter then table.insert(query.tests, ask(name, value)) end
  end
  if params.page then
    local side, number = params.page:match "^([ab])(%x+)$"
    common.refuse_if(not side, "Invalid page: '%s'.", "page", nil, params.page)
    query[side == "a" and "after" or "before"] = tonumber(number, 16)
  end
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

-- Where a kind's `include` says so, fields are hidden until it names them.
local HIDDEN = {
  ["v2.core.account"] = "v2.core.accounts.create",
  ["v2.core.event_destination"] = "v2.core.event_destinations.create",
  ["v2.money_management.financial_account"] = "v2.money_management.financial_accounts.retrieve",
}

local function without(object, path)
  local name, rest = path:match "^([^.]+)%.?(.*)$"
  if object[name] == nil then return object end
  local inner = rest ~= "" and without(object[name], rest)
  local copy = host.fields(object)
  copy[name] = inner and next(inner) ~= nil and inner or nil
  return copy
end

local function show(object, included)
  local operation = HIDDEN[object.object]
  for _, path in ipairs(operation and spec.operation(operation).by_name.include.of.values or {}) do
    if not contains(included, path) then object = without(object, path) end
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
  return errors.reply(err)
end

local named = { create = create, retrieve = generic.retrieve, update = update, delete = delete }

function v2.handler(operation)
  return v2.operations[operation.id] or v2.creates[operation.id] and create or operation.kind == "v2_list" and list
    or named[operation.name] or actions.run
end

-- ---- What single kinds do

local own, creates = v2.operations, v2.creates

local function refuse_if(wrong, type, message)
  if wrong then error(errors.new(400, type, { code = type, message = message })) end
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
  local twin = accounts.operations["accounts.create"](common.with(call, params, spec.operation "accounts.create"))
  local account = settle(build(call, nil, { id = twin.id }))
  account.requirements, account.future_requirements = { entries = array {} }, { entries = array {} }
  return call:keep(account)
end

own["v2.core.accounts.update"] = function(call)
  local account = call:target()
  return call:apply(account, settle(call:asked(account)))
end

own["v2.core.accounts.close"] = function(call)
  local account = call:target()
  refuse_if(account.closed, "cannot_proceed", "This account is closed already.")
  return call:apply(account, { closed = true, applied_configurations = array {} }, "v2.core.account.closed")
end

creates["v2.core.accounts.persons.create"] = function(call) return { account = call:target().id } end

local function token(call) return { expires_at = stamp(call, 1800) } end

creates["v2.core.account_tokens.create"] = token
creates["v2.core.accounts.person_tokens.create"] = token

-- A link is followed, never retrieved: it has no id.
own["v2.core.account_links.create"] = function(call)
  local url = "https://accounts.stripe.com/setup/s/" .. host.id(24)
  return build(call, nil, { id = nil, url = url, expires_at = stamp(call, 300) })
end

own["v2.core.event_destinations.create"] = function(call)
  local type = call.params.type
  common.need(call.params, type)
  local destination = build(call, nil, { status = "enabled" })
  if type == "webhook_endpoint" then destination.webhook_endpoint.signing_secret = "whsec_" .. host.id(32) end
  if destination.event_payload == "snapshot" then
    destination.snapshot_api_version = destination.snapshot_api_version or spec.version
  end
  return call:keep(destination)
end

own["v2.core.event_destinations.ping"] = function(call)
  return events.thin(call, "v2.core.event_destination.ping", call:target())
end

local function turn(status, details)
  return function(call)
    return call:apply(call:target(), { status = status, status_details = details, updated = stamp(call) })
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

local function keep(call, told)
  local times = {}
  for i, event in ipairs(told) do
    times[i] = event.timestamp and v2.seconds(event.timestamp)
    refuse_if(event.timestamp and not times[i], "invalid_fields", "timestamp must be a time as in RFC 3339.")
  end
  for i, event in ipairs(told) do meters.keep(call, event, times[i]) end
end

-- Meter events have no id: nobody can ask for one.
own["v2.billing.meter_events.create"] = function(call)
  local event = build(call)
  if event.identifier == "" then event.identifier = host.id(32) end
  keep(call, { event })
  return event
end

-- The stream is answered with nothing.
own["v2.billing.meter_event_stream.create"] = function(call)
  local ends = tostring(call.headers.authorization):match "mes_test_acct_%w+_(%x+)_"
  refuse_if(ends and tonumber(ends, 16) <= call:now(),
    "temporary_session_expired", "The session of this token has ended. Create another one.")
  keep(call, call.params.events)
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

-- ---- Money

own["v2.money_management.outbound_payments.cancel"] = function(call)
  local payment = call:target()
  refuse_if(payment.status == "canceled", "already_canceled", "It is canceled already.")
  refuse_if(payment.status ~= "processing", "not_cancelable", ("It is %s: too late."):format(payment.status))
  return call:apply(payment, {
    status = "canceled", cancelable = false, status_transitions = { canceled_at = stamp(call) },
  }, "v2.money_management.outbound_payment.canceled")
end

return v2
