--- Customers: what the table alone does not tell of them.
--
-- Invariant: `balance` is the sum of the customer's balance transactions, and the last one's `ending_balance`; the
-- default source and the default payment method are the customer's own.
local cash = require "sandbox.flows.cash_balance"
local common = require "sandbox.flows.common"
local coupons = require "sandbox.flows.coupons"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local methods = require "sandbox.flows.payment_methods"
local shape = require "sandbox.shape"
local sources = require "sandbox.flows.sources"

local null = host.null
local refuse = common.refuse

local flow = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

local MONTH = 30 * 86400

-- ---- Balance

local function post(call, customer, amount, currency, fields)
  local transaction = shape.new "customer_balance_transaction"
  for name, value in pairs(fields or {}) do transaction[name] = value end
  transaction.amount, transaction.currency, transaction.customer = amount, currency, customer.id
  transaction.ending_balance = customer.balance + amount
  transaction.type, transaction.metadata = transaction.type ~= "" and fields and fields.type or "adjustment",
    transaction.metadata ~= null and transaction.metadata or {}
  call.store:insert(transaction, customer.id)
  return transaction
end

--- Adds to a customer's balance: a credit below zero. `fields` of the transaction: type, invoice, description, …
function flow.post(call, customer, amount, currency, fields)
  local transaction = post(call, customer, amount, currency, fields)
  generic.apply(call, customer, { balance = transaction.ending_balance, currency = currency })
  return transaction
end

local function check_currency(customer, currency)
  if not customer.currency or customer.currency == null or customer.currency == currency then return end
  if customer.balance == 0 then return end
  refuse(("The balance of this customer is in %s."):format(customer.currency), "currency")
end

flow.operations["customers.balance_transactions.create"] = function(call)
  local customer, params = call:target(), call.params
  check_currency(customer, params.currency)
  return flow.post(call, customer, params.amount, params.currency, {
    description = params.description, metadata = params.metadata and generic.merge(
      shape.new "customer_balance_transaction", { metadata = params.metadata }).metadata,
  })
end

-- ---- Discounts

local function ends(coupon, start)
  if coupon.duration ~= "repeating" then return null end
  return start + coupon.duration_in_months * MONTH
end

local function discount_of(call, customer, coupon)
  local discount = shape.new "discount"
  discount.id, discount.customer, discount.start = call.store:new_id "di_", customer.id, call:now()
  discount.source = { coupon = coupon.id, type = "coupon" }
  discount["end"] = ends(coupon, discount.start)
  return discount
end

local function usable_coupon(call, id)
  if not id or id == null or id == "" then return nil end
  local coupon = call:find("coupon", id, "coupon")
  coupons.usable(call, coupon, "coupon")
  return coupon
end

local function give_discount(call, customer, coupon)
  local discount = discount_of(call, customer, coupon)
  coupons.redeem(call, coupon)
  local previous = call.store:update(customer, { discount = discount })
  local had = previous.discount ~= null
  events.emit(call, had and "customer.discount.updated" or "customer.discount.created", discount)
end

-- The discount that was there, or nil.
local function end_discount(call, customer)
  local discount = customer.discount
  if not discount or discount == null then return nil end
  call.store:update(customer, { discount = null })
  events.emit(call, "customer.discount.deleted", discount)
  return discount
end

flow.operations["customers.delete_discount"] = function(call)
  local customer = call:find("customer", call.ids.customer, "customer")
  local discount = end_discount(call, customer)
  if not discount then error(errors.missing("discount", customer.id, "customer", 404)) end
  local stub = host.copy(discount)
  stub.deleted = true
  return stub
end

-- ---- Customers

-- What a request brings beside the customer's fields, checked: nothing has been changed yet.
local function brought(call, customer)
  local params = call.params
  local held = params.payment_method and methods.pick(call, params.payment_method, "payment_method")
  if held then
    methods.check_usable(held, customer, true)
    local decline = methods.refusal(held)
    if decline then error(methods.declined(decline, { payment_method = held.method })) end
  end
  local default = type(params.invoice_settings) == "table" and params.invoice_settings.default_payment_method
  if default and default ~= null and default ~= params.payment_method then
    local method = methods.pick(call, default, "invoice_settings[default_payment_method]").method
    if method.customer ~= customer then
      refuse(("The customer does not have a payment method with the ID %s: attach it first."):format(default),
        "invoice_settings[default_payment_method]", "resource_missing")
    end
  end
  return {
    held = held,
    offer = params.source and params.source ~= null and sources.offered(call, params.source),
    coupon = usable_coupon(call, params.coupon),
  }
end

-- Gives it to the customer.
local function take(call, customer, things)
  if things.offer then sources.add(call, customer, things.offer, true) end
  if things.held then
    local method = methods.keep(call, things.held)
    methods.attach(call, things.held, customer.id)
    local settings = customer.invoice_settings
    if settings.default_payment_method == call.params.payment_method then
      settings = host.copy(settings)
      settings.default_payment_method = method.id
      call.store:update(customer, { invoice_settings = settings })
    end
  end
  if things.coupon then give_discount(call, customer, things.coupon) end
  if call.params.coupon == null then end_discount(call, customer) end
  if call.params.cash_balance then cash.set(call, customer, call.params.cash_balance.settings) end
end

local function prefix() return host.id(8):upper() end

local function make_tax_ids(call, customer)
  for _, given in ipairs(call.params.tax_id_data or {}) do
    local tax_id = shape.new "tax_id"
    tax_id.type, tax_id.value, tax_id.customer = given.type, given.value, customer.id
    tax_id.country = given.type:sub(1, 2):upper()
    call.store:insert(tax_id, customer.id)
    events.emit(call, "customer.tax_id.created", tax_id)
  end
end

flow.operations["customers.create"] = function(call)
  local params = call.params
  local things = brought(call)
  local customer = generic.build(call)
  customer.cash_balance, customer.default_source = nil, null
  customer.delinquent = false
  customer.invoice_prefix = params.invoice_prefix or prefix()
  customer.next_invoice_sequence = params.next_invoice_sequence or 1
  customer.tax_exempt = params.tax_exempt and params.tax_exempt ~= null and params.tax_exempt or "none"
  local balance = customer.balance
  customer.balance = 0
  call.store:insert(customer)
  if balance ~= 0 then
    customer.currency = "usd"
    customer.balance = post(call, customer, balance, "usd", { type = "initial" }).ending_balance
  end
  events.emit(call, "customer.created", customer)
  make_tax_ids(call, customer)
  take(call, customer, things)
  return customer
end

flow.operations["customers.update"] = function(call)
  local customer, params = call:target(), call.params
  if params.default_source then
    local owned = false
    for _, kind in ipairs { "card", "bank_account", "source" } do
      local object = call.store:get(kind, params.default_source)
      owned = owned or object ~= nil and object.customer == customer.id
    end
    if not owned then error(errors.missing("source", params.default_source, "default_source")) end
  end
  local things = brought(call, customer.id)
  local changes = generic.merge(customer, params)
  changes.cash_balance = nil
  if params.balance and params.balance ~= customer.balance then
    local currency = customer.currency and customer.currency ~= null and customer.currency or "usd"
    post(call, customer, params.balance - customer.balance, currency)
    changes.currency = currency
  end
  generic.apply(call, customer, changes)
  take(call, customer, things)
  return customer
end

-- What a customer pays with goes with it.
flow.operations["customers.delete"] = function(call)
  local customer = call:target()
  local attached = {}
  for method in call.store:newest("payment_method", { customer = customer.id }) do attached[#attached + 1] = method end
  for _, method in ipairs(attached) do methods.detach(call, method) end
  for _, kind in ipairs { "card", "bank_account" } do
    local owned = {}
    for object in call.store:newest(kind, { customer = customer.id }) do owned[#owned + 1] = object end
    for _, object in ipairs(owned) do call.store:delete(object) end
  end
  return generic.delete(call)
end

return flow
