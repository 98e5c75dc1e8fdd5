--- Webhook endpoints: their secret is shown when they are made and never again; `connect` ones get what happens in
--- connected accounts. What is sent to them and when: deliveries.lua. The list of events tells what came of it.

local common = require "sandbox.flows.common"
local deliveries = require "sandbox.deliveries"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local lists = require "sandbox.lists"

local flow = { operations = {}, jobs = {} }

local function check(params)
  local url, events = params.url, params.enabled_events
  common.refuse_if(url and not url:find "^https?://[^/%s]",
    "Invalid URL: %s. It must begin with http:// or https:// and name a host.", "url", "url_invalid", url)
  if events and #events == 0 then common.refuse("Name at least one event, or '*' for all.", "enabled_events") end
end

flow.operations["webhook_endpoints.create"] = function(call)
  check(call.params)
  local endpoint = generic.build(call)
  endpoint.status = "enabled"
  call.store:insert(endpoint)
  local private = call:note(endpoint)
  private.secret, private.connect = "whsec_" .. host.id(32), call.params.connect or false
  return common.changed(endpoint, { secret = private.secret })
end

flow.operations["webhook_endpoints.update"] = function(call)
  check(call.params)
  local endpoint, disabled = call:target(), call.params.disabled
  local changes = call:asked(endpoint)
  changes.disabled = nil
  if disabled ~= nil then changes.status = disabled and "disabled" or "enabled" end
  call.store:update(endpoint, changes)
  return endpoint
end

flow.operations["events.list"] = function(call)
  return lists.run(call, function(query)
    local type, success = call.params.type, call.params.delivery_success
    if type and type:find("*", 1, true) then -- "charge.*"
      local pattern = "^" .. type:gsub("%.", "%%."):gsub("%*", ".*") .. "$"
      query.filters.type = nil
      table.insert(query.tests, function(event) return event.type:find(pattern) ~= nil end)
    end
    if success ~= nil then
      table.insert(query.tests, function(event)
        return (event.pending_webhooks == 0 and not call:note(event).undelivered) == success
      end)
    end
  end)
end

flow.jobs["webhook_endpoints.retry"] = function(call, args) deliveries.retry(call.box, args.delivery) end

return flow
