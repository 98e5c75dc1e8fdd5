--- Payouts: money leaves the balance when the payout is made, and comes back when it fails or is canceled.
--
--   pending → in_transit → paid        by the clock: a standard payout leaves after a day and arrives after two, an
--   pending → canceled                 instant one arrives within half an hour
--   any but canceled → failed          when the destination is one of the test bank accounts that fail, or by helper
--
-- Invariant: a payout's transactions sum to -amount while it is on its way or paid, and to 0 once it failed or was
-- canceled.
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local events = require "sandbox.events"
local external = require "sandbox.flows.external_accounts"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local ledger = require "sandbox.flows.ledger"

local flow = { operations = {}, jobs = {}, helpers = {} }

local DAY = 86400
local TIMES = { standard = { leaves = DAY, arrives = 2 * DAY }, instant = { leaves = 0, arrives = 1800 } }

local MESSAGES = {
  account_closed = "The bank account has been closed.",
  could_not_process = "The bank could not process this payout.",
  debit_not_authorized = "Debit transactions are not approved on the bank account.",
  insufficient_funds = "The Stripe account has insufficient funds to cover the payout.",
  invalid_currency = "The bank was unable to process this payout because of its currency.",
  no_account = "The bank account details on file are probably incorrect: no such account could be found.",
}

local MOVES = {
  in_transit = { from = { pending = true }, event = "payout.updated" },
  paid = { from = { pending = true, in_transit = true }, event = "payout.paid" },
  canceled = { from = { pending = true }, event = "payout.canceled", returns = "payout_cancel" },
  failed = {
    from = { pending = true, in_transit = true, paid = true }, event = "payout.failed", returns = "payout_failure",
  },
}

local function move(call, payout, status, changes)
  local step = MOVES[status]
  changes = changes or {}
  changes.status = status
  if step.returns then
    local transaction = ledger.post(call, {
      type = step.returns, amount = payout.amount, currency = payout.currency, source = payout.id,
      source_type = payout.source_type,
    })
    changes.failure_balance_transaction = transaction.id
  end
  return generic.apply(call, payout, changes, step.event)
end

local function fail(call, payout, code)
  local changes = { failure_code = code, failure_message = MESSAGES[code] or MESSAGES.could_not_process }
  return move(call, payout, "failed", changes)
end

local function check(payout, status, verb)
  if MOVES[status].from[payout.status] then return end
  common.refuse(("Payout %s cannot be %s: its status is %s."):format(payout.id, verb or status, payout.status))
end

-- Stores a payout whose destination and amount are settled, with its transaction and its way ahead.
local function launch(call, payout, destination)
  local times = TIMES[payout.method]
  payout.status = times.leaves == 0 and "in_transit" or "pending"
  payout.arrival_date = call:now() + times.arrives
  payout.destination, payout.type = destination.id, destination.object
  payout.reconciliation_status = "not_applicable"
  payout.trace_id = { status = "pending", value = host.null }
  call.store:insert(payout)
  payout.balance_transaction = ledger.post(call, {
    type = "payout", amount = -payout.amount, currency = payout.currency, source = payout.id,
    description = payout.description ~= host.null and payout.description or "STRIPE PAYOUT",
    source_type = payout.source_type,
  }).id
  events.emit(call, "payout.created", payout)
  if times.leaves > 0 then clock.schedule(call, call:now() + times.leaves, "payout.leave", { payout = payout.id }) end
  clock.schedule(call, payout.arrival_date, "payout.arrive", { payout = payout.id })
  return payout
end

flow.operations["payouts.create"] = function(call)
  local params = call.params
  local source_type = params.source_type
  common.positive(params.amount, "amount")
  ledger.check_funds(call, params.amount, params.currency, source_type)
  local destination = external.for_payout(call, params.destination, params.currency)
  local payout = generic.build(call)
  payout.method = params.method or "standard"
  payout.source_type = source_type or "card"
  return launch(call, payout, destination)
end

flow.operations["payouts.cancel"] = function(call)
  local payout = call:target()
  check(payout, "canceled")
  return move(call, payout, "canceled")
end

-- A reversal is a payout of the negative amount, which takes back what the first one brought.
flow.operations["payouts.reverse"] = function(call)
  local original = call:target()
  if original.reversed_by ~= host.null or original.amount < 0 then
    common.refuse(("Payout %s is already reversed, or is a reversal."):format(original.id))
  end
  if original.status ~= "paid" and original.status ~= "in_transit" then
    common.refuse(("A payout that is %s cannot be reversed; one paid or in transit can."):format(original.status))
  end
  local reversal = generic.build(call)
  for _, field in ipairs { "currency", "method", "source_type", "statement_descriptor" } do
    reversal[field] = original[field]
  end
  reversal.amount, reversal.original_payout = -original.amount, original.id
  launch(call, reversal, external.for_payout(call, original.destination, original.currency))
  generic.apply(call, original, { reversed_by = reversal.id })
  return reversal
end

flow.jobs["payout.leave"] = function(call, args)
  local payout = call.store:get("payout", args.payout)
  if payout.status == "pending" then move(call, payout, "in_transit") end
end

flow.jobs["payout.arrive"] = function(call, args)
  local payout = call.store:get("payout", args.payout)
  if not MOVES.paid.from[payout.status] then return end
  local failure = external.failure(call, payout)
  if failure then return fail(call, payout, failure) end
  move(call, payout, "paid", { trace_id = { status = "supported", value = ("%015d"):format(payout.created) } })
end

local function helper(status, act)
  return function(call, id, params)
    local payout = call:find("payout", id, "id")
    check(payout, status)
    return act(call, payout, params) or payout
  end
end

flow.helpers["payouts.send"] = helper("in_transit", function(call, payout)
  return move(call, payout, "in_transit")
end)

flow.helpers["payouts.pay"] = helper("paid", function(call, payout)
  return move(call, payout, "paid")
end)

flow.helpers["payouts.fail"] = helper("failed", function(call, payout, params)
  return fail(call, payout, params and params.failure_code or "could_not_process")
end)

return flow
