--- External accounts: the bank accounts and debit cards that payouts go to.
--
-- They stand in the platform's store, each with the id of its connected account; the platform's own belong to itself,
-- and one is made when the first payout needs it. Invariant: of each account and currency that has any, one is the
-- default.
local cards = require "sandbox.cards"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local shape = require "sandbox.shape"

local null = host.null

local flow = { operations = {} }

local KINDS = { "bank_account", "card" }

local BRANDS = {
  amex = "American Express", diners = "Diners Club", jcb = "JCB", mastercard = "MasterCard", visa = "Visa",
}

-- What payouts to a bank account come to is known by its number, which is not kept.
local function bank_account(fields)
  local bank = shape.new "bank_account"
  for _, name in ipairs { "account_holder_name", "account_holder_type", "account_type", "country", "routing_number" } do
    bank[name] = fields[name] or bank[name]
  end
  bank.currency = fields.currency or common.currency_of(fields.country)
  bank.bank_name, bank.status = "STRIPE TEST BANK", "new"
  bank.last4 = fields.account_number:sub(-4)
  bank.fingerprint = host.id(16)
  bank.available_payout_methods = host.array { "standard" }
  return bank, cards.account("us_bank_account", fields.account_number).failure
end

local function debit_card(call, fields)
  local row, number
  if fields.number then
    row, number = cards.of_number(fields.number)
  else
    row = cards.of_name(fields.token or "")
    if not row then error(errors.missing("token", fields.token, "external_account")) end
    number = row.number
  end
  local card = shape.new "card"
  local brand = cards.brand(number)
  card.brand, card.country, card.funding = BRANDS[brand] or brand, row.country, row.funding
  card.last4, card.fingerprint = number:sub(-4), host.id(16)
  card.exp_month, card.exp_year = fields.exp_month or 12, fields.exp_year or os.date("!*t", call:now()).year + 1
  card.name = fields.name or null
  card.currency = fields.currency or common.currency_of(row.country)
  card.available_payout_methods = host.array { "standard", "instant" }
  return card
end

-- What a token stands for: what it was made of, or a name of the test data.
local function of_token(call, id)
  local token = call:get("token", id)
  local made = token and (token.bank_account or token.card)
  if made then
    local copy = host.copy(made)
    copy.available_payout_methods = host.array { "standard" }
    return copy
  end
  if not id:find "^btok_" then return debit_card(call, { token = id }) end
  local name = id:match "^btok_us_verified_(.+)$"
  local number = name and cards.account_named(name) or "000123456789"
  return bank_account { country = "US", account_number = number, routing_number = "110000000" }
end

local function default_for(call, account, currency)
  for _, kind in ipairs(KINDS) do
    for object in call.platform:newest(kind, { account = account, currency = currency }) do
      if object.default_for_currency then return object end
    end
  end
end

local function make_default(call, object)
  local former = default_for(call, object.account, object.currency)
  if former and former ~= object then call.platform:update(former, { default_for_currency = false }) end
  call.platform:update(object, { default_for_currency = true })
end

--- What an `external_account` parameter stands for, not stored yet, and why payouts to it fail, if they do.
function flow.draft(call, given)
  if type(given) == "string" then return of_token(call, given) end
  if type(given) ~= "table" then error(errors.empty "external_account") end
  if given.object == "card" then return debit_card(call, given) end
  return bank_account(given)
end

--- Gives a draft to an account.
function flow.attach(call, account, options, object, failure)
  object.account, object.metadata, object.default_for_currency = account, options.metadata or {}, false
  call.platform:insert(object, account)
  call.platform:private(object).failure = failure
  if options.default_for_currency or not default_for(call, account, object.currency) then make_default(call, object) end
  if account ~= call.platform.account then events.emit(call, "account.external_account.created", object) end
  return object
end

--- The destination of a payout: the one named, or the default of the currency; raises if there is none.
function flow.for_payout(call, id, currency)
  if id and id ~= null then
    for _, kind in ipairs(KINDS) do
      local object = call.platform:get(kind, id)
      if object and object.account == call.account then return object end
    end
    error(errors.missing("external account", id, "destination"))
  end
  local default = default_for(call, call.account, currency)
  if default then return default end
  if call.account ~= call.platform.account then
    common.refuse(("Sorry, you don't have any external accounts in that currency (%s)."):format(currency))
  end
  return flow.attach(call, call.account, {}, bank_account {
    country = "US", currency = currency, account_number = "000123456789", routing_number = "110000000",
  })
end

--- Why payouts to this destination fail, or nil.
function flow.failure(call, payout)
  local object = call.platform:get(payout.type, payout.destination)
  return object and call.platform:private(object).failure
end

-- ---- Operations

flow.operations["accounts.external_accounts.create"] = function(call)
  local account, params = call:target(), call.params
  local object = flow.attach(call, account.id, params, flow.draft(call, params.external_account))
  require("sandbox.flows.accounts").review(call, account)
  return object
end

flow.operations["accounts.external_accounts.update"] = function(call)
  local object = call:target()
  if call.params.default_for_currency then make_default(call, object) end
  call.params.default_for_currency = nil
  return generic.apply(call, object, generic.merge(object, call.params), "account.external_account.updated")
end

flow.operations["accounts.external_accounts.delete"] = function(call)
  local object = call:target()
  if object.default_for_currency then
    local other
    for _, kind in ipairs(KINDS) do
      for candidate in call.platform:newest(kind, { account = object.account, currency = object.currency }) do
        if candidate ~= object then other = candidate end
      end
    end
    if other then
      common.refuse("You cannot delete the default external account of a currency. Make another one the default first.")
    end
  end
  events.emit(call, "account.external_account.deleted", object)
  call.platform:delete(object)
  return { id = object.id, object = object.object, currency = object.currency, deleted = true }
end

return flow
