--- Faults on demand: which request meets one, and what becomes of its reply.
---
--- A rule is {match = {method, path, operation, key, nth}, do = {...}, count, probability}. Rules are asked in order;
--- the first that applies acts. What the network does is told to the front in fields of the reply: close, delay,
--- truncate_at, slow. Whether the request was carried out is the point of a fault:
---
---   not carried out    status, decline, drop_before, reset, the rate limit
---   carried out        delay alone, drop_after_commit, reset = "after_commit", truncate_at, slow, bad_json, html_502
---
--- The dice are the sandbox's own, so a seed gives the same faults again. Only the rate limit goes by real time.

local errors = require "sandbox.errors"
local host = require "sandbox.host"
local idempotency = require "sandbox.idempotency"

local faults = {}

--- Stripe's limit in test mode, requests a second.
faults.RATE = 25

function faults.new()
  return { count = 0, rules = host.array {} }
end

-- ---- Which ----

-- A path in a rule: `*` stands for anything, `{id}` for one segment. As a pattern of Lua's.
local function pattern_of(path)
  local escaped = path:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*"):gsub("{[^}]*}", "[^/]+")
  return "^" .. escaped .. "$"
end

local function bearer(headers)
  return (headers.authorization or ""):match "^%a+%s+(%S+)"
end

local function matches(match, request)
  if match.method and match.method ~= request.method then return false end
  if match.pattern and not request.path:find(match.pattern) then return false end
  local headers = request.headers
  if match.key and headers["idempotency-key"] ~= match.key and bearer(headers) ~= match.key then return false end
  return not match.operation or host.route(request.method, request.path) == match.operation
end

-- Whether a rule that matches acts this time.
local function acts(rule)
  if rule.match.nth and rule.seen ~= rule.match.nth then return false end
  if rule.count and rule.met >= rule.count then return false end
  return not rule.probability or host.random() < rule.probability
end

-- The rule that acts on a request. All that match count it, for their `nth`.
local function find(state, request)
  local found
  for _, rule in ipairs(state.rules) do
    if matches(rule.match, request) then
      rule.seen = rule.seen + 1
      if not found and acts(rule) then
        rule.met = rule.met + 1
        found = rule
      end
    end
  end
  return found
end

-- ---- What ----

local function replied(err, fault)
  local reply = errors.reply(err)
  reply.fault = fault
  return reply
end

local function ended(how, fault)
  return { status = 500, headers = {}, body = "", close = how, fault = fault }
end

local function status_error(status)
  if status == 429 then
    return errors.new(429, "invalid_request_error", { code = "rate_limit", message = "Too many requests, by a fault." })
  end
  local kind = status == 402 and "card_error" or status < 500 and "invalid_request_error" or "api_error"
  return errors.new(status, kind, { message = ("An error with status %d, by a fault."):format(status) })
end

local codes = { expired_card = true, incorrect_cvc = true, processing_error = true, incorrect_number = true }

local function decline_error(reason)
  return errors.card {
    code = codes[reason] and reason or "card_declined",
    decline_code = reason,
    message = "Your card was declined, by a fault.",
  }
end

local PAGE = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1></body>\n</html>\n"

-- Instead of carrying the request out.
local before = {
  status = function(status) return replied(status_error(status), "status") end,
  decline = function(reason) return replied(decline_error(reason), "decline") end,
  drop_before = function() return ended("drop", "drop_before") end,
  reset = function(when) return when ~= "after_commit" and ended("reset", "reset") or nil end,
}

-- To the reply of a request that was carried out.
local after = {
  drop_after_commit = function() return ended("drop", "drop_after_commit") end,
  reset = function() return ended("reset", "reset") end,
  truncate_at = function(bytes, reply)
    reply.truncate_at = bytes
    return reply
  end,
  slow = function(rate, reply)
    reply.slow = rate
    return reply
  end,
  bad_json = function(_, reply)
    reply.body = reply.body:sub(1, #reply.body // 2)
    return reply
  end,
  html_502 = function()
    return { status = 502, headers = { ["Content-Type"] = "text/html" }, body = PAGE }
  end,
}

local function limited(box, request, rate)
  local key, second = bearer(request.headers) or "", math.floor(host.time())
  local window = box.rate
  if not window or window.second ~= second then
    window = { second = second }
    box.rate = window
  end
  window[key] = (window[key] or 0) + 1
  if window[key] <= rate then return nil end
  local message = ("Too many requests: the sandbox's rate limit allows %g a second."):format(rate)
  local headers = { ["Stripe-Rate-Limited-Reason"] = "global-rate" }
  local err = errors.new(429, "invalid_request_error", { code = "rate_limit", message = message }, headers)
  return replied(err, "rate_limit")
end

local function latency_of(state)
  local latency = state.latency
  return latency and latency.min + (latency.max - latency.min) * host.random() or 0
end

-- Adds what is late to a reply.
local function late(reply, seconds)
  if seconds > 0 then reply.delay = (reply.delay or 0) + seconds end
  return reply
end

--- Before a request is carried out: the reply to give instead, or nil and what `after` will do to its reply.
function faults.before(box, request)
  local state = box.state.faults
  if not state.active then return nil end
  local refused = state.rate_limit and limited(box, request, state.rate_limit)
  if refused then return refused end
  local rule = find(state, request)
  local fault = { delay = latency_of(state) + (rule and rule["do"].delay or 0), rule = rule }
  for name, make in pairs(before) do
    local value = rule and rule["do"][name]
    local reply = value and make(value)
    if reply then return late(reply, fault.delay) end
  end
  return nil, fault
end

--- The reply of a request that was carried out, as `fault` has it arrive. While it is late, its key is in use.
function faults.after(box, reply, fault, call)
  for name, change in pairs(after) do
    local value = fault.rule and fault.rule["do"][name]
    if value then
      reply = change(value, reply)
      reply.fault = name
    end
  end
  if fault.rule and not reply.fault then reply.fault = "delay" end
  if call and call.key and fault.delay > 0 then idempotency.hold(box, call, fault.delay) end
  return late(reply, fault.delay)
end

-- ---- Rules ----

local function update(state)
  state.active = (#state.rules > 0 or state.latency or state.rate_limit) and true or nil
end

--- Adds a rule and returns it: {match, do, count, probability}, checked by control.lua. What has neither count nor
--- probability acts once.
function faults.add(box, rule)
  local state = box.state.faults
  state.count = state.count + 1
  rule.id, rule.seen, rule.met = "fault_" .. state.count, 0, 0
  rule.match.method = rule.match.method and rule.match.method:upper()
  rule.match.pattern = rule.match.path and pattern_of(rule.match.path)
  if not rule.probability then rule.count = rule.count or 1 end
  state.rules[#state.rules + 1] = rule
  update(state)
  return rule
end

--- Takes away the rule with this id, or all without one. Returns how many.
function faults.remove(box, id)
  local state = box.state.faults
  local kept, removed = host.array {}, 0
  for _, rule in ipairs(state.rules) do
    if id and rule.id ~= id then kept[#kept + 1] = rule else removed = removed + 1 end
  end
  state.rules = kept
  update(state)
  return removed
end

--- Each reply comes from `min` to `max` seconds late; nil, nil: none does.
function faults.set_latency(box, min, max)
  box.state.faults.latency = min and { min = min, max = max } or nil
  update(box.state.faults)
end

--- So many requests a second for each key; nil: no limit.
function faults.set_rate_limit(box, rate)
  box.state.faults.rate_limit = rate
  update(box.state.faults)
end

return faults
