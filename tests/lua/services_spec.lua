-- Clients, services and methods: what exists, how it is called, and what a misuse says and where.
local pinstripe = require "pinstripe"
local support = require "support"

-- The message that calling `f` raises; it must point at this file.
local function message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "nothing was raised")
  assert.are.equal("string", type(message))
  assert.is_truthy(message:find "services_spec%.lua:%d+: ", message)
  return (message:gsub("^.-services_spec%.lua:%d+: ", ""))
end

local function current_line()
  return debug.getinfo(2, "l").currentline
end

describe("a client", function()
  it("takes a key, options, or both", function()
    for _, arguments in ipairs{ { "sk_test_1" }, { { api_key = "sk_test_1" } }, { "sk_test_1", {} }, { nil, {} } } do
      assert.is_table(pinstripe.client(arguments[1], arguments[2]))
    end
  end)

  it("takes the key of the environment", function()
    local seen
    local stripe = pinstripe.client{ transport = function(request)
      seen = request.headers.Authorization
      return support.reply(200, {})
    end }
    local _, err = stripe.balance:retrieve()
    local key = os.getenv "STRIPE_API_KEY"
    if key then
      assert.are.equal("Bearer " .. key, seen)
    else
      assert.are.equal("authentication", err.kind)
      assert.are.equal("not_sent", err.outcome)
      assert.is_nil(seen)
    end
  end)

  local wrong = {
    { { api_bse = "https://x" }, "pinstripe.client: api_bse is not an option; the nearest is api_base" },
    { { trnsport = print }, "pinstripe.client: trnsport is not an option; the nearest is transport" },
    { { fields = {} }, "pinstripe.client: fields is not an option" },
    { { timeout = "5" }, "pinstripe.client: the option timeout must be a number of seconds, 0 or more" },
    { { timeout = -1 }, "pinstripe.client: the option timeout must be a number of seconds, 0 or more" },
    { { max_retries = 1.5 }, "pinstripe.client: the option max_retries must be an integer, 0 or more" },
    { { stripe_account = 5 }, "pinstripe.client: the option stripe_account must be a string" },
    { { stripe_account = "a\0b" }, "pinstripe.client: the option stripe_account must be a string" },
    { { headers = "x" }, "pinstripe.client: the option headers must be a map of names to" },
    { { strict = "yes" }, "pinstripe.client: the option strict must be true or false" },
    { { log = "x" }, "pinstripe.client: the option log must be a function, not a string" },
    { { on_request = {} }, "pinstripe.client: the option on_request must be a function, not a table" },
    { { transport = {} },
      "pinstripe.client: the option transport must be a function, or {send = function, sleep = function}" },
    { { transport = 5 },
      "pinstripe.client: the option transport must be a function, or {send = function, sleep = function}" },
    { { transport = { send = print, sleep = 1 } },
      "pinstripe.client: the option transport must be a function, or {send = function, sleep = function}" },
    { { headers = { a = print } },
      "pinstripe.client: options.headers.a: a function cannot be sent (expected a string, number, boolean, table" },
    { { 1 }, "pinstripe.client: options must be a table with names as keys, not a list" },
  }
  for _, case in ipairs(wrong) do
    it("refuses: " .. case[2], function()
      local message = message_of(function() pinstripe.client("sk_test_1", case[1]) end)
      assert.are.equal(case[2], message:sub(1, #case[2]))
    end)
  end

  it("refuses other things in place of a key or options", function()
    assert.are.equal("pinstripe.client: the API key must be a string, not a number",
      message_of(function() pinstripe.client(5) end))
    assert.are.equal("pinstripe.client: the API key holds a NUL byte",
      message_of(function() pinstripe.client "sk_test_1\0" end))
    assert.are.equal("pinstripe.client: options must be a table, not a string",
      message_of(function() pinstripe.client("sk_test_1", "x") end))
    assert.is_truthy(message_of(function() pinstripe.client("sk_test_1", { api_base = "ftp://x" }) end):find "api_base")
  end)

  it("sends its options", function()
    local stripe, requests = support.client({ {} }, { stripe_account = "acct_1", headers = { ["X-A"] = "b" },
      app_info = { name = "Shop", version = "1.2" }, api_base = "https://example.com" })
    stripe.balance:retrieve()
    assert.are.equal("https://example.com/v1/balance", requests[1].url)
    assert.are.equal("acct_1", requests[1].headers["Stripe-Account"])
    assert.are.equal("b", requests[1].headers["X-A"])
    local language = rawget(_G, "jit") and "luajit 2.1" or _VERSION:lower()
    assert.are.equal("Stripe/v1 pinstripe/" .. pinstripe.version .. " (" .. language .. ") Shop/1.2",
      requests[1].headers["User-Agent"])
  end)
end)

describe("a service", function()
  local stripe, requests = support.client(function() return support.reply(200, { id = "x" }) end)

  it("stands at the top, under v1, or under v2", function()
    assert.is_truthy(stripe.customers:retrieve "cus_1")
    assert.are.equal("/v1/customers/cus_1", support.path(requests[#requests]))
    assert.is_truthy(stripe.v1.customers:retrieve "cus_2")
    assert.are.equal("/v1/customers/cus_2", support.path(requests[#requests]))
    assert.is_truthy(stripe.v2.core.events:retrieve "evt_1")
    assert.are.equal("/v2/core/events/evt_1", support.path(requests[#requests]))
    assert.is_truthy(stripe.checkout.sessions.line_items:list "cs_1")
    assert.are.equal("/v1/checkout/sessions/cs_1/line_items", support.path(requests[#requests]))
    assert.is_truthy(stripe.accounts.persons:retrieve("acct_1", "person_1"))
    assert.are.equal("/v1/accounts/acct_1/persons/person_1", support.path(requests[#requests]))
  end)

  it("is looked up once", function()
    assert.are.equal(stripe.customers, stripe.customers)
    assert.are.equal(stripe.customers.create, stripe.v1.customers.create)
    assert.are.equal(stripe.customers.create, support.client({}).customers.create)
  end)

  it("prints its path, and nothing secret", function()
    assert.are.equal("pinstripe.client", tostring(stripe))
    assert.are.equal("pinstripe.service accounts.persons", tostring(stripe.accounts.persons))
  end)

  it("has no other fields", function()
    assert.is_nil(stripe[1])
    assert.is_nil(stripe.customers[1])
    assert.is_nil(stripe.v1[true])
  end)

  local unknown = {
    { function() return stripe.custmers end, "there is no service custmers; the nearest is customers" },
    { function() return stripe.frobnication end, "there is no service frobnication" },
    { function() return stripe.v1.custmers end, "there is no service custmers; the nearest is customers" },
    { function() return stripe.v1.v2 end, "there is no service v2" },
    { function() return stripe.v2.cor end, "there is no operation or service v2.cor; the nearest is v2.core" },
    { function() return stripe.customers.creat end,
      "there is no operation or service customers.creat; the nearest is customers.create" },
    { function() return stripe.accounts.person end,
      "there is no operation or service accounts.person; the nearest is accounts.persons" },
    { function() return stripe.accounts.persons.retreive end,
      "there is no operation or service accounts.persons.retreive; the nearest is accounts.persons.retrieve" },
    { function() return stripe.balance.each end, "there is no operation or service balance.each" },
    { function() return stripe.balance.frobnicate end, "there is no operation or service balance.frobnicate" },
  }
  for _, case in ipairs(unknown) do
    it("refuses: " .. case[2], function()
      local message = message_of(case[1])
      assert.are.equal(case[2], message:sub(1, #case[2]))
    end)
  end

  it("points at the line of the mistake", function()
    local line
    local ok, message = pcall(function()
      line = current_line() + 1
      local _ = stripe.custmers
    end)
    assert.is_false(ok)
    assert.is_truthy(message:find("services_spec.lua:" .. line .. ":", 1, true), message)
  end)
end)

describe("a method", function()
  local stripe, requests = support.client(function() return support.reply(200, { id = "x" }) end)

  local misuses = {
    { function() stripe.customers.create{ email = "x" } end,
      "customers:create is a method: call it with a colon, as stripe.customers:create(...)" },
    { function() stripe.customers.create() end,
      "customers:create is a method: call it with a colon, as stripe.customers:create(...)" },
    { function() stripe.charges.each{} end,
      "charges:each is a method: call it with a colon, as stripe.charges:each(...)" },
    { function() stripe.request("GET", "/v1/charges") end,
      "request is a method: call it with a colon, as stripe.request(...)" },
    { function() stripe.accounts.persons:retrieve() end,
      "accounts.persons:retrieve needs 2 ids (account, person), got 0" },
    { function() stripe.accounts.persons:retrieve "acct_1" end,
      "accounts.persons:retrieve needs 2 ids (account, person), got 1" },
    { function() stripe.accounts.persons:retrieve("acct_1", { limit = 1 }) end,
      "accounts.persons:retrieve needs 2 ids (account, person), got 1" },
    { function() stripe.accounts.persons:retrieve("acct_1", nil) end,
      "accounts.persons:retrieve needs 2 ids (account, person), got 1" },
    { function() stripe.accounts.persons:retrieve("acct_1", "p", "q") end,
      "accounts.persons:retrieve needs 2 ids (account, person), got 3" },
    { function() stripe.customers:retrieve{ id = "cus_1" } end, "customers:retrieve needs 1 id (customer), got 0" },
    { function() stripe.customers:retrieve(5) end,
      "customers:retrieve: id 1 (customer) must be a string, not a number" },
    { function() stripe.customers:retrieve "cus_1\0x" end, "customers:retrieve: id 1 (customer) holds a NUL byte" },
    { function() stripe.customers:create "cus_1" end,
      "customers:create needs no id, got 1: its first argument is the table of params" },
    { function() stripe.customers:create(5) end, "customers:create: params must be a table, not a number" },
    { function() stripe.customers:create({}, 5) end, "customers:create: options must be a table, not a number" },
    { function() stripe.customers:create({}, {}, {}) end,
      "customers:create: params and options are the last arguments" },
    { function() stripe.customers:create({}, { idempotencykey = "x" }) end,
      "customers:create: idempotencykey is not an option; the nearest is idempotency_key" },
    { function() stripe.customers:create({}, { cursor = "x" }) end, "customers:create: cursor is not an option" },
    { function() stripe.customers:create({}, { deadline = {} }) end,
      "customers:create: the option deadline must be a number of seconds, 0 or more" },
    { function() stripe.customers:create({}, { fields = "id" }) end,
      "customers:create: fields must be a list of names, not a string" },
    { function() stripe.customers:create({}, { fields = {} }) end,
      'customers:create: fields must be a list of names, as {"id", "amount", "customer.email"}' },
    { function() stripe.customers:create({}, { fields = { "a", "b..c" } }) end,
      'customers:create: fields[2] must name a field, as "amount" or "customer.email"' },
    { function() stripe.customers:create({}, { fields = { 5 } }) end,
      'customers:create: fields[1] must name a field, as "amount" or "customer.email"' },
    { function() stripe:request("get", "/v1/charges") end,
      'request: the method must be a string in capitals, as "GET"' },
    { function() stripe:request("GET") end, 'request: the path must be a string, as "/v1/charges"' },
    { function() stripe:request("GET", "/v1/\0") end, 'request: the path must be a string, as "/v1/charges"' },
    { function() stripe:request("GET", "/v1/charges", 5) end, "request: params must be a table, not a number" },
    { function() stripe.charges:each "x" end,
      "charges:each needs no id, got 1: its first argument is the table of params" },
    { function() stripe.charges:each({}, { cursor = 5 }) end,
      "charges:each: the option cursor must be a string, as it:cursor() gave it" },
    { function() stripe.charges:each({}, { fields = {} }) end,
      'charges:each: fields must be a list of names, as {"id", "amount", "customer.email"}' },
  }
  for i, case in ipairs(misuses) do
    it("refuses " .. i .. ": " .. case[2], function()
      assert.are.equal(case[2], message_of(case[1]))
      assert.are.equal(0, #requests)
    end)
  end

  it("may be called apart from its service", function()
    local create = stripe.customers.create
    assert.is_truthy(create(stripe.customers, { email = "x" }))
    table.remove(requests)
  end)

  it("takes nil for params and options", function()
    for _, call in ipairs{
      function() return stripe.customers:create() end,
      function() return stripe.customers:create(nil) end,
      function() return stripe.customers:create(nil, nil) end,
      function() return stripe.customers:create(nil, {}) end,
      function() return stripe.customers:create({}, nil, nil) end,
    } do
      assert.is_truthy(call())
    end
  end)

  it("returns the object and what came with it", function()
    local client = support.client{
      support.reply(200, { id = "cus_1" }, { ["Request-Id"] = "req_1", ["X-A"] = { "1", "2" } }) }
    local customer, response = client.customers:create({}, { idempotency_key = "k" })
    assert.are.equal("cus_1", customer.id)
    assert.are.equal(200, response.status)
    assert.are.equal("req_1", response.request_id)
    assert.are.equal(1, response.attempts)
    assert.are.equal("k", response.idempotency_key)
    assert.are.equal("req_1", response.headers["request-id"])
    assert.are.equal("req_1", response.headers["Request-ID"])
    assert.are.equal("1, 2", response.headers["x-a"])
    assert.is_nil(response.headers["x-b"])
    assert.is_nil(response.headers[1])
    local names = {}
    for name in pairs(response.headers) do names[#names + 1] = name end
    table.sort(names)
    assert.are.same({ "request-id", "x-a" }, names)
  end)

  it("returns null for an empty answer, and bytes for a download", function()
    local client = support.client{
      { status = 204, headers = {}, body = "" }, { status = 200, headers = {}, body = "%PDF\0\255" },
      { status = 200, headers = {}, body = "%PDF" }, support.reply(404, { error = { message = "none" } }),
    }
    assert.are.equal(pinstripe.null, (client.v2.billing.meter_event_stream:create{ events = {} }))
    assert.are.equal("%PDF\0\255", (client.quotes:pdf "qt_1"))
    assert.are.equal("%PDF", (client:request("GET", "/v1/quotes/qt_1/pdf")))
    local _, err = client.quotes:pdf "qt_2"
    assert.are.equal("none", err.message)
  end)
end)

describe("pinstripe", function()
  it("tells its version", function()
    assert.is_truthy(pinstripe.version:find "^%d+%.%d+%.%d+$")
    assert.is_nil(pinstripe.nothing)
  end)

  it("checks", function()
    local object, response = { id = 1 }, {}
    assert.are.same({ object, response }, { pinstripe.check(object, response) })
    assert.is_nil((pinstripe.check(nil)))
    local err = setmetatable({}, { __tostring = function() return "e" end })
    local ok, raised = pcall(pinstripe.check, nil, err)
    assert.is_false(ok)
    assert.are.equal(err, raised)
    assert.are.equal("text", message_of(function() pinstripe.check(nil, "text") end))
  end)
end)

describe("pinstripe.api", function()
  local api = pinstripe.api

  it("names the version", function()
    assert.is_truthy(api.version:find "^%d%d%d%d%-%d%d%-%d%d%.%a+$")
  end)

  it("finds an operation", function()
    local op = api.operation "accounts.persons.retrieve"
    assert.are.equal("retrieve", op.name)
    assert.are.equal("accounts.persons", op.service)
    assert.are.equal("GET", op.method)
    assert.are.equal("/v1/accounts/{account}/persons/{person}", op.path)
    assert.are.same({ "account", "person" }, op.ids)
    assert.are.equal("plain", op.kind)
    assert.are.equal("query", op.encoding)
    assert.are.equal(1, op.version)
    assert.are.equal("object", op.returns.kind)
    assert.are.equal("person", op.returns.type.ref)
    assert.is_nil(op.deprecated)
    assert.is_nil(api.operation "customers.frobnicate")
    assert.are.equal("customers.create", api.nearest "customers.creat")
    assert.are.equal("charges.retrieve", api.route("GET", "/v1/charges/ch_1").id)
  end)

  it("describes parameters, nested", function()
    local params = api.operation("subscriptions.create").params
    assert.are.equal("items", params.items.name)
    assert.are.equal("array", params.items.kind)
    assert.are.equal("object", params.items.of.kind)
    assert.are.equal("string", params.items.of.fields.price.kind)
    assert.is_true(params.customer.required or params.customer_account ~= nil)
    assert.are.equal("map", params.metadata.of and params.metadata.kind or params.metadata.any[1].kind)
    assert.is_nil(params.frobnicate)
    local names = {}
    for i, param in ipairs(params) do names[i] = param.name end
    local sorted = { (table.unpack or unpack)(names) } -- luacheck: ignore
    table.sort(sorted)
    assert.are.same(sorted, names)
    local created = api.operation("charges.list").params.created
    assert.are.equal("range", created.kind)
    assert.is_true(created.scalar)
    assert.are.equal("enum", api.operation("account_links.create").params.type.kind)
    assert.is_true(api.operation("account_links.create").params.type.required)
  end)

  it("walks everything", function()
    local operations, by_service, services = 0, 0, 0
    for op in api.operations() do
      operations = operations + 1
      assert.are.equal(op.id, op.service .. "." .. op.name)
    end
    for service in api.services() do
      services = services + 1
      for op in api.operations(service.path) do
        by_service = by_service + 1
        assert.are.equal(service.path, op.service)
      end
      for _, path in ipairs(service.services) do assert.are.equal(path, api.service(path).path) end
    end
    assert.is_true(operations > 600)
    assert.are.equal(operations, by_service)
    assert.is_true(services > 200)
    local objects, events = 0, 0
    for object in api.objects() do
      objects = objects + 1
      assert.is_string(object.name)
      assert.are.equal(object.name, api.object(object.name).name)
    end
    for event in api.events() do
      events = events + 1
      assert.are.equal(event.type, api.event(event.type).type)
    end
    assert.is_true(objects > 150)
    assert.is_true(events > 200)
    assert.is_true(#api.error_codes() > 50)
  end)

  it("finds objects and events", function()
    local charge = api.object "charge"
    assert.are.equal("Charge", charge.sdk_name)
    assert.are.equal("ch_", charge.id_prefix)
    assert.are.equal("int", charge.fields.amount.kind)
    assert.is_true(api.object("customer").deleted ~= nil)
    assert.is_nil(api.object "frobnicate")
    assert.are.same({ "charge" }, api.event("charge.succeeded").objects)
    assert.is_nil(api.event("charge.succeeded").thin)
    assert.is_nil(api.event "frobnicate")
    assert.has_error(function() api.operations "frobnicate" end)
  end)

  it("gives fresh tables", function()
    api.operation("charges.list").params[1].name = "changed"
    assert.are_not.equal("changed", api.operation("charges.list").params[1].name)
  end)
end)
