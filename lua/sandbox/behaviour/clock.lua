--- The sandbox's time, and what is due by it.
---
--- The clock is real (the machine's, and what it was advanced by), or set: then it stands still until it is set or
--- advanced again. A job is plain data {at, order, job, args, account, platform} in a binary heap whose first one is
--- the earliest, of equal times the one scheduled first. While a job runs the clock shows that job's own time: a month
--- skipped in one step leaves the same objects, in the same order, as a month waited for.

local host = require "sandbox.host"

local clock = {
  SEEDED = 1767225600, -- where the clock of a sandbox with a seed stands at first: 2026 begins
}

--- The state of a new clock. With `stands`, a time, it stands there; else it is real.
function clock.new(stands)
  return { offset = 0, stands = stands, scheduled = 0, jobs = host.array {} }
end

local function earlier(a, b)
  return a.at < b.at or a.at == b.at and a.order < b.order
end

local function push(heap, job)
  local i = #heap + 1
  while i > 1 and earlier(job, heap[i // 2]) do
    heap[i] = heap[i // 2]
    i = i // 2
  end
  heap[i] = job
end

local function pop(heap)
  local top, last = heap[1], table.remove(heap)
  local i, size = 1, #heap
  while 2 * i <= size do
    local child = 2 * i
    if child < size and earlier(heap[child + 1], heap[child]) then child = child + 1 end
    if earlier(last, heap[child]) then break end
    heap[i] = heap[child]
    i = child
  end
  if size > 0 then heap[i] = last end
  return top
end

--- The time, in whole seconds.
function clock.now(box)
  local state = box.state.clock
  return state.showing or state.stands or (host.time() // 1 | 0) + state.offset
end

-- Seconds until the first job will be due by itself; nil: never.
local function seconds_left(state)
  local first = state.jobs[1]
  if not first then return nil end
  if state.stands then return first.at <= state.stands and 0 or nil end
  return math.max(0, first.at - state.offset - host.time())
end

-- Tells the front when to call again.
local function wake(box)
  local seconds = box.server and seconds_left(box.state.clock)
  if seconds then box.server.wake(seconds) end
end

--- Has the job of that name (flow.jobs) run with `args`, plain data, in the call's account, when the time has come.
function clock.schedule(call, at, job, args)
  clock.at(call.box, at, job, args, call.account, call.platform and call.platform.account)
end

--- The same where there is no call.
function clock.at(box, at, job, args, account, platform)
  local state = box.state.clock
  state.scheduled = state.scheduled + 1
  local added = { at = at, order = state.scheduled, job = job, args = args, account = account, platform = platform }
  push(state.jobs, added)
  if state.jobs[1] == added then wake(box) end
end

-- Runs what is due; returns the error of the first job that raised one. The others run all the same.
local function run_due(box)
  local state, failure = box.state, nil
  local of = state.clock
  local time = clock.now(box)
  while box.state == state and of.jobs[1] and of.jobs[1].at <= time do
    local job = pop(of.jobs)
    of.showing = job.at
    local ok, why = pcall(box.run_job, box, job)
    of.showing = nil
    if not ok then failure = failure or ("the job %s failed: %s"):format(job.job, tostring(why)) end
  end
  return failure
end

local function moved(box)
  local failure = run_due(box)
  wake(box)
  if failure then error(failure, 0) end
end

--- Runs what has become due. Returns the seconds until something else will be, or nil while nothing will by itself.
function clock.tick(box)
  local failure = run_due(box)
  if failure then box.failure = failure end
  return seconds_left(box.state.clock)
end

--- Stops the clock at a time; what is due by then runs.
function clock.set(box, time)
  box.state.clock.stands = time
  moved(box)
end

--- Moves the clock on, running or standing.
function clock.advance(box, seconds)
  local state = box.state.clock
  if state.stands then state.stands = state.stands + seconds else state.offset = state.offset + seconds end
  moved(box)
end

--- Back to the machine's time.
function clock.real(box)
  local state = box.state.clock
  state.stands, state.offset = nil, 0
  moved(box)
end

--- What control calls show. `failure`: what last went wrong in a job that no request waited for.
function clock.show(box)
  local state = box.state.clock
  local first = state.jobs[1]
  return {
    now = clock.now(box), mode = state.stands and "set" or "real", jobs = #state.jobs,
    next_job = first and first.at or host.null, failure = box.failure or host.null,
  }
end

return clock
