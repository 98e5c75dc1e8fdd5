--- Fixture files of the official command line: a list of requests, each of which may use what earlier ones answered.
---
---     {"_meta": {"template_version": 0},
---      "fixtures": [{"name": "jenny", "path": "/v1/customers", "method": "post", "params": {"name": "Jenny"}},
---                   {"name": "card", "path": "/v1/payment_methods/pm_card_visa/attach", "method": "post",
---                    "params": {"customer": "${jenny:id}"}}]}
---
--- `${name:dot.path}` stands for a value of that reply, `|default` after it for what there is otherwise. What
--- `${.env:NAME}` stands for the sandbox cannot know: there the default counts.

local errors = require "sandbox.errors"
local host = require "sandbox.host"

local fixtures = {}

local function refuse(message, param) error(errors.invalid { message = message, param = param }) end

-- ---- ${name:dot.path} ----

local function look_up(value, path)
  for step in path:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    local index = step:match "^%[?(%d+)%]?$"
    if host.is_array(value) and index then value = value[tonumber(index) + 1] else value = value[step] end
  end
  return value
end

local function resolve(results, expression)
  local reference, default = expression:match "^([^|]*)|(.*)$"
  local name, path = (reference or expression):match "^([^:]*):(.*)$"
  local value = name and results[name] and look_up(results[name], path)
  if value == nil or value == host.null then value = default end
  if value == nil then
    refuse(("${%s} stands for nothing: no fixture before has that name, or its reply no such value; and there is no "
      .. "|default."):format(expression), "fixtures")
  end
  return value
end

local function fill(results, value)
  if type(value) == "table" then
    local filled = host.is_array(value) and host.array {} or {}
    for key, part in pairs(value) do filled[key] = fill(results, part) end
    return filled
  end
  if type(value) ~= "string" then return value end
  local whole = value:match "^%${([^}]*)}$"
  if whole then return resolve(results, whole) end
  return (value:gsub("%${([^}]*)}", function(expression) return tostring(resolve(results, expression)) end))
end

-- ---- Requests ----

local function escape(value)
  return (tostring(value):gsub("[^%w%-._~]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Null is nothing here: a parameter taken out of a file.
local function add_pairs(pairs_of, name, value)
  if value == host.null then return end
  if type(value) ~= "table" then
    pairs_of[#pairs_of + 1] = name .. "=" .. escape(math.type(value) == "float" and math.tointeger(value) or value)
  elseif host.is_array(value) then
    for i, item in ipairs(value) do add_pairs(pairs_of, ("%s[%d]"):format(name, i - 1), item) end
  else
    for _, key in ipairs(sorted_keys(value)) do add_pairs(pairs_of, name .. "[" .. escape(key) .. "]", value[key]) end
  end
end

--- Params as form text.
function fixtures.form(params)
  local pairs_of = {}
  for _, name in ipairs(sorted_keys(params)) do add_pairs(pairs_of, escape(name), params[name]) end
  return table.concat(pairs_of, "&")
end

local function request_of(fixture, results, authorization)
  local method, params = fixture.method:upper(), fill(results, fixture.params or {})
  local headers = { authorization = authorization, ["idempotency-key"] = fill(results, fixture.idempotency_key) }
  for name, value in pairs(fixture.headers or {}) do headers[name:lower()] = fill(results, value) end
  local request = { method = method, path = fill(results, fixture.path), headers = headers }
  if method ~= "POST" then
    request.query = fixtures.form(params)
  elseif request.path:find "^/v2/" then
    request.body, request.headers["content-type"] = host.encode(params), "application/json"
  else
    request.body, request.headers["content-type"] = fixtures.form(params), "application/x-www-form-urlencoded"
  end
  return request
end

-- ---- Running ----

local function check(file)
  local meta, list = type(file) == "table" and file._meta or {}, type(file) == "table" and file.fixtures
  if not host.is_array(list) then refuse("fixtures must be a list of requests.", "fixtures") end
  if type(meta) ~= "table" or (meta.template_version or 0) ~= 0 then
    refuse("_meta.template_version must be 0.", "_meta")
  end
  for i, fixture in ipairs(list) do
    for _, name in ipairs { "name", "path", "method" } do
      if type(fixture) ~= "table" or type(fixture[name]) ~= "string" then
        refuse(("%s must be a string."):format(name), ("fixtures[%d][%s]"):format(i - 1, name))
      end
    end
    if not fixture.path:find "^/" then refuse("path must begin with a slash.", ("fixtures[%d][path]"):format(i - 1)) end
    for _, name in ipairs { "params", "headers" } do
      local value = fixture[name]
      if value ~= nil and (type(value) ~= "table" or host.is_array(value)) then
        refuse(name .. " must be an object.", ("fixtures[%d][%s]"):format(i - 1, name))
      end
    end
  end
end

--- Carries out a fixture file; returns the replies by name. The first request that fails, but with its
--- expected_error_type, ends it; what came before stands.
function fixtures.run(box, file, authorization)
  check(file)
  local results = {}
  for i, fixture in ipairs(file.fixtures) do
    local reply = box:handle(request_of(fixture, results, authorization))
    local result = host.decode(reply.body) or {}
    local kind = type(result.error) == "table" and result.error.type or nil
    if reply.status >= 400 and kind ~= fixture.expected_error_type then
      refuse(("The fixture '%s' failed with status %d: %s"):format(fixture.name, reply.status,
        result.error and result.error.message or "no JSON"), ("fixtures[%d]"):format(i - 1))
    end
    results[fixture.name] = result
  end
  return { fixtures = results }
end

return fixtures
