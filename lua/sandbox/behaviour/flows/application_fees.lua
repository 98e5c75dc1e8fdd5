--- Application fees: what the platform earns of a payment on a connected account, and gives back.
--
-- Invariant: the platform's transactions of a fee sum to `amount - amount_refunded`; what a refund takes from the
-- platform it adds to the account that paid the fee. The fee itself was taken there as a part of the payment's own
-- transaction.
local common = require "sandbox.flows.common"
local ledger = require "sandbox.flows.ledger"
local references = require "sandbox.references"

local flow = { operations = {} }

function flow.application(call) return (call.platform.account:gsub("^acct_", "ca_")) end

--- The row of a payment's fee_details that an application fee makes.
function flow.detail(call, amount, currency)
  return {
    amount = amount, application = flow.application(call), currency = currency, description = "application fee",
    type = "application_fee",
  }
end

--- Gives the platform its fee of `charge` (an id in `account`, which pays it); `fields`: {amount, currency,
--- originating_transaction}.
function flow.take(call, charge, account, fields)
  local platform, there = call:on_platform(), call:on(account)
  local fee = platform:add("application_fee", {
    account = account, amount = fields.amount, currency = fields.currency, application = flow.application(call),
    charge = charge, originating_transaction = fields.originating_transaction or common.null,
    fee_source = { charge = charge, type = "charge" },
  })
  local payment = there.store:get("charge", charge)
  local settled = payment and there.store:get("balance_transaction", payment.balance_transaction)
  local transaction = ledger.post(platform, "application_fee", fee, fee.amount, {
    available_on = settled and settled.available_on,
  })
  platform.store:update(fee, { balance_transaction = transaction.id })
  platform:emit("application_fee.created", fee)
  return fee
end

--- Gives back a part of a fee to the account that paid it; `call` is the platform's.
function flow.refund(call, fee, amount, params)
  local refund = call:add("fee_refund", {
    amount = amount, currency = fee.currency, fee = fee.id, metadata = common.metadata(params or {}),
  }, fee.id)
  local taken = ledger.post(call, "application_fee_refund", refund, -amount, { of = fee.balance_transaction })
  call.store:update(refund, { balance_transaction = taken.id })
  local there = call:on(fee.account) -- nil once the account has left
  local payment = there and there.store:get("charge", fee.charge)
  if there then
    ledger.post(there, "application_fee_refund", refund, amount, { of = payment and payment.balance_transaction })
  end
  local refunded = fee.amount_refunded + amount
  call:apply(fee, { amount_refunded = refunded, refunded = refunded == fee.amount }, "application_fee.refunded")
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
  local amount = call.params.amount or left
  if left == 0 then common.refuse(("Application fee %s is already fully refunded."):format(fee.id)) end
  common.at_most(amount, left, "Refund")
  return flow.refund(call, fee, amount, call.params)
end

flow.operations["application_fees.refunds.update"] = function(call)
  local refund = call:target()
  return call:apply(refund, call:asked(refund), "application_fee.refund.updated")
end

-- A fee's charge stands in the account that paid it.
references.own["application_fees.list"] = true

return flow
