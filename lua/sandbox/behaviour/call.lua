--- A call: one request on its way through an operation, or a job of the clock, with the account that it acts in.

local clock = require "sandbox.clock"
local errors = require "sandbox.errors"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local references = require "sandbox.references"

local Call = {}
Call.__index = Call

local call = {}

-- Objects whose 404 names the id by the object's own name; the rest call it `id`.
local by_name = { price = true, plan = true, invoice = true, charge = true, refund = true, coupon = true }
local intents = { payment_intent = true, setup_intent = true }

--- A call in an account of the sandbox; `platform` is the account that the key belongs to.
function call.new(box, account, platform, fields)
  local self = fields or {}
  self.box, self.account = box, account
  self.store = box:store(account)
  self.platform = account == platform and self.store or box:store(platform)
  self.params = self.params or {}
  self.ids = self.ids or {}
  return setmetatable(self, Call)
end

function Call:now() return clock.now(self.box) end

local function first_of(store, kinds, id)
  for _, kind in ipairs(kinds) do
    local object = store:get(kind, id)
    if object then return object end
  end
end

--- The object that the path's last id names, or that with number `at`; raises the API's 404.
function Call:target(at)
  at = at or #self.operation.ids
  local id, kinds = self.ids[at], self.operation.path_kinds[at]
  local object = first_of(self.store, kinds, id)
  local parent = at > 1 and object and self.store:parent(object)
  if object and not (parent and parent ~= self.ids[at - 1]) then return object end
  local kind = kinds[1] or "object"
  local param = intents[kind] and "intent" or by_name[kind] and kind or "id"
  error(errors.missing(kind, id, param, 404))
end

--- The object of a kind with this id, made on demand if the id stands for something; nil if there is none.
function Call:get(kind, id)
  local object = self.store:get(kind, id)
  local resolve = not object and references.resolvers[kind]
  return object or resolve and resolve(self, id) or nil
end

--- The same for an id that came in a parameter; raises the API's 400 that names it.
function Call:find(kind, id, param)
  local object = self:get(kind, id)
  if not object then error(errors.missing(kind, id, param or kind)) end
  return object
end

--- A call like this one in another account: nil if the platform has no such one.
function Call:on(account)
  if account ~= self.account and account ~= self.platform.account and not self.platform:get("account", account) then
    return nil
  end
  local other = call.new(self.box, account, self.platform.account, {
    operation = self.operation, params = self.params, ids = self.ids, request_id = self.request_id, key = self.key,
    version = self.version,
  })
  return other
end

--- The same in the account that the key belongs to.
function Call:on_platform() return self:on(self.platform.account) end

-- ---- What flows do with it

--- A new object of a kind, empty but for these fields; not stored.
function Call:new(kind, fields)
  local object = generic.blank(self, kind)
  for name, value in pairs(fields) do object[name] = value end
  return object
end

--- The same, stored; `parent`: the id under which it is made.
function Call:add(kind, fields, parent) return self.store:insert(self:new(kind, fields), parent) end

--- Stores what was built, and announces it.
function Call:keep(object, parent)
  self.store:insert(object, parent)
  events.of(self, object, "created")
  return object
end

--- What the params make of an object's fields: {field = value}.
function Call:asked(object) return generic.merge(object, self.params) end

--- Changes an object and announces what changed, by `event` or "<object>.updated".
function Call:apply(object, changes, event) return generic.apply(self, object, changes, event) end

function Call:emit(type, object, previous) return events.emit(self, type, object, previous) end

--- What is remembered beside an object.
function Call:note(object) return self.store:private(object) end

--- Has a job of the clock run in so many seconds.
function Call:later(seconds, job, args) clock.schedule(self, self:now() + seconds, job, args) end

return call
