--- Objects as replies show them. A stored object is shown as it is, but for the lists inside it, which are made here,
--- and for what `expand` names: ids become objects, and fields that are otherwise absent appear.
---
---     tree = { customer = { default_source = {} }, data = {...} }     of expand[]=customer.default_source

local core = require "pinstripe.core"
local errors = require "sandbox.errors"
local host = require "sandbox.host"
local lists = require "sandbox.lists"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local render = {
  --- The tree that expands nothing.
  unexpanded = {},

  --- How lists are made that no operation lists: ["subscription.items"] = function(call, object) → objects, url
  embedded = {},
}

local MOST_DEPTH = 4

local function cannot_expand(path)
  return errors.invalid { message = ("This property cannot be expanded (%s)."):format(path), param = "expand" }
end

--- The tree of an `expand` parameter; raises the API's error for one that is too deep.
function render.tree(paths)
  if type(paths) ~= "table" then return render.unexpanded end
  local tree = {}
  for _, path in ipairs(paths) do
    local node, depth = tree, 0
    for name in path:gmatch "[^.]+" do
      depth = depth + 1
      if depth > MOST_DEPTH then
        error(errors.invalid {
          code = "property_expansion_max_depth",
          message = ("Properties are expanded to %d levels at most: %s"):format(MOST_DEPTH, path),
          param = "expand",
        })
      end
      node[name] = node[name] or {}
      node = node[name]
    end
  end
  return tree
end

local function list_at(url)
  local id = url and host.route("GET", url)
  return id and core.operation(id).kind == "list" and spec.operation(id) or nil
end

-- The operation that lists all of what a list inside an object holds, if it has a parameter that names the object, with
-- the url that does and the parameter: /v1/refunds?charge=ch_x.
local function listing_of(object, field, url)
  local kind, param = spec.kinds(field)[1], object.object:match "[^.]+$"
  local path = kind and spec.path(kind)
  local operation = path and list_at((path:gsub("/{[^}]*}$", "")))
  if not operation or not operation.by_name[param] then return nil, url end
  return operation, ("%s?%s=%s"):format(operation.path, param, object.id), param
end

-- A list inside an object: what the operation at its url lists first, or what `render.embedded` gives.
local function embedded_list(call, object, field, tree)
  local make = render.embedded[object.object .. "." .. field.name]
  local path = spec.path(object.object)
  local parent = call.store:parent(object) or ""
  local url = path and path:gsub("{[^}]*}$", object.id):gsub("{[^}]*}", parent) .. "/" .. field.name
  if make then
    local objects, other = make(call, object)
    return render.list(call, objects, other or url or "", tree)
  end
  local operation = list_at(url)
  local filter = operation and lists.parent_field(operation)
  if not operation then operation, url, filter = listing_of(object, field, url) end
  local page = { object = "list", data = host.array {}, has_more = false, url = url or "" }
  if not operation then return page end
  local query = { kinds = operation.kinds, filters = { [filter] = object.id }, limit = 10 }
  local objects, more = lists.page(call.store, query)
  for i, item in ipairs(objects) do page.data[i] = render.object(call, item, tree.data or {}) end
  page.has_more = more
  return page
end

-- ---- Checking, by types alone, before anything happens ----

local check

-- Whether what a type holds may be expanded at all: an id, a list, or what is absent until it is asked for.
local function is_expandable(t, optional)
  if t.kind == "expandable" or t.kind == "list" then return true end
  if t.kind == "array" or t.kind == "map" then return is_expandable(t.of) or optional end
  if t.kind == "union" then
    for _, variant in ipairs(t.any) do
      if is_expandable(variant) then return true end
    end
  end
  return optional
end

-- The tables of fields in which a name below a value of this type may be.
local function below_type(t, found)
  found = found or {}
  if t.fields then found[#found + 1] = spec.fields(t) end
  for _, kind in ipairs(spec.kinds(t)) do
    local object = spec.object(kind)
    if object and t.kind ~= "list" then found[#found + 1] = object.by_name end
  end
  if t.kind == "array" or t.kind == "map" then below_type(t.of, found) end
  if t.kind == "list" then found[#found + 1] = { data = { kind = "array", of = t.of, page = true } } end
  return found
end

local function check_field(field, below, path)
  if next(below) ~= nil then
    check(below_type(field), below, path)
  elseif not is_expandable(field, field.optional or field.page) then
    error(cannot_expand(path))
  end
end

function check(tables, tree, path)
  for name, below in pairs(tree) do
    local at, field = path and path .. "." .. name or name, nil
    for _, fields in ipairs(tables) do field = field or fields[name] end
    if not field then error(cannot_expand(at)) end
    check_field(field, below, at)
  end
end

local pages = { list = true, search_result = true, v2_list = true }

--- Raises the API's error for what an operation cannot expand.
function render.check(operation, tree)
  if next(tree) == nil then return end
  local t = operation.returns.type
  if not pages[operation.returns.kind] then return check(t and below_type(t) or {}, tree) end
  local items = t.kind == "list" and t.of or t
  local data, count = { kind = "array", of = items, page = true }, { kind = "int", optional = true }
  check({ { data = data, total_count = count } }, tree)
end

-- ---- Showing ----

local show_field

-- A reference: the id, or the object that has it.
local function expanded(call, id, t, tree)
  for _, kind in ipairs(spec.kinds(t)) do
    local object = call.store:get(kind, id) or call.platform:get(kind, id)
    if object then return render.object(call, object, tree) end
    if call.store:is_deleted(kind, id) then return { id = id, object = kind, deleted = true } end
  end
  return id
end

-- A value with what `tree` names inside it expanded.
function show_field(call, value, t, tree)
  if value == nil or value == host.null then return value end
  if type(value) == "string" then return expanded(call, value, t, tree) end
  if type(value) ~= "table" then return value end
  if t.kind == "array" then
    local shown = host.array {}
    for i, item in ipairs(value) do shown[i] = show_field(call, item, t.of, tree) end
    return shown
  end
  local object = value.object and spec.object(value.object) or t.ref and spec.object(t.ref)
  local fields = object and object.by_name or t.fields and spec.fields(t)
  return fields and next(tree) ~= nil and render.fields(call, value, fields, tree) or value
end

-- A field that is absent until it is named: what stands in the object's note under `on_demand`, or empty.
local function on_demand(call, object, field)
  local note = object.id and call.store.state.private[object.id]
  local value = note and note.on_demand and note.on_demand[field.name]
  if value ~= nil then return value end
  return shape.empty(field)
end

--- A copy of `object` with what `tree` names expanded, by the types in `fields`.
function render.fields(call, object, fields, tree)
  local shown = host.fields(object)
  for name, below in pairs(tree) do
    local field = fields[name]
    if field and field.kind == "list" and object.object then
      shown[name] = embedded_list(call, object, field, below)
    elseif field and shown[name] == nil and field.kind ~= "expandable" then
      shown[name] = on_demand(call, object, field)
    elseif field then
      shown[name] = show_field(call, shown[name], field, below)
    end
  end
  return shown
end

--- An object as a reply shows it. The stored one itself where nothing is to be added.
function render.object(call, object, tree)
  local kind = object.object and spec.object(object.object)
  if not kind or object.deleted then return object end
  local shown, lists_inside = object, kind.embedded
  for i = 1, #lists_inside do
    local field = lists_inside[i]
    if not tree[field.name] then
      if shown == object then shown = render.fields(call, object, kind.by_name, {}) end
      shown[field.name] = embedded_list(call, object, field, {})
    end
  end
  if tree == render.unexpanded or next(tree) == nil then return shown end
  return render.fields(call, shown, kind.by_name, tree)
end

local function show_all(call, objects, tree)
  local shown = host.array {}
  for i, object in ipairs(objects) do shown[i] = render.object(call, object, tree) end
  return shown
end

--- A list of objects that is whole.
function render.list(call, objects, url, tree)
  return { object = "list", data = show_all(call, objects, tree.data or {}), has_more = false, url = url }
end

--- What an operation returned, as its reply shows it. Pages hold stored objects until here.
function render.result(call, result)
  local tree = call.tree or render.unexpanded
  if result.object ~= "list" and result.object ~= "search_result" then return render.object(call, result, tree) end
  local page = host.fields(result)
  page.data = show_all(call, result.data, tree.data or {})
  return page
end

return render
