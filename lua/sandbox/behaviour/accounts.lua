--- Who calls: the key of a request, the account that it belongs to, and the one that Stripe-Account names.
---
--- Every test key is good. The part behind `sk_test_` or `rk_test_` names the platform, so that the keys of one account
--- see the same objects and two accounts see nothing of each other.

local base64 = require "sandbox.base64"
local errors = require "sandbox.errors"

local accounts = {}

-- What a publishable key may call; the rest needs a secret one.
local public = {
  ["tokens.create"] = true, ["tokens.retrieve"] = true, ["sources.create"] = true, ["sources.retrieve"] = true,
  ["payment_methods.create"] = true, ["payment_intents.confirm"] = true, ["payment_intents.retrieve"] = true,
  ["setup_intents.confirm"] = true, ["setup_intents.retrieve"] = true, ["confirmation_tokens.retrieve"] = true,
}

local function starred(key)
  if #key < 12 then return ("*"):rep(#key) end
  return key:sub(1, 7) .. ("*"):rep(#key - 11) .. key:sub(-4)
end

-- The key in an Authorization header: a bearer's, or a user's name with an empty password.
local function key_in(header)
  local scheme, rest = header:match "^(%a+)%s+(%S+)"
  if not scheme then return nil end
  scheme = scheme:lower()
  return scheme == "bearer" and rest or scheme == "basic" and base64.decode(rest):match "^[^:]*" or nil
end

-- The id of the account that keys with this secret part belong to: the same in every sandbox.
local function account_id(part)
  local hash = 0xcbf29ce484222325
  for i = 1, #part do hash = (hash ~ part:byte(i)) * 0x100000001b3 end
  return ("acct_1%015x"):format(hash & 0xfffffffffffffff)
end

local known = {}

--- The kind of a request's key ("sk", "rk", "pk") and the id of its account; raises the API's 401.
function accounts.authenticate(request)
  local header = request.headers.authorization
  local found = header and known[header]
  if found then return found.kind, found.account end
  local key = header and key_in(header)
  if not key or key == "" then
    error(errors.authentication "You did not provide an API key. Send it as `Authorization: Bearer YOUR_KEY`.")
  end
  local kind, part = key:match "^([srp]k)_test_([%w_]+)$"
  local session = key:match "^mes_test_(acct_%w+)_"
  if not kind and not session then error(errors.authentication("Invalid API Key provided: " .. starred(key))) end
  found = { kind = kind or "mes", account = session or account_id(part) }
  known[header] = found
  return found.kind, found.account
end

--- Raises the API's 401 if a publishable key, or the token of a session of meter events, may not call the operation.
function accounts.check_scope(kind, operation)
  if kind == "mes" and operation.id ~= "v2.billing.meter_event_stream.create" then
    error(errors.authentication "This token authenticates meter event streams alone.")
  end
  if kind ~= "pk" or public[operation.id] then return end
  error(errors.authentication("This API call cannot be made with a publishable API key. Use a secret one.",
    "secret_key_required"))
end

--- The account that a request acts in: the platform's own, or the connected one that the header names; raises the 403.
function accounts.acting(box, platform, header)
  if not header or header == platform then return platform end
  if box:store(platform):get("account", header) then return header end
  error(errors.new(403, "invalid_request_error", {
    code = "account_invalid",
    message = ("The key provided has no access to account '%s', or there is no such account."):format(header),
  }))
end

return accounts
