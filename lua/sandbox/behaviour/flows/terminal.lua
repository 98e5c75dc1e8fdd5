--- Readers: one action at a time, in progress until the cardholder did what it asks, which the test helpers do.
---
---   any action → in_progress ─▶ succeeded | failed     each with its event: terminal.reader.action_succeeded and so on
---        cancel_action: the action goes away
---
--- A payment is confirmed by what the cardholder presents where the action takes payments.
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local spec = require "sandbox.spec"

local null = host.null
local flow = { operations = {} }

local function action_type(name)
  return spec.fields(spec.object("terminal.reader").by_name.action)[name]
end

local function is_under_way(reader)
  return reader.action ~= nil and reader.action ~= null and reader.action.status == "in_progress"
end

-- What the action holds: the params, in the form that the table gives it.
local function start(name, status)
  return function(call)
    local reader = call:target()
    if is_under_way(reader) then
      error(errors.invalid {
        code = "terminal_reader_busy",
        message = ("Reader %s is busy with %s. Cancel that first."):format(reader.id, reader.action.type),
      })
    end
    return generic.apply(call, reader, { action = {
      type = name, status = status or "in_progress", api_error = null, failure_code = null, failure_message = null,
      [name] = generic.land(action_type(name), call.params, nil),
    } }, "terminal.reader.action_updated")
  end
end

for _, name in ipairs {
  "collect_inputs", "collect_payment_method", "confirm_payment_intent", "process_payment_intent",
  "process_setup_intent",
  "refund_payment",
} do
  flow.operations["terminal.readers." .. name] = start(name)
end

-- The display shows at once; nothing is left to do.
flow.operations["terminal.readers.set_reader_display"] = start("set_reader_display", "succeeded")

flow.operations["terminal.readers.cancel_action"] = function(call)
  return generic.apply(call, call:target(), { action = null }, "terminal.reader.action_updated")
end

-- Ends the action under way, if its type is one of `types`.
local function finish(call, types, changes)
  local reader = call:target()
  if not is_under_way(reader) or not types[reader.action.type] then
    error(errors.invalid {
      message = ("Reader %s has no action in progress that this would answer."):format(reader.id),
    })
  end
  local action = host.copy(reader.action)
  for name, value in pairs(changes) do action[name] = value end
  return generic.apply(call, reader, { action = action }, "terminal.reader.action_" .. action.status)
end

flow.operations["test_helpers.terminal.readers.present_payment_method"] = function(call)
  return finish(call, {
    collect_payment_method = true, confirm_payment_intent = true, process_payment_intent = true,
    process_setup_intent = true, refund_payment = true,
  }, { status = "succeeded" })
end

flow.operations["test_helpers.terminal.readers.succeed_input_collection"] = function(call)
  return finish(call, { collect_inputs = true }, { status = "succeeded" })
end

flow.operations["test_helpers.terminal.readers.timeout_input_collection"] = function(call)
  return finish(call, { collect_inputs = true }, {
    status = "failed", failure_code = "customer_canceled", failure_message = "The cardholder did not answer in time.",
  })
end

return flow
