--- Tokens and sources: what was paid with before payment methods, and still is.
--
-- A token is used once, and what it holds (a card, a bank account) then lives on under its own id: as a customer's
-- source, or in a charge. The tokens with a test name (tok_visa, btok_us_verified) stand for a new one each time. A
-- Source is pending until its customer authorized it, then chargeable, and consumed once charged unless it is reusable.
--
-- Invariant: a customer that has sources has one of them as default_source.
local cards = require "sandbox.cards"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local intents = require "sandbox.flows.intents"
local lists = require "sandbox.lists"
local methods = require "sandbox.flows.payment_methods"
local shape = require "sandbox.shape"
local store = require "sandbox.store"
local spec = require "sandbox.spec"

local null = host.null
local refuse = common.refuse

local sources = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

--- Seconds until a debit settles that a test account does not delay.
sources.SETTLES_AFTER = 5

local KINDS = { "card", "bank_account", "source" }

local BRANDS = {
  amex = "American Express", diners = "Diners Club", discover = "Discover", jcb = "JCB", mastercard = "MasterCard",
  unionpay = "UnionPay", visa = "Visa",
}

-- Sources that are chargeable at once, those that money is sent to (all others lead the customer elsewhere), and those
-- that may be charged more than once.
local AT_ONCE = {
  ach_debit = true, acss_debit = true, au_becs_debit = true, card = true, sepa_debit = true, wechat = true,
}
local RECEIVERS = { ach_credit_transfer = true, multibanco = true, sepa_credit_transfer = true }
local REUSABLE = { ach_credit_transfer = true, acss_debit = true, au_becs_debit = true, card = true, sepa_debit = true }

local MOST_ATTEMPTS = 3

-- ---- Cards and bank accounts

local function new_card(call, given)
  local facts, note = methods.read_card(call, given)
  local card = shape.new "card"
  for _, name in ipairs(methods.FACTS) do card[name] = facts[name] end
  for _, name in ipairs {
    "name", "address_city", "address_country", "address_line1", "address_line2", "address_state", "address_zip",
  } do
    card[name] = given[name] or null
  end
  card.id, card.brand, card.metadata = call.store:new_id "card_", BRANDS[facts.brand] or "Unknown", {}
  card.customer, card.networks = null, given.networks
  card.address_line1_check = given.address_line1 and "unchecked" or null
  card.address_zip_check = given.address_zip and "unchecked" or null
  card.regulated_status = "unregulated"
  return card, note
end

local function new_bank_account(call, given)
  local account = shape.new "bank_account"
  for _, name in ipairs {
    "account_holder_name", "account_holder_type", "account_type", "country", "currency", "routing_number",
  } do
    account[name] = given[name] or account[name]
  end
  if account.currency == "" then account.currency = "usd" end
  account.id, account.metadata, account.customer = call.store:new_id "ba_", {}, null
  account.bank_name, account.status = "STRIPE TEST BANK", given.status or "new"
  account.last4, account.fingerprint = given.account_number:sub(-4), methods.fingerprint(given.account_number)
  return account, { account = cards.account("us_bank_account", given.account_number) }
end

-- ---- Tokens

local function new_token(call, kind, object)
  local token = shape.new "token"
  token.id, token.created, token.type, token.client_ip = call.store:new_id "tok_1", call:now(), kind, "127.0.0.1"
  if object then token[kind] = object end
  return token
end

local TEST_ACCOUNT = { country = "US", currency = "usd", account_number = "000123456789", routing_number = "110000000",
  account_holder_name = "Jane Austen", account_holder_type = "individual" }

local function is_bank_name(id)
  return id == "btok_us" or id == "btok_us_verified" or id == "tok_us_verified"
end

-- The token of a test name, with its note; not stored.
local function named_token(call, id)
  if is_bank_name(id) then
    local given = setmetatable({ status = id:find "verified" and "verified" or "new" }, { __index = TEST_ACCOUNT })
    local account, note = new_bank_account(call, given)
    return new_token(call, "bank_account", account), note
  end
  local row = id:find "^tok_" and cards.of_name(id)
  if not row then return nil end
  local card, note = new_card(call, { number = row.number, exp_month = 12, exp_year = 2034 })
  return new_token(call, "card", card), note
end

--- The token with this id and the note of what it holds; raises if there is none, or if it was used.
function sources.token(call, id, param)
  local token, note = call.store:get("token", id), nil
  if not token then token, note = named_token(call, id) end
  if not token then error(errors.missing("token", id, param)) end
  if token.used then refuse("You cannot use a token more than once: " .. id, param, "token_already_used") end
  return token, note or call.store:private(token)
end

--- Uses a token up, unless it is one of a test name.
function sources.use_token(call, token)
  if call.store:get("token", token.id) then call.store:update(token, { used = true }) end
end
local use_token = sources.use_token

function sources.resolvers.token(call, id, only_ask)
  if only_ask then return is_bank_name(id) or id:find "^tok_" and cards.of_name(id) end
  return (named_token(call, id))
end

-- A token may be made of a card that a customer has.
local function shared(call, kind, id)
  local object = call:find(kind, id, kind)
  local copy = host.copy(object)
  copy.id, copy.customer = call.store:new_id(kind == "card" and "card_" or "ba_"), null
  return copy, call.store:private(object)
end

local function token_of(call, params)
  for kind, make in pairs { card = new_card, bank_account = new_bank_account } do
    local given = params[kind]
    if given then
      local object, note
      if type(given) == "string" then object, note = shared(call, kind, given) else object, note = make(call, given) end
      return new_token(call, kind, object), note
    end
  end
  for _, kind in ipairs { "account", "person", "pii", "cvc_update" } do
    if params[kind] then
      local token = new_token(call, kind)
      token.id = call.store:new_id(({ account = "ct_", person = "cpt_", pii = "pii_", cvc_update = "cvctok_" })[kind])
      return token, {}
    end
  end
  error(errors.parameter_missing "card")
end

sources.operations["tokens.create"] = function(call)
  if not common.says_more(call) then return generic.create(call, { type = "card" }) end
  local token, note = token_of(call, call.params)
  call.store:insert(token)
  methods.remember(call, token, note)
  return token
end

sources.operations["tokens.retrieve"] = function(call)
  local token = call.store:get("token", call.ids.token) or named_token(call, call.ids.token)
  return token or call:target()
end

-- ---- Sources

local function fill(call, source, params)
  source.client_secret = "src_client_secret_" .. host.id(24)
  source.flow = params.flow or AT_ONCE[source.type] and "none" or RECEIVERS[source.type] and "receiver" or "redirect"
  source.usage = params.usage or REUSABLE[source.type] and "reusable" or "single_use"
  source.status = source.flow == "none" and "chargeable" or "pending"
  source.owner = generic.merge(source, { owner = params.owner or {} }).owner
  if source.flow == "redirect" then
    source.redirect = {
      failure_reason = null, return_url = params.redirect and params.redirect.return_url or "", status = "pending",
      url = "https://hooks.stripe.com/redirect/authenticate/" .. host.id(24),
    }
  elseif source.flow == "receiver" then
    source.receiver = {
      address = "121042882-" .. host.id(12), amount_charged = 0, amount_received = 0, amount_returned = 0,
      refund_attributes_method = "email", refund_attributes_status = "missing",
    }
  end
  source[source.type] = source[source.type] or methods.blank("source", source.type)
end

sources.operations["sources.create"] = function(call)
  local params = call.params
  if not common.says_more(call) then return generic.create(call, { status = "pending", type = "card" }) end
  local source, note = generic.build(call), {}
  local kind = params.type or params.token and "card"
  if not kind then error(errors.parameter_missing "type") end
  if not spec.object("source").by_name[kind] then error(errors.bad("type", "type", kind)) end
  source.type, source.metadata = kind, source.metadata ~= null and source.metadata or {}
  local token
  if params.token then
    token, note = sources.token(call, params.token, "token")
    source.card = token.card and generic.merge(source, { card = token.card }).card
  end
  fill(call, source, params)
  call.store:insert(source)
  if token then use_token(call, token) end
  methods.remember(call, source, note)
  if source.status == "chargeable" then events.emit(call, "source.chargeable", source) end
  return source
end

--- POST /_sandbox/helpers/sources.authorize {id, outcome = "succeed" or "fail"}: what the customer did.
sources.helpers["sources.authorize"] = function(call, id, params)
  local source = call:find("source", id, "id")
  if source.status ~= "pending" then refuse(("This source is %s, not pending."):format(source.status), "id") end
  local status = params.outcome == "fail" and "failed" or "chargeable"
  local changes = { status = status }
  if source.redirect then
    changes.redirect = host.copy(source.redirect)
    changes.redirect.status = status == "failed" and "failed" or "succeeded"
  end
  call.store:update(source, changes)
  events.emit(call, "source." .. status, source)
  return source
end

-- ---- A customer's sources

-- The source that the path names, and its customer.
local function owned(call)
  local customer = call:target(1)
  for _, kind in ipairs(KINDS) do
    local object = call.store:get(kind, call.ids.id)
    if object and object.customer == customer.id then return object, customer end
  end
  error(errors.missing("source", call.ids.id, "id", 404))
end

local function newest_source(call, customer)
  local best
  for _, kind in ipairs(KINDS) do
    local object = call.store:newest(kind, { customer = customer.id })()
    if object and (not best or (object.created or 0) > (best.created or 0)) then best = object end
  end
  return best
end

local function keep(call, object, note, customer)
  object.customer = customer.id
  if object.object == "card" then
    local checks = methods.checks(note, {
      cvc = object.cvc_check ~= null, line1 = object.address_line1 ~= null, postal_code = object.address_zip ~= null,
    })
    object.cvc_check, object.address_line1_check = checks.cvc_check, checks.address_line1_check
    object.address_zip_check = checks.address_postal_code_check
  end
  call.store:insert(object, customer.id)
  methods.remember(call, object, note)
end

--- What an id in `source` would give a customer: {object, note, token?}; raises if it declines.
function sources.offered(call, id)
  local offer = { object = call.store:get("source", id) }
  if offer.object then
    offer.note = call.store:private(offer.object)
  else
    offer.token, offer.note = sources.token(call, id, "source")
    offer.object = offer.token.card or offer.token.bank_account
    if not offer.object then refuse(("A token of type %s is no source."):format(offer.token.type), "source") end
  end
  local decline = methods.refusal(offer)
  if decline then error(methods.declined(decline, {})) end
  return offer
end

--- Gives a customer what was offered; `default`: it becomes what the customer pays with.
function sources.add(call, customer, offer, default, metadata)
  local object = offer.object
  if offer.token then
    object = host.copy(object)
    if metadata then object.metadata = metadata end
    use_token(call, offer.token)
    keep(call, object, offer.note, customer)
  else
    call.store:update(object, { customer = customer.id })
    call.store.state.parents[object.id] = customer.id
  end
  events.emit(call, "customer.source.created", object)
  if default or customer.default_source == null then generic.apply(call, customer, { default_source = object.id }) end
  return object
end

sources.operations["customers.payment_sources.create"] = function(call)
  local customer = call:target()
  return sources.add(call, customer, sources.offered(call, call.params.source), false, call.params.metadata)
end

sources.operations["customers.payment_sources.list"] = function(call)
  local wanted = call.params.object
  call:target()
  call.params.object = nil
  return lists.run(call, function(query)
    query.filters = { customer = call.ids.customer }
    if wanted then query.tests[1] = function(object) return object.object == wanted end end
  end)
end

sources.operations["customers.payment_sources.retrieve"] = function(call) return (owned(call)) end

sources.operations["customers.payment_sources.update"] = function(call)
  local params = call.params
  params.exp_month, params.exp_year = tonumber(params.exp_month), tonumber(params.exp_year)
  local object = owned(call)
  return generic.apply(call, object, generic.merge(object, params), "customer.source.updated")
end

sources.operations["customers.payment_sources.delete"] = function(call)
  local object, customer = owned(call)
  local result = { id = object.id, object = object.object, deleted = true }
  events.emit(call, "customer.source.deleted", object)
  if object.object == "source" then
    call.store:update(object, { customer = store.absent, status = "consumed" })
    result = object
  else
    call.store:delete(object)
  end
  if customer.default_source == object.id then
    local other = newest_source(call, customer)
    generic.apply(call, customer, { default_source = other and other.id or null })
  end
  return result
end

sources.operations["customers.payment_sources.verify"] = function(call)
  local account = owned(call)
  if account.object ~= "bank_account" then error(errors.missing("bank account", account.id, "id", 404)) end
  if account.status ~= "new" and account.status ~= "validated" then
    refuse(("This bank account cannot be verified: it is %s."):format(account.status))
  end
  if intents.are_microdeposits(call.params.amounts or {}) then
    return generic.apply(call, account, { status = "verified" }, "customer.source.updated")
  end
  local private = call.store:private(account)
  private.attempts = (private.attempts or 0) + 1
  if private.attempts >= MOST_ATTEMPTS then
    generic.apply(call, account, { status = "verification_failed" }, "customer.source.updated")
  end
  return nil, errors.invalid {
    code = "bank_account_verification_failed", message = "These are not the amounts that were sent.", param = "amounts",
  }
end

-- ---- Charging

local function check_chargeable(object, customer)
  local owner = object.customer
  if owner ~= nil and owner ~= null and owner ~= customer then
    refuse(customer and ("Customer %s does not have a linked source with ID '%s'."):format(customer, object.id)
      or ("The source %s belongs to a customer, who must be named."):format(object.id),
      customer and "source" or "customer", "missing")
  end
  if object.object == "source" and object.status ~= "chargeable" then
    refuse(("The source %s is %s: it cannot be charged."):format(object.id, object.status), "source",
      "invalid_source_usage")
  end
  if object.object == "bank_account" and object.status ~= "verified" then
    refuse("Verify this bank account before it is charged.", "source", "bank_account_unverified")
  end
end

--- What an id given as `source` charges: {object, held, token?}; raises if it cannot be charged.
function sources.to_charge(call, id, customer)
  for _, kind in ipairs(KINDS) do
    local object = call.store:get(kind, id)
    if object then
      check_chargeable(object, customer)
      return { object = object, held = methods.held(call, id) or methods.of_source(call, object) }
    end
  end
  if not id:find "^b?tok_" then error(errors.missing("source", id, "source")) end
  local token, note = sources.token(call, id, "source")
  local object = token.card or token.bank_account
  if not object then error(errors.missing("token", id, "source")) end
  check_chargeable(object, customer)
  local view = token.card and methods.of_card or methods.of_bank_account
  return { object = object, held = view(call, object, note), token = token }
end

--- Notes that something is charged now.
function sources.used(call, paying)
  if paying.token then use_token(call, paying.token) end
  local object = paying.object
  local consumed = object.object == "source" and object.usage ~= "reusable"
  if consumed then call.store:update(object, { status = "consumed" }) end
end

return sources
