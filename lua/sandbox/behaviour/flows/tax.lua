--- Tax: calculations at 0 % where nothing is registered, 10 % in a country that has a registration; transactions made
--- of them, and their reversals.
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local shape = require "sandbox.shape"

local null = host.null
local flow = { operations = {} }

local RATE = 10 -- percent

local function rate_in(call, country)
  local registered = country and call.store:newest("tax.registration", { country = country, status = "active" })()
  return registered and RATE or 0
end

local function tax_of(amount, rate, inclusive)
  if inclusive then return amount - (amount * 100 + (100 + rate) // 2) // (100 + rate) end
  return (amount * rate + 50) // 100
end

-- The lines of a calculation, kept under it; returns what is to be paid and the tax beside and within it.
local function add_lines(call, calculation, rate)
  local total, exclusive, inclusive = 0, 0, 0
  for i, item in ipairs(call.params.line_items) do
    local line = shape.new "tax.calculation_line_item"
    line.amount, line.quantity, line.reference = item.amount, item.quantity or 1, item.reference or ("L" .. i)
    line.tax_behavior, line.tax_code = item.tax_behavior or "exclusive", item.tax_code or "txcd_99999999"
    line.product, line.metadata = item.product or null, item.metadata or null
    line.amount_tax = tax_of(line.amount, rate, line.tax_behavior == "inclusive")
    call.store:insert(line, calculation.id)
    if line.tax_behavior == "inclusive" then
      inclusive, total = inclusive + line.amount_tax, total + line.amount
    else
      exclusive, total = exclusive + line.amount_tax, total + line.amount + line.amount_tax
    end
  end
  return total, exclusive, inclusive
end

flow.operations["tax.calculations.create"] = function(call)
  local calculation = generic.build(call)
  local address = (call.params.customer_details or {}).address
  calculation.id = call.store:new_id "taxcalc_"
  local rate = rate_in(call, address and address.country)
  local total, exclusive, inclusive = add_lines(call, calculation, rate)
  calculation.amount_total, calculation.tax_amount_exclusive, calculation.tax_amount_inclusive = total, exclusive,
    inclusive
  return call.store:insert(calculation)
end

local function free_reference(call)
  local reference = call.params.reference
  if call.store:newest("tax.transaction", { reference = reference })() then
    error(errors.invalid { message = ("There is already a tax transaction with the reference '%s'."):format(reference),
      param = "reference" })
  end
end

-- A transaction with lines like those under `source`, their amounts times `sign`.
local function transact(call, source, fields, sign)
  local transaction = generic.build(call, "tax.transaction")
  for _, name in ipairs { "currency", "customer", "customer_details", "ship_from_details", "shipping_cost" } do
    transaction[name] = source[name]
  end
  for name, value in pairs(fields) do transaction[name] = value end
  call.store:insert(transaction)
  local lines = {}
  for line in call.store:newest(source.object .. "_line_item", { parent = source.id }) do table.insert(lines, 1,
    line) end
  for _, line in ipairs(lines) do
    local copy = shape.new "tax.transaction_line_item"
    for name in pairs(copy) do
      if line[name] ~= nil and name ~= "id" and name ~= "object" then copy[name] = line[name] end
    end
    copy.amount, copy.amount_tax, copy.type = sign * line.amount, sign * line.amount_tax, transaction.type
    if sign < 0 then copy.reversal = { original_line_item = line.id } end
    call.store:insert(copy, transaction.id)
  end
  return transaction
end

flow.operations["tax.transactions.create_from_calculation"] = function(call)
  free_reference(call)
  local calculation = call:find("tax.calculation", call.params.calculation, "calculation")
  return transact(call, calculation, { posted_at = call.params.posted_at or call:now() }, 1)
end

flow.operations["tax.transactions.create_reversal"] = function(call)
  free_reference(call)
  local original = call:find("tax.transaction", call.params.original_transaction, "original_transaction")
  return transact(call, original, { type = "reversal", reversal = { original_transaction = original.id } }, -1)
end

-- The association of a payment intent with the calculation that it was confirmed with.
flow.operations["tax.associations.find"] = function(call)
  local intent = call:find("payment_intent", call.params.payment_intent, "payment_intent")
  local association = shape.new "tax.association"
  association.id, association.payment_intent = "taxa_" .. intent.id:sub(4), intent.id
  return association
end

return flow
