--- Idempotency: a write that comes again with its key gets the reply that it got the first time, byte for byte, and
--- nothing happens a second time.
---
--- Keys belong to an account and live 24 hours of the sandbox's clock. What a key stands for is the request as it came,
--- which costs nothing to keep; where its bytes differ (another order, another multipart boundary) the params decide.
--- Replies are kept in two generations: when the young one has grown to its share it becomes the old one, and the old
--- one is forgotten, so that memory is bounded whatever the number of keys.
---
---     state = { young = {["account key"] = entry}, old = {...}, size = bytes in young }
---     entry = { at, what, body, status, type, reply, request_id }

local errors = require "sandbox.errors"
local host = require "sandbox.host"
local params = require "sandbox.params"

local idempotency = {}

local LIFETIME, LONGEST_KEY = 24 * 3600, 255
local SHARE, ENTRY = 32 * 1024 * 1024, 400 -- bytes: of a generation; of an entry beside its texts

--- The state of a sandbox that has seen no key.
function idempotency.new()
  return { young = {}, old = {}, size = 0 }
end

local function what(request)
  return request.method .. " " .. request.path .. "?" .. (request.query or "")
end

local function is_multipart(request)
  return (request.headers["content-type"] or ""):lower():find("^multipart/") ~= nil
end

-- What stands for a file's content: its size, and a sum over at most 64 KiB of it.
local function digest(text)
  local sum, step = 5381, #text // 65536 + 1
  for i = 1, #text, step do sum = (sum * 33 + text:byte(i)) & 0xffffffff end
  return ("%d bytes %08x"):format(#text, sum)
end

local function without_content(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for name, part in pairs(value) do
    copy[tostring(name)] = value.is_file == true and type(part) == "string" and #part > 256 and digest(part)
      or without_content(part)
  end
  return copy
end

-- The params of a request, as text that doesn't depend on how they were written. Multipart is already read.
local function canonical(body)
  local raw = body:find "^%s*[{%[]" and host.decode(body) or host.form(body)
  return raw and host.encode(params.plain(raw)) or body
end

local function body_of(request, call)
  if is_multipart(request) then return host.encode(without_content(call.params)) end
  return request.body or ""
end

local function same(entry, request, call)
  if entry.what ~= what(request) then return false end
  local body = body_of(request, call)
  return entry.body == body or not is_multipart(request) and canonical(entry.body) == canonical(body)
end

local function find(box, call)
  local state, name = box.state.idempotency, call.account .. " " .. call.key
  local entry = state.young[name] or state.old[name]
  if entry and entry.at + LIFETIME > call:now() then return entry end
end

local function check_key(key)
  if #key <= LONGEST_KEY then return end
  error(errors.invalid {
    message = ("An idempotency key has at most %d bytes, not %d."):format(LONGEST_KEY, #key),
  })
end

--- The reply that the call's key stands for; nil: it is a new key. Raises the API's error for a key that stands for
--- another request, or whose reply is still on its way.
function idempotency.check(box, request, call)
  check_key(call.key)
  local entry = find(box, call)
  if not entry then return nil end
  if not same(entry, request, call) then
    error(errors.new(400, "idempotency_error", {
      message = ("Keys for idempotent requests can only be used with the same endpoint and parameters: "
        .. "'%s' was first used with %s."):format(call.key, (entry.what:gsub("%?$", ""))),
    }))
  end
  if entry.due and host.time() < entry.due then
    error(errors.new(409, "idempotency_error", {
      code = "idempotency_key_in_use",
      message = ("A request with the idempotency key '%s' is still under way."):format(call.key),
    }))
  end
  return {
    status = entry.status, body = entry.reply, headers = {
      ["Content-Type"] = entry.type, ["Idempotency-Key"] = call.key, ["Original-Request"] = entry.request_id,
      ["Idempotent-Replayed"] = "true",
    },
  }
end

--- Keeps the reply of a request that was carried out, under the call's key.
function idempotency.store(box, request, call, reply)
  local state, body = box.state.idempotency, body_of(request, call)
  if state.size > SHARE then state.old, state.young, state.size = state.young, {}, 0 end
  state.size = state.size + #body + #reply.body + ENTRY
  state.young[call.account .. " " .. call.key] = {
    at = call:now(), what = what(request), body = body, request_id = call.request_id,
    status = reply.status, type = reply.headers["Content-Type"], reply = reply.body,
  }
end

--- The reply under the call's key is on its way for so many seconds more.
function idempotency.hold(box, call, seconds)
  local entry = find(box, call)
  if entry then entry.due = host.time() + seconds end
end

return idempotency
