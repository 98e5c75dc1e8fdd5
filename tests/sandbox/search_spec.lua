-- The search query language: what it finds, how it pages, what it refuses.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local function names(page)
  local found = {}
  for i, customer in ipairs(page.data) do found[i] = customer.name end
  table.sort(found)
  return table.concat(found, " ")
end

describe("search", function()
  local box, stripe

  before_each(function()
    box = support.box { now = 1790000000, seed = 7 }
    stripe = box:client()
    for _, customer in ipairs {
      { name = "Ann", email = "ann@rocketrides.io", metadata = { tier = "gold", ["the key"] = 'a "b"' } },
      { name = "Bob", email = "bob@ROCKETRIDES.io", phone = "+1555" },
      { name = "Cyd", email = "cyd@example.com", metadata = { tier = "Silver" } },
    } do
      assert(stripe.customers:create(customer))
    end
  end)

  local function found(query, params)
    params = params or {}
    params.query = query
    return names(assert(stripe.customers:search(params)))
  end

  local function refused(query)
    local page, err = stripe.customers:search { query = query }
    assert.is_nil(page)
    assert.equal(400, err.status)
    assert.equal("query", err.param)
    assert.equal("invalid_request_error", err.type)
    assert.is_nil(err.code)
    return err.message
  end

  for query, expected in pairs {
    ['email:"ann@rocketrides.io"'] = "Ann",
    ["email:'ANN@rocketrides.io'"] = "Ann",
    ['email~"rocket"'] = "Ann Bob",
    ['-email~"rocket"'] = "Cyd",
    ['NOT email~"rocket"'] = "Cyd",
    ['name:"Ann" OR name:"Cyd"'] = "Ann Cyd",
    ['name:"Ann" or name:"Bob" or name:"Cyd"'] = "Ann Bob Cyd",
    ['email~"rocket" AND name:"Bob"'] = "Bob",
    ['email~"rocket" name:"Bob"'] = "Bob",
    ['email~"rocket" and -name:"Bob"'] = "Ann",
    ['metadata["tier"]:"gold"'] = "Ann",
    ["metadata['tier']:'silver'"] = "Cyd",
    ['-metadata["tier"]:"gold"'] = "Bob Cyd",
    ['metadata["tier"]:null'] = "Bob",
    ['-metadata["tier"]:null'] = "Ann Cyd",
    ['metadata["the key"]:"a \\"b\\""'] = "Ann",
    ["phone:null"] = "Ann Cyd",
    ["-phone:null"] = "Bob",
    ["created:1790000000"] = "Ann Bob Cyd",
    ["created>1790000000"] = "",
    ["created>=1790000000 created<1790000001"] = "Ann Bob Cyd",
    ["created<=1789999999"] = "",
    ['  name : "Ann"  '] = "Ann",
  } do
    it("finds by " .. query, function() assert.equal(expected, found(query)) end)
  end

  for query, why in pairs {
    ["   "] = "empty", ["name"] = "operator", ["name:"] = "lacks a value", ['name:"Ann'] = "quote",
    ['nme:"Ann"'] = "`nme` is not a search field of customer", ['name>"Ann"'] = "can't use >",
      ['name~"An"'] = "3 characters",
    ["created~123"] = "can't use ~", ['created:"soon"'] = "number", ['metadata[tier]:"gold"'] = "quoted",
    ['metadata["tier":"gold"'] = "bracket", ['name:"Ann" AND email:"x" OR phone:"y"'] = "AND as well as OR",
    ['name:"Ann"email:"x"'] = "no space", ["name~null"] = "can't use ~", ['name:="Ann"'] = "operator",
    [('name:"x" '):rep(11)] = "10 clauses", ['metadata["tier"]>"gold"'] = "can't use >",
  } do
    it("refuses " .. query, function()
      local message = refused(query)
      assert.truthy(message:find(why, 1, true), message)
    end)
  end

  it("pages newest first, by tokens that belong to their query", function()
    for i = 1, 25 do assert(stripe.customers:create { name = "many", metadata = { i = i } }) end
    local query, seen, page = 'name:"many"', {}, nil
    repeat
      page = assert(stripe.customers:search { query = query, limit = 10, page = page and page.next_page })
      assert.equal("/v1/customers/search", page.url)
      for _, customer in ipairs(page.data) do seen[#seen + 1] = tonumber(customer.metadata.i) end
      -- What is created or deleted between two pages moves nothing.
      assert(stripe.customers:create { name = "many", metadata = { i = 99 } })
      assert(stripe.customers:delete(page.data[#page.data].id))
    until not page.has_more
    assert.equal(support.pinstripe.null, page.next_page)
    local expected = {}
    for i = 25, 1, -1 do expected[#expected + 1] = i end
    assert.same(expected, seen)

    page = assert(stripe.customers:search { query = query, limit = 1 })
    local other, err = stripe.customers:search { query = "phone:null", page = page.next_page }
    assert.is_nil(other)
    assert.equal("page", err.param)
  end)

  it("walks all pages through a client's iterator", function()
    local count = 0
    for i = 1, 30 do assert(stripe.customers:create { name = "many", metadata = { i = i } }) end
    local page = assert(stripe.customers:search { query = 'name:"many"', limit = 7 })
    for _ in page:each() do count = count + 1 end
    assert.equal(30, count)
  end)

  it("counts on request, all that are found", function()
    local page = assert(stripe.customers:search { query = "-email:null", limit = 1, expand = { "total_count" } })
    assert.equal(3, page.total_count)
    assert.is_nil(assert(stripe.customers:search { query = "-email:null" }).total_count)
  end)

  it("takes limits from 1 to 100", function()
    for _, limit in ipairs { 0, 101, -1 } do
      local _, err = stripe.customers:search { query = "-email:null", limit = limit }
      assert.equal("parameter_invalid_integer", err.code)
      assert.equal("limit", err.param)
    end
    assert(stripe.customers:search { query = "-email:null", limit = 100 })
  end)

  it("does not find what was deleted", function()
    local page = assert(stripe.customers:search { query = 'name:"Ann"' })
    assert(stripe.customers:delete(page.data[1].id))
    assert.equal("", found 'name:"Ann"')
  end)

  it("expands what it finds", function()
    local page = assert(stripe.customers:search { query = 'name:"Ann"', expand = { "data.sources" } })
    assert.equal("list", page.data[1].sources.object)
  end)

  it("knows charges by their card, and what ids name, exactly", function()
    local customer = assert(stripe.customers:create { source = "tok_visa" })
    local charge = assert(stripe.charges:create { amount = 2000, currency = "usd", customer = customer.id })
    assert(stripe.charges:create { amount = 3000, currency = "usd", source = "tok_mastercard" })
    local function ids(query)
      local found_ids = {}
      for i, one in ipairs(assert(stripe.charges:search { query = query }).data) do found_ids[i] = one.id end
      return found_ids
    end
    assert.same({ charge.id }, ids "payment_method_details.card.last4:4242")
    assert.same({ charge.id }, ids('customer:"' .. customer.id .. '"'))
    assert.same({}, ids('customer:"' .. customer.id:upper() .. '"'))
    assert.same({ charge.id }, ids "amount<3000 AND status:'succeeded'")
    assert.equal(2, #ids "amount>=2000")
    assert.equal(2, #ids "refunded:'false' currency:'USD'")
  end)
end)
