-- Every operation of v2: what it sends, and what of its answer is kept. And what `request` adds for the rest.
local pinstripe = require "pinstripe"
local support = require "support"

local unpack = table.unpack or unpack -- luacheck: ignore

local function find(client, path)
  local service = client
  for part in path:gmatch "[^.]+" do service = service[part] end
  return service
end

describe("v2", function()
  it("sends JSON with null and empty lists kept, and reads what its answers hold", function()
    local count = 0
    for op in pinstripe.api.operations() do
      if op.version == 2 then
        count = count + 1
        local stripe, requests = support.client(function()
          return support.reply(200, { id = "x_1", data = pinstripe.array(), note = pinstripe.null,
            units = "9007199254740993", share = "12.50", brand_new = { a = 1 } })
        end)
        local arguments = {}
        for i in ipairs(op.ids) do arguments[i] = "id_" .. i end
        arguments[#arguments + 1] = { a = pinstripe.null, b = pinstripe.array(), c = { d = "e" } }
        local object = pinstripe.check(find(stripe, op.service)[op.name](find(stripe, op.service),
          unpack(arguments, 1, #op.ids + 1)))
        local request = requests[1]
        assert.are.equal(op.method, request.method, op.id)
        assert.are.equal(op.stripe_version or pinstripe.api.version, request.headers["Stripe-Version"], op.id)
        assert.is_truthy(request.headers["User-Agent"]:find "^Stripe/v2 pinstripe/")
        assert.are.equal(op.method ~= "GET", request.headers["Idempotency-Key"] ~= nil, op.id)
        if op.method == "POST" then
          assert.are.equal("application/json", request.headers["Content-Type"])
          assert.are.same({ a = pinstripe.null, b = {}, c = { d = "e" } }, pinstripe.json.decode(request.body), op.id)
        else
          assert.is_nil(request.body)
          assert.is_truthy(request.url:find("c%[d%]=e"), op.id)
        end
        assert.are.equal("9007199254740993", object.units)
        assert.are.equal("12.50", object.share)
        assert.are.equal(pinstripe.null, object.note)
      end
    end
    assert.is_true(count >= 91, tostring(count))
  end)

  it("names an error by its type, whatever its status", function()
    local types = {}
    for op in pinstripe.api.operations() do
      for _, class in ipairs(op.throws or {}) do types[class] = op end
    end
    local count = 0
    for class, op in pairs(types) do
      local kind = class:gsub("Error$", ""):gsub("(%l)(%u)", "%1_%2"):lower():gsub("^fxquote", "fx_quote")
      local stripe = support.client(function()
        return support.reply(418, { error = { type = kind, code = "some_code", message = "no", invalid_param = "a" } })
      end, { max_retries = 0 })
      local _, err = stripe:request(op.method, "/v2/core/accounts")
      assert.are.equal(kind, err.kind, class)
      assert.are.equal("a", err.invalid_param)
      count = count + 1
    end
    assert.is_true(count > 10, tostring(count))
  end)
end)

describe("request", function()
  it("returns the answer's bytes if asked to", function()
    local stripe = support.client(function() return { status = 200, headers = {}, body = "a,b\n1,2\n" } end)
    assert.are.equal("a,b\n1,2\n", stripe:request("GET", "/v1/brand_new.csv", nil, { raw = true }))
    local object, err = stripe:request("GET", "/v1/brand_new.csv")
    assert.is_nil(object)
    assert.are.equal("protocol", err.kind)
    stripe = support.client(function() return support.reply(200, { a = 1 }) end)
    assert.are.equal('{"a":1}', stripe.balance:retrieve(nil, { raw = true }))
  end)

  it("reads an error even if the bytes were asked for", function()
    local stripe = support.client(function() return support.reply(404, { error = { code = "resource_missing" } }) end)
    local object, err = stripe:request("GET", "/v1/brand_new.csv", nil, { raw = true })
    assert.is_nil(object)
    assert.are.equal("resource_missing", err.code)
  end)
end)

describe("oauth:authorize_url", function()
  local stripe = support.client({}, { client_id = "ca_1" })

  it("names a misuse", function()
    local ok, err = pcall(function() stripe.oauth:authorize_url({}, { expres = true }) end)
    assert.is_false(ok)
    assert.is_truthy(err:find("v2_spec.+oauth:authorize_url: expres is not an option"), err)
    ok, err = pcall(function() stripe.oauth:authorize_url("x") end)
    assert.is_false(ok)
    assert.is_truthy(err:find("oauth:authorize_url: params must be a table", 1, true), err)
    ok, err = pcall(function() stripe.oauth.authorize_url{} end)
    assert.is_false(ok)
    assert.is_truthy(err:find("is a method", 1, true), err)
  end)
end)
