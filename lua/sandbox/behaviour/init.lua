--- The sandbox: from a request to its reply.
---
---   request ─▶ control, or fault? ─▶ key and account ─▶ operation ─▶ parameters ─▶ seen before? ─▶ flow ─▶ reply
---                                                    nothing has happened until here │
---
--- A request is {method, path, query, headers (lower-case names), body}; a reply {status, headers, body}, and what the
--- front is to do to it on the wire (see faults). State is plain data in `box.state`; all else can be made from it
--- again.

local accounts = require "sandbox.accounts"
local actions = require "sandbox.actions"
local call = require "sandbox.call"
local clock = require "sandbox.clock"
local control = require "sandbox.control"
local deliveries = require "sandbox.deliveries"
local errors = require "sandbox.errors"
local faults = require "sandbox.faults"
local flows = require "sandbox.flows"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local idempotency = require "sandbox.idempotency"
local lists = require "sandbox.lists"
local params = require "sandbox.params"
local references = require "sandbox.references"
local render = require "sandbox.render"
local requestlog = require "sandbox.requestlog"
local search = require "sandbox.search"
local spec = require "sandbox.spec"
local store = require "sandbox.store"
local v2 = require "sandbox.v2"

local Box = {}
Box.__index = Box

local sandbox = {}

local REQUEST_ID = 14

local function new_state(options)
  host.dice(options.seed or math.random(0))
  return {
    accounts = {},
    clock = clock.new(options.now or options.seed and clock.SEEDED),
    deliveries = deliveries.new(),
    faults = faults.new(),
    idempotency = idempotency.new(),
  }
end

--- A sandbox. `options`: seed (an integer: ids, dice and the clock, which then stands, become reproducible), now
--- (seconds: the clock stands there).
--- `server` is the front, which delivers webhooks and holds replies.
function sandbox.new(options, server)
  local box = setmetatable({ options = options or {}, server = server, log = requestlog.new() }, Box)
  box:reset()
  return box
end

--- Forgets everything.
function Box:reset()
  self.state = new_state(self.options)
  self.stores = {}
  deliveries.restart(self)
end

--- The state with the dice in it, to be kept; and back.
function Box:save()
  self.state.dice = host.dice()
  return self.state
end

function Box:load(state)
  self.state, self.stores = state, {}
  host.dice(state.dice)
  deliveries.restart(self)
end

--- The store of an account, empty at first.
function Box:store(account)
  local of = self.stores[account]
  if not of then
    local state = self.state.accounts[account] or store.empty()
    self.state.accounts[account] = state
    of = store.new(state, function() return clock.now(self) end)
    of.account = account
    self.stores[account] = of
  end
  return of
end

--- Whether an id names an account that the caller's platform is, or has.
function Box:has_account(from, id)
  return id == from.platform.account or from.platform:get("account", id) ~= nil
end

--- Runs a job of the clock.
function Box:run_job(job)
  local context = call.new(self, job.account, job.platform or job.account)
  return flows.jobs[job.job](context, job.args)
end

--- Runs what is due. Returns the seconds until it wants to be called again, or nil.
function Box:tick() return clock.tick(self) end

--- A delivery has ended: with a status, or with nil and why.
function Box:delivered(id, status, why) return deliveries.done(self, id, status, why) end

-- ---- Parameters ----

-- Sets a key of a table as host.form makes it. A second value makes a list of it and the first.
local function set(node, key, value)
  local old = node[key]
  if old == nil then
    node[#node + 1], node[key] = key, value
    return
  end
  if type(old) ~= "table" or old.is_file == true then
    old = { "0", ["0"] = old }
    node[key] = old
  end
  set(old, tostring(#old), value)
end

-- Puts a part of a multipart body where its name says, as host.form does; false: that lies within a plain value.
local function put(node, name, value)
  local first, rest = name:match "^([^%[]+)(.*)$"
  local keys = { first or name }
  for key in (rest or ""):gmatch "%[([^%]]*)%]" do keys[#keys + 1] = key end
  for i, key in ipairs(keys) do
    if key == "" then key = tostring(#node) end
    if i == #keys then
      set(node, key, value)
      return true
    end
    if node[key] == nil then set(node, key, {}) end
    node = node[key]
    if type(node) ~= "table" or node.is_file == true then return false end
  end
end

local function unreadable(what)
  return errors.invalid { message = "The request's body could not be read: " .. what }
end

local function from_parts(parts, node)
  for _, part in ipairs(parts) do
    local value = part.content
    if part.filename then
      value = { is_file = true, content = part.content, filename = part.filename, type = part.type }
    end
    local readable = utf8.len(part.name) and (part.filename or utf8.len(value)) and put(node, part.name, value)
    if not readable then error(unreadable("near " .. part.name)) end
  end
  return node
end

local function read_form(text)
  local node, wrong = host.form(text)
  if not node then error(unreadable("near " .. wrong)) end
  return node
end

local function read_json(request)
  if (request.body or "") == "" then return {} end
  local node, wrong = host.decode(request.body)
  if type(node) ~= "table" or host.is_array(node) then error(unreadable(wrong or "it is no JSON object")) end
  return node
end

local FORM = "application/x-www-form-urlencoded"

-- What a request sent, as host.form shows it: the query, and the body by its type.
local function raw_params(request, operation)
  local query, body = request.query or "", request.body or ""
  if request.method == "GET" or request.method == "DELETE" and body == "" then return read_form(query) end
  if operation.version == 2 then return read_json(request) end
  local kind = request.headers["content-type"] or FORM
  if kind ~= FORM and kind:lower():find("multipart/form-data", 1, true) then
    local parts, wrong = host.multipart(body, request.headers["content-type"])
    if not parts then error(unreadable(wrong)) end
    return from_parts(parts, read_form(query))
  end
  return read_form(query == "" and body or query .. "&" .. body)
end

-- ---- Operations ----

local named = {
  create = generic.create, retrieve = generic.retrieve, update = generic.update, delete = generic.delete,
}

-- What carries an operation out.
local function handler_of(operation)
  return flows.operations[operation.id]
    or operation.version == 2 and v2.handler(operation)
    or operation.kind == "list" and lists.run
    or operation.kind == "search" and search.run
    or named[operation.name]
    or actions.run
end

local METHODS = { "GET", "POST", "DELETE" }

-- The error of a path that the table does not have; of a method that nothing has, where the path has others, a 405.
local function unknown_url(request)
  local allowed, known = {}, false
  for _, method in ipairs(METHODS) do
    known = known or method == request.method
    if host.route(method, request.path) then allowed[#allowed + 1] = method end
  end
  if allowed[1] and not known then
    local list = table.concat(allowed, ", ")
    local message = ("%s takes %s, not %s."):format(request.path, list, request.method)
    return errors.new(405, "invalid_request_error", { message = message }, { Allow = list })
  end
  local hint = request.path:sub(-1) == "/" and " A path has no slash at its end." or ""
  return errors.new(404, "invalid_request_error", {
    message = ("Unrecognized request URL (%s: %s).%s"):format(request.method, request.path, hint),
  })
end

local none = {} -- the ids in a path that has none

-- The operation at a request's path, and the ids in it.
local function routed(request, id, ...)
  local operation = id and spec.operation(id)
  if not operation then error(unknown_url(request)) end
  local names = operation.ids
  if #names == 0 then return operation, none end
  local ids = { ... }
  for i, name in ipairs(names) do ids[name] = ids[i] end
  return operation, ids
end

-- The version that a request names; an empty header names none.
local function version_of(headers)
  local version = headers["stripe-version"]
  return version ~= "" and version or nil
end

-- The call that a request makes: who, what, with what. Raises what is wrong before anything has happened. The rest of
-- the arguments is what host.route gave.
local function open(box, request, request_id, ...)
  local headers, version = request.headers, version_of(request.headers)
  local kind, platform = accounts.authenticate(request)
  local operation, ids = routed(request, ...)
  if kind ~= "sk" then accounts.check_scope(kind, operation) end
  local header = headers["stripe-account"]
  local account = header and accounts.acting(box, platform, header) or platform
  local this = call.new(box, account, platform, {
    box = box, account = account, store = false, platform = false, tree = false, executed = false, -- room for all
    operation = operation, ids = ids, path = request.path, request_id = request_id, headers = headers,
    version = version, key_kind = kind, account_header = header,
    key = request.method ~= "GET" and headers["idempotency-key"] or nil,
    params = params.read(operation, raw_params(request, operation), version),
  })
  if this.params.expand then
    this.tree = render.tree(this.params.expand)
    render.check(operation, this.tree)
  end
  return this
end

local function body_of(this, result)
  if result.binary then return result.binary, result.content_type end
  local shown = this.operation.version == 2 and v2.render(this, result) or render.result(this, result)
  return host.encode(shown, true)
end

local function run(this)
  local operation = this.operation
  references.check(this)
  this.executed = true
  operation.handler = operation.handler or handler_of(operation)
  local result, err = operation.handler(this)
  if not result then error(err) end
  local body, content_type = body_of(this, result)
  local headers = {
    ["Content-Type"] = content_type, ["Request-Id"] = this.request_id,
    ["Stripe-Version"] = this.version or spec.version,
  }
  return { status = result.status_code or 200, headers = headers, body = body }
end

local function show(this)
  return function(object) return this and render.object(this, object, {}) or object end
end

local function failure(err, this, path)
  if not errors.is(err) then
    err = errors.new(500, "api_error", { message = "The sandbox failed: " .. tostring(err) })
  end
  if path:find "^/v2/" then return v2.failure(err) end
  return errors.reply(err, show(this))
end

local unkept = { [401] = true, [409] = true, [429] = true }

-- Carries a call out, or gives the reply that its key stands for.
local function carry_out(box, request, this)
  local keyed = this.key and this.key ~= "" and (request.method == "POST" or this.operation.version == 2)
  if keyed then
    local checked, earlier = pcall(idempotency.check, box, request, this)
    if not checked then return failure(earlier, this, request.path) end
    if earlier then return earlier end
  end
  local ok, reply = pcall(run, this)
  if not ok then reply = failure(reply, this, request.path) end
  if keyed then
    reply.headers = reply.headers or {}
    reply.headers["Idempotency-Key"], reply.headers["Original-Request"] = this.key, this.request_id
    if this.executed and not unkept[reply.status] then idempotency.store(box, request, this, reply) end
  end
  return reply
end

local function answer(box, request, request_id, ...)
  local ok, this = pcall(open, box, request, request_id, ...)
  if not ok then return failure(this, nil, request.path) end
  return carry_out(box, request, this), this
end

-- What the table does not have: what is served without a key, or another path for an operation that it has.
local function answer_other(box, request, request_id)
  for prefix, serve in pairs(flows.routes) do
    local reply = request.path:find(prefix, 1, true) == 1 and serve(box, request)
    if reply then return reply end
  end
  return answer(box, request, request_id, host.route(request.method, request.path))
end

local function dispatch(box, request, request_id, id, ...)
  if not id then return answer_other(box, request, request_id) end
  return answer(box, request, request_id, id, ...)
end

-- Control requests throw no dice: a snapshot changes nothing.
local function answer_control(box, request)
  local reply = control.handle(box, request)
  box.asked = (box.asked or 0) + 1
  reply.headers = reply.headers or {}
  reply.headers["Request-Id"] = "req_control" .. box.asked
  return reply
end

--- Answers a request.
function Box:handle(request)
  if request.path:find("/_sandbox/", 1, true) == 1 then return answer_control(self, request) end
  local request_id = host.id(REQUEST_ID, "req_")
  local reply, fault = faults.before(self, request)
  local this
  if not reply then
    reply, this = dispatch(self, request, request_id, host.route(request.method, request.path))
    if fault then reply = faults.after(self, reply, fault, this) end
    if reply.delay and this and this.key then idempotency.hold(self, this, reply.delay) end
  end
  local headers = reply.headers or {}
  reply.headers = headers
  headers["Content-Type"] = headers["Content-Type"] or "application/json"
  headers["Request-Id"] = headers["Request-Id"] or request_id
  headers["Stripe-Version"] = headers["Stripe-Version"] or version_of(request.headers) or spec.version
  requestlog.add(self, request, reply, this)
  return reply
end

return sandbox
