-- Payments at random: any order of calls, right or wrong, leaves books that agree and objects that are what the table
-- says; what is refused changes nothing; nothing fails inside.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path

local payments = require "payments"

local METHODS = {
  "pm_card_visa", "pm_card_visa", "pm_card_mastercard", "pm_card_chargeDeclined", "pm_card_chargeCustomerFail",
  "pm_card_authenticationRequired", "pm_card_authenticationRequiredOnSetup", "pm_card_pendingRefund",
  "pm_card_refundFail", "pm_card_createDispute", "pm_card_createDisputeInquiry", "pm_card_bypassPending",
  "pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds", "pm_none",
}
local SOURCES = { "tok_visa", "tok_amex", "tok_chargeDeclined", "tok_pendingRefund", "btok_us_verified", "tok_none" }

local Player = {}
Player.__index = Player

-- A random one of a list, or now and then nil.
function Player:some(list, seldom)
  if #list == 0 or seldom and self.random(4) == 1 then return nil end
  return list[self.random(#list)]
end

function Player:maybe(value)
  if self.random(3) == 1 then return value end
end

-- The id of one of the last objects of a kind; now and then one of any, or one that there is not.
function Player:id(kind)
  local last = {}
  for _, state in pairs(self.world.box.state.accounts) do
    local rows = state.kinds[kind] and state.kinds[kind].rows or {}
    local first = self.random(8) == 1 and 1 or math.max(1, #rows - 3)
    for i = first, #rows do last[#last + 1] = rows[i] and rows[i].id or nil end
  end
  table.sort(last)
  return self.random(30) > 1 and self:some(last) or kind .. "_none"
end

local MOVES = {}

function MOVES.customers(self)
  local method = self:maybe(self:some(METHODS))
  return "POST", "/v1/customers", { source = self:maybe(self:some(SOURCES)), payment_method = method }
end

function MOVES.update_customer(self)
  return "POST", "/v1/customers/" .. self:id "customer", {
    balance = self:maybe(self.random(-900, 900)), default_source = self:maybe(self:id "card"),
    invoice_settings = self:maybe { default_payment_method = self:id "payment_method" },
  }
end

function MOVES.delete_customer(self)
  if self.random(4) == 1 then return "DELETE", "/v1/customers/" .. self:id "customer" end
end

function MOVES.add_source(self)
  return "POST", "/v1/customers/" .. self:id "customer" .. "/sources", { source = self:some(SOURCES) }
end

function MOVES.delete_source(self)
  return "DELETE", "/v1/customers/" .. self:id "customer" .. "/sources/" .. self:id "card"
end

function MOVES.attach(self)
  local method = self:maybe(self:id "payment_method") or self:some(METHODS)
  return "POST", "/v1/payment_methods/" .. method .. "/attach", { customer = self:id "customer" }
end

function MOVES.detach(self) return "POST", "/v1/payment_methods/" .. self:id "payment_method" .. "/detach" end

function MOVES.intents(self)
  return "POST", "/v1/payment_intents", {
    amount = self.random(10, 5000), currency = self:some { "usd", "usd", "usd", "eur", "jpy" },
    customer = self:maybe(self:id "customer"), confirm = self:maybe(true), off_session = nil,
    payment_method = self:maybe(self:id "payment_method") or self:some(METHODS, true),
    capture_method = self:maybe "manual", setup_future_usage = self:maybe "off_session",
    application_fee_amount = self:maybe(self:maybe(self.random(100))),
    transfer_data = self:maybe { destination = self:id "account" },
    payment_method_options = self:maybe {
      card = { request_multicapture = "if_available", request_incremental_authorization = "if_available" },
    },
  }
end

for _, operation in ipairs { "confirm", "cancel", "capture", "increment_authorization", "verify_microdeposits" } do
  MOVES["intent_" .. operation] = function(self)
    local params = {
      confirm = { payment_method = self:maybe(self:some(METHODS)), off_session = self:maybe(true) },
      capture = { amount_to_capture = self:maybe(self.random(3000)), final_capture = self:maybe(false) },
      increment_authorization = { amount = self.random(6000) },
      verify_microdeposits = { amounts = { 32, 45 } },
    }
    return "POST", "/v1/payment_intents/" .. self:id "payment_intent" .. "/" .. operation, params[operation]
  end
end

function MOVES.intent_update(self)
  return "POST", "/v1/payment_intents/" .. self:id "payment_intent", {
    amount = self:maybe(self.random(10, 5000)), metadata = { n = self.random(9) },
    customer = self:maybe(self:id "customer"),
  }
end

function MOVES.setups(self)
  return "POST", "/v1/setup_intents", {
    customer = self:maybe(self:id "customer"), confirm = self:maybe(true), payment_method = self:some(METHODS, true),
  }
end

function MOVES.charges(self)
  return "POST", "/v1/charges", {
    amount = self.random(10, 5000), currency = "usd", source = self:maybe(self:id "card") or self:some(SOURCES, true),
    customer = self:maybe(self:id "customer"), capture = self:maybe(false),
  }
end

function MOVES.charge_capture(self)
  return "POST", "/v1/charges/" .. self:id "charge" .. "/capture", { amount = self:maybe(self.random(3000)) }
end

function MOVES.refunds(self)
  return "POST", "/v1/refunds", {
    charge = self:maybe(self:id "charge"), payment_intent = self:maybe(self:id "payment_intent"),
    amount = self:maybe(self.random(3000)), reverse_transfer = self:maybe(true),
    refund_application_fee = self:maybe(self:maybe(true)),
  }
end

function MOVES.refund_cancel(self) return "POST", "/v1/refunds/" .. self:id "refund" .. "/cancel" end

function MOVES.dispute_close(self) return "POST", "/v1/disputes/" .. self:id "dispute" .. "/close" end

function MOVES.dispute_update(self)
  local text = self:some { "winning_evidence", "losing_evidence", "escalate_inquiry_evidence", "other" }
  return "POST", "/v1/disputes/" .. self:id "dispute", { evidence = { uncategorized_text = text } }
end

function MOVES.authenticate(self)
  return "POST", "/_sandbox/helpers/payment_intents.authenticate", {
    id = self:id "payment_intent", outcome = self:some { "succeed", "fail" },
  }
end

function MOVES.advance(self)
  return "POST", "/_sandbox/clock", { advance = self:some { 1, 5, 86400, 3 * 86400, self:maybe(8 * 86400) } }
end

-- What is done more often than the rest.
local OFTEN = {
  "intents", "intents", "intents", "charges", "customers", "refunds", "refunds", "attach", "advance", "setups",
}

local function play(seed, moves)
  local self, names, tally = setmetatable({}, Player), {}, { ok = 0, declined = 0, refused = 0 }
  for name in pairs(MOVES) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(OFTEN) do names[#names + 1] = name end
  math.randomseed(seed)
  self.random, self.world = math.random, payments.world()
  payments.check(self.world.stripe.accounts:create { type = "express", country = "US" })
  for _ = 1, moves do
    local name = names[math.random(#names)]
    local method, path, params = MOVES[name](self)
    if method then
      local status, err
      local ok, why = pcall(self.world.refused, self.world, function(stripe)
        local result
        result, err = stripe:request(method, path, params or {})
        status = result and 200 or err.status
        return result, err
      end)
      assert(status < 500, ("%d: %s %s: %s"):format(seed, name, path, tostring(err)))
      local what = status == 200 and "ok" or status == 402 and "declined" or "refused"
      tally[what] = tally[what] + 1
      local told = what == "refused" and ("%d: %s %s: %s: %s"):format(seed, name, path, err.message, tostring(why))
      assert(ok or not told, told)
    end
  end
  return tally
end

describe("payments at random", function()
  for seed = 1, 4 do
    it("agree: " .. seed, function()
      local tally = play(seed, 200)
      assert.is_true(tally.ok > 50 and tally.refused > 20, ("%d, %d"):format(tally.ok, tally.refused))
      payments.check_worlds()
    end)
  end
end)
