-- pinstripe.webhook beyond the shared cases: its arguments, its defaults, what it costs to load.
local pinstripe = require "pinstripe"

local webhook = pinstripe.webhook
local SECRET = "whsec_specs"
local EVENT = '{"id":"evt_1","object":"event","type":"charge.succeeded","data":{"object":{"id":"ch_1"}}}'

local function raises(pattern, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
  assert.is_truthy(tostring(err):find("webhook_spec", 1, true) or f == webhook.sign, tostring(err))
end

describe("pinstripe.webhook", function()
  it("takes one secret, or a list of them", function()
    local header = webhook.sign(EVENT, SECRET, os.time())
    assert.are.equal("evt_1", webhook.construct(EVENT, header, SECRET).id)
    assert.are.equal("ch_1", webhook.construct(EVENT, header, { "whsec_old", SECRET }).data.object.id)
    assert.is_true(webhook.verify(EVENT, header, SECRET))
    local event, err = webhook.construct(EVENT, header, "whsec_old")
    assert.is_nil(event)
    assert.are.equal("signature", err.kind)
    assert.are.equal("no_match", err.code)
    assert.is_truthy(tostring(err):find("^signature: "))
  end)

  it("signs for now, and checks against now", function()
    assert.is_true(webhook.verify(EVENT, webhook.sign(EVENT, SECRET), SECRET))
    local _, err = webhook.verify(EVENT, webhook.sign(EVENT, SECRET, os.time() - 400), SECRET)
    assert.are.equal("stale", err.code)
    assert.is_true(webhook.verify(EVENT, webhook.sign(EVENT, SECRET, os.time() - 400), SECRET, { tolerance = 500.5 }))
    assert.is_true(webhook.verify(EVENT, webhook.sign(EVENT, SECRET, 5), SECRET, { tolerance = 0 }))
    _, err = webhook.verify(EVENT, webhook.sign(EVENT, SECRET, 5), SECRET, { tolerance = 0.5 })
    assert.are.equal("stale", err.code)
    assert.is_true(webhook.verify(EVENT, webhook.sign(EVENT, SECRET, 5), SECRET, { tolerance = 0.5, now = 6 }))
    assert.is_true(webhook.verify(EVENT, webhook.sign(EVENT, SECRET, 5), SECRET, { tolerance = 1e300 }))
    assert.is_true(webhook.verify(EVENT, webhook.sign(EVENT, SECRET, 5), SECRET, { now = 300 }))
  end)

  it("answers what is absent with an error: a request may lack it", function()
    local _, err = webhook.construct(EVENT, nil, SECRET)
    assert.are.equal("no_header", err.code)
    _, err = webhook.construct(nil, webhook.sign(EVENT, SECRET), SECRET)
    assert.are.equal("not_bytes", err.code)
    _, err = webhook.construct(EVENT, webhook.sign(EVENT, SECRET), nil)
    assert.are.equal("no_secret", err.code)
    _, err = webhook.construct_without_verification(nil)
    assert.are.equal("not_bytes", err.code)
  end)

  it("names a misuse, at the caller's line", function()
    local header = webhook.sign(EVENT, SECRET)
    raises("the header must be a string, not a table", function() webhook.construct(EVENT, {}, SECRET) end)
    raises("a string, or a list", function() webhook.construct(EVENT, header, 5) end)
    raises("a string, or a list", function() webhook.construct(EVENT, header, { SECRET, 5 }) end)
    raises("without NUL", function() webhook.construct(EVENT, header, "whsec\0x") end)
    raises("up to 32", function()
      local many = {}
      for i = 1, 33 do many[i] = SECRET end
      webhook.construct(EVENT, header, many)
    end)
    raises("webhook.verify: tolerence is not an option", function()
      webhook.verify(EVENT, header, SECRET, { tolerence = 3 })
    end)
    raises("tolerance must be a number of seconds", function()
      webhook.construct(EVENT, header, SECRET, { tolerance = -1 })
    end)
    raises("now must be a number of seconds", function()
      webhook.parse_notification(EVENT, header, SECRET, { now = 0 / 0 })
    end)
    raises("options must be a table, not a number", function() webhook.construct(EVENT, header, SECRET, 300) end)
    raises("the body must be a string, not a nil", function() webhook.sign(nil, SECRET) end)
    for _, wrong in ipairs{ "5", -1, 0 / 0, math.huge } do
      raises("the timestamp must be in Unix seconds", function() webhook.sign(EVENT, SECRET, wrong) end)
    end
  end)

  it("keeps lists and null as everywhere", function()
    local event = webhook.construct_without_verification('{"object":"event","a":[],"b":null,"c":{"object":"list",' ..
      '"data":[],"has_more":true,"url":"/v1/x"}}')
    assert.are.equal('{"a":[],"b":null}', pinstripe.json.encode{ a = event.a, b = event.b }:gsub('{"b":null,"a":%[%]}',
      '{"a":[],"b":null}'))
    assert.is_true(event.c.has_more)
    assert.is_nil(event.c.each)
  end)

  it("bears a collector that runs all the time", function()
    local header = webhook.sign(EVENT, SECRET)
    debug.sethook(function() collectgarbage() end, "", 20)
    local ok, err = pcall(function()
      for _ = 1, 20 do
        assert(webhook.construct(EVENT, header, { "whsec_a", "whsec_b", SECRET }).id == "evt_1")
        assert(select(2, webhook.construct(EVENT .. " ", header, { "whsec_a", SECRET })).code == "no_match")
      end
    end)
    debug.sethook()
    assert.is_true(ok, tostring(err))
  end)

  it("is loaded when it is first used, and libcrypto with it", function()
    local maps = io.open "/proc/self/maps"
    if not maps then return pending "no /proc here" end
    maps:close()
    local script = 'local p = require "pinstripe" local function has() return io.open"/proc/self/maps":read"*a"' ..
      ':find"libcrypto" and "yes" or "no" end local before = has() p.webhook.sign("a", "b", 1) print(before, has())'
    local process = io.popen(os.getenv "PS_LUA" .. " -e '" .. script:gsub("'", "'\\''") .. "'")
    local out = process:read "*a"
    process:close()
    assert.are.equal("no\tyes\n", out)
  end)
end)
