-- What pinstripe is measured against in Lua: lua-curl and lua-cjson, which export the charges as a script would.
--
--   bare.lua KEY BASE     answers each line on stdin, a count, with the sum of the amounts that so many exports had
local curl, cjson = require "curl", require "cjson"

local key, base = arg[1], arg[2]
local handle, chunks = curl.easy_init(), nil
handle:setopt(curl.OPT_HTTPHEADER, { "Authorization: Bearer " .. key })
handle:setopt(curl.OPT_FAILONERROR, 1)
handle:setopt(curl.OPT_WRITEFUNCTION, function(chunk)
  chunks[#chunks + 1] = chunk
  return #chunk
end)

local function fetch(url)
  chunks = {}
  handle:setopt(curl.OPT_URL, url)
  assert(handle:perform())
  return cjson.decode(table.concat(chunks))
end

local function list()
  local amount, url = 0, base .. "/v1/charges?limit=100"
  local page
  repeat
    page = fetch(page and url .. "&starting_after=" .. page.data[#page.data].id or url)
    for _, charge in ipairs(page.data) do amount = amount + charge.amount end
  until not page.has_more
  return amount
end

for line in io.lines() do
  local amount = 0
  for _ = 1, tonumber(line) do amount = amount + list() end
  print(string.format("%.0f", amount))
  io.stdout:flush()
end
