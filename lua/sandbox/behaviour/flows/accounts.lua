--- Connected accounts: each is an object in the platform's store and a partition of its own, which Stripe-Account
-- names.
--
-- What an account may do follows from its capabilities (REVIEWED ones wait a day of the clock, the rest are active
-- when requested): charges_enabled from card_payments, payouts_enabled from transfers and an external account. A
-- standard account gets its capabilities when it is onboarded, by the helper accounts.onboard. A rejected account may
-- do nothing.
--
-- Invariant: review() has run after every change; it alone sets what follows from the rest.
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local external = require "sandbox.flows.external_accounts"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local lists = require "sandbox.lists"

local null, array, given = host.null, host.array, common.given

local flow = { operations = {}, jobs = {}, helpers = {}, filters = {} }

local REVIEWED = "card_issuing treasury us_bank_account_ach_payments"

-- By the first word of the reason.
local REJECTED = { fraud = "rejected.fraud", terms = "rejected.terms_of_service" }

-- Who answers for what, by the type that an account is made as.
local CONTROLLERS = {
  standard = { fees = "account", losses = "stripe", collects = "stripe", dashboard = "full" },
  express = { fees = "application_express", losses = "application", collects = "stripe", dashboard = "express" },
  custom = { fees = "application_custom", losses = "application", collects = "application", dashboard = "none" },
}

local function controller_of(params)
  local asked, usual = params.controller or {}, CONTROLLERS[params.type or "standard"]
  return {
    fees = { payer = (asked.fees or {}).payer or usual.fees }, is_controller = true, type = "application",
    losses = { payments = (asked.losses or {}).payments or usual.losses },
    requirement_collection = asked.requirement_collection or usual.collects,
    stripe_dashboard = { type = (asked.stripe_dashboard or {}).type or usual.dashboard },
  }
end

local function settings_of(account)
  local settings = common.nested({ payouts = {
    debit_negative_balances = account.type ~= "custom", schedule = { delay_days = 2, interval = "daily" },
    statement_descriptor = null,
  } }, "account", "settings")
  settings.dashboard.timezone = "Etc/UTC"
  return settings
end

-- ---- What follows from the rest

local function due(account, has_external)
  local missing = array {}
  if not given(account.business_type) then table.insert(missing, "business_type") end
  if not has_external then table.insert(missing, "external_account") end
  if type((account.tos_acceptance or {}).date) ~= "number" then
    table.insert(missing, "tos_acceptance.date")
    table.insert(missing, "tos_acceptance.ip")
  end
  return missing
end

-- Adds to changes of an account what follows from it as it will be.
local function review_fields(call, account, changes)
  local after, note = common.as_changed(account, changes), call.platform:private(account)
  local function has(kind) return call.platform:newest(kind, { account = account.id })() ~= nil end
  local has_external, capabilities = has "bank_account" or has "card", after.capabilities
  local missing = note.onboarded and array {} or due(after, has_external)
  changes.requirements = common.changed(given(account.requirements) or common.nested({}, "account", "requirements"), {
    currently_due = missing, eventually_due = missing, past_due = missing, disabled_reason = note.rejected or null,
  })
  changes.details_submitted = note.onboarded or #due(after, true) == 0
  changes.charges_enabled = not note.rejected and capabilities.card_payments == "active"
  changes.payouts_enabled = not note.rejected and capabilities.transfers == "active"
    and (note.onboarded or has_external)
  return changes
end

--- Makes changes to an account, and what follows from them; one account.updated if anything changed.
function flow.review(call, account, changes)
  return call:apply(account, review_fields(call, account, changes or {}), "account.updated")
end

-- ---- Capabilities: views of what an account's `capabilities` and its note say

local function capability(call, account, name)
  local requested_at = (call.platform:private(account).requested or {})[name]
  return call:new("capability", {
    id = name, account = account.id, requested = requested_at ~= nil, requested_at = requested_at or null,
    status = account.capabilities[name] or "unrequested",
  })
end

-- The account's capabilities after a request {name = {requested = bool}}, noting when each was requested.
local function request_capabilities(call, account, wanted)
  local capabilities, note = host.copy(account.capabilities), call.platform:private(account)
  note.requested = note.requested or {}
  for name, wish in pairs(wanted or {}) do
    if wish.requested and not capabilities[name] then
      local waits = common.among(REVIEWED, name)
      capabilities[name], note.requested[name] = waits and "pending" or "active", call:now()
      if waits then call:later(common.DAY, "account.activate", { account = account.id, capability = name }) end
    elseif wish.requested == false then
      capabilities[name], note.requested[name] = nil, nil
    end
  end
  return capabilities
end

local function capability_fields() return common.type_of("account", "capabilities").fields end

local function set_capabilities(call, account, capabilities, changes)
  local before = account.capabilities
  changes = changes or {}
  changes.capabilities = capabilities
  flow.review(call, account, changes)
  for _, field in ipairs(capability_fields()) do
    local was = before[field.name]
    if was ~= capabilities[field.name] then
      call:emit("capability.updated", capability(call, account, field.name), { status = was or "unrequested" })
    end
  end
end

flow.jobs["account.activate"] = function(call, args)
  local account, name = call.store:get("account", args.account), args.capability
  if not account or account.capabilities[name] ~= "pending" then return end
  set_capabilities(call, account, common.changed(account.capabilities, { [name] = "active" }))
end

--- The connected account that the path's first id names; raises the API's 403.
function flow.of_path(call)
  local id = call.ids[1]
  return call.platform:get("account", id) or error(errors.new(403, "invalid_request_error", {
    code = "account_invalid",
    message = ("The provided key does not have access to account '%s' (or that account does not exist)."):format(id),
  }))
end

local function named_capability(call)
  local account, name = flow.of_path(call), call.ids[2]
  if common.type_of("account", "capabilities", name) then return account, name end
  error(errors.missing("capability", name, "capability", 404))
end

flow.operations["accounts.capabilities.retrieve"] = function(call) return capability(call, named_capability(call)) end

flow.operations["accounts.capabilities.list"] = function(call)
  local account, list = flow.of_path(call), array {}
  for _, field in ipairs(capability_fields()) do
    if account.capabilities[field.name] then list[#list + 1] = capability(call, account, field.name) end
  end
  return { object = "list", data = list, has_more = false, url = call.path }
end

flow.operations["accounts.capabilities.update"] = function(call)
  local account, name = named_capability(call)
  local wish = { [name] = { requested = call.params.requested } }
  set_capabilities(call, account, request_capabilities(call, account, wish))
  return capability(call, account, name)
end

-- ---- Accounts

-- The platform's own account, as GET /v1/account shows it: a plain business in the US that may do everything.
local function own(call)
  return call:new("account", {
    id = call.platform.account, type = "standard", country = "US", default_currency = "usd",
    charges_enabled = true, payouts_enabled = true, details_submitted = true, controller = { type = "account" },
    capabilities = { card_payments = "active", transfers = "active" }, settings = settings_of {},
    email = "owner@example.com", metadata = {},
  })
end

-- The person of an individual account, who stands in the account and among its persons.
local function individual_of(call, account, fields)
  local known = account.individual and call.platform:get("person", account.individual.id)
  if known then
    call:apply(known, generic.merge(known, fields))
    return host.copy(known)
  end
  local person = generic.build(common.with(call, fields, call.operation), "person")
  person.account = account.id
  person.relationship = generic.land(common.type_of("person", "relationship"), { representative = true })
  call.platform:insert(person, account.id)
  call:emit("person.created", person)
  return host.copy(person)
end

-- Takes from the params what is no plain field of an account. Returns that, the external account drafted.
local function particulars(call)
  local params = call.params
  local taken = { individual = params.individual, capabilities = params.capabilities }
  taken.external = params.external_account and external.draft(call, params.external_account)
  params.external_account, params.individual, params.capabilities = nil, nil, nil
  return taken
end

flow.operations["accounts.create"] = function(call)
  local params = call.params
  common.one_of(params, { "type", "controller" })
  local brought, account = particulars(call), generic.build(call)
  account.id, account.created, account.country = "acct_1" .. host.id(15), call:now(), params.country or "US"
  account.type = params.controller and "none" or params.type or "standard"
  account.controller = controller_of(params)
  account.default_currency = params.default_currency or common.currency_of(account.country)
  account.metadata, account.capabilities = account.metadata or {}, {}
  account.business_profile = account.business_profile or common.nested({}, "account", "business_profile")
  account.future_requirements = common.nested({}, "account", "future_requirements")
  if not params.settings then account.settings = settings_of(account) end
  call.platform:insert(account)
  account.capabilities = request_capabilities(call, account, brought.capabilities)
  if brought.individual then account.individual = individual_of(call, account, brought.individual) end
  if brought.external then external.attach(call, account.id, brought.external, {}) end
  call.platform:update(account, review_fields(call, account, {}))
  return account
end

flow.operations["accounts.retrieve"] = function(call)
  return call.ids[1] == call.platform.account and own(call) or flow.of_path(call)
end

flow.operations["accounts.retrieve_current"] = function(call)
  return call.platform:get("account", call.account) or own(call)
end

flow.operations["accounts.update"] = function(call)
  local account = flow.of_path(call)
  local brought = particulars(call)
  local changes = call:asked(account)
  if brought.individual then changes.individual = individual_of(call, account, brought.individual) end
  if brought.external then external.attach(call, account.id, brought.external, {}) end
  set_capabilities(call, account, request_capabilities(call, account, brought.capabilities), changes)
  return account
end

flow.operations["accounts.delete"] = function(call)
  local account = flow.of_path(call)
  call:emit("account.application.deauthorized", call:new("application", {
    id = call.platform.account:gsub("^acct_", "ca_"),
  }))
  call.platform:delete(account)
  return { id = account.id, object = "account", deleted = true }
end

local function reject(reason)
  return function(call)
    local account = flow.of_path(call)
    call.platform:private(account).rejected = reason and (REJECTED[call.params.reason:match "^%a+"] or reason)
    return flow.review(call, account)
  end
end

flow.operations["accounts.reject"] = reject "rejected.other"
flow.operations["accounts.unreject"] = reject(nil)

-- As if the account's owner had gone through the onboarding that an account link leads to.
flow.helpers["accounts.onboard"] = function(call, id)
  local account = call.platform:get("account", id) or error(errors.missing("account", id, "id"))
  call.platform:private(account).onboarded = true
  local gains = account.type == "standard" and { card_payments = "active", transfers = "active" } or {}
  set_capabilities(call, account, common.changed(account.capabilities, gains))
  return account
end

-- ---- What belongs to an account: the table alone answers, where there is that account

for name, act in pairs {
  ["external_accounts.list"] = lists.run, ["external_accounts.retrieve"] = generic.retrieve,
  ["persons.create"] = generic.create, ["persons.delete"] = generic.delete, ["persons.list"] = lists.run,
  ["persons.retrieve"] = generic.retrieve, ["persons.update"] = generic.update,
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

-- ---- Links

local function account_named(call)
  local id = call.params.account
  return call.platform:get("account", id) or error(errors.missing("account", id, "account"))
end

flow.operations["account_sessions.create"] = function(call)
  account_named(call)
  return generic.create(call)
end

flow.operations["account_links.create"] = function(call)
  local account, params = account_named(call), call.params
  if common.says_more(call) then common.need(params, "refresh_url", "return_url") end
  common.refuse_if(params.type == "account_update" and account.controller.requirement_collection ~= "application",
    "Account links of type account_update need an account whose requirements the platform collects.", "type")
  return generic.create(call)
end

flow.operations["accounts.login_links.create"] = function(call)
  local account = flow.of_path(call)
  common.refuse_if(account.controller.stripe_dashboard.type ~= "express",
    "Cannot create a login link for an account that is not an Express account: %s", nil, nil, account.id)
  return generic.create(call)
end

return flow
