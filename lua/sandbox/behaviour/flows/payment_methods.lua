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
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local null, given, refuse, refuse_if = host.null, common.given, common.refuse, common.refuse_if

local methods = { operations = {}, resolvers = {} }

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

-- What cards of all shapes say.
methods.FACTS = { "country", "cvc_check", "exp_month", "exp_year", "fingerprint", "funding", "last4" }

local DEFAULT_CARD = { number = "4242424242424242", exp_month = 12, exp_year = 2034 }

--- How methods of a type pay: {pays, currencies?, saved?, details?, action?, later?}.
function methods.kind(type) return KINDS[type] or ANY_OTHER end

function methods.is_kind(type) return common.contains(common.type_of("payment_method", "type").values, type) end

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

--- The same number has the same fingerprint everywhere.
function methods.fingerprint(number)
  local hash = 0xcbf29ce484222325
  for i = 1, #number do hash = (hash ~ number:byte(i)) * 0x100000001b3 end
  return ("%016x"):format(hash)
end

-- ---- Cards

local function refuse_card(code, message, param)
  error(errors.card { code = code, message = message, param = param })
end

local function check_card(call, card)
  local month, year = tonumber(card.exp_month), tonumber(card.exp_year)
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
  if card.cvc and not card.cvc:find "^%d%d%d%d?$" then
    refuse_card("invalid_cvc", "Your card's security code is invalid.", "cvc")
  end
  return month, year
end

--- Reads a card as requests give it. Returns what is common to payment methods and legacy cards, and its note.
function methods.read_card(call, card)
  if not card.number then error(errors.parameter_missing "card[number]") end
  local row, number = cards.of_number(card.number)
  if row.decline == "incorrect_number" then
    refuse_card("incorrect_number", cards.decline("incorrect_number").message, "number")
  end
  local month, year = check_card(call, card)
  return {
    brand = cards.brand(number), country = row.country, exp_month = month, exp_year = year, funding = row.funding,
    fingerprint = row.number and methods.fingerprint(number) or host.id(16), last4 = number:sub(-4),
    cvc_check = card.cvc and "unchecked" or null,
  }, cards.note(row)
end

--- What the bank says of a card, once asked: pass, unless the test card fails; nothing about what was not given.
function methods.checks(note, cvc, line1, postal_code)
  local failing = cards.of_note(note).checks or {}
  local function check(name, value) return failing[name] or given(value) and "pass" or null end
  return {
    cvc_check = check("cvc_check", cvc), address_line1_check = check("address_line1_check", line1),
    address_postal_code_check = check("address_postal_code_check", postal_code),
  }
end

--- The checks of a method's card, with the address that is known of its holder.
function methods.card_checks(held, billing_details)
  local address, checked = given(billing_details.address) or {}, given(held.method.card.checks) or {}
  return methods.checks(held.note, checked.cvc_check, address.line1, address.postal_code)
end

local function show_card(method, facts, networks)
  method.card = common.nested(facts, "payment_method", "card")
  method.card.display_brand = facts.brand
  method.card.checks = { address_line1_check = null, address_postal_code_check = null, cvc_check = facts.cvc_check }
  method.card.networks = { available = host.array(networks or { facts.brand }), preferred = null }
  method.card.regulated_status = "unregulated"
  method.card.three_d_secure_usage = { supported = facts.brand ~= "diners" }
end

-- ---- Drawing up a method

-- What a bank's details say that nobody sends.
local BANKS = {
  us_bank_account = { bank_name = "STRIPE TEST BANK", account_holder_type = "individual", account_type = "checking" },
  acss_debit = { bank_name = "STRIPE TEST BANK" },
  nz_bank_account = { bank_name = "STRIPE TEST BANK" },
}

local function bank_details(kind, bank)
  local details = common.nested(common.changed(BANKS[kind] or {}, bank), "payment_method", kind)
  local number = bank.account_number or bank.iban
  if not number then return details, {} end
  number = number:gsub("%s", "")
  refuse_if(bank.iban and not number:find "^%u%u%d%d%w+$",
    "The IBAN you provided is invalid.", "sepa_debit[iban]")
  details.last4 = number:sub(-4)
  if details.fingerprint then details.fingerprint = methods.fingerprint(number) end
  if details.networks then details.networks = { preferred = "ach", supported = host.array { "ach" } } end
  if bank.iban then details.country, details.bank_code = number:sub(1, 2), number:sub(5, 9) end
  return details, { account = cards.account(kind, number) }
end

-- A method without details, not stored. `legacy`: the object that it shows, by whose id it goes.
local function new_method(call, kind, legacy)
  local address = common.nested({}, "payment_method", "billing_details", "address")
  return call:new("payment_method", {
    id = legacy and legacy.id or call.store:new_id "pm_", created = call:now(), type = kind,
    customer = legacy and legacy.customer or null, metadata = legacy and legacy.metadata or {},
    billing_details = common.nested({ address = address }, "payment_method", "billing_details"),
    allow_redisplay = "unspecified",
  })
end

local function of_new_card(call, card)
  local method, facts, note = new_method(call, "card"), methods.read_card(call, card)
  show_card(method, facts, cards.of_note(note).networks)
  return { method = method, note = note, fresh = true }
end

local function of_token(call, id)
  local token, note = require("sandbox.flows.sources").token(call, id, "card[token]")
  if not token.card then refuse("This token is no card's: " .. id, "card[token]") end
  local held = methods.of_card(call, token.card, note)
  held.method.id, held.method.customer, held.fresh, held.token = call.store:new_id "pm_", null, true, token
  return held
end

--- A method as params of payment_methods.create, or payment_method_data, describe it; not yet stored.
function methods.draft(call, params, param)
  local kind = params.type
  if not kind then error(errors.parameter_missing(param and param .. "[type]" or "type")) end
  if not params[kind] and methods.kind(kind).details then
    error(errors.parameter_missing(param and ("%s[%s]"):format(param, kind) or kind))
  end
  local held
  local details = params[kind] or {}
  if kind == "card" then
    held = details.token and of_token(call, details.token) or of_new_card(call, details)
  else
    held = { method = new_method(call, kind), fresh = true }
    held.method[kind], held.note = bank_details(kind, details)
  end
  for name, value in pairs(generic.merge(held.method, {
    metadata = params.metadata, allow_redisplay = params.allow_redisplay, billing_details = params.billing_details,
  })) do
    held.method[name] = value
  end
  return held
end

-- ---- What older things look like as payment methods: under the same id, never stored

function methods.of_card(call, card, note)
  local method, facts = new_method(call, "card", card), {}
  for _, name in ipairs(methods.FACTS) do facts[name] = card[name] end
  facts.brand = card.brand:lower():gsub("american express", "amex"):gsub("diners club", "diners")
  show_card(method, facts)
  local details = method.billing_details
  details.name = card.name or null
  for _, name in ipairs { "city", "country", "line1", "line2", "state" } do
    details.address[name] = card["address_" .. name] or null
  end
  details.address.postal_code = card.address_zip or null
  return { method = method, note = note }
end

function methods.of_bank_account(call, account, note)
  local method = new_method(call, "us_bank_account", account)
  method.us_bank_account = bank_details("us_bank_account", account)
  method.billing_details.name = account.account_holder_name
  return { method = method, note = note }
end

function methods.of_source(call, source)
  local method = new_method(call, source.type, source)
  method[source.type] = common.nested({}, "payment_method", source.type)
  return { method = method, note = {} }
end

local function of_legacy(call, id)
  local card, account = call.store:get("card", id), call.store:get("bank_account", id)
  if card then return methods.of_card(call, card, call:note(card)) end
  if account then return methods.of_bank_account(call, account, call:note(account)) end
  local source = call.store:get("source", id)
  if source and source.card then
    local card_of = common.changed(source.card, { id = id, customer = source.customer })
    return methods.of_card(call, card_of, call:note(source))
  end
end

-- ---- Picking and keeping

local function account_number(id) return cards.account_named(id:match "^pm_usBankAccount_(.+)" or "") end

local function card_row(id) return id:find "^pm_card_" and cards.of_name(id) end

--- The method that an id stands for, with its note; nil if none does. One of a test name is made anew each time.
function methods.held(call, id)
  local method = call.store:get("payment_method", id)
  if method then return { method = method, note = call:note(method) } end
  local number, row = account_number(id), card_row(id)
  if number then
    local details = { account_number = number, routing_number = "110000000" }
    return methods.draft(call, { type = "us_bank_account", us_bank_account = details })
  end
  if row then return of_new_card(call, { number = row.number, exp_month = 12, exp_year = 2034 }) end
  return of_legacy(call, id)
end

--- The same; raises resource_missing naming `param` (a 404 without one: the id stood in the path).
function methods.pick(call, id, param)
  return methods.held(call, id) or error(errors.missing("PaymentMethod", id, param or "id", not param and 404 or nil))
end

--- Notes of a stored object what it will do when it pays. Returns its note.
function methods.remember(call, object, note)
  local private = call:note(object)
  for name, value in pairs(note) do private[name] = host.copy(value) end
  return private
end

--- Stores what was picked or drafted, if it is new. Returns the method.
function methods.keep(call, held)
  if not held.fresh then return held.method end
  call.store:insert(held.method)
  held.fresh, held.note = nil, methods.remember(call, held.method, held.note)
  if held.token then require("sandbox.flows.sources").use_token(call, held.token) end
  return held.method
end

function methods.resolvers.payment_method(call, id, only_ask)
  if only_ask then return card_row(id) or account_number(id) or of_legacy(call, id) end
  local held = methods.held(call, id)
  return held and methods.keep(call, held)
end

-- ---- Using, attaching, detaching

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

function methods.check_attachable(held, customer)
  methods.check_usable(held, customer, true)
  refuse_if(not methods.kind(held.method.type).saved, "A payment method of type %s cannot be attached to a customer.",
    "payment_method", "payment_method_unsupported_type", held.method.type)
  local decline = methods.refusal(held)
  if decline then error(methods.declined(decline, { payment_method = held.method })) end
end

--- Attaches a stored method to a customer: its checks are made, payment_method.attached tells of it.
function methods.attach(call, held, customer)
  local method = held.method
  if method.customer == customer then return method end
  local card = method.type == "card" or nil
  if card then card = common.changed(method.card, { checks = methods.card_checks(held, method.billing_details) }) end
  call.store:update(method, { customer = customer, card = card })
  call:emit("payment_method.attached", method)
  return method
end

--- Detaches a method for good; a customer that pays with it by default no longer does.
function methods.detach(call, method)
  local customer = call.store:get("customer", method.customer)
  call:note(method).spent = true
  call:apply(method, { customer = null }, "payment_method.detached")
  local settings = customer and customer.invoice_settings
  if settings and settings.default_payment_method == method.id then
    call:apply(customer, { invoice_settings = common.changed(settings, { default_payment_method = null }) })
  end
  return method
end

--- What a charge, or a setup attempt, shows of an authentication that succeeded.
function methods.authenticated(kind)
  return common.nested({
    authentication_flow = "challenge", result = "authenticated", result_reason = null, version = "2.2.0",
    electronic_commerce_indicator = "05", transaction_id = host.id(20),
  }, kind, "payment_method_details", "card", "three_d_secure")
end

-- ---- Operations

methods.operations["payment_methods.create"] = function(call)
  local params = call.params
  if params.payment_method then -- a copy of it, without its customer
    local held = methods.pick(call, params.payment_method, "payment_method")
    local fresh = { id = call.store:new_id "pm_", customer = null, created = call:now() }
    local note = { card = held.note.card, account = held.note.account }
    return methods.keep(call, { method = common.changed(held.method, fresh), note = note, fresh = true })
  end
  if not common.says_more(call) then params.type, params.card = "card", DEFAULT_CARD end
  return methods.keep(call, methods.draft(call, params))
end

methods.operations["payment_methods.retrieve"] = function(call)
  return methods.keep(call, methods.pick(call, call.ids.payment_method))
end

methods.operations["payment_methods.attach"] = function(call)
  local held = methods.pick(call, call.ids.payment_method)
  local customer = call.params.customer or call.params.customer_account
  if not customer then error(errors.parameter_missing "customer") end
  methods.check_attachable(held, customer)
  methods.keep(call, held)
  return methods.attach(call, held, customer)
end

methods.operations["payment_methods.detach"] = function(call)
  local method = methods.pick(call, call.ids.payment_method).method
  refuse_if(method.customer == null or not call.store:get("payment_method", method.id),
    "The payment method you provided is not attached to a customer, so it cannot be detached.",
    "payment_method", "payment_method_unexpected_state")
  return methods.detach(call, method)
end

methods.operations["customers.payment_methods.retrieve"] = function(call)
  local id = call.ids.payment_method
  local method = methods.pick(call, id).method
  return method.customer == call.ids.customer and method or error(errors.missing("PaymentMethod", id, "id", 404))
end

return methods
