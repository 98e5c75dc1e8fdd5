--- Deliveries: from an event to the endpoints (event destinations of v2, too) and listeners that want it.
---
---   event ──▶ log ──▶ listener: a queue that its owner pulls, filled from the log when it is looked at
---     │
---     └─────────────▶ endpoint: a queue sent one at a time ──▶ delivered
---                        ▲              └─ retrying, by the clock ──▶ failed
---                        └────────────────────────┘
---
--- A delivery is plain data: {id, event, type, account (the event's), destination, owner (the account that has the
--- endpoint), status, attempts, next_attempt, response_status, error}. Its status is one of pending, sending, retrying,
--- delivered, failed, dropped. What is in flight is known to the front as <epoch>.<id>: the epoch changes with each
--- reset or restore, after which an outcome of before means nothing. Signatures bear real time, which verifiers go by.

local core = require "pinstripe.core"
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local host = require "sandbox.host"

local contains = common.contains

local deliveries = {}

local RETRIES = { 10, 300, 7200 } -- seconds after a failed attempt; after the last one no more
local TIMEOUT = 10
local KEPT = 1000 -- deliveries that are over, for the log

local function new_listener(id, position, enabled_events)
  local secret = "whsec_" .. host.id(32)
  return { id = id, position = position, secret = secret, enabled_events = enabled_events or host.array { "*" } }
end

function deliveries.new()
  return {
    count = 0,
    trim_at = 2 * KEPT,
    order = host.array {}, -- ids, oldest first
    items = {}, -- by id
    queues = {}, -- by destination: ids, in the order of sending
    sending = {}, -- by destination: the id in flight
    events = host.array {}, -- the log for listeners: account, id, account, id, ...
    listeners = { default = new_listener("default", 0) },
  }
end

local over = { delivered = true, failed = true, dropped = true }

-- Now and then forgets the oldest of those that are over.
local function trim(state)
  if #state.order < state.trim_at then return end
  local kept, surplus = host.array {}, -KEPT
  for _, id in ipairs(state.order) do
    if over[state.items[id].status] then surplus = surplus + 1 end
  end
  for _, id in ipairs(state.order) do
    local forgotten = surplus > 0 and over[state.items[id].status]
    if forgotten then state.items[id], surplus = nil, surplus - 1 else kept[#kept + 1] = id end
  end
  state.order, state.trim_at = kept, #kept + KEPT
end

local function has_all(item, match)
  for name, value in pairs(match) do
    if item[name] ~= value then return false end
  end
  return true
end

local function wants(listener, type)
  return contains(listener.enabled_events, "*") or contains(listener.enabled_events, type)
end

local function enqueue(state, item)
  local queue = state.queues[item.destination] or host.array {}
  state.queues[item.destination] = queue
  item.status, item.next_attempt = "pending", nil
  queue[#queue + 1] = item.id
end

-- Queues a new delivery of an event ({id, type} in an account) to a destination; `owner` has that if it is an endpoint.
local function add(state, event, type, account, destination, owner)
  state.count = state.count + 1
  local item = {
    id = "delivery_" .. state.count, event = event, type = type, account = account, destination = destination,
    owner = owner, attempts = 0,
  }
  state.items[item.id] = item
  state.order[#state.order + 1] = item.id
  enqueue(state, item)
  trim(state)
end

-- ---- What is sent ----

local function event_of(box, item)
  local store = box:store(item.account)
  return store:get("event", item.event) or store:get("v2.core.event", item.event)
end

-- The body and headers of a delivery; nil when the event is gone.
local function compose(box, item, secret, api_version)
  local event = event_of(box, item)
  if not event then return nil end
  local shown = host.fields(event)
  if event.api_version and api_version and api_version ~= host.null then shown.api_version = api_version end
  local body = host.encode(shown, true)
  return body, {
    ["Content-Type"] = "application/json; charset=utf-8",
    ["User-Agent"] = "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    ["Stripe-Signature"] = core.sign(body, secret, math.floor(host.time())),
  }
end

-- Changes how many deliveries to endpoints are under way for an event; listeners do not count. Returns the event.
local function count_pending(box, item, change)
  local event = item.owner and event_of(box, item)
  if event and event.pending_webhooks then event.pending_webhooks = math.max(0, event.pending_webhooks + change) end
  return event
end

local function settle(box, item, status)
  item.status, item.next_attempt = status, nil
  local event = count_pending(box, item, -1)
  if event and status ~= "delivered" then box:store(item.account):private(event).undelivered = true end
end

-- What of an endpoint matters here; nil of one that is disabled. `own`, `connected`: whose events it wants.
local function facts_of(store, endpoint)
  if endpoint.status ~= "enabled" then return nil end
  if endpoint.object == "webhook_endpoint" then
    local private = store:private(endpoint)
    return {
      url = endpoint.url, secret = private.secret, api_version = endpoint.api_version, thin = false,
      own = not private.connect, connected = private.connect,
    }
  end
  local from, hook = endpoint.events_from or {}, endpoint.type == "webhook_endpoint" and endpoint.webhook_endpoint
  return hook and {
    url = hook.url, secret = hook.signing_secret, api_version = endpoint.snapshot_api_version,
    thin = endpoint.event_payload == "thin",
    own = not from[1] or contains(from, "self") or contains(from, "@self"),
    connected = contains(from, "other_accounts") or contains(from, "@accounts"),
  } or nil
end

local ENDPOINTS = { "webhook_endpoint", "v2.core.event_destination" }

-- The facts of a delivery's endpoint, if it is still there.
local function endpoint_of(box, item)
  local store = box:store(item.owner)
  for _, kind in ipairs(ENDPOINTS) do
    local endpoint = store:get(kind, item.destination)
    if endpoint then return facts_of(store, endpoint) end
  end
end

local function add_twin(box, item)
  add(box.state.deliveries, item.event, item.type, item.account, item.destination, item.owner)
  count_pending(box, item, 1)
end

local function start(box, item)
  local state, endpoint = box.state.deliveries, endpoint_of(box, item)
  local body, headers
  if endpoint then body, headers = compose(box, item, endpoint.secret, endpoint.api_version) end
  if not body then
    item.error = endpoint and "the event is gone" or "the endpoint was deleted or disabled"
    return settle(box, item, "dropped")
  end
  item.status = "sending"
  state.sending[item.destination] = item.id
  local id = box.epoch .. "." .. item.id
  box.server.deliver { id = id, url = endpoint.url, body = body, headers = headers, timeout = TIMEOUT }
end

-- Sends the first of a destination's queue if nothing of it is in flight.
local function pump(box, destination)
  local state = box.state.deliveries
  local queue = state.queues[destination]
  if not box.server or state.listeners[destination] or state.paused and not box.flushing then return end
  while queue and queue[1] and not state.sending[destination] do start(box, state.items[table.remove(queue, 1)]) end
end

local function pump_all(box)
  for _, destination in ipairs(common.keys(box.state.deliveries.queues)) do pump(box, destination) end
end

-- ---- Events ----

-- Queues an event for the endpoints in a store that want it as `whose`: "own" or "connected". Returns how many.
local function queue_for(call, event, store, whose)
  local count, is_thin = 0, event.object ~= "event"
  for i = 1, #ENDPOINTS do
    for endpoint in store:newest(ENDPOINTS[i]) do
      local facts = wants(endpoint, event.type) and facts_of(store, endpoint)
      if facts and facts[whose] and facts.thin == is_thin then
        add(call.box.state.deliveries, event.id, event.type, call.account, endpoint.id, store.account)
        count = count + 1
      end
    end
  end
  return count
end

--- Queues what an event, just stored, has to be delivered to; counts it in the event's pending_webhooks.
function deliveries.queue(call, event)
  local log = call.box.state.deliveries.events
  log[#log + 1] = call.account
  log[#log + 1] = event.id
  local count = queue_for(call, event, call.store, "own")
  if call.platform ~= call.store then count = count + queue_for(call, event, call.platform, "connected") end
  if count == 0 then return end
  if event.pending_webhooks then event.pending_webhooks = count end
  pump_all(call.box)
end

-- ---- Outcomes ----

-- Answers those who wait for a flush, once nothing is queued or in flight.
local function end_flush(box)
  local flush = box.flushing
  if not flush or next(box.state.deliveries.sending) then return end
  box.flushing = nil
  for _, key in ipairs(flush.keys) do box.server.finish(key, flush.reply(flush.counts)) end
end

--- The front carried out a delivery: a status, or nil and an error.
function deliveries.done(box, key, status, err)
  local epoch, id = key:match "^(%d+)%.(.*)$"
  local state = box.state.deliveries
  local item = tonumber(epoch) == box.epoch and state.items[id]
  if not item or item.status ~= "sending" then return end
  local good = status and status >= 200 and status < 300
  state.sending[item.destination] = nil
  item.attempts, item.response_status, item.error = item.attempts + 1, status, err
  local delay = not good and RETRIES[item.attempts]
  if delay then
    item.status, item.next_attempt = "retrying", clock.now(box) + delay
    clock.at(box, item.next_attempt, "webhook_endpoints.retry", { delivery = item.id }, item.account, item.owner)
  else
    settle(box, item, good and "delivered" or "failed")
  end
  local counts, outcome = box.flushing and box.flushing.counts or {}, good and "delivered" or "failed"
  counts[outcome] = (counts[outcome] or 0) + 1
  pump(box, item.destination)
  end_flush(box)
end

--- A retry is due, unless a flush or a change to the queue came first.
function deliveries.retry(box, id)
  local state = box.state.deliveries
  local item = state.items[id]
  if not item or item.status ~= "retrying" or item.next_attempt > clock.now(box) then return end
  enqueue(state, item)
  pump(box, item.destination)
end

-- ---- Listeners ----

-- Takes what was logged since the last time into the listeners' queues.
local function fill_all(box)
  local state = box.state.deliveries
  local log = state.events
  for _, id in ipairs(common.keys(state.listeners)) do
    local listener = state.listeners[id]
    for i = listener.position + 1, #log, 2 do
      local event = box:store(log[i]):get("event", log[i + 1])
      if event and wants(listener, event.type) then add(state, event.id, event.type, log[i], id) end
    end
    listener.position = 0
  end
  state.events = host.array {}
end

--- A new listener in the host's own process: it gets events from now on.
function deliveries.listen(box, enabled_events)
  local state = box.state.deliveries
  state.listened = (state.listened or 0) + 1
  local listener = new_listener("listener_" .. state.listened, #state.events, enabled_events)
  state.listeners[listener.id] = listener
  return listener
end

function deliveries.listener(box, id) return box.state.deliveries.listeners[id] end

function deliveries.unlisten(box, id)
  local state = box.state.deliveries
  fill_all(box)
  for _, queued in ipairs(state.queues[id] or {}) do state.items[queued].status = "dropped" end
  state.listeners[id], state.queues[id] = nil, nil
end

--- The next deliveries of a listener, at most `limit`: {id, event, type, body, headers}. They count as delivered.
function deliveries.pull(box, listener, limit)
  local state, pulled = box.state.deliveries, host.array {}
  if state.paused then return pulled end
  fill_all(box)
  local queue = state.queues[listener.id] or {}
  local count = math.min(limit, #queue)
  for i = 1, count do
    local item = state.items[queue[i]]
    local body, headers = compose(box, item, listener.secret)
    item.attempts, item.status = item.attempts + 1, body and "delivered" or "dropped"
    if body then
      pulled[#pulled + 1] = { id = item.id, event = item.event, type = item.type, body = body, headers = headers }
    end
  end
  state.queues[listener.id] = host.array(table.move(queue, count + 1, #queue, 1, {}))
  return pulled
end

-- ---- Control ----

function deliveries.pause(box) box.state.deliveries.paused = true end

function deliveries.resume(box)
  box.state.deliveries.paused = nil
  pump_all(box)
end

--- Sends all that waits, retries too, each once, even while paused. Returns the counts if nothing has to be waited for;
--- else nil, and the front's request held under `key` gets `reply(counts)`.
function deliveries.flush(box, key, reply)
  local state = box.state.deliveries
  for _, id in ipairs(state.order) do
    if state.items[id].status == "retrying" then enqueue(state, state.items[id]) end
  end
  local flush = box.flushing or { keys = {}, counts = { delivered = 0, failed = 0 }, reply = reply }
  box.flushing = flush
  pump_all(box)
  if next(state.sending) then
    flush.keys[#flush.keys + 1] = key
    return nil
  end
  box.flushing = nil
  return flush.counts
end

-- Calls `change(queue, places)` for each queue, in order of their names, in which deliveries with these properties are
-- pending: where, last ones first. Returns how many.
local function change_pending(box, match, change)
  fill_all(box)
  local state, count = box.state.deliveries, 0
  for _, destination in ipairs(common.keys(state.queues)) do
    local queue, places = state.queues[destination], {}
    for i = #queue, 1, -1 do
      if has_all(state.items[queue[i]], match) then places[#places + 1] = i end
    end
    count = count + #places
    change(queue, places, state.items)
  end
  return count
end

--- What is pending and matches {destination, type, event} is sent twice.
function deliveries.duplicate(box, match)
  return change_pending(box, match, function(queue, places, items)
    for _, i in ipairs(places) do
      add_twin(box, items[queue[i]])
      table.insert(queue, i + 1, table.remove(queue))
    end
  end)
end

--- What is pending and matches is never sent.
function deliveries.drop(box, match)
  return change_pending(box, match, function(queue, places, items)
    for _, i in ipairs(places) do settle(box, items[table.remove(queue, i)], "dropped") end
  end)
end

--- What is pending and matches is sent in another order: thrown by the dice, and never the order that it had.
function deliveries.reorder(box, match)
  return change_pending(box, match, function(queue, places)
    local moved = #places < 2
    local function swap(a, b) queue[a], queue[b] = queue[b], queue[a] end
    for n = #places, 2, -1 do
      local m = 1 + math.floor(host.random() * n)
      moved = moved or m ~= n
      swap(places[n], places[m])
    end
    if not moved then swap(places[1], places[2]) end
  end)
end

--- The log of deliveries that have the properties of `match` {status, destination, type, event}, oldest first.
function deliveries.list(box, match)
  fill_all(box)
  local state, found = box.state.deliveries, host.array {}
  for _, id in ipairs(state.order) do
    if has_all(state.items[id], match) then found[#found + 1] = host.copy(state.items[id]) end
  end
  return found
end

--- Sends an event once more, to one destination or to all that ever had it. Returns how many deliveries that makes.
function deliveries.resend(box, event_id, destination)
  local count, done = 0, {}
  for _, item in ipairs(deliveries.list(box, { event = event_id, destination = destination })) do
    if not done[item.destination] then
      done[item.destination], count = true, count + 1
      add_twin(box, item)
    end
  end
  pump_all(box)
  return count
end

--- After a reset or a restore: nothing is in flight any more, and what was is sent again.
function deliveries.restart(box)
  local state = box.state.deliveries
  box.epoch = (box.epoch or 0) + 1
  for destination, id in pairs(state.sending) do
    state.items[id].status = "pending"
    table.insert(state.queues[destination], 1, id)
  end
  state.sending = {}
  end_flush(box)
  pump_all(box)
end

return deliveries
