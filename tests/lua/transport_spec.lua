-- Transports and hooks in Lua: what they are given, what they may return, and that they may yield.
local pinstripe = require "pinstripe"
local support = require "support"

local reply, page, collect = support.reply, support.page, support.collect

describe("a transport", function()
  it("is given a request", function()
    local stripe, requests = support.client({ {} }, { timeout = 7, connect_timeout = 3, deadline = 50 })
    stripe.customers:create({ email = "a@b.c" }, { stripe_account = "acct_1" })
    local request = requests[1]
    assert.are.equal("POST", request.method)
    assert.are.equal("https://api.stripe.com/v1/customers", request.url)
    assert.are.equal("email=a%40b.c", request.body)
    assert.are.equal(13, request.length)
    assert.are.equal(7, request.timeout)
    assert.are.equal(3, request.connect_timeout)
    assert.is_nil(request.reader)
    assert.are.equal("Bearer " .. support.KEY, request.headers.Authorization)
    assert.are.equal("acct_1", request.headers["Stripe-Account"])
    assert.are.equal("application/x-www-form-urlencoded", request.headers["Content-Type"])
  end)

  it("is given no body where there is none", function()
    local stripe, requests = support.client{ {}, {} }
    stripe.balance:retrieve()
    assert.is_nil(requests[1].body)
    assert.is_nil(requests[1].length)
    stripe.customers:create()
    assert.are.equal("", requests[2].body)
  end)

  it("is given any method", function()
    local stripe, requests = support.client{ {}, {} }
    stripe:request("PATCH", "/v1/brand_new", { a = 1 })
    stripe:request("HEAD", "/v1/brand_new", { a = 1 })
    assert.are.equal("PATCH", requests[1].method)
    assert.are.equal("a=1", requests[1].body)
    assert.is_truthy(requests[1].headers["Idempotency-Key"])
    assert.are.equal("HEAD", requests[2].method)
    assert.are.equal("https://api.stripe.com/v1/brand_new?a=1", requests[2].url)
    assert.is_nil(requests[2].headers["Idempotency-Key"])
  end)

  it("has no more time than the call", function()
    local stripe, requests = support.client({ {} }, { timeout = 80, deadline = 5 })
    stripe.balance:retrieve()
    assert.is_true(requests[1].timeout <= 5 and requests[1].timeout > 4)
  end)

  it("may be a bare function", function()
    local stripe = pinstripe.client(support.KEY, { transport = function() return reply(200, { ok = true }) end })
    assert.is_true(stripe.balance:retrieve().ok)
  end)

  it("without a sleep waits by itself", function()
    local count = 0
    local stripe = pinstripe.client(support.KEY, { transport = function()
      count = count + 1
      return reply(count == 1 and 429 or 200, {}, count == 1 and { ["Retry-After"] = "1" } or nil)
    end })
    local before = os.time()
    assert.is_truthy(stripe.balance:retrieve())
    assert.are.equal(2, count)
    assert.is_true(os.time() > before)
  end)

  it("answers with status, headers and body", function()
    local stripe = support.client{
      { status = 201, headers = { ["X-A"] = 5, ["X-B"] = { "1", 2 } }, body = '{"a":"\\u0000"}' },
      { status = 200, body = "{}" }, { status = 200.0, headers = {}, body = "[]" } }
    local object, response = stripe.balance:retrieve()
    assert.are.equal("\0", object.a)
    assert.are.equal(201, response.status)
    assert.are.equal("5", response.headers["x-a"])
    assert.are.equal("1, 2", response.headers["x-b"])
    assert.is_truthy(stripe.balance:retrieve())
    assert.is_truthy(stripe.balance:retrieve())
  end)

  local wrong = {
    { "nothing of use", { true }, "the first value is wrong" },
    { "a string", { "200 OK" }, "the first value is wrong" },
    { "no status", { { headers = {}, body = "" } }, "status is wrong" },
    { "a status that is none", { { status = 99 } }, "status is wrong" },
    { "a status of text", { { status = "200" } }, "status is wrong" },
    { "a status that is a fraction", { { status = 200.5 } }, "status is wrong" },
    { "headers of text", { { status = 200, headers = "x" } }, "headers is wrong" },
    { "a list of headers", { { status = 200, headers = { "a: b" } } }, "headers is wrong" },
    { "a header that is a function", { { status = 200, headers = { a = print } } }, "headers is wrong" },
    { "a header in a header", { { status = 200, headers = { a = { {} } } } }, "headers is wrong" },
    { "a body that is a table", { { status = 200, body = {} } }, "body is wrong" },
    { "another third value", { nil, "why", "sent" }, "the third value is wrong" },
  }
  for _, case in ipairs(wrong) do
    it("must not return " .. case[1], function()
      local stripe = support.client(function() return case[2][1], case[2][2], case[2][3] end)
      assert.error_matches(function() stripe.balance:retrieve() end,
        "the transport's send must return {status = 200, headers = {name = value}, body = \"...\"}, or nil, a reason, "
        .. "and \"not_sent\" if nothing was sent: " .. case[3], 1, true)
    end)
  end

  it("need not give a reason", function()
    local stripe = support.client(function() return nil end)
    local _, err = stripe.balance:retrieve({}, { max_retries = 0 })
    assert.are.equal("the transport gave no reason", err.message)
    assert.are.equal("unknown", err.outcome)
  end)

  it("that raises is heard, and the client lives on", function()
    local count = 0
    local stripe = support.client(function()
      count = count + 1
      if count == 1 then error({ mine = true }) end
      return reply(200, { ok = true })
    end)
    local ok, err = pcall(function() return stripe.charges:create() end)
    assert.is_false(ok)
    assert.are.same({ mine = true }, err)
    assert.is_true(stripe.charges:create().ok)
  end)

  it("that raises within an iterator costs it one attempt", function()
    local count = 0
    local stripe = support.client(function()
      count = count + 1
      if count == 2 then error "broken" end
      return reply(200, page({ "ch_" .. count }, count < 3))
    end)
    local it = stripe.charges:each()
    assert.are.equal("ch_1", it:next().id)
    assert.error_matches(function() it:next() end, "broken")
    assert.are.equal("ch_3", it:next().id)
    assert.is_nil(it:next())
    assert.are.equal(3, count)
  end)

  it("sees the same key on every attempt", function()
    local stripe, requests = support.client{ reply(500, {}), reply(500, {}), {} }
    local _, response = stripe.charges:create()
    assert.are.equal(3, response.attempts)
    local key = requests[1].headers["Idempotency-Key"]
    assert.is_truthy(key:find "^%x+%-%x+%-4%x+%-%x+%-%x+$")
    assert.are.equal(key, requests[2].headers["Idempotency-Key"])
    assert.are.equal(key, requests[3].headers["Idempotency-Key"])
    assert.are.equal(key, response.idempotency_key)
  end)
end)

describe("an upload", function()
  local path = os.tmpname()
  local content = ("0123456789abcdef"):rep(131072) -- 2 MiB

  setup(function()
    local file = assert(io.open(path, "wb"))
    file:write(content)
    file:close()
  end)

  teardown(function() os.remove(path) end)

  local function read_all(reader)
    local pieces = {}
    for piece in reader do pieces[#pieces + 1] = piece end
    return table.concat(pieces), #pieces
  end

  it("that is large is read piece by piece, again on each attempt", function()
    local bodies = {}
    local stripe, requests = support.client(function(request)
      local body, pieces = read_all(request.reader)
      assert.is_nil(request.body)
      assert.are.equal(#body, request.length)
      assert.is_true(pieces > 10)
      bodies[#bodies + 1] = body
      return #bodies == 1 and reply(500, {}) or reply(200, { id = "file_1" })
    end)
    local file = pinstripe.check(stripe.files:create{ purpose = "dispute_evidence", file = { path = path } })
    assert.are.equal("file_1", file.id)
    assert.are.equal("https://files.stripe.com/v1/files", requests[1].url)
    assert.are.equal(2, #bodies)
    assert.are.equal(bodies[1], bodies[2])
    assert.is_truthy(bodies[1]:find(content, 1, true))
    assert.is_truthy(bodies[1]:find('name="purpose"', 1, true))
    local boundary = requests[1].headers["Content-Type"]:match "^multipart/form%-data; boundary=(.+)$"
    assert.are.equal("--" .. boundary, bodies[1]:sub(1, #boundary + 2))
  end)

  it("cannot be read once it is over", function()
    local kept
    local stripe = support.client(function(request)
      kept = kept or request.reader
      assert.is_string(request.reader())
      return reply(200, {})
    end)
    stripe.files:create{ purpose = "dispute_evidence", file = { path = path } }
    local piece, why = kept()
    assert.is_nil(piece)
    assert.are.equal("the request is over", why)
    collectgarbage()
    assert.is_nil((kept()))
  end)

  it("that is small is text", function()
    local stripe, requests = support.client{ { id = "file_1" } }
    assert.is_truthy(stripe.files:create{ purpose = "dispute_evidence",
      file = { content = "\0\255binary", filename = "a.png", type = "image/png" } })
    assert.is_truthy(requests[1].body:find("\0\255binary", 1, true))
    assert.is_truthy(requests[1].body:find('filename="a.png"', 1, true))
    assert.are.equal(#requests[1].body, requests[1].length)
  end)
end)

describe("coroutines", function()
  -- A scheduler of ten lines: a transport that parks its coroutine with the request, and a loop that answers the oldest
  -- one first.
  local function run_all(tasks, answer)
    local parked = {}
    local function resume(co, ...)
      local ok, request = coroutine.resume(co, ...)
      assert(ok, request)
      if coroutine.status(co) ~= "dead" then table.insert(parked, { co, request }) end
    end
    for _, task in ipairs(tasks) do resume(coroutine.create(task)) end
    while parked[1] do
      local oldest = table.remove(parked, 1)
      resume(oldest[1], answer(oldest[2]))
    end
  end

  local transport = {
    send = function(request) return coroutine.yield(request) end,
    sleep = function(seconds) coroutine.yield{ wait = seconds } end,
  }

  it("carry several calls at once", function()
    local stripe = pinstripe.client(support.KEY, { transport = transport })
    local order, found = {}, {}
    local function task(name)
      return function()
        local customer, response = stripe.customers:retrieve(name)
        found[name] = customer.id .. " after " .. response.attempts
        local charge = pinstripe.check(stripe.charges:create{ customer = name })
        found[#found + 1] = charge.id
      end
    end
    local failed = false
    run_all({ task "cus_a", task "cus_b", task "cus_c" }, function(request)
      if request.wait then return end
      local name = request.url:match "cus_%a$" or request.body
      order[#order + 1] = name
      if name == "cus_b" and not failed then
        failed = true
        return reply(500, {})
      end
      return reply(200, { id = name })
    end)
    assert.are.same({ "cus_a", "cus_b", "cus_c", "customer=cus_a", "customer=cus_c", "cus_b", "customer=cus_b" }, order)
    assert.are.same({ "customer=cus_a", "customer=cus_c", "customer=cus_b",
      cus_a = "cus_a after 1", cus_b = "cus_b after 2", cus_c = "cus_c after 1" }, found)
  end)

  local function pages(request)
    local after = tonumber(request.url:match "starting_after=ch_(%d+)" or 7)
    return reply(200, page({ "ch_" .. after - 1, "ch_" .. after - 2 }, after > 3))
  end

  it("iterate at once, with next", function()
    local stripe = pinstripe.client(support.KEY, { transport = transport })
    local found = { {}, {} }
    local function task(ids)
      return function()
        for _, id in ipairs(collect(stripe.charges:each{ limit = 2 })) do ids[#ids + 1] = id end
        local again = stripe.charges:list{ limit = 2 }
        ids[#ids + 1] = again:fetch_next().data[1].id
      end
    end
    run_all({ task(found[1]), task(found[2]) }, pages)
    assert.are.same({ "ch_6", "ch_5", "ch_4", "ch_3", "ch_2", "ch_1", "ch_4" }, found[1])
    assert.are.same(found[1], found[2])
  end)

  -- On PUC 5.1 a for calls its iterator from C, which no coroutine can leave.
  if not support.is_51 then
    it("iterate in a for", function()
      local stripe = pinstripe.client(support.KEY, { transport = transport })
      local found = {}
      run_all({ function()
        for charge in stripe.charges:each{ limit = 2 } do found[#found + 1] = charge.id end
      end }, pages)
      assert.are.same({ "ch_6", "ch_5", "ch_4", "ch_3", "ch_2", "ch_1" }, found)
    end)
  end

  it("cannot fetch a page of one iterator twice at once", function()
    local stripe = pinstripe.client(support.KEY, { transport = transport })
    local it = stripe.charges:each{ limit = 2 }
    local co = coroutine.create(function() return it:next() end)
    local _, request = coroutine.resume(co)
    assert.error_matches(function() it:next() end, "this iterator is fetching a page already, in another coroutine")
    local _, item = coroutine.resume(co, pages(request))
    assert.are.equal("ch_6", item.id)
    assert.are.equal("ch_5", it:next().id)
  end)

  it("may die in the middle of a page", function()
    local count = 0
    local stripe = pinstripe.client(support.KEY, { transport = {
      send = function(request)
        count = count + 1
        if count == 1 then coroutine.yield() error "dead" end
        return pages(request)
      end,
      sleep = function() end,
    } })
    local it = stripe.charges:each{ limit = 2 }
    local co = coroutine.create(function() return it:next() end)
    coroutine.resume(co)
    coroutine.resume(co)
    assert.are.equal("dead", coroutine.status(co))
    assert.are.equal("ch_6", it:next().id)
  end)

  it("may close an iterator that another is waiting in", function()
    local stripe = pinstripe.client(support.KEY, { transport = transport })
    local it = stripe.charges:each()
    local co = coroutine.create(function() return it:next() end)
    coroutine.resume(co)
    it:close()
    local ok, message = coroutine.resume(co, reply(200, page({}, false)))
    assert.is_false(ok)
    assert.is_truthy(message:find("nothing is under way: the call was closed", 1, true), message)
  end)

  it("that are dropped leave nothing behind", function()
    local stripe = pinstripe.client(support.KEY, { transport = transport })
    for _ = 1, 100 do
      local co = coroutine.create(function() return stripe.charges:create{ amount = 1 } end)
      coroutine.resume(co)
    end
    assert.has_no.errors(function()
      collectgarbage()
      collectgarbage()
    end)
  end)
end)

describe("hooks", function()
  local function client(send)
    local seen = {}
    local function note(name)
      return function(event) seen[#seen + 1] = name .. " " .. event.kind .. " " .. event.attempt end
    end
    local stripe, requests = support.client(send, {
      log = note "log", on_request = note "on_request", on_response = note "on_response" })
    return stripe, requests, seen
  end

  it("hear of each step, in order", function()
    local stripe, _, seen = client{ reply(500, {}, { ["Stripe-Notice"] = "be careful" }), {} }
    stripe.charges:create()
    assert.are.same({
      "on_request request 1", "log request 1",
      "on_response response 1", "log response 1", "log notice 1", "log retry 1",
      "on_request request 2", "log request 2",
      "on_response response 2", "log response 2",
    }, seen)
  end)

  it("are given an event that prints as a line", function()
    local events = {}
    local stripe = support.client({ reply(402, { error = {} }, { ["Request-Id"] = "req_1" }) },
      { log = function(event) events[#events + 1] = event end })
    stripe.charges:create({}, { max_retries = 0 })
    local event = events[2]
    assert.are.equal("response", event.kind)
    assert.are.equal("warn", event.level)
    assert.are.equal("charges.create", event.operation)
    assert.are.equal("POST", event.method)
    assert.are.equal("/v1/charges", event.path)
    assert.are.equal(1, event.attempt)
    assert.are.equal(402, event.status)
    assert.are.equal("req_1", event.request_id)
    assert.is_number(event.duration)
    assert.are.equal(event.line, tostring(event))
    assert.is_truthy(tostring(event):find "^POST /v1/charges: 402 after %d+ ms, attempt 1, req_1$")
    assert.are.equal("POST /v1/charges: attempt 1", tostring(events[1]))
    assert.is_nil(events[1].status)
    assert.is_nil(events[1].request_id)
  end)

  it("come before the request is sent", function()
    local order = {}
    local stripe = support.client(function()
      order[#order + 1] = "send"
      return reply(200, {})
    end, { on_request = function() order[#order + 1] = "hook" end })
    stripe.balance:retrieve()
    assert.are.same({ "hook", "send" }, order)
  end)

  it("hear of an iterator's pages", function()
    local stripe, _, seen = client{ page({ "ch_1" }, true), page({ "ch_2" }, false) }
    collect(stripe.charges:each())
    assert.are.equal(8, #seen)
  end)

  it("may make calls of their own", function()
    local inner, depth = 0, 0
    local stripe
    stripe = support.client(function() return reply(200, {}) end, { on_response = function()
      if depth > 0 then return end
      depth = depth + 1
      assert(stripe.balance:retrieve())
      inner, depth = inner + 1, depth - 1
    end })
    assert.is_truthy(stripe.charges:create())
    assert.are.equal(1, inner)
  end)

  it("that raise are heard", function()
    local stripe, requests = support.client({ {}, {} }, { on_request = function() error({ mine = true }) end })
    local ok, err = pcall(function() stripe.balance:retrieve() end)
    assert.is_false(ok)
    assert.are.same({ mine = true }, err)
    assert.are.equal(0, #requests)
  end)
end)
