--- Payment records: payments made elsewhere, as they are reported. A record has attempts, each an object of its own
--- with the same amounts; what is reported of the latest attempt is true of the record.
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"

local flow = { operations = {} }

local AMOUNTS = {
  "amount", "amount_authorized", "amount_canceled", "amount_failed", "amount_guaranteed", "amount_refunded",
}

-- An object of which nothing has been reported but what was asked for.
local function fresh(call, kind, requested)
  local object = generic.build(call, kind)
  for _, name in ipairs(AMOUNTS) do object[name] = { currency = requested.currency, value = 0 } end
  object.amount, object.amount_requested, object.reported_by = requested, requested, "self"
  return object
end

-- Reports an outcome of the record's latest attempt, both of which it changes.
local function report(call, record, outcome, amount)
  local changes = generic.merge(record, call.params)
  changes.amount = nil
  if outcome then changes["amount_" .. outcome] = amount or record.amount_requested end
  local attempt = call.store:get("payment_attempt_record", record.latest_payment_attempt_record)
  call.store:update(attempt, changes)
  return generic.apply(call, record, changes)
end

local function attempt(call, record)
  local object = fresh(call, "payment_attempt_record", record.amount_requested)
  object.payment_record = record.id
  call.store:insert(object)
  call.store:update(record, { latest_payment_attempt_record = object.id })
  return report(call, record, call.params.outcome)
end

flow.operations["payment_records.report_payment"] = function(call)
  return attempt(call, call.store:insert(fresh(call, "payment_record", call.params.amount_requested)))
end

flow.operations["payment_records.report_payment_attempt"] = function(call) return attempt(call, call:target()) end

local function outcome(name)
  return function(call) return report(call, call:target(), name) end
end

flow.operations["payment_records.report_payment_attempt_canceled"] = outcome "canceled"
flow.operations["payment_records.report_payment_attempt_failed"] = outcome "failed"
flow.operations["payment_records.report_payment_attempt_guaranteed"] = outcome "guaranteed"
flow.operations["payment_records.report_payment_attempt_informational"] = outcome(nil)

flow.operations["payment_records.report_refund"] = function(call)
  local record = call:target()
  local given, refunded = call.params.amount or record.amount_guaranteed, record.amount_refunded
  if refunded.value + given.value > record.amount_guaranteed.value then
    error(errors.invalid { message = "More cannot be refunded than was guaranteed.", param = "amount" })
  end
  return report(call, record, "refunded", { currency = refunded.currency, value = refunded.value + given.value })
end

return flow
