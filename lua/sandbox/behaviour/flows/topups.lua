--- Top-ups: money drawn from a bank account into the balance.
--
--   pending → succeeded → reversed        pending → failed | canceled
--
-- A top-up brings its transaction when it succeeds, a day later by the clock or by helper; before that the balance
-- knows nothing of it.
local cards = require "sandbox.cards"
local common = require "sandbox.flows.common"
local generic = require "sandbox.generic"
local ledger = require "sandbox.flows.ledger"

local flow = { operations = {}, jobs = {}, helpers = {} }

local MOVES = {
  succeeded = { from = "pending", posts = "topup", sign = 1 },
  failed = { from = "pending" },
  canceled = { from = "pending" },
  reversed = { from = "succeeded", posts = "topup_reversal", sign = -1 },
}

local function move(call, topup, status, changes)
  local step = common.step(MOVES, topup, status)
  changes = changes or {}
  changes.status = status
  if step.posts then
    local transaction = ledger.post(call, step.posts, topup, step.sign * topup.amount, { description = "Top-up" })
    if status == "succeeded" then changes.balance_transaction = transaction.id end
  end
  return call:apply(topup, changes, "topup." .. status)
end

flow.operations["topups.create"] = function(call)
  common.positive(call.params.amount, "amount")
  local topup = generic.build(call)
  topup.status, topup.initiated_by = "pending", "user"
  topup.expected_availability_date = call:now() + common.DAY
  call:keep(topup)
  call:later(common.DAY, "topup.arrive", { topup = topup.id })
  return topup
end

flow.operations["topups.cancel"] = function(call) return move(call, call:target(), "canceled") end

flow.jobs["topup.arrive"] = function(call, args)
  local topup = call.store:get("topup", args.topup)
  if common.may(MOVES, topup, "succeeded") then move(call, topup, "succeeded") end
end

for name, status in pairs { succeed = "succeeded", reverse = "reversed" } do
  local function act(call, topup) return move(call, topup, status) end
  flow.helpers["topups." .. name] = common.helper("topup", act)
end

flow.helpers["topups.fail"] = common.helper("topup", function(call, topup, params)
  local code = params.failure_code or "insufficient_funds"
  return move(call, topup, "failed", { failure_code = code, failure_message = cards.failure(code) })
end)

return flow
