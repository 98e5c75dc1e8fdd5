--- The API's errors: each function makes one, to be raised with error(), or returned as a second value where what was
--- done before it stands. Codes, types, params and statuses are the API's; the words are our own.

local host = require "sandbox.host"

local errors = {}

local Error = { __name = "sandbox.error" }
Error.__index = Error
Error.__tostring = function(err) return err.fields.message end

local function docs(code)
  return "https://stripe.com/docs/error-codes/" .. code:gsub("_", "-")
end

--- An error of any kind. `fields` is what the body's `error` holds beside `type`.
function errors.new(status, kind, fields, headers)
  fields.type = kind
  if fields.code then fields.doc_url = fields.doc_url or docs(fields.code) end
  return setmetatable({ status = status, fields = fields, headers = headers }, Error)
end

function errors.is(value) return getmetatable(value) == Error end

--- 400 invalid_request_error: {message, param?, code?, ...}
function errors.invalid(fields)
  return errors.new(400, "invalid_request_error", fields)
end

--- 402 card_error: {message, code, decline_code?, charge?, payment_intent?, payment_method?, ...}
function errors.card(fields)
  return errors.new(402, "card_error", fields)
end

--- 400: an object is in a state that allows no such thing.
function errors.unexpected_state(fields)
  return errors.invalid(fields)
end

--- No object of `kind` has the id: 404 for one in the path, 400 for one in a parameter.
function errors.missing(kind, id, param, status)
  return errors.new(status or 400, "invalid_request_error", {
    code = "resource_missing",
    message = ("No such %s: '%s'"):format(kind, id),
    param = param,
  })
end

function errors.parameter_missing(param)
  return errors.invalid {
    code = "parameter_missing", message = "Missing required param: " .. param .. ".", param = param,
  }
end

--- Of one or several parameters that the operation does not have.
function errors.unknown(params)
  return errors.invalid {
    code = "parameter_unknown",
    message = ("Received unknown parameter%s: %s"):format(#params > 1 and "s" or "", table.concat(params, ", ")),
    param = params[1],
  }
end

function errors.empty(param)
  return errors.invalid {
    code = "parameter_invalid_empty",
    message = ("An empty string was passed for '%s', which cannot be unset. Leave it out or set it."):format(param),
    param = param,
  }
end

function errors.integer(param, value)
  return errors.invalid { code = "parameter_invalid_integer", message = "Invalid integer: " .. value, param = param }
end

--- 400 without a code: what was passed is no `what`.
function errors.bad(what, param, value)
  if type(value) == "table" then value = "an object" end
  return errors.invalid { message = ("Invalid %s: %s"):format(what, tostring(value)), param = param }
end

--- 401; `code` for a publishable key alone.
function errors.authentication(message, code)
  return errors.new(401, "invalid_request_error", { message = message, code = code })
end

--- The reply of an error: a status and what JSON shows. Objects in it are shown as `show` shows them.
function errors.reply(err, show)
  local body = {}
  for name, value in pairs(err.fields) do
    if show and type(value) == "table" and value.object then value = show(value) end
    body[name] = value
  end
  return { status = err.status, headers = err.headers or {}, body = host.encode({ error = body }, true) }
end

return errors
