--- Files and the links under which anyone may fetch them.
--
-- A file's bytes stand beside it, and are served at its `url` to who has a key. A file link's `url` holds a secret
-- that the sandbox knows (state.links), and serves them without a key until the link expires: by its `expires_at`,
-- which the clock meets, or at once by expires_at=now.
local accounts = require "sandbox.accounts"
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local host = require "sandbox.host"

local null, given, refuse = host.null, common.given, common.refuse

local flow = { operations = {}, jobs = {}, routes = {} }

local MOST_BYTES, USUAL_BYTES = { terminal_android_apk = 64 << 20 }, 16 << 20

-- By the first bytes; else by the name.
local SIGNATURES = {
  ["^%%PDF%-"] = "pdf", ["^\137PNG\r\n\26\n"] = "png", ["^\255\216\255"] = "jpg", ["^GIF8"] = "gif",
  ["^PK\3\4"] = "zip",
}

local MIME = {
  csv = "text/csv", gif = "image/gif", jpg = "image/jpeg", json = "application/json", pdf = "application/pdf",
  png = "image/png", txt = "text/plain", zip = "application/zip",
}

local function type_of(filename, content)
  for signature, type in pairs(SIGNATURES) do
    if content:find(signature) then return type end
  end
  local extension = (filename or ""):match "%.(%w+)$"
  extension = extension and extension:lower():gsub("^jpeg$", "jpg")
  return extension or null
end

-- Where the sandbox is, as the client of this request called it.
local function base(call)
  local name, server = call.headers and call.headers.host, call.box.server
  return name and "http://" .. name or server and server.url or "http://127.0.0.1"
end

function flow.make(call, purpose, filename, content)
  local id = call.store:new_id "file_"
  local file = call:new("file", {
    id = id, purpose = purpose, filename = filename or null, title = null, size = #content,
    type = type_of(filename, content), url = ("%s/v1/files/%s/contents"):format(base(call), id),
  })
  call:note(file).content = content
  return call:keep(file)
end

-- ---- Links

local function has_expired(link, now) return link.expired or (given(link.expires_at) or math.huge) <= now end

local function schedule_end(call, link)
  if given(link.expires_at) and not has_expired(link, call:now()) then
    clock.schedule(call, link.expires_at, "file_link.end", { link = link.id })
  end
  return link
end

local function make_link(call, file, fields)
  local secret, state = host.id(40), call.box.state
  local link = call:add("file_link", {
    file = file.id, metadata = common.metadata(fields), expires_at = fields.expires_at or null,
    url = ("%s/links/%s"):format(base(call), secret),
  })
  state.links = state.links or {}
  state.links[secret] = { account = call.account, link = link.id }
  return schedule_end(call, link)
end

flow.jobs["file_link.end"] = function(call, args)
  local link = call.store:get("file_link", args.link)
  if has_expired(link, call:now()) then call:apply(link, { expired = true }) end
end

flow.operations["file_links.create"] = function(call)
  local file = call:find("file", call.params.file, "file")
  common.check_future(call, call.params.expires_at, "expires_at")
  return make_link(call, file, call.params)
end

flow.operations["file_links.update"] = function(call)
  local link, params = call:target(), call.params
  local time = params.expires_at
  if time and link.expired then refuse("This file link has expired and cannot be changed.", "expires_at") end
  common.check_future(call, time, "expires_at")
  if time == "now" then params.expires_at = call:now() end
  local changes = call:asked(link)
  if time == "now" then changes.expired = true end
  return schedule_end(call, call:apply(link, changes))
end

-- ---- Files

flow.operations["files.create"] = function(call)
  local purpose, upload, link = call.params.purpose, call.params.file, call.params.file_link_data
  local most = MOST_BYTES[purpose] or USUAL_BYTES
  if #upload.content > most then refuse(("The file is larger than %d bytes."):format(most), "file") end
  if #upload.content == 0 then refuse("The uploaded file is empty.", "file") end
  if link then common.check_future(call, link.expires_at, "file_link_data[expires_at]") end
  local file = flow.make(call, purpose, upload.filename, upload.content)
  if link and link.create then make_link(call, file, link) end
  return file
end

-- ---- What is served

local function contents(store, file)
  local name = (given(file.filename) or file.id):gsub('["\\%c]', "_")
  return {
    status = 200, body = store:private(file).content, headers = {
      ["Content-Type"] = MIME[file.type] or "application/octet-stream",
      ["Content-Disposition"] = ('inline; filename="%s"'):format(name),
    },
  }
end

local function by_id(box, request, id)
  local _, platform = accounts.authenticate(request)
  local store = box:store(accounts.acting(box, platform, request.headers["stripe-account"]))
  return contents(store, store:get("file", id) or error(errors.missing("file", id, "id", 404)))
end

local function by_link(box, _, secret)
  local known = (box.state.links or {})[secret]
  local store = known and box:store(known.account)
  local link = store and store:get("file_link", known.link)
  local wrong = not link and "There is no such file link." or has_expired(link, clock.now(box))
    and "This file link has expired."
  if wrong then error(errors.new(404, "invalid_request_error", { message = wrong })) end
  return contents(store, store:get("file", link.file))
end

-- Serves what the path holds for `pattern`; nil for other paths and methods.
local function route(pattern, serve)
  return function(box, request)
    local part = request.path:match(pattern)
    if not part or not common.among("GET HEAD", request.method) then return nil end
    local ok, reply = pcall(serve, box, request, part)
    return ok and reply or errors.reply(reply)
  end
end

flow.routes["/v1/files/"] = route("^/v1/files/([^/]+)/contents$", by_id)
flow.routes["/links/"] = route("^/links/([^/]+)$", by_link)

return flow
