--- Apps: secrets found by name and scope, of which there is one for each; OAuth, by which an account joins a platform.
local accounts = require "sandbox.flows.accounts"
local common = require "sandbox.flows.common"
local errors = require "sandbox.errors"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local spec = require "sandbox.spec"
local store = require "sandbox.store"

local flow = { operations = {} }

-- ---- Secrets: the payload is told only where `expand` names it

local function find(call)
  for secret in call.store:newest("apps.secret", { name = call.params.name }) do
    if store.equal(secret.scope, call.params.scope) then return secret end
  end
end

local function found(call) return find(call) or error(errors.missing("apps.secret", call.params.name, "name", 404)) end

local function shown(call, secret)
  local copy = host.copy(secret)
  if not common.contains(call.params.expand, "payload") then copy.payload = nil end
  return copy
end

flow.operations["apps.secrets.create"] = function(call)
  local old = find(call)
  if old then call.store:delete(old) end
  return shown(call, call.store:insert(generic.build(call)))
end

flow.operations["apps.secrets.find"] = function(call) return shown(call, found(call)) end

flow.operations["apps.secrets.delete_where"] = function(call)
  local secret = found(call)
  call.store:delete(secret)
  return common.changed(shown(call, secret), { deleted = true })
end

-- ---- OAuth, which has an error form of its own

local function refuse(code, description)
  local body = { error = code, error_description = description }
  return { status_code = 400, binary = host.encode(body, true), content_type = "application/json" }
end

local function tokens_of(call)
  local state = call.platform.state
  state.oauth = state.oauth or {}
  return state.oauth
end

local function grant(call, account)
  local refresh = "rt_" .. host.id(24)
  tokens_of(call)[refresh] = account
  return {
    access_token = "sk_test_" .. host.id(24), refresh_token = refresh, livemode = false,
    scope = call.params.scope or "read_only", stripe_publishable_key = "pk_test_" .. host.id(24),
    stripe_user_id = account, token_type = "bearer",
  }
end

-- A code, "ac_" and letters, makes an account, once.
local function grant_by_code(call, code)
  local tokens = tokens_of(call)
  if not code then return refuse("invalid_request", "No authorization code was given.") end
  if not code:find "^ac_%w+$" then return refuse("invalid_grant", "This authorization code does not exist.") end
  if tokens[code] then return refuse("invalid_grant", "This authorization code has been used already.") end
  local joining = common.with(call, { type = "standard" }, spec.operation "accounts.create")
  tokens[code] = accounts.operations["accounts.create"](joining).id
  return grant(call, tokens[code])
end

flow.operations["oauth.token"] = function(call)
  local params = call.params
  if params.grant_type == "authorization_code" then return grant_by_code(call, params.code) end
  local account = params.refresh_token and tokens_of(call)[params.refresh_token]
  return account and grant(call, account) or refuse("invalid_grant", "This refresh token does not exist.")
end

flow.operations["oauth.deauthorize"] = function(call)
  local id = call.params.stripe_user_id
  local account = id and call.platform:get("account", id)
  if not account then return refuse("invalid_client", "This application is not connected to that account.") end
  call.platform:delete(account)
  return { stripe_user_id = id }
end

return flow
