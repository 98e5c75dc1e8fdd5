--- Customers: what the table alone does not tell of them.
--
-- Invariant: `balance` is the sum of the customer's balance transactions, and the last one's `ending_balance`; the
-- default source and the default payment method are the customer's own.
local cash = require "sandbox.flows.cash_balance"
local common = require "sandbox.flows.common"
local coupons = require "sandbox.flows.coupons"
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local methods = require "sandbox.flows.payment_methods"
local sources = require "sandbox.flows.sources"

local null, given, refuse_if = host.null, common.given, common.refuse_if

local flow = { operations = {} }

local MONTH = 30 * common.DAY

-- ---- Balance

-- Adds a transaction to a customer's balance (a credit below zero). Returns what the customer's fields become.
local function post(call, customer, amount, currency, fields)
  local transaction = call:add("customer_balance_transaction", common.changed({
    amount = amount, currency = currency, customer = customer.id, ending_balance = customer.balance + amount,
    type = "adjustment", metadata = {},
  }, fields or {}), customer.id)
  return { balance = transaction.ending_balance, currency = currency }, transaction
end

flow.operations["customers.balance_transactions.create"] = function(call)
  local customer, params = call:target(), call.params
  local currency = given(customer.currency)
  refuse_if(currency and currency ~= params.currency and customer.balance ~= 0,
    "The balance of this customer is in %s.", "currency", nil, currency)
  local changes, transaction = post(call, customer, params.amount, params.currency, {
    description = params.description, metadata = common.metadata(params),
  })
  call:apply(customer, changes)
  return transaction
end

-- ---- Discounts

local function give_discount(call, customer, coupon)
  local start, had = call:now(), given(customer.discount)
  local discount = call:new("discount", {
    id = call.store:new_id "di_", customer = customer.id, start = start,
    source = { coupon = coupon.id, type = "coupon" },
    ["end"] = coupon.duration == "repeating" and start + coupon.duration_in_months * MONTH or null,
  })
  coupons.redeem(call, coupon)
  call.store:update(customer, { discount = discount })
  call:emit(had and "customer.discount.updated" or "customer.discount.created", discount)
end

-- The discount that was there, or nil.
local function end_discount(call, customer)
  local discount = given(customer.discount)
  if not discount then return nil end
  call.store:update(customer, { discount = null })
  call:emit("customer.discount.deleted", discount)
  return discount
end

flow.operations["customers.delete_discount"] = function(call)
  local customer = call:find("customer", call.ids.customer, "customer")
  local discount = end_discount(call, customer) or error(errors.missing("discount", customer.id, "customer", 404))
  return common.changed(discount, { deleted = true })
end

-- ---- Customers

-- What a request brings beside the customer's fields, checked: nothing has been changed yet.
local function brought(call, customer)
  local params, param = call.params, "invoice_settings[default_payment_method]"
  local held = params.payment_method and methods.pick(call, params.payment_method, "payment_method")
  if held then methods.check_attachable(held, customer) end
  local default = given((given(params.invoice_settings) or {}).default_payment_method)
  local another = default and default ~= params.payment_method and methods.pick(call, default, param).method
  refuse_if(another and another.customer ~= customer,
    "The customer does not have a payment method with the ID %s: attach it first.", param, "resource_missing", default)
  local offer = given(params.source) and sources.offered(call, params.source)
  local coupon = given(params.coupon) and call:find("coupon", params.coupon, "coupon")
  if coupon then coupons.usable(call, coupon, "coupon") end
  return { held = held, offer = offer, coupon = coupon }
end

-- Gives it to the customer.
local function take(call, customer, things)
  if things.offer then sources.add(call, customer, things.offer, true) end
  if things.held then
    local method, settings = methods.keep(call, things.held), customer.invoice_settings
    methods.attach(call, things.held, customer.id)
    if settings.default_payment_method == call.params.payment_method then
      settings = common.changed(settings, { default_payment_method = method.id })
      call.store:update(customer, { invoice_settings = settings })
    end
  end
  if things.coupon then give_discount(call, customer, things.coupon) end
  if call.params.coupon == null then end_discount(call, customer) end
  if call.params.cash_balance then cash.set(call, customer, call.params.cash_balance.settings) end
end

flow.operations["customers.create"] = function(call)
  local params, things = call.params, brought(call)
  local customer = generic.build(call)
  local balance = customer.balance
  customer.cash_balance, customer.default_source, customer.delinquent, customer.balance = nil, null, false, 0
  customer.invoice_prefix = params.invoice_prefix or host.id(8):upper()
  customer.next_invoice_sequence = params.next_invoice_sequence or 1
  customer.tax_exempt = given(params.tax_exempt) or "none"
  call.store:insert(customer)
  if balance ~= 0 then call.store:update(customer, (post(call, customer, balance, "usd", { type = "initial" }))) end
  call:emit("customer.created", customer)
  for _, data in ipairs(params.tax_id_data or {}) do
    call:keep(call:new("tax_id", {
      type = data.type, value = data.value, customer = customer.id, country = data.type:sub(1, 2):upper(),
    }), customer.id)
  end
  take(call, customer, things)
  return customer
end

flow.operations["customers.update"] = function(call)
  local customer, params = call:target(), call.params
  local default = params.default_source
  if default then sources.of_customer(call, customer.id, default, "default_source") end
  local things, changes = brought(call, customer.id), call:asked(customer)
  changes.cash_balance = nil
  if params.balance and params.balance ~= customer.balance then
    local currency = given(customer.currency) or "usd"
    changes.currency = post(call, customer, params.balance - customer.balance, currency).currency
  end
  call:apply(customer, changes)
  take(call, customer, things)
  return customer
end

-- What a customer pays with goes with it.
flow.operations["customers.delete"] = function(call)
  local owned, customer = {}, call:target()
  refuse_if(given(cash.operations["customers.cash_balance.retrieve"](call).available), -- payments may still credit it
    "Customer %s has a cash balance: it cannot be deleted.", nil, nil, customer.id)
  for _, kind in ipairs { "payment_method", "card", "bank_account" } do
    for object in call.store:newest(kind, { customer = customer.id }) do owned[#owned + 1] = object end
  end
  for _, object in ipairs(owned) do
    if object.object == "payment_method" then methods.detach(call, object) else call.store:delete(object) end
  end
  return generic.delete(call)
end

return flow
