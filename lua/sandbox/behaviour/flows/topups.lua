--- Top-ups: money drawn from a bank account into the balance.
--
--   pending → succeeded → reversed        pending → failed | canceled
--
-- A top-up brings its transaction when it succeeds, a day later by the clock or by helper; before that the balance
-- knows nothing of it.
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local ledger = require "sandbox.flows.ledger"

local flow = { operations = {}, jobs = {}, helpers = {} }

local ARRIVES_AFTER = 86400

local FROM = { succeeded = "pending", failed = "pending", canceled = "pending", reversed = "succeeded" }
local POSTS = { succeeded = { type = "topup", sign = 1 }, reversed = { type = "topup_reversal", sign = -1 } }

local function move(call, topup, status, changes)
  if topup.status ~= FROM[status] then
    common.refuse(("Top-up %s cannot become %s: its status is %s."):format(topup.id, status, topup.status))
  end
  changes = changes or {}
  changes.status = status
  local posts = POSTS[status]
  if posts then
    local transaction = ledger.post(call, {
      type = posts.type, amount = posts.sign * topup.amount, currency = topup.currency, source = topup.id,
      description = "Top-up",
    })
    if status == "succeeded" then changes.balance_transaction = transaction.id end
  end
  return generic.apply(call, topup, changes, "topup." .. status)
end

flow.operations["topups.create"] = function(call)
  common.positive(call.params.amount, "amount")
  local topup = generic.build(call)
  topup.status, topup.initiated_by = "pending", "user"
  topup.expected_availability_date = call:now() + ARRIVES_AFTER
  call.store:insert(topup)
  events.emit(call, "topup.created", topup)
  clock.schedule(call, topup.expected_availability_date, "topup.arrive", { topup = topup.id })
  return topup
end

flow.operations["topups.cancel"] = function(call)
  return move(call, call:target(), "canceled")
end

flow.jobs["topup.arrive"] = function(call, args)
  local topup = call.store:get("topup", args.topup)
  if topup.status == "pending" then move(call, topup, "succeeded") end
end

flow.helpers["topups.succeed"] = function(call, id)
  return move(call, call:find("topup", id, "id"), "succeeded")
end

flow.helpers["topups.fail"] = function(call, id, params)
  local code = params and params.failure_code or "insufficient_funds"
  local changes = { failure_code = code, failure_message = "The bank refused this top-up: " .. code .. "." }
  return move(call, call:find("topup", id, "id"), "failed", changes)
end

flow.helpers["topups.reverse"] = function(call, id)
  return move(call, call:find("topup", id, "id"), "reversed")
end

return flow
