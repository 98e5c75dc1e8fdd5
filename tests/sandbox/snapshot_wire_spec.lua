-- A snapshot in a file, with payments and uploads in it, restored in the sandbox that gave it and in another one.
local pinstripe = require "pinstripe"

local check = pinstripe.check

local BYTES = {}
for i = 0, 255 do BYTES[#BYTES + 1] = string.char(i) end
local CONTENT = table.concat(BYTES):rep(41)

local LISTS = {
  "customers", "charges", "payment_intents", "payment_methods", "refunds", "balance_transactions", "events", "files",
  "file_links", "webhook_endpoints", "payouts", "products",
}

-- All that the lists hold, and the balance.
local function everything(stripe)
  local seen = { balance = check(stripe.balance:retrieve()) }
  for _, name in ipairs(LISTS) do
    seen[name] = {}
    for object in stripe[name]:each { limit = 7 } do table.insert(seen[name], object) end
  end
  return seen
end

local function fill(stripe)
  local customer = check(stripe.customers:create { name = "Jenny", payment_method = "pm_card_visa" })
  for i = 1, 9 do check(stripe.charges:create { amount = 1000 + i, currency = "usd", source = "tok_visa" }) end
  local intent = check(stripe.payment_intents:create {
    amount = 5000, currency = "usd", confirm = true, payment_method = "pm_card_visa", customer = customer.id,
    automatic_payment_methods = { enabled = true, allow_redirects = "never" },
  })
  check(stripe.refunds:create { payment_intent = intent.id, amount = 700 })
  assert.is_nil((stripe.charges:create { amount = 900, currency = "usd", source = "tok_chargeDeclined" }))
  local upload = { content = CONTENT, filename = "a.bin" }
  local file = check(stripe.files:create { purpose = "dispute_evidence", file = upload })
  return check(stripe.file_links:create { file = file.id })
end

describe("a snapshot of a sandbox that has seen payments and files", function()
  it("restored, is that sandbox again, wherever it is restored", function()
    local path = os.tmpname()
    local sandbox, other = pinstripe.sandbox { seed = 8 }, pinstripe.sandbox { seed = 9 }
    finally(function()
      sandbox:close()
      other:close()
      os.remove(path)
    end)
    local stripe = sandbox:client()
    local link = fill(stripe)
    sandbox:clock { advance = 100 }
    local before = everything(stripe)
    local text = sandbox:snapshot(path)
    for _, name in ipairs { "charges", "refunds", "balance_transactions", "events", "files", "file_links" } do
      assert.is_true(#before[name] > 0, name)
    end
    sandbox:reset()
    assert.same({}, check(stripe.charges:list()).data)
    sandbox:restore(path)
    assert.is_true(text == sandbox:snapshot())
    assert.same(before, everything(stripe))
    assert.equal(CONTENT, check(stripe:download(link.url)))

    other:restore(path)
    assert.same(before, everything(other:client()))
    -- Money becomes available, and new ids come, alike in both.
    local after = {}
    for i, box in ipairs { sandbox, other } do
      box:restore(path)
      box:clock { advance = 3 * 86400 }
      check(box:client().charges:create { amount = 100, currency = "usd", source = "tok_visa" })
      after[i] = everything(box:client())
    end
    assert.same(after[1].balance, after[2].balance)
    assert.is_true(after[1].balance.available[1].amount > before.balance.available[1].amount)
    for _, name in ipairs(LISTS) do
      for i, object in ipairs(after[1][name]) do assert.equal(object.id, after[2][name][i].id) end
    end
  end)
end)
