-- Under a collector that runs all the time, in every mode there is: nothing is freed too early.
local pinstripe = require "pinstripe"
local support = require "support"

local function invoice(id)
  return { id = id, lines = support.page({ "il_1", "il_2" }, true, "/v1/invoices/" .. id .. "/lines"),
    metadata = { a = "b" }, tags = pinstripe.array{ "x", "y" } }
end

local function send(request)
  local path = support.path(request)
  if path:find "/lines" then return support.reply(200, support.page({ "il_3" }, false)) end
  if path:find "^/v1/bad" then
    return support.reply(402, { error = { message = "no", payment_intent = { id = "pi_1" } } })
  end
  if path:find "starting_after" then
    return support.reply(200, { object = "list", url = "/v1/invoices", has_more = false, data = { invoice "in_1" } })
  end
  if path:find "^/v1/invoices%?" then
    return support.reply(200, { object = "list", url = "/v1/invoices", has_more = true,
      data = { invoice "in_3", invoice "in_2" } })
  end
  return support.reply(200, { id = "x", nested = { { { 1, 2.5, "y" } } } })
end

local function work()
  local stripe = support.client(send, { log = function(event) return tostring(event) end })
  local object, response = stripe.charges:create({ amount = 5, items = { { a = { "b" } } } },
    { idempotency_key = "k", headers = { ["X-A"] = "b" } })
  assert.are.equal("y", object.nested[1][1][3])
  assert.are.equal("k", response.idempotency_key)
  local lines = {}
  for found in stripe.invoices:each({ limit = 2 }) do
    for line in found.lines:each() do lines[#lines + 1] = line.id end
  end
  assert.are.equal("il_1 il_2 il_3 il_1 il_2 il_3 il_1 il_2 il_3", table.concat(lines, " "))
  local page = stripe.invoices:list({ limit = 2 }, { fields = { "lines.id", "metadata" } })
  assert.are.equal("b", page:fetch_next().data[1].metadata.a)
  local cursor = page:each():cursor()
  assert.are.equal("in_3", stripe.invoices:each({}, { cursor = cursor }):next().id)
  local _, err = stripe:request("GET", "/v1/bad")
  assert.are.equal("pi_1", err.payment_intent.id)
  local ok = pcall(function() stripe.charges:create({ a = { b = print } }, { fields = { "id" } }) end)
  assert.is_false(ok)
  assert.are.equal('[1,{"a":[]}]', pinstripe.json.encode(pinstripe.json.decode '[1, {"a": []}]'))
end

describe("the collector", function()
  it("may run at every moment", function()
    work()
    debug.sethook(function() collectgarbage() end, "", 50)
    local ok, err = pcall(work)
    debug.sethook()
    assert.is_true(ok, tostring(err))
  end)

  it("may run in the smallest steps", function()
    local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000)
    for _ = 1, 20 do work() end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
  end)

  if _VERSION >= "Lua 5.4" then
    it("may be generational", function()
      collectgarbage "generational"
      for _ = 1, 20 do work() end
      collectgarbage()
      work()
      collectgarbage "incremental"
    end)
  end

  -- An object with a finalizer, on every Lua.
  local function finalized(object, finalize)
    if not rawget(_G, "newproxy") then return setmetatable(object, { __gc = finalize }) end
    object.proxy = rawget(_G, "newproxy")(true)
    getmetatable(object.proxy).__gc = finalize
    return object
  end

  it("may close an iterator whose item is being made", function()
    local ids, closed = {}, 0
    for i = 1, 50 do ids[i] = "ch_" .. i end
    local stripe = support.client(function() return support.reply(200, support.page(ids, true)) end)
    local function begin(skipped)
      local it = stripe.charges:each()
      for _ = 1, skipped do it:next() end
      return finalized({ it = it }, function()
        closed = closed + 1
        it:close()
        for i = 1, 20 do string.rep("x", 10000 + i) end -- where the item was
      end)
    end
    local function next_of(object)
      local it = object.it
      return it:next() -- a tail call: nobody holds the object any more
    end
    local pause, step = collectgarbage("setpause", 1), collectgarbage("setstepmul", 10000)
    for round = 1, 600 do
      local ok, item = pcall(function() return next_of(begin(round % 50)) end)
      if not ok then
        assert.matches("closed", tostring(item), 1, true)
      elseif item ~= nil then -- nil: it was closed before
        assert.are.same({ "charge", "ch_" .. round % 50 + 1, 100 * (round % 50 + 1) },
          { item.object, item.id, item.amount })
      end
    end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
    assert.is_true(closed > 100)
  end)

  it("frees what was dropped in the middle", function()
    local stripe = pinstripe.client(support.KEY, { transport = send })
    local parked = pinstripe.client(support.KEY, { transport = coroutine.yield })
    for _ = 1, 200 do
      stripe.invoices:each():next()
      local co = coroutine.wrap(function() parked.charges:create{ amount = 1 } end)
      co()
    end
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    for _ = 1, 200 do stripe.invoices:each():next() end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 50)
  end)

  it("is called when many iterators are dropped, each with a page outside its sight", function()
    local stripe = pinstripe.client(support.KEY, { transport = send })
    local alive, most = setmetatable({}, { __mode = "k" }), 0
    collectgarbage()
    collectgarbage "stop"
    for _ = 1, 500 do
      local it = stripe.invoices:each()
      it:next()
      alive[it] = true
      local count = 0
      for _ in pairs(alive) do count = count + 1 end
      most = math.max(most, count)
    end
    collectgarbage "restart"
    assert.is_true(most <= 100, most .. " at once")
  end)
end)
