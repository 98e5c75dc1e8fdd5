-- `expand`: ids become objects, to four levels, in lists too; fields that are otherwise absent appear.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local null = support.pinstripe.null

describe("expand", function()
  local stripe, customer, charge

  before_each(function()
    stripe = support.box({ now = 1790000000, seed = 11 }):client()
    customer = assert(stripe.customers:create { source = "tok_visa" })
    charge = assert(stripe.charges:create { amount = 2000, currency = "usd", customer = customer.id })
  end)

  it("leaves ids where nothing is named", function()
    assert.equal(customer.id, charge.customer)
    assert.equal("string", type(charge.balance_transaction))
  end)

  it("replaces an id by its object", function()
    local found = assert(stripe.charges:retrieve(charge.id, { expand = { "customer", "balance_transaction" } }))
    assert.equal("customer", found.customer.object)
    assert.equal(customer.id, found.customer.id)
    assert.equal(charge.id, found.balance_transaction.source)
  end)

  it("works in what a write returns", function()
    local made = assert(stripe.charges:create {
      amount = 2000, currency = "usd", customer = customer.id, expand = { "customer" },
    })
    assert.equal(customer.id, made.customer.id)
    made = assert(stripe.charges:update(made.id, { description = "x", expand = { "customer.default_source" } }))
    assert.equal("card", made.customer.default_source.object)
  end)

  it("goes down four levels and no further", function()
    local found = assert(stripe.refunds:create {
      charge = charge.id, expand = { "charge.balance_transaction.source.customer" },
    })
    assert.equal(customer.id, found.charge.balance_transaction.source.customer.id)
    local _, err = stripe.refunds:retrieve(found.id,
      { expand = { "charge.balance_transaction.source.customer.default_source" } })
    assert.equal("property_expansion_max_depth", err.code)
    assert.equal(400, err.status)
  end)

  it("joins paths that begin alike", function()
    local found = assert(stripe.charges:retrieve(charge.id, {
      expand = { "customer", "customer.default_source", "balance_transaction.source" },
    }))
    assert.equal("card", found.customer.default_source.object)
    assert.equal(charge.id, found.balance_transaction.source.id)
  end)

  it("reaches into lists", function()
    local page = assert(stripe.charges:list { expand = { "data.customer.default_source" } })
    assert.equal("card", page.data[1].customer.default_source.object)
  end)

  it("shows the lists and fields that are absent without it", function()
    assert.is_nil(customer.sources)
    local found = assert(stripe.customers:retrieve(customer.id, {
      expand = { "sources", "subscriptions", "tax_ids", "cash_balance" },
    }))
    assert.equal(1, #found.sources.data)
    assert.equal(("/v1/customers/%s/sources"):format(customer.id), found.sources.url)
    assert.equal("list", found.subscriptions.object)
    assert.equal("list", found.tax_ids.object)
    local product = assert(stripe.products:create { name = "x" })
    local price = assert(stripe.prices:create { product = product.id, currency = "usd", unit_amount = 1000 })
    assert.is_nil(price.currency_options)
    assert.is_table(assert(stripe.prices:retrieve(price.id, { expand = { "currency_options" } })).currency_options)
  end)

  it("leaves null as it is", function()
    local alone = assert(stripe.charges:create { amount = 2000, currency = "usd", source = "tok_visa",
      expand = { "customer" } })
    assert.equal(null, alone.customer)
  end)

  it("shows what was deleted as a stub", function()
    assert(stripe.customers:delete(customer.id))
    local found = assert(stripe.charges:retrieve(charge.id, { expand = { "customer" } }))
    assert.is_true(found.customer.deleted)
    assert.equal(customer.id, found.customer.id)
  end)

  it("refuses what there is not, or what cannot be expanded", function()
    for _, path in ipairs { "nothing", "amount", "customer.nothing", "customer.email", "data" } do
      local found, err = stripe.charges:retrieve(charge.id, { expand = { path } })
      assert.is_nil(found, path)
      assert.equal(400, err.status)
      assert.is_nil(err.code)
      assert.truthy(err.message:find(path, 1, true))
    end
    for _, path in ipairs { "customer", "data.nothing" } do
      assert.equal(400, select(2, stripe.charges:list { expand = { path } }).status)
    end
    local count = #assert(stripe.charges:list()).data
    assert.is_nil((stripe.charges:create { amount = 2000, currency = "usd", source = "tok_visa",
      expand = { "nothing" } }))
    assert.equal(count, #assert(stripe.charges:list()).data)
  end)

  it("changes nothing that is stored", function()
    assert(stripe.charges:retrieve(charge.id, { expand = { "customer.default_source", "refunds" } }))
    assert.same(charge, assert(stripe.charges:retrieve(charge.id)))
  end)
end)
