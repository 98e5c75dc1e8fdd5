--- How a call is carried out, and lists as iterators.
--
-- A client without hooks and without a transport of its own is driven in C, in slices: between two of them the
-- interpreter may notice Ctrl-C. Every other client is driven by pinstripe.driver, in Lua, where a transport may yield.

local core = require "pinstripe.core"

local STATE = {} -- key of a client's state: {core, hooks, transport, driven}

local iterator = { STATE = STATE }

-- `tend`, if any, is called between the pieces of a transfer.
local function run(state, machine, tend)
  if state.driven or tend then return require "pinstripe.driver".drive(state, machine, tend) end
  while not machine:run() do end
end

iterator.run = run

--- Carries a call out: object, response; or nil, err.
function iterator.finish(state, call, fields, tend)
  run(state, call, tend)
  return call:finish(state, fields)
end

local weak = { __mode = "v" } -- a coroutine that is dropped in the middle lets go of its iterator

local Iterator = { __name = "pinstripe.iterator" }
Iterator.__index = Iterator

-- From Lua 5.4 on, a `for` closes its fourth value: then a `break` drops a page that is on its way.
local for_closes = _VERSION >= "Lua 5.4"

--- `given`: the items of the page that it was made from, which are in the page's own table.
function iterator.new(state, handle, fields, given)
  local it = setmetatable({ state = state, handle = handle, fields = fields, given = given }, Iterator)
  it.driving = setmetatable({}, weak)
  if for_closes then return it, nil, nil, it end
  return it
end

local function running()
  local co, is_main = coroutine.running()
  return co and not is_main and co or "main"
end

iterator.running = running

-- A misuse, in the name of the function that calls this one.
local function check_self(self, name)
  if type(self) == "table" and getmetatable(self) == Iterator then return end
  error(name .. " is a method of an iterator: call it with a colon, as it:" .. name .. "()", 3)
end

-- A page is fetched by one coroutine at a time. One that died of an error, or raised and came back, is no hindrance:
-- then the request counts as lost.
local function check_free(self)
  local other = self.driving[1]
  if other and other ~= running() and other ~= "main" and coroutine.status(other) ~= "dead" then
    error("this iterator is fetching a page already, in another coroutine", 3)
  end
end

-- Fetches the next page in Lua: true, or nothing at the end, or nil and the error.
local function fetch(self, handle)
  if not handle:fetch() then return nil end
  self.driving[1] = running()
  run(self.state, handle)
  self.driving[1] = nil
  return handle:feed()
end

local function next_driven(self, handle)
  while true do
    local item = handle:item(self.state, self.fields)
    if item ~= nil then return item end
    local ok, err = fetch(self, handle)
    if not ok then return nil, err end
  end
end

--- The next item; nil at the end; or nil, err: then it may be called again, and tries that page once more.
function Iterator:next()
  check_self(self, "next")
  local handle, given = self.handle, self.given
  if not handle then return nil end
  check_free(self)
  if given then
    for index in handle.take, handle do
      if given[index] ~= nil then return given[index] end
    end
    self.given = nil
  end
  if self.state.driven then return next_driven(self, handle) end
  local item, err, waiting
  repeat item, err, waiting = handle:next(self.state, self.fields) until not waiting
  return item, err
end

--- `for item in it`: raises the error of a page that failed.
function Iterator:__call()
  local item, err = self:next()
  if err ~= nil then error(err, 0) end
  return item
end

--- Where it stands, as a string to be stored: each(params, {cursor = ...}) goes on from there.
function Iterator:cursor()
  check_self(self, "cursor")
  if not self.handle then error("the iterator is closed", 2) end
  return self.handle:cursor()
end

--- Ends it; a page on its way is dropped.
function Iterator:close()
  check_self(self, "close")
  local handle = self.handle
  self.handle, self.given = nil, nil
  if handle then handle:close() end
end

Iterator.__close = Iterator.close

function Iterator:__tostring()
  return self.handle and "pinstripe.iterator" or "pinstripe.iterator (closed)"
end

-- The methods of pages: of the results of list and search, and of lists inside any result.

local page = core.page_methods

local function page_handle(self, name)
  local meta = type(self) == "table" and getmetatable(self)
  if not meta or meta.__index ~= page then
    error(name .. " is a method of a page: call it with a colon, as page:" .. name .. "()", 3)
  end
  local fields = meta.at and core.fields_at(meta.fields, meta.at) or meta.fields
  return core.iter_page(meta.client.core, self, meta.origin, meta.own, meta.ids), meta.client, fields
end

--- Its items, then those of the pages after it.
function page:each()
  local handle, client, fields = page_handle(self, "each")
  return iterator.new(client, handle, fields, self.data)
end

--- The next page; nil after the last; or nil, err.
function page:fetch_next()
  local handle, client, fields = page_handle(self, "fetch_next")
  while handle:take() do end
  if not handle:fetch() then return nil end
  run(client, handle)
  local ok, err = handle:feed()
  if not ok then return nil, err end
  return handle:page(client, fields)
end

return iterator
