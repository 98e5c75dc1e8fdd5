-- The real clock: what is due happens by itself, without a request that waits for it.
local pinstripe = require "pinstripe"

local check = pinstripe.check

describe("a sandbox whose clock is real", function()
  it("does what is due when its time has come", function()
    local sandbox = pinstripe.sandbox()
    finally(function() sandbox:close() end)
    local stripe = sandbox:client()
    local upload = { content = "a", filename = "a.txt" }
    local file = check(stripe.files:create { purpose = "dispute_evidence", file = upload })
    local now = sandbox:clock().now
    local soon = check(stripe.file_links:create { file = file.id, expires_at = now + 2 })
    local later = check(stripe.file_links:create { file = file.id, expires_at = now + 3600 })
    assert.equal(2, sandbox:clock().jobs)
    local waited = 0
    while sandbox:clock().jobs == 2 and waited < 50 do
      os.execute "sleep 0.1"
      waited = waited + 1
    end
    assert.is_true(sandbox:clock().now >= now + 2)
    assert.is_true(check(stripe.file_links:retrieve(soon.id)).expired)
    assert.is_false(check(stripe.file_links:retrieve(later.id)).expired)
    local clock = sandbox:clock()
    assert.same({ 1, now + 3600, pinstripe.null }, { clock.jobs, clock.next_job, clock.failure })
    sandbox:clock { advance = 3600 }
    assert.is_true(check(stripe.file_links:retrieve(later.id)).expired)
  end)
end)
