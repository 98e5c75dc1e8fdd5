-- Files, links, meters and OAuth against the sandbox: what the scripted server cannot tell, as it keeps no state.
local pinstripe = require "pinstripe"

local build = os.getenv "PS_BUILD_DIR" or "build"

local function exists(path)
  local file = io.open(path)
  return file and file:close() and true
end

describe("against the sandbox", function()
  if not exists(build .. "/examples/sandbox") then return pending "no sandbox is built here" end
  local check = pinstripe.check
  local sandbox, stripe

  before_each(function()
    sandbox = pinstripe.sandbox()
    stripe = sandbox:client{ max_retries = 0, client_id = "ca_1" }
  end)

  after_each(function() sandbox:close() end)

  it("a file goes up and comes down again, with its link until that expires", function()
    local content, sent = ("evidence "):rep(50000), 0
    local function reader()
      if sent == #content then return nil end
      sent = math.min(sent + 70000, #content)
      return content:sub((math.ceil(sent / 70000) - 1) * 70000 + 1, sent)
    end
    local file = check(stripe.files:create{ purpose = "dispute_evidence", file_link_data = { create = true },
      file = { reader = reader, length = #content, filename = "a.txt", type = "text/plain" } })
    assert.are.equal(#content, file.size)
    assert.are.equal(content, stripe:download(file.url))
    local path = os.tmpname()
    assert.is_true(check(stripe:download(file.url, { save_to = path })))
    local saved = io.open(path, "rb")
    assert.are.equal(content, saved:read "*a")
    saved:close()
    os.remove(path)
    local link = check(stripe.file_links:create{ file = file.id, expires_at = sandbox:clock().now + 100 })
    local nobody = pinstripe.client("sk_test_nobody", { files_base = sandbox:url() })
    assert.are.equal(content, nobody:download(link.url))
    sandbox:clock{ advance = 200 }
    local gone, err = nobody:download(link.url)
    assert.is_nil(gone)
    assert.are.equal(404, err.status)
    assert.is_true(check(stripe.file_links:retrieve(link.id)).expired)
  end)

  it("meter events are taken", function()
    check(stripe.billing.meters:create{ display_name = "Requests", event_name = "requests",
      default_aggregation = { formula = "sum" } })
    local customer = check(stripe.customers:create{})
    local stream = stripe:meter_stream()
    for _ = 1, 150 do
      local good, err = stream:add{ event_name = "requests",
        payload = { stripe_customer_id = customer.id, value = "5" } }
      assert.is_true(good)
      assert.is_nil(err)
    end
    assert.is_true(check(stream:close()))
    assert.are.equal(2, #sandbox:requests{ path = "/v2/billing/meter_event_stream" })
    assert.are.equal(1, #sandbox:requests{ path = "/v2/billing/meter_event_session" })
  end)

  it("OAuth names the platform, and its refusals have their kind", function()
    local url = check(stripe.oauth:authorize_url{ state = "s" })
    assert.are.equal(sandbox:url() .. "/oauth/authorize?client_id=ca_1&response_type=code&state=s",
      (url:gsub("%?state=s&(.*)$", "?%1&state=s")))
    local gone, err = stripe.oauth:deauthorize{ stripe_user_id = "acct_none" }
    assert.is_nil(gone)
    assert.are.equal("oauth", err.kind)
  end)

  it("a thin event leads to its object", function()
    local account = check(stripe.v2.core.accounts:create{ contact_email = "jenny@example.com" })
    local body = pinstripe.json.encode{ id = "evt_1", object = "v2.core.event", type = "v2.core.account.created",
      related_object = { id = account.id, type = "v2.core.account", url = "/v2/core/accounts/" .. account.id } }
    local notification = check(pinstripe.webhook.parse_notification_without_verification(body))
    assert.are.equal(account.id, check(stripe:fetch_related_object(notification)).id)
    local gone, err = stripe:fetch_event(notification)
    assert.is_nil(gone)
    assert.are.equal("rejected", err.outcome)
  end)
end)
