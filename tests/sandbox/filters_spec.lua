-- Every parameter of every list that filters: of two objects in the store it finds the one that it asks for.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local maker = require "maker"
local pinstripe = require "pinstripe"
local spec = require "sandbox.spec"

local NO_FILTER = {
  limit = true, starting_after = true, ending_before = true, expand = true, page = true, include = true,
  object = true, -- of lists of several kinds: lists_spec
  order_by = true, -- the order is the usual one
  delivery_success = true, value_grouping_window = true, start_time = true, end_time = true,
}

-- Lists that are worked out, not kept.
local WORKED_OUT = {
  ["accounts.capabilities.list"] = true, ["credit_notes.preview_lines.list"] = true,
  ["invoices.upcoming_lines.list"] = true, ["issuing.funding_instructions.list"] = true,
  ["billing.meters.event_summaries.list"] = true,
}

local FIELDS = { ids = "id", lookup_keys = "lookup_key", types = "type" }

-- Two values of a type: the one that is asked for and another.
local function two(t)
  if t.kind == "array" then return two(t.of) end
  if t.kind == "range" or t.kind == "union" then return two(t.of or t.any[1]) end
  if t.kind == "enum" then
    if t.values[1] == "all" then return t.values[2], t.values[3] end
    return t.values[1], t.values[2] or "another"
  end
  if t.kind == "bool" then return true, false end
  if t.kind == "int" or t.kind == "timestamp" then return 1790000001, 1790000002 end
  if t.kind == "string" then return "usd", "eur" end
end

-- How a field holds a value.
local function held(field, value)
  if field.kind == "array" then return pinstripe.array { value } end
  return value
end

describe("filters", function()
  local checked = 0

  local function check(op, param, field)
    local box = support.box { now = 1790000000, seed = 1 }
    local client = box:client()
    local make = maker.new(box, client)
    local ids, params = make.ids(op), make.params(op)
    local referred = spec.kinds(field)[1] or param.name == "customer" and "customer"
    local wanted, other = two(param)
    if referred then wanted, other = make.object(referred).id, make.object(referred).id end
    local kind, parent = spec.operation(op.id).object, ids[#ids]
    local fields = {}
    for name, value in pairs(params) do fields[name] = value end
    if op.ids[1] then fields[op.ids[#op.ids]] = parent end
    local function seed(value)
      if param.name == "customer" or param.name == "account" then fields.parent = value end
      fields[field.name] = field.kind == "ref" and make.store:get(field.ref, value) or held(field, value)
      return make.seed(kind, fields, parent)
    end
    local found = seed(wanted)
    local another = seed(other)
    params[param.name] = param.kind == "array" and pinstripe.array { wanted } or wanted
    local page, err = make.call(op, ids, params)
    assert(page, tostring(err))
    local got = {}
    for _, item in ipairs(page.data) do got[item.id] = true end
    assert(got[found.id], "it does not find what is asked for")
    assert(not got[another.id], "it finds what is not asked for")
    checked = checked + 1
  end

  it("of a plain field find what they ask for", function()
    local failures = {}
    for op in pinstripe.api.operations() do
      local object = op.kind == "list" and spec.object(spec.operation(op.id).object)
      for _, param in ipairs(object and not WORKED_OUT[op.id] and op.params or {}) do
        local field = object.by_name[FIELDS[param.name] or param.name]
        if field and not NO_FILTER[param.name] and not param.required and param.kind ~= "object" then
          local ok, err = pcall(check, op, param, field)
          if not ok then
            failures[#failures + 1] = ("%s %s: %s"):format(op.id, param.name, tostring(err.message or err))
          end
        end
      end
    end
    print(("\n== %d filters of lists checked"):format(checked))
    assert.equal("", table.concat(failures, "\n"))
  end)

  -- Checks filters that are named like no field: each finds the first of two objects, made as `fields` say.
  local function own(id, param, wanted, fields, other)
    it(id .. " " .. param .. " finds what it asks for", function()
      local op = pinstripe.api.operation(id)
      local box = support.box { now = 1790000000, seed = 1 }
      local make = maker.new(box, box:client())
      local kind, params = spec.operation(id).object, make.params(op)
      local function seed(with)
        local all = {}
        for name, value in pairs(make.params(op)) do all[name] = value end
        for name, value in pairs(with) do all[name] = value end
        return make.seed(kind, all, with.parent)
      end
      local found, another = seed(fields), seed(other)
      params[param] = wanted
      local got = {}
      for _, item in ipairs(assert(make.call(op, {}, params)).data) do got[item.id] = true end
      assert.is_true(got[found.id])
      assert.is_nil(got[another.id])
    end)
  end

  own("entitlements.features.list", "archived", true, { active = false }, { active = true })
  own("financial_connections.accounts.list", "session", "fcsess_1", { parent = "fcsess_1" }, { parent = "fcsess_2" })
  own("invoice_items.list", "pending", true, { invoice = pinstripe.null }, { invoice = "in_1" })
  own("invoice_items.list", "pending", false, { invoice = "in_1" }, { invoice = pinstripe.null })
  own("payment_records.list", "created_after", 1790000001, { created = 1790000002 }, { created = 1790000001 })
  own("payment_records.list", "created_before", 1790000002, { created = 1790000001 }, { created = 1790000002 })
  own("product_catalog.trial_offers.list", "prices", pinstripe.array { "price_1" }, { price = "price_1" },
    { price = "price_2" })
  own("shipping_rates.list", "currency", "usd", { fixed_amount = { currency = "usd" } },
    { fixed_amount = { currency = "eur" } })
  own("subscription_schedules.list", "scheduled", true, { status = "not_started" }, { status = "active" })
  own("treasury.debit_reversals.list", "resolution", "won", { status = "succeeded" }, { status = "failed" })

  it("of what belongs to an object ask that", function()
    local box = support.box { now = 1790000000, seed = 1 }
    local stripe = box:client()
    local make = maker.new(box, stripe)
    local list = make.object "radar.value_list"
    local other = assert(stripe.radar.value_lists:create { alias = "other", name = "Other" })
    assert(stripe.radar.value_list_items:create { value_list = list.id, value = "bad@example.com" })
    assert(stripe.radar.value_list_items:create { value_list = other.id, value = "good@example.com" })
    local page = assert(stripe.radar.value_lists:list { contains = "bad@example.com" })
    assert.same({ 1, list.id }, { #page.data, page.data[1].id })
    local threshold = { gte = 1, recurrence = "one_time", meter = make.object "billing.meter".id }
    local alert = assert(stripe.billing.alerts:create {
      title = "x", alert_type = "usage_threshold", usage_threshold = threshold,
    })
    make.object "billing.alert"
    page = assert(stripe.billing.alerts:list { meter = threshold.meter })
    assert.same({ 1, alert.id }, { #page.data, page.data[1].id })
    local one, two_ = make.object "subscription", make.object "subscription"
    local price = make.object "price"
    assert(stripe.subscription_items:create { subscription = one.id, price = price.id })
    assert(stripe.subscription_items:create { subscription = two_.id, price = make.object "price".id })
    page = assert(stripe.subscriptions:list { price = price.id })
    assert.same({ 1, one.id }, { #page.data, page.data[1].id })
    assert.equal(2, #assert(stripe.subscriptions:list { current_period_end = { gt = 1790000000 } }).data)
    assert.equal(0, #assert(stripe.subscriptions:list { current_period_start = { gt = 1790000000 } }).data)
  end)
end)
