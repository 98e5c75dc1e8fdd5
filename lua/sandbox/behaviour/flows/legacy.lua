--- What newer versions of the API dropped, or what is in preview: orders and their returns, SKUs, usage records,
--- funding instructions, quotes of crypto.
---
---   order: open ⇄ submitted (reopen) ─▶ processing ─▶ complete         open, submitted ─▶ canceled
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local shape = require "sandbox.shape"

local null, array = host.null, host.array
local flow = { operations = {} }

-- ---- Orders

-- One line of an order: what its price, or the price's data, says.
local function line_of(call, line)
  local item = shape.new "item"
  local price = line.price and call:find("price", line.price, "line_items[0][price]")
  local unit = price and price.unit_amount or line.price_data and line.price_data.unit_amount or 0
  item.quantity, item.currency = line.quantity or 1, call.params.currency
  item.amount_subtotal = (unit ~= null and unit or 0) * item.quantity
  item.amount_total, item.price = item.amount_subtotal, price and host.copy(price) or null
  item.description = line.description or null
  return item
end

flow.operations["orders.create"] = function(call)
  local order, items = generic.build(call), {}
  for i, line in ipairs(call.params.line_items) do
    items[i] = line_of(call, line)
    order.amount_subtotal = order.amount_subtotal + items[i].amount_subtotal
  end
  order.line_items, order.amount_total = nil, order.amount_subtotal
  call.store:insert(order)
  for _, item in ipairs(items) do call.store:insert(item, order.id) end
  events.of(call, order, "created")
  return order
end

local function move(status, from)
  return function(call)
    local order = call:target()
    if not from[order.status] then
      error(errors.invalid { message = ("Order %s cannot become %s: it is %s."):format(order.id, status,
        order.status) })
    end
    local expected = call.params.expected_total
    if expected and expected ~= order.amount_total then
      error(errors.invalid {
        message = ("The order's total is %d, not %d."):format(order.amount_total, expected), param = "expected_total",
      })
    end
    return generic.apply(call, order, { status = status })
  end
end

flow.operations["orders.submit"] = move("submitted", { open = true })
flow.operations["orders.reopen"] = move("open", { submitted = true, processing = true })
flow.operations["orders.pay"] = move("complete", { open = true, submitted = true, processing = true })
flow.operations["orders.cancel"] = move("canceled", { open = true, submitted = true, processing = true })

flow.operations["orders.return_order"] = function(call)
  local order = call:target()
  local back = generic.blank(call, "order_return")
  back.order, back.currency, back.amount = order.id, order.currency, 0
  for _, item in ipairs(type(call.params.items) == "table" and call.params.items or {}) do
    back.amount = back.amount + (item.amount or 0)
  end
  if back.amount == 0 then back.amount = order.amount_total end
  return call.store:insert(back)
end

-- ---- Usage records

-- What was used of a subscription item, over all its records.
flow.operations["subscription_items.usage_records.create"] = function(call)
  local item, params = call:target(), call.params
  local record = generic.build(call)
  record.subscription_item = item.id
  if type(params.timestamp) ~= "number" then record.timestamp = call:now() end
  local summary = call.store:newest("usage_record_summary", { parent = item.id })()
  if not summary then
    summary = shape.new "usage_record_summary"
    summary.subscription_item, summary.period = item.id, { start = record.timestamp, ["end"] = null }
    call.store:insert(summary, item.id)
  end
  local before = params.action ~= "set" and summary.total_usage or 0
  call.store:update(summary, { total_usage = before + record.quantity })
  return call.store:insert(record, item.id)
end

-- ---- Funding instructions: they have no ids, and are the same for each currency

local TYPES = { eur = "eu_bank_transfer", jpy = "jp_bank_transfer" }

local function instructions(call, currency)
  local object = generic.blank(call, "funding_instructions")
  object.currency, object.funding_type = currency, "bank_transfer"
  object.bank_transfer = {
    country = currency == "jpy" and "JP" or "US", financial_addresses = array {},
    type = TYPES[currency] or "eu_bank_transfer",
  }
  local singletons = call.store.state.singletons
  singletons.funding_instructions = singletons.funding_instructions or {}
  singletons.funding_instructions[currency] = object
  return object
end

local function instructions_of_params(call) return instructions(call, call.params.currency) end

flow.operations["issuing.funding_instructions.create"] = instructions_of_params
flow.operations["test_helpers.issuing.fund_balance"] = instructions_of_params

flow.operations["issuing.funding_instructions.list"] = function(call)
  local data, known = array {}, call.store.state.singletons.funding_instructions or {}
  for _, object in pairs(known) do data[#data + 1] = object end
  table.sort(data, function(a, b) return a.currency < b.currency end)
  return { object = "list", data = data, has_more = false, url = call.path }
end

-- ---- Previews of invoices: they have no lines of their own yet

local function no_lines(call) return { object = "list", data = array {}, has_more = false, url = call.path } end

flow.operations["invoices.upcoming_lines.list"] = no_lines
flow.operations["credit_notes.preview_lines.list"] = no_lines

return flow
