--- Snapshots: the whole state as one JSON text that a person can read, and back, exactly: the same ids go on, the same
--- dice fall, the clock shows the same time, lists keep their order.
---
--- The state is plain data, which JSON holds but for two things: those become maps with one name that begins with `$`.
---
---   {"$base64": "..."}         a string that is no UTF-8, such as a file's bytes
---   {"$pairs": [[k, v], ...]}  a table whose keys are not all strings, nor 1..n

local base64 = require "sandbox.base64"
local host = require "sandbox.host"

local snapshot = {}

local FORMAT = 1

-- ---- Out ----

-- Whether all keys are strings of UTF-8, or 1..n.
local function is_plain(t)
  local length, count, named = #t, 0, false
  for key in pairs(t) do
    count = count + 1
    if type(key) == "string" then
      named = true
      if not utf8.len(key) then return false end
    end
  end
  return not named and count == length or named and length == 0
end

local out

-- The table itself where nothing inside is shown otherwise: most of the state.
local function table_out(t)
  if not is_plain(t) then
    local pairs_of = host.array {}
    for key, value in pairs(t) do pairs_of[#pairs_of + 1] = host.array { out(key), out(value) } end
    return { ["$pairs"] = pairs_of }
  end
  local shown = t
  for key, value in pairs(t) do
    local other = out(value)
    if other ~= value and shown == t then shown = host.fields(t) end
    if other ~= value then shown[key] = other end
  end
  return shown
end

function out(value)
  if type(value) == "table" then return table_out(value) end
  if type(value) == "string" and not utf8.len(value) then return { ["$base64"] = base64.encode(value) } end
  return value
end

-- ---- Back ----

-- In place: what a decoded JSON text stands for.
local function back(value)
  if type(value) ~= "table" then return value end
  if type(value["$base64"]) == "string" then return base64.decode(value["$base64"]) end
  if host.is_array(value["$pairs"]) then
    local t = {}
    for _, pair in ipairs(value["$pairs"]) do t[back(pair[1])] = back(pair[2]) end
    return t
  end
  for key, inner in pairs(value) do value[key] = back(inner) end
  return value
end

--- The state as a text.
function snapshot.take(box)
  return host.encode({ pinstripe_snapshot = FORMAT, state = out(box:save()) }, true)
end

--- Puts a text's state in the place of the sandbox's. Returns true; or nil and what is wrong with the text: then
--- nothing has changed.
function snapshot.restore(box, text)
  local saved, why = host.decode(text)
  if type(saved) ~= "table" then return nil, why or "it is not a JSON object" end
  if saved.pinstripe_snapshot ~= FORMAT then
    return nil, ("pinstripe_snapshot must be %d, as in a text that GET /_sandbox/snapshot gave"):format(FORMAT)
  end
  local state = saved.state
  if type(state) ~= "table" or math.type(state.dice) ~= "integer" then return nil, "its state is not whole" end
  for name, part in pairs(box.state) do
    if type(state[name]) ~= type(part) then return nil, ("its state has no %s"):format(name) end
  end
  box:load(back(state))
  return true
end

return snapshot
