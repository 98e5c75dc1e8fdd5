--- What the specs share: transports that answer from a script, and tests/faults/server.py for real sockets.
local pinstripe = require "pinstripe"

local support = {}

support.KEY = "sk_test_51SpecsSpecsSpecsSpecs9Xy2"

--- Whether integers have 64 bits here.
support.has_integers = math.type ~= nil

support.is_51 = _VERSION == "Lua 5.1" and not rawget(_G, "jit")

function support.source(path)
  return (os.getenv "PS_SOURCE_DIR" or ".") .. "/" .. path
end

function support.read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

function support.load_json(path)
  local value, why = pinstripe.json.decode(support.read_file(support.source(path)))
  return value or error(path .. ": " .. tostring(why))
end

--- A client whose requests go to `send`; what was sent is in the list that comes second. `send` may be a table: the
-- replies in order, each {status, headers, body} or a value that is sent as JSON.
function support.client(send, options)
  local requests = {}
  local replies, count = send, 0
  local function answer(request)
    count = count + 1
    local reply = replies[count] or error("request " .. count .. " has no reply: " .. request.url)
    if reply.status then return reply end
    return { status = 200, headers = {}, body = pinstripe.json.encode(reply) }
  end
  local carry = type(send) == "function" and send or answer
  local all = {
    transport = {
      send = function(request)
        requests[#requests + 1] = request
        return carry(request)
      end,
      sleep = function(seconds) requests.slept = (requests.slept or 0) + seconds end,
    },
  }
  for name, value in pairs(options or {}) do all[name] = value end
  return pinstripe.client(support.KEY, all), requests
end

--- A reply whose body is `value` as JSON.
function support.reply(status, value, headers)
  return { status = status, headers = headers or {}, body = pinstripe.json.encode(value) }
end

--- A v1 page of objects with these ids.
function support.page(ids, has_more, url)
  local data = pinstripe.array()
  for i, id in ipairs(ids) do data[i] = { id = id, object = "charge", amount = 100 * i } end
  return { object = "list", url = url or "/v1/charges", has_more = has_more, data = data }
end

--- The path and query of a request's URL.
function support.path(request)
  return (request.url:gsub("^https?://[^/]+", ""))
end

--- The ids of what an iterator gives; "!" for an error, after which it goes on.
function support.collect(it, most)
  local ids = {}
  while #ids < (most or 100) do
    local item, err = it:next()
    if item == nil and err == nil then break end
    ids[#ids + 1] = item and item.id or "!"
  end
  return ids
end

local function sleep(seconds)
  os.execute("sleep " .. seconds)
end

--- Runs a script in a process of its own, with these variables: what it printed, and wrote to stderr.
function support.run(script, variables)
  local path, out, log = os.tmpname(), os.tmpname(), os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  local parts = { "env" }
  for name, value in pairs(variables or {}) do parts[#parts + 1] = name .. "='" .. value .. "'" end
  parts[#parts + 1] = ("%s %s > %s 2> %s"):format(os.getenv "PS_LUA", path, out, log)
  os.execute(table.concat(parts, " "))
  local printed, logged = support.read_file(out), support.read_file(log)
  for _, name in ipairs{ path, out, log } do os.remove(name) end
  return printed, logged
end

--- Starts the scripted server; `arguments` are more of its own. {base, control, requests(), stop()}.
function support.server(script, arguments)
  local output = os.tmpname()
  local command = string.format("'%s' '%s' '%s' %s > %s", os.getenv "PS_PYTHON" or "python3",
    support.source "tests/faults/server.py", pinstripe.json.encode(pinstripe.array(script)), arguments or "", output)
  local process = assert(io.popen(command, "w")) -- it ends when its stdin closes
  local server = {}
  for _ = 1, 100 do
    server.base, server.control = support.read_file(output):match("(http%S+)%s+(http%S+)\n")
    if server.base then break end
    sleep(0.05)
  end
  os.remove(output)
  assert(server.base, "the server did not start")

  function server.client(options)
    local all = { api_base = server.base, files_base = server.base }
    for name, value in pairs(options or {}) do all[name] = value end
    return pinstripe.client(support.KEY, all)
  end

  function server.requests()
    local client = pinstripe.client(support.KEY, { api_base = server.control })
    return pinstripe.check(client:request("GET", "/_log")).data
  end

  function server.stop()
    process:close()
  end

  return server
end

return support
