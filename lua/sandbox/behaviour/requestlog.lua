--- The log of requests: what came last, for assertions of tests.
---
--- A ring of the last 2,000, one small table each, used again and again, which refers to strings that exist anyway. It
--- is no part of the state: a snapshot leaves it out, a restore leaves it alone. Keys of the API are never shown, nor
--- bodies over 4 KiB.

local host = require "sandbox.host"

local requestlog = {}

local MOST, MOST_BODY = 2000, 4096

function requestlog.new()
  return { count = 0 }
end

--- Notes a request that was answered. `call` is nil where none came about: a wrong key, an unknown path, a fault.
function requestlog.add(box, request, reply, call)
  local log, headers, body = box.log, request.headers, request.body
  local count = log.count
  local entry = log[count % MOST + 1] or {}
  log.count, log[count % MOST + 1] = count + 1, entry
  entry.time = host.time()
  entry.method, entry.path, entry.query = request.method, request.path, request.query
  entry.body = body and #body <= MOST_BODY and body or nil
  entry.status, entry.fault = reply.status, reply.fault
  entry.operation = call and call.operation and call.operation.id
  entry.account = call and call.account
  entry.authorization, entry.idempotency_key = headers.authorization, headers["idempotency-key"]
  entry.request_id = call and call.request_id
end

-- What each parameter of a query asks of an entry.
local asks = {
  method = function(entry, value) return entry.method == value:upper() end,
  path = function(entry, value) return entry.path == value end,
  status = function(entry, value) return entry.status == value end,
  operation = function(entry, value) return entry.operation == value end,
  account = function(entry, value) return entry.account == value end,
  key = function(entry, value)
    return entry.idempotency_key == value or (entry.authorization or ""):match "%s(%S+)$" == value
  end,
  fault = function(entry, value) return entry.fault == value end,
}

local function show(entry)
  local shown = {}
  for name, value in pairs(entry) do shown[name] = value end
  shown.authorization = nil
  return shown
end

--- The entries that a query {method, path, status, operation, account, key, fault} asks for, oldest first; the last
--- `limit` of them.
function requestlog.find(box, query, limit)
  local log, found = box.log, host.array {}
  for i = log.count, math.max(1, log.count - MOST + 1), -1 do
    local entry = log[(i - 1) % MOST + 1]
    local asked = true
    for name, value in pairs(query) do asked = asked and asks[name](entry, value) end
    if asked then found[#found + 1] = show(entry) end
    if limit and #found == limit then break end
  end
  for i = 1, #found // 2 do found[i], found[#found + 1 - i] = found[#found + 1 - i], found[i] end
  return found
end

return requestlog
