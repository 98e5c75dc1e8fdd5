-- Every operation of the table is called through a client with the params that the table requires, made up, and ids of
-- objects that there are. Each is answered with 200 and with what the table says that it returns; what was created is
-- retrieved, and equal. In the end: how many operations the table alone answers, how many have behaviour of their own.
--
-- With STRIPE_MOCK in the environment, the same params of each v1 create are sent to the official mock, which accepts
-- them.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local conform = require "conform"
local maker = require "maker"
local pinstripe = require "pinstripe"

local api = pinstripe.api
-- What the official mock does not know yet.
local NEWER_THAN_MOCK = {
  "apps.installs.create", "product_catalog.trial_offers.create", "tax.locations.create",
  "three_d_secure.authentications.create",
}

local PAGES = { list = "list", search_result = "search_result", v2_list = false }

local function problems_of_page(op, page)
  local problems = {}
  if type(page.data) ~= "table" then return { "it has no data" } end
  if PAGES[op.returns.kind] and page.object ~= PAGES[op.returns.kind] then problems[1] = "it is no "
    .. op.returns.kind end
  for i, item in ipairs(page.data) do
    for _, problem in ipairs(conform.problems(op.returns.type.of, item, "data[" .. (i - 1) .. "]")) do
      problems[#problems + 1] = problem
    end
  end
  return problems
end

local function problems_of(op, result)
  if PAGES[op.returns.kind] ~= nil then return problems_of_page(op, result) end
  if op.returns.kind == "none" then return {} end
  if op.returns.kind ~= "binary" then return conform.problems(op.returns.type, result) end
  return type(result) == "string" and result:sub(1, 5) == "%PDF-" and {} or { "it is no PDF" }
end

-- The operation that retrieves what this one creates.
local function retrieval(op)
  local found = op.name == "create" and api.operation(op.service .. ".retrieve")
  return found and #found.ids == #op.ids + 1 and found or nil
end

-- Fields that are told once.
local ONCE = { ["webhook_endpoints.create"] = { "secret" }, ["ephemeral_keys.create"] = { "secret" } }

local function same_again(make, op, ids, created)
  local get = retrieval(op)
  if not get then return end
  ids[#ids + 1] = created.id
  local again = assert(make.call(get, ids))
  for _, name in ipairs(ONCE[op.id] or {}) do created[name] = nil end
  assert.same(created, again)
end

describe("every operation", function()
  local operations, failures, tally = {}, {}, {}
  local only = os.getenv "PS_OPERATION"
  for op in api.operations() do
    if not only or op.id:find(only) then operations[#operations + 1] = op end
  end

  local function fail(op, what) failures[#failures + 1] = op.id .. ": " .. tostring(what) end

  local function each(act)
    failures = {}
    for _, op in ipairs(operations) do
      local ok, err = pcall(act, op)
      if not ok then fail(op, type(err) == "table" and err.message or err) end
    end
    assert.equal("", table.concat(failures, "\n"))
  end

  -- Calls an operation in a sandbox of its own.
  local function call(op)
    local box = support.box { now = 1790000000, seed = 1 }
    local make = maker.new(box, box:client())
    local ids, params = make.ids(op), make.params(op)
    local result, err = make.call(op, ids, params)
    if result == nil and err then error(tostring(err), 0) end
    return result, make, ids, params
  end

  lazy_teardown(function()
    local by_kind = {}
    for _, how in pairs(tally) do by_kind[how] = (by_kind[how] or 0) + 1 end
    print(("\n== %d operations: %d by the table alone, %d with behaviour of their own")
      :format(#operations, by_kind.table or 0, by_kind.own or 0))
  end)

  it("answers as the table says", function()
    local v2 = require "sandbox.v2"
    local own = { require "sandbox.flows".operations, v2.operations, v2.creates, require "sandbox.actions".rules }
    each(function(op)
      for _, problem in ipairs(problems_of(op, (call(op)))) do fail(op, problem) end
      tally[op.id] = "table"
      for _, operations_of in ipairs(own) do
        if operations_of[op.id] then tally[op.id] = "own" end
      end
    end)
  end)

  it("retrieves what it created", function()
    each(function(op)
      if retrieval(op) then
        local created, make, ids = call(op)
        same_again(make, op, ids, created)
      end
    end)
  end)

  it("is refused a param that it does not have, and nothing happens", function()
    each(function(op)
      local box = support.box { now = 1790000000, seed = 1 }
      local client = box:client()
      local make = maker.new(box, client)
      local ids, params = make.ids(op), make.params(op)
      params.no_such_param = "x"
      local before = box:save()
      local text = require "sandbox.host".encode(before.accounts)
      local result, err = make.call(op, ids, params)
      assert(result == nil, "it was accepted")
      assert.equal(400, err.status, tostring(err))
      assert.equal("no_such_param", err.param)
      assert.equal(text, require "sandbox.host".encode(box:save().accounts))
    end)
  end)

  -- Bodies with one odd value each, in the place of every param.
  local function odd_bodies(op)
    local bodies = { op.version == 2 and "{" or "%ff=1", op.version == 2 and "[1]" or "a[=1", "[]=1", "expand=1" }
    local values = op.version == 2 and { "null", "1", '"x"', "[]", "{}", "[[]]", '{"a":{"b":1}}', "true", "-1", "1e99" }
      or { "=", "=x", "[]=x", "[a]=x", "[a][b]=1", "=1", "[0][a]=x", "[a]=", "=true", "[gt]=1", "=-1", "[][a][b][]=1" }
    for _, param in ipairs(op.params) do
      for _, odd in ipairs(values) do
        bodies[#bodies + 1] = op.version == 2 and ('{"%s": %s}'):format(param.name, odd) or param.name .. odd
      end
    end
    return bodies
  end

  local function address_of(op, ids)
    local i = 0
    return (op.path:gsub("{[^}]*}", function()
      i = i + 1
      return ids[i]
    end))
  end

  it("is refused odd values, by an error of the API's", function()
    local sent = 0
    each(function(op)
      local box = support.box { now = 1790000000, seed = 1 }
      local path = address_of(op, maker.new(box, box:client()).ids(op))
      for _, body in ipairs(odd_bodies(op)) do
        local json = op.version == 2 and op.method == "POST"
        local in_body = op.method == "POST"
        local reply = box:handle {
          method = op.method, path = path, body = in_body and body or nil, query = not in_body and body or nil,
          headers = {
            authorization = "Bearer " .. maker.KEY,
            ["content-type"] = json and "application/json" or "application/x-www-form-urlencoded",
          },
        }
        sent = sent + 1
        if reply.status >= 500 then fail(op, body .. " " .. reply.body:gsub("%s+", " ")) end
      end
    end)
    assert.truthy(only or sent > 40000)
  end)

  local mock = os.getenv "STRIPE_MOCK"
  if mock then
    it("is created with params that the official mock accepts as well", function()
      local official = pinstripe.client(maker.KEY, { api_base = mock, files_base = mock, max_retries = 0 })
      local accepted, unknown = 0, {}
      each(function(op)
        if op.name ~= "create" or op.version ~= 1 or op.status then return end
        local _, make, ids, params = call(op)
        local result, err = make.call(op, ids, params, nil, official)
        if result then
          accepted = accepted + 1
        else
          assert(err.status == 404 and err.message:find "Unrecognized request URL", tostring(err))
          unknown[#unknown + 1] = op.id
        end
      end)
      print(("\n== %d creates accepted by the official mock, too"):format(accepted))
      if not only then assert.same(NEWER_THAN_MOCK, unknown) end
    end)
  end
end)
