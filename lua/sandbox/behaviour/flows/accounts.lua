--- Connected accounts: each is an object in the platform's store and a partition of its own, which Stripe-Account
-- names.
--
-- What an account may do follows from its capabilities (REVIEWED ones wait a day of the clock, the rest are active
-- when requested): charges_enabled from card_payments, payouts_enabled from transfers and an external account. A
-- standard account gets its capabilities when it is onboarded, by the helper accounts.onboard. A rejected account may
-- do nothing.
--
-- Invariant: review() has run after every change; it alone sets what follows from the rest.
local clock = require "sandbox.clock"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local external = require "sandbox.flows.external_accounts"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local lists = require "sandbox.lists"
local shape = require "sandbox.shape"
local spec = require "sandbox.spec"

local null = host.null

local flow = { operations = {}, jobs = {}, helpers = {}, filters = {} }

local DAY, LINK_LIVES = 86400, 300

local REVIEWED = { card_issuing = true, treasury = true, us_bank_account_ach_payments = true }

-- By the first word of the reason.
local REJECTED = { fraud = "rejected.fraud", terms = "rejected.terms_of_service" }

-- Who answers for what, by the type that an account is made as.
local CONTROLLERS = {
  standard = { fees = "account", losses = "stripe", collects = "stripe", dashboard = "full" },
  express = { fees = "application_express", losses = "application", collects = "stripe", dashboard = "express" },
  custom = { fees = "application_custom", losses = "application", collects = "application", dashboard = "none" },
}

-- A nested field of an account, with all that it holds empty.
local function nested(name)
  return shape.nested(spec.object("account").by_name[name])
end

local function controller_of(params)
  local given, usual = params.controller or {}, CONTROLLERS[params.type or "standard"]
  return {
    fees = { payer = given.fees and given.fees.payer or usual.fees }, is_controller = true,
    losses = { payments = given.losses and given.losses.payments or usual.losses },
    requirement_collection = given.requirement_collection or usual.collects,
    stripe_dashboard = { type = given.stripe_dashboard and given.stripe_dashboard.type or usual.dashboard },
    type = "application",
  }
end

local function settings_of(account)
  local settings = nested "settings"
  settings.payouts = {
    debit_negative_balances = account.type ~= "custom", schedule = { delay_days = 2, interval = "daily" },
    statement_descriptor = null,
  }
  settings.dashboard.timezone = "Etc/UTC"
  return settings
end

-- ---- What follows from the rest

local function due(account, has_external)
  local missing = host.array {}
  local tos = account.tos_acceptance
  if account.business_type == nil or account.business_type == null then missing[#missing + 1] = "business_type" end
  if not has_external then missing[#missing + 1] = "external_account" end
  if not (tos and type(tos.date) == "number") then
    missing[#missing + 1] = "tos_acceptance.date"
    missing[#missing + 1] = "tos_acceptance.ip"
  end
  return missing
end

local function has_external_account(call, id)
  for _, kind in ipairs { "bank_account", "card" } do
    if call.platform:newest(kind, { account = id })() then return true end
  end
  return false
end

-- The fields that follow from an account as it would be with `changes`.
local function review_fields(call, account, changes)
  local function now(name)
    if changes[name] ~= nil then return changes[name] end
    return account[name]
  end
  local note = call.platform:private(account)
  local has_external = has_external_account(call, account.id)
  local onboarded, rejected = note.onboarded, note.rejected
  local capabilities = now "capabilities"
  local requirements = account.requirements and host.copy(account.requirements) or nested "requirements"
  local seen = { business_type = now "business_type", tos_acceptance = now "tos_acceptance" }
  requirements.currently_due = onboarded and host.array {} or due(seen, has_external)
  requirements.eventually_due = requirements.currently_due
  requirements.past_due = requirements.currently_due
  requirements.disabled_reason = rejected or null
  changes.requirements = requirements
  changes.details_submitted = onboarded or #due(seen, true) == 0
  changes.charges_enabled = not rejected and capabilities.card_payments == "active"
  changes.payouts_enabled = not rejected and capabilities.transfers == "active" and (onboarded or has_external) or false
  return changes
end

--- Makes changes to an account, and what follows from them; one account.updated if anything changed.
function flow.review(call, account, changes)
  return generic.apply(call, account, review_fields(call, account, changes or {}), "account.updated")
end

-- ---- Capabilities

-- The capability objects are views: what an account's `capabilities` and its note say.
local function capability(call, account, name)
  local object = shape.new "capability"
  local requested_at = (call.platform:private(account).requested or {})[name]
  object.id, object.account = name, account.id
  object.requested, object.requested_at = requested_at ~= nil, requested_at or null
  object.status = account.capabilities[name] or "unrequested"
  return object
end

local function status_when_requested(name)
  return REVIEWED[name] and "pending" or "active"
end

-- The account's capabilities after a request {name = {requested = bool}}, noting when each was requested.
local function request_capabilities(call, account, wanted)
  local capabilities, note = host.copy(account.capabilities), call.platform:private(account)
  note.requested = note.requested or {}
  for name, wish in pairs(wanted) do
    if wish.requested and not capabilities[name] then
      capabilities[name] = status_when_requested(name)
      note.requested[name] = call:now()
      if capabilities[name] == "pending" then
        clock.schedule(call, call:now() + DAY, "account.activate", { account = account.id, capability = name })
      end
    elseif wish.requested == false then
      capabilities[name], note.requested[name] = nil, nil
    end
  end
  return capabilities
end

local function set_capabilities(call, account, capabilities, changes)
  local before = account.capabilities
  changes = changes or {}
  changes.capabilities = capabilities
  flow.review(call, account, changes)
  for _, field in ipairs(spec.object("account").by_name.capabilities.fields) do
    local name = field.name
    if before[name] ~= capabilities[name] then
      local previous = { status = before[name] or "unrequested" }
      events.emit(call, "capability.updated", capability(call, account, name), previous)
    end
  end
end

flow.jobs["account.activate"] = function(call, args)
  local account = call.store:get("account", args.account)
  if not account or account.capabilities[args.capability] ~= "pending" then return end
  local capabilities = host.copy(account.capabilities)
  capabilities[args.capability] = "active"
  set_capabilities(call, account, capabilities)
end

local function check_capability(name)
  if spec.fields(spec.object("account").by_name.capabilities)[name] then return name end
  error(errors.missing("capability", name, "capability", 404))
end

flow.operations["accounts.capabilities.retrieve"] = function(call)
  return capability(call, flow.of_path(call), check_capability(call.ids[2]))
end

flow.operations["accounts.capabilities.list"] = function(call)
  local account, list = flow.of_path(call), host.array {}
  for _, field in ipairs(spec.object("account").by_name.capabilities.fields) do
    if account.capabilities[field.name] then list[#list + 1] = capability(call, account, field.name) end
  end
  return { object = "list", data = list, has_more = false, url = call.path }
end

flow.operations["accounts.capabilities.update"] = function(call)
  local account, name = flow.of_path(call), check_capability(call.ids[2])
  local wish = { [name] = { requested = call.params.requested } }
  set_capabilities(call, account, request_capabilities(call, account, wish))
  return capability(call, account, name)
end

-- ---- Accounts

--- The platform's own account, as GET /v1/account shows it: a plain business in the US that may do everything.
function flow.own(call)
  local account = shape.new "account"
  account.id, account.type, account.country, account.default_currency = call.platform.account, "standard", "US", "usd"
  account.charges_enabled, account.payouts_enabled, account.details_submitted = true, true, true
  account.capabilities = { card_payments = "active", transfers = "active" }
  account.controller = { type = "account" }
  account.settings = settings_of(account)
  account.email = "owner@example.com"
  account.metadata = {}
  return account
end

--- The connected account that the path's first id names; raises the API's 403.
function flow.of_path(call)
  local id = call.ids[1]
  local account = call.platform:get("account", id)
  if account then return account end
  error(errors.new(403, "invalid_request_error", {
    code = "account_invalid",
    message = ("The provided key does not have access to account '%s' (or that account does not exist)."):format(id),
  }))
end

-- The person of an individual account, who stands in the account and among its persons.
local function add_individual(call, account, fields)
  local person = generic.build(setmetatable({ params = fields }, { __index = call }), "person")
  person.account = account.id
  person.relationship = generic.land(spec.object("person").by_name.relationship, { representative = true })
  call.platform:insert(person, account.id)
  events.emit(call, "person.created", person)
  return host.copy(person)
end

flow.operations["accounts.create"] = function(call)
  local params = call.params
  if params.type and params.controller then
    common.refuse("You may only specify one of these parameters: type, controller.", "controller")
  end
  local external_account, individual = params.external_account, params.individual
  local wanted, drafted = params.capabilities or {}, external_account and { external.draft(call, external_account) }
  params.external_account, params.individual, params.capabilities = nil, nil, nil
  local account = generic.build(call)
  account.id = "acct_1" .. host.id(15)
  account.type = params.controller and "none" or params.type or "standard"
  account.controller = controller_of(params)
  account.country = params.country or "US"
  account.default_currency = params.default_currency or common.currency_of(account.country)
  account.metadata, account.capabilities = account.metadata or {}, {}
  account.business_profile = account.business_profile or nested "business_profile"
  account.future_requirements = nested "future_requirements"
  if not params.settings then account.settings = settings_of(account) end
  account.created = call:now()
  call.platform:insert(account)
  account.capabilities = request_capabilities(call, account, wanted)
  if individual then account.individual = add_individual(call, account, individual) end
  if drafted then external.attach(call, account.id, {}, table.unpack(drafted)) end
  call.platform:update(account, review_fields(call, account, {}))
  return account
end

flow.operations["accounts.retrieve"] = function(call)
  return call.ids[1] == call.platform.account and flow.own(call) or flow.of_path(call)
end

flow.operations["accounts.retrieve_current"] = function(call)
  return call.account ~= call.platform.account and call.platform:get("account", call.account) or flow.own(call)
end

flow.operations["accounts.update"] = function(call)
  local account, params = flow.of_path(call), call.params
  local external_account, individual, wanted = params.external_account, params.individual, params.capabilities
  local drafted = external_account and { external.draft(call, external_account) }
  params.external_account, params.individual, params.capabilities = nil, nil, nil
  local changes = generic.merge(account, params)
  if individual then
    local person = account.individual and call.platform:get("person", account.individual.id)
    if person then
      generic.apply(call, person, generic.merge(person, individual))
      changes.individual = host.copy(person)
    else
      changes.individual = add_individual(call, account, individual)
    end
  end
  if drafted then external.attach(call, account.id, {}, table.unpack(drafted)) end
  local capabilities = wanted and request_capabilities(call, account, wanted) or account.capabilities
  set_capabilities(call, account, capabilities, changes)
  return account
end

flow.operations["accounts.delete"] = function(call)
  local account = flow.of_path(call)
  local application = shape.new "application"
  application.id = call.platform.account:gsub("^acct_", "ca_")
  events.emit(call, "account.application.deauthorized", application)
  call.platform:delete(account)
  return { id = account.id, object = "account", deleted = true }
end

flow.operations["accounts.reject"] = function(call)
  local account = flow.of_path(call)
  call.platform:private(account).rejected = REJECTED[call.params.reason:match "^%a+"] or "rejected.other"
  return flow.review(call, account)
end

flow.operations["accounts.unreject"] = function(call)
  local account = flow.of_path(call)
  call.platform:private(account).rejected = nil
  return flow.review(call, account)
end

-- As if the account's owner had gone through the onboarding that an account link leads to.
flow.helpers["accounts.onboard"] = function(call, id)
  local account = call.platform:get("account", id) or error(errors.missing("account", id, "id"))
  call.platform:private(account).onboarded = true
  local capabilities = host.copy(account.capabilities)
  if account.type == "standard" then capabilities.card_payments, capabilities.transfers = "active", "active" end
  set_capabilities(call, account, capabilities)
  return account
end

-- ---- Persons

flow.operations["accounts.persons.create"] = function(call)
  local account = flow.of_path(call)
  return generic.create(call, { account = account.id })
end

-- What the table alone answers, of an account that there is.
for name, act in pairs {
  ["external_accounts.list"] = lists.run, ["external_accounts.retrieve"] = generic.retrieve,
  ["persons.delete"] = generic.delete, ["persons.list"] = lists.run, ["persons.retrieve"] = generic.retrieve,
  ["persons.update"] = function(call) return generic.update(call) end,
} do
  flow.operations["accounts." .. name] = function(call)
    flow.of_path(call)
    return act(call)
  end
end

-- `relationship` names what a person must be, one of them being enough.
flow.filters["accounts.persons.list"] = {
  relationship = function(_, wanted)
    return function(person)
      for name, wish in pairs(wanted) do
        if wish and person.relationship and person.relationship[name] == true then return true end
      end
      return false
    end
  end,
}

-- ---- Links and sessions

local function link(call, kind, path)
  local object = shape.new(kind)
  object.created = call:now()
  object.url = ("https://connect.stripe.com/%s/%s"):format(path, host.id(24))
  return object
end

local function account_named(call)
  local account = call.platform:get("account", call.params.account)
  return account or error(errors.missing("account", call.params.account, "account"))
end

flow.operations["account_links.create"] = function(call)
  local account, params = account_named(call), call.params
  for _, name in ipairs { "refresh_url", "return_url" } do
    if not params[name] and common.says_more(call) then error(errors.parameter_missing(name)) end
  end
  if params.type == "account_update" and account.controller.requirement_collection ~= "application" then
    common.refuse("Account links of type account_update need an account whose requirements the platform collects.",
      "type")
  end
  local object = link(call, "account_link", "setup/s/" .. account.id)
  object.expires_at = object.created + LINK_LIVES
  return object
end

flow.operations["account_sessions.create"] = function(call)
  account_named(call)
  local session = generic.build(call)
  session.client_secret = ("accs_secret__%s"):format(host.id(32))
  session.expires_at = call:now() + 1800
  return session
end

flow.operations["accounts.login_links.create"] = function(call)
  local account = flow.of_path(call)
  if account.controller.stripe_dashboard.type ~= "express" then
    common.refuse(("Cannot create a login link for an account that is not an Express account: %s"):format(account.id))
  end
  return link(call, "login_link", "express/" .. account.id)
end

return flow
