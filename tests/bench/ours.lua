-- pinstripe in Lua.
--
--   ours.lua get|list|fields|verify KEY BASE     answers each line on stdin, a count, with the sum of the amounts that
--                                                so many calls, or exports of all charges (with three fields), had;
--                                                of checks of a webhook of 4 KB, with the count
local pinstripe = require "pinstripe"

local stripe = pinstripe.client(arg[2], { api_base = arg[3] })
local work = {}

function work.get()
  return pinstripe.check(stripe.balance:retrieve()).available[1].amount
end

local function list(options)
  local amount = 0
  for charge in stripe.charges:each({}, options) do amount = amount + charge.amount end
  return amount
end

function work.list()
  return list()
end

function work.fields()
  return list { fields = { "id", "amount", "billing_details.email" } }
end

local webhook = pinstripe.webhook
local body = ("x"):rep(4096)
local header, options = webhook.sign(body, "whsec_bench", 1700000000), { now = 1700000000 }

function work.verify()
  return webhook.verify(body, header, "whsec_bench", options) and 1
end

for line in io.lines() do
  local amount = 0
  for _ = 1, tonumber(line) do amount = amount + work[arg[1]]() end
  print(string.format("%.0f", amount))
  io.stdout:flush()
end
