-- A behaviour for tests of the front alone: a request says, as JSON, what it wants to be answered.

local host = require "sandbox.host"

local Box = {}
Box.__index = Box

local function json(value)
  return { status = 200, headers = { ["Content-Type"] = "application/json" }, body = host.encode(value) }
end

local routes = {}

-- What arrived.
routes["/echo"] = function(_, request)
  local echo = { method = request.method, path = request.path, query = request.query, headers = request.headers }
  echo.length = request.body and #request.body
  echo.body = request.body and #request.body <= 1000 and request.body or nil
  return json(echo)
end

-- The reply in the request's body.
routes["/reply"] = function(_, request)
  return (assert(host.decode(request.body)))
end

-- {key, reply}
routes["/finish"] = function(box, request)
  local order = assert(host.decode(request.body))
  return json{ found = box.server.finish(order.key, order.reply) }
end

routes["/deliver"] = function(box, request)
  box.server.deliver(assert(host.decode(request.body)))
  return json{ queued = true }
end

routes["/outcomes"] = function(box)
  return json(host.array(box.outcomes))
end

routes["/wake"] = function(box, request)
  box.server.wake(tonumber(request.body))
  return json{ ticks = box.ticks }
end

routes["/parts"] = function(_, request)
  local parts, problem = host.multipart(request.body)
  return json(parts and host.array(parts) or { problem = problem })
end

routes["/options"] = function(box)
  return json{ seed = box.options.seed, url = box.server.url }
end

routes["/reaches"] = function()
  local found = {}
  for _, name in ipairs{ "io", "debug", "os.execute", "os.getenv", "package.loadlib" } do
    local value = _G
    for part in name:gmatch("%w+") do value = value and value[part] end
    if value ~= nil then found[#found + 1] = name end
  end
  return json(host.array(found))
end

routes["/fails"] = function()
  error("as it was asked to")
end

routes["/fails/later"] = function(box)
  box.fail_at_tick = true
  box.server.wake(0)
  return json{}
end

routes["/not/a/table"] = function()
  return 7
end

function Box:handle(request)
  local route = routes[request.path]
  return route and route(self, request) or { status = 404, headers = {}, body = "no such route" }
end

function Box:tick()
  self.ticks = self.ticks + 1
  if self.fail_at_tick then
    self.fail_at_tick = nil
    error("at a tick")
  end
end

function Box:delivered(id, status, problem)
  self.outcomes[#self.outcomes + 1] = { id = id, status = status, problem = problem }
end

return {
  new = function(options, server)
    return setmetatable({ options = options, server = server, ticks = 0, outcomes = {} }, Box)
  end,
}
