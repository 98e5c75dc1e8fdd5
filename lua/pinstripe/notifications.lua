--- Thin events at work: methods of a client that fetch what an event is about, and a handler that gives each event to
-- the function of its type.
--
--     local handler = stripe:notification_handler(secrets, function(notification, client, known) ... end)
--     handler:on("v1.billing.meter.error_report_triggered", function(notification, client)
--       local meter = pinstripe.check(client:fetch_related_object(notification))
--     end)
--     local notification, err = handler:handle(body, headers["stripe-signature"])
--
-- The client that a function is given is the handler's own in the event's context, or in none; never in another's.

local core = require "pinstripe.core"
local iterator = require "pinstripe.iterator"
local webhook = require "pinstripe.webhook"

local STATE = iterator.STATE

local notifications = {}

local function state_of(self, name)
  local state = type(self) == "table" and rawget(self, STATE)
  return state or error(name .. " is a method: call it with a colon, as stripe:" .. name .. "(...)", 3)
end

local function fetch(state, name, what, notification)
  if type(notification) ~= "table" then
    error(name .. ": a thin event expected, as parse_notification returns, not a " .. type(notification), 3)
  end
  local call, misuse = core.fetch(state.core, what, notification)
  if not call then error(name .. ": " .. misuse, 3) end
  return call
end

--- The event itself, with its data; or nil, err.
function notifications.fetch_event(self, notification)
  local state = state_of(self, "fetch_event")
  return iterator.finish(state, fetch(state, "fetch_event", "event", notification))
end

--- The object that the event is about; or nil, err.
function notifications.fetch_related_object(self, notification)
  local state = state_of(self, "fetch_related_object")
  return iterator.finish(state, fetch(state, "fetch_related_object", "related_object", notification))
end

local Handler = { __name = "pinstripe.notification_handler" }
Handler.__index = Handler

local function check_handler(self, name)
  if type(self) == "table" and getmetatable(self) == Handler then return end
  error(name .. " is a method of a handler: call it with a colon, as handler:" .. name .. "(...)", 3)
end

local function check_function(name, f)
  if type(f) ~= "function" then error(name .. ": a function expected, not a " .. type(f), 3) end
end

local function check_open(self, name)
  if self.closed then error(name .. ": the handler has handled an event; register before that", 3) end
end

--- A handler. `fallback(notification, client, known)` gets the events of all other types, and whether the library knows
-- the type. Secrets as for pinstripe.webhook.construct; nil if only handle_without_verification is used.
function notifications.notification_handler(self, secrets, fallback)
  state_of(self, "notification_handler")
  check_function("notification_handler", fallback)
  return setmetatable({ client = self, secrets = secrets, fallback = fallback, functions = {} }, Handler)
end

--- Registers the function of a type: f(notification, client). Each type has one.
function Handler:on(event_type, f)
  check_handler(self, "on")
  check_function("on", f)
  check_open(self, "on")
  if type(event_type) ~= "string" then error("on: the type must be a string, not a " .. type(event_type), 2) end
  if self.functions[event_type] then error("on: " .. event_type .. " has a function already", 2) end
  self.functions[event_type] = f
end

--- Runs before each event's function: one that returns false ends the matter there.
function Handler:pre_handle(f)
  check_handler(self, "pre_handle")
  check_function("pre_handle", f)
  check_open(self, "pre_handle")
  if self.veto then error("pre_handle: the handler has one already", 2) end
  self.veto = f
end

--- The types that have a function of their own, in order.
function Handler:registered_event_types()
  check_handler(self, "registered_event_types")
  local types = {}
  for name in pairs(self.functions) do types[#types + 1] = name end
  table.sort(types)
  return types
end

-- The handler's client in the context of an event.
local function scope(client, notification)
  local own = {}
  for key, value in pairs(rawget(client, STATE)) do own[key] = value end
  local context = notification.context
  own.core = core.scoped(own.core, type(context) == "string" and context or "")
  return setmetatable({ [STATE] = own, request = rawget(client, "request") }, getmetatable(client))
end

local function dispatch(self, notification)
  local client = scope(self.client, notification)
  if self.veto and self.veto(notification, client) == false then return end
  local name = notification.type
  local own = name ~= nil and self.functions[name]
  if own then return own(notification, client) end
  self.fallback(notification, client, type(name) == "string" and core.event(name) ~= nil)
end

--- Checks and reads what came, and gives it to its function: the notification; or nil, err. An error that the function
-- raises passes through. Options as for pinstripe.webhook.construct.
function Handler:handle(body, header, options)
  check_handler(self, "handle")
  self.closed = true
  local notification, err = webhook.parse_notification(body, header, self.secrets, options)
  if notification then dispatch(self, notification) end
  return notification, err
end

--- The same for an event from EventBridge or Event Grid, or bare.
function Handler:handle_without_verification(body)
  check_handler(self, "handle_without_verification")
  self.closed = true
  local notification, err = webhook.parse_notification_without_verification(body)
  if notification then dispatch(self, notification) end
  return notification, err
end

return notifications
