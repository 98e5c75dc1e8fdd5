--- Files and the links under which anyone may fetch them.
--
-- A file's bytes stand beside it, and are served at its `url` to who has a key. A file link's `url` holds a secret
-- that the sandbox knows (state.links), and serves them without a key until the link expires: by its `expires_at`,
-- which the clock meets, or at once by expires_at=now.
local accounts = require "sandbox.accounts"
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local shape = require "sandbox.shape"

local null = host.null

local flow = { operations = {}, jobs = {}, filters = {}, routes = {} }

local MOST_BYTES, USUAL_BYTES = { terminal_android_apk = 64 << 20 }, 16 << 20

-- By the first bytes; else by the name.
local SIGNATURES = {
  { "^%%PDF%-", "pdf" }, { "^\137PNG\r\n\26\n", "png" }, { "^\255\216\255", "jpg" }, { "^GIF8", "gif" },
  { "^PK\3\4", "zip" },
}

local MIME = {
  csv = "text/csv", gif = "image/gif", jpg = "image/jpeg", json = "application/json", pdf = "application/pdf",
  png = "image/png", txt = "text/plain", zip = "application/zip",
}

local function type_of(filename, content)
  for _, signature in ipairs(SIGNATURES) do
    if content:find(signature[1]) then return signature[2] end
  end
  local extension = filename and filename:match "%.(%w+)$"
  extension = extension and extension:lower()
  return extension == "jpeg" and "jpg" or extension or null
end

-- Where the sandbox is, as the client of this request called it.
local function base(call)
  local host_header, server = call.headers and call.headers.host, call.box.server
  if host_header then return "http://" .. host_header end
  return server and server.url or "http://127.0.0.1"
end

--- Stores a file of {purpose=, filename=, content=, title=}.
function flow.make(call, fields)
  local file = shape.new "file"
  file.purpose, file.filename, file.title = fields.purpose, fields.filename or null, fields.title or null
  file.size, file.type = #fields.content, type_of(fields.filename, fields.content)
  call.store:insert(file)
  file.url = ("%s/v1/files/%s/contents"):format(base(call), file.id)
  call.store:private(file).content = fields.content
  events.emit(call, "file.created", file)
  return file
end

-- ---- Links

local function expire(call, link)
  return generic.apply(call, link, { expired = true })
end

local function schedule_end(call, link)
  if link.expires_at ~= null and link.expires_at > call:now() then
    clock.schedule(call, link.expires_at, "file_link.end", { link = link.id })
  end
end

local function make_link(call, file, fields)
  local link = shape.new "file_link"
  local secret = host.id(40)
  link.file, link.metadata = file.id, fields.metadata or {}
  link.expires_at = fields.expires_at or null
  link.url = ("%s/links/%s"):format(base(call), secret)
  call.store:insert(link)
  local links = call.box.state.links or {}
  call.box.state.links = links
  links[secret] = { account = call.account, link = link.id }
  schedule_end(call, link)
  return link
end

flow.jobs["file_link.end"] = function(call, args)
  local link = call.store:get("file_link", args.link)
  if not link.expired and link.expires_at ~= null and link.expires_at <= call:now() then expire(call, link) end
end

local function check_expiry(call, time, param)
  if type(time) ~= "number" or time > call:now() then return end
  common.refuse(("`%s` must lie in the future."):format(param), param)
end

flow.operations["file_links.create"] = function(call)
  local params = call.params
  local file = call:find("file", params.file, "file")
  check_expiry(call, params.expires_at, "expires_at")
  return make_link(call, file, params)
end

flow.operations["file_links.update"] = function(call)
  local link, params = call:target(), call.params
  local time = params.expires_at
  if time and link.expired then
    common.refuse("This file link has expired and cannot be changed.", "expires_at")
  end
  check_expiry(call, time, "expires_at")
  if time == "now" then params.expires_at = call:now() end
  local changes = generic.merge(link, params)
  if time == "now" then changes.expired = true end
  generic.apply(call, link, changes)
  schedule_end(call, link)
  return link
end

flow.filters["file_links.list"] = {
  expired = function(_, expired)
    return function(link) return link.expired == expired end
  end,
}

-- ---- Files

flow.operations["files.create"] = function(call)
  local params = call.params
  local upload, link = params.file, params.file_link_data
  local most = MOST_BYTES[params.purpose] or USUAL_BYTES
  if #upload.content > most then
    common.refuse(("The file is larger than %d bytes."):format(most), "file")
  end
  if #upload.content == 0 then
    common.refuse("The uploaded file is empty.", "file")
  end
  if link then check_expiry(call, link.expires_at, "file_link_data[expires_at]") end
  local file = flow.make(call, { purpose = params.purpose, filename = upload.filename, content = upload.content })
  if link and link.create then make_link(call, file, link) end
  return file
end

-- ---- What is served

local function bytes(file, content)
  return {
    status = 200,
    headers = {
      ["Content-Type"] = MIME[file.type] or "application/octet-stream",
      ["Content-Disposition"] = ('inline; filename="%s"'):format((file.filename or file.id):gsub('["\\%c]', "_")),
    },
    body = content,
  }
end

local function contents(box, request, id)
  local _, platform = accounts.authenticate(request)
  local store = box:store(accounts.acting(box, platform, request.headers["stripe-account"]))
  local file = store:get("file", id) or error(errors.missing("file", id, "id", 404))
  return bytes(file, store:private(file).content)
end

local function follow(box, secret)
  local known = (box.state.links or {})[secret]
  local store = known and box:store(known.account)
  local link = store and store:get("file_link", known.link)
  if not link then error(errors.new(404, "invalid_request_error", { message = "There is no such file link." })) end
  if link.expired or link.expires_at ~= null and link.expires_at <= clock.now(box) then
    error(errors.new(404, "invalid_request_error", { message = "This file link has expired." }))
  end
  local file = store:get("file", link.file)
  return bytes(file, store:private(file).content)
end

-- Serves what the path holds for `pattern`; nil for other paths and methods.
local function route(pattern, serve)
  return function(box, request)
    local part = request.path:match(pattern)
    if not part or request.method ~= "GET" and request.method ~= "HEAD" then return nil end
    local ok, reply = pcall(serve, box, request, part)
    return ok and reply or errors.reply(reply)
  end
end

flow.routes["/v1/files/"] = route("^/v1/files/([^/]+)/contents$", contents)
flow.routes["/links/"] = route("^/links/([^/]+)$", function(box, _, secret) return follow(box, secret) end)

return flow
