--- Webhook endpoints: their secret is shown when they are made and never again; `connect` ones get what happens in
--- connected accounts. What is sent to them and when: deliveries.lua. The list of events tells what came of it.

local deliveries = require "sandbox.deliveries"
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local lists = require "sandbox.lists"

local flow = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

local function check_url(url)
  if url and not url:find "^https?://[^/%s]" then
    error(errors.invalid {
      code = "url_invalid",
      message = ("Invalid URL: %s. It must begin with http:// or https:// and name a host."):format(url),
      param = "url",
    })
  end
end

local function check_events(events)
  if events and #events == 0 then
    error(errors.invalid { message = "Name at least one event, or '*' for all.", param = "enabled_events" })
  end
end

flow.operations["webhook_endpoints.create"] = function(call)
  check_url(call.params.url)
  check_events(call.params.enabled_events)
  local endpoint = generic.build(call)
  endpoint.status = "enabled"
  call.store:insert(endpoint)
  local private = call.store:private(endpoint)
  private.secret, private.connect = "whsec_" .. host.id(32), call.params.connect or false
  local shown = host.copy(endpoint)
  shown.secret = private.secret
  return shown
end

flow.operations["webhook_endpoints.update"] = function(call)
  check_url(call.params.url)
  check_events(call.params.enabled_events)
  local endpoint = call:target()
  local changes = generic.merge(endpoint, call.params)
  changes.disabled = nil
  if call.params.disabled ~= nil then changes.status = call.params.disabled and "disabled" or "enabled" end
  call.store:update(endpoint, changes)
  return endpoint
end

-- Whether an event got to all endpoints that want it.
local function was_delivered(call, event)
  return event.pending_webhooks == 0 and not call.store:private(event).undelivered
end

-- A test for a type with `*`: "charge.*".
local function like(type)
  local pattern = "^" .. type:gsub("%.", "%%."):gsub("%*", ".*") .. "$"
  return function(event) return event.type:find(pattern) ~= nil end
end

flow.operations["events.list"] = function(call)
  return lists.run(call, function(query)
    local type, success = call.params.type, call.params.delivery_success
    if type and type:find("*", 1, true) then
      query.filters.type = nil
      table.insert(query.tests, like(type))
    end
    if success ~= nil then
      table.insert(query.tests, function(event) return was_delivered(call, event) == success end)
    end
  end)
end

flow.jobs["webhook_endpoints.retry"] = function(call, args)
  deliveries.retry(call.box, args.delivery)
end

return flow
