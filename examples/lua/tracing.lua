-- Spans of calls from the hooks of a client: one a call, named by its operation, with what a tracer wants to know of
-- each attempt. Print them, or hand them to an exporter of OpenTelemetry.
--
--     lua tracing.lua
local pinstripe = require "pinstripe"

local tracer = { spans = {} }

function tracer.on_request(event)
  if event.attempt == 1 then
    tracer.open = { name = event.operation or event.method .. " " .. event.path, attempts = {} }
    table.insert(tracer.spans, tracer.open)
  end
end

function tracer.on_response(event)
  local attributes = {
    ["http.request.method"] = event.method,
    ["url.path"] = event.path,
    ["http.response.status_code"] = event.status, -- absent without a reply: then the message says why
    ["error.type"] = not event.status and event.message or nil,
    ["http.request.resend_count"] = event.attempt - 1,
    ["stripe.request_id"] = event.request_id,
    duration = event.duration,
  }
  table.insert(tracer.open.attempts, attributes)
end

local sandbox = pinstripe.sandbox{ seed = 1 }
local stripe = sandbox:client{ on_request = tracer.on_request, on_response = tracer.on_response }
local customer = pinstripe.check(stripe.customers:create{ email = "jenny@example.com" })
sandbox:fault{ match = { method = "GET", path = "/v1/customers/*" }, status = 500 }
pinstripe.check(stripe.customers:retrieve(customer.id))
stripe.charges:retrieve "ch_none"

for _, span in ipairs(tracer.spans) do
  print(span.name)
  for _, attempt in ipairs(span.attempts) do
    local names = {}
    for name in pairs(attempt) do names[#names + 1] = name end
    table.sort(names)
    for i, name in ipairs(names) do names[i] = name .. "=" .. tostring(attempt[name]) end
    print("  " .. table.concat(names, " "))
  end
end
sandbox:close()
