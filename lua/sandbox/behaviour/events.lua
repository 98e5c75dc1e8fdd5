--- Events: one for each transition, in order, with the object as GET shows it at that moment. Objects are changed by
--- replacing fields, never inside them, and once stored through the store alone: so an event needs no deep copy.

local deliveries = require "sandbox.deliveries"
local host = require "sandbox.host"
local render = require "sandbox.render"
local spec = require "sandbox.spec"

local events = {
  --- Emits a thin event, of v2: function(call, type, object), which v2.lua brings.
  thin = nil,
}

-- Lists inside an object hold objects that change by themselves: only those are copied.
local function data_of(call, object, previous)
  local data = { object = false }
  if previous then data.previous_attributes = previous end
  local shown = render.object(call, object, render.unexpanded)
  if shown == object then call.store:show(object, data) else data.object = host.copy(shown) end
  return data
end

--- Emits an event of a type that the table has; of another, nothing. `previous`: what changed fields had before.
function events.emit(call, type, object, previous)
  local known = spec.event(type)
  if not known then return nil end
  if known.thin then return events.thin(call, type, object) end
  local event = {
    id = "",
    object = "event",
    api_version = spec.version,
    created = call:now(),
    data = data_of(call, object, previous),
    livemode = false,
    pending_webhooks = 0,
    request = { id = call.request_id or host.null, idempotency_key = call.key or host.null },
    type = type,
  }
  if call.store ~= call.platform then event.account = call.account end
  call.store:insert(event)
  deliveries.queue(call, event)
  return event
end

--- The type of the event that tells of an object: "payment_intent.created", "issuing_card.created",
--- "customer.subscription.created"; nil if the table has none.
function events.name(object, what)
  local kind = object.object
  local type = kind .. "." .. what
  if spec.event(type) then return type end
  type = kind:gsub("%.", "_") .. "." .. what
  if spec.event(type) then return type end
  type = object.customer and object.customer ~= host.null and "customer." .. kind .. "." .. what
  return type and spec.event(type) and type or nil
end

--- Emits "<object>.created" and the like, if the table has such an event.
function events.of(call, object, what, previous)
  local type = events.name(object, what)
  return type and events.emit(call, type, object, previous)
end

return events
