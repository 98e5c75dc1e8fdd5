--- A webhook endpoint for any server of Lua: each delivery is verified, and answered with 200 only after its event has
-- been handled; each event is handled once, however often and in whatever order it is delivered.
--
-- In OpenResty, in a `location = /webhook` with `content_by_lua_block`:
--
--     local webhook = require "webhook"
--     local endpoint = webhook.new(os.getenv "STRIPE_WEBHOOK_SECRET", webhook.shared_dict "events", handlers)
--     ngx.req.read_body()
--     local status, text, raised = endpoint:receive(ngx.req.get_body_data(), ngx.var.http_stripe_signature)
--     if raised then ngx.log(ngx.ERR, raised) end
--     ngx.status = status
--     ngx.say(text)
--
-- With lua-http: status, text = endpoint:receive(stream:get_body_as_string(), headers:get "stripe-signature").
--
-- What is not answered with a 2xx within some seconds Stripe sends again, for days. So a handler that takes long puts
-- its work into a queue that outlives the process, and returns.
local pinstripe = require "pinstripe"

local webhook = {}

local Endpoint = {}
Endpoint.__index = Endpoint

--- The ids of events, in this process's memory. `claim(id)` is "new" for one to be handled now, "busy" while it is,
-- "done" after that, or nil and why it cannot be kept; `finish(id)` says that it has been handled, `drop(id)` that it
-- has not.
function webhook.memory()
  local known = {}
  return {
    claim = function(id)
      local state = known[id] or "new"
      if state == "new" then known[id] = "busy" end
      return state
    end,
    finish = function(id) known[id] = "done" end,
    drop = function(id) known[id] = nil end,
  }
end

--- The same in a lua_shared_dict, for all workers of nginx. One that dies at work leaves its event busy for a minute;
-- what is done is kept for longer than Stripe sends it. A shop keeps the ids in its database, in the transaction that
-- does the work.
function webhook.shared_dict(name)
  local dict = ngx.shared[name] -- luacheck: globals ngx
  return {
    claim = function(id)
      local added, why = dict:add(id, "busy", 60)
      if added then return "new" end
      if why ~= "exists" then return nil, why end
      return dict:get(id) or "busy"
    end,
    finish = function(id) dict:set(id, "done", 4 * 86400) end,
    drop = function(id) dict:delete(id) end,
  }
end

--- `handlers`: a function for each type that matters; what is not there is answered and passed over.
function webhook.new(secrets, ids, handlers)
  return setmetatable({ secrets = secrets, ids = ids, handlers = handlers or {} }, Endpoint)
end

-- Events come in no order: a handler trusts the object that it fetches, not the sequence.
local function handle(handlers, event)
  local handler = handlers[event.type]
  if handler then handler(event.data.object, event) end
end

--- Verifies a delivery and handles its event: status and text of the answer; third, what a handler raised. With a 500
-- Stripe sends the event again, and it counts as new.
function Endpoint:receive(body, header)
  local event, err = pinstripe.webhook.construct(body, header, self.secrets)
  if not event then return 400, err.message end
  local state, why = self.ids.claim(event.id)
  if not state then return 500, why end
  if state == "done" then return 200, "ok" end
  if state == "busy" then return 500, "being handled" end
  local ok, raised = pcall(handle, self.handlers, event)
  if not ok then
    self.ids.drop(event.id)
    return 500, "not handled", raised
  end
  self.ids.finish(event.id)
  return 200, "ok"
end

return webhook
