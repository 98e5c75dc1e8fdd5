-- The shared cases of tests/cases, through a transport in Lua. Tables have no order, so neither have the params on the
-- wire: bodies and queries are compared as sets.
local pinstripe = require "pinstripe"
local core = require "pinstripe.core"
local iterator = require "pinstripe.iterator"
local support = require "support"

local unpack = table.unpack or unpack -- luacheck: ignore

local function is_for_lua(case)
  if case.integers and not support.has_integers then return false end
  if not case.only then return true end
  for _, name in ipairs(case.only) do
    if name == "lua" then return true end
  end
  return false
end

local function sorted_pairs(text)
  local parts = {}
  for part in text:gmatch("[^&]+") do parts[#parts + 1] = part end
  table.sort(parts)
  return table.concat(parts, "&")
end

local function sorted_url(url)
  local path, query = url:match("^([^?]*)%??(.*)$")
  return path .. "?" .. sorted_pairs(query)
end

-- Whether all that `expected` names stands in `got`.
local function check_holds(expected, got, where)
  if type(expected) ~= "table" then return assert.are.equal(expected, got, where) end
  assert.is_table(got, where)
  for key, value in pairs(expected) do check_holds(value, got[key], where .. "." .. tostring(key)) end
end

-- A transport for one case: its replies in order; notes requests, waits, and that the key stays the same.
local function new_stage(case)
  local stage = { requests = {}, waits = {}, left = #(case.replies or {}) }
  local function send(request)
    table.insert(stage.requests, request)
    local key = request.headers["Idempotency-Key"]
    if key then assert.are.equal(stage.key or key, key, "the key changed") end
    stage.key = key
    local reply = (case.replies or {})[#stage.requests]
    assert(reply, "a request too many: " .. request.url)
    stage.left = stage.left - 1
    if reply.lost then return nil, "the case loses it", reply.lost == "not_sent" and "not_sent" or nil end
    local body = reply.json ~= nil and pinstripe.json.encode(reply.json) or reply.body
    return { status = reply.status, headers = reply.headers, body = body }
  end
  stage.transport = {
    send = send,
    sleep = function(seconds) table.insert(stage.waits, seconds * 1000) end,
  }
  return stage
end

local function new_client(case, transport)
  local options = { transport = transport }
  for name, value in pairs(case.client or {}) do options[name] = value end
  return pinstripe.client(not options.api_key and "sk_test_cases" or nil, options)
end

local function find(client, id)
  local service = client
  local path, name = id:match("^(.*)%.([^.]+)$")
  for part in path:gmatch("[^.]+") do service = service[part] end
  return service, name
end

local function call(client, case)
  if case.download then return client:download(case.download, case.options) end
  if case.fetch then return client["fetch_" .. case.fetch](client, case.notification) end
  if case.request then
    return client:request(case.request[1], case.request[2], case.params, case.options)
  end
  local service, name = find(client, case.call)
  local arguments = {}
  for i, id in ipairs(case.ids or {}) do arguments[i] = id end
  local n = #arguments
  arguments[n + 1], arguments[n + 2] = case.params, case.options
  return service[name](service, unpack(arguments, 1, n + 2))
end

local function check_headers(expected, request)
  local got = {}
  for name, value in pairs(request.headers) do got[name:lower()] = value end
  for name, value in pairs(expected or {}) do
    local actual = got[name:lower()]
    if value == pinstripe.null then
      assert.is_nil(actual, name)
    elseif value == "*" then
      assert.is_true(actual ~= nil and actual ~= "", name)
    else
      assert.are.equal(value, actual, name)
    end
  end
end

local function check_body(case, request)
  if case.json ~= nil then
    assert.are.same(case.json, pinstripe.json.decode(request.body))
  elseif case.body == pinstripe.null then
    assert.is_nil(request.body)
  elseif case.body then
    assert.are.equal(sorted_pairs(case.body), sorted_pairs(request.body))
    assert.are.equal(#case.body, request.length)
  end
end

local function check_error(expected, err)
  for name, value in pairs(expected) do
    if name == "message" then
      assert.is_truthy(err.message:find(value, 1, true), err.message)
    elseif name == "status" and value == 0 then
      assert.is_nil(err.status)
    else
      check_holds(value, err[name], name)
    end
  end
end

local function run_authorize_url(case)
  local options = case.express and { express = true } or nil
  local url, err = new_client(case).oauth:authorize_url(case.authorize_url, options)
  if case.error then
    assert.is_nil(url)
    return check_error(case.error, err)
  end
  assert.are.equal(sorted_url(case.url), sorted_url(url))
end

local function run_request(case)
  if case.authorize_url then return run_authorize_url(case) end
  local sent
  local client = new_client(case, function(request)
    sent = request
    return { status = 200, headers = {}, body = "{}" }
  end)
  local object, other = call(client, case)
  if case.error then
    assert.is_nil(object)
    check_error(case.error, other)
    assert.are.equal("not_sent", other.outcome)
    assert.are.equal(0, other.attempts)
    assert.is_nil(sent, "something was sent")
    return
  end
  assert.is_not_nil(object, tostring(other))
  assert.are.equal(case.method, sent.method)
  assert.are.equal(sorted_url(case.url), sorted_url(sent.url))
  check_headers(case.headers, sent)
  check_body(case, sent)
end

local function run_reply(case)
  local stage = new_stage(case)
  local object, other = call(new_client(case, stage.transport), case)
  assert.are.equal(case.ok, object ~= nil, tostring(other))
  if case.error then check_error(case.error, other) end
  if case.data then check_holds(case.data, object, "data") end
  if case.attempts then assert.are.equal(case.attempts, other.attempts) end
  assert.are.equal(0, stage.left, "replies that nobody asked for")
  if case.waits then
    assert.are.equal(#case.waits, #stage.waits)
    for i, wait in ipairs(case.waits) do
      assert.is_true(stage.waits[i] >= wait[1] and stage.waits[i] <= wait[2], "wait " .. i .. ": " .. stage.waits[i])
    end
  end
end

-- What `each` is made of; a search and a list that the table does not know have no `each`, but a page's: for these the
-- iterator is made as the core makes it.
local function open(client, case, cursor)
  local state = rawget(client, iterator.STATE)
  local options = { cursor = cursor }
  for name, value in pairs(case.options or {}) do options[name] = value end
  local arguments = {}
  for i, id in ipairs(case.ids or {}) do arguments[i] = id end
  local n = #arguments
  arguments[n + 1], arguments[n + 2] = case.params, options
  local service, name = find(client, case.call)
  if name == "list" then return (service:each(unpack(arguments, 1, n + 2))) end
  local handle, fields = core.iter(state.core, case.call, unpack(arguments, 1, n + 2))
  return (iterator.new(state, assert(handle, fields), fields))
end

local function run_page(case)
  local stage = new_stage(case)
  local client = new_client(case, stage.transport)
  local it = case.call and open(client, case)
  if case.request then
    it = (pinstripe.check(call(client, case)):each())
  end
  local items, failed = {}, 0
  while failed < 3 and #items < 50 do
    if case.cursor_after == #items and not stage.saved then
      local cursor = it:cursor()
      assert.is_nil(cursor:find("sk_test", 1, true))
      it:close()
      stage.saved = true
      it = open(client, case, cursor)
    end
    stage.key = nil
    local item, err = it:next()
    if item == nil and err == nil then break end
    failed = item == nil and failed + 1 or 0
    items[#items + 1] = item == nil and "!" or item.id or ""
    if item == nil and stage.left == 0 then break end
  end
  local paths = {}
  for i, request in ipairs(stage.requests) do
    paths[i] = sorted_url(support.path(request))
    check_headers(case.headers, request)
    if case.bodies then assert.are.same(case.bodies[i], pinstripe.json.decode(request.body)) end
  end
  local expected = {}
  for i, path in ipairs(case.paths) do expected[i] = sorted_url(path) end
  assert.are.same(expected, paths)
  assert.are.same(setmetatable(case.items, nil), items)
end

-- Reads the body of a request whole; whether its length was told comes second.
local function whole_body(request)
  if request.body then return request.body, true end
  local pieces = {}
  for piece in request.reader do pieces[#pieces + 1] = piece end
  return table.concat(pieces), request.length ~= nil
end

-- The body's parts, in order; raises if it is not these parts between its boundaries.
local function split_parts(body, content_type)
  local boundary = "--" .. assert(content_type:match "^multipart/form%-data; boundary=([%w-]+)$", content_type)
  local parts, at = {}, 1
  while body:sub(at, at + #boundary + 1) == boundary .. "\r\n" do
    local from = at + #boundary + 2
    local to = assert(body:find("\r\n" .. boundary, from, true), "a part without an end")
    parts[#parts + 1] = body:sub(from, to - 1)
    at = to + 2
  end
  assert.are.equal(boundary .. "--\r\n", body:sub(at))
  return parts
end

local function run_upload(case)
  local sent, body, known
  local client = new_client(case, function(request)
    sent = request
    body, known = whole_body(request)
    return { status = 200, headers = {}, body = "{}" }
  end)
  if case.reader then
    local pieces, file = { case.reader:sub(1, 5), "", case.reader:sub(6) }, case.params.file
    file.reader = function() return table.remove(pieces, 1) end
    file.length = not case.chunked and #case.reader or nil
  end
  local object, err = call(client, case)
  if case.error then
    assert.is_nil(object)
    assert.is_nil(sent, "something was sent")
    return check_error(case.error, err)
  end
  assert.is_not_nil(object, tostring(err))
  assert.are.equal("https://files.stripe.com/v1/files", sent.url)
  local parts = split_parts(body, sent.headers["Content-Type"])
  assert.are.equal(not case.chunked, known)
  if known then assert.are.equal(#body, sent.length) end
  table.sort(parts)
  table.sort(case.parts)
  assert.are.same(setmetatable(case.parts, nil), parts)
end

local SESSION, STREAM = "https://api.stripe.com/v2/billing/meter_event_session",
  "https://meter-events.stripe.com/v2/billing/meter_event_stream"

-- What was sent, in the form of the case's `requests`; an event has the same identifier each time.
local function read_batches(case, requests)
  local ids, batches = {}, {}
  for i, request in ipairs(requests) do
    assert.are.equal(request.url:find "session$" and SESSION or STREAM, request.url)
    local key = request.headers.Authorization:match "^Bearer (.*)"
    local batch = { request.url == SESSION and "session" or "stream", key }
    for n, event in ipairs(request.url == STREAM and pinstripe.json.decode(request.body).events or {}) do
      local value, id = event.payload.value, event.identifier
      assert.are.equal(ids[value] or id, id)
      for name, wanted in pairs(case.sent or {}) do
        assert.is_truthy(wanted == "*" and event[name] ~= "" or wanted == event[name], name)
      end
      ids[value] = id
      batch[3] = batch[3] or {}
      batch[3][n] = value
    end
    batches[i] = batch
  end
  return batches
end

local function add_events(stream, case, count, number)
  for _, event in ipairs(number == 0 and case.events or {}) do
    local ok, err = pcall(stream.add, stream, event)
    assert.are.equal(case.refused == nil, ok)
    if case.refused then assert.is_truthy(err:find(case.refused, 1, true), err) end
  end
  local last
  for i = 1, count do
    local added, err = stream:add{ event_name = "requests", payload = { value = tostring(number + i) } }
    assert.is_true(added)
    last = last or err
  end
  assert.is_nil(last)
  return number + count
end

local function run_meter(case)
  local stage, number = new_stage(case), 0
  local send = stage.transport.send
  function stage.transport.send(request)
    stage.key = nil
    return send(request)
  end
  local stream = new_client(case, stage.transport):meter_stream{ max_age = 3600 }
  for _, flush in ipairs(case.flushes) do
    number = add_events(stream, case, flush.add or 0, number)
    local good, err = stream:flush()
    assert.are.equal(flush.ok or nil, good, tostring(err))
    if flush.error then check_error(flush.error, err) end
    assert.are.equal(flush.pending, (stream:pending()))
    if flush.skip then
      local skipped = {}
      for i, event in ipairs(stream:skip()) do skipped[i] = event.payload.value end
      assert.are.same(setmetatable(flush.skip, nil), skipped)
    end
  end
  local expected = {}
  for i, request in ipairs(case.requests) do
    expected[i] = { request[1], request[2], request[3] and setmetatable(request[3], nil) }
  end
  assert.are.same(expected, read_batches(case, stage.requests))
  assert.are.equal(0, stage.left, "replies that nobody asked for")
  assert.is_true(stream:close())
end

local readers = {
  signature = { pinstripe.webhook.verify },
  event = { pinstripe.webhook.construct, pinstripe.webhook.construct_without_verification },
  notification = {
    pinstripe.webhook.parse_notification, pinstripe.webhook.parse_notification_without_verification,
  },
}

local function webhook_body(case)
  if case.parsed then return case.parsed end
  if not case.hex then return case.body end
  return (case.hex:gsub("..", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function check_silence(case, err)
  for _, secret in ipairs(case.secrets or {}) do
    for _, text in pairs(err) do
      if secret ~= "" and type(text) == "string" then assert.is_nil(text:find(secret, 1, true)) end
    end
  end
  assert.is_nil(err.message:find(("%x"):rep(32)))
end

local function run_webhook(case)
  local body, header = webhook_body(case), case.header
  if header == pinstripe.null then header = nil end
  local object, err
  if case.trusted then
    object, err = readers[case.read][2](body)
  else
    object, err = readers[case.read][1](body, header, case.secrets, { tolerance = case.tolerance, now = case.now })
  end
  if case.error then
    assert.is_nil(object)
    check_error(case.error, err)
    return check_silence(case, err)
  end
  assert.is_nil(err, tostring(err))
  if case.read == "signature" then assert.is_true(object) end
  if case.data then check_holds(case.data, object, "data") end
  local t = not case.trusted and #case.secrets == 1 and header:match("^t=(%d+),v1=%x+$")
  if t then assert.are.equal(header, pinstripe.webhook.sign(body, case.secrets[1], tonumber(t))) end
end

local function run_file(name, run)
  describe(name, function()
    for _, case in ipairs(support.load_json("tests/cases/" .. name)) do
      if is_for_lua(case) then
        it(case.name, function() run(case) end)
      end
    end
  end)
end

run_file("requests.json", run_request)
run_file("replies.json", run_reply)
run_file("pages.json", run_page)
run_file("webhooks.json", run_webhook)
run_file("uploads.json", run_upload)
run_file("meters.json", run_meter)
