--- Treasury: each flow of money is a transaction of its financial account, whose entries make its balance.
---
---   outbound payment, transfer          cash → outbound_pending ─ posted: gone ─ failed, returned, canceled: back
---   inbound transfer, received credit   inbound_pending → cash ─ failed, canceled: gone ─ returned: taken back
---
--- Invariant: a financial account's balance is the sum of the impacts of its entries.
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local shape = require "sandbox.shape"

local null = host.null
local flow = { operations = {} }

-- What one unit of a flow does to the balance when it gets to a state.
local IMPACTS = {
  out = {
    processing = { cash = -1, outbound_pending = 1 }, posted = { outbound_pending = -1 },
    failed = { cash = 1, outbound_pending = -1 }, canceled = { cash = 1, outbound_pending = -1 },
      returned = { cash = 1 },
  },
  ["in"] = {
    processing = { inbound_pending = 1 }, succeeded = { cash = 1, inbound_pending = -1 },
    failed = { inbound_pending = -1 }, canceled = { inbound_pending = -1 }, returned = { cash = -1 },
  },
  credit = { succeeded = { cash = 1 }, processing = { cash = -1 } },
  debit = { succeeded = { cash = -1 }, processing = { cash = 1 } },
}

local function check_open(account)
  if account.status == "open" then return account end
  error(errors.invalid { message = ("Financial account %s is %s."):format(account.id, account.status) })
end

-- Changes the balance of a flow's account by an entry.
local function enter(call, object, transaction, impact, type)
  local account = call:find("treasury.financial_account", object.financial_account, "financial_account")
  local balance, entry = host.copy(account.balance), shape.new "treasury.transaction_entry"
  for name, sign in pairs(impact) do
    entry.balance_impact[name] = sign * object.amount
    balance[name][object.currency] = (balance[name][object.currency] or 0) + sign * object.amount
  end
  entry.currency, entry.financial_account, entry.type = object.currency, account.id, type
  entry.effective_at, entry.flow, entry.flow_type = call:now(), object.id, transaction.flow_type
  entry.transaction = transaction.id
  call.store:insert(entry)
  call.store:update(account, { balance = balance })
end

-- Gives a new flow its transaction.
local function open_transaction(call, object, impact)
  local type = object.object:match "[^.]+$"
  local transaction = generic.blank(call, "treasury.transaction")
  transaction.amount, transaction.currency = (impact.cash or 1) * object.amount, object.currency
  transaction.financial_account, transaction.flow, transaction.flow_type = object.financial_account, object.id, type
  transaction.description = object.description ~= null and object.description or type
  for name, sign in pairs(impact) do transaction.balance_impact[name] = sign * object.amount end
  if object.status == "succeeded" then
    transaction.status, transaction.status_transitions.posted_at = "posted", call:now()
  end
  call.store:insert(transaction)
  object.transaction = transaction.id
  enter(call, object, transaction, impact, type)
end

-- Creates a flow; `fields(call)` follow from its params.
local function create(direction, fields)
  return function(call)
    local object = generic.build(call)
    for name, value in pairs(fields and fields(call) or {}) do object[name] = value end
    check_open(call:find("treasury.financial_account", object.financial_account, "financial_account"))
    object.id = ""
    call.store:insert(object)
    open_transaction(call, object, IMPACTS[direction][object.status])
    events.of(call, object, "created")
    return object
  end
end

local FINAL_OF_TRANSACTION = { posted = "posted", succeeded = "posted", failed = "void", canceled = "void" }

-- Moves a flow to a state, from those that allow it.
local function move(direction, status, from, more)
  return function(call)
    local object = call:target()
    if not from[object.status] or object.returned == true then
      error(errors.invalid {
        message = ("%s %s cannot be %s: its status is %s."):format(object.object, object.id, status, object.status),
      })
    end
    local changes, transaction = more and more(call, object) or {}, call.store:get("treasury.transaction",
      object.transaction)
    if status == "returned" and object.returned ~= nil then changes.returned = true else changes.status = status end
    changes.cancelable = false
    if object.status_transitions[status .. "_at"] ~= nil then
      changes.status_transitions = host.copy(object.status_transitions)
      changes.status_transitions[status .. "_at"] = call:now()
    end
    enter(call, object, transaction, IMPACTS[direction][status], transaction.flow_type)
    local ended = FINAL_OF_TRANSACTION[status]
    if ended then call.store:update(transaction, { status = ended }) end
    return generic.apply(call, object, changes, ("%s.%s"):format(object.object, status))
  end
end

local PENDING = { processing = true }

local function returned_details(call, object)
  local details = { code = "declined", transaction = object.transaction }
  for name, value in pairs(call.params.returned_details or {}) do details[name] = value end
  return { returned_details = details }
end

for _, name in ipairs { "outbound_payment", "outbound_transfer" } do
  local service, helper = ("treasury.%ss."):format(name), ("test_helpers.treasury.%ss."):format(name)
  flow.operations[service .. "create"] = create "out"
  flow.operations[service .. "cancel"] = move("out", "canceled", PENDING)
  flow.operations[helper .. "fail"] = move("out", "failed", PENDING)
  flow.operations[helper .. "post"] = move("out", "posted", PENDING)
  flow.operations[helper .. "return_" .. name] = move("out", "returned", { posted = true }, returned_details)
end

flow.operations["treasury.inbound_transfers.create"] = create "in"
flow.operations["treasury.inbound_transfers.cancel"] = move("in", "canceled", PENDING)
flow.operations["test_helpers.treasury.inbound_transfers.succeed"] = move("in", "succeeded", PENDING)
flow.operations["test_helpers.treasury.inbound_transfers.return_inbound_transfer"] =
  move("in", "returned", { succeeded = true })
flow.operations["test_helpers.treasury.inbound_transfers.fail"] = move("in", "failed", PENDING, function(call)
  local details = call.params.failure_details or {}
  return { failure_details = { code = details.code or "could_not_process" } }
end)

flow.operations["test_helpers.treasury.received_credits.create"] = create "credit"
flow.operations["test_helpers.treasury.received_debits.create"] = create "debit"

local function reverse(direction, kind)
  return create(direction, function(call)
    local received = call:find("treasury." .. kind, call.params[kind], kind)
    return {
      amount = received.amount, currency = received.currency, financial_account = received.financial_account,
      status = "processing",
    }
  end)
end

flow.operations["treasury.credit_reversals.create"] = reverse("credit", "received_credit")
flow.operations["treasury.debit_reversals.create"] = reverse("debit", "received_debit")

flow.operations["treasury.financial_accounts.create"] = function(call)
  local account = generic.build(call)
  local currencies = call.params.supported_currencies
  for _, part in pairs(account.balance) do
    for _, currency in ipairs(currencies) do part[currency] = 0 end
  end
  account.features = nil
  call.store:insert(account)
  events.of(call, account, "created")
  return account
end

return flow
