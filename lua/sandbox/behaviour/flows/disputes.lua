--- Disputes: the holder of a card takes a payment back.
--
--   needs_response → under_review → won | lost        the money leaves at once, and comes back when the dispute is won
--   warning_needs_response → warning_under_review → warning_closed       an inquiry: no money moves
--
-- Invariant: a dispute's transactions sum to −amount while it is open or lost, to 0 once it is won; its fee stays. An
-- inquiry that is escalated withdraws what is not refunded yet; where nothing is left, it closes.
-- As in test mode, the text of the evidence decides: winning_evidence, losing_evidence, escalate_inquiry_evidence.
local common = require "sandbox.flows.common"
local host = require "sandbox.host"
local ledger = require "sandbox.flows.ledger"

local null, refuse = host.null, common.refuse

local disputes = { operations = {}, helpers = {} }

local DAYS_TO_RESPOND, FEE = 9, 1500
local REASON_CODES = { fraudulent = "10.4", product_not_received = "13.1" }

local OPEN = "needs_response under_review warning_needs_response warning_under_review"
local REVIEWS = { needs_response = "under_review", warning_needs_response = "warning_under_review" }
local VERDICTS = { winning_evidence = "won", losing_evidence = "lost" }

local function is_inquiry(dispute) return dispute.status:find "^warning" ~= nil end

-- Moves the dispute's money: -1 takes it, 1 gives it back.
local function move(call, dispute, sign)
  local takes = sign < 0
  local transaction = ledger.post(call, "adjustment", dispute, sign * dispute.amount, {
    fee_details = takes and { ledger.fee(FEE, dispute.currency) } or nil,
    description = (takes and "Chargeback withdrawal for " or "Chargeback reversal for ") .. dispute.charge,
    reporting_category = takes and "dispute" or "dispute_reversal",
  })
  local transactions = host.copy(dispute.balance_transactions)
  transactions[#transactions + 1] = host.copy(transaction)
  call.store:update(dispute, { balance_transactions = transactions })
end

local function withdraw(call, dispute)
  move(call, dispute, -1)
  call:emit("charge.dispute.funds_withdrawn", dispute)
end

function disputes.open(call, charge, reason, inquiry)
  local code, due_by = REASON_CODES[reason] or null, call:now() + DAYS_TO_RESPOND * common.DAY
  local card = charge.payment_method_details.card
  local shown = card and {
    brand = card.brand, network = card.network, network_reason_code = code,
    case_type = inquiry and "inquiry" or "chargeback",
  }
  local dispute = call:add("dispute", {
    amount = charge.amount_captured, currency = charge.currency, charge = charge.id, reason = reason, metadata = {},
    payment_intent = charge.payment_intent, status = inquiry and "warning_needs_response" or "needs_response",
    is_charge_refundable = inquiry or false, network_reason_code = code, balance_transactions = host.array {},
    enhanced_eligibility_types = host.array {}, evidence = common.nested({}, "dispute", "evidence"),
    evidence_details = common.nested({ due_by = due_by, submission_method = "not_submitted" }, "dispute",
      "evidence_details"),
    payment_method_details = shown and { type = "card", card = shown },
  })
  call.store:update(charge, { disputed = true })
  call:emit("charge.dispute.created", dispute)
  if not inquiry then withdraw(call, dispute) end
end

local function close(call, dispute, verdict)
  local status = is_inquiry(dispute) and "warning_closed" or verdict
  if status == "won" then move(call, dispute, 1) end
  call:apply(dispute, { status = status }, "charge.dispute.closed")
  if status == "won" then call:emit("charge.dispute.funds_reinstated", dispute) end
  return dispute
end

local function escalate(call, dispute)
  local charge = call.store:get("charge", dispute.charge)
  local amount = math.min(dispute.amount, charge.amount - charge.amount_refunded)
  if amount == 0 then return close(call, dispute) end
  local changes = { status = "needs_response", is_charge_refundable = false, amount = amount }
  call:apply(dispute, changes, "charge.dispute.updated")
  withdraw(call, dispute)
end

local function check_open(dispute)
  if common.among(OPEN, dispute.status) then return end
  refuse(("This dispute is closed: its status is %s."):format(dispute.status), nil, "status_transition_invalid")
end

disputes.operations["disputes.update"] = function(call)
  local dispute, params = call:target(), call.params
  if params.evidence or params.submit then check_open(dispute) end
  local changes, details = call:asked(dispute), dispute.evidence_details
  local submitted = params.submit or params.evidence and params.submit ~= false
  if submitted then
    changes.status = REVIEWS[dispute.status] or dispute.status
    details = common.changed(details, { submission_count = details.submission_count + 1, submission_method = "manual" })
  end
  if params.evidence or submitted then changes.evidence_details = common.changed(details, { has_evidence = true }) end
  call:apply(dispute, changes, "charge.dispute.updated")
  local text = submitted and dispute.evidence.uncategorized_text
  if text == "escalate_inquiry_evidence" and is_inquiry(dispute) then
    escalate(call, dispute)
  elseif VERDICTS[text] then
    close(call, dispute, VERDICTS[text])
  end
  return dispute
end

disputes.operations["disputes.close"] = function(call)
  local dispute = call:target()
  check_open(dispute)
  return close(call, dispute, "lost")
end

--- {id, status = "won" or "lost"}
disputes.helpers["disputes.resolve"] = common.helper("dispute", function(call, dispute, params)
  local verdict = params.status or "won"
  if not common.among("won lost", verdict) then refuse("Invalid status: must be one of won or lost", "status") end
  check_open(dispute)
  return close(call, dispute, verdict)
end)

return disputes
