-- Thin events: the methods of a client that fetch, and handlers.
local pinstripe = require "pinstripe"
local support = require "support"

local SECRET = "whsec_specs"
local METER = "v1.billing.meter.error_report_triggered"

local function event(id, event_type, context)
  return pinstripe.json.encode{
    id = id, object = "v2.core.event", type = event_type, context = context,
    related_object = { id = "mtr_1", url = "/v1/billing/meters/mtr_1" },
  }
end

local function client()
  return support.client(function() return support.reply(200, { id = "mtr_1", object = "billing.meter" }) end,
    { stripe_account = "acct_mine", stripe_context = "acct_mine/acct_other" })
end

local function raises(pattern, f)
  local ok, err = pcall(f)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
  assert.is_truthy(tostring(err):find("notifications_spec", 1, true), tostring(err))
end

describe("a client", function()
  it("fetches an event and its object, in the event's context", function()
    local stripe, requests = client()
    local notification = pinstripe.webhook.parse_notification_without_verification(event("evt_1", METER, "acct_7"))
    assert.are.equal("mtr_1", stripe:fetch_related_object(notification).id)
    assert.are.equal("mtr_1", stripe:fetch_event(notification).id)
    assert.are.equal("/v1/billing/meters/mtr_1", support.path(requests[1]))
    assert.are.equal("/v2/core/events/evt_1", support.path(requests[2]))
    for _, request in ipairs(requests) do
      assert.are.equal("acct_7", request.headers["Stripe-Context"])
      assert.is_nil(request.headers["Stripe-Account"])
      assert.are.equal("event=evt_1", request.headers["Stripe-Request-Trigger"])
    end
  end)

  it("returns what goes wrong, and raises a misuse", function()
    local stripe, requests = client()
    local object, err = stripe:fetch_related_object{ id = "evt_1" }
    assert.is_nil(object)
    assert.are.equal("usage", err.kind)
    assert.are.equal(0, #requests)
    raises("fetch_event: a thin event expected", function() stripe:fetch_event "evt_1" end)
    raises("fetch_event: notification.a", function() stripe:fetch_event{ id = "evt_1", a = print } end)
    raises("fetch_event is a method", function() stripe.fetch_event(event("evt_1", METER)) end)
  end)
end)

describe("a handler", function()
  local told

  local function new(secrets)
    local stripe, requests = client()
    told = {}
    local handler = stripe:notification_handler(secrets or SECRET, function(notification, own, known)
      told[#told + 1] = notification.id .. (known and " known" or " unknown")
      pinstripe.check(own.balance:retrieve())
    end)
    return handler, requests
  end

  local function deliver(handler, body)
    return handler:handle(body, pinstripe.webhook.sign(body, SECRET))
  end

  it("gives each event to the function of its type, or to the fallback", function()
    local handler, requests = new()
    handler:on(METER, function(notification, own)
      told[#told + 1] = "meter"
      pinstripe.check(own:fetch_related_object(notification))
      pinstripe.check(own.v2.core.accounts:list())
      pinstripe.check(own:request("GET", "/v1/balance"))
    end)
    assert.are.equal("evt_1", deliver(handler, event("evt_1", METER, "acct_7")).id)
    assert.are.equal("evt_2", deliver(handler, event("evt_2", "v2.core.account.created", "acct_8")).id)
    assert.are.equal("evt_3", deliver(handler, event("evt_3", "v9.brand.new")).id)
    assert.are.same({ "meter", "evt_2 known", "evt_3 unknown" }, told)
    assert.are.equal(5, #requests)
    for i, request in ipairs(requests) do
      assert.are.equal(({ "acct_7", "acct_7", "acct_7", "acct_8" })[i], request.headers["Stripe-Context"])
      assert.is_nil(request.headers["Stripe-Account"])
    end
  end)

  it("gives what has no type to the fallback", function()
    local handler = new()
    handler:on(METER, function() told[#told + 1] = "meter" end)
    deliver(handler, '{"id":"evt_1","object":"v2.core.event"}')
    deliver(handler, '{"id":"evt_2","object":"v2.core.event","type":null}')
    deliver(handler, '{"id":"evt_3","object":"v2.core.event","type":5}')
    assert.are.same({ "evt_1 unknown", "evt_2 unknown", "evt_3 unknown" }, told)
  end)

  it("lets pre_handle veto", function()
    local handler = new()
    handler:on(METER, function() told[#told + 1] = "meter" end)
    handler:pre_handle(function(notification) return notification.id ~= "evt_no" end)
    assert.are.equal("evt_no", deliver(handler, event("evt_no", METER)).id)
    deliver(handler, event("evt_yes", METER))
    deliver(handler, event("evt_no", "v9.brand.new"))
    assert.are.same({ "meter" }, told)
  end)

  it("runs nothing for what does not verify", function()
    local handler = new{ "whsec_other", "whsec_another" }
    local notification, err = deliver(handler, event("evt_1", METER))
    assert.is_nil(notification)
    assert.are.equal("no_match", err.code)
    notification, err = handler:handle(event("evt_1", METER), nil)
    assert.is_nil(notification)
    assert.are.equal("no_header", err.code)
    assert.are.same({}, told)
    assert.are.equal("evt_1", handler:handle_without_verification(event("evt_1", METER)).id)
    assert.are.same({ "evt_1 known" }, told)
  end)

  it("lets the error of a function pass", function()
    local handler = new()
    handler:on(METER, function() error({ mine = true }) end)
    local ok, err = pcall(deliver, handler, event("evt_1", METER))
    assert.is_false(ok)
    assert.is_true(err.mine)
  end)

  it("closes registration with the first event, and takes one function a type", function()
    local handler = new()
    handler:on("v1.b", print)
    handler:on("v1.a", print)
    assert.are.same({ "v1.a", "v1.b" }, handler:registered_event_types())
    raises("v1.a has a function already", function() handler:on("v1.a", print) end)
    handler:handle("", nil)
    raises("register before", function() handler:on("v1.c", print) end)
    raises("register before", function() handler:pre_handle(print) end)
  end)

  it("names a misuse", function()
    local handler = new()
    raises("a function expected, not a nil", function() client():notification_handler(SECRET) end)
    raises("a function expected", function() handler:on("v1.a", 5) end)
    raises("the type must be a string", function() handler:on(5, print) end)
    raises("on is a method of a handler", function() handler.on("v1.a", print) end)
    handler:pre_handle(print)
    raises("has one already", function() handler:pre_handle(print) end)
  end)
end)
