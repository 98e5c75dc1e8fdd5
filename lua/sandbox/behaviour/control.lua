--- Control: what is asked of the sandbox itself, under /_sandbox/. Each row of `routes` says what a request takes, in
--- the types of the API's own table, so that a wrong one gets the same kind of 400; docs/sandbox.md describes them.

local accounts = require "sandbox.accounts"
local calls = require "sandbox.call"
local cards = require "sandbox.cards"
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local deliveries = require "sandbox.deliveries"
local errors = require "sandbox.errors"
local faults = require "sandbox.faults"
local fixtures = require "sandbox.fixtures"
local flows = require "sandbox.flows"
local host = require "sandbox.host"
local params = require "sandbox.params"
local render = require "sandbox.render"
local requestlog = require "sandbox.requestlog"
local snapshot = require "sandbox.snapshot"
local spec = require "sandbox.spec"

local refuse = common.refuse

local control = {}

local PREFIX = "/_sandbox"
local KEY = "sk_test_sandbox" -- whose account is meant when a request has no key

-- ---- Types of parameters ----

local text, bool, any = { kind = "string" }, { kind = "bool" }, { kind = "any" }
local texts, map = { kind = "array", of = text }, { kind = "map", of = { kind = "any", nullable = true } }

local function int(least, most) return { kind = "int", least = least, most = most } end

local function number(least, most) return { kind = "number", least = least, most = most } end

local function either(...) return { kind = "union", any = { ... } } end

-- The type of an object with these fields; a name that ends in "!" is required.
local function object(types)
  local t = { kind = "object", fields = {} }
  for name, of in pairs(types) do
    local field = { name = (name:gsub("!$", "")), required = name:find "!$" and true or nil }
    for key, value in pairs(of) do field[key] = value end
    t.fields[#t.fields + 1] = field
  end
  table.sort(t.fields, function(a, b) return a.name < b.name end)
  return t
end

local function missing(what, id, param) error(errors.missing(what, id, param, 404)) end

-- Raises the 400 for the first number in `given` that is out of its type's bounds.
local function check_bounds(given, t, inside)
  for _, field in ipairs(t.fields) do
    local value, param = given[field.name], inside and inside .. "[" .. field.name .. "]" or field.name
    if value and field.least and (value < field.least or value > (field.most or math.huge)) then
      local bounds = field.most and ("from %s to %s"):format(field.least, field.most) or field.least .. " or more"
      refuse(("Invalid %s: %s. It must be %s."):format(param, value, bounds), param)
    end
    if value and field.kind == "object" then check_bounds(value, field, param) end
  end
end

local function list_of(data) return { object = "list", data = data } end

-- ---- State ----

local function reset(box)
  box:reset()
  box.log, box.failure = requestlog.new(), nil
  return { reset = true }
end

-- As it is; or, for clients that would parse it, as a text in JSON.
local function take_snapshot(box, given)
  local taken = snapshot.take(box)
  if given.text then return { snapshot = taken } end
  return nil, { status = 200, body = taken }
end

local function keep_snapshot(box, given)
  local taken = snapshot.take(box)
  box.snapshots = box.snapshots or {}
  box.snapshots[given.name] = taken
  return { name = given.name, bytes = #taken }
end

local function restore(box, given, _, request)
  local kept = given.snapshot or request.body or ""
  if given.name then
    kept = box.snapshots and box.snapshots[given.name]
    if not kept then refuse(("There is no snapshot named '%s'."):format(given.name), "name") end
  end
  local ok, why = snapshot.restore(box, tostring(kept))
  if not ok then refuse("This is not a snapshot: " .. why .. ".") end
  return { restored = true }
end

local function seed(box, given, _, request)
  local file, why = host.decode(tostring(given.file or request.body or ""))
  if not file then refuse("A fixture file is JSON: " .. why .. ".") end
  return fixtures.run(box, file, request.headers.authorization or "Bearer " .. KEY)
end

-- ---- Clock ----

local MOST_TIME = 253402300799 -- the end of the year 9999

local moves = { set = int(0, MOST_TIME), advance = int(0, MOST_TIME), real = bool }

local function move_clock(box, given)
  local how = common.one_of(given, { "set", "advance", "real" })
  if not how then refuse("Give one of set (a time), advance (seconds) and real (true).") end
  clock[how](box, given[how])
  return clock.show(box)
end

-- ---- Faults ----

local MOST_DELAY = 3600

local actions = {
  "status", "decline", "drop_before", "drop_after_commit", "reset", "truncate_at", "slow", "bad_json", "html_502",
}

local rule = {
  match = object { method = text, path = text, operation = text, key = text, nth = int(1) },
  ["do!"] = object {
    status = int(400, 599), decline = either(bool, text), delay = number(0, MOST_DELAY), drop_before = bool,
    drop_after_commit = bool, reset = either({ kind = "enum", values = { "after_commit" } }, bool),
    truncate_at = int(0), slow = number(1), bad_json = bool, html_502 = bool,
  },
  count = int(1),
  probability = number(0, 1),
}

local function add_fault(box, given)
  local match, what = given.match or {}, given["do"]
  local action = common.one_of(what, actions, "do")
  if not action and not what.delay then
    refuse(("do must name a fault: delay, %s."):format(table.concat(actions, ", ")), "do")
  end
  if match.operation and not spec.operation(match.operation) then
    refuse(("There is no operation '%s'."):format(match.operation), "match[operation]")
  end
  if what.decline == true then what.decline = "generic_decline" end
  if what.decline and not common.contains(cards.declines(), what.decline) then
    refuse(("Invalid do[decline]: must be one of %s"):format(table.concat(cards.declines(), ", ")), "do[decline]")
  end
  return faults.add(box, { match = match, ["do"] = what, count = given.count, probability = given.probability })
end

local function remove_fault(box, _, ids)
  if faults.remove(box, ids[1]) == 0 then missing("fault", ids[1], "id") end
  return { id = ids[1], deleted = true }
end

local function set_latency(box, given)
  local min = given.min or 0
  if given.max and given.max < min then refuse("max must be min or more.", "max") end
  faults.set_latency(box, min, given.max or min)
  return box.state.faults.latency
end

local function set_rate_limit(box, given)
  faults.set_rate_limit(box, given.rate or faults.RATE)
  return { rate = box.state.faults.rate_limit }
end

-- What sets something without params, and answers with this.
local function plain(change, answer)
  return function(box)
    change(box)
    return answer
  end
end

-- ---- Requests ----

local function find_requests(box, given)
  local limit = given.limit
  given.limit = nil
  return list_of(requestlog.find(box, given, limit))
end

-- ---- Webhooks ----

local function check_event(kind, param)
  if kind and kind ~= "*" and not spec.event(kind) then refuse(("There is no event '%s'."):format(kind), param) end
end

local function pull(box, given)
  local listener = deliveries.listener(box, given.listener or "default")
  if not listener then error(errors.missing("listener", given.listener, "listener")) end
  local page = list_of(given.peek and host.array {} or deliveries.pull(box, listener, given.limit or 100))
  page.secret = listener.secret
  return page
end

local function listen(box, given)
  for _, kind in ipairs(given.enabled_events or {}) do check_event(kind, "enabled_events") end
  return deliveries.listen(box, given.enabled_events)
end

local function unlisten(box, _, ids)
  if ids[1] == "default" or not deliveries.listener(box, ids[1]) then missing("listener", ids[1], "id") end
  deliveries.unlisten(box, ids[1])
  return { id = ids[1], deleted = true }
end

local function reply_with(value)
  return { status = 200, headers = { ["Content-Type"] = "application/json" }, body = host.encode(value, true) }
end

local function flush(box)
  box.flushes = (box.flushes or 0) + 1
  local key = "flush " .. box.flushes
  return deliveries.flush(box, key, reply_with), { wait = key, status = 200 }
end

local function on_pending(change) return function(box, given) return { count = change(box, given) } end end

local function resend(box, given)
  local count = deliveries.resend(box, given.event, given.destination)
  if count == 0 then refuse("Nothing of this event was ever to be delivered there.", "event") end
  return { count = count }
end

-- ---- Objects ----

-- A call of the account that the request's key and Stripe-Account name; of the sandbox's own key without one.
local function call_of(box, request)
  local headers = request.headers
  local key = headers.authorization and request or { headers = { authorization = "Bearer " .. KEY } }
  local _, platform = accounts.authenticate(key)
  return calls.new(box, accounts.acting(box, platform, headers["stripe-account"]), platform)
end

local function run_helper(box, given, ids, request)
  local helper, call, id = flows.helpers[ids[1]], call_of(box, request), given.id
  if not helper then missing("helper", ids[1]) end
  if type(id) ~= "string" then error(errors.parameter_missing "id") end
  given.id = nil
  return render.object(call, helper(call, id, given), {})
end

-- Sets fields of an object as they are, whatever the API would allow; the types are checked.
local function move_object(box, given, ids, request)
  local call, kind = call_of(box, request), spec.object(ids[1]) or missing("kind of object", ids[1])
  local found = call.store:get(ids[1], ids[2]) or missing(ids[1], ids[2], "id")
  check_event(given.event, "event")
  local typed = params.read({ by_name = kind.by_name, required = {} }, given.set)
  for _, name in ipairs { "id", "object" } do
    if typed[name] ~= nil then refuse(("%s cannot be set."):format(name), "set[" .. name .. "]") end
  end
  return render.object(call, call:apply(found, typed, given.event), {})
end

-- ---- Routes ----

local asked_of_requests = {
  method = text, path = text, status = int(0), operation = text, account = text, key = text, fault = text,
  limit = int(1),
}
local pending = { destination = text, type = text, event = text }

local gone = { deleted = true }

-- Method, path, parameters, what is done: function(box, given, ids, request) → a value, or nil and a reply. A body that
-- has a field named `whole` is left to that function.
local routes = {
  { "POST", "reset", {}, reset },
  { "GET", "snapshot", { text = bool }, take_snapshot },
  { "POST", "snapshot", { ["name!"] = text }, keep_snapshot },
  { "POST", "restore", { name = text, snapshot = any }, restore, whole = "pinstripe_snapshot" },
  { "POST", "seed", { file = any }, seed, whole = "fixtures" },
  { "GET", "clock", {}, clock.show },
  { "POST", "clock", moves, move_clock },
  { "GET", "faults", {}, function(box) return list_of(box.state.faults.rules) end },
  { "POST", "faults", rule, add_fault },
  { "DELETE", "faults", {}, function(box) return { count = faults.remove(box) } end },
  { "DELETE", "faults/{id}", {}, remove_fault },
  { "POST", "latency", { min = number(0, MOST_DELAY), max = number(0, MOST_DELAY) }, set_latency },
  { "DELETE", "latency", {}, plain(faults.set_latency, gone) },
  { "POST", "rate_limit", { rate = number(1) }, set_rate_limit },
  { "DELETE", "rate_limit", {}, plain(faults.set_rate_limit, gone) },
  { "GET", "requests", asked_of_requests, find_requests },
  { "DELETE", "requests", {}, plain(function(box) box.log = requestlog.new() end, gone) },
  { "GET", "webhooks", { listener = text, limit = int(1), peek = bool }, pull },
  { "POST", "webhooks", { enabled_events = texts }, listen },
  { "DELETE", "webhooks/{id}", {}, unlisten },
  { "GET", "deliveries", { status = text, destination = text, type = text, event = text },
    function(box, given) return list_of(deliveries.list(box, given)) end },
  { "POST", "deliveries/pause", {}, plain(deliveries.pause, { paused = true }) },
  { "POST", "deliveries/resume", {}, plain(deliveries.resume, { paused = false }) },
  { "POST", "deliveries/duplicate", pending, on_pending(deliveries.duplicate) },
  { "POST", "deliveries/reorder", pending, on_pending(deliveries.reorder) },
  { "POST", "deliveries/drop", pending, on_pending(deliveries.drop) },
  { "POST", "deliveries/resend", { ["event!"] = text, destination = text }, resend },
  { "POST", "flush", {}, flush },
  { "GET", "helpers", {}, function() return list_of(common.keys(flows.helpers)) end },
  { "POST", "helpers/{name}", nil, run_helper },
  { "POST", "objects/{object}/{id}", { ["set!"] = map, event = text }, move_object },
}

local paths = {} -- for messages: each once
for _, route in ipairs(routes) do
  local path = PREFIX .. "/" .. route[2]
  route.pattern = "^" .. path:gsub("[%.%-]", "%%%0"):gsub("{[^}]*}", "([^/]+)") .. "$"
  if paths[#paths] ~= path then paths[#paths + 1] = path end
  if route[3] then
    route.type = object(route[3])
    route.by_name, route.required = spec.fields(route.type), {}
    for _, field in ipairs(route.type.fields) do
      if field.required then table.insert(route.required, field.name) end
    end
  end
end

-- The route of a request and the ids in its path; raises a 404 or 405 that says what there is.
local function find(request)
  local others = {}
  for _, route in ipairs(routes) do
    local ids = { request.path:match(route.pattern) }
    if ids[1] and route[1] == request.method then return route, ids end
    if ids[1] then others[#others + 1] = route[1] end
  end
  local message = others[1]
    and ("%s takes %s, not %s."):format(request.path, table.concat(others, " and "), request.method)
    or ("There is no %s. There are: %s."):format(request.path, table.concat(paths, ", "))
  error(errors.new(others[1] and 405 or 404, "invalid_request_error", { message = message }))
end

-- What a request sent: JSON or form text, in the body or the query; before its types are looked at.
local function read_raw(request)
  local sent = request.method == "POST" and request.body or request.query or ""
  if sent:find "^%s*{" then
    local raw, why = host.decode(sent)
    if not raw then refuse("The body is not JSON: " .. why .. ".") end
    return raw
  end
  local raw, name = host.form(sent)
  if not raw then refuse("This is not form text: " .. name .. ".") end
  return raw
end

local function answer(box, request)
  local route, ids = find(request)
  local raw = read_raw(request)
  local whole = route.whole and raw[route.whole] ~= nil
  local given = whole and {} or route.type and params.read(route, raw) or params.plain(raw)
  if route.type then check_bounds(given, route.type) end
  local value, reply = route[4](box, given, ids, request)
  return value and reply_with(value) or reply
end

--- The reply to a request under /_sandbox/.
function control.handle(box, request)
  local ok, reply = pcall(answer, box, request)
  if not ok then
    if not errors.is(reply) then error(reply, 0) end
    reply = errors.reply(reply)
  end
  reply.headers = reply.headers or {}
  reply.headers["Content-Type"] = "application/json"
  return reply
end

return control
