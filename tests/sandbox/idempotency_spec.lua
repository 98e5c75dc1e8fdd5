-- A key stands for one request of one account: its reply comes back byte for byte, and nothing happens twice.
package.path = os.getenv "PS_SOURCE_DIR" .. "/tests/sandbox/?.lua;" .. package.path
local support = require "support"

local idempotency = require "sandbox.idempotency"

describe("idempotency", function()
  local box

  before_each(function() box = support.box { now = 1790000000, seed = 5 } end)

  local function send(request)
    local headers = { authorization = "Bearer sk_test_" .. (request.account or "one") }
    headers["idempotency-key"] = request.key
    headers["content-type"] = request.type or "application/x-www-form-urlencoded"
    headers["stripe-account"] = request.connected
    return box:handle {
      method = request.method or "POST", path = request.path or "/v1/customers", headers = headers,
      query = request.query, body = request.body or "",
    }
  end

  local function error_of(reply) return require "sandbox.host".decode(reply.body).error end

  local function count(account)
    local reply = send { method = "GET", query = "limit=100", account = account }
    return #require "sandbox.host".decode(reply.body).data
  end

  it("replays the reply byte for byte, and says so", function()
    local first = send { key = "k", body = "email=a%40b.c" }
    local second = send { key = "k", body = "email=a%40b.c" }
    assert.equal(200, first.status)
    assert.equal(200, second.status)
    assert.equal(first.body, second.body)
    assert.is_nil(first.headers["Idempotent-Replayed"])
    assert.equal("true", second.headers["Idempotent-Replayed"])
    assert.equal(first.headers["Request-Id"], first.headers["Original-Request"])
    assert.equal(first.headers["Request-Id"], second.headers["Original-Request"])
    assert.not_equal(first.headers["Request-Id"], second.headers["Request-Id"])
    assert.equal("k", first.headers["Idempotency-Key"])
    assert.equal("k", second.headers["Idempotency-Key"])
    assert.equal(1, count())
  end)

  it("does nothing without a key", function()
    local reply = send {}
    assert.is_nil(reply.headers["Original-Request"])
    send {}
    send { key = "" }
    send { key = "" }
    assert.equal(4, count())
  end)

  it("replays what has changed since as it was", function()
    local first = send { key = "k", body = "name=before" }
    local id = require "sandbox.host".decode(first.body).id
    assert.equal(200, send({ path = "/v1/customers/" .. id, body = "name=after" }).status)
    assert.equal(first.body, send({ key = "k", body = "name=before" }).body)
  end)

  it("knows the same params in another order or spelling", function()
    local first = send { key = "k", body = "name=Jenny&metadata[a]=1&metadata[b]=2" }
    local again = send { key = "k", body = "metadata%5Bb%5D=2&metadata[a]=1&name=%4Aenny" }
    assert.equal(200, again.status)
    assert.equal(first.body, again.body)
  end)

  it("refuses a key with other params, another path or method", function()
    local customer = require "sandbox.host".decode(send({ key = "k", body = "name=a" }).body)
    for _, other in ipairs {
      { body = "name=b" }, { body = "" }, { body = "name=a&phone=1" },
      { path = "/v1/customers/" .. customer.id, body = "name=a" },
    } do
      other.key = "k"
      local reply = send(other)
      local err = error_of(reply)
      assert.equal(400, reply.status)
      assert.equal("idempotency_error", err.type)
      assert.is_nil(err.code)
      assert.truthy(err.message:find("'k'", 1, true))
    end
    assert.equal(1, count())
  end)

  it("replays errors of what was carried out", function()
    local body = "amount=2000&currency=usd&source=tok_chargeDeclined"
    local first = send { key = "k", path = "/v1/charges", body = body }
    assert.equal(402, first.status)
    local again = send { key = "k", path = "/v1/charges", body = body }
    assert.equal(402, again.status)
    assert.equal(first.body, again.body)
    assert.equal("true", again.headers["Idempotent-Replayed"])

    first = send { key = "gone", path = "/v1/customers/cus_no", body = "name=a" }
    assert.equal(404, first.status)
    assert.equal("true", send({ key = "gone", path = "/v1/customers/cus_no", body = "name=a" })
      .headers["Idempotent-Replayed"])
  end)

  it("forgets what was refused before anything was done", function()
    for _, bad in ipairs { "no_such=1", "email[a]=1", "tax_exempt=what" } do
      assert.equal(400, send({ key = "k", body = bad }).status)
    end
    local reply = send { key = "k", body = "email=a%40b.c" }
    assert.equal(200, reply.status)
    assert.is_nil(reply.headers["Idempotent-Replayed"])
  end)

  it("forgets what a reference refused", function()
    local function create(customer)
      return send { key = "k", path = "/v1/payment_intents", body = "amount=100&currency=usd&customer=" .. customer }
    end
    assert.equal(400, create("cus_no").status)
    local customer = require "sandbox.host".decode(send({}).body)
    assert.equal(200, create(customer.id).status)
  end)

  it("keeps keys apart by account", function()
    local one = send { key = "k", body = "name=a" }
    local two = send { key = "k", body = "name=b", account = "two" }
    assert.equal(200, two.status)
    assert.not_equal(one.body, two.body)
    assert.equal(1, count "one")
    assert.equal(1, count "two")
  end)

  it("keeps keys of a connected account apart from the platform's", function()
    local account = require "sandbox.host".decode(send({ path = "/v1/accounts", body = "type=custom" }).body)
    send { key = "k", body = "name=a" }
    local reply = send { key = "k", body = "name=b", connected = account.id }
    assert.equal(200, reply.status)
    assert.is_nil(reply.headers["Idempotent-Replayed"])
  end)

  it("ignores keys on GET, and on DELETE of v1", function()
    local customer = require "sandbox.host".decode(send({}).body)
    local path = "/v1/customers/" .. customer.id
    assert.equal(200, send({ method = "GET", path = path, key = "k" }).status)
    assert.equal(200, send({ method = "DELETE", path = path, key = "k" }).status)
    assert.equal(404, send({ method = "DELETE", path = path, key = "k" }).status)
  end)

  it("keeps a key for 24 hours of the clock", function()
    send { key = "k", body = "name=a" }
    require "sandbox.clock".advance(box, 24 * 3600 - 1)
    assert.equal("true", send({ key = "k", body = "name=a" }).headers["Idempotent-Replayed"])
    require "sandbox.clock".advance(box, 1)
    local reply = send { key = "k", body = "name=other" }
    assert.equal(200, reply.status)
    assert.is_nil(reply.headers["Idempotent-Replayed"])
  end)

  it("takes keys of up to 255 bytes", function()
    assert.equal(200, send({ key = ("x"):rep(255) }).status)
    local reply = send { key = ("x"):rep(256) }
    assert.equal(400, reply.status)
    assert.truthy(error_of(reply).message:find "255")
    assert.equal(1, count())
  end)

  it("knows an upload again by its parts, whatever the boundary", function()
    local function upload(boundary, content)
      return send {
        path = "/v1/files", key = "k", type = "multipart/form-data; boundary=" .. boundary,
        body = table.concat({
          "--" .. boundary, 'Content-Disposition: form-data; name="purpose"', "", "dispute_evidence", "--" .. boundary,
          'Content-Disposition: form-data; name="file"; filename="a.png"', "Content-Type: image/png", "", content,
          "--" .. boundary .. "--", "",
        }, "\r\n"),
      }
    end
    local first = upload("aaa", ("bytes"):rep(1000))
    assert.equal(200, first.status)
    assert.equal(first.body, upload("bbb", ("bytes"):rep(1000)).body)
    assert.equal(400, upload("ccc", ("Bytes"):rep(1000)).status)
  end)

  it("answers 409 while the first reply is on its way", function()
    require "sandbox.faults".add(box, { match = { method = "POST" }, ["do"] = { delay = 0.2 } })
    local first = send { key = "k", body = "name=a" }
    assert.equal(0.2, first.delay)
    local second = send { key = "k", body = "name=a" }
    assert.equal(409, second.status)
    assert.equal("idempotency_key_in_use", error_of(second).code)
    local until_then = os.clock() + 0.25
    repeat until os.clock() > until_then
    assert.equal(first.body, send({ key = "k", body = "name=a" }).body)
    assert.equal(1, count())
  end)

  it("bounds its memory: what is old goes, what is young stays", function()
    local state, big = box.state.idempotency, ("x"):rep(1024 * 1024)
    local function call(key) return { account = "acct", key = key, params = {}, now = function() return 1 end } end
    local request = { method = "POST", path = "/v1/customers", headers = {}, body = "" }
    for i = 1, 200 do
      idempotency.store(box, request, call("k" .. i), { status = 200, headers = {}, body = big .. i })
    end
    local kept = 0
    for _ in pairs(state.young) do kept = kept + 1 end
    for _ in pairs(state.old) do kept = kept + 1 end
    assert.truthy(kept < 80, kept)
    assert.equal(big .. 200, idempotency.check(box, request, call "k200").body)
    assert.equal(big .. 180, idempotency.check(box, request, call "k180").body)
    assert.is_nil(idempotency.check(box, request, call "k1"))
  end)

  it("survives a snapshot", function()
    local host = require "sandbox.host"
    local first = send { key = "k", body = "name=a" }
    box:load(host.decode(host.encode(box:save())))
    assert.equal(first.body, send({ key = "k", body = "name=a" }).body)
  end)
end)
