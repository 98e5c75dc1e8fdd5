--- What the specs of payments share: a sandbox whose clock stands, its client, and what happened since one last asked.

local support = require "support"

local conform = require "conform"
local host = require "sandbox.host"
local spec = require "sandbox.spec"

local check = support.pinstripe.check

local payments = { null = support.pinstripe.null, check = check, worlds = {} }

local World = {}
World.__index = World

--- A new sandbox: {box, stripe, now}.
function payments.world(options)
  local now = 1700000000
  local box = support.box { seed = 7, now = now }
  local world = setmetatable({ box = box, stripe = box:client(options), now = now, seen = {} }, World)
  payments.worlds[#payments.worlds + 1] = world
  return world
end

-- Raises unless every object that can be retrieved is what the table says.
function World:conforms()
  for account, state in pairs(self.box.state.accounts) do
    local client = self.box:client { stripe_account = account ~= self.platform and account or nil }
    for kind, of in pairs(state.kinds) do
      local path = kind ~= "event" and spec.path(kind)
      local is_alone = path and select(2, path:gsub("{", "")) == 1
      for _, stored in ipairs(is_alone and of.rows or {}) do
        local object = stored and check(client:request("GET", (path:gsub("{[^}]*}", stored.id))))
        local problems = object and conform.problems({ kind = "ref", ref = kind }, object) or {}
        assert(#problems == 0, kind .. ": " .. table.concat(problems, "\n"))
      end
    end
  end
end

--- Checks all worlds that were made since it was last called: every object, and that the balance is the sum of its
--- transactions.
function payments.check_worlds()
  local worlds = payments.worlds
  payments.worlds = {}
  for _, world in ipairs(worlds) do
    world:conforms()
    world:balance_agrees()
  end
end

--- The types of the events since the last time this was asked, oldest first.
function World:since()
  local types = {}
  for event in self.stripe.events:each() do
    if not self.seen[event.id] then
      self.seen[event.id] = true
      table.insert(types, 1, event.type)
    end
  end
  return types
end

--- The newest event of a type.
function World:event(type)
  return check(self.stripe.events:list { type = type, limit = 1 }).data[1]
end

--- Does to an object what the world outside would.
function World:helper(name, id, params)
  params = params or {}
  params.id = id
  return self.stripe:request("POST", "/_sandbox/helpers/" .. name, params)
end

function World:advance(seconds)
  check(self.stripe:request("POST", "/_sandbox/clock", { advance = seconds }))
  self.now = self.now + seconds
end

--- Raises unless the balance is the sum of its transactions, and each net the amount less the fee.
function World:balance_agrees()
  local sums = { available = {}, pending = {} }
  for transaction in self.stripe.balance_transactions:each() do
    local of = sums[transaction.status]
    of[transaction.currency] = (of[transaction.currency] or 0) + transaction.net
    assert(transaction.net == transaction.amount - transaction.fee, transaction.id)
  end
  local balance = check(self.stripe.balance:retrieve())
  for column, of in pairs(sums) do
    for _, entry in ipairs(balance[column]) do
      assert((of[entry.currency] or 0) == entry.amount, ("%s %s: %d, not %d"):format(
        column, entry.currency, entry.amount, of[entry.currency] or 0))
      of[entry.currency] = nil
    end
    for currency, sum in pairs(of) do assert(sum == 0, column .. " lacks " .. currency) end
  end
end

-- All objects of all accounts, and what is noted beside them.
local function everything(box)
  local all = {}
  for id, account in pairs(box.state.accounts) do
    local notes, kinds = {}, {}
    for of, note in pairs(account.private) do notes[of] = next(note) and host.copy(note) or nil end
    for kind, state in pairs(account.kinds) do kinds[kind] = next(state.rows) and host.copy(state.rows) or nil end
    all[id] = next(kinds) and { kinds = kinds, notes = notes } or nil
  end
  return all
end

--- Runs a call that must fail, and changes nothing. Returns the error.
function World:refused(call)
  local before = everything(self.box)
  local result, err = call(self.stripe)
  assert(not result, "it was not refused")
  local function same(a, b, path)
    if type(a) ~= "table" or type(b) ~= "table" then
      assert(a == b, path .. " changed")
      return
    end
    for key in pairs(a) do same(a[key], b[key], path .. "." .. tostring(key)) end
    for key in pairs(b) do assert(a[key] ~= nil, path .. "." .. tostring(key) .. " appeared") end
  end
  same(before, everything(self.box), "state")
  return err
end

--- A customer's payment, succeeded.
function World:paid(params)
  local all = { amount = 2000, currency = "usd", payment_method = "pm_card_visa", confirm = true }
  for name, value in pairs(params or {}) do all[name] = value end
  return check(self.stripe.payment_intents:create(all))
end

return payments
