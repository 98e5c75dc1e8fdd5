-- Files and file links over HTTP: what was uploaded comes back, byte for byte, to who may have it.
local pinstripe = require "pinstripe"

local check, null = pinstripe.check, pinstripe.null
local PYTHON = os.getenv "PS_PYTHON" or "python3"

-- Fetches a URL with a key or without: the status, and the body.
local FETCH = [[
import sys, urllib.request, urllib.error
headers = {"Authorization": "Bearer " + sys.argv[2]} if len(sys.argv) > 2 else {}
try:
    reply = urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=headers), timeout=20)
except urllib.error.HTTPError as error:
    reply = error
head = "%s %s\n" % (reply.status, reply.headers["Content-Type"])
sys.stdout.buffer.write(head.encode() + reply.read())
]]

local function fetch(url, key)
  local pipe = assert(io.popen(("%s -c '%s' '%s' %s"):format(PYTHON, FETCH, url, key or ""), "r"))
  local status, kind, body = pipe:read "*a":match "^(%d+) ([^\n]*)\n(.*)$"
  pipe:close()
  return tonumber(status), body, kind
end

local BYTES = {}
for i = 0, 255 do BYTES[#BYTES + 1] = string.char(i) end
local ALL_BYTES = table.concat(BYTES) .. "\r\n--boundary\r\n" .. table.concat(BYTES)

describe("a file", function()
  local sandbox, stripe
  setup(function()
    sandbox = pinstripe.sandbox { seed = 1 }
    stripe = sandbox:client()
  end)
  teardown(function() sandbox:close() end)
  before_each(function() sandbox:reset() end)

  local function upload(content, name, fields)
    local file = { content = content or ALL_BYTES, filename = name or "page.bin" }
    local params = { purpose = "dispute_evidence", file = file }
    for key, value in pairs(fields or {}) do params[key] = value end
    return stripe.files:create(params)
  end

  it("is described as it was uploaded", function()
    local file = check(upload("%PDF-1.4 hello", "receipt", nil))
    assert.are.same({ "file", 14, "receipt", "pdf", "dispute_evidence" },
      { file.object, file.size, file.filename, file.type, file.purpose })
    assert.are.equal("csv", check(upload("a,b\n", "table.CSV")).type)
    assert.are.same({ file.id }, { check(stripe.files:retrieve(file.id)).id })
    assert.are.equal(2, #check(stripe.files:list { purpose = "dispute_evidence" }).data)
    assert.are.equal("file.created", check(stripe.events:list()).data[1].type)
  end)

  it("is served at its url to who has the key", function()
    local file = check(upload())
    local status, body, kind = fetch(file.url, sandbox:key())
    assert.are.same({ 200, "application/octet-stream" }, { status, kind })
    assert.is_true(body == ALL_BYTES)
    assert.are.equal(401, (fetch(file.url)))
    assert.are.equal(404, (fetch(file.url, "sk_test_another")))
  end)

  it("is taken by the API's own host and by that of files", function()
    for _, base in ipairs { "api_base", "files_base" } do
      local client = sandbox:client { [base] = sandbox:url() }
      assert.are.equal(3, check(client.files:create { purpose = "business_logo",
        file = { content = "abc", filename = "logo.png" } }).size)
    end
  end)

  it("that is empty or has no purpose is refused", function()
    local _, err = upload ""
    assert.are.same({ 400, "file" }, { err.status, err.param })
    _, err = upload("x", "x", { purpose = "souvenir" })
    assert.are.same({ 400, "purpose" }, { err.status, err.param })
    _, err = stripe:request("POST", "/v1/files", { purpose = "dispute_evidence" })
    assert.are.same({ "parameter_missing", "file" }, { err.code, err.param })
    assert.are.equal(0, #check(stripe.files:list()).data)
  end)

  it("may bring its link", function()
    local file = check(upload(nil, nil, { file_link_data = { create = true, metadata = { a = "1" } } }))
    local link = check(stripe.file_links:list { file = file.id }).data[1]
    assert.are.same({ file.id, "1" }, { link.file, link.metadata.a })
    file = check(stripe.files:retrieve(file.id, { expand = { "links" } }))
    assert.are.equal(link.id, file.links.data[1].id)
  end)

  it("is served under a link to anyone, until that expires", function()
    sandbox:clock { set = 1700000000 }
    local file = check(upload())
    local link = check(stripe.file_links:create { file = file.id, expires_at = 1700000100 })
    assert.is_false(link.expired)
    local status, body = fetch(link.url)
    assert.are.equal(200, status)
    assert.is_true(body == ALL_BYTES)
    sandbox:clock { advance = 100 }
    assert.is_true(check(stripe.file_links:retrieve(link.id)).expired)
    status, body = fetch(link.url)
    assert.are.equal(404, status)
    assert.is_truthy(body:find("expired", 1, true))
    local _, err = stripe.file_links:update(link.id, { expires_at = 1700000500 })
    assert.are.equal(400, err.status)
  end)

  it("has links that end when they are told to", function()
    local file = check(upload())
    local link = check(stripe.file_links:create { file = file.id })
    assert.are.equal(null, link.expires_at)
    assert.is_true(check(stripe.file_links:update(link.id, { expires_at = "now" })).expired)
    assert.are.equal(404, (fetch(link.url)))
    assert.are.equal(1, #check(stripe.file_links:list { expired = true }).data)
    assert.are.equal(0, #check(stripe.file_links:list { expired = false }).data)
    assert.are.equal(404, (fetch(sandbox:url() .. "/links/none")))
  end)

  it("is named by its link", function()
    local _, err = stripe.file_links:create { file = "file_none" }
    assert.are.same({ 400, "resource_missing", "file" }, { err.status, err.code, err.param })
    local file = check(upload())
    _, err = stripe.file_links:create { file = file.id, expires_at = 1 }
    assert.are.equal("expires_at", err.param)
  end)

  it("outlives a snapshot", function()
    local file = check(upload())
    local link = check(stripe.file_links:create { file = file.id })
    local path = os.tmpname()
    sandbox:snapshot(path)
    sandbox:reset()
    assert.are.equal(404, (fetch(link.url)))
    sandbox:restore(path)
    os.remove(path)
    local _, body = fetch(link.url)
    assert.is_true(body == ALL_BYTES)
  end)

  it("comes from a report run too", function()
    check(stripe.charges:create { amount = 1000, currency = "usd", source = "tok_visa" })
    local run = check(stripe.reporting.report_runs:create { report_type = "balance.summary.1" })
    assert.are.equal("succeeded", run.status)
    local _, body, kind = fetch(run.result.url, sandbox:key())
    assert.are.equal("text/csv", kind)
    assert.are.equal("reporting_category,currency,count,gross,fee,net\ncharge,usd,1,1000,59,941\n", body)
  end)
end)
