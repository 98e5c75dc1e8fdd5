--- The Stripe API for Lua: clients, and services as their fields.
--
--     local pinstripe = require "pinstripe"
--     local stripe = pinstripe.client(os.getenv "STRIPE_API_KEY")
--     local customer = pinstripe.check(stripe.customers:create{ email = "jenny@example.com" })
--
-- Nothing here knows an operation by name. A field that is not there yet is looked up in the core's table, once: it is
-- a service, an operation (then a method), or a misuse that names what is nearest. A misuse raises at the caller's
-- line; what a call comes to is returned, as `object, response` or `nil, err`.

local core = require "pinstripe.core"
local iterator = require "pinstripe.iterator"

local STATE, PATH = iterator.STATE, {} -- keys of what a client or service keeps for itself

local pinstripe = {
  version = core.version,
  null = core.null,
  array = setmetatable(core.array_meta, {
    __call = function(array, t)
      if t == nil then t = {} end
      local other = type(t) == "table" and getmetatable(t)
      if type(t) ~= "table" then error("pinstripe.array marks a table, not a " .. type(t), 2) end
      if other and other ~= array then error("pinstripe.array: this table has a metatable of its own", 2) end
      return setmetatable(t, array)
    end,
  }),
  json = {
    decode = core.decode,
    encode = function(value)
      local text, misuse = core.encode(value)
      return text or error("pinstripe.json.encode: " .. misuse, 2)
    end,
  },
}

-- What few programs need is loaded when it is first used.
local parts = { api = true, sandbox = true, webhook = true }

setmetatable(pinstripe, {
  __index = function(self, name)
    if not parts[name] then return nil end
    self[name] = require("pinstripe." .. name)
    return self[name]
  end,
})

--- What the call returned, or its error raised: `assert` for every Lua (that of 5.1 loses an error that is a table).
function pinstripe.check(object, err, ...)
  if not object and err ~= nil then error(err, 2) end
  return object, err, ...
end

-- Errors and events are tables that print as one line.

function core.error_meta.__tostring(err)
  local facts = {}
  if err.status then facts[#facts + 1] = "status " .. err.status end
  for _, name in ipairs{ "code", "decline_code", "param" } do
    if type(err[name]) == "string" then facts[#facts + 1] = name .. " " .. err[name] end
  end
  if type(err.request_id) == "string" then facts[#facts + 1] = "request " .. err.request_id end
  if err.outcome == "unknown" then facts[#facts + 1] = "outcome unknown" end
  local line = err.kind .. ": " .. err.message
  return #facts == 0 and line or line .. " (" .. table.concat(facts, ", ") .. ")"
end

function core.event_meta.__tostring(event)
  return event.line
end

-- Methods, one for each operation that was ever called.

local methods = {}

-- The state of the client behind a service; or a misuse, in the name of the function that calls this one.
local function state_of(self, name)
  local state = type(self) == "table" and rawget(self, STATE)
  return state or error(name .. " is a method: call it with a colon, as stripe." .. name .. "(...)", 3)
end

local function spell(id)
  return (id:gsub("%.([^.]+)$", ":%1"))
end

local function new_method(id)
  local name = spell(id)
  return function(self, ...)
    local state = state_of(self, name)
    local call, fields = core.call(state.core, id, ...)
    if not call then error(fields, 2) end
    return iterator.finish(state, call, fields)
  end
end

-- The method of an upload or download.
local function new_transfer(id)
  local name, ids = spell(id), #core.operation(id).ids
  return function(self, ...)
    local object, other = require "pinstripe.files".call(state_of(self, name), id, name, ids, ...)
    return object, other
  end
end

-- The method of an address that is built and not called: stripe.oauth:authorize_url(params, { express = true }).
local function new_url(id)
  local name = spell(id)
  return function(self, params, options)
    local state = state_of(self, name)
    for key in pairs(options or {}) do
      if key ~= "express" then error(name .. ": " .. tostring(key) .. " is not an option (express)", 2) end
    end
    local url, err = core.authorize_url(state.core, params, options and options.express)
    if type(err) == "string" then error(name .. ": " .. err, 2) end
    return url, err
  end
end

-- `each` of a service: its `list` as an iterator.
local function new_each(id)
  local name = spell(id):gsub("list$", "each")
  return function(self, ...)
    local state = state_of(self, name)
    local handle, fields = core.iter(state.core, id, ...)
    if not handle then error((fields:gsub("^%S+:list", name)), 2) end
    return iterator.new(state, handle, fields)
  end
end

local function method(id, new)
  local key = new == new_each and id .. " each" or id
  methods[key] = methods[key] or new(id)
  return methods[key]
end

-- Services.

-- "; the nearest is ...", if one of the words is near.
local function nearest(name, words, prefix)
  local word = require "pinstripe.nearest"(name, words)
  return word and "; the nearest is " .. (prefix or "") .. word or ""
end

-- A field that a client (of which `path` is "") or a service does not have.
local function refuse(path, name)
  local service = core.service(path)
  local words = service.operations
  for _, child in ipairs(service.services) do words[#words + 1] = child:match("[^.]+$") end
  local what = path == "" and "service" or "operation or service"
  local prefix = path == "" and "" or path .. "."
  error("there is no " .. what .. " " .. prefix .. name .. nearest(name, words, prefix), 3)
end

local Service = { __name = "pinstripe.service" }

function Service:__tostring()
  return "pinstripe.service " .. rawget(self, PATH)
end

function Service:__index(name)
  if type(name) ~= "string" then return nil end
  local path = rawget(self, PATH)
  local kind, id, transfer = core.resolve(path, name)
  local found
  if kind == "service" and id ~= "v2" then
    found = setmetatable({ [STATE] = rawget(self, STATE), [PATH] = id }, Service)
  elseif kind == "operation" then
    found = method(id, transfer and new_transfer or new_method)
  elseif kind == "url" then
    found = method(id, new_url)
  elseif name == "each" and core.resolve(path, "list") then
    found = method(path .. ".list", new_each)
  else
    refuse(path, name)
  end
  rawset(self, name, found)
  return found
end

-- Clients.

local Client = { __name = "pinstripe.client" }

function Client.__tostring()
  return "pinstripe.client"
end

-- Methods of a client that few programs need, and where they are.
local client_methods = {
  fetch_event = "notifications", fetch_related_object = "notifications", notification_handler = "notifications",
  download = "files", meter_stream = "meter",
}

-- v1 stands both at the top and under its name; v2 under its name alone.
function Client:__index(name)
  if type(name) ~= "string" then return nil end
  if client_methods[name] then return require("pinstripe." .. client_methods[name])[name] end
  local found = { [STATE] = rawget(self, STATE) }
  if name == "v1" then
    found[PATH] = ""
  else
    local kind, path = core.resolve("", name)
    if not kind then refuse("", name) end
    found[PATH] = path
  end
  rawset(self, name, setmetatable(found, Service))
  return found
end

--- Any method and path, for what the table does not know: stripe:request("GET", "/v1/charges", { limit = 3 }).
local function request(self, ...)
  local state = state_of(self, "request")
  local call, fields = core.request(state.core, ...)
  if not call then error(fields, 2) end
  local object, other = iterator.finish(state, call, fields)
  local options = select(4, ...)
  if object ~= nil and type(options) == "table" and options.save_to then object = true end -- as other downloads
  return object, other
end

local function new_client(state)
  return setmetatable({ [STATE] = state, request = request }, Client)
end

--- The client of a program in C that embeds Lua: see pinstripe_lua.h.
function core.lend(handle)
  return new_client{ core = handle }
end

local own_options = { "log", "on_request", "on_response", "transport" }

-- The core knows its own options; ours may be what was meant.
local function complete(misuse)
  return (misuse:gsub("^(%S+) is not an option$", function(name)
    return name .. " is not an option" .. nearest(name, own_options)
  end))
end

local function take_hooks(options)
  local hooks
  for _, name in ipairs{ "log", "on_request", "on_response" } do
    local hook = rawget(options, name)
    if hook ~= nil and type(hook) ~= "function" then
      error("pinstripe.client: the option " .. name .. " must be a function, not a " .. type(hook), 3)
    end
    if hook then
      hooks = hooks or {}
      hooks[name] = hook
    end
  end
  return hooks
end

local function take_transport(options)
  local transport = rawget(options, "transport")
  if type(transport) == "function" then transport = { send = transport } end
  if transport == nil then return nil end
  local good = type(transport) == "table" and type(transport.send) == "function"
  if not good or (transport.sleep ~= nil and type(transport.sleep) ~= "function") then
    error("pinstripe.client: the option transport must be a function, or {send = function, sleep = function}", 3)
  end
  return transport
end

local levels = { off = 0, error = 1, warn = 2, info = 3, debug = 4 }

-- The hooks of a client whose key comes from the environment: what PINSTRIPE_LOG asks for goes to stderr.
local function environment_hooks(hooks)
  local name = os.getenv "PINSTRIPE_LOG"
  if not name or name == "" or (hooks and hooks.log) then return hooks end
  local most = levels[name]
  if not most then error("pinstripe.client: PINSTRIPE_LOG must be off, error, warn, info or debug, not " .. name, 3) end
  if most == 0 then return hooks end
  hooks = hooks or {}
  hooks.log = function(event)
    if levels[event.level] <= most then io.stderr:write("pinstripe ", event.level, " ", event.line, "\n") end
  end
  return hooks
end

--- A client. The key's default is STRIPE_API_KEY of the environment; then PINSTRIPE_API_BASE and PINSTRIPE_LOG there
-- count, too. The options are those of the README.
function pinstripe.client(key, options)
  if type(key) == "table" and options == nil then key, options = nil, key end
  if options ~= nil and type(options) ~= "table" then
    error("pinstripe.client: options must be a table, not a " .. type(options), 2)
  end
  local state = {}
  if options then
    state.hooks, state.transport = take_hooks(options), take_transport(options)
  end
  if key == nil and not (options and options.api_key) then state.hooks = environment_hooks(state.hooks) end
  local language = rawget(_G, "jit") and "luajit 2.1" or _VERSION:lower()
  local handle, misuse = core.client(key, options, language, state.transport ~= nil)
  if not handle then error("pinstripe.client: " .. complete(misuse), 2) end
  state.core = handle
  state.driven = (state.hooks or state.transport) ~= nil
  return new_client(state)
end

return pinstripe
