--- Issuing: cards that the account gives out, and what their holders do with them, by the test helpers.
--
--   authorization: pending → closed (captured) | reversed | expired         each capture or refund is a transaction
--
-- A card of an active cardholder that is active itself is approved; any other is declined, with the reason in
-- request_history. Number and cvc of a card are shown when `expand` names them.
local common = require "sandbox.flows.common"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null = host.null

local flow = { operations = {}, routes = {} }

local ACTIONS = "test_helpers.issuing.authorizations."

local function digits(count)
  local text = {}
  for i = 1, count do text[i] = ("%d"):format(math.floor(host.random() * 10)) end
  return table.concat(text)
end

-- ---- Cards

flow.operations["issuing.cards.create"] = function(call)
  local params = call.params
  local id = params.cardholder
  params.cardholder = nil
  local card = generic.build(call)
  if id then card.cardholder = host.copy(call:find("issuing.cardholder", id, "cardholder")) end
  card.brand, card.status, card.type = "Visa", params.status or "inactive", params.type
  card.exp_month = params.exp_month or 12
  card.exp_year = params.exp_year or os.date("!*t", call:now()).year + 3
  card.last4 = digits(4)
  call.store:insert(card)
  call.store:private(card).on_demand = { number = "400000999" .. digits(3) .. card.last4, cvc = digits(3) }
  events.emit(call, "issuing_card.created", card)
  return card
end

flow.operations["issuing.cards.update"] = function(call)
  local card = call:target()
  if card.status == "canceled" and call.params.status and call.params.status ~= "canceled" then
    common.refuse("A canceled card cannot be activated again.", "status")
  end
  return generic.update(call, card)
end

flow.operations["issuing.cards.retrieve_details"] = function(call)
  local card, details = call:target(), shape.new "issuing.card_details"
  local note = call.store:private(card).on_demand
  details.card, details.number, details.cvc = card, note.number, note.cvc
  details.exp_month, details.exp_year = card.exp_month, card.exp_year
  return details
end

-- Cards show their cardholder whole.
flow.operations["issuing.cardholders.update"] = function(call)
  local holder = generic.update(call)
  for card in call.store:newest "issuing.card" do
    if card.cardholder ~= null and card.cardholder.id == holder.id then
      call.store:update(card, { cardholder = host.copy(holder) })
    end
  end
  return holder
end

-- ---- Authorizations

local MERCHANT = {
  category = "computer_software_stores", category_code = "5734", city = "San Francisco", country = "US",
  name = "Rocket Rides", network_id = "1234567890", postal_code = "94111", state = "CA",
}

local function merchant_of(kind, given)
  local merchant = shape.nested(spec.object(kind).by_name.merchant_data)
  for name, value in pairs(MERCHANT) do merchant[name] = value end
  for name, value in pairs(given or {}) do merchant[name] = value end
  return merchant
end

local function reason_against(card)
  if card.status ~= "active" then return "card_" .. card.status end
  local holder = card.cardholder
  if holder ~= null and holder.status ~= "active" then return "cardholder_" .. holder.status end
end

local function holder_id(card)
  return card.cardholder ~= null and card.cardholder.id or null
end

local function pending_request(authorization, amount, controllable)
  return {
    amount = amount, amount_details = null, currency = authorization.currency, is_amount_controllable = controllable,
    merchant_amount = amount, merchant_currency = authorization.merchant_currency, network_risk_score = null,
  }
end

local function decided(call, authorization, amount, reason)
  return {
    amount = amount, amount_details = null, approved = reason == nil, authorization_code = digits(6),
    created = call:now(), currency = authorization.currency, merchant_amount = amount,
    merchant_currency = authorization.merchant_currency, network_risk_score = null,
    reason = reason or "webhook_approved", reason_message = null, requested_at = call:now(),
  }
end

flow.operations[ACTIONS .. "create"] = function(call)
  local params = call.params
  local card = call:find("issuing.card", params.card, "card")
  local amount, reason = params.amount or params.merchant_amount or 0, reason_against(card)
  local merchant = params.merchant_data
  params.card, params.merchant_data, params.amount = nil, nil, nil
  local authorization = generic.build(call)
  authorization.card, authorization.cardholder = host.copy(card), holder_id(card)
  authorization.currency = params.currency or card.currency
  authorization.merchant_currency = params.merchant_currency or authorization.currency
  authorization.authorization_method = params.authorization_method or "online"
  authorization.merchant_data = merchant_of("issuing.authorization", merchant)
  authorization.status, authorization.approved, authorization.amount = "pending", false, 0
  authorization.pending_request = pending_request(authorization, amount, params.is_amount_controllable or false)
  call.store:insert(authorization)
  events.emit(call, "issuing_authorization.request", authorization)
  call.store:update(authorization, {
    amount = reason and 0 or amount, approved = reason == nil, merchant_amount = amount, pending_request = null,
    request_history = host.array { decided(call, authorization, amount, reason) },
    status = reason and "closed" or "pending",
  })
  events.emit(call, "issuing_authorization.created", authorization)
  return authorization
end

local function pending(call)
  local authorization = call:target()
  if authorization.status == "pending" then return authorization end
  common.refuse(("Authorization %s is not pending: its status is %s."):format(authorization.id, authorization.status))
end

local function change(call, authorization, changes)
  return generic.apply(call, authorization, changes, "issuing_authorization.updated")
end

-- ---- Transactions

-- Stores a transaction of a card; a positive amount goes to its holder.
local function transact(call, card, amount, fields)
  local transaction = shape.new "issuing.transaction"
  transaction.amount, transaction.merchant_amount = amount, amount
  transaction.currency = fields.currency or card.currency
  transaction.merchant_currency = transaction.currency
  transaction.card, transaction.cardholder = card.id, holder_id(card)
  transaction.authorization = fields.authorization or null
  transaction.merchant_data = merchant_of("issuing.transaction", fields.merchant_data)
  transaction.type = amount < 0 and "capture" or "refund"
  if fields.purchase_details then
    local landed = generic.merge(transaction, { purchase_details = fields.purchase_details })
    transaction.purchase_details = landed.purchase_details
  end
  call.store:insert(transaction)
  events.emit(call, "issuing_transaction.created", transaction)
  if fields.purchase_details and fields.purchase_details.receipt then
    events.emit(call, "issuing_transaction.purchase_details_receipt_updated", transaction)
  end
  return transaction
end

flow.operations["test_helpers.issuing.transactions.create_force_capture"] = function(call)
  local params = call.params
  return transact(call, call:find("issuing.card", params.card, "card"), -params.amount, params)
end

flow.operations["test_helpers.issuing.transactions.create_unlinked_refund"] = function(call)
  local params = call.params
  return transact(call, call:find("issuing.card", params.card, "card"), params.amount, params)
end

flow.operations["test_helpers.issuing.transactions.refund"] = function(call)
  local capture = call:target()
  local amount = call.params.refund_amount or -capture.amount
  if capture.type ~= "capture" or amount > -capture.amount then
    common.refuse("Only a capture can be refunded, up to its amount.", "refund_amount")
  end
  local card = call.store:get("issuing.card", capture.card)
  transact(call, card, amount, { authorization = capture.authorization, currency = capture.currency })
  return capture
end

flow.operations[ACTIONS .. "capture"] = function(call)
  local authorization = pending(call)
  local amount = call.params.capture_amount or authorization.amount
  local transaction = transact(call, authorization.card, -amount, {
    authorization = authorization.id, currency = authorization.currency,
    purchase_details = call.params.purchase_details,
    merchant_data = authorization.merchant_data,
  })
  local transactions = host.copy(authorization.transactions)
  table.insert(transactions, host.copy(transaction))
  local closes = call.params.close_authorization ~= false
  return change(call, authorization, {
    transactions = transactions, status = closes and "closed" or nil,
    amount = closes and 0 or math.max(0, authorization.amount - amount),
  })
end

flow.operations[ACTIONS .. "expire"] = function(call)
  return change(call, pending(call), { status = "expired", amount = 0 })
end

flow.operations[ACTIONS .. "reverse"] = function(call)
  local authorization = pending(call)
  local amount = call.params.reverse_amount or authorization.amount
  if amount > authorization.amount then
    common.refuse("More would be reversed than is authorized.", "reverse_amount")
  end
  local left = authorization.amount - amount
  return change(call, authorization, { amount = left, status = left == 0 and "reversed" or nil })
end

local function set_amount(call, authorization, amount)
  local history = host.copy(authorization.request_history)
  table.insert(history, decided(call, authorization, amount))
  return change(call, authorization, { amount = amount, merchant_amount = amount, request_history = history })
end

flow.operations[ACTIONS .. "increment"] = function(call)
  local authorization = pending(call)
  return set_amount(call, authorization, authorization.amount + call.params.increment_amount)
end

flow.operations[ACTIONS .. "finalize_amount"] = function(call)
  return set_amount(call, pending(call), call.params.final_amount)
end

-- Earlier versions authorized at POST /v1/issuing/cards/{card}/test/authorizations, with other names.
flow.routes["/v1/issuing/cards/"] = function(_, request)
  local card = request.method == "POST" and request.path:match "^/v1/issuing/cards/([^/]+)/test/authorizations$"
  if not card then return nil end
  request.path = "/v1/test_helpers/issuing/authorizations"
  request.body = ("&" .. (request.body or "")):gsub("&held_", "&"):sub(2) .. "&card=" .. card
end

return flow
