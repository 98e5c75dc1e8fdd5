--- Payouts: money leaves the balance when the payout is made, and comes back when it fails or is canceled.
--
--   pending → in_transit → paid        by the clock: a standard payout leaves after a day and arrives after two, an
--   pending → canceled                 instant one arrives within half an hour
--   any but canceled → failed          when the destination is one of the test bank accounts that fail, or by helper
--
-- Invariant: a payout's transactions sum to -amount while it is on its way or paid, and to 0 once it failed or was
-- canceled.
local cards = require "sandbox.cards"
local common = require "sandbox.flows.common"
local external = require "sandbox.flows.external_accounts"
local generic = require "sandbox.generic"
local ledger = require "sandbox.flows.ledger"

local given, refuse_if = common.given, common.refuse_if

local flow = { operations = {}, jobs = {}, helpers = {} }

local TIMES = {
  standard = { leaves = common.DAY, arrives = 2 * common.DAY },
  instant = { leaves = 0, arrives = 1800 },
}

local MOVES = {
  in_transit = { from = "pending", event = "payout.updated" },
  paid = { from = "pending in_transit", event = "payout.paid" },
  canceled = { from = "pending", event = "payout.canceled", returns = "payout_cancel" },
  failed = { from = "pending in_transit paid", event = "payout.failed", returns = "payout_failure" },
}

local function move(call, payout, status, changes)
  local step = common.step(MOVES, payout, status)
  changes = changes or {}
  changes.status = status
  refuse_if(step.returns and given(payout.reversed_by),
    "Payout %s was reversed: its money has come back already.", nil, nil, payout.id)
  if step.returns then
    local back = ledger.post(call, step.returns, payout, payout.amount, { source_type = payout.source_type })
    changes.failure_balance_transaction = back.id
  end
  call:apply(payout, changes, step.event)
  local original = step.returns and given(payout.original_payout)
  if original then call:apply(call.store:get("payout", original), { reversed_by = common.null }) end
  return payout
end

local function fail(call, payout, code)
  return move(call, payout, "failed", { failure_code = code, failure_message = cards.failure(code) })
end

-- Stores a payout whose destination and amount are settled, with its transaction and its way ahead.
local function launch(call, payout, destination)
  local times = TIMES[payout.method]
  payout.status = times.leaves == 0 and "in_transit" or "pending"
  payout.arrival_date = call:now() + times.arrives
  payout.destination, payout.type = destination.id, destination.object
  payout.reconciliation_status = "not_applicable"
  payout.trace_id = { status = "pending", value = common.null }
  call.store:insert(payout)
  payout.balance_transaction = ledger.post(call, "payout", payout, -payout.amount, {
    description = given(payout.description) or "STRIPE PAYOUT", source_type = payout.source_type,
  }).id
  call:emit("payout.created", payout)
  if times.leaves > 0 then call:later(times.leaves, "payout.leave", { payout = payout.id }) end
  call:later(times.arrives, "payout.arrive", { payout = payout.id })
  return payout
end

flow.operations["payouts.create"] = function(call)
  local params = call.params
  common.positive(params.amount, "amount")
  ledger.check_funds(call, params.amount, params.currency, params.source_type)
  local destination = external.for_payout(call, params.destination, params.currency)
  local payout = generic.build(call)
  payout.method, payout.source_type = params.method or "standard", params.source_type or "card"
  return launch(call, payout, destination)
end

flow.operations["payouts.cancel"] = function(call) return move(call, call:target(), "canceled") end

-- A reversal is a payout of the negative amount, which takes back what the first one brought.
flow.operations["payouts.reverse"] = function(call)
  local original = call:target()
  refuse_if(given(original.reversed_by) or original.amount < 0,
    "Payout %s is already reversed, or is a reversal.", nil, nil, original.id)
  refuse_if(not common.among("paid in_transit", original.status),
    "A payout that is %s cannot be reversed; one paid or in transit can.", nil, nil, original.status)
  local reversal = generic.build(call)
  for _, field in ipairs { "currency", "method", "source_type", "statement_descriptor" } do
    reversal[field] = original[field]
  end
  reversal.amount, reversal.original_payout = -original.amount, original.id
  launch(call, reversal, external.for_payout(call, original.destination, original.currency))
  call:apply(original, { reversed_by = reversal.id })
  return reversal
end

flow.jobs["payout.leave"] = function(call, args)
  local payout = call.store:get("payout", args.payout)
  if common.may(MOVES, payout, "in_transit") then move(call, payout, "in_transit") end
end

flow.jobs["payout.arrive"] = function(call, args)
  local payout = call.store:get("payout", args.payout)
  if not common.may(MOVES, payout, "paid") then return end
  local failure = external.failure(call, payout)
  if failure and not given(payout.reversed_by) then return fail(call, payout, failure) end
  move(call, payout, "paid", { trace_id = { status = "supported", value = ("%015d"):format(payout.created) } })
end

for name, status in pairs { send = "in_transit", pay = "paid" } do
  local function act(call, payout) return move(call, payout, status) end
  flow.helpers["payouts." .. name] = common.helper("payout", act)
end
flow.helpers["payouts.fail"] = common.helper("payout", function(call, payout, params)
  return fail(call, payout, params.failure_code or "could_not_process")
end)

return flow
