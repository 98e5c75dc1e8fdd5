--- Payment methods: what a customer pays with, in one shape for every type.
--
--   created → attached → detached (and then of no more use)
--
-- What a method will do when it pays (its test card, its test account) stands in its note: {card = number},
-- {decline = code} or {account = {failure = …}}, never a number that is no test number. `spent` is noted of a method
-- that paid without a customer, or was detached; `set_up` of one that its holder authenticated for later use.
--
-- Other flows pick a method (nothing is stored yet), check all that may be refused, then keep it:
--   held = methods.pick(call, id, param) → {method, note, fresh?}     id: pm_…, pm_card_visa, a legacy card_…, src_…
--   held = methods.draft(call, params) of payment_method_data         methods.keep(call, held) → the method, stored
local cards = require "sandbox.cards"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null = host.null
local refuse = common.refuse

local methods = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

-- Of each type: how it pays, in which currencies (- for all), whether it may be `saved` with a customer, whether it
-- needs `details` to be made, the next_action that is its own, whether it is settled `later` than the redirect. It pays
-- now, delayed (a debit that settles later), or waits for the customer: redirect, voucher, transfer.
local KINDS = {}
for row in ([[
  acss_debit delayed cad,usd saved details; affirm redirect usd,cad; afterpay_clearpay redirect -;
  alipay redirect - saved alipay_handle_redirect; alma redirect eur; amazon_pay redirect - saved;
  au_becs_debit delayed aud saved details; bacs_debit delayed gbp saved details; bancontact redirect eur;
  bizum redirect eur; blik redirect pln saved blik_authorize; boleto voucher brl saved details boleto_display_details;
  card now - saved details; card_present now -; cashapp redirect usd saved cashapp_handle_redirect_or_display_qr_code;
  custom now - saved; customer_balance transfer - saved display_bank_transfer_instructions; eps redirect eur;
  fpx redirect myr details; giropay redirect eur; ideal redirect eur; interac_present now cad;
  kakao_pay redirect krw saved; klarna redirect - saved; konbini voucher jpy konbini_display_details;
  kr_card redirect krw saved; link now - saved; mb_way redirect eur; mobilepay redirect dkk,eur,nok,sek;
  multibanco voucher eur multibanco_display_details; naver_pay redirect krw saved;
  nz_bank_account delayed nzd saved details; oxxo voucher mxn oxxo_display_details; p24 redirect eur,pln;
  pay_by_bank redirect eur,gbp; payco redirect krw; paynow redirect sgd paynow_display_qr_code;
  paypal redirect - saved; payto delayed aud saved; pix redirect brl saved pix_display_qr_code;
  promptpay redirect thb promptpay_display_qr_code; revolut_pay redirect - saved; satispay redirect eur saved;
  sepa_debit delayed eur saved details; sofort redirect eur details later;
  swish redirect sek swish_handle_redirect_or_display_qr_code; twint redirect chf saved;
  upi redirect inr saved upi_handle_redirect_or_display_qr_code; us_bank_account delayed usd saved details;
  wechat_pay redirect - wechat_pay_display_qr_code;
]]):gmatch "[^;]+" do
  local type, pays, currencies, more = row:match "(%S+) (%S+) (%S+)(.*)"
  if type then
    KINDS[type] = {
      pays = pays, currencies = currencies ~= "-" and currencies or nil, saved = more:find " saved" ~= nil,
      details = more:find " details" ~= nil, later = more:find " later" ~= nil, action = more:match "%a+_%S+",
    }
  end
end
local ANY_OTHER = { pays = "redirect" }

-- What a bank's details say that nobody sends.
local BANKS = {
  us_bank_account = { bank_name = "STRIPE TEST BANK", account_holder_type = "individual", account_type = "checking" },
  acss_debit = { bank_name = "STRIPE TEST BANK" },
  sepa_debit = { branch_code = "" },
  nz_bank_account = { bank_name = "STRIPE TEST BANK" },
}

-- What cards of all shapes say.
local FACTS = { "country", "cvc_check", "exp_month", "exp_year", "fingerprint", "funding", "last4" }
methods.FACTS = FACTS

local DEFAULT_CARD = { number = "4242424242424242", exp_month = 12, exp_year = 2034 }

--- How methods of a type pay: {pays, currencies?, saved?, details?, action?, later?}.
function methods.kind(type) return KINDS[type] or ANY_OTHER end

--- Whether there are methods of this type.
function methods.is_kind(type)
  for _, known in ipairs(spec.object("payment_method").by_name.type.values) do
    if known == type then return true end
  end
  return false
end

--- Whether a type can pay in a currency.
function methods.takes(type, currency)
  local list = methods.kind(type).currencies
  return not list or list:find(currency, 1, true) ~= nil
end

--- The types that a payment in this currency takes when the request names none.
function methods.usual(currency)
  local types = host.array { "card" }
  for _, type in ipairs { "bancontact", "cashapp", "eps", "ideal", "klarna", "link", "p24", "us_bank_account" } do
    if methods.takes(type, currency) then types[#types + 1] = type end
  end
  return types
end

--- A nested object of a kind with all its fields, empty: blank("charge", "payment_method_details", "card").
function methods.blank(kind, ...)
  local t = spec.object(kind)
  for _, name in ipairs { ... } do t = spec.fields(t)[name] end
  return t and t.fields and shape.nested(t) or {}
end

-- Sets those fields of a blank object that `given` has, by the table.
local function land(object, given, fields)
  for name, value in pairs(given) do
    if fields[name] then object[name] = host.copy(value) end
  end
  return object
end

--- The same number has the same fingerprint everywhere.
function methods.fingerprint(number)
  local digits, hash, out = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 0xcbf29ce484222325, {}
  for i = 1, 16 do
    for j = 1, #number do hash = (hash ~ number:byte(j) ~ i) * 0x100000001b3 end
    local at = (hash >> 20) % #digits + 1
    out[i] = digits:sub(at, at)
  end
  return table.concat(out)
end

local function refuse_card(code, message, param)
  error(errors.card { code = code, message = message, param = param })
end

local function check_card(call, given)
  local month, year = tonumber(given.exp_month), tonumber(given.exp_year)
  if not month then error(errors.parameter_missing "card[exp_month]") end
  if not year then error(errors.parameter_missing "card[exp_year]") end
  if month < 1 or month > 12 then
    refuse_card("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
  end
  if year < 100 then year = year + 2000 end
  local today = os.date("!*t", call:now())
  if year < today.year or year > today.year + 50 or year == today.year and month < today.month then
    refuse_card("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
  end
  if given.cvc and not given.cvc:find "^%d%d%d%d?$" then
    refuse_card("invalid_cvc", "Your card's security code is invalid.", "cvc")
  end
  return month, year
end

--- Reads a card as requests give it. Returns what is common to payment methods and legacy cards, and its note.
function methods.read_card(call, given)
  if not given.number then error(errors.parameter_missing "card[number]") end
  local row, number = cards.of_number(given.number)
  if row.decline == "incorrect_number" then
    refuse_card("incorrect_number", cards.decline("incorrect_number").message, "number")
  end
  local month, year = check_card(call, given)
  return {
    brand = cards.brand(number), country = row.country, exp_month = month, exp_year = year, funding = row.funding,
    fingerprint = row.number and methods.fingerprint(number) or host.id(16), last4 = number:sub(-4),
    cvc_check = given.cvc and "unchecked" or null,
  }, cards.note(row)
end

--- What the bank says of a card, once asked: pass, unless the test card fails; nothing about what was not given.
function methods.checks(note, details)
  local row = cards.of_note(note)
  local function check(name, given) return row.checks and row.checks[name] or given and "pass" or null end
  return {
    cvc_check = check("cvc_check", details.cvc),
    address_line1_check = check("address_line1_check", details.line1),
    address_postal_code_check = check("address_postal_code_check", details.postal_code),
  }
end

local function card_method(method, facts, networks)
  local card = methods.blank("payment_method", "card")
  land(card, facts, spec.fields(spec.object("payment_method").by_name.card))
  card.display_brand = facts.brand
  card.checks = { address_line1_check = null, address_postal_code_check = null, cvc_check = facts.cvc_check }
  card.networks = { available = host.array(networks or { facts.brand }), preferred = null }
  card.regulated_status = "unregulated"
  card.three_d_secure_usage = { supported = facts.brand ~= "diners" }
  method.card = card
end

local function bank_details(kind, given)
  local fields = spec.fields(spec.object("payment_method").by_name[kind])
  local details = land(land(methods.blank("payment_method", kind), BANKS[kind] or {}, fields), given, fields)
  local number = given.account_number or given.iban
  if not number then return details, {} end
  number = number:gsub("%s", "")
  if given.iban and not number:find "^%u%u%d%d%w+$" then
    refuse("The IBAN you provided is invalid.", "sepa_debit[iban]")
  end
  details.last4 = number:sub(-4)
  if fields.fingerprint then details.fingerprint = methods.fingerprint(number) end
  if fields.networks then details.networks = { preferred = "ach", supported = host.array { "ach" } } end
  if given.iban then details.country, details.bank_code = number:sub(1, 2), number:sub(5, 9) end
  return details, { account = cards.account(kind, number) }
end

-- A method without details, not stored. `legacy`: the object that it shows, by whose id it goes.
local function new_method(call, kind, legacy)
  local method = shape.new "payment_method"
  method.id, method.created, method.type = legacy and legacy.id or call.store:new_id "pm_", call:now(), kind
  method.customer, method.metadata = legacy and legacy.customer or null, legacy and legacy.metadata or {}
  method.billing_details = methods.blank("payment_method", "billing_details")
  method.billing_details.address = methods.blank("payment_method", "billing_details", "address")
  return method
end

-- A method of a row of the test cards.
local function of_row(call, row)
  local method = new_method(call, "card")
  local facts = methods.read_card(call, { number = row.number, exp_month = 12, exp_year = 2034 })
  card_method(method, facts, row.networks)
  return { method = method, note = cards.note(row), fresh = true }
end

-- Billing details with what was given of them.
local function billing(details, given)
  local fields = spec.fields(spec.object("payment_method").by_name.billing_details)
  local landed = land(host.copy(details), given, fields)
  if type(given.address) == "table" then
    local blank = methods.blank("payment_method", "billing_details", "address")
    landed.address = land(blank, given.address, spec.fields(fields.address))
  end
  return landed
end

local function token_method(call, id)
  local token, note = require("sandbox.flows.sources").token(call, id, "card[token]")
  if not token.card then refuse("This token is no card's: " .. id, "card[token]") end
  local held = methods.of_card(call, token.card, note)
  held.method.id, held.method.customer, held.fresh, held.token = call.store:new_id "pm_", null, true, token
  return held
end

--- A method as params of payment_methods.create, or payment_method_data, describe it; not yet stored.
function methods.draft(call, given, param)
  local kind = given.type
  if not kind then error(errors.parameter_missing(param and param .. "[type]" or "type")) end
  local details = given[kind]
  if not details and methods.kind(kind).details then
    error(errors.parameter_missing(param and ("%s[%s]"):format(param, kind) or kind))
  end
  local held
  if kind == "card" and details.token then
    held = token_method(call, details.token)
  else
    held = { method = new_method(call, kind), fresh = true }
    if kind == "card" then
      local facts, note = methods.read_card(call, details)
      card_method(held.method, facts, cards.of_note(note).networks)
      held.note = note
    else
      held.method[kind], held.note = bank_details(kind, details or {})
    end
  end
  local method = held.method
  method.metadata = host.copy(given.metadata or {})
  method.allow_redisplay = given.allow_redisplay or method.allow_redisplay or "unspecified"
  if given.billing_details then method.billing_details = billing(method.billing_details, given.billing_details) end
  return held
end

--- A legacy card, as a payment method shows it: the same id, never stored.
function methods.of_card(call, card, note)
  local method, facts = new_method(call, "card", card), {}
  for _, name in ipairs(FACTS) do facts[name] = card[name] end
  facts.brand = card.brand:lower():gsub("american express", "amex"):gsub("diners club", "diners")
  card_method(method, facts)
  local details = method.billing_details
  details.name = card.name or null
  for _, name in ipairs { "city", "country", "line1", "line2", "state" } do
    details.address[name] = card["address_" .. name] or null
  end
  details.address.postal_code = card.address_zip or null
  return { method = method, note = note }
end

--- A legacy bank account, as a payment method shows it.
function methods.of_bank_account(call, account, note)
  local method = new_method(call, "us_bank_account", account)
  method.us_bank_account = bank_details("us_bank_account", account)
  method.billing_details.name = account.account_holder_name
  return { method = method, note = note }
end

--- A Source of a type other than card, as a payment method shows it.
function methods.of_source(call, source)
  local method = new_method(call, source.type, source)
  method[source.type] = methods.blank("payment_method", source.type)
  return { method = method, note = {} }
end

-- What a legacy id stands for.
local function of_legacy(call, id)
  local store = call.store
  local card = store:get("card", id)
  if card then return methods.of_card(call, card, store:private(card)) end
  local account = store:get("bank_account", id)
  if account then return methods.of_bank_account(call, account, store:private(account)) end
  local source = store:get("source", id)
  if source and source.card then
    local as_card = host.copy(source.card)
    as_card.id, as_card.customer = id, source.customer
    return methods.of_card(call, as_card, store:private(source))
  end
end

--- The method that an id stands for, with its note; nil if none does. One of a test name is made anew each time.
function methods.held(call, id)
  local method = call.store:get("payment_method", id)
  if method then return { method = method, note = call.store:private(method) } end
  local account = id:match "^pm_usBankAccount_(.+)"
  local number = account and cards.account_named(account)
  if number then
    local details = { account_number = number, routing_number = "110000000" }
    return methods.draft(call, { type = "us_bank_account", us_bank_account = details })
  end
  local row = id:find "^pm_card_" and cards.of_name(id)
  if row then return of_row(call, row) end
  return of_legacy(call, id)
end

--- The same; raises resource_missing naming `param` (a 404 without one: the id stood in the path).
function methods.pick(call, id, param)
  return methods.held(call, id) or error(errors.missing("PaymentMethod", id, param or "id", not param and 404 or nil))
end

--- Notes of a stored object what it will do when it pays. Returns its note.
function methods.remember(call, object, note)
  local private = call.store:private(object)
  for name, value in pairs(note) do private[name] = host.copy(value) end
  return private
end

--- Stores what was picked or drafted, if it is new. Returns the method.
function methods.keep(call, held)
  if not held.fresh then return held.method end
  call.store:insert(held.method)
  local private = methods.remember(call, held.method, held.note)
  if held.token then require("sandbox.flows.sources").use_token(call, held.token) end
  held.fresh, held.note = nil, private
  return held.method
end

function methods.resolvers.payment_method(call, id, only_ask)
  if only_ask then
    return id:find "^pm_card_" and cards.of_name(id) or cards.account_named(id:match "^pm_usBankAccount_(.+)" or "")
      or of_legacy(call, id)
  end
  local held = methods.held(call, id)
  return held and methods.keep(call, held)
end

--- Raises unless a method may be used (or, `attaching`, attached) with this customer (an id, or null).
function methods.check_usable(held, customer, attaching)
  local owner = held.method.customer
  if held.note.spent then
    refuse("This PaymentMethod was used before without being attached to a Customer, or was detached from one, and may"
      .. " not be used again. To use a PaymentMethod several times, attach it to a Customer first.",
      "payment_method", "payment_method_unexpected_state")
  end
  if owner == null or owner == customer then return end
  refuse(attaching and "The payment method you provided is attached to another customer already."
    or ("The payment method %s belongs to the customer %s: name that customer."):format(held.method.id, owner),
    "payment_method", "payment_method_unexpected_state")
end

--- The 402 of a declining card, before anything was charged.
function methods.declined(decline, fields)
  local known = cards.decline(decline)
  fields.code, fields.decline_code, fields.message = known.code, known.decline_code, known.message
  fields.param, fields.advice_code = known.param, known.advice
  return errors.card(fields)
end

--- The decline that attaching or setting up this method meets, or nil.
function methods.refusal(held)
  local row = cards.of_note(held.note)
  return not row.attaches and row.decline or nil
end

--- Attaches a stored method to a customer: its checks are made, payment_method.attached tells of it.
function methods.attach(call, held, customer)
  local method = held.method
  if method.customer == customer then return method end
  local changes = { customer = customer }
  if method.type == "card" then
    changes.card = host.copy(method.card)
    local address = method.billing_details.address
    if address == null then address = { line1 = null, postal_code = null } end
    changes.card.checks = methods.checks(held.note, {
      cvc = method.card.checks ~= null and method.card.checks.cvc_check ~= null, line1 = address.line1 ~= null,
      postal_code = address.postal_code ~= null,
    })
  end
  call.store:update(method, changes)
  events.emit(call, "payment_method.attached", method)
  return method
end

--- Detaches a method for good; a customer that pays with it by default no longer does.
function methods.detach(call, method)
  local customer = call.store:get("customer", method.customer)
  call.store:private(method).spent = true
  generic.apply(call, method, { customer = null }, "payment_method.detached")
  local settings = customer and customer.invoice_settings
  if settings and settings.default_payment_method == method.id then
    settings = host.copy(settings)
    settings.default_payment_method = null
    generic.apply(call, customer, { invoice_settings = settings })
  end
  return method
end

--- What a charge, or a setup attempt, shows of an authentication that succeeded.
function methods.authenticated(kind)
  local secure = methods.blank(kind, "payment_method_details", "card", "three_d_secure")
  secure.authentication_flow, secure.result, secure.result_reason = "challenge", "authenticated", null
  secure.version, secure.electronic_commerce_indicator, secure.transaction_id = "2.2.0", "05", host.id(20)
  return secure
end

-- ---- Operations

methods.operations["payment_methods.create"] = function(call)
  local given = call.params
  if not common.says_more(call) then
    given = { type = "card", card = DEFAULT_CARD, metadata = given.metadata }
  elseif given.payment_method then
    local held = methods.pick(call, given.payment_method, "payment_method")
    local method, note = host.copy(held.method), { card = held.note.card, account = held.note.account }
    method.id, method.customer, method.created = call.store:new_id "pm_", null, call:now()
    return methods.keep(call, { method = method, note = note, fresh = true })
  end
  return methods.keep(call, methods.draft(call, given))
end

methods.operations["payment_methods.retrieve"] = function(call)
  return methods.keep(call, methods.pick(call, call.ids.payment_method))
end

methods.operations["payment_methods.attach"] = function(call)
  local customer = call.params.customer or call.params.customer_account
  local held = methods.pick(call, call.ids.payment_method)
  if not customer then error(errors.parameter_missing "customer") end
  methods.check_usable(held, customer, true)
  if not methods.kind(held.method.type).saved then
    refuse(("A payment method of type %s cannot be attached to a customer."):format(held.method.type),
      "payment_method", "payment_method_unsupported_type")
  end
  local decline = methods.refusal(held)
  if decline then error(methods.declined(decline, { payment_method = held.method })) end
  methods.keep(call, held)
  return methods.attach(call, held, customer)
end

methods.operations["payment_methods.detach"] = function(call)
  local method = methods.pick(call, call.ids.payment_method).method
  if method.customer == null or not call.store:get("payment_method", method.id) then
    refuse("The payment method you provided is not attached to a customer, so it cannot be detached.",
      "payment_method", "payment_method_unexpected_state")
  end
  return methods.detach(call, method)
end

methods.operations["payment_methods.update"] = function(call)
  local method = call:target()
  local params = call.params
  local changes = generic.merge(method, { metadata = params.metadata, allow_redisplay = params.allow_redisplay })
  if params.billing_details then changes.billing_details = billing(method.billing_details, params.billing_details) end
  for _, kind in ipairs { "card", "us_bank_account" } do
    local given = params[kind]
    if given and method[kind] then
      changes[kind] = land(host.copy(method[kind]), given, spec.fields(spec.object("payment_method").by_name[kind]))
      local networks = given.networks and host.copy(method[kind].networks)
      if networks then
        networks.preferred, changes[kind].networks = given.networks.preferred or null, networks
      end
    end
  end
  return generic.apply(call, method, changes)
end

methods.operations["customers.payment_methods.retrieve"] = function(call)
  local held = methods.pick(call, call.ids.payment_method)
  if held.method.customer == call.ids.customer then return held.method end
  error(errors.missing("PaymentMethod", call.ids.payment_method, "id", 404))
end

return methods
