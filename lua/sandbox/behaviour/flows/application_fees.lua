--- Application fees: what the platform earns of a payment on a connected account, and gives back.
--
-- Invariant: the platform's transactions of a fee sum to `amount - amount_refunded`; what a refund takes from the
-- platform it adds to the account that paid the fee. The fee itself was taken there as a part of the payment's own
-- transaction.
--
-- For charges: application_fees.take(call, {charge=, amount=, currency=, account=, platform=call there}) and
-- application_fees.detail(amount, currency, application) for the payment's fee_details.
local common = require "sandbox.flows.common"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local ledger = require "sandbox.flows.ledger"
local references = require "sandbox.references"
local shape = require "sandbox.shape"

local null = host.null

local flow = { operations = {} }

--- The row of a payment's fee_details that an application fee makes.
function flow.detail(call, amount, currency)
  return {
    amount = amount, application = flow.application(call), currency = currency, description = "application fee",
    type = "application_fee",
  }
end

--- The id of the platform's application.
function flow.application(call)
  return (call.platform.account:gsub("^acct_", "ca_"))
end

-- When the payment that a fee is taken from settles.
local function settles_on(there, charge)
  local payment = there.store:get("charge", charge)
  local transaction = payment and there.store:get("balance_transaction", payment.balance_transaction)
  return transaction and transaction.available_on
end

--- Gives the platform its fee of a charge; `account` is the one that pays it.
function flow.take(call, fields)
  local platform = call:on(call.platform.account)
  local fee = shape.new "application_fee"
  fee.account, fee.amount, fee.currency = fields.account, fields.amount, fields.currency
  fee.application = flow.application(call)
  fee.charge = fields.charge
  fee.originating_transaction = fields.originating_transaction or null
  fee.fee_source = { charge = fields.charge, type = "charge" }
  platform.store:insert(fee)
  local transaction = ledger.post(platform, {
    type = "application_fee", amount = fee.amount, currency = fee.currency, source = fee.id,
    available_on = settles_on(call:on(fields.account), fields.charge),
  })
  platform.store:update(fee, { balance_transaction = transaction.id })
  events.emit(platform, "application_fee.created", fee)
  return fee
end

--- Gives back a part of a fee to the account that paid it; `call` is the platform's.
function flow.refund(call, fee, amount, metadata)
  local refund = shape.new "fee_refund"
  refund.amount, refund.currency, refund.fee, refund.metadata = amount, fee.currency, fee.id, metadata or {}
  call.store:insert(refund, fee.id)
  local function post(at, sign)
    return ledger.post(at, {
      type = "application_fee_refund", amount = sign * amount, currency = fee.currency, source = refund.id,
      of = sign < 0 and fee.balance_transaction or nil,
    })
  end
  call.store:update(refund, { balance_transaction = post(call, -1).id })
  local there = call:on(fee.account) -- nil once the account has left
  if there then post(there, 1) end
  local refunded = fee.amount_refunded + amount
  local changes = { amount_refunded = refunded, refunded = refunded == fee.amount }
  generic.apply(call, fee, changes, "application_fee.refunded")
  return refund
end

--- Of the fee of a transferred charge, gives back the share that `amount` is of the transfer.
function flow.refund_share(call, transfer, amount)
  for fee in call.store:newest("application_fee", { charge = transfer.destination_payment }) do
    local share = math.min(fee.amount * amount // transfer.amount, fee.amount - fee.amount_refunded)
    if share > 0 then flow.refund(call, fee, share) end
  end
end

flow.operations["application_fees.refunds.create"] = function(call)
  local fee = call:target()
  local left = fee.amount - fee.amount_refunded
  if left == 0 then
    common.refuse(("Application fee %s is already fully refunded."):format(fee.id))
  end
  local amount = call.params.amount or left
  common.at_most(amount, left, "Refund")
  return flow.refund(call, fee, amount, call.params.metadata)
end

flow.operations["application_fees.refunds.update"] = function(call)
  local refund = call:target()
  return generic.apply(call, refund, generic.merge(refund, call.params), "application_fee.refund.updated")
end

-- A fee's charge stands in the account that paid it.
references.own["application_fees.list"] = true

return flow
