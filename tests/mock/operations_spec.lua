-- Every operation of the table is called, by its name, and three times judged:
--
--   by the official mock      with its required params: it must be accepted. The mock validates routes and params
--   by an echo of the wire    with every param that it has: method, path, headers and body are read back and compared
--   by a transport            which base it goes to
--
-- What is expected is read from the description, not from the table that the library was built with.
local json = require "dkjson"
local pinstripe = require "pinstripe"

local KEY = "sk_test_operations"
local BASES = {
  api = "https://api.stripe.com",
  files = "https://files.stripe.com",
  connect = "https://connect.stripe.com",
  meter_events = "https://meter-events.stripe.com",
}

-- What the mock's description of the API lacks: v2, what was removed or is in preview, and what is newer than it.
local KNOWN_OF_MOCK = 539
local OUTSIDE = {
  ["apps.installs"] = true, ["oauth"] = true, ["product_catalog.trial_offers"] = true, ["tax.locations"] = true,
  ["three_d_secure.authentications"] = true, ["subscriptions.pause"] = true,
}

local function is_outside(op)
  return op.version == 2 or op.status or OUTSIDE[op.service] or OUTSIDE[op.id]
end

-- ---- The description

local function read_json(path)
  local file = assert(io.open(path))
  local value, _, err = json.decode(file:read "*a")
  file:close()
  return assert(value, path .. ": " .. tostring(err))
end

-- {id = {method, path, encoding, ...}}, of all files.
local function described()
  local operations = {}
  local files = io.popen("ls '" .. os.getenv "PS_SOURCE_DIR" .. "'/core/api/resources/*.json")
  for path in files:lines() do
    for id, op in pairs(read_json(path).operations or {}) do operations[id] = op end
  end
  files:close()
  return operations
end

-- ---- Params by rule

local PLAIN = {
  string = "a text", any = "any", bool = true,
  int = 7, number = 1.5, timestamp = 1700000000, decimal = "1.5", int64 = "7",
  file = { content = "bytes", filename = "a.txt", type = "text/plain" },
}

local value

-- The fields that `wanted` accepts. A map that must be there but would be empty, and so not sent, gets its first one.
local function fields_of(type, wanted)
  local map = {}
  for _, field in ipairs(type.fields) do
    if wanted(field) then map[field.name] = value(field, wanted) end
  end
  if next(map) == nil and type.fields[1] then map[type.fields[1].name] = value(type.fields[1], wanted) end
  return map
end

local BY_KIND = {
  object = fields_of,
  enum = function(type) return type.values[1] ~= "" and type.values[1] or type.values[2] end,
  array = function(type, wanted) return { value(type.of, wanted) } end,
  map = function(type, wanted) return { some_key = value(type.of, wanted) } end,
  range = function(type, wanted) return { gte = value(type.of, wanted) } end,
  union = function(type, wanted) return value(type.any[1], wanted) end,
}

function value(type, wanted)
  local build = BY_KIND[type.kind]
  if build then return build(type, wanted) end
  return assert(PLAIN[type.kind], type.kind)
end

local function required(field) return field.required end
local function any() return true end

local function params_of(op, wanted)
  local map = {}
  for _, param in ipairs(op.params) do
    if wanted(param) then map[param.name] = value(param, wanted) end
  end
  return map
end

-- ---- Calls

local function call(client, op, id, params)
  local service, arguments = client, {}
  for segment in op.service:gmatch "[^.]+" do service = service[segment] end
  for i = 1, #op.ids do arguments[i] = id end
  arguments[#arguments + 1] = params
  -- The mobile side's version: the library refuses to guess it.
  if op.id == "ephemeral_keys.create" then arguments[#arguments + 1] = { stripe_version = "2020-08-27" } end
  return service[op.name](service, (table.unpack or unpack)(arguments))
end

local function client_of(base)
  return pinstripe.client(KEY, {
    api_base = base, files_base = base, connect_base = base, meter_events_base = base, max_retries = 0,
  })
end

-- ---- The wire, read back

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- {["a[0][b]"] = "text"} of a form-encoded text.
local function read_form(text)
  local pairs_of = {}
  for name, encoded in text:gmatch "([^&=]+)=([^&]*)" do
    name = unescape(name)
    assert(pairs_of[name] == nil, name .. " stands twice")
    pairs_of[name] = unescape(encoded)
  end
  return pairs_of
end

-- The same of params.
local function flatten(params, name, into)
  into = into or {}
  if type(params) ~= "table" then
    into[name] = tostring(params)
    return into
  end
  for key, child in pairs(params) do
    if type(key) == "number" then key = key - 1 end
    flatten(child, name and name .. "[" .. key .. "]" or tostring(key), into)
  end
  return into
end

local function split(path)
  local before, query = path:match "^([^?]*)%??(.*)$"
  return before, query
end

-- ---- The judges

local function check_body(op, echo, params)
  local _, query = split(echo.path)
  if op.encoding == "query" then
    assert.same(flatten(params), read_form(query))
    assert.equal("", echo.body)
    return
  end
  assert.equal("", query)
  if op.encoding == "form" then
    assert.equal("application/x-www-form-urlencoded", echo.headers["content-type"])
    assert.same(flatten(params), read_form(echo.body))
  elseif op.encoding == "json" then
    assert.equal("application/json", echo.headers["content-type"])
    assert.same(params, json.decode(echo.body))
  else
    local boundary = echo.headers["content-type"]:match "^multipart/form%-data; boundary=(.+)$"
    assert.truthy(boundary and echo.body:find("--" .. boundary, 1, true))
    for _, text in ipairs{ 'name="purpose"', params.purpose, 'name="file"; filename="a.txt"', "text/plain", "bytes" } do
      assert.truthy(echo.body:find(text, 1, true), text)
    end
  end
end

local function check_headers(op, echo)
  local version = op.id == "ephemeral_keys.create" and "2020-08-27" or op.stripe_version or pinstripe.api.version
  assert.equal("Bearer " .. KEY, echo.headers.authorization)
  assert.equal(version, echo.headers["stripe-version"])
  assert.equal(op.method ~= "GET", echo.headers["idempotency-key"] ~= nil)
  assert.matches(op.version == 2 and "^Stripe/v2 pinstripe/" or "^Stripe/v1 pinstripe/", echo.headers["user-agent"])
end

local function check_on_the_wire(client, op, description)
  local params = params_of(op, any)
  local echo, err = call(client, op, "a b/ü", params)
  assert(echo, tostring(err))
  if type(echo) == "string" then echo = assert(json.decode(echo)) end
  assert.equal(description.method, echo.method)
  assert.equal((description.path:gsub("{[^}]*}", "a%%20b%%2F%%C3%%BC")), (split(echo.path)))
  check_headers(op, echo)
  check_body(op, echo, params)
end

-- Runs `check` for every operation, and tells of all that failed at once.
local function for_each(operations, check)
  local failures = {}
  for _, op in ipairs(operations) do
    local ok, err = pcall(check, op)
    if not ok then failures[#failures + 1] = op.id .. ": " .. tostring(type(err) == "table" and err.message or err) end
  end
  assert.equal("", table.concat(failures, "\n"))
end

describe("every operation", function()
  local operations, description, accepted, compared = {}, described(), 0, 0
  for op in pinstripe.api.operations() do operations[#operations + 1] = op end

  lazy_teardown(function()
    print(("\n== %d of %d operations on the wire as described; stripe-mock knows and accepts %d of them")
      :format(compared, #operations, accepted))
  end)

  it("stands in the table", function()
    local ids = {}
    for _, op in ipairs(operations) do ids[op.id] = true end
    for id in pairs(description) do assert.truthy(ids[id], id) end
    for id in pairs(ids) do assert.truthy(description[id], id) end
    assert.equal(699, #operations)
  end)

  it("is accepted by the official mock, or outside it", function()
    local client = client_of(os.getenv "STRIPE_MOCK")
    for_each(operations, function(op)
      local result, err = call(client, op, "id_123", params_of(op, required))
      if result == nil and err.status == 404 and err.message:find("Unrecognized request URL", 1, true) then
        assert(is_outside(op), "stripe-mock does not know " .. op.method .. " " .. op.path)
        return
      end
      assert(result ~= nil, tostring(err))
      if not is_outside(op) and not op.alias_of then accepted = accepted + 1 end
    end)
    assert.equal(KNOWN_OF_MOCK, accepted)
  end)

  it("goes out as described, with every param", function()
    local client = client_of(os.getenv "STRIPE_ECHO")
    for_each(operations, function(op)
      check_on_the_wire(client, op, description[op.id])
      compared = compared + 1
    end)
  end)

  it("goes to its base", function()
    local url
    local client = pinstripe.client(KEY, {
      transport = function(request)
        url = request.url
        return { status = 200, headers = {}, body = "{}" }
      end,
    })
    for_each(operations, function(op)
      call(client, op, "id_123", params_of(op, required))
      local base = BASES[description[op.id].base or "api"]
      assert.equal(base .. "/", url:sub(1, #base + 1))
    end)
  end)
end)
