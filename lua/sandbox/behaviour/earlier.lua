--- What earlier versions of the API took, by operation: parameters that a request without Stripe-Version, or with an
--- older one, may still use. The types are the table's own (see spec.lua); `replaces` names the required parameter in
--- whose place one stands; `adds`, what items of the list with that name also had.

local text = { kind = "string", emptyable = true }
local texts = { kind = "array", of = { kind = "string" } }
local phases = { adds = { iterations = { kind = "int" } } }

return {
  -- Words of enums that have another name now.
  words = { jp_bank_account = "jp_bank_transfer" },
  ["payment_intents.create"] = { payment_method_types = texts },
  ["setup_intents.create"] = { payment_method_types = texts },
  ["checkout.sessions.create"] = { payment_method_types = texts },
  ["customers.create"] = { coupon = text },
  ["customers.update"] = { coupon = text },
  ["subscription_schedules.create"] = { phases = phases },
  ["subscription_schedules.update"] = { phases = phases },
  ["promotion_codes.create"] = { coupon = { kind = "string", replaces = "promotion" } },
}
