--- Control: what is asked of the sandbox itself, under /_sandbox/. Each row of `routes` says what a request takes, in
--- the types of the API's own table, so that a wrong one gets the same kind of 400; docs/sandbox.md describes them.

local accounts = require "sandbox.accounts"
local calls = require "sandbox.call"
local clock = require "sandbox.clock"
local deliveries = require "sandbox.deliveries"
local errors = require "sandbox.errors"
local faults = require "sandbox.faults"
local fixtures = require "sandbox.fixtures"
local flows = require "sandbox.flows"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local params = require "sandbox.params"
local render = require "sandbox.render"
local requestlog = require "sandbox.requestlog"
local snapshot = require "sandbox.snapshot"
local spec = require "sandbox.spec"

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

local function invalid(message, param) error(errors.invalid { message = message, param = param }) end

local function is_within(value, field)
  return value >= field.least and (not field.most or value <= field.most)
end

-- Raises the 400 for the first number in `given` that is out of its type's bounds.
local function check_bounds(given, t, inside)
  for _, field in ipairs(t.fields) do
    local value, param = given[field.name], inside and inside .. "[" .. field.name .. "]" or field.name
    if value and field.least and not is_within(value, field) then
      local bounds = field.most and ("from %s to %s"):format(field.least, field.most) or field.least .. " or more"
      invalid(("Invalid %s: %s. It must be %s."):format(param, value, bounds), param)
    end
    if value and field.kind == "object" then check_bounds(value, field, param) end
  end
end

-- The one of these names that `given` has.
local function only_one(given, names, where)
  local found
  for _, name in ipairs(names) do
    local value = given[name]
    if value ~= nil and value ~= false then
      if found then invalid(("Give only one of %s and %s%s."):format(found, name, where), name) end
      found = name
    end
  end
  return found
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
  return nil, nil, { status = 200, body = taken }
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
    if not kept then invalid(("There is no snapshot named '%s'."):format(given.name), "name") end
  end
  local ok, why = snapshot.restore(box, tostring(kept))
  if not ok then invalid("This is not a snapshot: " .. why .. ".") end
  return { restored = true }
end

local function seed(box, given, _, request)
  local file, why = host.decode(tostring(given.file or request.body or ""))
  if not file then invalid("A fixture file is JSON: " .. why .. ".") end
  return fixtures.run(box, file, request.headers.authorization or "Bearer " .. KEY)
end

-- ---- Clock ----

local MOST_TIME = 253402300799 -- the end of the year 9999

local moves = { set = int(0, MOST_TIME), advance = int(0, MOST_TIME), real = bool }

local function move_clock(box, given)
  local how = only_one(given, { "set", "advance", "real" }, "")
  if not how then invalid("Give one of set (a time), advance (seconds) and real (true).") end
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
  local action = only_one(what, actions, " in do")
  if not action and not what.delay then
    invalid(("do must name a fault: delay, %s."):format(table.concat(actions, ", ")), "do")
  end
  if match.operation and not spec.operation(match.operation) then
    invalid(("There is no operation '%s'."):format(match.operation), "match[operation]")
  end
  if what.decline == true then what.decline = "generic_decline" end
  return faults.add(box, { match = match, ["do"] = what, count = given.count, probability = given.probability })
end

local function remove_fault(box, _, ids)
  if faults.remove(box, ids[1]) == 0 then return nil, errors.missing("fault", ids[1], "id", 404) end
  return { id = ids[1], deleted = true }
end

local function set_latency(box, given)
  local min = given.min or 0
  if given.max and given.max < min then invalid("max must be min or more.", "max") end
  faults.set_latency(box, min, given.max or min)
  return box.state.faults.latency
end

local function set_rate_limit(box, given)
  faults.set_rate_limit(box, given.rate or faults.RATE)
  return { rate = box.state.faults.rate_limit }
end

-- ---- Requests ----

local function find_requests(box, given)
  local limit = given.limit
  given.limit = nil
  return list_of(requestlog.find(box, given, limit))
end

-- ---- Webhooks ----

local function pull(box, given)
  local listener = deliveries.listener(box, given.listener or "default")
  if not listener then return nil, errors.missing("listener", given.listener, "listener") end
  local page = list_of(given.peek and host.array {} or deliveries.pull(box, listener, given.limit or 100))
  page.secret = listener.secret
  return page
end

local function listen(box, given)
  for _, kind in ipairs(given.enabled_events or {}) do
    if kind ~= "*" and not spec.event(kind) then
      invalid(("There is no event '%s'."):format(kind), "enabled_events")
    end
  end
  return deliveries.listen(box, given.enabled_events)
end

local function unlisten(box, _, ids)
  if ids[1] == "default" or not deliveries.listener(box, ids[1]) then
    return nil, errors.missing("listener", ids[1], "id", 404)
  end
  deliveries.unlisten(box, ids[1])
  return { id = ids[1], deleted = true }
end

local function reply_with(value)
  return { status = 200, headers = { ["Content-Type"] = "application/json" }, body = host.encode(value, true) }
end

local function flush(box)
  box.flushes = (box.flushes or 0) + 1
  local key = "flush " .. box.flushes
  return deliveries.flush(box, key, reply_with), nil, { wait = key, status = 200 }
end

local function pause(change, paused)
  return function(box)
    change(box)
    return { paused = paused }
  end
end

local function on_pending(change)
  return function(box, given) return { count = change(box, given) } end
end

local function resend(box, given)
  local count = deliveries.resend(box, given.event, given.destination)
  if count == 0 then invalid("Nothing of this event was ever to be delivered there.", "event") end
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
  local helper = flows.helpers[ids[1]]
  if not helper then return nil, errors.missing("helper", ids[1], nil, 404) end
  local call, id = call_of(box, request), given.id
  if type(id) ~= "string" then return nil, errors.parameter_missing "id" end
  given.id = nil
  local found, err = helper(call, id, given)
  return found and render.object(call, found, {}), err
end

local function list_helpers(box)
  local names = host.array {}
  for name in pairs(flows.helpers) do names[#names + 1] = name end
  table.sort(names)
  return list_of(names)
end

-- Sets fields of an object as they are, whatever the API would allow; the types are checked.
local function move_object(box, given, ids, request)
  local call, kind = call_of(box, request), spec.object(ids[1])
  if not kind then return nil, errors.missing("kind of object", ids[1], nil, 404) end
  local found = call.store:get(ids[1], ids[2])
  if not found then return nil, errors.missing(ids[1], ids[2], "id", 404) end
  if given.event and not spec.event(given.event) then
    invalid(("There is no event '%s'."):format(given.event), "event")
  end
  local typed = params.read({ by_name = kind.by_name, required = {} }, given.set)
  for name in pairs(typed) do
    if name == "id" or name == "object" then invalid(("%s cannot be set."):format(name), "set[" .. name .. "]") end
  end
  generic.apply(call, found, typed, given.event)
  return render.object(call, found, {})
end

-- ---- Routes ----

local asked_of_requests = {
  method = text, path = text, status = int(0), operation = text, account = text, key = text, fault = text,
  limit = int(1),
}
local pending = { destination = text, type = text, event = text }

-- Method, path, parameters, what is done: function(box, given, ids, request) → a value, an error, a reply: one of them.
-- A body that has a field named `whole` is left to that function.
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
  { "DELETE", "latency", {}, function(box) faults.set_latency(box) return { deleted = true } end },
  { "POST", "rate_limit", { rate = number(1) }, set_rate_limit },
  { "DELETE", "rate_limit", {}, function(box) faults.set_rate_limit(box) return { deleted = true } end },
  { "GET", "requests", asked_of_requests, find_requests },
  { "DELETE", "requests", {}, function(box) box.log = requestlog.new() return { deleted = true } end },
  { "GET", "webhooks", { listener = text, limit = int(1), peek = bool }, pull },
  { "POST", "webhooks", { enabled_events = texts }, listen },
  { "DELETE", "webhooks/{id}", {}, unlisten },
  { "GET", "deliveries", { status = text, destination = text, type = text, event = text },
    function(box, given) return list_of(deliveries.list(box, given)) end },
  { "POST", "deliveries/pause", {}, pause(deliveries.pause, true) },
  { "POST", "deliveries/resume", {}, pause(deliveries.resume, false) },
  { "POST", "deliveries/duplicate", pending, on_pending(deliveries.duplicate) },
  { "POST", "deliveries/reorder", pending, on_pending(deliveries.reorder) },
  { "POST", "deliveries/drop", pending, on_pending(deliveries.drop) },
  { "POST", "deliveries/resend", { ["event!"] = text, destination = text }, resend },
  { "POST", "flush", {}, flush },
  { "GET", "helpers", {}, list_helpers },
  { "POST", "helpers/{name}", nil, run_helper },
  { "POST", "objects/{object}/{id}", { ["set!"] = map, event = text }, move_object },
}

local function prepare(route)
  local path = route[2]:gsub("[%.%-]", "%%%0"):gsub("{[^}]*}", "([^/]+)")
  route.pattern = "^" .. PREFIX .. "/" .. path .. "$"
  if not route[3] then return end
  route.type = object(route[3])
  route.by_name, route.required = spec.fields(route.type), {}
  for _, field in ipairs(route.type.fields) do
    if field.required then table.insert(route.required, field.name) end
  end
end

for _, route in ipairs(routes) do prepare(route) end

-- The route of a request and the ids in its path; raises a 404 or 405 that says what there is.
local function find(request)
  local others = {}
  for _, route in ipairs(routes) do
    local ids = { request.path:match(route.pattern) }
    if ids[1] and route[1] == request.method then return route, ids end
    if ids[1] then others[#others + 1] = route[1] end
  end
  if others[1] then
    local message = ("%s takes %s, not %s."):format(request.path, table.concat(others, " and "), request.method)
    error(errors.new(405, "invalid_request_error", { message = message }))
  end
  local names, seen = {}, {}
  for _, route in ipairs(routes) do
    if not seen[route[2]] then names[#names + 1] = PREFIX .. "/" .. route[2] end
    seen[route[2]] = true
  end
  local message = ("There is no %s. There are: %s."):format(request.path, table.concat(names, ", "))
  error(errors.new(404, "invalid_request_error", { message = message }))
end

-- What a request sent: JSON or form text, in the body or the query; before its types are looked at.
local function read_raw(request)
  local sent = request.method == "POST" and request.body or request.query or ""
  if sent:find "^%s*{" then
    local raw, why = host.decode(sent)
    if not raw then invalid("The body is not JSON: " .. why .. ".") end
    return raw
  end
  local raw, name = host.form(sent)
  if not raw then invalid("This is not form text: " .. name .. ".") end
  return raw
end

local function answer(box, request)
  local route, ids = find(request)
  local raw = read_raw(request)
  local whole = route.whole and raw[route.whole] ~= nil
  local given = whole and {} or route.type and params.read(route, raw) or params.plain(raw)
  if route.type then check_bounds(given, route.type) end
  local value, err, reply = route[4](box, given, ids, request)
  if err then error(err) end
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
