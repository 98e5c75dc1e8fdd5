-- Iterators, pages and projections.
local pinstripe = require "pinstripe"
local support = require "support"

local page, collect = support.page, support.collect

-- A transport that serves charges `count` .. 1, newest first, as the API does; `limit` is its default page.
local function charges(count)
  return function(request)
    local query = {}
    for name, value in (request.url:match "%?(.*)$" or ""):gmatch "([^=&]+)=([^&]*)" do query[name] = value end
    local limit = tonumber(query.limit) or 10
    local from, step = count, -1
    if query.starting_after then
      from = tonumber(query.starting_after:match "%d+") - 1
    elseif query.ending_before then
      from, step = tonumber(query.ending_before:match "%d+") + 1, 1
    end
    local ids, i = {}, from
    while #ids < limit and i >= 1 and i <= count do
      table.insert(ids, step < 0 and #ids + 1 or 1, "ch_" .. i)
      i = i + step
    end
    return support.reply(200, page(ids, i >= 1 and i <= count))
  end
end

local function ids_of(from, to)
  local ids = {}
  for i = from, to, from > to and -1 or 1 do ids[#ids + 1] = "ch_" .. i end
  return ids
end

describe("each", function()
  it("gives all items of all pages", function()
    local stripe, requests = support.client(charges(250))
    assert.are.same(ids_of(250, 1), collect(stripe.charges:each(), 300))
    assert.are.equal(3, #requests)
    assert.are.equal("/v1/charges?limit=100", support.path(requests[1]))
  end)

  it("works in a for", function()
    local stripe = support.client(charges(25))
    local ids = {}
    for charge in stripe.charges:each{ limit = 10 } do ids[#ids + 1] = charge.id end
    assert.are.same(ids_of(25, 1), ids)
  end)

  it("gives nothing of an empty list", function()
    local stripe = support.client(charges(0))
    for _ in stripe.charges:each() do error "an item" end
    local it = stripe.charges:each()
    assert.is_nil(it:next())
    assert.is_nil(it:next())
  end)

  it("pages backwards", function()
    local stripe = support.client(charges(25))
    assert.are.same(ids_of(6, 25), collect(stripe.charges:each{ ending_before = "ch_5", limit = 7 }))
  end)

  it("takes ids", function()
    local stripe, requests = support.client{ page({ "il_1" }, false) }
    assert.are.same({ "il_1" }, collect(stripe.invoices.line_items:each("in_1", { limit = 3 })))
    assert.are.equal("/v1/invoices/in_1/lines?limit=3", support.path(requests[1]))
  end)

  it("raises the error of a page that fails, and never ends early", function()
    local stripe = support.client{ page({ "ch_3", "ch_2" }, true), support.reply(401, { error = { message = "no" } }) }
    local ids = {}
    local ok, err = pcall(function()
      for charge in stripe.charges:each() do ids[#ids + 1] = charge.id end
    end)
    assert.is_false(ok)
    assert.are.equal("authentication", err.kind)
    assert.are.equal("no", err.message)
    assert.are.same({ "ch_3", "ch_2" }, ids)
  end)

  it("tries a failed page again", function()
    local no = support.reply(401, { error = { message = "no" } })
    local stripe, requests = support.client{ no, page({ "ch_2" }, true), no, no, page({ "ch_1" }, false) }
    assert.are.same({ "!", "ch_2", "!", "!", "ch_1" }, collect(stripe.charges:each()))
    assert.are.equal(5, #requests)
  end)

  it("saves and resumes", function()
    local stripe = support.client(charges(25))
    local it = stripe.charges:each({ limit = 4 })
    local ids = {}
    for _ = 1, 25 do
      ids[#ids + 1] = it:next().id
      local cursor = it:cursor()
      assert.is_nil(cursor:find(support.KEY, 1, true))
      it:close()
      it = stripe.charges:each({}, { cursor = cursor })
    end
    assert.is_nil(it:next())
    assert.are.same(ids_of(25, 1), ids)
  end)

  it("refuses the cursor of something else", function()
    local stripe = support.client(charges(5))
    local cursor = stripe.charges:each():cursor()
    assert.error_matches(function() stripe.customers:each({}, { cursor = cursor }) end,
      "customers:each: the cursor is that of another list")
    assert.error_matches(function() stripe.charges:each({}, { cursor = cursor, api_key = "sk_test_2" }) end,
      "charges:each: the option api_key cannot stand beside cursor")
    local item, err = stripe.charges:each({}, { cursor = "nonsense" }):next()
    assert.is_nil(item)
    assert.are.equal("usage", err.kind)
    assert.are.equal("not_sent", err.outcome)
  end)

  it("ends when it is closed", function()
    local stripe, requests = support.client(charges(25))
    local it = stripe.charges:each{ limit = 2 }
    it:next()
    assert.are.equal("pinstripe.iterator", tostring(it))
    it:close()
    it:close()
    assert.are.equal("pinstripe.iterator (closed)", tostring(it))
    assert.is_nil(it:next())
    assert.is_nil((it()))
    assert.error_matches(function() it:cursor() end, "the iterator is closed")
    assert.are.equal(1, #requests)
  end)

  it("follows a v2 list", function()
    local function v2(id, next_page_url)
      return { data = pinstripe.array{ { id = id } }, next_page_url = next_page_url or pinstripe.null }
    end
    local stripe, requests = support.client{ v2("evt_1", "/v2/core/events?page=b&limit=1"), v2 "evt_2" }
    assert.are.same({ "evt_1", "evt_2" }, collect(stripe.v2.core.events:each{ limit = 1 }))
    assert.are.equal("/v2/core/events?page=b&limit=1", support.path(requests[2]))
  end)

  if _VERSION >= "Lua 5.4" then
    it("is closed by a for that breaks", function()
      local stripe = support.client(charges(25))
      local it, state, control, closing = stripe.charges:each()
      for charge in it, state, control, closing do
        if charge then break end
      end
      assert.are.equal("pinstripe.iterator (closed)", tostring(it))
    end)
  end
end)

describe("an iterator", function()
  it("may be closed by what its transport returns", function()
    local stream
    local parts = { status = 200, headers = {}, body = "{}" }
    local stripe = support.client(function()
      return setmetatable({}, {
        __index = function(_, name)
          stream:close()
          return parts[name]
        end,
      })
    end)
    stream = stripe.charges:each()
    local ok, why = pcall(stream.next, stream)
    assert.is_false(ok)
    assert.matches("closed", why, 1, true)
    assert.is_nil(stream:next())
  end)

  it("names its methods when they are called without it", function()
    local stripe = support.client(charges(1))
    local stream = stripe.charges:each()
    for _, name in ipairs{ "next", "cursor", "close" } do
      for _, other in ipairs{ false, 5, {}, stripe } do
        local ok, why = pcall(function() stream[name](other) end)
        assert.is_false(ok)
        assert.matches("lists_spec.*" .. name .. " is a method of an iterator: call it with a colon", why)
      end
    end
  end)

  it("that cannot begin has no cursor, and says so", function()
    local stripe = support.client{}
    local stream = stripe.charges:each(nil, { cursor = "?" })
    assert.has_error(function() stream:cursor() end,
      "no cursor: the list could not begin (next() tells why), or not enough memory")
    local item, err = stream:next()
    assert.is_nil(item)
    assert.matches("the cursor is not one", err.message, 1, true)
  end)
end)

describe("a page", function()
  it("is the answer of list, with its own limit", function()
    local stripe, requests = support.client(charges(25))
    local first = stripe.charges:list()
    assert.are.equal(10, #first.data)
    assert.are.equal("/v1/charges", support.path(requests[1]))
    assert.are.equal(pinstripe.array, getmetatable(first.data))
    local names = {}
    for name in pairs(first) do names[#names + 1] = name end
    table.sort(names)
    assert.are.same({ "data", "has_more", "object", "url" }, names)
  end)

  it("gives its items and those of the pages after it", function()
    local stripe, requests = support.client(charges(25))
    local first = stripe.charges:list{ limit = 10, customer = "cus_1" }
    local it = first:each()
    assert.are.equal(first.data[1], (it:next()))
    assert.are.equal(first.data[2], (it:next()))
    assert.are.same(ids_of(23, 1), collect(it))
    assert.are.equal(3, #requests)
    assert.is_truthy(requests[2].url:find("customer=cus_1", 1, true))
    assert.is_truthy(requests[2].url:find("limit=10", 1, true))
    local ids = {}
    for charge in first:each() do ids[#ids + 1] = charge.id end
    assert.are.same(ids_of(25, 1), ids)
  end)

  it("is fetched after another", function()
    local stripe, requests = support.client(charges(25))
    local first = stripe.charges:list{ limit = 10 }
    local second, response = first:fetch_next()
    assert.are.equal("ch_15", second.data[1].id)
    assert.are.equal(200, response.status)
    local third = second:fetch_next()
    assert.are.equal(5, #third.data)
    assert.are.equal(false, third.has_more)
    assert.are.same({ n = 1 }, { n = select("#", third:fetch_next()), (third:fetch_next()) })
    assert.are.equal(3, #requests)
    assert.are.equal("ch_15", first:fetch_next().data[1].id)
  end)

  it("that cannot be fetched is an error", function()
    local stripe = support.client{ page({ "ch_2" }, true), support.reply(401, { error = { message = "no" } }),
      page({ "ch_1" }, false) }
    local first = stripe.charges:list()
    local next_page, err = first:fetch_next()
    assert.is_nil(next_page)
    assert.are.equal("authentication", err.kind)
    assert.are.equal("ch_1", first:fetch_next().data[1].id)
  end)

  it("gives its items backwards, too", function()
    local stripe = support.client(charges(25))
    local last = stripe.charges:list{ ending_before = "ch_5", limit = 7 }
    assert.are.equal("ch_12", last.data[1].id)
    local it = last:each()
    assert.are.equal(last.data[7], (it:next()))
    assert.are.same(ids_of(7, 25), collect(it))
  end)

  it("resumes within the page that it began from", function()
    local stripe = support.client(charges(25))
    local it = stripe.charges:list{ limit = 10 }:each()
    for _ = 1, 4 do it:next() end
    assert.are.same(ids_of(21, 1), collect(stripe.charges:each({}, { cursor = it:cursor() })))
  end)

  it("may have been changed by the program", function()
    local stripe = support.client(charges(12))
    local first = stripe.charges:list{ limit = 10 }
    first.extra = function() end
    first.data[2] = nil
    first.data[1].id = "changed"
    first.data[3] = false
    assert.has_no.errors(function() collect(first:each()) end)
    first.data = nil
    assert.are.same({ "!" }, collect(first:each(), 1))
  end)

  it("of a search goes on with its token", function()
    local function found(id, token)
      return { object = "search_result", url = "/v1/charges/search", has_more = token ~= nil, next_page = token,
        data = pinstripe.array{ { id = id } } }
    end
    local stripe, requests = support.client{ found("ch_1", "t2"), found "ch_2" }
    assert.are.same({ "ch_1", "ch_2" }, collect(stripe.charges:search{ query = "amount>1" }:each()))
    assert.is_truthy(requests[2].url:find("page=t2", 1, true))
    assert.is_truthy(requests[2].url:find("query=amount%3E1", 1, true))
  end)

  it("of a v2 list goes on where it says", function()
    local stripe, requests = support.client{
      { data = pinstripe.array{ { id = "evt_1" } }, next_page_url = "/v2/core/events?page=b" },
      { data = pinstripe.array(), next_page_url = "/v2/core/events?page=c" },
      { data = pinstripe.array{ { id = "evt_2" } }, next_page_url = pinstripe.null },
    }
    local first = stripe.v2.core.events:list()
    assert.are.same({ "evt_1", "evt_2" }, collect(first:each()))
    assert.are.equal("/v2/core/events?page=c", support.path(requests[3]))
  end)

  it("that leads elsewhere is not followed", function()
    local stripe, requests = support.client{
      { data = pinstripe.array(), next_page_url = "https://evil.example.com/v2/core/events" } }
    local next_page, err = stripe.v2.core.events:list():fetch_next()
    assert.is_nil(next_page)
    assert.are.equal("usage", err.kind)
    assert.are.equal(1, #requests)
  end)

  it("keeps the account, version, headers and key of its call", function()
    local stripe, requests = support.client(charges(5))
    local first = stripe.charges:list({ limit = 2 }, { stripe_account = "acct_1", stripe_version = "v1",
      headers = { ["X-A"] = "b" }, api_key = "sk_test_other_key" })
    collect(first:each())
    first:fetch_next()
    for _, request in ipairs(requests) do
      assert.are.equal("acct_1", request.headers["Stripe-Account"])
      assert.are.equal("v1", request.headers["Stripe-Version"])
      assert.are.equal("b", request.headers["X-A"])
      assert.are.equal("Bearer sk_test_other_key", request.headers.Authorization)
    end
    assert.are.equal(4, #requests)
  end)

  it("has methods, to be called with a colon", function()
    local stripe = support.client(charges(5))
    local first = stripe.charges:list()
    assert.error_matches(function() first.each() end,
      "each is a method of a page: call it with a colon, as page:each%(%)")
    assert.error_matches(function() first.fetch_next{} end, "fetch_next is a method of a page")
  end)
end)

describe("a list inside a result", function()
  local function invoice(id)
    return { id = id, object = "invoice", lines = page({ "il_1", "il_2" }, true, "/v1/invoices/" .. id .. "/lines") }
  end

  it("pages by its own url, with its call's options", function()
    local stripe, requests = support.client{ invoice "in_1", page({ "il_3" }, false) }
    local found = stripe.invoices:retrieve("in_1", nil, { stripe_account = "acct_1" })
    assert.are.same({ "il_1", "il_2", "il_3" }, collect(found.lines:each()))
    assert.are.equal("/v1/invoices/in_1/lines?limit=100&starting_after=il_2", support.path(requests[2]))
    assert.are.equal("acct_1", requests[2].headers["Stripe-Account"])
  end)

  it("outlives the iterator that its object came from", function()
    local stripe, requests = support.client{
      { object = "list", has_more = false, url = "/v1/invoices", data = { invoice "in_1", invoice "in_2" } },
      page({ "il_3" }, false), page({ "il_3" }, false) }
    local invoices = {}
    local it = stripe.invoices:each({}, { stripe_account = "acct_1" })
    for found in it do invoices[#invoices + 1] = found end
    it:close()
    it = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.are.same({ "il_1", "il_2", "il_3" }, collect(invoices[2].lines:each()))
    assert.are.same({ "il_3" }, { invoices[1].lines:fetch_next().data[1].id })
    assert.are.equal("/v1/invoices/in_2/lines?limit=100&starting_after=il_2", support.path(requests[2]))
    assert.are.equal("acct_1", requests[3].headers["Stripe-Account"])
  end)

  it("need not have more", function()
    local stripe = support.client{ { id = "in_1", lines = page({ "il_1" }, false, "/v1/invoices/in_1/lines") } }
    local found = stripe.invoices:retrieve "in_1"
    assert.are.same({ "il_1" }, collect(found.lines:each()))
    assert.is_nil(found.lines:fetch_next())
  end)
end)

describe("fields", function()
  local charge = {
    id = "ch_1", object = "charge", amount = 5, customer = { id = "cus_1", email = "a@b.c", name = "Jenny" },
    refunds = { object = "list", url = "/v1/charges/ch_1/refunds", has_more = true,
      data = pinstripe.array{ { id = "re_1", amount = 1, status = "x" }, { id = "re_2", amount = 2, status = "y" } } },
    items = pinstripe.array{ { price = { id = "p_1", amount = 3 } }, { price = { id = "p_2" } }, {} },
    tags = pinstripe.array{ "a", "b" }, none = pinstripe.null, ["a.b"] = 1,
  }

  local function retrieve(fields)
    local stripe = support.client{ charge }
    return (pinstripe.check(stripe.charges:retrieve("ch_1", nil, { fields = fields })))
  end

  it("build what is named, nested", function()
    assert.are.same({ id = "ch_1", amount = 5, customer = { email = "a@b.c" } },
      retrieve{ "id", "amount", "customer.email" })
  end)

  it("leave absent what is absent", function()
    local found = retrieve{ "nothing", "amount.cents", "none.x", "customer.phone" }
    assert.are.same({ customer = {} }, found)
  end)

  it("keep null, and whole values", function()
    local found = retrieve{ "none", "customer", "tags" }
    assert.are.equal(pinstripe.null, found.none)
    assert.are.same(charge.customer, found.customer)
    assert.are.same({ "a", "b" }, setmetatable(found.tags, nil))
  end)

  it("take the whole where it is named beside its parts", function()
    assert.are.same(charge.customer, retrieve{ "customer.email", "customer" }.customer)
    assert.are.same(charge.customer, retrieve{ "customer", "customer.email" }.customer)
    assert.are.same({ email = "a@b.c", name = "Jenny" }, retrieve{ "customer.email", "customer.name" }.customer)
  end)

  it("pass through arrays", function()
    local found = retrieve{ "items.price.id" }
    assert.are.equal(pinstripe.array, getmetatable(found.items))
    assert.are.same({ { price = { id = "p_1" } }, { price = { id = "p_2" } }, {} }, setmetatable(found.items, nil))
  end)

  it("pass through lists, which go on", function()
    local stripe, requests = support.client{ charge, page({ "re_3" }, false) }
    local found = stripe.charges:retrieve("ch_1", nil, { fields = { "refunds.amount" } })
    assert.is_nil(found.id)
    assert.are.same({ { amount = 1 }, { amount = 2 } }, setmetatable(found.refunds.data, nil))
    assert.are.equal(true, found.refunds.has_more)
    assert.are.equal("/v1/charges/ch_1/refunds", found.refunds.url)
    local amounts = {}
    for refund in found.refunds:each() do amounts[#amounts + 1] = refund.amount end
    assert.are.same({ 1, 2 }, { amounts[1], amounts[2] })
    assert.are.equal("/v1/charges/ch_1/refunds?starting_after=re_2", support.path(requests[2]))
  end)

  local function lines(ids, more)
    local data = {}
    for _, id in ipairs(ids) do data[#data + 1] = { id = id, object = "line_item", price = { id = "price_" .. id } } end
    return { object = "list", url = "/v1/invoices/in_1/lines", has_more = more, data = data }
  end

  local function collect_lines(names)
    local invoice = { id = "in_1", object = "invoice", lines = lines({ "il_1", "il_2" }, true) }
    local stripe = support.client{ invoice, lines({ "il_3" }, false) }
    local found = stripe.invoices:retrieve("in_1", nil, { fields = names })
    local items = {}
    for line in found.lines:each() do items[#items + 1] = line end
    return items
  end

  it("of a nested list apply to its next pages, whichever way they are spelt", function()
    local expected = {}
    for i = 1, 3 do expected[i] = { price = { id = "price_il_" .. i } } end
    assert.are.same(expected, collect_lines{ "id", "lines.price.id" })
    assert.are.same(expected, collect_lines{ "id", "lines.data.price.id" })
  end)

  it("leave a nested list that is named itself whole, on its next pages too", function()
    for _, names in ipairs{ { "id", "lines" }, { "id", "lines.data" } } do
      local items = collect_lines(names)
      for i = 1, 3 do
        assert.are.same({ id = "il_" .. i, object = "line_item", price = { id = "price_il_" .. i } }, items[i])
      end
    end
  end)

  it("of each leave the ids to the pager", function()
    local stripe, requests = support.client(charges(5))
    local items = {}
    for item in stripe.charges:each({ limit = 2 }, { fields = { "amount" } }) do items[#items + 1] = item end
    assert.are.same({ { amount = 100 }, { amount = 200 }, { amount = 100 }, { amount = 200 }, { amount = 100 } }, items)
    assert.are.equal(3, #requests)
  end)

  it("of list apply to the items, of this page and the next ones", function()
    local stripe = support.client(charges(5))
    local first = stripe.charges:list({ limit = 2 }, { fields = { "amount" } })
    assert.are.same({ { amount = 100 }, { amount = 200 } }, setmetatable(first.data, nil))
    assert.are.equal("list", first.object)
    assert.are.equal(true, first.has_more)
    local items = {}
    for item in first:each() do items[#items + 1] = item end
    assert.are.same({ { amount = 100 }, { amount = 200 }, { amount = 100 }, { amount = 200 }, { amount = 100 } }, items)
    local second = first:fetch_next()
    assert.are.same({ { amount = 100 }, { amount = 200 } }, setmetatable(second.data, nil))
    assert.are.same({ { amount = 100 } }, setmetatable(second:fetch_next().data, nil))
  end)

  it("of events name the event's own data", function()
    local event = { id = "evt_1", type = "x", data = { object = { id = "ch_1", amount = 5 } } }
    local stripe = support.client{ { object = "list", has_more = false, data = { event }, url = "/v1/events" } }
    assert.are.same({ { type = "x", data = { object = { id = "ch_1" } } } },
      setmetatable(stripe.events:list({}, { fields = { "type", "data.object.id" } }).data, nil))
  end)

  -- Items are read with less, a single object as a whole: the same fields must leave the same of both.
  it("leave the same of an item as of that object alone", function()
    local names = { "id", "object", "a", "b", "data", "has_more", "url" }
    local function value(depth)
      local kind = math.random(depth > 3 and 3 or 6)
      if kind < 4 then return ({ 5, "text", pinstripe.null })[kind] end
      if kind == 4 then return pinstripe.array{ value(depth + 1), value(depth + 1) } end
      if kind == 5 then
        return { object = "list", data = pinstripe.array{ value(depth + 1) }, has_more = true, url = "/v1/x" }
      end
      local map = {}
      for _ = 1, 4 do map[names[math.random(#names)]] = value(depth + 1) end
      return map
    end
    local function path()
      local steps = {}
      for i = 1, math.random(3) do steps[i] = names[math.random(#names)] end
      return table.concat(steps, ".")
    end
    math.randomseed(1)
    for _ = 1, 300 do
      local item = { id = "x_1", a = value(1), b = value(1), data = value(1) }
      local fields, inside = {}, {}
      for i = 1, math.random(3) do
        fields[i] = path()
        inside[i] = "one." .. fields[i]
      end
      local page_of_it = { object = "list", data = { item }, has_more = false, url = "/v1/x" }
      local stripe = support.client{ page_of_it, { one = item } }
      local list = pinstripe.check(stripe:request("GET", "/v1/x", nil, { fields = fields }))
      local alone = pinstripe.check(stripe:request("GET", "/v1/y", nil, { fields = inside }))
      assert.are.same(alone.one, list.data[1], table.concat(fields, " "))
    end
  end)

  it("with dots in a key cannot be named", function()
    assert.are.same({}, retrieve{ "a.b" })
  end)
end)
