-- Lists: order, limits, cursors, `has_more`, filters, and lists within objects.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local clock = require "sandbox.clock"

local function ids(page)
  local found = {}
  for i, item in ipairs(page.data) do found[i] = item.id end
  return found
end

describe("lists", function()
  local box, stripe, all

  -- all[1] is the oldest of twelve, a minute apart, but the last three, made in one second.
  before_each(function()
    box = support.box { now = 1790000000, seed = 13 }
    stripe, all = box:client(), {}
    for i = 1, 12 do
      if i <= 10 then clock.set(box, 1790000000 + 60 * i) end
      all[i] = assert(stripe.customers:create { email = i % 2 == 0 and "even@example.com" or "odd@example.com" }).id
    end
  end)

  local function range(from, to)
    local expected = {}
    for i = from, to, -1 do expected[#expected + 1] = all[i] end
    return expected
  end

  local function check(expected, more, params)
    local page = assert(stripe.customers:list(params))
    assert.same(expected, ids(page))
    assert.equal(more, page.has_more)
    assert.equal("list", page.object)
    assert.equal("/v1/customers", page.url)
  end

  it("hold ten, newest first by creation, never by id", function() check(range(12, 3), true) end)

  it("clamp limits to 1 to 100", function()
    check(range(12, 12), true, { limit = 1 })
    check(range(12, 1), false, { limit = 100 })
    check(range(12, 1), false, { limit = 1000 })
    check(range(12, 12), true, { limit = 0 })
    check(range(12, 12), true, { limit = -5 })
    check(range(12, 1), false, { limit = 12 })
    check(range(12, 2), true, { limit = 11 })
  end)

  it("go on after a cursor", function()
    check(range(8, 6), true, { starting_after = all[9], limit = 3 })
    check(range(2, 1), false, { starting_after = all[3], limit = 3 })
    check(range(3, 1), false, { starting_after = all[4], limit = 3 })
    check({}, false, { starting_after = all[1] })
  end)

  it("go back before a cursor: those just newer, still newest first", function()
    check(range(6, 4), true, { ending_before = all[3], limit = 3 })
    check(range(12, 10), false, { ending_before = all[9], limit = 3 })
    check(range(12, 11), false, { ending_before = all[10], limit = 3 })
    check({}, false, { ending_before = all[12] })
  end)

  it("page to both ends and back again", function()
    local seen, cursor, page = {}, nil
    repeat
      page = assert(stripe.customers:list { limit = 5, starting_after = cursor })
      for _, id in ipairs(ids(page)) do seen[#seen + 1] = id end
      cursor = seen[#seen]
    until not page.has_more
    assert.same(range(12, 1), seen)
    seen, cursor = {}, all[1]
    repeat
      page = assert(stripe.customers:list { limit = 5, ending_before = cursor })
      local found = ids(page)
      for i = #found, 1, -1 do table.insert(seen, 1, found[i]) end
      cursor = seen[1]
    until not page.has_more
    assert.same(range(12, 2), seen)
  end)

  it("filter before the cursor", function()
    check({ all[8], all[6] }, true, { email = "even@example.com", starting_after = all[9], limit = 2 })
    check({ all[4], all[2] }, false, { email = "even@example.com", starting_after = all[5], limit = 2 })
    check({ all[7], all[5] }, true, { email = "odd@example.com", ending_before = all[4], limit = 2 })
    check({}, false, { email = "none@example.com" })
  end)

  it("filter by created, exactly and by range", function()
    check({ all[3] }, false, { created = 1790000180 })
    check(range(12, 9), false, { created = { gt = 1790000480 } })
    check(range(12, 8), false, { created = { gte = 1790000480 } })
    check(range(3, 1), false, { created = { lt = 1790000240 } })
    check(range(4, 1), false, { created = { lte = 1790000240 } })
    check(range(5, 3), false, { created = { gte = 1790000180, lte = 1790000300 } })
    check(range(4, 3), false, { created = { gte = 1790000180, lte = 1790000300 }, starting_after = all[5] })
    check({}, false, { created = { gt = 1800000000 } })
    check({}, false, { created = { lt = 1 } })
  end)

  it("stay in order when the clock goes back", function()
    clock.set(box, 1790000030)
    all[13] = assert(stripe.customers:create {}).id
    check(range(13, 4), true)
    check({ all[13] }, false, { created = { lt = 1790000060 } })
  end)

  it("leave out what was deleted, also behind a cursor's neighbour", function()
    assert(stripe.customers:delete(all[8]))
    check({ all[7], all[6] }, true, { starting_after = all[9], limit = 2 })
    assert.equal(400, select(2, stripe.customers:list { starting_after = all[8] }).status)
  end)

  it("are walked by a client, whatever happens between pages", function()
    local count = 0
    for _ in stripe.customers:each { limit = 4 } do
      count = count + 1
      if count == 2 then assert(stripe.customers:create {}) end
    end
    assert.equal(12, count)
  end)

  it("filter by what objects refer to", function()
    assert(stripe.customers:update(all[1], { source = "tok_visa" }))
    local charge = assert(stripe.charges:create { amount = 2000, currency = "usd", customer = all[1] })
    assert(stripe.charges:create { amount = 2000, currency = "usd", source = "tok_visa" })
    assert.same({ charge.id }, ids(assert(stripe.charges:list { customer = all[1] })))
    assert.same({}, ids(assert(stripe.charges:list { customer = all[2] })))
    assert.same({ charge.balance_transaction }, ids(assert(stripe.balance_transactions:list { source = charge.id })))
  end)

  it("stand within objects, whole or by their url", function()
    local charge = assert(stripe.charges:create { amount = 2000, currency = "usd", source = "tok_visa" })
    local made = {}
    for i = 1, 12 do made[13 - i] = assert(stripe.refunds:create { charge = charge.id, amount = i }).id end
    charge = assert(stripe.charges:retrieve(charge.id, { expand = { "refunds" } }))
    assert.equal(10, #charge.refunds.data)
    assert.is_true(charge.refunds.has_more)
    assert.equal("/v1/refunds?charge=" .. charge.id, charge.refunds.url)
    local seen = {}
    for refund in charge.refunds:each() do seen[#seen + 1] = refund.id end
    assert.same(made, seen)
  end)

  it("belong to the object whose path they have", function()
    local one, two = all[1], all[2]
    local text = { amount = 100, currency = "usd" }
    local transaction = assert(stripe.customers.balance_transactions:create(one, text))
    assert(stripe.customers.balance_transactions:create(two, text))
    assert.same({ transaction.id }, ids(assert(stripe.customers.balance_transactions:list(one))))
    assert.equal(404, select(2, stripe.customers.balance_transactions:list "cus_x").status)
  end)

  it("of objects of several kinds keep one order", function()
    local one = all[1]
    local card = assert(stripe.customers.payment_sources:create(one, { source = "tok_visa" }))
    local bank = assert(stripe.customers.payment_sources:create(one, { source = "btok_us_verified" }))
    local other = assert(stripe.customers.payment_sources:create(one, { source = "tok_mastercard" }))
    assert.same({ other.id, bank.id, card.id }, ids(assert(stripe.customers.payment_sources:list(one))))
    assert.same({ bank.id, card.id },
      ids(assert(stripe.customers.payment_sources:list(one, { starting_after = other.id }))))
    assert.same({ bank.id }, ids(assert(stripe.customers.payment_sources:list(one, { object = "bank_account" }))))
  end)
end)
