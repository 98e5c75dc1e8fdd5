--- Issuing: cards that the account gives out, and what their holders do with them, by the test helpers.
--
--   authorization: pending → closed (captured) | reversed | expired         each capture or refund is a transaction
--
-- A card of an active cardholder that is active itself is approved; any other is declined, with the reason in
-- request_history. Number and cvc of a card are shown when `expand` names them.
local common = require "sandbox.flows.common"
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local null, given, refuse_if = host.null, common.given, common.refuse_if

local flow = { operations = {}, routes = {} }

local HELPERS = "test_helpers.issuing."

local function digits(count) return ("%0" .. count .. "d"):format(math.floor(host.random() * 10 ^ count)) end

-- ---- Cards

flow.operations["issuing.cards.create"] = function(call)
  local params = call.params
  local card = generic.build(call)
  card.exp_year = params.exp_year or os.date("!*t", call:now()).year + 3
  card.id = call.store:new_id "ic_"
  call:note(card).on_demand = { number = "400000999" .. digits(3) .. card.last4, cvc = digits(3) }
  return call:keep(card)
end

flow.operations["issuing.cards.update"] = function(call)
  local card = call:target()
  refuse_if(card.status == "canceled" and (call.params.status or "canceled") ~= "canceled",
    "A canceled card cannot be activated again.", "status")
  return generic.update(call, card)
end

flow.operations["issuing.cards.retrieve_details"] = function(call)
  local card = call:target()
  local note = call:note(card).on_demand
  return call:new("issuing.card_details", {
    card = card, number = note.number, cvc = note.cvc, exp_month = card.exp_month, exp_year = card.exp_year,
  })
end

-- Cards show their cardholder whole.
flow.operations["issuing.cardholders.update"] = function(call)
  local holder = generic.update(call)
  for card in call.store:newest "issuing.card" do
    if given(card.cardholder) and card.cardholder.id == holder.id then
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

local function merchant_of(kind, data)
  return common.nested(common.changed(MERCHANT, data or {}), kind, "merchant_data")
end

local function reason_against(card)
  local holder = given(card.cardholder)
  return card.status ~= "active" and "card_" .. card.status
    or holder and holder.status ~= "active" and "cardholder_" .. holder.status or nil
end

local function holder_id(card) return given(card.cardholder) and card.cardholder.id or null end

-- What was asked of an authorization, and how that was decided.
local function asked_and_decided(call, authorization, amount, reason)
  local asked = {
    amount = amount, amount_details = null, currency = authorization.currency, merchant_amount = amount,
    merchant_currency = authorization.merchant_currency, network_risk_score = null,
  }
  return common.changed(asked, { is_amount_controllable = call.params.is_amount_controllable or false }),
    common.changed(asked, {
      approved = reason == nil, authorization_code = digits(6), created = call:now(), requested_at = call:now(),
      reason = reason or "webhook_approved", reason_message = null,
    })
end

flow.operations[HELPERS .. "authorizations.create"] = function(call)
  local params = call.params
  local card, merchant = call:find("issuing.card", params.card, "card"), params.merchant_data
  local amount, reason = params.amount or params.merchant_amount or 0, reason_against(card)
  params.merchant_data, params.amount = nil, nil
  local authorization = generic.build(call)
  authorization.cardholder, authorization.currency = holder_id(card), params.currency or card.currency
  authorization.merchant_currency = params.merchant_currency or authorization.currency
  authorization.merchant_data = merchant_of("issuing.authorization", merchant)
  authorization.approved, authorization.amount = false, 0
  local asked, decided = asked_and_decided(call, authorization, amount, reason)
  authorization.pending_request = asked
  call.store:insert(authorization)
  call:emit("issuing_authorization.request", authorization)
  call.store:update(authorization, {
    amount = reason and 0 or amount, approved = reason == nil, merchant_amount = amount, pending_request = null,
    request_history = host.array { decided }, status = reason and "closed" or "pending",
  })
  call:emit("issuing_authorization.created", authorization)
  return authorization
end

-- An operation on a pending authorization: `act` gives the changes.
local function on_pending(name, act)
  flow.operations[HELPERS .. "authorizations." .. name] = function(call)
    local authorization = call:target()
    refuse_if(authorization.status ~= "pending",
      "Authorization %s is not pending: its status is %s.", nil, nil, authorization.id, authorization.status)
    return call:apply(authorization, act(call, authorization), "issuing_authorization.updated")
  end
end

-- ---- Transactions

-- Stores a transaction of a card; a positive amount goes to its holder.
local function transact(call, card, amount, fields)
  local currency, details = fields.currency or card.currency, fields.purchase_details
  local transaction = call:new("issuing.transaction", {
    amount = amount, merchant_amount = amount, currency = currency, merchant_currency = currency, card = card.id,
    cardholder = holder_id(card), authorization = fields.authorization or null,
    type = amount < 0 and "capture" or "refund",
    merchant_data = merchant_of("issuing.transaction", fields.merchant_data),
    purchase_details = details and generic.land(common.type_of("issuing.transaction", "purchase_details"), details),
  })
  call:keep(transaction)
  if details and details.receipt then
    call:emit("issuing_transaction.purchase_details_receipt_updated", transaction)
  end
  return transaction
end

local function of_card(sign)
  return function(call)
    local params = call.params
    return transact(call, call:find("issuing.card", params.card, "card"), sign * params.amount, params)
  end
end

flow.operations[HELPERS .. "transactions.create_force_capture"] = of_card(-1)
flow.operations[HELPERS .. "transactions.create_unlinked_refund"] = of_card(1)

flow.operations[HELPERS .. "transactions.refund"] = function(call)
  local capture = call:target()
  local amount = call.params.refund_amount or -capture.amount
  refuse_if(capture.type ~= "capture" or amount > -capture.amount,
    "Only a capture can be refunded, up to its amount.", "refund_amount")
  local card = call.store:get("issuing.card", capture.card)
  transact(call, card, amount, { authorization = capture.authorization, currency = capture.currency })
  return capture
end

on_pending("capture", function(call, authorization)
  local amount, closes = call.params.capture_amount or authorization.amount, call.params.close_authorization ~= false
  local transaction = transact(call, authorization.card, -amount, {
    authorization = authorization.id, currency = authorization.currency, merchant_data = authorization.merchant_data,
    purchase_details = call.params.purchase_details,
  })
  local transactions = host.copy(authorization.transactions)
  table.insert(transactions, host.copy(transaction))
  local left = closes and 0 or math.max(0, authorization.amount - amount)
  return { transactions = transactions, status = closes and "closed" or nil, amount = left }
end)

on_pending("expire", function() return { status = "expired", amount = 0 } end)

on_pending("reverse", function(call, authorization)
  local left = authorization.amount - (call.params.reverse_amount or authorization.amount)
  refuse_if(left < 0, "More would be reversed than is authorized.", "reverse_amount")
  return { amount = left, status = left == 0 and "reversed" or nil }
end)

for name, param in pairs { increment = "increment_amount", finalize_amount = "final_amount" } do
  on_pending(name, function(call, authorization)
    local amount = call.params[param] + (name == "increment" and authorization.amount or 0)
    return { amount = amount, merchant_amount = amount }
  end)
end

-- Earlier versions authorized at POST /v1/issuing/cards/{card}/test/authorizations, with other names.
flow.routes["/v1/issuing/cards/"] = function(_, asked)
  local card = asked.method == "POST" and asked.path:match "^/v1/issuing/cards/([^/]+)/test/authorizations$"
  if not card then return nil end
  asked.path = "/v1/test_helpers/issuing/authorizations"
  asked.body = ("&" .. (asked.body or "")):gsub("&held_", "&"):sub(2) .. "&card=" .. card
end

return flow
