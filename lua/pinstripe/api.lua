--- The API's table, as data: every service, operation, parameter, object and event that this library knows.
--
--     local op = pinstripe.api.operation "customers.create"
--     for _, param in ipairs(op.params) do print(param.name, param.kind, param.required) end
--     print(op.params.email.kind)
--
-- Each function answers with fresh tables; nothing that is done to them changes the library.

local core = require "pinstripe.core"

local api = { version = core.api_version() }

-- An iterator over the facts of all that `next_name` names, in order.
local function walk(next_name, facts)
  local name
  return function()
    name = next_name(name)
    if name then return facts(name) end
  end
end

--- A service: {path, services = {paths of those below it}, operations = {names}}; nil if there is none. "" is the top.
api.service = core.service

--- An operation: {id, service, name, method, path, ids, params, returns, kind, encoding, base, version, ...}; or nil.
api.operation = core.operation

--- The operation of a method and a path, with or without ids in it; or nil.
api.route = core.route

--- An object: {name, sdk_name, id_prefix, fields, deleted}; or nil.
api.object = core.object

--- An event: {type, thin, objects, data}; or nil.
api.event = core.event

--- The known values of an error's code.
api.error_codes = core.error_codes

--- The id of the operation that is nearest to a wrong one, or nil.
api.nearest = core.nearest

--- for service in api.services()
function api.services()
  return walk(core.service_next, core.service)
end

--- for operation in api.operations(), or of one service: api.operations "customers"
function api.operations(path)
  if path == nil then return walk(core.operation_next, core.operation) end
  local service = core.service(path) or error("there is no service \"" .. tostring(path) .. "\"", 2)
  local i = 0
  return function()
    i = i + 1
    local name = service.operations[i]
    if name then return core.operation(path .. "." .. name) end
  end
end

--- for object in api.objects()
function api.objects()
  return walk(core.object_next, core.object)
end

--- for event in api.events()
function api.events()
  return walk(core.event_next, core.event)
end

return api
