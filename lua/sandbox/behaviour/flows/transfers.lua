--- Transfers: money moves from the platform's balance to that of a connected account, where it arrives as a payment.
--
-- Invariant: a transfer and its reversals post equal and opposite amounts in the two accounts, in one step. What a
-- charge funds (`source_transaction`) needs no available balance: it settles when the charge does, on both sides.
--
-- For charges with transfer_data: transfers.make(call, {amount=, currency=, destination=account id, charge=,
-- fee_details=}); transfers.reverse(call, transfer, amount, fields of the reversal) takes a part of one back.
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local ledger = require "sandbox.flows.ledger"
local shape = require "sandbox.shape"

local null = host.null

local flow = { operations = {} }

local function settles_on(call, charge)
  local id = charge and charge.balance_transaction
  local transaction = id and id ~= null and call.store:get("balance_transaction", id)
  return transaction and math.max(transaction.available_on, call:now()) or nil
end

-- The payment that stands in the destination for what arrived there.
local function arrive(there, transfer, options)
  local payment = shape.new "charge"
  payment.id = there.store:new_id "py_"
  for _, field in ipairs { "amount", "currency", "transfer_group" } do
    payment[field] = transfer[field]
  end
  payment.amount_captured, payment.captured, payment.paid, payment.status = transfer.amount, true, true, "succeeded"
  payment.source_transfer = transfer.id
  if options.fee_details then payment.application_fee_amount = options.fee_details[1].amount end
  there.store:insert(payment)
  local transaction = ledger.post(there, {
    type = "payment", amount = transfer.amount, currency = transfer.currency, source = payment.id,
    available_on = options.available_on or there:now(), fee_details = options.fee_details,
  })
  there.store:update(payment, { balance_transaction = transaction.id })
  return payment
end

-- Stores a built transfer and moves its money.
local function move(call, there, transfer, options)
  call.store:insert(transfer)
  local transaction = ledger.post(call, {
    type = "transfer", amount = -transfer.amount, currency = transfer.currency, source = transfer.id,
    description = transfer.description, available_on = options.available_on,
  })
  local payment = arrive(there, transfer, options)
  call.store:update(transfer, { balance_transaction = transaction.id, destination_payment = payment.id })
  events.emit(call, "transfer.created", transfer)
  return transfer
end

--- A charge's own transfer to the account of its transfer_data; `fee_details` are taken from the payment there.
function flow.make(call, fields)
  local transfer = shape.new "transfer"
  local charge = fields.charge
  transfer.amount, transfer.currency, transfer.destination = fields.amount, fields.currency, fields.destination
  transfer.source_transaction, transfer.source_type = charge.id, "card"
  transfer.transfer_group = charge.transfer_group ~= null and charge.transfer_group or "group_" .. charge.id
  return move(call, call:on(fields.destination), transfer, {
    available_on = settles_on(call, charge), fee_details = fields.fee_details,
  })
end

local function no_destination(id)
  return errors.invalid {
    code = "resource_missing", message = ("No such destination: '%s'"):format(id), param = "destination",
  }
end

-- The charge that funds a transfer, with what of it is not yet transferred.
local function funding(call)
  local charge = call:find("charge", call.params.source_transaction, "source_transaction")
  if charge.status ~= "succeeded" and charge.status ~= "pending" then
    common.refuse(("Charge %s did not succeed."):format(charge.id), "source_transaction")
  end
  if charge.currency ~= call.params.currency then
    common.refuse("The currency must be that of the source_transaction.", "currency")
  end
  local left = charge.amount - charge.amount_refunded
  for transfer in call.store:newest("transfer", { source_transaction = charge.id }) do
    left = left - transfer.amount + transfer.amount_reversed
  end
  return charge, left
end

flow.operations["transfers.create"] = function(call)
  local params = call.params
  local there = call:on(params.destination)
  if not there or there.account == call.account then error(no_destination(params.destination)) end
  local charge, left
  if params.source_transaction then
    charge, left = funding(call)
    params.amount = params.amount or left
    common.at_most(params.amount, left, "Transfer")
  else
    if not params.amount then error(errors.parameter_missing "amount") end
    common.positive(params.amount, "amount")
    ledger.check_funds(call, params.amount, params.currency, params.source_type)
  end
  local transfer = generic.build(call)
  transfer.source_type = params.source_type or "card"
  if charge and transfer.transfer_group == null then
    transfer.transfer_group = charge.transfer_group ~= null and charge.transfer_group or "group_" .. charge.id
  end
  return move(call, there, transfer, { available_on = settles_on(call, charge) })
end

-- Takes the amount back out of the destination: a refund of the payment there.
local function take_back(there, transfer, amount, description)
  local payment = there.store:get("charge", transfer.destination_payment)
  local refund = shape.new "refund"
  refund.id = there.store:new_id "pyr_"
  refund.amount, refund.currency, refund.charge, refund.status = amount, transfer.currency, payment.id, "succeeded"
  there.store:insert(refund)
  local transaction = ledger.post(there, {
    type = "payment_refund", amount = -amount, currency = transfer.currency, source = refund.id,
    description = description, of = payment.balance_transaction,
  })
  there.store:update(refund, { balance_transaction = transaction.id })
  local refunded = payment.amount_refunded + amount
  there.store:update(payment, { amount_refunded = refunded, refunded = refunded == payment.amount })
  return refund
end

--- Reverses a part of a transfer; `fields` are those of the reversal to set (source_refund, metadata, description).
function flow.reverse(call, transfer, amount, fields)
  local there = call:on(transfer.destination)
  local reversal = shape.new "transfer_reversal"
  reversal.amount, reversal.currency, reversal.transfer = amount, transfer.currency, transfer.id
  reversal.metadata = fields.metadata or {}
  reversal.source_refund = fields.source_refund or null
  call.store:insert(reversal, transfer.id)
  local refund = take_back(there, transfer, amount, fields.description)
  call.store:update(reversal, { destination_payment_refund = refund.id })
  local transaction = ledger.post(call, {
    type = "transfer_refund", amount = amount, currency = transfer.currency, source = reversal.id,
    description = fields.description, of = transfer.balance_transaction,
  })
  call.store:update(reversal, { balance_transaction = transaction.id })
  local reversed = transfer.amount_reversed + amount
  local changes = { amount_reversed = reversed, reversed = reversed == transfer.amount }
  generic.apply(call, transfer, changes, "transfer.reversed")
  return reversal
end

local function check_funds_there(there, transfer, amount)
  if not there then
    common.refuse(("Account %s does not exist any more."):format(transfer.destination), nil, "account_invalid")
  end
  if ledger.total(there, transfer.currency) >= amount then return end
  common.refuse(("Account %s does not have the funds to reverse this transfer."):format(transfer.destination),
    nil, "balance_insufficient")
end

flow.operations["transfers.reversals.create"] = function(call)
  local transfer = call:target()
  local left = transfer.amount - transfer.amount_reversed
  local amount = call.params.amount or left
  if left == 0 then
    common.refuse(("Transfer %s is already fully reversed."):format(transfer.id))
  end
  common.at_most(amount, left, "Reversal")
  check_funds_there(call:on(transfer.destination), transfer, amount)
  local reversal = flow.reverse(call, transfer, amount, call.params)
  if call.params.refund_application_fee then
    require("sandbox.flows.application_fees").refund_share(call, transfer, amount)
  end
  return reversal
end

return flow
