-- Streams of meter events through a transport in Lua, and at the end of a script over a real socket.
local pinstripe = require "pinstripe"
local support = require "support"

local function event(value)
  return { event_name = "requests", payload = { value = tostring(value) } }
end

local function raises(pattern, f)
  local ok, err = pcall(f)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
  assert.is_truthy(tostring(err):find("meter_spec", 1, true), tostring(err))
end

-- A client whose session requests are good, and whose batches are answered by `answer(number of the batch, events)`.
local function new_client(answer)
  local batches, sessions = {}, 0
  local stripe = support.client(function(request)
    if request.url:find "session$" then
      sessions = sessions + 1
      return support.reply(200, { authentication_token = "tok_" .. sessions, expires_at = "2100-01-01T00:00:00.000Z" })
    end
    local events = pinstripe.json.decode(request.body).events
    batches[#batches + 1] = { events = events, key = request.headers.Authorization, url = request.url }
    return answer and answer(#batches, events) or { status = 204, headers = {}, body = "" }
  end, { max_retries = 0 })
  return stripe, batches
end

local function expired()
  return support.reply(401, { error = { type = "temporary_session_expired", message = "expired" } })
end

describe("a meter stream", function()
  it("sends batches of a hundred as they fill, and the rest when it is closed", function()
    local stripe, batches = new_client()
    local stream = stripe:meter_stream{ max_age = 3600 }
    for i = 1, 250 do assert.is_true(stream:add(event(i))) end
    assert.are.equal(2, #batches)
    assert.are.equal(50, (stream:pending()))
    assert.is_true(stream:close())
    assert.is_true(stream:close())
    assert.are.equal("50", tostring(#batches[3].events))
    assert.are.equal("Bearer tok_1", batches[1].key)
    assert.are.equal("https://meter-events.stripe.com/v2/billing/meter_event_stream", batches[1].url)
    assert.are.equal("1", batches[1].events[1].payload.value)
    assert.are.equal(36, #batches[1].events[1].identifier)
    assert.is_truthy(batches[1].events[1].timestamp:find "^%d+%-%d+%-%d+T")
  end)

  it("sends what is old enough", function()
    local stripe, batches = new_client()
    local stream = stripe:meter_stream{ max_age = 0 }
    stream:add(event(1))
    assert.are.equal(1, #batches)
    assert.is_true(stream:flush())
    assert.are.equal(1, #batches)
  end)

  it("renews its session once", function()
    local stripe, batches = new_client(function(number) return number == 1 and expired() end)
    local stream = stripe:meter_stream()
    stream:add(event(1))
    assert.is_true(stream:flush())
    assert.are.equal("Bearer tok_2", batches[2].key)
    assert.are.equal(batches[1].events[1].identifier, batches[2].events[1].identifier)
    stripe, batches = new_client(expired)
    stream = stripe:meter_stream()
    stream:add(event(1))
    local good, err = stream:flush()
    assert.is_nil(good)
    assert.are.equal("temporary_session_expired", err.kind)
    assert.are.equal(2, #batches)
    assert.are.equal(1, (stream:pending()))
    stream:skip()
    stream:close()
  end)

  it("keeps what failed, tells of it, and leaves the server alone for a while", function()
    local broken = true
    local stripe, batches = new_client(function()
      return broken and support.reply(500, { error = { message = "oops" } })
    end)
    local stream = stripe:meter_stream{ max_age = 0, max_pending = 2 }
    local good, err = stream:add(event(1))
    assert.is_true(good)
    assert.are.equal("api", err.kind)
    good, err = stream:add(event(2))
    assert.is_true(good)
    assert.is_nil(err) -- nothing was tried
    good, err = stream:add(event(3)) -- full, and not to be sent yet: not taken
    assert.is_nil(good)
    assert.are.equal("api", err.kind)
    assert.are.equal(1, #batches)
    local count, pause = stream:pending()
    assert.are.equal(2, count)
    assert.is_true(pause > 0 and pause <= 1)
    assert.is_nil(stream:close()) -- at once, and longer after each failure
    assert.are.equal(2, #batches)
    pause = select(2, stream:pending())
    assert.is_true(pause > 0.9 and pause <= 2)
    broken = false
    assert.is_nil((stream:add(event(3))))
    os.execute("sleep " .. pause + 0.05)
    assert.is_true(stream:add(event(3))) -- in the place of what was sent; then it is due itself
    assert.are.equal(4, #batches)
    assert.are.equal(0, (stream:pending()))
    local seen = {}
    for _, batch in ipairs(batches) do
      for _, e in ipairs(batch.events) do seen[e.payload.value] = e.identifier end
    end
    assert.is_truthy(seen["1"] and seen["2"] and seen["3"])
    stream:close()
  end)

  it("gives the events of a batch that was refused to its owner", function()
    local stripe = new_client(function(number)
      return number == 1 and support.reply(400, { error = { code = "invalid", message = "no" } })
    end)
    local stream = stripe:meter_stream{ max_age = 3600 }
    for i = 1, 99 do stream:add(event(i)) end
    local good, err = stream:add(event(100))
    assert.is_true(good)
    assert.are.equal("invalid", err.code)
    local skipped = stream:skip()
    assert.are.equal(100, #skipped)
    assert.are.equal("100", skipped[100].payload.value)
    assert.are.equal(0, (stream:pending()))
    stream:close()
  end)

  it("passes over a batch that is refused when it is closed, and keeps that", function()
    local refuses = true
    local stripe, batches = new_client(function(number)
      return refuses and number ~= 2 and support.reply(400, { error = { code = "invalid", message = "no" } })
    end)
    local stream = stripe:meter_stream{ max_age = 3600, max_pending = 300 }
    for i = 1, 250 do assert.is_true(stream.handle:add(event(i))) end -- stream:add would send the first hundred
    local good, err = stream:close()
    assert.is_nil(good)
    assert.are.equal(3, #batches)
    assert.are.equal("invalid", err.code)
    assert.are.equal("150 events were not sent: no", err.message)
    assert.are.equal(150, (stream:pending()))
    local skipped = stream:skip()
    assert.are.equal(150, #skipped)
    assert.are.equal("1", skipped[1].payload.value)
    assert.are.equal("201", skipped[101].payload.value)
    refuses = false
    assert.is_true(stream:close())
    assert.are.equal(3, #batches)
  end)

  it("has taken an event though a hook raises as it is sent", function()
    if support.is_51 and coroutine.running() then return pending "a pcall that yields is needed" end
    local raises_now, sent = true, 0
    local stripe = support.client(function(request)
      if request.url:find "session$" then return support.reply(200, { authentication_token = "t" }) end
      sent = sent + #pinstripe.json.decode(request.body).events
      return support.reply(200, {})
    end, { on_request = function() if raises_now then error "no log" end end })
    local stream = stripe:meter_stream{ max_age = 0, max_pending = 1 }
    local good, err = stream:add(event(1))
    assert.is_true(good)
    assert.is_truthy(err.message:find("a hook or the transport raised: .*no log"), err.message)
    assert.are.equal("unknown", err.outcome)
    assert.are.equal(1, (stream:pending()))
    good, err = stream:add(event(2)) -- full: not taken
    assert.is_nil(good)
    assert.is_truthy(err.message:find "no log")
    raises_now = false
    assert.is_true(stream:close())
    assert.are.equal(1, sent)
  end)

  it("may be flushed by one coroutine while another adds", function()
    local stripe = support.client(function(request)
      coroutine.yield()
      local session = { authentication_token = "t", expires_at = "2100-01-01T00:00:00Z" }
      return support.reply(200, request.url:find "session$" and session or {})
    end)
    local stream = stripe:meter_stream{ max_age = 0 }
    local first = coroutine.create(function() assert(stream:add(event(1))) end)
    local second = coroutine.create(function() assert(stream:add(event(2))) end)
    coroutine.resume(first)
    assert.is_true(coroutine.resume(second))
    raises("another coroutine is sending", function() stream:close() end)
    for _ = 1, 10 do
      if coroutine.status(first) ~= "dead" then assert(coroutine.resume(first)) end
    end
    assert.are.equal(0, (stream:pending()))
    stream:close()
  end)

  it("never says that it has sent what another coroutine is sending", function()
    local sent = 0
    local stripe = support.client(function(request)
      coroutine.yield()
      if request.url:find "session$" then return support.reply(200, { authentication_token = "t" }) end
      sent = sent + #pinstripe.json.decode(request.body).events
      return support.reply(200, {})
    end)
    local stream = stripe:meter_stream{ max_age = 3600, max_pending = 2 }
    stream:add(event(1))
    stream:add(event(2))
    local first = coroutine.create(function() assert(stream:flush()) end)
    coroutine.resume(first)
    local good, err = stream:flush()
    assert.is_nil(good)
    assert.are.equal("usage", err.kind)
    good, err = stream:add(event(3)) -- full: not taken
    assert.is_nil(good)
    assert.is_truthy(tostring(err):find("usage: the queue is full", 1, true))
    while coroutine.status(first) ~= "dead" do assert(coroutine.resume(first)) end
    assert.are.equal(2, sent)
    assert.are.equal(0, (stream:pending()))
    assert.is_true(stream:close())
  end)

  it("may be added to by a hook of its own client", function()
    local stream
    local stripe = support.client(function(request)
      return support.reply(200, request.url:find "session$" and { authentication_token = "t" } or {})
    end, { on_request = function(e)
      if e.path:find "meter_event_session" then stream:add(event(2)) end
    end })
    stream = stripe:meter_stream{ max_age = 0 }
    if support.is_51 then return pending "a pcall that yields is needed" end
    assert.is_true(stream:add(event(1)))
    assert.are.equal(0, (stream:pending()))
    stream:close()
  end)

  it("goes on after a transport that raised in a coroutine that lives on", function()
    if support.is_51 then return pending "a pcall that yields is needed" end
    local bad, sent = true, 0
    local stripe = support.client(function(request)
      if bad then error "no network here" end
      if request.url:find "session$" then return support.reply(200, { authentication_token = "t" }) end
      sent = sent + 1
      return support.reply(200, {})
    end)
    local stream = stripe:meter_stream{ max_age = 3600 }
    stream:add(event(1))
    local raised
    local other = coroutine.create(function()
      raised = select(2, pcall(stream.flush, stream))
      coroutine.yield()
    end)
    assert.is_true(coroutine.resume(other))
    assert.is_truthy(tostring(raised):find("no network here", 1, true))
    bad = false
    if not stream:flush() then assert(stream:flush()) end
    assert.are.equal(1, sent)
    assert.is_true(stream:close())
  end)

  it("goes on after a transport that raised", function()
    local bad = true
    local stripe = support.client(function(request)
      if bad then error "no network here" end
      return support.reply(200, request.url:find "session$" and { authentication_token = "t" } or {})
    end)
    local stream = stripe:meter_stream{ max_age = 3600 }
    stream:add(event(1))
    assert.is_false(pcall(stream.flush, stream))
    bad = false
    local good = stream:flush()
    if not good then good = stream:flush() end
    assert.is_true(good)
    assert.are.equal(0, (stream:pending()))
    stream:close()
  end)

  it("may be added to after its failed batch was skipped, without a pause", function()
    local stripe, batches = new_client(function(number)
      return number == 1 and support.reply(400, { error = { message = "no" } })
    end)
    local stream = stripe:meter_stream{ max_age = 0 }
    assert.are.equal("invalid_request", select(2, stream:add(event(1))).kind)
    assert.are.equal(1, #stream:skip())
    assert.is_nil(select(2, stream:add(event(2))))
    assert.are.equal(2, #batches)
    stream:close()
  end)

  -- A stream that is given up with seven events, in a script that ends with `ending`.
  local function run(options, ending)
    return support.run(([[
      local pinstripe = require "pinstripe"
      if warn then warn "@on" end
      local function send(request)
        local session = request.url:find "session$"
        if not session then print(#pinstripe.json.decode(request.body).events, request.headers.Authorization) end
        return { status = 200, headers = {}, body = session and '{"authentication_token":"tok_1"}' or "{}" }
      end
      local function broken() return nil, "no network here" end
      local function yields() return coroutine.yield() end
      local stripe = pinstripe.client("%s", %s)
      local stream = stripe:meter_stream()
      for _ = 1, 7 do stream:add{ event_name = "e", payload = { value = "1" } } end
      stream = nil
      collectgarbage() collectgarbage()
      io.stdout:setvbuf "line"
      print "given up"
      %s]]):format(support.KEY, options, ending))
  end

  it("loses nothing at the end of a script, though the connection is", function()
    local server = support.server{
      { body = { authentication_token = "tok_1", expires_at = "2100-01-01T00:00:00Z" } },
      { reset = "after" },
      { status = 204, body = "" },
    }
    run(('{ api_base = "%s", meter_events_base = "%s" }'):format(server.base, server.base), "")
    local requests = server.requests()
    assert.are.equal(3, #requests)
    assert.are.equal(7, #pinstripe.json.decode(requests[3].body).events)
    assert.are.equal(requests[2].body, requests[3].body)
    server.stop()
  end)

  it("passes over what is refused at the end of a script", function()
    local session = { body = { authentication_token = "tok_1", expires_at = "2100-01-01T00:00:00Z" } }
    local taken, refused = { status = 204, body = "" }, { status = 400, body = { error = { message = "bad event" } } }
    local server = support.server{ session, taken, session, refused, taken }
    local _, logged = run(('{ api_base = "%s", meter_events_base = "%s" }'):format(server.base, server.base),
      "local s = stripe:meter_stream() for i = 1, 120 do s.handle:add{ event_name = 'e', payload = {} } end")
    local sizes = {}
    for _, request in ipairs(server.requests()) do
      if request.path:find "stream$" then sizes[#sizes + 1] = #pinstripe.json.decode(request.body).events end
    end
    assert.are.equal("7 100 20", table.concat(sizes, " ")) -- of two streams
    if _VERSION >= "Lua 5.4" then
      assert.is_truthy(logged:find("100 of its events were not sent: bad event", 1, true), logged)
    end
    server.stop()
  end)

  it("loses nothing over a transport in Lua, at the end of the state and not before", function()
    assert.are.equal("given up\n7\tBearer tok_1\n", (run("{ transport = send }", "")))
    assert.are.equal("given up\n7\tBearer tok_1\n", (run("{ transport = send }", "error 'dies'")))
    if support.is_51 then return end -- there os.exit closes no state
    assert.are.equal("given up\n7\tBearer tok_1\n", (run("{ transport = send }", "os.exit(0, true)")))
  end)

  it("sends nothing twice: not what was closed, nor to a state that is never closed", function()
    local closed = "local s = stripe:meter_stream() s:add{ event_name = 'e', payload = {} } s:close()"
    assert.are.equal("given up\n1\tBearer tok_1\n7\tBearer tok_1\n", (run("{ transport = send }", closed)))
    assert.are.equal("given up\n", (run("{ transport = send }", "os.exit(0, false)")))
  end)

  it("warns of what was lost at the end", function()
    if _VERSION < "Lua 5.4" then return pending "there is no warn" end
    local lost = "Lua warning: pinstripe: a meter stream ended, and 7 of its events were not sent: "
    local _, logged = run("{ transport = broken, max_retries = 0 }", "")
    assert.are.equal(lost .. "connection: no network here (outcome unknown)\n", logged)
    _, logged = run("{ transport = yields, max_retries = 0 }", "")
    assert.is_truthy(logged:find(lost .. "attempt to yield", 1, true), logged)
    _, logged = run("{ api_base = 'http://127.0.0.1:1', max_retries = 0 }", "")
    assert.is_truthy(logged:find(lost .. "Failed to connect", 1, true), logged)
  end)

  it("names a misuse", function()
    local stripe = new_client()
    raises("max_ages is not an option", function() stripe:meter_stream{ max_ages = 1 } end)
    raises("max_pending must be a number, 1 or more", function() stripe:meter_stream{ max_pending = 0 } end)
    raises("meter_stream is a method", function() stripe.meter_stream() end)
    local stream = stripe:meter_stream()
    raises("a meter event is a map with event_name and payload", function() stream:add{ event_name = "a" } end)
    raises("event must be a table, not a string", function() stream:add "a" end)
    raises("add is a method of a stream", function() stream.add(event(1)) end)
    stream:close()
    raises("flush: the stream is closed", function() stream:flush() end)
  end)
end)
