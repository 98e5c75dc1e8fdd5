-- One large transfer, and what it adds to the process's memory: transfers.lua upload|feed|file|window BASE PATH SIZE
local pinstripe = require "pinstripe"

local what, base, path, size = arg[1], arg[2], arg[3], tonumber(arg[4])

local function memory(name)
  for line in io.lines "/proc/self/status" do
    local kib = line:match("^" .. name .. ":%s+(%d+)")
    if kib then return tonumber(kib) * 1024 end
  end
end

local stripe = pinstripe.client("sk_test_bench", { api_base = base, files_base = base })
local purpose, left = "dispute_evidence", size
local piece = ("x"):rep(65536)

local function read()
  if left == 0 then return nil end
  local length = math.min(left, #piece)
  left = left - length
  return length == #piece and piece or piece:sub(1, length)
end

local transfers = {
  upload = function() return stripe.files:create{ purpose = purpose, file = io.open(path, "rb") } end,
  feed = function() return stripe.files:create{ purpose = purpose, file = { reader = read, length = size } } end,
  file = function() return stripe.quotes:pdf("qt_1", nil, { save_to = path }) end,
  window = function()
    return stripe.quotes:pdf("qt_1", nil, { write_to = function(bytes) left = left - #bytes end })
  end,
}

stripe.balance:retrieve()
local before, begin = memory "VmRSS", os.time()
pinstripe.check(transfers[what]())
assert(what ~= "window" or left == 0)
print(("%d %d"):format(memory "VmHWM" - before, (os.time() - begin) * 1000))
