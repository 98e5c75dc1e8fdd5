--- Webhooks: what came is checked, then read.
--
--     local event, err = pinstripe.webhook.construct(body, headers["stripe-signature"], "whsec_...")
--     if not event then return 400, err.message end
--
-- The body is the request's own bytes. Secrets are one string, or a list of which any may have signed. Options:
-- tolerance, the seconds that the signature's time may lie from now, either way (300; 0: any time), and now, in Unix
-- seconds. Of what fails, `err.kind` is "signature", and `err.code` no_header, no_v1, no_timestamp, no_secret,
-- blank_secret, not_bytes, no_match or stale.

local core = require "pinstripe.core"

local webhook = {}

local function seconds(name, options, key)
  local value = options and options[key]
  if value == nil or (type(value) == "number" and value >= 0 and value < math.huge) then return value end
  error("pinstripe.webhook." .. name .. ": the option " .. key .. " must be a number of seconds, 0 or more", 4)
end

local function check_options(name, options)
  if options ~= nil and type(options) ~= "table" then
    error("pinstripe.webhook." .. name .. ": options must be a table, not a " .. type(options), 4)
  end
  for key in pairs(options or {}) do
    if key ~= "tolerance" and key ~= "now" then
      error("pinstripe.webhook." .. name .. ": " .. tostring(key) .. " is not an option (tolerance, now)", 4)
    end
  end
end

local function read(name, what, body, header, secrets, options)
  check_options(name, options)
  local tolerance, now = seconds(name, options, "tolerance"), seconds(name, options, "now")
  if tolerance then tolerance = math.ceil(tolerance) end -- half a second must not become 0, any time
  local event, err = core.webhook(what, body, header, secrets, tolerance, now)
  if type(err) == "string" then error("pinstripe.webhook." .. name .. ": " .. err, 3) end
  return event, err
end

--- The event that a webhook delivered; or nil, err.
function webhook.construct(body, header, secrets, options)
  local event, err = read("construct", "event", body, header, secrets, options)
  return event, err
end

--- A thin event, which says what happened to which object: see pinstripe.notifications. Or nil, err.
function webhook.parse_notification(body, header, secrets, options)
  local notification, err = read("parse_notification", "notification", body, header, secrets, options)
  return notification, err
end

--- Whether the signature holds: true; or nil, err.
function webhook.verify(body, header, secrets, options)
  local good, err = read("verify", "signature", body, header, secrets, options)
  return good, err
end

--- An event out of an envelope of AWS EventBridge or Azure Event Grid, or bare: only its sender vouches for it.
function webhook.construct_without_verification(body)
  return core.webhook("event", body)
end

--- The same for a thin event.
function webhook.parse_notification_without_verification(body)
  return core.webhook("notification", body)
end

--- A Stripe-Signature header, for tests: sign(body, "whsec_...", os.time()).
function webhook.sign(body, secret, timestamp)
  if type(body) ~= "string" then error("pinstripe.webhook.sign: the body must be a string, not a " .. type(body), 2) end
  if timestamp ~= nil and (type(timestamp) ~= "number" or not (timestamp >= 0 and timestamp < math.huge)) then
    error("pinstripe.webhook.sign: the timestamp must be in Unix seconds, 0 or more", 2)
  end
  local header, misuse = core.sign(body, secret, timestamp or os.time())
  return header or error("pinstripe.webhook.sign: " .. misuse, 2)
end

return webhook
