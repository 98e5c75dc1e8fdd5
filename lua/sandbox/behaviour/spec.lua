--- What the table says, in the form in which the sandbox asks: operations with their parameters by name, objects with
--- their fields by name, the kinds of object that stand at a path. Everything is read once, when it is first needed.

local core = require "pinstripe.core"
local host = require "sandbox.host"
local earlier = require "sandbox.earlier"

local spec = { version = core.api_version() }

-- A table whose absent fields are made by `make` once; what it answers nil for is not asked again.
local function memo(make)
  local known = {}
  return function(key)
    local value = known[key]
    if value == nil then
      value = make(key) or false
      known[key] = value
    end
    return value or nil
  end
end

--- The fields of an object type, by name.
function spec.fields(t)
  local by_name = t.by_name
  if not by_name then
    by_name = {}
    for _, field in ipairs(t.fields) do by_name[field.name] = field end
    t.by_name = by_name
  end
  return by_name
end

--- The names of the objects that a type may hold or refer to, in order.
function spec.kinds(t, kinds)
  kinds = kinds or {}
  if t.ref and not kinds[t.ref] then
    kinds[#kinds + 1] = t.ref
    kinds[t.ref] = true
  end
  for _, variant in ipairs(t.any or {}) do spec.kinds(variant, kinds) end
  if t.kind == "list" then spec.kinds(t.of, kinds) end
  return kinds
end

local function required(t)
  local names = {}
  for _, field in ipairs(t) do
    if field.required then names[#names + 1] = field.name end
  end
  return names
end

-- The kinds at a path up to an id in it: of what GET answers there, or of the same path without its part for tests.
local function kinds_at(path)
  local id = host.route("GET", path) or host.route("GET", (path:gsub("/test_helpers", "", 1)))
  local operation = id and core.operation(id)
  if not operation or operation.returns.kind ~= "object" then return nil end
  return spec.kinds(operation.returns.type)
end

-- For each id in the operation's path, the kinds of object that it names; the last one's default is what it returns.
local function kinds_in_path(operation, returned)
  local found, upto = {}, 1
  for i in ipairs(operation.ids) do
    local _, stop = operation.path:find("{[^}]*}", upto)
    local kinds = kinds_at(operation.path:sub(1, stop))
    found[i] = kinds or (i == #operation.ids and returned) or {}
    upto = stop + 1
  end
  return found
end

-- What payment_method_data takes beside what the table says: a card, by its token or its number.
local card = { kind = "object", name = "card", fields = {} }
for name, kind in pairs { token = "string", number = "string", cvc = "string", exp_month = "int", exp_year = "int" } do
  table.insert(card.fields, { name = name, kind = kind })
end

local function add_card(fields)
  if fields.card or not (fields.type and fields.type.values) then return end
  fields.card, fields.type.values = card, table.move(fields.type.values, 1, #fields.type.values, 2, { "card" })
end

-- What a publishable key confirms an intent by, beside what the table says.
local confirmed = { ["payment_intents.confirm"] = true, ["setup_intents.confirm"] = true }

--- An operation: the table's facts, and `by_name` (parameters), `required` (names), `kinds` (what it returns, or
--- lists), `object` (the first of them), `path_kinds` (for each id in the path), `earlier` (what older versions of it
--- took).
spec.operation = memo(function(id)
  local operation = core.operation(id)
  if not operation then return nil end
  operation.by_name = spec.fields { fields = operation.params }
  local data = operation.by_name.payment_method_data
  if data then add_card(spec.fields(data)) end
  if confirmed[id] then operation.by_name.client_secret = { kind = "string", name = "client_secret" } end
  operation.required = required(operation.params)
  operation.earlier = earlier[id]
  operation.kinds = operation.returns.type and spec.kinds(operation.returns.type) or {}
  operation.object = operation.kinds[1]
  operation.path_kinds = kinds_in_path(operation, operation.kinds)
  return operation
end)

--- An object: {name, id_prefix, fields (a list, each with its name), by_name, deleted, embedded (names of lists
--- inside)}.
spec.object = memo(function(kind)
  local object = core.object(kind)
  if not object then return nil end
  spec.fields(object)
  object.embedded = {}
  for _, field in ipairs(object.fields) do
    if field.kind == "list" and not field.optional then object.embedded[#object.embedded + 1] = field end
  end
  return object
end)

spec.event = memo(core.event)

local paths

--- Where objects of a kind are retrieved: "/v1/customers/{customer}"; nil if nowhere.
function spec.path(kind)
  paths = paths or host.retrievals()
  return paths[kind]
end

return spec
