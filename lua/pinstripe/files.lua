--- Files: uploads from a function or an open file, downloads to a path or a function, and how far they are.
--
--     stripe.files:create{ purpose = "dispute_evidence", file = { path = "receipt.pdf" } }
--     stripe.files:create({ purpose = "dispute_evidence", file = io.open("receipt.pdf", "rb") }, { progress = print })
--     stripe.files:create{ purpose = p, file = { reader = f, rewind = g, length = n, filename = "receipt.pdf" } }
--     stripe.quotes:pdf("qt_1", nil, { save_to = "quote.pdf" })
--     stripe:download(file.url, { write_to = function(bytes) ... end })
--
-- A reader returns the next bytes, nil at the end, or nil and why it cannot. Only with a `rewind` is it asked for the
-- first bytes again, when the request is to be sent again; a file that can seek has one. A writer, too, may return nil
-- and why it cannot. The functions run between the pieces of a transfer, may raise, and over a transport that yields
-- they may yield.

local core = require "pinstripe.core"
local iterator = require "pinstripe.iterator"

local unpack = table.unpack or unpack -- luacheck: ignore

local READ_SIZE = 65536

local files = {}

-- ---- Sources ----

-- The reader, the rewind and the length of an open file, from where it stands.
local function from_handle(handle)
  local begin = handle:seek()
  local length
  if begin then
    length = handle:seek("end") - begin
    handle:seek("set", begin)
  end
  local function read() return handle:read(READ_SIZE) end
  local function rewind() return handle:seek("set", begin) end
  return read, begin and rewind, length
end

local function check(good, name, what, level)
  if not good then error(name .. ": params.file." .. what, level + 1) end
end

-- What the core is told of a source, and the source; nothing, if the file is not one.
local function take_source(name, file)
  if io.type(file) then file = { reader = file } end
  if type(file) ~= "table" or file.reader == nil then return nil end
  check(file.path == nil and file.content == nil, name, "reader is in place of path and content: give one", 4)
  local read, rewind, length = file.reader, file.rewind, file.length
  if io.type(read) then
    check(io.type(read) == "file", name, "reader is a closed file", 4)
    read, rewind, length = from_handle(read)
  end
  check(type(read) == "function", name, "reader must be a function or an open file, not a " .. type(read), 4)
  check(rewind == nil or type(rewind) == "function", name, "rewind must be a function", 4)
  check(length == nil or (type(length) == "number" and length >= 0 and length % 1 == 0), name,
    "length must be a number of bytes", 4)
  local map = { feed = true, rewind = rewind ~= nil, length = length, filename = file.filename, type = file.type }
  local most = read == file.reader and length or nil -- an open file may grow meanwhile: its first bytes are sent
  return map, { read = read, rewind = rewind, most = most, attempt = 0 }
end

-- The source's next bytes, "" at the end, or nil if it cannot be read. Empty pieces on the way are passed over.
local function next_piece(source)
  local piece, why
  repeat piece, why = source.read() until piece ~= ""
  if piece ~= nil and type(piece) ~= "string" then
    error("a reader must return a string or nil, not a " .. type(piece), 0)
  end
  if piece == nil and why == nil then piece = "" end
  return piece, why
end

local function reason(why)
  return why == nil and "it does not say why" or tostring(why)
end

local function feed(source, machine)
  local attempt = machine:hungry()
  if not attempt then return end
  local again = source.attempt > 0 and source.attempt ~= attempt
  if source.attempt ~= attempt then source.given = 0 end
  source.attempt = attempt
  if again then
    local good, why = source.rewind()
    if not good then return machine:fail("rewind: " .. reason(why)) end
  end
  local piece, why = next_piece(source)
  if not piece then return machine:fail("reader: " .. reason(why)) end
  source.given = source.given + #piece
  if source.most and source.given > source.most then
    error(("a reader gave more than the %d bytes of its length"):format(source.most), 0)
  end
  machine:feed(piece)
end

-- ---- What is done between the pieces of a transfer ----

local Tender = {}
Tender.__index = Tender

function Tender:__call(machine)
  if self.write then
    for bytes in machine.take, machine do
      local good, why = self.write(bytes)
      if not good and why ~= nil then return machine:fail("write_to: " .. reason(why)) end
    end
  end
  if self.source then feed(self.source, machine) end
  if not self.progress then return end
  local done, total = machine:progress()
  if done ~= self.done then
    self.done = done
    self.progress(done, total)
  end
end

local function take_function(name, options, key, level)
  local f = options[key]
  if f ~= nil and type(f) ~= "function" then
    error(name .. ": the option " .. key .. " must be a function, not a " .. type(f), level + 2)
  end
  return f
end

-- The core's options, and ours of them. `level`: from the function that calls this one, that of a misuse.
local function take_options(name, options, level)
  if type(options) ~= "table" then return options, {} end
  local own = {
    progress = take_function(name, options, "progress", level),
    write = take_function(name, options, "write_to", level),
  }
  if options.stream ~= nil then error(name .. ": stream is not an option; the nearest is write_to", level + 1) end
  if own.write and options.save_to then error(name .. ": either write_to or save_to, not both", level + 1) end
  local rest = {}
  for key, value in pairs(options) do
    if key ~= "progress" and key ~= "write_to" then rest[key] = value end
  end
  if own.write then rest.stream = true end
  own.saved = own.write ~= nil or rest.save_to ~= nil
  return rest, own
end

local function finish(state, own, level, call, fields)
  if not call then error(fields, level + 1) end
  local needed = own.write or own.progress or own.source
  local object, other = iterator.finish(state, call, fields, needed and setmetatable(own, Tender) or nil)
  if object ~= nil and own.saved then return true, other end
  return object, other
end

--- Carries out the operation of a file; the arguments are those of its method, with so many ids first.
function files.call(state, id, name, ids, ...)
  local arguments = { ... }
  local params = arguments[ids + 1]
  local options, own = take_options(name, arguments[ids + 2], 3)
  local file = type(params) == "table" and params.file or nil
  local map, source = take_source(name, file)
  if map then
    local copy = {}
    for key, value in pairs(params) do copy[key] = value end
    copy.file = map
    arguments[ids + 1] = copy
  end
  arguments[ids + 2], own.source = options, source
  local count = math.max(select("#", ...), ids + 2)
  local object, other = finish(state, own, 3, core.call(state.core, id, unpack(arguments, 1, count)))
  return object, other
end

--- The bytes at the `url` of a file, a file link or a report's result, or true where they went elsewhere; or nil, err.
-- The key goes to Stripe's own hosts alone, and to a file link not at all.
function files.download(self, url, options)
  local state = type(self) == "table" and rawget(self, iterator.STATE)
  if not state then error("download is a method: call it with a colon, as stripe:download(...)", 2) end
  if type(url) ~= "string" then
    error("download: the address must be a string, as the url of a file, not a " .. type(url), 2)
  end
  local rest, own = take_options("download", options, 2)
  local object, other = finish(state, own, 2, core.download(state.core, url, rest))
  return object, other
end

return files
