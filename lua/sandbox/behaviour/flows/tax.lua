--- Tax: calculations at 0 % where nothing is registered, 10 % in a country that has a registration; transactions made
--- of them, and their reversals, without lines.
local common = require "sandbox.flows.common"
local generic = require "sandbox.generic"

local null = common.null

local flow = { operations = {} }

local RATE = 10 -- percent

local function tax_of(amount, rate, inclusive)
  if inclusive then return amount - (amount * 100 + (100 + rate) // 2) // (100 + rate) end
  return (amount * rate + 50) // 100
end

-- The lines of a calculation stand under it; its sums are what is to be paid, and the tax beside and within that.
flow.operations["tax.calculations.create"] = function(call)
  local country = ((call.params.customer_details or {}).address or {}).country
  local registered = country and call.store:newest("tax.registration", { country = country, status = "active" })()
  local calculation, rate = call.store:insert(generic.build(call)), registered and RATE or 0
  for i, item in ipairs(call.params.line_items) do
    local behavior = item.tax_behavior or "exclusive"
    local tax, sum = tax_of(item.amount, rate, behavior == "inclusive"), "tax_amount_" .. behavior
    call:add("tax.calculation_line_item", {
      amount = item.amount, amount_tax = tax, quantity = item.quantity or 1, reference = item.reference or ("L" .. i),
      tax_behavior = behavior, tax_code = item.tax_code or "txcd_99999999", product = item.product or null,
      metadata = item.metadata or null,
    }, calculation.id)
    calculation[sum] = calculation[sum] + tax
    calculation.amount_total = calculation.amount_total + item.amount + (behavior == "exclusive" and tax or 0)
  end
  return calculation
end

-- A transaction of a calculation, or against another one: each reference once.
local function transact(kind, param, fields)
  return function(call)
    local reference, source = call.params.reference, call:find(kind, call.params[param], param)
    common.refuse_if(call.store:newest("tax.transaction", { reference = reference })(),
      "There is already a tax transaction with the reference '%s'.", "reference", nil, reference)
    local transaction = generic.build(call)
    for _, name in ipairs { "currency", "customer", "customer_details", "ship_from_details", "shipping_cost" } do
      transaction[name] = source[name]
    end
    for name, value in pairs(fields(call, source)) do transaction[name] = value end
    return call.store:insert(transaction)
  end
end

flow.operations["tax.transactions.create_from_calculation"] = transact("tax.calculation", "calculation",
  function(call) return { posted_at = call.params.posted_at or call:now() } end)

flow.operations["tax.transactions.create_reversal"] = transact("tax.transaction", "original_transaction",
  function(_, original) return { type = "reversal", reversal = { original_transaction = original.id } } end)

-- The association of a payment intent with the calculation that it was confirmed with.
flow.operations["tax.associations.find"] = function(call)
  local intent = call:find("payment_intent", call.params.payment_intent, "payment_intent")
  return call:new("tax.association", { id = "taxa_" .. intent.id:sub(4), payment_intent = intent.id })
end

return flow
