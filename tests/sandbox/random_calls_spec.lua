-- Thousands of calls of any operation, in one account: params drawn from the table's types and from the ids that there
-- are, the clock moving on now and then. Whatever is asked for, the answer is what the table says or an error of the
-- API's. A failure names the seed: PS_SEED repeats it, PS_CALLS makes it longer.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local clock = require "sandbox.clock"
local conform = require "conform"
local host = require "sandbox.host"
local maker = require "maker"
local pinstripe = require "pinstripe"
local spec = require "sandbox.spec"

local CALLS = tonumber(os.getenv "PS_CALLS") or 2500
local INTEGERS = { 0, 1, 7, 100, 2000, 5000, -5, 123456 }
local PLAIN = {
  number = 1.5, decimal = "1.5", int64 = "7", any = "x", file = { content = "bytes", filename = "a.png",
    type = "image/png" },
}

local function one_of(list) return list[math.random(#list)] end

-- Draws params for the account of `store`.
local function drawer(store)
  local draw

  -- The id of some object of a kind, if there is one.
  local function id_of(kind)
    local rows = store.state.kinds[kind] and store.state.kinds[kind].rows or {}
    local object = #rows > 0 and one_of(rows)
    return object and object.id or nil
  end

  -- An id of what a param's name speaks of, or some text.
  local function text(name)
    if name and math.random() < 0.6 then
      for kind in pairs(store.state.kinds) do
        if kind:match "[^.]*$" == name then return id_of(kind) or "text" end
      end
    end
    return name == "currency" and "usd" or one_of { "text", "usd", "pm_card_visa", "tok_visa",
      tostring(math.random(1000)) }
  end

  local function fields(list, likely)
    local map = {}
    for _, field in ipairs(list) do
      if field.name ~= "expand" and (field.required or math.random() < likely) then
        map[field.name] = draw(field, field.name)
      end
    end
    return map
  end

  function draw(t, name)
    local kind = t.kind
    if kind == "object" then return fields(t.fields, 0.3) end
    if kind == "string" then return text(name) end
    if kind == "enum" then return t.values[1] and one_of(t.values) or "" end
    if kind == "map" then return { some_key = draw(t.of) } end
    if kind == "range" then return { gte = draw(t.of) } end
    if kind == "union" then return draw(one_of(t.any), name) end
    if kind == "bool" then return math.random() < 0.5 end
    if kind == "int" then return one_of(INTEGERS) end
    if kind == "timestamp" then return 1790000000 + math.random(-1000, 10000000) end
    if kind ~= "array" then return PLAIN[kind] end
    local items = pinstripe.array {}
    for i = 1, math.random(0, 3) do items[i] = draw(t.of, name) end
    return items
  end

  return function(op) return fields(op.params, 0.25) end, id_of
end

-- Ids for an operation's path, of what there is; nil if there is nothing.
local function ids_there(op, id_of)
  local ids = {}
  for i, kinds in ipairs(spec.operation(op.id).path_kinds) do
    ids[i] = kinds[1] and id_of(one_of(kinds))
    if not ids[i] then return nil end
  end
  return #ids == #op.ids and ids or nil
end

local function problems_of(op, result)
  if op.returns.kind == "object" then return conform.problems(op.returns.type, result) end
  return conform.problems({ kind = "array", of = op.returns.type.of or { kind = "any" } }, result.data)
end

describe("any calls", function()
  local operations = {}
  for op in pinstripe.api.operations() do operations[#operations + 1] = op end

  local function run(seed)
    math.randomseed(seed)
    local box = support.box { now = 1790000000, seed = seed }
    local make = maker.new(box, box:client())
    local draw, id_of = drawer(make.store)
    local answered, refused, wrong = 0, 0, {}
    local function call()
      local op, there = one_of(operations), math.random() < 0.6
      local params = draw(op)
      local made, ids = pcall(there and ids_there or make.ids, op, id_of)
      if not made or not ids then return end
      if not there then
        local given, needed = pcall(make.params, op)
        for name, value in pairs(given and needed or {}) do params[name] = value end
      end
      local sent, result, err = pcall(make.call, op, ids, params)
      if not sent then return end -- refused by the client itself
      if type(result) == "table" then
        answered = answered + 1
        for _, problem in ipairs(problems_of(op, result)) do wrong[#wrong + 1] = op.id .. ": " .. problem end
      elseif result == nil and err.kind then
        refused = refused + 1
        if (err.status or 500) >= 500 then wrong[#wrong + 1] = op.id .. ": " .. tostring(err) end
      end
      if math.random() < 0.02 then clock.advance(box, math.random(200000)) end
    end
    for _ = 1, CALLS do call() end
    print(("\n== seed %d: %d of %d calls answered, %d refused"):format(seed, answered, CALLS, refused))
    assert.equal("", table.concat(wrong, "\n"), "seed " .. seed)
    assert.truthy(answered > CALLS / 2)
    local text = host.encode(box:save())
    box:load(host.decode(text))
    assert.equal(text, host.encode(box:save()), "a snapshot is restored as it was")
  end

  local seed = tonumber(os.getenv "PS_SEED")
  for _, number in ipairs(seed and { seed } or { 1, 2 }) do
    it("are answered as the table says, from seed " .. number, function() run(number) end)
  end
end)
