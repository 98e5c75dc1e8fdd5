--- Objects as the table describes them, empty: every field that is not optional, with its empty value.

local host = require "sandbox.host"
local spec = require "sandbox.spec"

local null, array = host.null, host.array

local shape = {}

local empty = {
  string = function() return "" end,
  int = function() return 0 end,
  number = function() return 0 end,
  timestamp = function() return 0 end,
  int64 = function() return "0" end,
  decimal = function() return "0" end,
  bool = function() return false end,
  array = function() return array {} end,
  map = function() return {} end,
  enum = function(t) return t.values[1] or "" end,
  expandable = function() return "" end,
  any = function() return null end,
}

function empty.object(t, depth)
  local object = {}
  for _, field in ipairs(t.fields) do
    if not field.optional and field.kind ~= "list" then object[field.name] = shape.empty(field, depth + 1) end
  end
  return object
end

-- An object inside an object; one that would hold itself ends as null.
function empty.ref(t, depth)
  local object = depth < 4 and spec.object(t.ref)
  return object and empty.object(object, depth + 1) or null
end

function empty.union(t, depth)
  return shape.empty(t.any[1], depth)
end

--- The empty value of a type.
function shape.empty(t, depth)
  if t.nullable and not t.metadata then return null end
  local make = empty[t.kind]
  if not make then return null end
  return make(t, depth or 0)
end

-- A value as Lua that makes it.
local function source_of(value)
  if value == null then return "null" end
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts = {}
  for name, part in pairs(value) do parts[#parts + 1] = ("[%q] = %s"):format(name, source_of(part)) end
  return (host.is_array(value) and "array {%s}" or "{%s}"):format(table.concat(parts, ", "))
end

local makers = {}

--- A new object of a kind; its `id` is "" and its `created`, if it has one, 0. A constructor makes it in half the time
--- of a copy.
function shape.new(kind)
  local make = makers[kind]
  if not make then
    local object = empty.object(spec.object(kind), 0)
    object.object = kind
    make = load("local null, array = ... return function() return " .. source_of(object) .. " end")(null, array)
    makers[kind] = make
  end
  return make()
end

--- The object that a nested field holds when something is set in it: all its fields, empty.
function shape.nested(t)
  if t.kind == "ref" then return empty.ref(t, 0) end
  return t.kind == "object" and empty.object(t, 0) or {}
end

return shape
