--- A stream of meter events, sent in batches of up to 100 with a session token that is fetched when it is needed.
--
--     local stream = stripe:meter_stream()
--     stream:add{ event_name = "api_requests", payload = { stripe_customer_id = "cus_1", value = "25" } }
--     pinstripe.check(stream:close())
--
-- What is queued stays so until the server has taken it: after an error it is sent again, by a flush at once, by an add
-- when a pause is over, and the identifier that each event has lets it count once.
--
-- A stream that is collected, as at the end of a script, sends what is queued first. Over a transport in Lua, which is
-- not to be called in the middle of anything, the end of the Lua state does so, and a stream that nobody closes stays
-- till then; the transport cannot yield there, and what it holds may be gone. Nothing is sent where the state is never
-- closed, as by os.exit(code): close the stream before, or end with os.exit(code, true).
--
-- This last flush, of close or of the end, passes over a batch that the server refuses, and sends what comes after it.
-- close tells of what was not sent; the end can only warn of it: from Lua 5.4 on, where warnings are on, by `lua -W` or
-- warn "@on"; before 5.4, and in LuaJIT, there are none. What is worth money is closed.

local core = require "pinstripe.core"
local iterator = require "pinstripe.iterator"

local meter = {}

local Stream = { __name = "pinstripe.meter_stream" }
Stream.__index = Stream

local function check_self(self, name)
  local good = type(self) == "table" and getmetatable(self) == Stream
  if not good then error(name .. " is a method of a stream: call it with a colon, as stream:" .. name .. "(...)", 3) end
  return self.handle or error(name .. ": the stream is closed", 3)
end

local function check_number(options, key, least)
  local value = options[key]
  if value == nil or (type(value) == "number" and value >= least) then return value end
  error("meter_stream: the option " .. key .. " must be a number, " .. least .. " or more", 4)
end

local function take_options(options)
  options = options or {}
  for key in pairs(options) do
    if key ~= "max_age" and key ~= "max_pending" then
      error("meter_stream: " .. tostring(key) .. " is not an option (max_age, max_pending)", 3)
    end
  end
  return check_number(options, "max_age", 0), check_number(options, "max_pending", 1)
end

-- Lua 5.1 cannot yield out of a pcall: there a sender that raised is known by its coroutine alone.
local guards = _VERSION ~= "Lua 5.1" or rawget(_G, "jit")

local function run(self, handle)
  if not guards then return iterator.run(self.state, handle) end
  local ok, raised = pcall(iterator.run, self.state, handle)
  if ok then return end
  self.flushing = nil
  error(raised, 0)
end

-- Whether the stream is being flushed already, by another coroutine or by what called a hook: that sends what is queued
-- meanwhile, too. One that died of an error, or raised, is no hindrance.
local function is_busy(self)
  local other = self.flushing
  if not other or (other ~= "main" and coroutine.status(other) == "dead") then return false end
  return guards or (other ~= "main" and other ~= iterator.running())
end

local function busy(why)
  return nil, setmetatable({ kind = "usage", outcome = "not_sent", message = why }, core.error_meta)
end

local function flush(self, handle, last)
  if is_busy(self) then return busy "another coroutine is sending what is queued" end
  self.flushing = iterator.running()
  local good, err = true, nil
  while good do
    local more
    more, err = handle:fetch()
    if not more then break end
    run(self, handle)
    good, err = handle:feed_back()
    if not good and last then good = handle:set_aside() end
  end
  good = err == nil or nil
  self.flushing, self.failure = nil, err
  return good, err
end

-- The streams over transports in Lua that are not closed, each with what the end of the Lua state finalizes.
local open = {}

local function finish(stream)
  if not open[stream] then return end
  open[stream], stream.flushing = nil, nil -- a coroutine that was sending never goes on
  local ok, good, err = pcall(flush, stream, stream.handle, true)
  local warn, count = rawget(_G, "warn"), stream.handle:pending()
  if ok and good or count == 0 or not warn then return end
  warn(("pinstripe: a meter stream ended, and %d of its events were not sent: %s"):format(count,
    tostring(not ok and good or err)))
end

-- What is made after the stream's handle is finalized before it.
local function keep(stream)
  local proxy = rawget(_G, "newproxy")
  local guard = proxy and proxy(true) or {}
  local meta = proxy and getmetatable(guard) or {}
  function meta.__gc() finish(stream) end
  open[stream] = proxy and guard or setmetatable(guard, meta)
end

--- A stream. Options: max_age, the seconds after which an event is due though its batch is not full (1); max_pending,
-- how many may be queued (10,000).
function meter.meter_stream(self, options)
  local state = type(self) == "table" and rawget(self, iterator.STATE)
  if not state then error("meter_stream is a method: call it with a colon, as stripe:meter_stream()", 2) end
  local max_age, max_pending = take_options(options)
  local handle = core.meter(state.core, max_age, max_pending, state.transport == nil)
  local stream = setmetatable({ state = state, handle = handle }, Stream)
  if state.transport then keep(stream) end
  return stream
end

-- For add, which has taken its event: what a hook or a transport raises is an error of sending like any other. In Lua
-- 5.1, in a coroutine, it passes through all the same.
local function try_flush(self, handle)
  if not guards and iterator.running() ~= "main" then return flush(self, handle) end
  local ok, good, err = pcall(flush, self, handle)
  if ok then return good, err end
  self.flushing = nil
  local raised = { kind = "usage", outcome = "unknown", message = "a hook or the transport raised: " .. tostring(good) }
  return nil, setmetatable(raised, core.error_meta)
end

--- Queues an event: true. What is due is sent on the occasion; of that an error comes second, one that a hook raised
-- included, and what it concerns stays queued: it is not to be added again. Where the queue is full and cannot be sent,
-- or not before a pause is over, the event is not taken: nil, and the error.
function Stream:add(event)
  local handle = check_self(self, "add")
  local added, why = handle:add(event)
  local full = not added and why:find "^the queue is full"
  if full and is_busy(self) then return busy "the queue is full, and another coroutine is sending it" end
  if full then
    if select(3, handle:pending()) then return nil, self.failure end
    local good, err = try_flush(self, handle)
    if not good then return nil, err end
    added, why = handle:add(event)
  end
  if not added then error("add: " .. why, 2) end
  local _, wait = handle:pending()
  if wait ~= 0 or is_busy(self) then return true end
  local _, err = try_flush(self, handle)
  return true, err
end

--- Sends all that is queued, at once, due or not: true; or nil, err, as while another coroutine is sending.
function Stream:flush()
  return flush(self, check_self(self, "flush"))
end

--- How many events are queued, and the seconds until something is due.
function Stream:pending()
  local count, wait = check_self(self, "pending"):pending()
  return count, wait
end

--- After an error that will not pass: takes the batch that failed out of the queue, and returns its events; after a
-- close that failed, those of all batches that were refused.
function Stream:skip()
  return check_self(self, "skip"):skip()
end

--- Sends all that is queued, and ends the stream: true; or nil, err, and the stream is still there, with what was not
-- sent: a batch that the server refused, which skip returns, or what a failing connection left. Then close again.
function Stream:close()
  if not self.handle then return true end
  if is_busy(self) then error("close: another coroutine is sending", 2) end
  local handle = check_self(self, "close")
  local good, err = flush(self, handle, true)
  if not good then
    err.message = ("%d events were not sent: %s"):format(handle:pending(), err.message)
    return nil, err
  end
  self.handle:close()
  self.handle, open[self] = nil, nil
  return true
end

Stream.__close = Stream.close

function Stream:__tostring()
  return self.handle and "pinstripe.meter_stream" or "pinstripe.meter_stream (closed)"
end

return meter
