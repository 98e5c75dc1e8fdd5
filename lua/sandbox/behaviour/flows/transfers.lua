--- Transfers: money moves from the platform's balance to that of a connected account, where it arrives as a payment.
--
-- Invariant: a transfer and its reversals post equal and opposite amounts in the two accounts, in one step. What a
-- charge funds (`source_transaction`) needs no available balance: it settles when the charge does, on both sides.
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"
local ledger = require "sandbox.flows.ledger"

local given, refuse, refuse_if = common.given, common.refuse, common.refuse_if

local flow = { operations = {} }

local function settles_on(call, charge)
  local id = charge and given(charge.balance_transaction)
  local transaction = id and call.store:get("balance_transaction", id)
  return transaction and math.max(transaction.available_on, call:now()) or nil
end

-- The payment that stands in the destination for what arrived there.
local function arrive(there, transfer, available_on, fee)
  local payment = there:add("charge", {
    id = there.store:new_id "py_", amount = transfer.amount, currency = transfer.currency, captured = true, paid = true,
    transfer_group = transfer.transfer_group, amount_captured = transfer.amount, status = "succeeded",
    source_transfer = transfer.id, application_fee_amount = fee and fee.amount,
  })
  local transaction = ledger.post(there, "payment", payment, transfer.amount, {
    available_on = available_on or there:now(), fee_details = fee and { fee },
  })
  there.store:update(payment, { balance_transaction = transaction.id })
  return payment
end

-- Stores a transfer and moves its money; `fee`, a row of fee_details, is taken from the payment there.
local function move(call, there, transfer, charge, fee)
  local available_on = settles_on(call, charge)
  if charge and not given(transfer.transfer_group) then
    transfer.transfer_group = given(charge.transfer_group) or "group_" .. charge.id
  end
  call.store:insert(transfer)
  local transaction = ledger.post(call, "transfer", transfer, -transfer.amount, {
    description = transfer.description, available_on = available_on,
  })
  local payment = arrive(there, transfer, available_on, fee)
  call.store:update(transfer, { balance_transaction = transaction.id, destination_payment = payment.id })
  call:emit("transfer.created", transfer)
  return transfer
end

--- A charge's own transfer to the account of its transfer_data: one a part that is captured.
function flow.make(call, charge, amount, destination, fee)
  local transfer = move(call, call:on(destination), call:new("transfer", {
    amount = amount, currency = charge.currency, destination = destination, source_transaction = charge.id,
    source_type = "card",
  }), charge, fee)
  local private = call:note(charge)
  private.transfers = private.transfers or {}
  table.insert(private.transfers, transfer.id)
  return transfer
end

--- A charge's own transfers; what they moved in all, and what of it was not reversed.
function flow.of(call, charge)
  local own, moved, left = {}, 0, 0
  for i, id in ipairs(call:note(charge).transfers or {}) do
    own[i] = call.store:get("transfer", id)
    moved, left = moved + own[i].amount, left + own[i].amount - own[i].amount_reversed
  end
  return own, moved, left
end

-- The charge that funds a transfer, with what of it is not yet transferred.
local function funding(call)
  local charge = call:find("charge", call.params.source_transaction, "source_transaction")
  refuse_if(not common.among("succeeded pending", charge.status),
    "Charge %s did not succeed.", "source_transaction", nil, charge.id)
  refuse_if(charge.currency ~= call.params.currency,
    "The currency must be that of the source_transaction.", "currency")
  local left = charge.amount - charge.amount_refunded
  for transfer in call.store:newest("transfer", { source_transaction = charge.id }) do
    left = left - transfer.amount + transfer.amount_reversed
  end
  return charge, left
end

flow.operations["transfers.create"] = function(call)
  local params, charge = call.params, nil
  local there = call:on(params.destination)
  if not there or there.account == call.account then
    error(errors.missing("destination", params.destination, "destination"))
  end
  if params.source_transaction then
    local left
    charge, left = funding(call)
    params.amount = params.amount or left
    common.at_most(params.amount, left, "Transfer")
  else
    common.need(params, "amount")
    common.positive(params.amount, "amount")
    ledger.check_funds(call, params.amount, params.currency, params.source_type)
  end
  local transfer = generic.build(call)
  transfer.source_type = params.source_type or "card"
  return move(call, there, transfer, charge)
end

-- Takes the amount back out of the destination: a refund of the payment there.
local function take_back(there, transfer, amount, description)
  local payment = there.store:get("charge", transfer.destination_payment)
  local refund = there:add("refund", {
    id = there.store:new_id "pyr_", amount = amount, currency = transfer.currency, charge = payment.id,
    status = "succeeded",
  })
  local transaction = ledger.post(there, "payment_refund", refund, -amount, {
    description = description, of = payment.balance_transaction,
  })
  there.store:update(refund, { balance_transaction = transaction.id })
  local refunded = payment.amount_refunded + amount
  there.store:update(payment, { amount_refunded = refunded, refunded = refunded == payment.amount })
  return refund
end

--- The account that a transfer went to; raises if it has left.
function flow.there(call, transfer)
  return call:on(transfer.destination) or refuse(("Account %s does not exist any more."):format(transfer.destination),
    nil, "account_invalid")
end

--- Reverses a part of a transfer; `fields` are those of the reversal to set (source_refund, metadata, description).
function flow.reverse(call, transfer, amount, fields)
  local reversal = call:add("transfer_reversal", {
    amount = amount, currency = transfer.currency, transfer = transfer.id, metadata = common.metadata(fields),
    source_refund = fields.source_refund or common.null,
  }, transfer.id)
  local refund = take_back(call:on(transfer.destination), transfer, amount, fields.description)
  local transaction = ledger.post(call, "transfer_refund", reversal, amount, {
    description = fields.description, of = transfer.balance_transaction,
  })
  call.store:update(reversal, { destination_payment_refund = refund.id, balance_transaction = transaction.id })
  local reversed = transfer.amount_reversed + amount
  call:apply(transfer, { amount_reversed = reversed, reversed = reversed == transfer.amount }, "transfer.reversed")
  return reversal
end

flow.operations["transfers.reversals.create"] = function(call)
  local transfer = call:target()
  local left = transfer.amount - transfer.amount_reversed
  local amount = call.params.amount or left
  if left == 0 then refuse(("Transfer %s is already fully reversed."):format(transfer.id)) end
  common.at_most(amount, left, "Reversal")
  refuse_if(ledger.total(flow.there(call, transfer), transfer.currency) < amount,
    "Account %s does not have the funds to reverse this transfer.", nil, "balance_insufficient", transfer.destination)
  local reversal = flow.reverse(call, transfer, amount, call.params)
  if call.params.refund_application_fee then
    require("sandbox.flows.application_fees").refund_share(call, transfer, amount)
  end
  return reversal
end

return flow
