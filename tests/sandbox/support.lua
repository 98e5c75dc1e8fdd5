--- What the sandbox's specs share: a sandbox in this Lua state, without its HTTP front, and clients of it. Lua 5.4.

local source = assert(os.getenv "PS_SOURCE_DIR")
local folder = source .. "/lua/sandbox/behaviour/"

-- "sandbox.x" is behaviour/x.lua, as in the library that embeds it.
table.insert(package.searchers, 2, function(name)
  local rest = name == "sandbox" and "init" or name:match "^sandbox%.(.+)"
  if not rest or rest == "host" then return nil end
  local chunk, why = loadfile(folder .. rest:gsub("%.", "/") .. ".lua")
  return chunk or "\n\t" .. why
end)

local pinstripe = require "pinstripe"

local support = { pinstripe = pinstripe }

-- The front reads multipart bodies; here it is not there.
local host = require "sandbox.host"
host.multipart = host.multipart or function(body, content_type)
  local boundary = content_type:match 'boundary="?([^";]+)'
  local parts, at = {}, #boundary + 5
  while true do
    local stop = body:find("\r\n--" .. boundary, at, true)
    if not stop then return parts end
    local head, content = body:sub(at, stop - 1):match "^(.-)\r\n\r\n(.*)$"
    parts[#parts + 1] = {
      name = head:match '[; ]name="([^"]*)"', filename = head:match 'filename="([^"]*)"',
      type = head:match "[Cc]ontent%-[Tt]ype: *([^\r\n]+)", content = content,
    }
    at = stop + #boundary + 6
  end
end

local function text_of(body)
  if type(body) ~= "table" then return body end
  local parts = {}
  for part in body.read do parts[#parts + 1] = part end
  return table.concat(parts)
end

local function lower(headers)
  local result = {}
  for name, value in pairs(headers) do result[name:lower()] = value end
  return result
end

-- A request of the client's, as the front would hand it over.
local function send(box, request)
  local path, query = request.url:match "^%a+://[^/]+([^?]*)%??(.*)$"
  local reply = box:handle {
    method = request.method, path = path, query = query ~= "" and query or nil, headers = lower(request.headers),
    body = text_of(request.body),
  }
  if reply.close then return nil, "connection lost: " .. reply.close end
  if reply.truncate_at and reply.truncate_at < #reply.body then return nil, "connection lost: truncated" end
  return { status = reply.status, headers = reply.headers, body = reply.body }
end

-- What the last events showed of their objects when they were made: event, text, event, text, ...
local MOST_WATCHED = 400
local watched, count = {}, 0

local events = require "sandbox.events"
local emit = events.emit

function events.emit(...)
  local event = emit(...)
  if event and event.data and event.data.object then
    watched[count + 1], watched[count + 2] = event, host.encode(event.data.object)
    count = (count + 2) % MOST_WATCHED
  end
  return event
end

-- An event holds its object itself until it changes: whoever changes it elsewhere than in the store changes the event.
local function check_events()
  for i = 1, #watched, 2 do
    local event, before = watched[i], watched[i + 1]
    local now = host.encode(event.data.object)
    if now ~= before then
      watched, count = {}, 0
      error(("what %s shows has changed from\n%s\nto\n%s"):format(event.type, before, now))
    end
  end
end

--- A sandbox; `options` as for sandbox.new. box:client(options) makes clients of it.
function support.box(options, server)
  local box = require "sandbox".new(options, server)
  watched, count = {}, 0
  local answer = box.handle
  function box.handle(...)
    local reply = answer(...)
    check_events()
    return reply
  end
  local handle = {}
  function handle.client(_, client_options)
    local all = {
      api_key = "sk_test_123", api_base = "http://127.0.0.1:1", files_base = "http://127.0.0.1:1",
      connect_base = "http://127.0.0.1:1", meter_events_base = "http://127.0.0.1:1",
      transport = { send = function(request) return send(box, request) end, sleep = function() end },
    }
    for name, value in pairs(client_options or {}) do all[name] = value end
    return pinstripe.client(all)
  end
  return setmetatable(handle, { __index = function(_, name)
    local value = box[name]
    if type(value) ~= "function" then return value end
    return function(_, ...) return value(box, ...) end
  end })
end

--- Types of the events that the account of a client has, oldest first.
function support.events(client)
  local types = {}
  for event in client.events:each() do table.insert(types, 1, event.type) end
  return types
end

return support
