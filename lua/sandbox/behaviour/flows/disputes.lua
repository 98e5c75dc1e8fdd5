--- Disputes: the holder of a card takes a payment back.
--
--   needs_response → under_review → won | lost        the money leaves at once, and comes back when the dispute is won
--   warning_needs_response → warning_under_review → warning_closed       an inquiry: no money moves
--
-- Invariant: a dispute's transactions sum to −amount while it is open or lost, to 0 once it is won; its fee stays.
-- As in test mode, the text of the evidence decides: winning_evidence, losing_evidence, escalate_inquiry_evidence.
local common = require "sandbox.flows.common"
local events = require "sandbox.events"
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local ledger = require "sandbox.flows.ledger"
local methods = require "sandbox.flows.payment_methods"
local shape = require "sandbox.shape"

local null = host.null
local refuse = common.refuse

local disputes = { operations = {}, jobs = {}, resolvers = {}, helpers = {} }

local DAYS_TO_RESPOND, DAY = 9, 86400
local FEE = 1500
local REASON_CODES = { fraudulent = "10.4", product_not_received = "13.1" }

local OPEN = { needs_response = true, under_review = true, warning_needs_response = true, warning_under_review = true }
local REVIEWS = { needs_response = "under_review", warning_needs_response = "warning_under_review" }
local VERDICTS = { winning_evidence = "won", losing_evidence = "lost" }

local function is_inquiry(dispute) return dispute.status:find "^warning" ~= nil end

-- Moves the dispute's money: -1 takes it, 1 gives it back.
local function move(call, dispute, sign)
  local transaction = ledger.post(call, {
    type = "adjustment",
    amount = sign * dispute.amount,
    fee = sign < 0 and FEE or 0,
    currency = dispute.currency,
    source = dispute.id,
    description = (sign < 0 and "Chargeback withdrawal for " or "Chargeback reversal for ") .. dispute.charge,
    reporting_category = sign < 0 and "dispute" or "dispute_reversal",
  })
  local transactions = host.copy(dispute.balance_transactions)
  transactions[#transactions + 1] = host.copy(transaction)
  call.store:update(dispute, { balance_transactions = transactions })
end

local function withdraw(call, dispute)
  move(call, dispute, -1)
  events.emit(call, "charge.dispute.funds_withdrawn", dispute)
end

local function details_of(charge, inquiry, code)
  local card = charge.payment_method_details.card
  if not card then return nil end
  return {
    type = "card",
    card = {
      brand = card.brand,
      case_type = inquiry and "inquiry" or "chargeback",
      network = card.network,
      network_reason_code = code,
    },
  }
end

--- Opens a dispute of a charge, for this reason.
function disputes.open(call, charge, reason, inquiry)
  local dispute = shape.new "dispute"
  local code = REASON_CODES[reason] or null
  dispute.amount, dispute.currency, dispute.charge = charge.amount_captured, charge.currency, charge.id
  dispute.payment_intent, dispute.reason, dispute.metadata = charge.payment_intent, reason, {}
  dispute.status = inquiry and "warning_needs_response" or "needs_response"
  dispute.is_charge_refundable = inquiry or false
  dispute.balance_transactions, dispute.enhanced_eligibility_types = host.array {}, host.array {}
  dispute.evidence = methods.blank("dispute", "evidence")
  dispute.evidence_details = methods.blank("dispute", "evidence_details")
  dispute.evidence_details.due_by = call:now() + DAYS_TO_RESPOND * DAY
  dispute.evidence_details.submission_method = "not_submitted"
  dispute.network_reason_code = code
  dispute.payment_method_details = details_of(charge, inquiry, code)
  call.store:insert(dispute)
  call.store:update(charge, { disputed = true })
  events.emit(call, "charge.dispute.created", dispute)
  if not inquiry then withdraw(call, dispute) end
  return dispute
end

local function finish(call, dispute, status)
  if status == "won" then move(call, dispute, 1) end
  generic.apply(call, dispute, { status = status }, "charge.dispute.closed")
  if status == "won" then events.emit(call, "charge.dispute.funds_reinstated", dispute) end
  return dispute
end

local function close(call, dispute, verdict)
  return finish(call, dispute, is_inquiry(dispute) and "warning_closed" or verdict)
end

local function check_open(dispute)
  if OPEN[dispute.status] then return end
  refuse(("This dispute is closed: its status is %s."):format(dispute.status), nil, "status_transition_invalid")
end

-- An inquiry becomes a dispute.
local function escalate(call, dispute)
  local changes = { status = "needs_response", is_charge_refundable = false }
  generic.apply(call, dispute, changes, "charge.dispute.updated")
  withdraw(call, dispute)
end

local function submission(call, dispute, changes)
  local details = host.copy(changes.evidence_details or dispute.evidence_details)
  details.submission_count, details.has_evidence = details.submission_count + 1, true
  details.submission_method = "manual"
  changes.evidence_details = details
  changes.status = REVIEWS[dispute.status] or dispute.status
end

disputes.operations["disputes.update"] = function(call)
  local dispute, params = call:target(), call.params
  if params.evidence or params.submit then check_open(dispute) end
  local changes = generic.merge(dispute, params)
  if params.evidence then
    changes.evidence_details = host.copy(dispute.evidence_details)
    changes.evidence_details.has_evidence = true
  end
  local submitted = params.submit or params.evidence and params.submit ~= false
  if submitted then submission(call, dispute, changes) end
  generic.apply(call, dispute, changes, "charge.dispute.updated")
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

--- POST /_sandbox/helpers/disputes.resolve {id, status = "won" or "lost"}
disputes.helpers["disputes.resolve"] = function(call, id, params)
  local dispute = call:find("dispute", id, "id")
  local verdict = params.status or "won"
  if verdict ~= "won" and verdict ~= "lost" then
    refuse("Invalid status: must be one of won or lost", "status")
  end
  check_open(dispute)
  return close(call, dispute, verdict)
end

return disputes
