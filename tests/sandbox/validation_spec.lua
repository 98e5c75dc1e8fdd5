-- The API's errors, case by case: status, type, code, param and the form of the message; and that nothing has happened.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local host = require "sandbox.host"

describe("errors", function()
  local box, stripe

  before_each(function()
    box = support.box { now = 1790000000, seed = 3 }
    stripe = box:client()
  end)

  -- Sends a request as text; returns the reply and its error.
  local function send(method, path, body, headers)
    headers = headers or {}
    headers.authorization = headers.authorization or "Bearer sk_test_123"
    if headers.authorization == "none" then headers.authorization = nil end
    local query
    if method == "GET" then query, body = body, nil end
    headers["content-type"] = "application/x-www-form-urlencoded"
    local reply = box:handle { method = method, path = path, query = query, headers = headers, body = body }
    return reply, host.decode(reply.body).error
  end

  -- All objects that there are, as text.
  local function objects()
    local found = {}
    for account, state in pairs(box:save().accounts) do
      for kind, of in pairs(state.kinds) do
        if #of.rows > 0 then found[account .. " " .. kind] = of.rows end
      end
    end
    return host.encode(found)
  end

  local function refused(expected, method, path, body, headers)
    local before = objects()
    local reply, err = send(method, path, body, headers)
    assert.equal(expected.status or 400, reply.status, reply.body)
    assert.equal(expected.type or "invalid_request_error", err.type)
    assert.equal(expected.code, err.code)
    assert.equal(expected.param, err.param)
    if expected.code then assert.truthy(err.doc_url:find(expected.code:gsub("_", "-"), 1, true)) end
    if expected.message then
      assert.truthy(err.message:find(expected.message, 1, true), err.message)
    end
    assert.truthy(reply.headers["Request-Id"]:find "^req_")
    if not expected.changes then assert.equal(before, objects()) end
    return err
  end

  describe("of ids in the path", function()
    for path, expected in pairs {
      ["/v1/customers/cus_x"] = { param = "id", message = "No such customer: 'cus_x'" },
      ["/v1/products/prod_x"] = { param = "id", message = "No such product: 'prod_x'" },
      ["/v1/subscriptions/sub_x"] = { param = "id", message = "No such subscription: 'sub_x'" },
      ["/v1/payment_intents/pi_x"] = { param = "intent", message = "No such payment_intent: 'pi_x'" },
      ["/v1/setup_intents/seti_x"] = { param = "intent" }, ["/v1/prices/price_x"] = { param = "price" },
      ["/v1/plans/plan_x"] = { param = "plan" }, ["/v1/invoices/in_x"] = { param = "invoice" },
      ["/v1/charges/ch_x"] = { param = "charge" }, ["/v1/refunds/re_x"] = { param = "refund" },
      ["/v1/coupons/co_x"] = { param = "coupon" },
    } do
      it(path, function()
        refused({ status = 404, code = "resource_missing", param = expected.param, message = expected.message }, "GET",
          path)
        refused({ status = 404, code = "resource_missing", param = expected.param }, "POST", path, "metadata[a]=b")
      end)
    end

    it("of another customer's source", function()
      local one = assert(stripe.customers:create { source = "tok_visa" })
      local two = assert(stripe.customers:create())
      local path = ("/v1/customers/%s/sources/%s"):format(two.id, one.default_source)
      assert.equal(404, send("GET", path).status)
    end)
  end)

  it("of ids in params", function()
    refused({ code = "resource_missing", param = "customer", message = "No such customer: 'cus_x'" },
      "POST", "/v1/payment_intents", "amount=2000&currency=usd&customer=cus_x")
    refused({ code = "resource_missing", param = "items[0][price]", message = "No such price: 'price_x'" },
      "POST", "/v1/subscriptions", "customer=" .. assert(stripe.customers:create()).id .. "&items[0][price]=price_x")
    refused({ code = "resource_missing", param = "starting_after" }, "GET", "/v1/customers", "starting_after=cus_x")
    refused({ code = "resource_missing", param = "ending_before" }, "GET", "/v1/customers", "ending_before=cus_x")
  end)

  it("of unknown params", function()
    refused({ code = "parameter_unknown", param = "foo", message = "Received unknown parameter: foo" },
      "POST", "/v1/customers", "foo=1")
    refused({ code = "parameter_unknown", param = "foo", message = "Received unknown parameters: foo, bar" },
      "POST", "/v1/customers", "email=a&foo=1&bar=2")
    refused({ code = "parameter_unknown", param = "address[lin1]",
      message = "Received unknown parameter: address[lin1]" },
      "POST", "/v1/customers", "address[lin1]=x")
    refused({ code = "parameter_unknown", param = "foo" }, "GET", "/v1/customers", "foo=1")
  end)

  it("of missing params", function()
    refused({ code = "parameter_missing", param = "currency", message = "Missing required param: currency." },
      "POST", "/v1/payment_intents", "amount=2000")
    refused({ code = "parameter_missing", param = "recurring[interval]" },
      "POST", "/v1/prices", "currency=usd&unit_amount=1&product_data[name]=x&recurring[interval_count]=2")
    refused({ code = "parameter_missing", param = "query" }, "GET", "/v1/customers/search", "")
  end)

  it("of integers", function()
    for _, value in ipairs { "x", "1.5", "1e3", "99999999999999999999", "0x10" } do
      refused({ code = "parameter_invalid_integer", param = "amount", message = "Invalid integer: " .. value },
        "POST", "/v1/payment_intents", "currency=usd&amount=" .. value)
    end
    refused({ code = "parameter_invalid_integer", param = "limit" }, "GET", "/v1/customers", "limit=ten")
    refused({ code = "parameter_invalid_integer", param = "limit" }, "GET", "/v1/customers/search",
      "limit=101&query=" .. "created%3E0")
  end)

  it("of numbers that JSON would not bring back, and of decimals without their digits", function()
    local rate, nines = "display_name=VAT&inclusive=false&percentage=", ("9"):rep(20)
    for _, value in ipairs { nines, "-" .. nines, ("9"):rep(400), "9223372036854775808" } do
      refused({ param = "percentage", message = "Invalid number: " .. value }, "POST", "/v1/tax_rates", rate .. value)
    end
    for _, value in ipairs { "1.", "-1.", ".", "1e3" } do
      refused({ param = "unit_amount_decimal", message = "Invalid decimal: " .. value }, "POST", "/v1/prices",
        "currency=usd&product_data[name]=x&unit_amount_decimal=" .. value)
    end
    assert.equal(200, send("POST", "/v1/tax_rates", rate .. "19.5").status)
  end)

  it("of empty texts", function()
    refused({ code = "parameter_invalid_empty", param = "currency" }, "POST", "/v1/payment_intents",
      "amount=2000&currency=")
    refused({ code = "parameter_invalid_empty", param = "name" }, "POST", "/v1/products", "name=")
  end)

  it("of enums, booleans, objects, arrays and currencies, which have no code", function()
    refused({ param = "capture_method", message = "Invalid capture_method: must be one of" },
      "POST", "/v1/payment_intents", "amount=2000&currency=usd&capture_method=never")
    refused({ param = "confirm", message = "Invalid boolean: maybe" },
      "POST", "/v1/payment_intents", "amount=2000&currency=usd&confirm=maybe")
    refused({ param = "address", message = "Invalid object: here" }, "POST", "/v1/customers", "address=here")
    refused({ param = "preferred_locales", message = "Invalid array" }, "POST", "/v1/customers", "preferred_locales=de")
    refused({ param = "email" }, "POST", "/v1/customers", "email[a]=b")
    refused({ param = "currency", message = "Invalid currency: dollars" },
      "POST", "/v1/payment_intents", "amount=2000&currency=dollars")
  end)

  it("of metadata", function()
    refused({ param = "metadata[" .. ("k"):rep(41) .. "]" }, "POST", "/v1/customers", "metadata[" .. ("k"):rep(41)
      .. "]=1")
    refused({ param = "metadata[a]" }, "POST", "/v1/customers", "metadata[a]=" .. ("v"):rep(501))
    for _, form in ipairs { "metadata[%ff]=v", "metadata%5B%ff%5D=v", "%ff=v", "address[%ff][a]=v" } do
      refused({ message = "could not be read: near" }, "POST", "/v1/customers", form)
    end
    local many = {}
    for i = 1, 51 do many[i] = ("metadata[k%d]=1"):format(i) end
    refused({ param = "metadata" }, "POST", "/v1/customers", table.concat(many, "&"))
    assert(stripe.customers:create { metadata = { [("k"):rep(40)] = ("é"):rep(500) } })
  end)

  it("the first of several stands: unknown before missing before wrong", function()
    refused({ code = "parameter_unknown", param = "foo" }, "POST", "/v1/payment_intents", "amount=x&foo=1")
    refused({ code = "parameter_missing", param = "currency" }, "POST", "/v1/payment_intents", "amount=x")
    refused({ code = "parameter_invalid_integer", param = "amount" },
      "POST", "/v1/payment_intents", "amount=x&currency=usd&customer=cus_x")
  end)

  it("of cursors", function()
    local customer = assert(stripe.customers:create())
    local both = ("starting_after=%s&ending_before=%s"):format(customer.id, customer.id)
    local reply, err = send("GET", "/v1/customers", both)
    assert.equal(400, reply.status)
    assert.is_nil(err.code)
  end)

  it("of declines", function()
    local function declined(source, expected)
      expected.status, expected.type, expected.changes = 402, "card_error", true
      return refused(expected, "POST", "/v1/charges", "amount=2000&currency=usd&source=" .. source)
    end
    local err = declined("tok_chargeDeclined", { code = "card_declined" })
    assert.equal("generic_decline", err.decline_code)
    assert.truthy(err.charge:find "^ch_")
    declined("tok_chargeDeclinedExpiredCard", { code = "expired_card", param = "exp_month" })
    declined("tok_chargeDeclinedIncorrectCvc", { code = "incorrect_cvc", param = "cvc" })
    declined("tok_chargeDeclinedProcessingError", { code = "processing_error" })
    err = refused({ status = 402, type = "card_error", code = "card_declined", changes = true },
      "POST", "/v1/payment_intents",
      "amount=2000&currency=usd&confirm=true&payment_method=pm_card_chargeDeclinedInsufficientFunds"
      .. "&automatic_payment_methods[enabled]=true&return_url=https://example.com")
    assert.equal("insufficient_funds", err.decline_code)
    assert.equal("payment_intent", err.payment_intent.object)
    assert.equal("requires_payment_method", err.payment_intent.status)
    assert.equal("payment_method", err.payment_method.object)
    assert.truthy(err.charge:find "^ch_")
  end)

  it("of a wrong number", function()
    local reply, err = send("POST", "/v1/payment_methods",
      "type=card&card[number]=4242424242424241&card[exp_month]=12&card[exp_year]=2030&card[cvc]=123")
    assert.equal(402, reply.status)
    assert.equal("incorrect_number", err.code)
  end)

  it("of authentication off session", function()
    local customer = assert(stripe.customers:create())
    local method = assert(stripe.payment_methods:attach("pm_card_authenticationRequired", { customer = customer.id }))
    local err = refused({ status = 402, type = "card_error", code = "authentication_required", changes = true },
      "POST", "/v1/payment_intents",
        ("amount=2000&currency=usd&confirm=true&off_session=true&customer=%s&payment_method=%s")
      :format(customer.id, method.id))
    assert.equal("requires_payment_method", err.payment_intent.status)
  end)

  it("of states of intents", function()
    local intent = assert(stripe.payment_intents:create { amount = 2000, currency = "usd" })
    local err = refused({ code = "payment_intent_unexpected_state" }, "POST", "/v1/payment_intents/" .. intent.id
      .. "/capture", "")
    assert.equal(intent.id, err.payment_intent.id)
  end)

  it("of refunds", function()
    local charge = assert(stripe.charges:create { amount = 2000, currency = "usd", source = "tok_visa" })
    refused({ param = "amount" }, "POST", "/v1/refunds", "amount=2001&charge=" .. charge.id)
    assert(stripe.refunds:create { charge = charge.id })
    refused({ code = "charge_already_refunded" }, "POST", "/v1/refunds", "charge=" .. charge.id)
  end)

  it("of too many requests", function()
    require "sandbox.faults".set_rate_limit(box, 2)
    local limited, err
    for _ = 1, 30 do
      limited, err = send("GET", "/v1/customers")
      if limited.status == 429 then break end
    end
    assert.equal(429, limited.status)
    assert.equal("rate_limit", err.code)
    assert.equal("invalid_request_error", err.type)
    assert.truthy(limited.headers["Stripe-Rate-Limited-Reason"])
  end)

  it("of keys, which are shown starred", function()
    refused({ status = 401 }, "GET", "/v1/customers", nil, { authorization = "none" })
    refused({ status = 401 }, "GET", "/v1/customers", nil, { authorization = "Bearer " })
    local err = refused({ status = 401 }, "GET", "/v1/customers", nil,
      { authorization = "Bearer sk_live_51H8secretsecret" })
    assert.is_nil(err.message:find "secret")
    assert.truthy(err.message:find("****", 1, true))
    refused({ status = 401, code = "secret_key_required" }, "GET", "/v1/customers", nil,
      { authorization = "Bearer pk_test_123" })
    assert.equal(200, send("POST", "/v1/tokens", "card[number]=4242424242424242&card[exp_month]=1&card[exp_year]=2031",
      { authorization = "Bearer pk_test_123" }).status)
    assert.equal(200, send("GET", "/v1/customers", nil, { authorization = "Basic c2tfdGVzdF8xMjM6" }).status)
  end)

  it("of accounts", function()
    refused({ status = 403, code = "account_invalid" }, "GET", "/v1/customers", nil, { ["stripe-account"] = "acct_x" })
    refused({ status = 403, code = "account_invalid" }, "GET", "/v1/accounts/acct_x")
  end)

  it("of addresses", function()
    local err = refused({ status = 404 }, "GET", "/v1/nothing")
    assert.truthy(err.message:find("GET", 1, true) and err.message:find("/v1/nothing", 1, true))
    err = refused({ status = 404 }, "POST", "/v1/customers/", "")
    assert.truthy(err.message:find "slash")
    refused({ status = 404 }, "DELETE", "/v1/customers")
    refused({ status = 404 }, "PUT", "/v1/nothing", "")
  end)

  it("of methods that the API has nowhere", function()
    for path, allowed in pairs {
      ["/v1/customers"] = "GET, POST", ["/v1/customers/cus_x"] = "GET, POST, DELETE",
      ["/v2/core/accounts"] = "GET, POST",
    } do
      for _, method in ipairs { "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO" } do
        local reply, err = send(method, path, "")
        assert.equal(405, reply.status)
        assert.equal(allowed, reply.headers.Allow)
        assert.equal("invalid_request_error", err.type)
        assert.equal(("%s takes %s, not %s."):format(path, allowed, method), err.message)
      end
    end
  end)

  it("of older versions alone, the current one has no such param", function()
    local body = "amount=2000&currency=usd&payment_method_types[]=card"
    refused({ code = "parameter_unknown", param = "payment_method_types" }, "POST", "/v1/payment_intents", body,
      { ["stripe-version"] = support.pinstripe.api.version })
    assert.equal(200, send("POST", "/v1/payment_intents", body).status)
    assert.equal(200, send("POST", "/v1/payment_intents", body, { ["stripe-version"] = "2020-08-27" }).status)
    refused({ code = "parameter_invalid_empty", param = "payment_method_types[0]" }, "POST", "/v1/payment_intents",
      "amount=2000&currency=usd&payment_method_types[]=")
    local bank = send("POST", "/v1/payment_intents", "amount=2000&currency=jpy&payment_method_types[]=jp_bank_account")
    assert.equal(200, bank.status, bank.body)
    body = "customer=" .. assert(stripe.customers:create()).id .. "&start_date=now&phases[0][iterations]=3"
      .. "&phases[0][items][0][price_data][currency]=usd"
      .. "&phases[0][items][0][price_data][product]=" .. assert(stripe.products:create { name = "x" }).id
      .. "&phases[0][items][0][price_data][recurring][interval]=month"
    refused({ code = "parameter_unknown", param = "phases[0][iterations]" }, "POST", "/v1/subscription_schedules", body,
      { ["stripe-version"] = support.pinstripe.api.version })
    local reply = send("POST", "/v1/subscription_schedules", body)
    assert.equal(200, reply.status, reply.body)
  end)

  it("echo the version, and the reply is printed in two spaces", function()
    local reply = send("GET", "/v1/customers", nil, { ["stripe-version"] = "2020-08-27" })
    assert.equal("2020-08-27", reply.headers["Stripe-Version"])
    for _, none in ipairs { {}, { ["stripe-version"] = "" } } do
      local unversioned = send("GET", "/v1/customers", nil, none)
      assert.equal(200, unversioned.status)
      assert.equal(support.pinstripe.api.version, unversioned.headers["Stripe-Version"])
    end
    assert.truthy(reply.body:find('{\n  "object": "list",\n  "data": []', 1, true), reply.body)
  end)
end)

describe("params", function()
  local box = support.box { now = 1790000000, seed = 3 }

  local function create(body)
    local reply = box:handle {
      method = "POST", path = "/v1/customers", body = body,
      headers = { authorization = "Bearer sk_test_123", ["content-type"] = "application/x-www-form-urlencoded" },
    }
    assert.equal(200, reply.status, reply.body)
    return host.decode(reply.body)
  end

  it("build lists in every spelling", function()
    for _, body in ipairs {
      "preferred_locales[]=de&preferred_locales[]=fr", "preferred_locales[0]=de&preferred_locales[1]=fr",
      "preferred_locales=de&preferred_locales=fr", "preferred_locales%5B%5D=de&preferred_locales%5B%5D=fr",
      "preferred_locales[1]=fr&preferred_locales[0]=de",
    } do
      assert.same({ "de", "fr" }, create(body).preferred_locales, body)
    end
  end)

  local function upload(...)
    local parts = {}
    for i, part in ipairs { { 'purpose"', "dispute_evidence" }, { 'file"; filename="a.pdf"', "%PDF" }, ... } do
      parts[i] = ('--sep\r\nContent-Disposition: form-data; name="%s\r\n\r\n%s\r\n'):format(part[1], part[2])
    end
    return box:handle {
      method = "POST", path = "/v1/files", body = table.concat(parts) .. "--sep--\r\n",
      headers = { authorization = "Bearer sk_test_123", ["content-type"] = "multipart/form-data; boundary=sep" },
    }
  end

  it("build lists in every spelling of a multipart body as well", function()
    for _, name in ipairs { "expand[]", "expand[0]" } do
      local reply = upload({ name .. '"', "links" })
      assert.equal(200, reply.status, reply.body)
      assert.equal("list", host.decode(reply.body).links.object)
    end
    assert.truthy(upload({ 'expand"', "links" }, { 'expand"', "a" }).body:find("cannot be expanded (a)", 1, true))
  end)

  it("refuse parts of a multipart body that are no text, or lie within one", function()
    assert.equal(200, upload({ 'file_link_data[create]"', "true" }, { 'file_link_data[metadata][a]"', "é" }).status)
    for _, wrong in ipairs {
      { 'file_link_data[metadata][a]"', "\xff" }, { 'purpose[a]"', "x" }, { 'file[a]"', "x" },
    } do
      local reply = upload(wrong)
      assert.equal(400, reply.status, reply.body)
      assert.truthy(host.decode(reply.body).error.message:find("near " .. wrong[1]:sub(1, -2), 1, true))
    end
  end)

  it("take none but an uploaded file for a file", function()
    local reply = box:handle {
      method = "POST", path = "/v1/files", body = "purpose=dispute_evidence&file[is_file]=1&file[content]=a",
      headers = { authorization = "Bearer sk_test_123", ["content-type"] = "application/x-www-form-urlencoded" },
    }
    assert.equal(400, reply.status, reply.body)
    assert.equal("file", host.decode(reply.body).error.param)
  end)

  it("merge metadata by key, and an empty value deletes", function()
    local stripe = box:client()
    local customer = assert(stripe.customers:create { metadata = { a = "1", b = "2" } })
    customer = assert(stripe.customers:update(customer.id, { metadata = { b = "", c = "3" } }))
    assert.same({ a = "1", c = "3" }, customer.metadata)
    customer = assert(stripe.customers:update(customer.id, { metadata = "" }))
    assert.same({}, customer.metadata)
  end)

  it("unset with an empty text what can be unset", function()
    local stripe = box:client()
    local customer = assert(stripe.customers:create { address = { line1 = "x", city = "y" } })
    customer = assert(stripe.customers:update(customer.id, { address = { line1 = "z" } }))
    assert.equal("y", customer.address.city)
    assert.equal("z", customer.address.line1)
    customer = assert(stripe.customers:update(customer.id, { address = "" }))
    assert.equal(support.pinstripe.null, customer.address)
  end)
end)
