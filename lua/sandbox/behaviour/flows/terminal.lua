--- Readers: one action at a time, in progress until the cardholder did what it asks, which the test helpers do.
---
---   any action → in_progress ─▶ succeeded | failed     each with its event: terminal.reader.action_succeeded and so on
---        cancel_action: the action goes away
local common = require "sandbox.flows.common"
local generic = require "sandbox.generic"

local null, given = common.null, common.given

local flow = { operations = {} }

local PAYING = "collect_payment_method confirm_payment_intent process_payment_intent process_setup_intent "
  .. "refund_payment"

local function under_way(reader)
  local action = given(reader.action)
  return action and action.status == "in_progress" and action
end

-- Starts an action, which holds the params in the form that the table gives it.
local function start(name, status)
  flow.operations["terminal.readers." .. name] = function(call)
    local reader = call:target()
    local busy = under_way(reader)
    if busy then
      common.refuse(("Reader %s is busy with %s. Cancel that first."):format(reader.id, busy.type), nil,
        "terminal_reader_busy")
    end
    return call:apply(reader, { action = {
      type = name, status = status, api_error = null, failure_code = null, failure_message = null,
      [name] = generic.land(common.type_of("terminal.reader", "action", name), call.params, nil),
    } }, "terminal.reader.action_updated")
  end
end

start("collect_inputs", "in_progress")
start("set_reader_display", "succeeded") -- the display shows at once; nothing is left to do
for name in PAYING:gmatch "%S+" do start(name, "in_progress") end

flow.operations["terminal.readers.cancel_action"] = function(call)
  return call:apply(call:target(), { action = null }, "terminal.reader.action_updated")
end

-- Ends the action under way, if its type is one of `types`.
local function finish(name, types, changes)
  flow.operations["test_helpers.terminal.readers." .. name] = function(call)
    local reader = call:target()
    local action = under_way(reader)
    common.refuse_if(not action or not common.among(types, action.type),
      "Reader %s has no action in progress that this would answer.", nil, nil, reader.id)
    action = common.changed(action, changes)
    return call:apply(reader, { action = action }, "terminal.reader.action_" .. action.status)
  end
end

finish("present_payment_method", PAYING, { status = "succeeded" })
finish("succeed_input_collection", "collect_inputs", { status = "succeeded" })
finish("timeout_input_collection", "collect_inputs", {
  status = "failed", failure_code = "customer_canceled", failure_message = "The cardholder did not answer in time.",
})

return flow
