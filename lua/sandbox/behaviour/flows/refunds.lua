--- Refunds: a payment's money goes back.
--
--   succeeded                          cards, at once
--   pending → succeeded | canceled     where the bank takes its time
--   succeeded → failed                 the bank refuses it later: the money comes back
--
-- Invariant: a charge's amount_refunded is what was released of it and the sum of its refunds that did not fail; a
-- refund's transactions sum to −amount, or to 0 once it failed. The fee of the payment is not returned.
local application_fees = require "sandbox.flows.application_fees"
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local ledger = require "sandbox.flows.ledger"
local methods = require "sandbox.flows.payment_methods"
local spec = require "sandbox.spec"
local store = require "sandbox.store"
local transfers = require "sandbox.flows.transfers"

local null = host.null
local refuse = common.refuse

local refunds = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

local SETTLES_AFTER = 5

local UPDATED = { "refund.updated", "charge.refund.updated" }
local WAITING = { pending = true, requires_action = true }

-- How a refund moves on: from which states, by which events; whether the money comes back.
local MOVES = {
  succeeded = { from = WAITING, tells = UPDATED },
  canceled = { from = WAITING, tells = UPDATED, returns = true },
  failed = {
    from = { pending = true, requires_action = true, succeeded = true }, returns = true,
    tells = { "refund.failed", "charge.refund.updated" },
  },
}

local function tell(call, refund, types, previous)
  for _, type in ipairs(types) do events.emit(call, type, refund, previous) end
end

local function post(call, charge, refund, sign)
  local of_card = charge.payment_method_details == null or charge.payment_method_details.type == "card"
  local type = of_card and "refund" or "payment_refund"
  if sign > 0 then type = of_card and "refund_failure" or "payment_failure_refund" end
  return ledger.post(call, {
    type = type, amount = sign * refund.amount, currency = refund.currency, source = refund.id,
    description = sign < 0 and "REFUND FOR CHARGE" or "REFUND FAILURE",
    of = charge.balance_transaction ~= null and charge.balance_transaction or nil,
  })
end

-- ---- What may be refunded

local function charge_of(call)
  local params = call.params
  local intent = params.payment_intent and call:find("payment_intent", params.payment_intent, "payment_intent")
  if not intent and not params.charge then
    refuse("Name what to refund: one of `payment_intent`, `charge`.", "payment_intent", "parameter_missing")
  end
  if params.charge then
    local charge = call:find("charge", params.charge, "charge")
    if intent and charge.payment_intent ~= intent.id then
      refuse("The charge is not one of the payment intent's.", "charge")
    end
    return charge
  end
  if intent.latest_charge == null then
    refuse(("PaymentIntent %s has no successful charge to refund."):format(intent.id), "payment_intent")
  end
  return call:find("charge", intent.latest_charge, "payment_intent")
end

local function check_refundable(charge)
  if charge.refunded or charge.amount_refunded >= charge.amount then
    refuse(("Charge %s has already been refunded."):format(charge.id), nil, "charge_already_refunded")
  end
  if charge.status ~= "succeeded" then
    refuse(("Charge %s is %s: it cannot be refunded."):format(charge.id, charge.status), "charge",
      "charge_not_refundable")
  end
  if not charge.captured and charge.payment_intent ~= null then
    refuse(("Charge %s is only held: cancel the PaymentIntent."):format(charge.id), "charge", "charge_not_refundable")
  end
end

local function check_dispute(call, charge)
  if not charge.disputed then return end
  for dispute in call.store:newest("dispute", { charge = charge.id }) do
    if not dispute.is_charge_refundable and dispute.status ~= "won" then
      refuse(("Charge %s has been charged back: it cannot be refunded."):format(charge.id), nil, "charge_disputed")
    end
  end
end

local function amount_of(call, charge)
  local left = charge.amount - charge.amount_refunded
  local amount = call.params.amount or left
  common.positive(amount, "amount")
  if amount > left then
    refuse(("Refund amount (%d) is greater than unrefunded amount on charge (%d)."):format(amount, left), "amount")
  end
  if not charge.captured and amount < left then
    refuse("A payment that is only held can be released as a whole alone.", "amount")
  end
  return amount
end

local function transfer_of(call, charge)
  if not call.params.reverse_transfer then return nil end
  local transfer = charge.transfer and call.store:get("transfer", charge.transfer)
  if not transfer then refuse(("Charge %s has no transfer to reverse."):format(charge.id), "reverse_transfer") end
  return transfer
end

local function fee_of(call, charge)
  if not call.params.refund_application_fee then return nil end
  local platform = call:on_platform()
  local fee = charge.application_fee ~= null and platform.store:get("application_fee", charge.application_fee)
  if not fee then
    refuse(("Charge %s has no application fee to refund."):format(charge.id), "refund_application_fee")
  end
  return fee, platform
end

-- ---- Refunding

-- The part of `whole` that a refund of `amount` is of what was captured, but at most what is left of it.
local function part(whole, amount, charge, left)
  return math.min(whole * amount // charge.amount_captured, left)
end

local function take_back(call, charge, refund, transfer)
  local amount = part(transfer.amount, refund.amount, charge, transfer.amount - transfer.amount_reversed)
  if amount == 0 then return end
  local reversal = transfers.reverse(call, transfer, amount, { source_refund = refund.id })
  call.store:update(refund, { transfer_reversal = reversal.id })
end

-- How the money goes back where that has another name than the way it came.
local BACK = {
  au_becs_debit = "au_bank_transfer", bacs_debit = "gb_bank_transfer", customer_balance = "customer_cash_balance",
  nz_bank_account = "nz_bank_transfer", sepa_debit = "eu_bank_transfer", us_bank_account = "us_bank_transfer",
}

local function destination(charge)
  local kind = charge.payment_method_details ~= null and charge.payment_method_details.type or "card"
  local way = BACK[kind] or kind
  local details = methods.blank("refund", "destination_details", way)
  if way == "card" then
    details = { reference_status = "pending", reference_type = "acquirer_reference_number", type = "refund" }
  end
  local known = spec.fields(spec.object("refund").by_name.destination_details)[way]
  return { type = way, [way] = known and details or nil }
end

local function build(call, charge, amount, status)
  local refund = generic.build(call, "refund")
  refund.amount, refund.currency, refund.charge, refund.status = amount, charge.currency, charge.id, status
  refund.payment_intent, refund.payment_method = charge.payment_intent, charge.payment_method or null
  refund.customer, refund.metadata = charge.customer, refund.metadata ~= null and refund.metadata or {}
  refund.destination_details = destination(charge)
  refund.reason = call.params.reason or null
  return refund
end

-- Counts a refund in its charge.
local function count(call, charge, amount)
  local refunded = charge.amount_refunded + amount
  return call.store:update(charge, { amount_refunded = refunded, refunded = refunded >= charge.amount })
end

local function later(call, refund, status)
  clock.schedule(call, call:now() + SETTLES_AFTER, "refunds.move", { id = refund.id, status = status })
end

--- Refunds a part of a charge, and with it its share of the transfer and of the fee, where they are given.
function refunds.make(call, charge, amount, transfer, fee, platform)
  local how = call.store:private(charge).refund
  local pending = how == "pending"
  local refund = build(call, charge, amount, pending and "pending" or "succeeded")
  if pending then refund.pending_reason = "processing" end
  call.store:insert(refund)
  local previous = count(call, charge, amount)
  if charge.captured then
    call.store:update(refund, { balance_transaction = post(call, charge, refund, -1).id })
    if transfer then take_back(call, charge, refund, transfer) end
    if fee then
      application_fees.refund(platform, fee, part(fee.amount, amount, charge, fee.amount - fee.amount_refunded))
    end
  end
  events.emit(call, "refund.created", refund)
  events.emit(call, "charge.refunded", charge, previous)
  if pending then later(call, refund, "succeeded") end
  if how == "fails" then later(call, refund, "failed") end
  return refund
end

-- Money that a customer has with the account, without a payment.
local function refund_balance(call)
  for _, name in ipairs { "amount", "currency", "customer" } do
    if not call.params[name] then error(errors.parameter_missing(name)) end
  end
  common.positive(call.params.amount, "amount")
  local refund = generic.build(call, "refund")
  refund.status, refund.metadata = "succeeded", refund.metadata ~= null and refund.metadata or {}
  refund.destination_details = { type = "customer_cash_balance", customer_cash_balance = {} }
  refund.id = call.store:new_id "re_"
  require("sandbox.flows.cash_balance").give_back(call, refund)
  call.store:insert(refund)
  events.emit(call, "refund.created", refund)
  return refund
end

refunds.operations["refunds.create"] = function(call)
  if not common.says_more(call) then return generic.create(call, { status = "succeeded" }) end
  if call.params.origin == "customer_balance" then return refund_balance(call) end
  local charge = charge_of(call)
  check_refundable(charge)
  check_dispute(call, charge)
  local amount = amount_of(call, charge)
  local transfer = transfer_of(call, charge)
  local fee, platform = fee_of(call, charge)
  return refunds.make(call, charge, amount, transfer, fee, platform)
end

-- ---- Afterwards

-- Moves a refund on; a refund that gives nothing back in the end returns the money.
local function move(call, refund, status, reason)
  local step = MOVES[status]
  local charge = refund.charge ~= null and call.store:get("charge", refund.charge)
  local changes = { status = status, pending_reason = store.absent }
  if step.returns and charge then
    if refund.balance_transaction ~= null then
      changes.failure_balance_transaction = post(call, charge, refund, 1).id
    end
    count(call, charge, -refund.amount)
  end
  if status == "failed" then changes.failure_reason = reason or "expired_or_canceled_card" end
  local previous = call.store:update(refund, changes)
  tell(call, refund, step.tells, previous)
  return refund
end

local function check_move(refund, status)
  if MOVES[status] and MOVES[status].from[refund.status] then return end
  refuse(("This refund is %s: it cannot become %s."):format(refund.status, status), nil, "status_transition_invalid")
end

refunds.operations["refunds.update"] = function(call)
  local refund = call:target()
  local previous = call.store:update(refund, generic.merge(refund, call.params))
  if previous then tell(call, refund, { "refund.updated", "charge.refund.updated" }, previous) end
  return refund
end

refunds.operations["refunds.cancel"] = function(call)
  local refund = call:target()
  check_move(refund, "canceled")
  return move(call, refund, "canceled")
end

refunds.operations["test_helpers.refunds.expire"] = function(call)
  local refund = call:target()
  check_move(refund, "canceled")
  return move(call, refund, "failed", "unknown")
end

refunds.jobs["refunds.move"] = function(call, args)
  local refund = call.store:get("refund", args.id)
  if refund and MOVES[args.status].from[refund.status] then move(call, refund, args.status) end
end

--- POST /_sandbox/helpers/refunds.settle {id, status = "succeeded" (default) or "failed"}
refunds.helpers["refunds.settle"] = function(call, id, params)
  local refund, status = call:find("refund", id, "id"), params.status or "succeeded"
  check_move(refund, status)
  return move(call, refund, status, params.failure_reason)
end

return refunds
