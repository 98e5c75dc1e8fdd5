--- What a request sent, against the operation's parameters: typed values, or the API's error for the first that is
--- wrong. Nothing has happened yet when it is raised.
---
--- Form text arrives as host.form makes it, all leaves strings; JSON as it was. One reader a type knows both: it gets
--- the raw value, the type and the name as messages show it, "items[0][price]".

local currencies = require "sandbox.currencies"
local earlier = require "sandbox.earlier"
local errors = require "sandbox.errors"
local host = require "sandbox.host"
local spec = require "sandbox.spec"

local null, array, type = host.null, host.array, type

local params = {}

local MOST_METADATA, MOST_KEY, MOST_VALUE, MOST_TEXT = 50, 40, 500, 50000
local MOST_NUMBER = 2 ^ 63 -- beyond, JSON would not bring it back as a number

local read = {}

local function nested(path, key) return path and path .. "[" .. key .. "]" or key end

-- The keys of a raw table in the order in which they were sent; of JSON, by name.
local function keys_of(raw)
  if type(raw[1]) == "string" and raw[raw[1]] ~= nil then return raw end
  local keys = {}
  for key in pairs(raw) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- The items of a raw list in order, or nil if it is none.
local function items_of(raw)
  if type(raw) ~= "table" then return nil end
  if type(raw[1]) ~= "string" or raw[raw[1]] == nil then
    return (host.is_array(raw) or next(raw) == nil) and raw or nil
  end
  local indices, items = {}, {}
  for i, key in ipairs(raw) do
    indices[i] = math.tointeger(tonumber(key))
    if not indices[i] then return nil end
  end
  table.sort(indices)
  for i, index in ipairs(indices) do items[i] = raw[tostring(index)] end
  return items
end

--- A raw value without its order of keys: strings, lists and maps.
function params.plain(raw)
  if type(raw) ~= "table" or raw.is_file == true then return raw end
  local items = items_of(raw)
  local result = items and array {} or {}
  if items then
    for i, item in ipairs(items) do result[i] = params.plain(item) end
  else
    for _, key in ipairs(keys_of(raw)) do result[key] = params.plain(raw[key]) end
  end
  return result
end

-- Whether a raw value is what a type reads as it is: most are, and names for messages would be made for nothing.
local function is_text(raw, t)
  return t.kind == "string" and type(raw) == "string" and raw ~= "" and #raw <= MOST_TEXT and t.name ~= "currency"
end

local function value_of(raw, t, path)
  local kind = t.kind
  if raw == null or raw == "" and kind ~= "enum" then
    if t.nullable or t.emptyable then return null end
    error(errors.empty(path))
  end
  return read[kind](raw, t, path)
end

function read.string(raw, t, path)
  if t and t.name == "currency" then return params.currency(raw, path) end
  if type(raw) ~= "string" then error(errors.bad("string", path, raw)) end
  if #raw > MOST_TEXT then
    error(errors.invalid { message = ("Invalid string: %s is too long"):format(path), param = path })
  end
  return raw
end

--- A currency's code in lower case; raises the API's error if `raw` is none.
function params.currency(raw, path)
  local code = read.string(raw, nil, path):lower()
  if not currencies.digits(code) then error(errors.bad("currency", path, raw)) end
  return code
end

function read.int(raw, _, path)
  local value = raw
  if type(raw) == "string" then value = raw:find "^[+-]?%d+$" and math.tointeger(tonumber(raw)) end
  if math.type(value) ~= "integer" then
    error(errors.integer(path, type(raw) == "table" and "an object" or tostring(raw)))
  end
  return value
end

read.timestamp = read.int

function read.number(raw, _, path)
  local value = type(raw) == "string" and raw:find "^[+-]?%d*%.?%d*$" and tonumber(raw) or raw
  if type(value) ~= "number" or not (value > -MOST_NUMBER and value < MOST_NUMBER) then
    error(errors.bad("number", path, raw))
  end
  return value
end

function read.decimal(raw, _, path)
  if type(raw) == "number" then raw = ("%.12g"):format(raw) end
  if type(raw) ~= "string" or not (raw:find "^[+-]?%d+$" or raw:find "^[+-]?%d*%.%d+$") then
    error(errors.bad("decimal", path, raw))
  end
  return raw
end

function read.int64(raw, _, path)
  if math.type(raw) == "integer" then raw = tostring(raw) end
  if type(raw) ~= "string" or not raw:find "^[+-]?%d+$" then error(errors.bad("integer", path, raw)) end
  return raw
end

function read.bool(raw, _, path)
  if raw == true or raw == "true" then return true end
  if raw == false or raw == "false" then return false end
  error(errors.bad("boolean", path, raw))
end

local function one_of(values)
  local names = {}
  for i, value in ipairs(values) do names[i] = value end
  local last = table.remove(names) or "none"
  return #names == 0 and last or table.concat(names, ", ") .. " or " .. last
end

-- What an older version called words of enums: of the request that is being read.
local older_words = {}

function read.enum(raw, t, path)
  if raw == "" and (t.emptyable or t.nullable) then return null end
  local now = older_words[raw]
  for _, value in ipairs(t.values) do
    if raw == value or now == value then return value end
  end
  error(errors.invalid { message = ("Invalid %s: must be one of %s"):format(path, one_of(t.values)), param = path })
end

function read.any(raw) return params.plain(raw) end

function read.file(raw, _, path)
  if type(raw) ~= "table" or raw.is_file ~= true then error(errors.bad("file", path, raw)) end
  return raw
end

function read.array(raw, t, path)
  local items = items_of(raw)
  if not items then error(errors.bad("array", path, raw)) end
  local values = array {}
  for i, item in ipairs(items) do values[i] = value_of(item, t.of, nested(path, i - 1)) end
  return values
end

read.list = read.array

local function check_metadata(values, path)
  local count = 0
  for key, value in pairs(values) do
    count = count + 1
    local wrong = #key > MOST_KEY and ("keys have at most %d characters"):format(MOST_KEY)
      or type(value) == "string" and #value > MOST_VALUE and utf8.len(value) > MOST_VALUE
        and ("values have at most %d characters"):format(MOST_VALUE)
      or key:find "[%[%]]" and "keys hold no brackets"
    if wrong then error(errors.invalid { message = "Invalid metadata: " .. wrong, param = nested(path, key) }) end
  end
  if count > MOST_METADATA then
    error(errors.invalid { message = ("Invalid metadata: at most %d keys"):format(MOST_METADATA), param = path })
  end
end

function read.map(raw, t, path)
  if type(raw) ~= "table" then error(errors.bad("object", path, raw)) end
  local values, of, keys = {}, t.of, keys_of(raw)
  for i = 1, #keys do
    local key = keys[i]
    local value = raw[key]
    if t.metadata and (value == "" or value == null) then
      value = null
    elseif not is_text(value, of) then
      value = value_of(value, of, nested(path, key))
    end
    values[type(key) == "string" and key or tostring(key)] = value
  end
  if t.metadata then check_metadata(values, path) end
  return values
end

local bounds = { gt = true, gte = true, lt = true, lte = true }

function read.range(raw, t, path)
  if type(raw) ~= "table" then return value_of(raw, t.of, path) end
  local values = {}
  for _, key in ipairs(keys_of(raw)) do
    if not bounds[key] then error(errors.unknown { nested(path, key) }) end
    values[key] = value_of(raw[key], t.of, nested(path, key))
  end
  return values
end

-- Which of a union's types a raw value can be: the error of the last one that had its form stands for all.
local function fits(raw, t)
  local structured = t.kind == "object" or t.kind == "map" or t.kind == "array" or t.kind == "range" or t.kind == "list"
  return structured == (type(raw) == "table") or t.kind == "any"
end

function read.union(raw, t, path)
  local err
  for _, variant in ipairs(t.any) do
    if fits(raw, variant) then
      local ok, value = pcall(value_of, raw, variant, path)
      if ok then return value end
      err = value
    end
  end
  error(err or errors.bad("value", path, raw))
end

function read.expandable(raw, _, path) return read.string(raw, nil, path) end
read.ref = read.expandable
read.refs = read.expandable

-- Whether an older parameter was sent in the place of a required one.
local function is_replaced(raw, name, more)
  for older, t in pairs(more or {}) do
    if t.replaces == name and raw[older] ~= nil then return true end
  end
  return false
end

-- Reads the fields of an object; unknown ones are an error of all of them, then missing ones, then wrong ones.
local function read_fields(raw, by_name, required, path, more)
  local keys, unknown = keys_of(raw), nil
  local values = { a = nil, b = nil, c = nil, d = nil } -- room for four
  for i = 1, #keys do
    local key = keys[i]
    if not by_name[key] and not (more and more[key]) then
      unknown = unknown or {}
      unknown[#unknown + 1] = nested(path, key)
    end
  end
  if unknown then error(errors.unknown(unknown)) end
  for i = 1, #required do
    local name = required[i]
    if raw[name] == nil and not is_replaced(raw, name, more) then
      error(errors.parameter_missing(nested(path, name)))
    end
  end
  for i = 1, #keys do
    local key = keys[i]
    local value, t = raw[key], more and more[key] or by_name[key]
    values[key] = is_text(value, t) and value or value_of(value, t, nested(path, key))
  end
  return values
end

local function required_of(t)
  if not t.required_names then
    t.required_names = {}
    for _, field in ipairs(t.fields) do
      if field.required then t.required_names[#t.required_names + 1] = field.name end
    end
  end
  return t.required_names
end

function read.object(raw, t, path)
  if type(raw) ~= "table" then error(errors.bad("object", path, raw)) end
  return read_fields(raw, spec.fields(t), required_of(t), path)
end

local expand = { expand = { kind = "array", of = { kind = "string" } } }
local expand_and = {}

local page = { page = { kind = "string" } }

-- A list of objects that may have more fields.
local function widened(t, adds)
  local fields, by_name = t.of.fields, {}
  for name, field in pairs(spec.fields(t.of)) do by_name[name] = field end
  for name, field in pairs(adds) do by_name[name] = field end
  return { kind = t.kind, of = { kind = t.of.kind, fields = fields, by_name = by_name } }
end

-- What every operation of v1 takes beside its parameters: `expand`, and, for an older version, what that had.
local function beside(operation, version)
  if operation.version == 2 then return page end
  local older = operation.earlier and (not version or version < spec.version) and operation.earlier
  if not older then return expand end
  local more = expand_and[operation]
  if not more then
    more = { expand = expand.expand }
    for name, t in pairs(older) do more[name] = t.adds and widened(operation.by_name[name], t.adds) or t end
    expand_and[operation] = more
  end
  return more
end

--- Reads `raw` (as host.form, host.multipart or JSON gave it) for an operation, sent with this Stripe-Version or none.
function params.read(operation, raw, version)
  older_words = (not version or version < spec.version) and earlier.words or {}
  return read_fields(raw, operation.by_name, operation.required, nil, beside(operation, version))
end

return params
