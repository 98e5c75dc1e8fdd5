-- Files: sources, places and progress, against real sockets that are cut, and through a transport in Lua.
local pinstripe = require "pinstripe"
local support = require "support"

local PURPOSE = "dispute_evidence"

local function raises(pattern, f)
  local ok, err = pcall(f)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
  assert.is_truthy(tostring(err):find("files_spec", 1, true), tostring(err))
end

-- A reader of a text, three bytes at a time, with an empty piece now and then.
local function reader(text)
  local at, rewinds = 1, 0
  local function read()
    if at > #text then return nil end
    if at % 2 == 0 then
      at = at + 1
      return text:sub(at - 1, at - 1)
    end
    at = at + 3
    return text:sub(at - 3, at - 1)
  end
  local function rewind()
    at, rewinds = 1, rewinds + 1
    return true
  end
  return read, rewind, function() return rewinds end
end

local function temporary(text)
  local path = os.tmpname()
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
  return path
end

local EVIDENCE = ("hello, this is evidence; "):rep(4000)

describe("an upload", function()
  local server

  local function start(script, options)
    server = support.server(script)
    return server.client(options)
  end

  after_each(function()
    server.stop()
  end)

  local function assert_received(object, text)
    assert.is_truthy(object.body:find("\r\n\r\n" .. text .. "\r\n--", 1, true))
  end

  it("reads from a function, chunked or with a length", function()
    local stripe = start{}
    for _, length in ipairs{ false, #EVIDENCE } do
      local object = pinstripe.check(stripe.files:create{ purpose = PURPOSE,
        file = { reader = (reader(EVIDENCE)), length = length or nil, filename = "a.txt", type = "text/plain" } })
      assert_received(object, EVIDENCE)
      assert.is_truthy(object.body:find('filename="a.txt"', 1, true))
      assert.is_truthy(object.body:find("Content-Type: text/plain", 1, true))
      assert.are.equal(not length and "chunked" or nil, object.headers["transfer-encoding"])
    end
  end)

  it("reads from an open file, from where it stands, and tells how far it is", function()
    local stripe = start{ { status = 500, body = {} } }
    local path = temporary("12345" .. EVIDENCE)
    local file = io.open(path, "rb")
    file:seek("set", 5)
    local last, whole
    local object, response = stripe.files:create({ purpose = PURPOSE, file = file }, { progress = function(done, total)
      last, whole = done, total
    end })
    assert_received(pinstripe.check(object, response), EVIDENCE)
    assert.are.equal(2, response.attempts)
    assert.is_true(whole > #EVIDENCE and last == whole)
    file:close()
    os.remove(path)
  end)

  it("asks a source for its beginning when it is sent again", function()
    local stripe = start{ { status = 500, body = {} } }
    local read, rewind, rewinds = reader(EVIDENCE)
    local object, response = stripe.files:create{ purpose = PURPOSE, file = { reader = read, rewind = rewind } }
    assert_received(pinstripe.check(object, response), EVIDENCE)
    assert.are.equal(2, response.attempts)
    assert.are.equal(1, rewinds())
  end)

  it("is not sent again without a rewind, and says so", function()
    local stripe = start{ { status = 500, body = { error = { message = "oops" } } } }
    local object, err = stripe.files:create{ purpose = PURPOSE, file = { reader = (reader "abc") } }
    assert.is_nil(object)
    assert.are.equal("api", err.kind)
    assert.is_truthy(err.message:find("not sent again: the body cannot be read a second time", 1, true))
  end)

  it("ends when its source fails, or its rewind", function()
    local stripe = start{ { status = 500, body = {} } }
    local told = "the body of the request could not be read to its end: "
    local function cannot() return nil, "it is a pipe" end
    local _, err = stripe.files:create{ purpose = PURPOSE, file = { reader = (reader "abc"), rewind = cannot } }
    assert.are.equal("usage", err.kind)
    assert.are.equal(2, err.attempts)
    assert.are.equal(told .. "rewind: it is a pipe", err.message)
    local function failing() return nil, "disk on fire" end
    _, err = stripe.files:create{ purpose = PURPOSE, file = { reader = failing } }
    assert.are.equal("usage", err.kind)
    assert.are.equal(told .. "reader: disk on fire", err.message)
    local ok, raised = pcall(stripe.files.create, stripe.files, { purpose = PURPOSE,
      file = { reader = function() error({ mine = true }) end } })
    assert.is_false(ok)
    assert.is_true(raised.mine)
  end)

  it("ends where a file is said to be fed, and nobody feeds it", function()
    local stripe = start{}
    for _, client in ipairs{ stripe, server.client{ log = function() end } } do
      for _, send in ipairs{
        function(params) return client.files:create(params) end,
        function(params) return client:request("POST", "/v1/files", params) end,
      } do
        local _, err = send{ purpose = PURPOSE, file = { feed = true } }
        assert.are.equal("usage", err.kind)
        assert.is_truthy(err.message:find("there is no reader", 1, true), err.message)
      end
    end
  end)

  it("is not cut to a length that its reader exceeds", function()
    local stripe = start{}
    local ok, err = pcall(stripe.files.create, stripe.files, { purpose = PURPOSE,
      file = { reader = (reader "0123456789"), length = 5 } })
    assert.is_false(ok)
    assert.is_truthy(err:find("a reader gave more than the 5 bytes of its length", 1, true))
  end)

  it("is not sent again over a transport in Lua, either, when its source fails", function()
    server = { stop = function() end }
    local sent = 0
    local stripe = support.client(function(request)
      sent = sent + 1
      local piece, why
      repeat piece, why = request.reader() until not piece
      return nil, why or "the connection was lost"
    end)
    local function failing() return nil, "disk on fire" end
    local file = { reader = failing, rewind = function() return true end }
    local _, err = stripe.files:create{ purpose = PURPOSE, file = file }
    assert.are.equal("the body of the request could not be read to its end: reader: disk on fire", err.message)
    assert.are.equal("usage", err.kind)
    assert.are.equal(1, sent)
  end)

  it("goes through a transport in Lua, which may yield", function()
    local got
    local stripe = support.client(function(request)
      coroutine.yield()
      local pieces = {}
      for piece in request.reader do pieces[#pieces + 1] = piece end
      got = table.concat(pieces)
      return support.reply(200, { id = "file_1" })
    end)
    server = { stop = function() end }
    local thread = coroutine.wrap(function()
      return stripe.files:create{ purpose = PURPOSE, file = { reader = (reader(EVIDENCE)), length = #EVIDENCE } }
    end)
    local object
    repeat object = thread() until object
    assert.are.equal("file_1", object.id)
    assert.is_truthy(got:find("\r\n\r\n" .. EVIDENCE .. "\r\n--", 1, true))
  end)

  it("names a misuse", function()
    local stripe = support.client{}
    server = { stop = function() end }
    local function create(file, options)
      return function() stripe.files:create({ purpose = PURPOSE, file = file }, options) end
    end
    raises("files:create: params.file.reader must be a function", create{ reader = 5 })
    raises("params.file.rewind must be a function", create{ reader = print, rewind = 5 })
    raises("params.file.reader is in place of path and content", create{ reader = print, path = "x" })
    raises("params.file.reader is in place of path and content", create{ reader = print, content = "x" })
    for _, length in ipairs{ "5", -5, 2.5, 0 / 0, math.huge } do
      raises("params.file.length must be a number", create{ reader = print, length = length })
    end
    raises("the option progress must be a function", create({ path = "x" }, { progress = 5 }))
    raises("progres is not an option", create({ path = "x" }, { progres = print }))
    local closed = io.open(temporary "x")
    closed:close()
    raises("params.file.reader is a closed file", create(closed))
  end)
end)

describe("a download", function()
  local server, stripe, path

  local function start(script)
    server = support.server(script)
    stripe = server.client()
    path = os.tmpname()
  end

  after_each(function()
    server.stop()
    os.remove(path)
  end)

  local function bytes_of_file(size)
    local lines = {}
    for i = 0, size / 8 do lines[#lines + 1] = ("%08d"):format(i) end
    return table.concat(lines):sub(1, size)
  end

  it("goes to memory, to a path, or to a function", function()
    local file = { file = { 100000, '"a"' } }
    start{ file, file, file, file }
    assert.are.equal(bytes_of_file(100000), stripe.quotes:pdf("qt_1"))
    local good, response = stripe.quotes:pdf("qt_1", nil, { save_to = path })
    assert.is_true(good)
    assert.are.equal(200, response.status)
    assert.are.equal(bytes_of_file(100000), support.read_file(path))
    os.remove(path)
    assert.is_true((stripe:request("GET", "/v1/quotes/qt_1/pdf", nil, { save_to = path })))
    assert.are.equal(bytes_of_file(100000), support.read_file(path))
    local pieces, last = {}, nil
    assert.is_true(pinstripe.check(stripe.quotes:pdf("qt_1", nil, {
      write_to = function(bytes) pieces[#pieces + 1] = bytes end,
      progress = function(done, total) last = done .. "/" .. tostring(total) end,
    })))
    assert.are.equal(bytes_of_file(100000), table.concat(pieces))
    assert.are.equal("100000/100000", last)
  end)

  it("goes on where it was cut", function()
    local file = { file = { 50000, '"a"' } }
    start{ { file = file.file, cut = 20000 }, file, { file = file.file, cut = 10000 }, file }
    assert.is_true(stripe.quotes:pdf("qt_1", nil, { save_to = path }))
    assert.are.equal(bytes_of_file(50000), support.read_file(path))
    local pieces = {}
    pinstripe.check(stripe.quotes:pdf("qt_1", nil, { write_to = function(bytes) pieces[#pieces + 1] = bytes end }))
    assert.are.equal(bytes_of_file(50000), table.concat(pieces))
    local requests = server.requests()
    assert.are.equal("bytes=20000-", requests[2].headers.range)
    assert.are.equal("bytes=10000-", requests[4].headers.range)
  end)

  it("takes neither compressed bytes for the file, nor another status than 200", function()
    local pressed = { file = { 100000, '"a"' }, gzip = true, chunked = true, cut = 5000 }
    local empty = { status = 204, body = "" }
    start{ pressed, pressed, pressed, empty, empty }
    local before, pieces = support.read_file(path), 0
    local function write() pieces = pieces + 1 end
    for i, options in ipairs{ {}, { save_to = path }, { write_to = write }, {}, { save_to = path } } do
      local good, err = stripe.quotes:pdf("qt_1", nil, options)
      assert.is_nil(good)
      assert.are.equal("protocol", err.kind)
      assert.is_truthy(err.message:find(i < 4 and "Content-Encoding gzip" or "status 204", 1, true), err.message)
    end
    assert.are.equal(0, pieces)
    assert.are.equal(before, support.read_file(path))
    for _, request in ipairs(server.requests()) do assert.are.equal("identity", request.headers["accept-encoding"]) end
  end)

  it("returns the server's refusal, and leaves what was there", function()
    start{ { status = 404, body = { error = { message = "No such quote", code = "resource_missing" } } } }
    local before = support.read_file(path)
    local good, err = stripe.quotes:pdf("qt_x", nil, { save_to = path })
    assert.is_nil(good)
    assert.are.equal("resource_missing", err.code)
    assert.are.equal(before, support.read_file(path))
  end)

  it("lets the error of a writer pass", function()
    start{ { file = { 5000000, '"a"' } } }
    local ok, err = pcall(function()
      stripe.quotes:pdf("qt_1", nil, { write_to = function() error{ mine = 1 } end })
    end)
    assert.is_false(ok)
    assert.are.equal(1, err.mine)
  end)

  it("ends when its writer says that it cannot", function()
    local file = { file = { 5000000, '"a"' } }
    start{ file, { file = { 80, '"a"' } } }
    for _ = 1, 2 do -- in the middle, and at the last piece
      local asked = 0
      local good, err = stripe.quotes:pdf("qt_1", nil, { write_to = function()
        asked = asked + 1
        return nil, "No space left on device", 28
      end })
      assert.is_nil(good)
      assert.are.equal("usage", err.kind)
      assert.are.equal("write_to: No space left on device", err.message)
      assert.are.equal(1, err.attempts)
      assert.are.equal(1, asked)
    end
    local local_stripe = support.client{ { status = 200, headers = {}, body = "bytes" } }
    local _, err = local_stripe.quotes:pdf("qt_1", nil, { write_to = function() return false, "full" end })
    assert.are.equal("write_to: full", err.message)
  end)

  it("asks for the url of a file with the key, for that of a link without", function()
    start{ { file = { 80, '"a"' } }, { file = { 80, '"a"' } } }
    assert.are.equal(bytes_of_file(80), stripe:download(server.base .. "/v1/files/file_1/contents"))
    assert.is_true(stripe:download(server.base .. "/links/abc", { save_to = path }))
    local requests = server.requests()
    assert.are.equal("Bearer " .. support.KEY, requests[1].headers.authorization)
    assert.is_nil(requests[2].headers.authorization)
    local object, err = stripe:download("https://evil.example/v1/files/file_1/contents")
    assert.is_nil(object)
    assert.are.equal("usage", err.kind)
  end)

  it("names a misuse", function()
    start{}
    raises("either write_to or save_to", function()
      stripe.quotes:pdf("qt_1", nil, { save_to = path, write_to = print })
    end)
    raises("write_to must be a function", function() stripe.quotes:pdf("qt_1", nil, { write_to = path }) end)
    raises("the nearest is write_to", function() stripe.quotes:pdf("qt_1", nil, { stream = true }) end)
    raises("write_to is not an option", function() stripe.balance:retrieve(nil, { write_to = print }) end)
    raises("quotes:pdf needs 1 id", function() stripe.quotes:pdf() end)
    raises("the address must be a string", function() stripe:download(nil) end)
    raises("download: save_too is not an option", function() stripe:download("/x", { save_too = path }) end)
  end)
end)
