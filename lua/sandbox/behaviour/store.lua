--- What one account holds. All of it is plain data in `state`, so that a snapshot is its JSON; what makes it fast
--- stands beside it and is made again when needed.
---
---     state.kinds[kind] = { rows = {object or false, ...}, deleted = {id = true} }
---     self.kinds[kind] = { the same two, numbers = {id = row number}, indexes, sorted, prefix (of ids), shown }
---
--- A row's number is the order of creation, by which lists are sorted; a deleted object leaves `false`. An index,
---     indexes[field][value] = {row numbers, ascending}
--- is made at the first question about that field and kept by every change after it. The pseudo-field `parent` is the
--- id of the object under whose path an object was made.
---
--- What is to stay as an object is now (an event's) holds the object itself until it changes, and a copy from then on:
---     shown[row number] = the table that holds it in `object`

local host = require "sandbox.host"
local spec = require "sandbox.spec"

local Store = {}
Store.__index = Store

local store = {
  absent = setmetatable({}, { __name = "absent" }), -- in changes: take the field away
}
Store.absent = store.absent

local LONG_IDS = 24
local short = { cus_ = true, prod_ = true, sub_ = true, si_ = true }
local SHORT_IDS = 14

--- The state of an account that holds nothing.
function store.empty()
  return { kinds = {}, private = {}, parents = {}, singletons = {} }
end

--- The store over an account's state. `clock` gives the time in seconds.
function store.new(state, clock)
  return setmetatable({ state = state, clock = clock, kinds = {} }, Store)
end

-- The prefix of the ids of a kind: the table's, or the initials of its name.
local function prefix_of(kind)
  local object = spec.object(kind)
  if object and object.id_prefix then return object.id_prefix end
  return kind:gsub("^.*%.", ""):gsub("(%a)%a*_?", "%1") .. "_"
end

-- Puts beside a kind's state what makes it fast; the number of each id's row is counted anew.
local function open_kind(self, kind)
  local state = self.state.kinds[kind] or { rows = host.array {}, deleted = {} }
  local of = { rows = state.rows, deleted = state.deleted, numbers = {}, indexes = false, shown = {} }
  of.prefix = prefix_of(kind)
  self.state.kinds[kind], self.kinds[kind] = state, of
  for number, object in ipairs(of.rows) do
    if object then of.numbers[object.id] = number end
  end
  return of
end

local function kind_of(self, kind) return self.kinds[kind] or open_kind(self, kind) end

-- Where `number` stands in an ascending list, or would.
local function position(list, number)
  local low, high = 1, #list + 1
  while low < high do
    local middle = (low + high) // 2
    if list[middle] < number then low = middle + 1 else high = middle end
  end
  return low
end

local function index_add(index, value, number)
  local list = index[value]
  if not list then
    index[value] = { number }
  elseif number > list[#list] then
    list[#list + 1] = number
  else
    local at = position(list, number)
    if list[at] ~= number then table.insert(list, at, number) end
  end
end

local function index_remove(index, value, number)
  local list = index[value]
  local at = list and position(list, number)
  if at and list[at] == number then table.remove(list, at) end
  if list and #list == 0 then index[value] = nil end
end

local function field_of(self, object, field)
  if field == "parent" then return self.state.parents[object.id] end
  local value = object[field]
  if type(value) ~= "table" then return value end
end

local function index_of(self, kind, field)
  local of = kind_of(self, kind)
  of.indexes = of.indexes or {}
  local index = of.indexes[field]
  if not index then
    index = {}
    of.indexes[field] = index
    for number, object in ipairs(of.rows) do
      local value
      if object then value = field_of(self, object, field) end
      if value ~= nil then index_add(index, value, number) end
    end
  end
  return index
end

local function each_index(self, of, object, change)
  if not of.indexes then return end
  for field, index in pairs(of.indexes) do
    local value = field_of(self, object, field)
    if value ~= nil then change(index, value, of.numbers[object.id]) end
  end
end

--- A new id that begins with `prefix`.
function Store:new_id(prefix)
  return host.id(short[prefix] and SHORT_IDS or LONG_IDS, prefix)
end

--- Keeps a new object; gives it an id and a time of creation if it has none. `parent`: the id under which it was made.
function Store:insert(object, parent)
  local kind = object.object
  local of = kind_of(self, kind)
  local rows, id = of.rows, object.id
  if id == "" or id == nil then
    id = self:new_id(of.prefix)
    object.id = id
  end
  if object.created == 0 then object.created = self.clock() end
  local number = #rows + 1
  local last = rows[number - 1]
  if last and object.created and last.created and object.created < last.created then of.sorted = false end
  rows[number] = object
  of.deleted[id] = nil
  of.numbers[id] = number
  if parent then self.state.parents[id] = parent end
  if of.indexes then each_index(self, of, object, index_add) end
  return object
end

--- The object of a kind with this id, or nil.
function Store:get(kind, id)
  if not self.state.kinds[kind] then return nil end
  local of = kind_of(self, kind)
  return of.rows[of.numbers[id]]
end

--- Whether there was such an object, which has been deleted.
function Store:is_deleted(kind, id)
  local of = self.state.kinds[kind]
  return of ~= nil and of.deleted[id] == true
end

function Store:parent(object) return self.state.parents[object.id] end

--- Sets `into.object` to an object as it is now.
function Store:show(object, into)
  local of = self.kinds[object.object]
  local number = of and of.numbers[object.id]
  if number and of.rows[number] == object and not of.shown[number] then
    of.shown[number], into.object = into, object
  else
    into.object = host.fields(object)
  end
end

local function equal(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for key, value in pairs(a) do
    if not equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

store.equal = equal

--- Sets fields (`store.absent` takes one away). Returns what those that changed had before, null for nothing; nil if
--- none did.
function Store:update(object, changes)
  local previous
  for field, value in pairs(changes) do
    if value == store.absent then value = nil end
    if not equal(object[field], value) then
      previous = previous or {}
      previous[field] = object[field] == nil and host.null or object[field]
    end
  end
  if not previous then return nil end
  local indexed = self:get(object.object, object.id) == object
  local of = indexed and kind_of(self, object.object)
  if indexed then
    each_index(self, of, object, index_remove)
    local number = of.numbers[object.id]
    if of.shown[number] then of.shown[number].object, of.shown[number] = host.fields(object), nil end
  end
  for field in pairs(previous) do
    local value = changes[field]
    if value == store.absent then value = nil end
    object[field] = value
  end
  if indexed then each_index(self, of, object, index_add) end
  return previous
end

--- Takes an object away; that it was there is remembered.
function Store:delete(object)
  local of, id = kind_of(self, object.object), object.id
  each_index(self, of, object, index_remove)
  of.rows[of.numbers[id]], of.shown[of.numbers[id]] = false, nil
  of.deleted[id] = true
  of.numbers[id] = nil
  self.state.private[id] = nil
  self.state.parents[id] = nil
end

--- What is remembered beside an object: a table of plain data.
function Store:private(object)
  local private = self.state.private[object.id]
  if not private then
    private = {}
    self.state.private[object.id] = private
  end
  return private
end

--- How many objects of a kind there are.
function Store:count(kind)
  local count = 0
  for _ in pairs(kind_of(self, kind).numbers) do count = count + 1 end
  return count
end

--- The number of an object's row: its place in the order of creation.
function Store:number(object) return kind_of(self, object.object).numbers[object.id] end

--- The row numbers of the objects whose field has a value, ascending; do not change it.
function Store:indexed(kind, field, value)
  return index_of(self, kind, field)[value] or {}
end

function Store:row(kind, number) return kind_of(self, kind).rows[number] end

function Store:rows(kind) return #kind_of(self, kind).rows end

--- Whether rows of a kind are sorted by `created`, as they are unless the clock was set back.
function Store:is_sorted(kind)
  local of = kind_of(self, kind)
  if of.sorted == nil then
    local last = 0
    of.sorted = true
    for _, object in ipairs(of.rows) do
      local created = object and object.created or last
      if type(created) ~= "number" or created < last then
        of.sorted = false
        break
      end
      last = created
    end
  end
  return of.sorted
end

local function matches(self, object, filters)
  for field, value in pairs(filters) do
    if field_of(self, object, field) ~= value then return false end
  end
  return true
end

local everything = {}
local function nothing() end

--- for object in store:newest("charge", {customer = id}): the newest first; the fields of `filters` equal its values.
function Store:newest(kind, filters)
  local state = self.state.kinds[kind]
  if not state or #state.rows == 0 then return nothing end
  local rows = state.rows
  filters = filters or everything
  local field, value = next(filters)
  local numbers = field and self:indexed(kind, field, value)
  local i = (numbers and #numbers or #rows) + 1
  return function()
    while i > 1 do
      i = i - 1
      local object = rows[numbers and numbers[i] or i]
      if object and matches(self, object, filters) then return object end
    end
  end
end

return store
