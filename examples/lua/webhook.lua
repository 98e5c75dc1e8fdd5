--- A webhook endpoint for any server of Lua: each delivery is verified and answered at once, each event is handled
-- once, however often and in whatever order it is delivered.
--
-- In OpenResty, in a `location = /webhook` with `content_by_lua_block`:
--
--     local webhook = require "webhook"
--     local endpoint = webhook.new(os.getenv "STRIPE_WEBHOOK_SECRET", webhook.shared_dict "events", handlers)
--     ngx.req.read_body()
--     local status, text = endpoint:receive(ngx.req.get_body_data(), ngx.var.http_stripe_signature)
--     ngx.status = status
--     ngx.say(text)
--     ngx.eof()                      -- answered; what follows may take its time
--     endpoint:work()
--
-- With lua-http: status, text = endpoint:receive(stream:get_body_as_string(), headers:get "stripe-signature").
local pinstripe = require "pinstripe"

local webhook = {}

local Endpoint = {}
Endpoint.__index = Endpoint

--- Ids that have come, in this process's memory. `put(id)` is true for a new one, nil and why if it cannot be kept;
-- `drop(id)` forgets one, whose work failed.
function webhook.memory()
  local known = {}
  return {
    put = function(id)
      if known[id] then return false end
      known[id] = true
      return true
    end,
    drop = function(id) known[id] = nil end,
  }
end

--- The same in a lua_shared_dict, for all workers of nginx; a day is longer than Stripe repeats a delivery that was
-- answered. A shop keeps the ids in its database, in the transaction that does the work.
function webhook.shared_dict(name)
  local dict = ngx.shared[name] -- luacheck: globals ngx
  return {
    put = function(id)
      local added, why = dict:add(id, true, 86400)
      if added or why == "exists" then return added end
      return nil, why
    end,
    drop = function(id) dict:delete(id) end,
  }
end

--- `handlers`: a function for each type that matters; what is not there is answered and passed over.
function webhook.new(secrets, ids, handlers)
  return setmetatable({ secrets = secrets, ids = ids, handlers = handlers or {}, waiting = {} }, Endpoint)
end

--- Verifies a delivery and puts its event down: status and text of the answer.
function Endpoint:receive(body, header)
  local event, err = pinstripe.webhook.construct(body, header, self.secrets)
  if not event then return 400, err.message end
  local new, why = self.ids.put(event.id)
  if why then return 500, why end
  if new then self.waiting[#self.waiting + 1] = event end
  return 200, "ok"
end

--- Handles what was put down. Events come in no order: a handler trusts the object that it fetches, not the sequence.
-- The error of one that fails passes through, and its event counts as new when Stripe is asked to send it again.
function Endpoint:work()
  while #self.waiting > 0 do
    local event = table.remove(self.waiting, 1)
    local handler = self.handlers[event.type]
    local ok, err = pcall(handler or type, event.data.object, event)
    if not ok then
      self.ids.drop(event.id)
      error(err, 0)
    end
  end
end

return webhook
