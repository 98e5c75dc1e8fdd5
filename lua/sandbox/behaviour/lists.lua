--- Lists: newest first by creation, filters before cursors, `has_more` in the direction of travel.
---
--- A query is {kinds, filters = {field = value}, tests = {function(object) → bool}, created = range, limit, after,
--- before}. The filter with the fewest rows gives the candidates, from its index; tests see only those.

local errors = require "sandbox.errors"
local host = require "sandbox.host"
local spec = require "sandbox.spec"

local lists = {
  --- How a parameter filters that is named like no field: ["prices.list"] = {product = function(call, value) → test}
  filters = {},
}

local MOST, USUAL = 100, 10

-- Parameters of lists that filter a field of another name, or that are no filters.
local fields = { ids = "id", lookup_keys = "lookup_key", types = "type" }
local no_filter = {
  limit = true, starting_after = true, ending_before = true, expand = true, page = true, include = true,
}

-- Kinds of fields that hold more than one value, which no index knows.
local whole = { ref = true, object = true, array = true, union = true }

--- The test of a number against {gt, gte, lt, lte}, or against one number.
function lists.in_range(range)
  if type(range) ~= "table" then return function(value) return value == range end end
  return function(value)
    return type(value) == "number" and not (range.gt and value <= range.gt or range.gte and value < range.gte
      or range.lt and value >= range.lt or range.lte and value > range.lte)
  end
end

local function contains(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

-- Whether a field's value is what a filter asks for; both may be nested or lists.
local function is_like(value, wanted)
  if type(wanted) ~= "table" then
    if type(value) == "table" then return value.id == wanted or contains(value, wanted) end
    return value == wanted
  end
  if host.is_array(wanted) then return contains(wanted, value) end
  if type(value) ~= "table" then return lists.in_range(wanted)(value) end
  for name, part in pairs(wanted) do
    if not is_like(value[name], part) then return false end
  end
  return true
end

-- Adds what one parameter of a list filters by.
local function add_filter(query, call, name, value)
  local own = lists.filters[call.operation.id]
  own = own and own[name]
  local field = fields[name] or name
  local object = spec.object(call.operation.object)
  if own then
    query.tests[#query.tests + 1] = own(call, value)
  elseif name == "status" and value == "all" then
    return
  elseif object and object.by_name[field] then
    if type(value) == "string" and not whole[object.by_name[field].kind] then
      query.filters[field] = value
    else
      query.tests[#query.tests + 1] = function(item) return is_like(item[field], value) end
    end
  end
end

-- The first of `names` that is a field of one of the kinds.
local function field_among(kinds, names)
  for _, name in ipairs(names) do
    for _, kind in ipairs(kinds) do
      local object = spec.object(kind)
      if name and name ~= "id" and object and object.by_name[name] then return name end
    end
  end
end

--- The field by which an operation's list belongs to the object whose id ends its path: one of that object's name
--- ("customer"), or `parent`.
function lists.parent_field(operation)
  if not operation.parent_field then
    local last = #operation.ids
    local kind = operation.path_kinds[last][1]
    operation.parent_field = field_among(operation.kinds, { operation.ids[last], kind }) or "parent"
  end
  return operation.parent_field
end

--- The query of a list operation's parameters.
function lists.query(call)
  local params = call.params
  local query = { kinds = call.operation.kinds, filters = {}, tests = {}, limit = lists.limit(params.limit) }
  for name, value in pairs(params) do
    if name == "created" then
      query.created = value
    elseif not no_filter[name] and value ~= host.null then
      add_filter(query, call, name, value)
    end
  end
  local parent = call.ids[#call.ids]
  if parent then query.filters[lists.parent_field(call.operation)] = parent end
  return query
end

function lists.limit(limit)
  return limit and math.max(1, math.min(limit, MOST)) or USUAL
end

-- The rows of one kind that may be in the answer: {numbers or nil for all, count}.
local function candidates(store, kind, filters)
  local best, count = nil, store:rows(kind)
  for field, value in pairs(filters) do
    local numbers = store:indexed(kind, field, value)
    if #numbers < count then best, count = numbers, #numbers end
  end
  return best, count
end

local function passes(store, object, query)
  for field, value in pairs(query.filters) do
    local has
    if field == "parent" then has = store:parent(object) else has = object[field] end
    if not is_like(has, value) then return false end
  end
  for _, test in ipairs(query.tests or {}) do
    if not test(object) then return false end
  end
  return true
end

-- The first place of 1..count at which `is_past(row number)` holds; count + 1 if none.
local function search(count, number_at, is_past)
  local low, high = 1, count + 1
  while low < high do
    local middle = (low + high) // 2
    if is_past(number_at(middle)) then high = middle else low = middle + 1 end
  end
  return low
end

-- The row numbers between which `created` lies, where rows are sorted by it.
local function created_bounds(store, kind, range)
  local function first(least)
    return search(store:rows(kind), function(i) return i end, function(number)
      local object = store:row(kind, number)
      while not object and number < store:rows(kind) do
        number = number + 1
        object = store:row(kind, number)
      end
      return not object or object.created >= least
    end)
  end
  if type(range) ~= "table" then range = { gte = range, lte = range } end
  local from = range.gte and first(range.gte) or range.gt and first(range.gt + 1) or 1
  local to = range.lt and first(range.lt) - 1 or range.lte and first(range.lte + 1) - 1 or store:rows(kind)
  return from, to
end

-- The kind and row number of the object that a cursor names.
local function cursor(store, kinds, id, param)
  for _, kind in ipairs(kinds) do
    local object = store:get(kind, id)
    if object then return kind, store:number(object) end
  end
  error(errors.missing(kinds[1] or "object", id, param))
end

-- Walks rows of one kind from the newest (or, with `upwards`, from the oldest) between two row numbers.
local function walk(store, kind, query, from, to, upwards)
  local numbers, count = candidates(store, kind, query.filters)
  local function number_at(i) return numbers and numbers[i] or i end
  local first = search(count, number_at, function(number) return number >= from end)
  local last = search(count, number_at, function(number) return number > to end) - 1
  local i, stop, step = last, first, -1
  if upwards then i, stop, step = first, last, 1 end
  return function()
    while i * step <= stop * step do
      local object = store:row(kind, number_at(i))
      i = i + step
      if object and passes(store, object, query) then return object end
    end
  end
end

local function reversed(objects)
  for i = 1, #objects // 2 do
    local j = #objects + 1 - i
    objects[i], objects[j] = objects[j], objects[i]
  end
  return objects
end

-- Lists of one kind, the usual case: by row numbers alone.
local function page_of_kind(store, kind, query)
  local from, to, upwards = 1, store:rows(kind), query.before ~= nil
  if query.created and spec.object(kind).by_name.created then
    if store:is_sorted(kind) then
      from, to = created_bounds(store, kind, query.created)
    else
      local within = lists.in_range(query.created)
      query.tests = query.tests or {}
      query.tests[#query.tests + 1] = function(object) return within(object.created) end
    end
  end
  if query.after then to = math.min(to, query.after - 1) end
  if query.before then from = math.max(from, query.before + 1) end
  local objects = {}
  for object in walk(store, kind, query, from, to, upwards) do
    if #objects == query.limit then return upwards and reversed(objects) or objects, true end
    objects[#objects + 1] = object
  end
  return upwards and reversed(objects) or objects, false
end

-- Lists that hold several kinds (cards and bank accounts of a customer): few, so each is read whole.
local function page_of_kinds(store, query)
  local all = {}
  for _, kind in ipairs(query.kinds) do
    for object in walk(store, kind, query, 1, store:rows(kind), false) do
      all[#all + 1] = { object = object, created = object.created or 0, number = store:number(object) }
    end
  end
  table.sort(all, function(a, b)
    if a.created ~= b.created then return a.created > b.created end
    return a.number > b.number
  end)
  local first, last = 1, #all
  for i, item in ipairs(all) do
    if item.object.id == query.after_id then first = i + 1 end
    if item.object.id == query.before_id then last = i - 1 end
  end
  if query.before_id then first = math.max(first, last - query.limit + 1) end
  local objects = {}
  for i = first, math.min(last, first + query.limit - 1) do objects[#objects + 1] = all[i].object end
  if query.before_id then return objects, first > 1 end
  return objects, last - first + 1 > query.limit
end

--- The objects of one page, and whether there are more.
function lists.page(store, query)
  if #query.kinds == 1 then return page_of_kind(store, query.kinds[1], query) end
  return page_of_kinds(store, query)
end

-- Raises the API's 404 unless there is what the list belongs to.
local function check_owner(call)
  local last = #call.operation.ids
  local kinds, id = call.operation.path_kinds[last], call.ids[last]
  if last == 0 or #kinds == 0 or kinds[1] == "account" and id == call.platform.account then return end
  call:target()
end

--- Answers a list operation; `adjust` may change the query first.
function lists.run(call, adjust)
  local params = call.params
  check_owner(call)
  local query = lists.query(call)
  if params.starting_after and params.ending_before then
    error(errors.invalid {
      message = "You cannot use both `starting_after` and `ending_before`.",
      param = "ending_before",
    })
  end
  if params.starting_after then
    query.after_id = params.starting_after
    query.after = select(2, cursor(call.store, query.kinds, params.starting_after, "starting_after"))
  elseif params.ending_before then
    query.before_id = params.ending_before
    query.before = select(2, cursor(call.store, query.kinds, params.ending_before, "ending_before"))
  end
  if adjust then adjust(query) end
  local objects, more = lists.page(call.store, query)
  return { object = "list", data = objects, has_more = more, url = call.path }
end

return lists
