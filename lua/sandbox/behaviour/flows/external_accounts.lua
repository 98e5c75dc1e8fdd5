--- External accounts: the bank accounts and debit cards that payouts go to.
--
-- They stand in the platform's store, each with the id of its connected account; the platform's own belong to itself,
-- and one is made when the first payout needs it. Invariant: of each account and currency that has any, one is the
-- default.
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local host = require "sandbox.host"
local sources = require "sandbox.flows.sources"

local flow = { operations = {} }

local KINDS = { "bank_account", "card" }

-- One of the account's in a currency that passes the test.
local function find(call, account, currency, test)
  for _, kind in ipairs(KINDS) do
    for object in call.platform:newest(kind, { account = account, currency = currency }) do
      if test(object) then return object end
    end
  end
end

local function is_default(object) return object.default_for_currency end

local function make_default(call, object)
  local former = find(call, object.account, object.currency, is_default)
  if former and former ~= object then call.platform:update(former, { default_for_currency = false }) end
  call.platform:update(object, { default_for_currency = true })
end

-- The object that a parameter stands for, its note, and the token that it was, if it was one.
local function read(call, given)
  if type(given) == "string" then
    local token, note = sources.token(call, given, "external_account")
    return host.copy(token.bank_account or token.card or error(errors.missing("token", given, "external_account"))),
      note, token
  end
  if type(given) ~= "table" then error(errors.empty "external_account") end
  if given.object ~= "card" then return sources.new_bank_account(call, given) end
  return sources.new_card(call, given)
end

--- What an `external_account` parameter stands for, not stored yet; payouts to it fail as its note says.
function flow.draft(call, given)
  local object, note, token = read(call, given)
  local is_card = object.object == "card"
  object.available_payout_methods = host.array(is_card and { "standard", "instant" } or { "standard" })
  if is_card then object.currency = common.given(object.currency) or common.currency_of(object.country) end
  return { object = object, note = note, token = token }
end

function flow.attach(call, account, draft, options)
  local object = draft.object
  object.account, object.metadata, object.default_for_currency = account, common.metadata(options), false
  if draft.token then sources.use_token(call, draft.token) end
  call.platform:insert(object, account)
  call.platform:private(object).failure = (draft.note.account or {}).failure
  if options.default_for_currency or not find(call, account, object.currency, is_default) then
    make_default(call, object)
  end
  if account ~= call.platform.account then call:emit("account.external_account.created", object) end
  return object
end

function flow.for_payout(call, id, currency)
  if common.given(id) then
    for _, kind in ipairs(KINDS) do
      local object = call.platform:get(kind, id)
      if object and object.account == call.account then return object end
    end
    error(errors.missing("external account", id, "destination"))
  end
  local default = find(call, call.account, currency, is_default)
  if default then return default end
  common.refuse_if(call.account ~= call.platform.account,
    "Sorry, you don't have any external accounts in that currency (%s).", nil, nil, currency)
  local own = { country = "US", currency = currency, account_number = "000123456789", routing_number = "110000000" }
  return flow.attach(call, call.account, flow.draft(call, own), {})
end

--- Why payouts to this destination fail, or nil.
function flow.failure(call, payout)
  local object = call.platform:get(payout.type, payout.destination)
  return object and call.platform:private(object).failure
end

-- ---- Operations

flow.operations["accounts.external_accounts.create"] = function(call)
  local account, params = call:target(), call.params
  local object = flow.attach(call, account.id, flow.draft(call, params.external_account), params)
  require("sandbox.flows.accounts").review(call, account)
  return object
end

flow.operations["accounts.external_accounts.update"] = function(call)
  local object = call:target()
  if call.params.default_for_currency then make_default(call, object) end
  call.params.default_for_currency = nil
  return call:apply(object, call:asked(object), "account.external_account.updated")
end

flow.operations["accounts.external_accounts.delete"] = function(call)
  local object = call:target()
  local function is_another(candidate) return candidate ~= object end
  common.refuse_if(object.default_for_currency and find(call, object.account, object.currency, is_another),
    "You cannot delete the default external account of a currency. Make another one the default first.")
  call:emit("account.external_account.deleted", object)
  call.platform:delete(object)
  return { id = object.id, object = object.object, currency = object.currency, deleted = true }
end

return flow
