-- The converters, both ways: Lua → value (params, json.encode) and value → Lua (results, json.decode).
local pinstripe = require "pinstripe"
local support = require "support"

local encode, decode = pinstripe.json.encode, pinstripe.json.decode
local integers = support.has_integers

local function nest(depth)
  local t = {}
  for _ = 2, depth do t = { a = t } end
  return t
end

describe("Lua to JSON", function()
  it("takes scalars", function()
    assert.are.equal("true", encode(true))
    assert.are.equal("false", encode(false))
    assert.are.equal("null", encode(pinstripe.null))
    assert.are.equal("null", encode(nil))
    assert.are.equal("7", encode(7))
    assert.are.equal("-7", encode(-7))
    assert.are.equal("0", encode(0))
    assert.are.equal('"x"', encode "x")
    assert.are.equal('""', encode "")
  end)

  it("sends integral floats as integers, up to 2^53", function()
    assert.are.equal("5", encode(5.0))
    assert.are.equal("100000000000000", encode(1e14))
    assert.are.equal("9007199254740991", encode(9007199254740991.0))
    assert.are.equal("-9007199254740991", encode(-9007199254740991.0))
    assert.are.equal("0", encode(-0.0))
  end)

  it("sends other floats in their shortest form, without an exponent", function()
    assert.are.equal("0.1", encode(0.1))
    assert.are.equal("7.25", encode(7.25))
    assert.are.equal("0.00005", encode(5e-5))
    assert.are.equal("-1.5", encode(-1.5))
    assert.is_nil(encode(1e300):find "[eE]")
  end)

  if integers then
    it("keeps 64-bit integers", function()
      assert.are.equal("9223372036854775807", encode(math.maxinteger))
      assert.are.equal("-9223372036854775808", encode(math.mininteger))
      assert.are.equal("9007199254740993", encode(9007199254740993))
    end)
  end

  it("keeps strings with any bytes of UTF-8", function()
    assert.are.equal("a\0b", decode(encode "a\0b"))
    assert.are.equal('"a\\u0000b"', encode "a\0b")
    assert.are.equal("J\195\188rgen \240\159\152\128", decode(encode "J\195\188rgen \240\159\152\128"))
    assert.are.equal([["quote \" backslash \\ tab \t"]], (encode 'quote " backslash \\ tab \t'))
  end)

  it("takes sequences as lists", function()
    assert.are.equal("[1,2,3]", encode{ 1, 2, 3 })
    assert.are.equal("[[1],[2]]", encode{ { 1 }, { 2 } })
    assert.are.equal("[null,false]", encode{ pinstripe.null, false })
    assert.are.equal("[1,2]", encode{ [1.0] = 1, [2] = 2 })
  end)

  it("takes string keys as maps", function()
    assert.are.equal('{"a":1}', encode{ a = 1 })
    assert.are.equal('{"1":1}', encode{ ["1"] = 1 })
    assert.are.equal('{"a b[c].d":{"e":[{"f":1}]}}', encode{ ["a b[c].d"] = { e = { { f = 1 } } } })
  end)

  it("takes an empty table as a map, unless it is marked", function()
    assert.are.equal("{}", encode{})
    assert.are.equal("[]", encode(pinstripe.array{}))
    assert.are.equal("[]", encode(pinstripe.array()))
    assert.are.equal('[[],{}]', encode{ pinstripe.array(), {} })
  end)

  it("looks at raw tables only", function()
    local strange = setmetatable({ a = 1 }, {
      __index = function() error "no" end,
      __pairs = function() error "no" end,
      __len = function() error "no" end,
    })
    assert.are.equal('{"a":1}', encode(strange))
  end)

  it("takes 64 tables inside each other", function()
    assert.has_no.errors(function() encode(nest(64)) end)
  end)

  it("takes a table twice, but not within itself", function()
    local shared = { 1 }
    assert.are.equal("[[1],[1]]", encode{ shared, shared })
  end)
end)

describe("a value that cannot be sent", function()
  local stripe = support.client{}

  local function refusal(params)
    local ok, message = pcall(function() stripe.subscriptions:create(params) end)
    assert.is_false(ok)
    return (message:gsub("^.-convert_spec.lua:%d+: subscriptions:create: ", ""))
  end

  local function cycle()
    local t = { b = {} }
    t.b.c = t
    return t
  end

  local cases = {
    { "a function", { items = { {}, { price = print } } }, "^params%.items%[2%]%.price: a function cannot be sent" },
    { "a coroutine", { a = coroutine.create(function() end) }, "^params%.a: a thread cannot be sent" },
    { "a userdata", { a = { io.stdout } }, "^params%.a%[1%]: a userdata cannot be sent" },
    { "NaN", { a = 0 / 0 }, "^params%.a: NaN" },
    { "infinity", { a = { b = 1 / 0 } }, "^params%.a%.b: infinity" },
    { "minus infinity", { a = -1 / 0 }, "^params%.a: infinity" },
    { "a list and a map at once", { a = { 1, b = 2 } }, "^params%.a: a table is either a list" },
    { "a hole", { a = { 1, 2, nil, 4 } }, "^params%.a%[3%]: is nil" },
    { "a hole at the beginning", { a = { [2] = 1 } }, "^params%.a%[1%]: is nil" },
    { "a negative key", { a = { [-1] = 1 } }, "^params%.a: a key must be a string" },
    { "a key of 0", { a = { [0] = 1 } }, "^params%.a: a key must be a string" },
    { "a key that is a fraction", { a = { [1.5] = 1 } }, "^params%.a: a key must be a string" },
    { "a key that is huge", { a = { [1e300] = 1 } }, "^params%.a: a key must be a string" },
    { "a boolean key", { a = { [true] = 1 } }, "^params%.a: a key must be a string, not a boolean" },
    { "a table as key", { a = { [{}] = 1 } }, "^params%.a: a key must be a string, not a table" },
    { "a marked list with a string key", { a = pinstripe.array{ x = 1 } }, "^params%.a: a table is either a list" },
    { "a cycle", { a = cycle() }, "^params%.a%.b%.c: is a table that contains itself" },
    { "too many tables inside each other", nest(65), "is nested too deep %(64 tables at most%)$" },
    { "a key that is no name", { ["a b"] = { print } }, '^params%["a b"%]%[1%]: a function' },
    { "a key with a line end", { ["a\nb"] = print }, '^params%["a%?b"%]: a function' },
    { "a very long key", { [("k"):rep(500)] = print }, '^params%["' .. ("k"):rep(40) .. '%.%.%."%]: a function' },
    { "a list in place of params", { 1, 2 }, "^params must be a table with names as keys, not a list" },
  }

  for _, case in ipairs(cases) do
    it("is " .. case[1], function()
      local message = refusal(case[2])
      assert.is_truthy(message:find(case[3]), message)
    end)
  end

  if rawget(_G, "jit") then
    it("is a cdata", function()
      assert.is_truthy(refusal{ a = require "ffi".new "int64_t" }:find "^params%.a: a cdata cannot be sent")
    end)
  end

  it("is named by json.encode as well", function()
    local ok, message = pcall(function() encode{ a = { print } } end)
    assert.is_false(ok)
    assert.is_truthy(message:find("pinstripe.json.encode: value.a[1]: a function cannot be sent", 1, true), message)
  end)
end)

describe("JSON to Lua", function()
  it("gives scalars", function()
    assert.are.equal(true, decode "true")
    assert.are.equal(false, decode "false")
    assert.are.equal(pinstripe.null, decode "null")
    assert.are.equal("x", decode '"x"')
    assert.are.equal(7, decode "7")
    assert.are.equal(-7, decode "-7")
    assert.are.equal(1.5, decode "1.5")
    assert.are.equal(100, decode "1e2")
  end)

  if integers then
    it("gives integers and floats their types", function()
      assert.are.equal("integer", math.type(decode "7"))
      assert.are.equal("float", math.type(decode "7.0"))
      assert.are.equal(math.maxinteger, decode "9223372036854775807")
      assert.are.equal(math.mininteger, decode "-9223372036854775808")
      assert.are.equal(9007199254740993, decode "9007199254740993")
    end)
  else
    it("gives integers beyond 2^53 as text", function()
      assert.are.equal(9007199254740992, decode "9007199254740992")
      assert.are.equal("9007199254740993", decode "9007199254740993")
      assert.are.equal(-9007199254740992, decode "-9007199254740992")
      assert.are.equal("-9007199254740993", decode "-9007199254740993")
      assert.are.equal("9223372036854775807", decode "9223372036854775807")
    end)
  end

  it("gives integers beyond 64 bits as text", function()
    assert.are.equal("9223372036854775808", decode "9223372036854775808")
    assert.are.equal("-123456789012345678901234567890", decode "-123456789012345678901234567890")
  end)

  it("gives numbers beyond a double as text", function()
    assert.are.equal("1e999", decode "1e999")
  end)

  it("gives marked lists and plain maps", function()
    local list = decode "[1, [], {}]"
    assert.are.equal(pinstripe.array, getmetatable(list))
    assert.are.equal(pinstripe.array, getmetatable(list[2]))
    assert.is_nil(getmetatable(list[3]))
    assert.are.equal("[1,[],{}]", encode(list))
    assert.are.equal(3, #list)
  end)

  it("gives a page as a plain table", function()
    assert.is_nil(getmetatable(decode '{"object":"list","has_more":false,"data":[],"url":"/v1/x"}'))
  end)

  it("keeps NUL and other bytes in keys and strings", function()
    assert.are.same({ ["a\0b"] = "\0" }, decode [[{"a\u0000b":"\u0000"}]])
    assert.are.equal("\195\188", decode [["\u00fc"]])
  end)

  it("says why a text is not JSON", function()
    for _, text in ipairs{ "", "{", "[1,]", "nul", '"\255"', "{} {}", ("["):rep(200) } do
      local value, why = decode(text)
      assert.is_nil(value, text)
      assert.is_string(why)
    end
    assert.has_error(function() decode() end)
    assert.has_error(function() decode{} end)
  end)

  it("takes 128 levels", function()
    local text = ("["):rep(128) .. ("]"):rep(128)
    local value, depth = decode(text), 0
    while value do value, depth = value[1], depth + 1 end
    assert.are.equal(128, depth)
  end)

  it("gives back what it was given", function()
    local text = '{"a":[1,2.5,"x",true,false,null,[],{}]}'
    assert.are.equal(text, encode(decode(text)))
  end)
end)

describe("pinstripe.array", function()
  it("marks a table and returns it", function()
    local t = { 1 }
    assert.are.equal(t, pinstripe.array(t))
    assert.are.equal(t, pinstripe.array(t))
    assert.are.equal(pinstripe.array, getmetatable(t))
  end)

  it("refuses what it cannot mark", function()
    assert.has_error(function() pinstripe.array(5) end)
    assert.has_error(function() pinstripe.array(setmetatable({}, {})) end)
  end)
end)

describe("a caller's table", function()
  local function snapshot(t)
    local copy = {}
    for k, v in pairs(t) do copy[k] = type(v) == "table" and snapshot(v) or v end
    return setmetatable(copy, { of = getmetatable(t) })
  end

  local function check_unchanged(before, t)
    assert.are.equal(getmetatable(before).of, getmetatable(t))
    for k, v in pairs(before) do
      if type(v) == "table" then check_unchanged(v, t[k]) else assert.are.equal(v, rawget(t, k)) end
    end
    for k in pairs(t) do assert.is_not_nil(rawget(before, k)) end
  end

  it("is never changed by a call", function()
    local stripe = support.client{ {}, support.page{}, support.page{} }
    local params = { limit = 5.0, created = { gte = 1 }, expand = pinstripe.array{ "a" }, metadata = {}, x = { 1, 2 } }
    local options = { headers = { ["X-A"] = "1" }, idempotency_key = "k", fields = { "id" } }
    local params_before, options_before = snapshot(params), snapshot(options)
    stripe.customers:create(params, options)
    stripe.charges:list(params, options)
    for _ in stripe.charges:each(params, options) do end -- luacheck: ignore
    check_unchanged(params_before, params)
    check_unchanged(options_before, options)
  end)
end)
