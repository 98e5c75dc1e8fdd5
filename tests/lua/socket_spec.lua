-- Over real sockets: the blocking driver in C, and the driver in Lua over it where there are hooks.
local pinstripe = require "pinstripe"
local support = require "support"

local server

local function start(script, arguments)
  server = support.server(script, arguments)
  return server.client()
end

describe("over a socket", function()
  after_each(function()
    if server then server.stop() end
    server = nil
  end)

  it("a call goes and comes back", function()
    local stripe = start{}
    local echo, response = stripe.customers:create({ name = "J\195\188rgen & co" }, { idempotency_key = "k" })
    assert.are.equal("POST", echo.method)
    assert.are.equal("/v1/customers", echo.path)
    assert.are.equal("name=J%C3%BCrgen%20%26%20co", echo.body)
    assert.are.equal("k", echo.headers["idempotency-key"])
    assert.are.equal(200, response.status)
    assert.are.equal("req_1", response.request_id)
  end)

  it("many calls use one connection", function()
    local stripe = start{}
    for _ = 1, 20 do assert.is_truthy(stripe.balance:retrieve()) end
    local requests = server.requests()
    assert.are.equal(20, #requests)
    for _, request in ipairs(requests) do assert.are.equal(1, request.connection) end
  end)

  it("a failure is tried again, with the same key", function()
    local stripe = start{ { status = 500 }, { body = { id = "ch_1" } } }
    local charge, response = stripe.charges:create()
    assert.are.equal("ch_1", charge.id)
    assert.are.equal(2, response.attempts)
    local requests = server.requests()
    assert.are.equal(2, #requests)
    assert.are.equal(requests[1].headers["idempotency-key"], requests[2].headers["idempotency-key"])
    local gap = requests[2].t - requests[1].t
    assert.is_true(gap >= 0.5 and gap < 1.5, "gap of " .. gap .. " s")
  end)

  it("lists go over their pages, one ahead", function()
    local stripe = start({}, "--lists 250")
    local count, last = 0, nil
    for charge in stripe.charges:each() do
      count, last = count + 1, charge
    end
    assert.are.equal(250, count)
    assert.are.equal("ch_00000001", last.id)
    assert.are.equal(3, #server.requests())
  end)

  it("a page is requested when half of the one before is taken", function()
    local stripe = start({}, "--lists 250")
    local it = stripe.charges:each()
    for _ = 1, 49 do it:next() end
    os.execute "sleep 0.2"
    assert.are.equal(1, #server.requests())
    it:next()
    os.execute "sleep 0.2"
    assert.are.equal(2, #server.requests())
    it:close()
    it = stripe.charges:each({}, { prefetch = false })
    for _ = 1, 99 do it:next() end
    os.execute "sleep 0.2"
    assert.are.equal(3, #server.requests())
    assert.are.equal(100, #support.collect(it, 100))
  end)

  it("fields and pages work alike", function()
    local stripe = start({}, "--lists 25")
    local first = pinstripe.check(stripe.file_links:list({ limit = 10 }, { fields = { "url" } }))
    local urls = {}
    for link in first:each() do
      urls[#urls + 1] = link.url
      assert.is_nil(link.id)
    end
    assert.are.equal(25, #urls)
    assert.are.equal("https://files.stripe.com/links/00000001", urls[25])
    assert.are.equal(5, #first:fetch_next():fetch_next().data)
  end)

  it("hooks hear of everything", function()
    server = support.server{ { status = 500 }, { body = { id = "ch_1" } } }
    local seen = {}
    local stripe = server.client{ log = function(event) seen[#seen + 1] = tostring(event) end }
    assert.are.equal("ch_1", stripe.charges:create().id)
    assert.are.equal(5, #seen)
    assert.are.equal("POST /v1/charges: attempt 1", seen[1])
    assert.is_truthy(seen[2]:find "^POST /v1/charges: 500 after %d+ ms, attempt 1, req_1$")
    assert.is_truthy(seen[3]:find "^POST /v1/charges: again in %d+ ms$")
    assert.are.equal("POST /v1/charges: attempt 2", seen[4])
    assert.are.equal(2, #server.requests())
  end)

  it("hooks hear of an iterator's pages", function()
    server = support.server({}, "--lists 150")
    local seen = 0
    local stripe = server.client{ on_response = function() seen = seen + 1 end }
    assert.are.equal(150, #support.collect(stripe.charges:each(), 200))
    assert.are.equal(2, seen)
    assert.are.equal(2, #server.requests())
  end)

  it("an upload is streamed", function()
    local stripe = start{}
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(("x"):rep(3000000))
    file:close()
    local echo = pinstripe.check(stripe.files:create{ purpose = "dispute_evidence", file = { path = path } })
    os.remove(path)
    assert.are.equal("/v1/files", echo.path)
    assert.is_true(#echo.body > 3000000)
    assert.are.equal(tostring(#echo.body), echo.headers["content-length"])
  end)

  local function failure(script, options, kind, outcome)
    server = support.server(script)
    local object, err = server.client(options).charges:create({}, { max_retries = 0 })
    assert.is_nil(object)
    assert.are.equal(kind, err.kind)
    assert.are.equal(outcome, err.outcome)
    return err
  end

  it("failures tell what may have happened", function()
    failure({ { reset = "after" } }, nil, "connection", "unknown")
    server.stop()
    failure({ { silence = "after" } }, { timeout = 0.3 }, "timeout", "unknown")
    server.stop()
    failure({ { cut = 5, body = { a = "long enough" } } }, nil, "connection", "unknown")
    server.stop()
    failure({ { body = "<html>" } }, nil, "protocol", "unknown")
    server.stop()
    failure({ { size = 5000 } }, { max_body = 1000 }, "too_large", "unknown")
    server.stop()
    local body = { error = { type = "card_error", code = "card_declined", message = "no" } }
    local err = failure({ { status = 402, body = body } }, nil, "card", "rejected")
    assert.are.equal("card: no (status 402, code card_declined, request req_1)", tostring(err))
    local stripe = pinstripe.client(support.KEY, { api_base = "http://127.0.0.1:1" })
    local _, refused = stripe.charges:create({}, { max_retries = 0 })
    assert.are.equal("connection", refused.kind)
    assert.are.equal("not_sent", refused.outcome)
  end)

  -- The interpreter sets a debug hook on SIGINT: a call that waits in C must come back to Lua now and then.
  it("Ctrl-C ends a silent call", function()
    server = support.server{ { silence = "after" }, { silence = "after" } }
    for _, options in ipairs{ "", ", log = function() end" } do
      local script = string.format([[
        local pinstripe = require "pinstripe"
        io.stdout:write "begun\n" io.stdout:flush()
        pinstripe.client("sk_test_1", { api_base = %q%s }).balance:retrieve()]], server.base, options)
      local before = os.time()
      local pipe = io.popen(string.format([=[timeout --foreground -s INT 1 %s -e '%s' 2>&1]=],
        os.getenv "PS_LUA" or "lua", (script:gsub("'", "'\\''"))))
      local output = pipe:read "*a"
      pipe:close()
      assert.is_truthy(output:find("begun", 1, true), output)
      assert.is_truthy(output:find("interrupted!", 1, true), output)
      assert.is_true(os.time() - before <= 4)
    end
  end)
end)
