--- Refunds: a payment's money goes back.
--
--   succeeded                          cards, at once
--   pending → succeeded | canceled     where the bank takes its time
--   succeeded → failed                 the bank refuses it later: the money comes back
--
-- Invariant: a charge's amount_refunded is what was released of it and the sum of its refunds that did not fail; a
-- refund's transactions sum to −amount, or to 0 once it failed. The fee of the payment is not returned.
local application_fees = require "sandbox.flows.application_fees"
local cash = require "sandbox.flows.cash_balance"
local common = require "sandbox.flows.common"
local generic = require "sandbox.generic"
local ledger = require "sandbox.flows.ledger"
local store = require "sandbox.store"
local transfers = require "sandbox.flows.transfers"

local null, given, refuse, refuse_if = common.null, common.given, common.refuse, common.refuse_if

local refunds = { operations = {}, jobs = {}, helpers = {} }

local SETTLES_AFTER = 5

-- How a refund moves on: from which states, by which event; whether the money comes back.
local MOVES = {
  succeeded = { from = "pending requires_action", event = "refund.updated" },
  canceled = { from = "pending requires_action", event = "refund.updated", returns = true },
  failed = { from = "pending requires_action succeeded", event = "refund.failed", returns = true },
}

-- Changes a refund and tells of it, under the older name as well.
local function change(call, refund, changes, event)
  local previous = call.store:update(refund, changes)
  if previous then
    call:emit(event, refund, previous)
    call:emit("charge.refund.updated", refund, previous)
  end
  return refund
end

local function post(call, charge, refund, sign)
  local details = given(charge.payment_method_details)
  local of_card = not details or details.type == "card"
  local type = of_card and "refund" or "payment_refund"
  if sign > 0 then type = of_card and "refund_failure" or "payment_failure_refund" end
  return ledger.post(call, type, refund, sign * refund.amount, {
    description = sign < 0 and "REFUND FOR CHARGE" or "REFUND FAILURE", of = given(charge.balance_transaction),
  }).id
end

-- ---- What may be refunded

local function charge_of(call)
  local params = call.params
  local intent = params.payment_intent and call:find("payment_intent", params.payment_intent, "payment_intent")
  refuse_if(not intent and not params.charge,
    "Name what to refund: one of `payment_intent`, `charge`.", "payment_intent", "parameter_missing")
  if params.charge then
    local charge = call:find("charge", params.charge, "charge")
    if not intent or charge.payment_intent == intent.id then return charge end
    refuse("The charge is not one of the payment intent's.", "charge")
  end
  refuse_if(intent.latest_charge == null,
    "PaymentIntent %s has no successful charge to refund.", "payment_intent", nil, intent.id)
  return call:find("charge", intent.latest_charge, "payment_intent")
end

local function check_refundable(call, charge)
  local function wrong(text, param, code) refuse(("Charge %s %s"):format(charge.id, text), param, code) end
  if charge.refunded or charge.amount_refunded >= charge.amount then
    wrong("has already been refunded.", nil, "charge_already_refunded")
  end
  if charge.status ~= "succeeded" then
    wrong(("is %s: it cannot be refunded."):format(charge.status), "charge", "charge_not_refundable")
  end
  if not charge.captured and charge.payment_intent ~= null then
    wrong("is only held: cancel the PaymentIntent.", "charge", "charge_not_refundable")
  end
  for dispute in call.store:newest("dispute", { charge = charge.id }) do
    if not dispute.is_charge_refundable and dispute.status ~= "won" then
      wrong("has been charged back: it cannot be refunded.", nil, "charge_disputed")
    end
  end
end

local function amount_of(call, charge)
  local left = charge.amount - charge.amount_refunded
  local amount = call.params.amount or left
  common.at_most(amount, left, "Refund")
  refuse_if(not charge.captured and amount < left,
    "A payment that is only held can be released as a whole alone.", "amount")
  return amount
end

-- Whether the charge's transfers are to be reversed: all went to one account.
local function reverses(call, charge)
  if not call.params.reverse_transfer then return false end
  local first = transfers.of(call, charge)[1]
  refuse_if(not first, "Charge %s has no transfer to reverse.", "reverse_transfer", nil, charge.id)
  return transfers.there(call, first) ~= nil
end

local function fee_of(call, charge)
  if not call.params.refund_application_fee then return nil end
  local fee = given(charge.application_fee)
  return fee and call:on_platform().store:get("application_fee", fee)
    or refuse(("Charge %s has no application fee to refund."):format(charge.id), "refund_application_fee")
end

-- ---- Refunding

-- The part of `whole` that a refund of `amount` is of what was captured, but at most what is left of it.
local function part(whole, amount, charge, left) return math.min(whole * amount // charge.amount_captured, left) end

-- How the money goes back where that has another name than the way it came.
local BACK = {
  au_becs_debit = "au_bank_transfer", bacs_debit = "gb_bank_transfer", customer_balance = "customer_cash_balance",
  nz_bank_account = "nz_bank_transfer", sepa_debit = "eu_bank_transfer", us_bank_account = "us_bank_transfer",
}

local function destination(charge)
  local kind = (given(charge.payment_method_details) or { type = "card" }).type
  local way = BACK[kind] or kind
  local details = way == "card"
    and { reference_status = "pending", reference_type = "acquirer_reference_number", type = "refund" }
  local known = common.type_of("refund", "destination_details", way)
  return { type = way, [way] = known and (details or common.nested({}, "refund", "destination_details", way)) or nil }
end

-- Whether a payment was made from the customer's cash balance, which its refunds credit.
local function of_cash(charge) return destination(charge).type == "customer_cash_balance" end

local function build(call, fields)
  local refund = generic.build(call, "refund")
  for name, value in pairs(fields) do refund[name] = value end
  refund.metadata, refund.reason = given(refund.metadata) or {}, call.params.reason or null
  return refund
end

-- Counts a refund in its charge.
local function count(call, charge, amount)
  local refunded = charge.amount_refunded + amount
  return call.store:update(charge, { amount_refunded = refunded, refunded = refunded >= charge.amount })
end

-- Takes a refund's share of the charge's transfers back: of the latest first.
local function reverse(call, charge, refund)
  local own, moved, left = transfers.of(call, charge)
  local back = part(moved, refund.amount, charge, left)
  for i = #own, 1, -1 do
    local amount = math.min(back, own[i].amount - own[i].amount_reversed)
    if amount > 0 then
      local reversal = transfers.reverse(call, own[i], amount, { source_refund = refund.id })
      call.store:update(refund, { transfer_reversal = reversal.id })
      back = back - amount
    end
  end
end

-- Refunds a part of a charge, and with it its share of its transfers, if asked for, and of the fee, if given.
local function make(call, charge, amount, with_transfers, fee)
  local how = call:note(charge).refund
  local refund = build(call, {
    amount = amount, currency = charge.currency, charge = charge.id, status = how == "pending" and how or "succeeded",
    payment_intent = charge.payment_intent, payment_method = charge.payment_method or null, customer = charge.customer,
    destination_details = destination(charge), pending_reason = how == "pending" and "processing" or nil,
  })
  call.store:insert(refund)
  local previous = count(call, charge, amount)
  if charge.captured then
    call.store:update(refund, { balance_transaction = post(call, charge, refund, -1) })
    if with_transfers then reverse(call, charge, refund) end
    local share = fee and part(fee.amount, amount, charge, fee.amount - fee.amount_refunded) or 0
    if share > 0 then application_fees.refund(call:on_platform(), fee, share) end
  end
  if of_cash(charge) then cash.refund(call, refund) end
  call:emit("refund.created", refund)
  call:emit("charge.refunded", charge, previous)
  local status = how == "pending" and "succeeded" or how == "fails" and "failed"
  if status then call:later(SETTLES_AFTER, "refunds.move", { id = refund.id, status = status }) end
  return refund
end

-- Money that a customer has with the account, without a payment.
local function refund_balance(call)
  common.need(call.params, "amount", "currency", "customer")
  common.positive(call.params.amount, "amount")
  local refund = build(call, {
    id = call.store:new_id "re_", status = "succeeded",
    destination_details = { type = "customer_cash_balance", customer_cash_balance = {} },
  })
  cash.give_back(call, refund)
  return call:keep(refund)
end

refunds.operations["refunds.create"] = function(call)
  if not common.says_more(call) then return generic.create(call, { status = "succeeded" }) end
  if call.params.origin == "customer_balance" then return refund_balance(call) end
  local charge = charge_of(call)
  check_refundable(call, charge)
  return make(call, charge, amount_of(call, charge), reverses(call, charge), fee_of(call, charge))
end

-- ---- Afterwards

-- Moves a refund on; a refund that gives nothing back in the end returns the money.
local function move(call, refund, status, reason)
  local step, charge = common.step(MOVES, refund, status, "status_transition_invalid"), given(refund.charge)
  local changes = { status = status, pending_reason = store.absent }
  charge = charge and call.store:get("charge", charge)
  refuse_if(step.returns and charge and of_cash(charge),
    "The refund %s is in the customer's cash balance: it cannot come back.", "id", nil, refund.id)
  if step.returns and charge then
    if given(refund.balance_transaction) then changes.failure_balance_transaction = post(call, charge, refund, 1) end
    count(call, charge, -refund.amount)
  end
  if status == "failed" then changes.failure_reason = reason or "expired_or_canceled_card" end
  return change(call, refund, changes, step.event)
end

refunds.operations["refunds.update"] = function(call)
  local refund = call:target()
  return change(call, refund, call:asked(refund), "refund.updated")
end

refunds.operations["refunds.cancel"] = function(call) return move(call, call:target(), "canceled") end

refunds.operations["test_helpers.refunds.expire"] = function(call)
  local refund = call:target()
  common.step(MOVES, refund, "canceled", "status_transition_invalid")
  return move(call, refund, "failed", "unknown")
end

refunds.jobs["refunds.move"] = function(call, args)
  local refund = call.store:get("refund", args.id)
  if refund and common.may(MOVES, refund, args.status) then move(call, refund, args.status) end
end

--- {id, status = "succeeded" (default) or "failed", failure_reason}
refunds.helpers["refunds.settle"] = common.helper("refund", function(call, refund, params)
  return move(call, refund, params.status or "succeeded", params.failure_reason)
end)

return refunds
