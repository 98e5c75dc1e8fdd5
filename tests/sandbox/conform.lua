-- Whether an object that a client received is what the table says: every field that is not optional is there, every
-- value has its type, every word of an enum is known, nothing is unknown. Returns what is wrong, a line each.
local pinstripe = require "pinstripe"

local null = pinstripe.null

local conform = {}

-- Fields beside those of the table. A thin event's depend on its type; `account` says whose event it is.
local ALSO = {
  ["v2.core.event"] = { related_object = true, data = true },
  event = { account = true, context = true },
}

local check

local function is_array(value) return type(value) == "table"
  and getmetatable(value) == getmetatable(pinstripe.array {}) end

local function wrong(problems, path, what, value)
  local shown = type(value) == "string" and ("%q"):format(value) or type(value) == "table" and (value.object
    or "a table")
    or tostring(value)
  problems[#problems + 1] = ("%s is %s, not %s"):format(path, shown, what)
end

local function one(name, test)
  return function(problems, path, _, value)
    if not test(value) then wrong(problems, path, name, value) end
  end
end

local function is_integer(value) return math.type(value) == "integer" end

local BY_KIND = {
  string = one("a string", function(value) return type(value) == "string" end),
  int = one("an integer", is_integer),
  timestamp = one("a time", is_integer),
  number = one("a number", function(value) return type(value) == "number" end),
  bool = one("a boolean", function(value) return type(value) == "boolean" end),
  decimal = one("a decimal", function(value) return type(value) == "string" and tonumber(value) ~= nil end),
  int64 = one("an int64", function(value) return type(value) == "string"
    and math.tointeger(tonumber(value)) ~= nil end),
  any = function() end,
}

function BY_KIND.enum(problems, path, t, value)
  if t.name == "type" and pinstripe.api.event(value) then return end -- of an event that is in preview, or was dropped
  if t.open then return BY_KIND.string(problems, path, t, value) end
  for _, known in ipairs(t.values) do
    if known == value then return end
  end
  wrong(problems, path, "one of " .. table.concat(t.values, ", "), value)
end

local function check_fields(problems, path, fields, value, also)
  local known = {}
  for _, field in ipairs(fields) do
    known[field.name] = true
    if value[field.name] ~= nil then
      check(problems, path .. "." .. field.name, field, value[field.name])
    elseif not field.optional then
      problems[#problems + 1] = path .. "." .. field.name .. " is missing"
    end
  end
  for name in pairs(value) do
    if not known[name] and not (also and also[name]) then problems[#problems + 1] = path .. "." .. name
      .. " is unknown" end
  end
end

function BY_KIND.object(problems, path, t, value)
  if type(value) ~= "table" or is_array(value) then return wrong(problems, path, "an object", value) end
  if #t.fields > 0 then check_fields(problems, path, t.fields, value) end -- one without: whatever an event is about
end

local function check_items(problems, path, t, value)
  for i, item in ipairs(value) do check(problems, path .. "[" .. (i - 1) .. "]", t, item) end
end

function BY_KIND.array(problems, path, t, value)
  if not is_array(value) then return wrong(problems, path, "an array", value) end
  check_items(problems, path, t.of, value)
end

function BY_KIND.map(problems, path, t, value)
  if type(value) ~= "table" or is_array(value) then return wrong(problems, path, "a map", value) end
  for key, item in pairs(value) do check(problems, path .. "." .. tostring(key), t.of, item) end
end

function BY_KIND.list(problems, path, t, value)
  if type(value) ~= "table" or value.object ~= "list" or not is_array(value.data) then
    return wrong(problems, path, "a list", value)
  end
  if type(value.has_more) ~= "boolean" then wrong(problems, path .. ".has_more", "a boolean", value.has_more) end
  BY_KIND.string(problems, path .. ".url", nil, value.url)
  check_items(problems, path .. ".data", t.of, value.data)
end

function BY_KIND.ref(problems, path, t, value)
  if type(value) ~= "table" then return wrong(problems, path, "a " .. t.ref, value) end
  if t.deleted and value.deleted then return end
  local object = pinstripe.api.object(t.ref)
  check_fields(problems, path, object.fields, value, ALSO[t.ref])
end

local function check_any(problems, path, t, value)
  local best
  for _, variant in ipairs(t.any) do
    local found = {}
    check(found, path, variant, value)
    if #found == 0 then return end
    if not best or #found < #best then best = found end
  end
  for _, problem in ipairs(best) do problems[#problems + 1] = problem end
end

BY_KIND.union = check_any
BY_KIND.refs = check_any

function BY_KIND.expandable(problems, path, t, value)
  if type(value) ~= "string" then check_any(problems, path, t, value) end
end

function BY_KIND.range(problems, path, t, value)
  if type(value) ~= "table" then check(problems, path, t.of, value) end
end

function check(problems, path, t, value)
  if value == null then
    if not t.nullable then wrong(problems, path, "of its type", "null") end
    return
  end
  BY_KIND[t.kind](problems, path, t, value)
end

-- What is wrong with a value of a type.
function conform.problems(t, value, name)
  local problems = {}
  check(problems, name or "it", t, value)
  return problems
end

return conform
