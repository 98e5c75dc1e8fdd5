-- The sandbox's time: real, set, advanced; jobs in order.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path

local support = require "support"

local clock = require "sandbox.clock"
local pinstripe = support.pinstripe
local check = pinstripe.check

-- A sandbox whose jobs only note what ran, and when.
local function noting(options)
  local box = { state = { clock = clock.new(options and options.now) }, ran = {}, server = options and options.server }
  function box.run_job(_, job)
    if job.job == "fail" then error "on purpose" end
    table.insert(box.ran, job.args.name .. "@" .. clock.now(box))
    if job.args.again then clock.at(box, clock.now(box) + job.args.again, "note", { name = job.args.name .. "+" }) end
  end
  function box.at(time, name, again) clock.at(box, time, "note", { name = name, again = again }) end
  return box
end

describe("the clock", function()
  it("is the machine's until it is set", function()
    local box = noting()
    assert.is_true(math.abs(clock.now(box) - os.time()) <= 1)
    clock.set(box, 1000)
    assert.equal(1000, clock.now(box))
    clock.advance(box, 25)
    assert.equal(1025, clock.now(box))
    clock.real(box)
    assert.is_true(math.abs(clock.now(box) - os.time()) <= 1)
  end)

  it("runs on from where it was advanced to", function()
    local box = noting()
    clock.advance(box, 86400)
    assert.is_true(math.abs(clock.now(box) - os.time() - 86400) <= 1)
    assert.equal("real", clock.show(box).mode)
  end)

  it("runs jobs in order of time, then of scheduling, each at its own time", function()
    local box = noting { now = 100 }
    for i, time in ipairs { 300, 200, 300, 150, 200, 400, 100 } do box.at(time, tostring(i)) end
    clock.tick(box)
    assert.same({ "7@100" }, box.ran)
    clock.set(box, 300)
    assert.same({ "7@100", "4@150", "2@200", "5@200", "1@300", "3@300" }, box.ran)
    assert.equal(400, clock.show(box).next_job)
    assert.equal(1, clock.show(box).jobs)
  end)

  it("runs what jobs schedule in the same sweep, if it is due by then", function()
    local box = noting { now = 0 }
    box.at(10, "a", 5)
    box.at(12, "b")
    box.at(15, "c")
    clock.advance(box, 15)
    assert.same({ "a@10", "b@12", "c@15", "a+@15" }, box.ran)
  end)

  it("keeps order with many jobs", function()
    local box = noting { now = 0 }
    local dice = 1
    for i = 1, 2000 do
      dice = dice * 1103515245 + 12345 & 0x7fffffff
      box.at(dice % 500, i)
    end
    clock.set(box, 499)
    assert.equal(2000, #box.ran)
    local last_time, last_order = -1, 0
    for _, ran in ipairs(box.ran) do
      local order, time = ran:match "(%d+)@(%d+)"
      order, time = tonumber(order), tonumber(time)
      assert.is_true(time > last_time or time == last_time and order > last_order)
      last_time, last_order = time, order
    end
  end)

  it("goes on after a job that fails, and tells of it", function()
    local box = noting { now = 0 }
    clock.at(box, 1, "fail", {})
    box.at(2, "next")
    assert.has_error(function() clock.advance(box, 5) end)
    assert.same({ "next@2" }, box.ran)
    assert.equal(5, clock.now(box))
    clock.at(box, 6, "fail", {})
    box.state.clock.stands = 7
    clock.tick(box)
    assert.is_truthy(clock.show(box).failure:find "the job fail failed: .*on purpose")
  end)

  it("says how long nothing will be due", function()
    local box = noting()
    assert.is_nil(clock.tick(box))
    box.at(os.time() + 100, "later")
    local seconds = clock.tick(box)
    assert.is_true(seconds > 97 and seconds <= 100)
    clock.set(box, 5)
    assert.is_nil(clock.tick(box))
  end)

  it("wakes the front for what is due sooner", function()
    local woken = {}
    local box = noting { server = { wake = function(seconds) table.insert(woken, math.floor(seconds + 0.5)) end } }
    local now = os.time()
    box.at(now + 1000, "a")
    box.at(now + 2000, "b")
    box.at(now + 500, "c")
    assert.equal(2, #woken)
    assert.is_true(math.abs(woken[1] - 1000) <= 2 and math.abs(woken[2] - 500) <= 2)
    clock.advance(box, 100)
    assert.equal(3, #woken)
    assert.is_true(math.abs(woken[3] - 400) <= 2)
    clock.set(box, now)
    box.at(now + 1, "d")
    assert.equal(3, #woken)
    box.at(now, "due as the clock stands")
    assert.equal(0, woken[4])
    assert.is_nil(clock.tick(box))
    assert.equal("due as the clock stands@" .. now, box.ran[#box.ran])
  end)
end)

describe("the clock of a sandbox", function()
  it("gives new objects their time", function()
    local box = support.box { now = 1700000000 }
    local client = box:client()
    assert.equal(1700000000, check(client.customers:create {}).created)
    check(client:request("POST", "/_sandbox/clock", { advance = 3600 }))
    assert.equal(1700003600, check(client.customers:create {}).created)
    local events = check(client.events:list { created = { gt = 1700000000 } }).data
    assert.equal(1, #events)
  end)

  it("stands from the beginning with a seed", function()
    local shown = check(support.box { seed = 3 }:client():request("GET", "/_sandbox/clock"))
    assert.same({ "set", clock.SEEDED }, { shown.mode, shown.now })
  end)

  it("makes keys for idempotency expire", function()
    local client = support.box { now = 1700000000 }:client()
    local options = { idempotency_key = "once" }
    local first = check(client.customers:create({ name = "A" }, options))
    assert.equal(first.id, check(client.customers:create({ name = "A" }, options)).id)
    check(client:request("POST", "/_sandbox/clock", { advance = 86401 }))
    assert.not_equal(first.id, check(client.customers:create({ name = "A" }, options)).id)
  end)
end)
