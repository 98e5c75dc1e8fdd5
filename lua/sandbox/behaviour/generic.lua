--- What every kind of object does, from the table alone: parameters land in the fields of the same name; create,
--- retrieve, update and delete emit the events that the table has. Flows start from these and add what is particular.

local errors = require "sandbox.errors"
local events = require "sandbox.events"
local host = require "sandbox.host"
local initial = require "sandbox.initial"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"
local store = require "sandbox.store"

local null, type = host.null, type

local generic = {}

local land

local function is_map(value) return type(value) == "table" and not host.is_array(value) end

--- Metadata after a change: keys merge, null takes one away.
local function merged_metadata(old, changes)
  local merged = {}
  for key, value in pairs(type(old) == "table" and old or {}) do merged[key] = value end
  for key, value in pairs(changes) do
    if value == null then value = nil end
    merged[key] = value
  end
  return merged
end

-- What a field holds when it is unset.
local function unset(field)
  if field.metadata then return {} end
  if field.optional and not field.nullable then return store.absent end
  return shape.empty(field)
end

local function land_entries(t, value)
  local entries = {}
  for name, part in pairs(value) do entries[name] = land(t, part, nil) end
  return entries
end

-- Fields inside a nested object: those that were not sent keep their value.
local function land_map(t, value, old)
  local fields = t.fields and spec.fields(t) or t.ref and spec.object(t.ref) and spec.object(t.ref).by_name
  if not fields then return t.of and land_entries(t.of, value) or value end
  local landed = is_map(old) and old.object == nil and old or shape.nested(t)
  local copy = {}
  for name, part in pairs(landed) do copy[name] = part end
  for name, part in pairs(value) do
    local field = fields[name]
    if field then
      local result = land(field, part, copy[name])
      if result == store.absent then copy[name] = nil elseif result ~= nil then copy[name] = result end
    end
  end
  return copy
end

local function land_items(t, value)
  local items = host.array {}
  for i, item in ipairs(value) do
    local landed = item
    if t.of then landed = land(t.of, item, nil) end
    if landed == nil then return nil end
    items[i] = landed
  end
  return items
end

local scalars = {
  string = "string", enum = "string", decimal = "string", int64 = "string", expandable = "string", int = "number",
  number = "number", timestamp = "number", bool = "boolean",
}

local function is_known(t, word)
  for _, value in ipairs(t.values) do
    if value == word then return true end
  end
  return t.open or false
end

--- The value of `field` when a parameter of its name is `value`; nil if it is of another form than the field.
function land(field, value, old)
  if value == null then return unset(field) end
  local kind = field.kind
  local scalar = scalars[kind]
  if scalar then
    if type(value) == scalar and (kind ~= "enum" or is_known(field, value)) then return value end
    return nil
  end
  if field.metadata then return is_map(value) and merged_metadata(old, value) or nil end
  if kind == "any" then return value end
  if kind == "union" then
    for _, variant in ipairs(field.any) do
      local landed = land(variant, value, old)
      if landed ~= nil then return landed end
    end
    return nil
  end
  if kind == "array" then return host.is_array(value) and land_items(field, value) or nil end
  if kind ~= "object" and kind ~= "map" and kind ~= "ref" then return nil end
  return is_map(value) and land_map(field, value, old) or nil
end

generic.land = land

-- Fields in which no parameter lands.
local fixed = { id = true, object = true }

--- What an object's fields become by these parameters: {field = value}; for store:update.
function generic.merge(object, params)
  local changes, fields = {}, spec.object(object.object).by_name
  for name, value in pairs(params) do
    local field = not fixed[name] and fields[name]
    if field then changes[name] = land(field, value, object[name]) end
  end
  return changes
end

-- A copy of what an id stands for where the object holds the other whole: a card's cardholder; nil elsewhere.
local function embedded(call, field, value)
  if field.kind ~= "ref" or type(value) ~= "string" then return nil end
  local other = call:get(field.ref, value)
  return other and host.copy(other) or nil
end

--- A new object of a kind as it is before anybody says anything of it.
function generic.blank(call, kind)
  local object = shape.new(kind)
  if object.id == null then object.id = "" end
  if object.currency == "" then object.currency = "usd" end
  local more = initial[kind]
  if not more then return object end
  for name, value in pairs(more) do
    if type(value) == "function" then value = value(call) end
    object[name] = value
  end
  return object
end

--- A new object of a kind (the one that the operation returns), with the call's parameters in its fields; not stored.
function generic.build(call, kind)
  kind = kind or call.operation.object
  local object, fields = generic.blank(call, kind), spec.object(kind).by_name
  for name, given in pairs(call.params) do
    local field = not fixed[name] and fields[name]
    local value
    if field then value = field.kind == "ref" and embedded(call, field, given) or land(field, given, object[name]) end
    if value == store.absent then object[name] = nil elseif value ~= nil then object[name] = value end
  end
  local id = call.params.id
  if id and type(id) == "string" and fields.id then
    if call.store:get(kind, id) then
      error(errors.invalid {
        code = "resource_already_exists", message = ("There is already a %s with this id."):format(kind), param = "id",
      })
    end
    object.id = id
  end
  return object
end

-- The object under whose path another is made gives it its id, in the field named like it.
local function belong(call, object)
  local last = #call.operation.ids
  local parent = call.ids[last]
  if not parent then return nil end
  local fields = spec.object(object.object).by_name
  for _, name in ipairs { call.operation.ids[last], (call.operation.path_kinds[last] or {})[1] or "" } do
    local field = fields[name]
    if field and name ~= "id" and field.kind ~= "ref" then object[name] = parent end
  end
  return parent
end

--- Makes, stores and announces an object. `overrides` {field = value} win over parameters.
function generic.create(call, overrides)
  if #call.operation.ids > 0 then call:target() end
  local object = generic.build(call)
  local parent = belong(call, object)
  for name, value in pairs(overrides or {}) do object[name] = value end
  if object.id then call.store:insert(object, parent) elseif object.created == 0 then object.created = call:now() end
  events.of(call, object, "created")
  return object
end

-- Of what a field held, as an event tells it: of a map the keys that changed, null for new ones; of all else the whole.
local function changed_part(old, new)
  if not is_map(old) or not is_map(new) or old.object then return old end
  local part = {}
  for key, value in pairs(old) do
    if not store.equal(value, new[key]) then part[key] = changed_part(value, new[key]) end
  end
  for key in pairs(new) do
    if old[key] == nil then part[key] = null end
  end
  return part
end

--- Changes a stored object and announces what changed, if anything did.
function generic.apply(call, object, changes, event)
  local previous = call.store:update(object, changes)
  if not previous then return object end
  for field, old in pairs(previous) do previous[field] = changed_part(old, object[field]) end
  if event then
    events.emit(call, event, object, previous)
  else
    events.of(call, object, "updated", previous)
  end
  return object
end

-- An object of which an account has one: made when first asked for.
local function singleton(call)
  local kind, singletons = call.operation.object, call.store.state.singletons
  if not singletons[kind] then singletons[kind] = generic.blank(call, kind) end
  return singletons[kind]
end

-- What an object has one of, under its own path: made when first asked for.
local function part(call, owner)
  local kind, singletons = call.operation.object, call.store.state.singletons
  local key = kind .. " " .. owner.id
  if not singletons[key] then
    local object = generic.blank(call, kind)
    if object.id then object.id = call.store:new_id(spec.object(kind).id_prefix or "") end
    belong(call, object)
    singletons[key] = object
  end
  return singletons[key]
end

-- The object that an operation is about: the path's last, or what that has one of, or what the account has one of.
function generic.target(call)
  local operation = call.operation
  if #operation.ids == 0 then return singleton(call) end
  local object = call:target()
  for _, kind in ipairs(operation.kinds) do
    if kind == object.object then return object end
  end
  return operation.object and operation.returns.type.kind ~= "object" and part(call, object) or object
end

function generic.update(call, object)
  object = object or generic.target(call)
  local changes, fields = generic.merge(object, call.params), spec.object(object.object).by_name
  for name, value in pairs(call.params) do
    local other = fields[name] and embedded(call, fields[name], value)
    if other then changes[name] = other end
  end
  return generic.apply(call, object, changes)
end

function generic.retrieve(call)
  if #call.operation.ids == 0 then return singleton(call) end
  local id, may_be_deleted = call.ids[#call.ids], call.operation.returns.type.kind == "union"
  for _, kind in ipairs(may_be_deleted and call.operation.kinds or {}) do
    if call.store:is_deleted(kind, id) and spec.object(kind).deleted then
      return { id = id, object = kind, deleted = true }
    end
  end
  return generic.target(call)
end

function generic.delete(call)
  local object = call:target()
  local kind = spec.object(object.object)
  events.of(call, object, "deleted")
  call.store:delete(object)
  if call.operation.object == object.object and not kind.deleted then return object end
  return { id = object.id, object = object.object, deleted = true }
end

return generic
