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
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local intents = require "sandbox.flows.intents"
local lists = require "sandbox.lists"
local methods = require "sandbox.flows.payment_methods"
local spec = require "sandbox.spec"
local store = require "sandbox.store"

local null, given, refuse, refuse_if, among = host.null, common.given, common.refuse, common.refuse_if, common.among

local sources = { operations = {}, resolvers = {}, helpers = {} }

--- Seconds until a debit settles that a test account does not delay.
sources.SETTLES_AFTER = 5

local KINDS = { "card", "bank_account", "source" }

local BRANDS = {
  amex = "American Express", diners = "Diners Club", discover = "Discover", jcb = "JCB", mastercard = "MasterCard",
  unionpay = "UnionPay", visa = "Visa",
}

-- Sources that are chargeable at once, those that money is sent to (all others lead the customer elsewhere), and those
-- that may be charged more than once.
local AT_ONCE = "ach_debit acss_debit au_becs_debit card sepa_debit wechat"
local RECEIVERS = "ach_credit_transfer multibanco sepa_credit_transfer"
local REUSABLE = "ach_credit_transfer acss_debit au_becs_debit card sepa_debit"

local MOST_ATTEMPTS = 3

-- ---- Cards and bank accounts

--- A card as requests give it, not stored, with its note.
function sources.new_card(call, params)
  local facts, note = methods.read_card(call, params)
  local card = call:new("card", {
    id = call.store:new_id "card_", brand = BRANDS[facts.brand] or "Unknown", metadata = {}, customer = null,
    networks = params.networks, regulated_status = "unregulated",
    address_line1_check = params.address_line1 and "unchecked" or null,
    address_zip_check = params.address_zip and "unchecked" or null,
  })
  for _, name in ipairs(methods.FACTS) do card[name] = facts[name] end
  for _, name in ipairs {
    "name", "address_city", "address_country", "address_line1", "address_line2", "address_state", "address_zip",
  } do
    card[name] = params[name] or null
  end
  return card, note
end

--- A bank account as requests give it, not stored, with its note.
function sources.new_bank_account(call, params)
  local account = call:new("bank_account", {
    id = call.store:new_id "ba_", metadata = {}, customer = null, bank_name = "STRIPE TEST BANK",
    status = params.status or "new", last4 = params.account_number:sub(-4),
    fingerprint = methods.fingerprint(params.account_number),
    currency = params.currency or common.currency_of(params.country),
  })
  for _, name in ipairs { "account_holder_name", "account_holder_type", "account_type", "country", "routing_number" } do
    account[name] = params[name] or account[name]
  end
  return account, { account = cards.account("us_bank_account", params.account_number) }
end

-- ---- Tokens

local PREFIXES = { account = "ct_", person = "cpt_", pii = "pii_", cvc_update = "cvctok_" }

local function new_token(call, kind, object)
  return call:new("token", {
    id = call.store:new_id(PREFIXES[kind] or "tok_1"), created = call:now(), type = kind, client_ip = "127.0.0.1",
    [kind] = object,
  })
end

local function is_card_name(id) return id:find "^tok_" and cards.of_name(id) end

-- The number of the bank account that a test name stands for.
local function bank_number(id)
  local name = id:match "^btok_us_verified_(.+)$"
  return name and cards.account_named(name) or among("btok_us btok_us_verified tok_us_verified", id) and "000123456789"
end

-- The token of a test name, with its note; not stored.
local function named_token(call, id)
  local number, row = bank_number(id), is_card_name(id)
  if number then
    local account, note = sources.new_bank_account(call, {
      status = id:find "verified" and "verified" or "new", country = "US", currency = "usd", account_number = number,
      routing_number = "110000000", account_holder_name = "Jane Austen", account_holder_type = "individual",
    })
    return new_token(call, "bank_account", account), note
  end
  if not row then return nil end
  local card, note = sources.new_card(call, { number = row.number, exp_month = 12, exp_year = 2034 })
  return new_token(call, "card", card), note
end

--- The token with this id and the note of what it holds; raises if there is none, or if it was used.
function sources.token(call, id, param)
  local token, note = call.store:get("token", id), nil
  if not token then token, note = named_token(call, id) end
  if not token then error(errors.missing("token", id, param)) end
  if token.used then refuse("You cannot use a token more than once: " .. id, param, "token_already_used") end
  return token, note or call:note(token)
end

--- Uses a token up, unless it is one of a test name.
function sources.use_token(call, token)
  if call.store:get("token", token.id) then call.store:update(token, { used = true }) end
end

function sources.resolvers.token(call, id, only_ask)
  if only_ask then return bank_number(id) or is_card_name(id) end
  return (named_token(call, id))
end

-- A token may be made of a card that a customer has.
local function shared(call, id, kind)
  local object = call:find(kind, id, kind)
  local copy = { id = call.store:new_id(kind == "card" and "card_" or "ba_"), customer = null }
  return common.changed(object, copy), call:note(object)
end

local function token_of(call, params)
  for kind, make in pairs { card = sources.new_card, bank_account = sources.new_bank_account } do
    local content = params[kind]
    if content then
      local object, note = (type(content) == "string" and shared or make)(call, content, kind)
      return new_token(call, kind, object), note
    end
  end
  for kind in pairs(PREFIXES) do
    if params[kind] then return new_token(call, kind), {} end
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
  return call.store:get("token", call.ids.token) or named_token(call, call.ids.token) or call:target()
end

-- ---- Sources

local function fill(call, source, params)
  local kind = source.type
  source.client_secret = "src_client_secret_" .. host.id(24)
  source.flow = params.flow or among(AT_ONCE, kind) and "none" or among(RECEIVERS, kind) and "receiver" or "redirect"
  source.usage = params.usage or among(REUSABLE, kind) and "reusable" or "single_use"
  source.status = source.flow == "none" and "chargeable" or "pending"
  source.metadata = given(source.metadata) or {}
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
  source[kind] = source[kind] or common.nested({}, "source", kind)
end

sources.operations["sources.create"] = function(call)
  local params = call.params
  if not common.says_more(call) then return generic.create(call, { status = "pending", type = "card" }) end
  local kind = params.type or params.token and "card" or error(errors.parameter_missing "type")
  if not spec.object("source").by_name[kind] then error(errors.bad("type", "type", kind)) end
  local source, token, note = generic.build(call), nil, {}
  source.type = kind
  if params.token then
    token, note = sources.token(call, params.token, "token")
    source.card = token.card and generic.merge(source, { card = token.card }).card
  end
  fill(call, source, params)
  call.store:insert(source)
  if token then sources.use_token(call, token) end
  methods.remember(call, source, note)
  if source.status == "chargeable" then call:emit("source.chargeable", source) end
  return source
end

--- {id, outcome = "succeed" or "fail"}: what the customer did.
sources.helpers["sources.authorize"] = common.helper("source", function(call, source, params)
  if source.status ~= "pending" then refuse(("This source is %s, not pending."):format(source.status), "id") end
  local failed = params.outcome == "fail"
  local redirect = source.redirect and common.changed(source.redirect, { status = failed and "failed" or "succeeded" })
  call.store:update(source, { status = failed and "failed" or "chargeable", redirect = redirect })
  call:emit("source." .. source.status, source)
  return source
end)

-- ---- A customer's sources

local function any_kind(call, id)
  for _, kind in ipairs(KINDS) do
    local object = call.store:get(kind, id)
    if object then return object end
  end
end

--- The source of a customer with this id; raises if there is none.
function sources.of_customer(call, customer, id, param, status)
  local object = any_kind(call, id)
  if object and object.customer == customer then return object end
  error(errors.missing("source", id, param, status))
end

-- The source that the path names, and its customer.
local function owned(call)
  local customer = call:target(1)
  return sources.of_customer(call, customer.id, call.ids.id, "id", 404), customer
end

--- What an id in `source` would give a customer: {object, note, token?}; raises if it declines.
function sources.offered(call, id)
  local offer = { object = call.store:get("source", id) }
  if offer.object then
    offer.note = call:note(offer.object)
  else
    offer.token, offer.note = sources.token(call, id, "source")
    offer.object = offer.token.card or offer.token.bank_account
    if not offer.object then refuse(("A token of type %s is no source."):format(offer.token.type), "source") end
  end
  local decline = methods.refusal(offer)
  if decline then error(methods.declined(decline, {})) end
  return offer
end

-- A customer's own copy of what a token holds.
local function take(call, customer, offer, metadata)
  local object = common.changed(offer.object, { customer = customer.id, metadata = metadata })
  sources.use_token(call, offer.token)
  if object.object == "card" then
    local checks = methods.checks(offer.note, object.cvc_check, object.address_line1, object.address_zip)
    object.cvc_check, object.address_line1_check = checks.cvc_check, checks.address_line1_check
    object.address_zip_check = checks.address_postal_code_check
  end
  call.store:insert(object, customer.id)
  methods.remember(call, object, offer.note)
  return object
end

--- Gives a customer what was offered; `default`: it becomes what the customer pays with.
function sources.add(call, customer, offer, default, metadata)
  local object = offer.object
  if offer.token then
    object = take(call, customer, offer, metadata)
  else
    call.store:update(object, { customer = customer.id })
    call.store.state.parents[object.id] = customer.id
  end
  call:emit("customer.source.created", object)
  if default or customer.default_source == null then call:apply(customer, { default_source = object.id }) end
  return object
end

sources.operations["customers.payment_sources.create"] = function(call)
  local customer, offer = call:target(), sources.offered(call, call.params.source)
  return sources.add(call, customer, offer, false, common.metadata(call.params))
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
  local params, object = call.params, owned(call)
  params.exp_month, params.exp_year = tonumber(params.exp_month), tonumber(params.exp_year)
  return call:apply(object, call:asked(object), "customer.source.updated")
end

local function newest_source(call, customer)
  local best
  for _, kind in ipairs(KINDS) do
    local object = call.store:newest(kind, { customer = customer.id })()
    if object and (not best or (object.created or 0) > (best.created or 0)) then best = object end
  end
  return best
end

sources.operations["customers.payment_sources.delete"] = function(call)
  local object, customer = owned(call)
  local is_source = object.object == "source"
  call:emit("customer.source.deleted", object)
  if is_source then
    call.store:update(object, { customer = store.absent, status = "consumed" })
  else
    call.store:delete(object)
  end
  if customer.default_source == object.id then
    local other = newest_source(call, customer)
    call:apply(customer, { default_source = other and other.id or null })
  end
  return is_source and object or { id = object.id, object = object.object, deleted = true }
end

sources.operations["customers.payment_sources.verify"] = function(call)
  local account = owned(call)
  if account.object ~= "bank_account" then error(errors.missing("bank account", account.id, "id", 404)) end
  refuse_if(not among("new validated", account.status),
    "This bank account cannot be verified: it is %s.", nil, nil, account.status)
  if intents.are_microdeposits(call.params.amounts or {}) then
    return call:apply(account, { status = "verified" }, "customer.source.updated")
  end
  local private = call:note(account)
  private.attempts = (private.attempts or 0) + 1
  if private.attempts >= MOST_ATTEMPTS then
    call:apply(account, { status = "verification_failed" }, "customer.source.updated")
  end
  return nil, errors.invalid {
    code = "bank_account_verification_failed", message = "These are not the amounts that were sent.", param = "amounts",
  }
end

-- ---- Charging

local function check_chargeable(object, customer)
  local owner = given(object.customer)
  if owner and owner ~= customer then
    refuse(customer and ("Customer %s does not have a linked source with ID '%s'."):format(customer, object.id)
      or ("The source %s belongs to a customer, who must be named."):format(object.id),
      customer and "source" or "customer", "missing")
  end
  refuse_if(object.object == "source" and object.status ~= "chargeable",
    "The source %s is %s: it cannot be charged.", "source", "invalid_source_usage", object.id, object.status)
  refuse_if(object.object == "bank_account" and object.status ~= "verified",
    "Verify this bank account before it is charged.", "source", "bank_account_unverified")
end

--- What an id given as `source` charges: {object, held, token?}; raises if it cannot be charged.
function sources.to_charge(call, id, customer)
  local object = any_kind(call, id)
  if object then
    check_chargeable(object, customer)
    return { object = object, held = methods.held(call, id) or methods.of_source(call, object) }
  end
  if not id:find "^b?tok_" then error(errors.missing("source", id, "source")) end
  local token, note = sources.token(call, id, "source")
  object = token.card or token.bank_account or error(errors.missing("token", id, "source"))
  check_chargeable(object, customer)
  local view = token.card and methods.of_card or methods.of_bank_account
  return { object = object, held = view(call, object, note), token = token }
end

function sources.used(call, paying)
  if paying.token then sources.use_token(call, paying.token) end
  local consumed = paying.object.object == "source" and paying.object.usage ~= "reusable"
  if consumed then call.store:update(paying.object, { status = "consumed" }) end
end

return sources
