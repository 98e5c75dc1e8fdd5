--- The function pinstripe.sandbox: an offline stand-in for the API, with state, in this process.
--
--     local sandbox = pinstripe.sandbox{ seed = 1 }
--     local stripe = sandbox:client()
--     ...
--     for body, header in sandbox:webhooks() do handle(body, header) end
--     sandbox:close()
--
-- Options: port (default: any), listen (a numeric address; default 127.0.0.1), seed (makes ids, times and chances
-- reproducible). What is asked of the sandbox itself goes to paths below /_sandbox/, through a client of its own: its
-- thread alone touches the state. These calls raise what goes wrong, with the error that a client would return.

local core = require "pinstripe.core"

local BASES = { "api_base", "files_base", "connect_base", "meter_events_base" }
local OPTIONS = { port = "number", seed = "number", listen = "string" }

local Sandbox = { __name = "pinstripe.sandbox" }
Sandbox.__index = Sandbox

function Sandbox:__tostring()
  local url = self:url()
  return url == "" and "pinstripe.sandbox (closed)" or "pinstripe.sandbox " .. url
end

--- Its URL; "" once it is closed.
function Sandbox:url() return self.handle:url() end

--- A key that it takes. It takes every test key, and keeps the state of each apart.
function Sandbox:key() return self.handle:key() end

--- A client of this sandbox. The options are those of pinstripe.client; the key's default is the sandbox's own.
function Sandbox:client(options)
  local own = {}
  for _, base in ipairs(BASES) do own[base] = self:url() end
  for name, value in pairs(options or {}) do own[name] = value end
  own.api_key = own.api_key or self:key()
  return require "pinstripe".client(own)
end

--- Ends it and frees its state. The collector does so too, and Lua 5.4 at the end of a `local sandbox <close>`.
function Sandbox:close()
  self.handle:close()
end

Sandbox.__close = Sandbox.close

-- ---- Asking ----

local function ask(self, method, path, params, options)
  if self:url() == "" then error("the sandbox is closed", 3) end
  self.control = self.control or self:client{ max_retries = 0 }
  local answer, err = self.control:request(method, "/_sandbox/" .. path, params, options)
  if answer == nil then error(err, 0) end
  return answer
end

local function escape(part)
  return (tostring(part):gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- ---- State and time ----

--- Forgets everything: objects, faults, the clock's setting.
function Sandbox:reset() ask(self, "POST", "reset") end

local function read_file(path)
  local file, why = io.open(path, "rb")
  if not file then error(why, 3) end
  local text = file:read "*a"
  file:close()
  return text
end

--- The whole state as JSON text, written to a file if a path is given.
function Sandbox:snapshot(path)
  local text = ask(self, "GET", "snapshot", { text = true }).snapshot
  if path then
    local file, why = io.open(path, "wb")
    local written = file and file:write(text)
    if not (file and file:close() and written) then error(why or path .. ": cannot be written", 2) end
  end
  return text
end

--- The state of a snapshot's file.
function Sandbox:restore(path)
  ask(self, "POST", "restore", nil, { body = read_file(path), content_type = "application/json" })
end

--- Runs a fixture file of the official command line, given as its path or as a table. Returns what each of its requests
--- came to, by name.
function Sandbox:seed(fixtures)
  local text = type(fixtures) == "table" and core.encode(fixtures) or read_file(fixtures)
  return ask(self, "POST", "seed", { file = text })
end

--- The clock: clock(), clock{ advance = seconds }, clock{ set = time }, clock{ real = true }. What falls due happens,
--- in order.
function Sandbox:clock(change)
  return ask(self, change and "POST" or "GET", "clock", change)
end

-- ---- Faults ----

--- Has requests fail: fault{ match = { method, path, operation, key, nth }, count, probability, ... }, with delay, and
--- one of status, decline, drop_before, drop_after_commit, reset, truncate_at, slow, bad_json, html_502, or either.
function Sandbox:fault(rule)
  local sent = { ["do"] = {} }
  for name, value in pairs(rule) do
    local of_rule = name == "match" or name == "count" or name == "probability" or name == "do"
    if of_rule then sent[name] = value else sent["do"][name] = value end
  end
  return ask(self, "POST", "faults", sent)
end

--- The faults that are set.
function Sandbox:faults() return ask(self, "GET", "faults").data end

--- Takes away the fault with that id; without one, all.
function Sandbox:clear_faults(id)
  return ask(self, "DELETE", id and "faults/" .. escape(id) or "faults")
end

--- Every answer takes from min to max seconds: latency{ min = 0.1, max = 0.3 }; latency(false): no longer.
function Sandbox:latency(range)
  return ask(self, range and "POST" or "DELETE", "latency", range or nil)
end

--- At most so many requests a second (in Stripe's test mode: 25): rate_limit(n); rate_limit(false): any number.
function Sandbox:rate_limit(rate)
  if rate == false then return ask(self, "DELETE", "rate_limit") end
  return ask(self, "POST", "rate_limit", { rate = rate })
end

--- The log of requests where { method, path, status, operation, account, key, fault } are so, oldest first; the last
--- `limit` of them.
function Sandbox:requests(query) return ask(self, "GET", "requests", query).data end

-- ---- Webhooks ----

local function pull(self, listener)
  return ask(self, "GET", "webhooks", { listener = listener })
end

--- The secret that signs what webhooks() gives.
function Sandbox:webhook_secret() return ask(self, "GET", "webhooks", { peek = true }).secret end

--- Every webhook since the last time: `for body, header in sandbox:webhooks() do`. `header` is Stripe-Signature's.
function Sandbox:webhooks()
  local page, at = { data = {} }, 0
  return function()
    at = at + 1
    if at > #page.data then page, at = pull(self), 1 end
    local webhook = page.data[at]
    if webhook then return webhook.body, webhook.headers["Stripe-Signature"] end
  end
end

--- Has flush() call `listener(body, header)` for each webhook from now on, of these types if they are named. Returns
--- the secret that signs them.
function Sandbox:listen(listener, enabled_events)
  local made = ask(self, "POST", "webhooks", { enabled_events = enabled_events })
  self.listeners[#self.listeners + 1] = { id = made.id, call = listener }
  return made.secret
end

-- Calls a listener with all that waits for it; returns how many.
local function run_listener(self, id, call)
  local count = 0
  repeat
    local page = pull(self, id)
    for _, webhook in ipairs(page.data) do call(webhook.body, webhook.headers["Stripe-Signature"]) end
    count = count + #page.data
  until #page.data == 0
  return count
end

--- Sends what waits: posts to webhook endpoints, and returns when they have answered; calls those that listen() named,
--- and `listener`, on this thread, with what they cause in turn as well. Returns { delivered, failed, listened }.
function Sandbox:flush(listener)
  local total = { delivered = 0, failed = 0, listened = 0 }
  repeat
    local counts, called = ask(self, "POST", "flush"), 0
    for _, l in ipairs(self.listeners) do called = called + run_listener(self, l.id, l.call) end
    if listener then called = called + run_listener(self, nil, listener) end
    total.delivered, total.failed = total.delivered + counts.delivered, total.failed + counts.failed
    total.listened = total.listened + called
  until called == 0
  return total
end

--- The log of deliveries where { status, destination, type, event } are so.
function Sandbox:deliveries(query) return ask(self, "GET", "deliveries", query).data end

--- Nothing is delivered until resume(), but by flush().
function Sandbox:pause() ask(self, "POST", "deliveries/pause") end

function Sandbox:resume() ask(self, "POST", "deliveries/resume") end

--- What waits and matches { destination, type, event } is sent twice, in another order, never. Returns how many.
function Sandbox:duplicate(match) return ask(self, "POST", "deliveries/duplicate", match).count end

function Sandbox:reorder(match) return ask(self, "POST", "deliveries/reorder", match).count end

function Sandbox:drop(match) return ask(self, "POST", "deliveries/drop", match).count end

--- Sends an event once more, to one destination or to all that had it. Returns how many deliveries that makes.
function Sandbox:resend(event, destination)
  return ask(self, "POST", "deliveries/resend", { event = event, destination = destination }).count
end

-- ---- Objects ----

--- The names of what run() does.
function Sandbox:helpers() return ask(self, "GET", "helpers").data end

--- What a customer or a bank would do: run("NAME", id, params). Returns the object. `options` are those of a call.
function Sandbox:run(name, id, params, options)
  local sent = { id = id }
  for key, value in pairs(params or {}) do sent[key] = value end
  return ask(self, "POST", "helpers/" .. escape(name), sent, options)
end

--- Sets fields of an object, whatever the API would allow:
--- move("charge", "ch_1", { status = "failed" }, "charge.failed").
function Sandbox:move(object, id, fields, event, options)
  local path = "objects/" .. escape(object) .. "/" .. escape(id)
  return ask(self, "POST", path, { set = fields, event = event }, options)
end

-- ---- Starting ----

local function check_options(options)
  if type(options) ~= "table" then
    error("pinstripe.sandbox: options must be a table, not a " .. type(options), 3)
  end
  for name, value in pairs(options) do
    local kind = OPTIONS[name]
    if not kind then error("pinstripe.sandbox: " .. tostring(name) .. " is not an option (port, seed, listen)", 3) end
    local good = type(value) == kind
    if kind == "number" then good = good and value >= 0 and value % 1 == 0 and value < 2 ^ 53 end
    if not good then
      local wanted = kind == "number" and "a whole number from 0 on" or "a string"
      error("pinstripe.sandbox: the option " .. name .. " must be " .. wanted, 3)
    end
  end
end

return function(options)
  options = options or {}
  check_options(options)
  local handle, why = core.sandbox(options.port, options.seed, options.listen)
  if not handle then error("pinstripe.sandbox: " .. why, 2) end
  return setmetatable({ handle = handle, listeners = {} }, Sandbox)
end
