--- The driver in Lua, for clients with a transport or hooks of their own.
--
-- The machine says "send", "wait" or "done"; this loop carries it out. No pcall stands around a transport and no C
-- function below it, so that it may yield on every Lua; an error that it raises passes through, and the call with it.

local driver = {}

local function tell(hooks, machine)
  for event in machine.event, machine do
    local hook = event.kind == "request" and hooks.on_request or event.kind == "response" and hooks.on_response
    if hook then hook(event) end
    if hooks.log then hooks.log(event) end
  end
end

local function starve(machine)
  if machine:hungry() then machine:fail "there is no reader" end
end

local function carry(machine, tend)
  tend = tend or starve
  local done
  repeat
    done = machine:carry()
    tend(machine)
  until done
end

-- The reader of a body that is fed, for a transport: it waits until there are bytes.
local function feed_reader(reader, machine, tend)
  return function()
    local piece, why, later = reader()
    while later do
      tend(machine)
      piece, why, later = reader()
    end
    return piece, why
  end
end

local function send(transport, machine, tend)
  local fed = tend and tend.source
  local request = machine:request(fed)
  if not request then return end
  if fed then request.reader = feed_reader(request.reader, machine, tend) end
  local _, misuse = machine:answer(transport.send(request))
  if misuse then error(misuse, 0) end
  if tend then tend(machine) end
end

local function wait(transport, machine)
  if transport and transport.sleep then transport.sleep(machine:wait()) else carry(machine) end
end

--- Steps the machine of a call, or of an iterator's page, until it is done. `tend`, if any, is called between the
-- pieces of a transfer.
function driver.drive(state, machine, tend)
  local transport, hooks = state.transport, state.hooks
  while true do
    local step = machine:step()
    if hooks then tell(hooks, machine) end
    if step == "done" then return end
    if step == "wait" then
      wait(transport, machine)
    elseif transport then
      send(transport, machine, tend)
    else
      carry(machine, tend)
    end
  end
end

return driver
