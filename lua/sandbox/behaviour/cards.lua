--- Test cards and test bank accounts: what each number does. One table of cards, one of declines, one of bank accounts.
--
-- A card is known by its number, as `pm_card_NAME` (a payment method, cloned at each use) and as `tok_NAME` (a token).
-- Its row says what happens, and nothing else in the sandbox decides it:
--   decline    a key of DECLINES: attaching, setting up and charging it fail so; with `attaches` charging alone does
--   secure     the holder must authenticate: "on_session" (and off session, unless the card was set up for it),
--              "always", "never_off_session" (on session alone), "optional" (only if the request asks for it)
--   after      a decline that follows a successful authentication
--   dispute    a payment succeeds and is disputed for this reason; with `inquiry` no money moves
--   refund     "pending": succeeds later; "fails": succeeds, and fails later
--   available  the money is available at once      risk, checks    what the payment's outcome and checks say
local common = require "sandbox.flows.common"

local cards = {}

local LATER, NEVER = "try_again_later", "do_not_try_again"

-- By decline_code, which of those with `own` is the code as well.
local DECLINES = {
  generic_decline = { advice = LATER },
  insufficient_funds = { message = "Your card has insufficient funds.", advice = LATER },
  lost_card = { advice = NEVER },
  stolen_card = { advice = NEVER },
  card_velocity_exceeded = { message = "Your card was declined for too many or too large payments.", advice = LATER },
  fraudulent = { blocked = true, risk = "highest" },
  test_mode_live_card = {
    message = "Your card was declined: a test mode request takes test cards only.", blocked = true,
  },
  expired_card = { own = true, message = "Your card has expired.", param = "exp_month" },
  incorrect_cvc = { own = true, message = "Your card's security code is incorrect.", param = "cvc" },
  incorrect_number = { own = true, message = "Your card number is incorrect.", param = "number" },
  processing_error = { own = true, message = "An error occurred while processing your card.", advice = LATER },
  authentication_required = { own = true, message = "Your card was declined: this payment needs authentication." },
}
for name, decline in pairs(DECLINES) do
  decline.decline_code, decline.code = name, decline.own and name or "card_declined"
  decline.message = decline.message or "Your card was declined."
end

local FAIL, UNCHECKED = "fail", "unavailable"

-- Each: number, names, and what is not ordinary (a Visa credit card from the US that always works).
local CARDS = {
  { "4242424242424242", "visa us" },
  { "4000056655665556", "visa_debit", funding = "debit" },
  { "5555555555554444", "mastercard" },
  { "2223003122003222", "mastercard_series2" },
  { "5200828282828210", "mastercard_debit", funding = "debit" },
  { "5105105105105100", "mastercard_prepaid", funding = "prepaid" },
  { "378282246310005", "amex" },
  { "371449635398431", "amex_threeDSecureNotSupported" },
  { "6011111111111117", "discover" },
  { "6011000990139424", "" },
  { "6011981111111113", "discover_debit", funding = "debit" },
  { "3056930009020004", "diners" },
  { "36227206271667", "" },
  { "6555900000604105", "" },
  { "3566002020360505", "jcb", country = "JP" },
  { "3530111333300000", "", country = "JP" },
  { "6200000000000005", "unionpay", country = "CN" },
  { "6200000000000047", "unionpay_debit", country = "CN", funding = "debit" },
  { "6205500000000000004", "", country = "CN" },
  { "4000002500001001", "visa_cartesBancaires", country = "FR", networks = { "cartes_bancaires", "visa" } },
  { "5555552500001001", "mastercard_cartesBancaires", country = "FR", networks = { "cartes_bancaires", "mastercard" } },
  { "4000058260000005", "gb_debit", country = "GB", funding = "debit" },
  { "5555558265554449", "gb_mastercard", country = "GB" },
  { "4000007640000003", "th_credit", country = "TH" },
  { "4000057640000008", "th_debit", country = "TH", funding = "debit" },

  { "4000000000000002", "chargeDeclined", decline = "generic_decline" },
  { "4000000000009995", "chargeDeclinedInsufficientFunds", decline = "insufficient_funds" },
  { "4000000000009987", "chargeDeclinedLostCard", decline = "lost_card" },
  { "4000000000009979", "chargeDeclinedStolenCard", decline = "stolen_card" },
  { "4000000000000069", "chargeDeclinedExpiredCard", decline = "expired_card" },
  { "4000000000000127", "chargeDeclinedIncorrectCvc", decline = "incorrect_cvc",
    checks = { cvc_check = FAIL } },
  { "4000000000000119", "chargeDeclinedProcessingError", decline = "processing_error" },
  { "4000000000006975", "chargeDeclinedVelocityLimitExceeded", decline = "card_velocity_exceeded" },
  { "4242424242424241", "", decline = "incorrect_number" },
  { "4000000000000341", "chargeCustomerFail", decline = "generic_decline", attaches = true },

  { "4100000000000019", "chargeDeclinedFraudulent radarBlock",
    decline = "fraudulent", attaches = true, risk = "highest" },
  { "4000000000004954", "riskLevelHighest", decline = "fraudulent", attaches = true, risk = "highest" },
  { "4000000000009235", "riskLevelElevated", risk = "elevated" },
  { "4000000000000101", "cvcCheckFail", checks = { cvc_check = FAIL } },
  { "4000000000000036", "avsZipFail", checks = { address_postal_code_check = FAIL } },
  { "4000000000000028", "avsLine1Fail", checks = { address_line1_check = FAIL } },
  { "4000000000000010", "avsFail", checks = { address_line1_check = FAIL, address_postal_code_check = FAIL } },
  { "4000000000000044", "avsUnchecked",
    checks = { address_line1_check = UNCHECKED, address_postal_code_check = UNCHECKED } },
  { "4000058400307872", "cvcCheckFailElevatedRisk", checks = { cvc_check = FAIL }, risk = "elevated" },
  { "4000058400306072", "avsZipFailElevatedRisk", checks = { address_postal_code_check = FAIL }, risk = "elevated" },

  { "4000000000000259", "createDispute", dispute = "fraudulent" },
  { "4000000000002685", "createDisputeProductNotReceived", dispute = "product_not_received" },
  { "4000000000001976", "createDisputeInquiry", dispute = "fraudulent", inquiry = true },
  { "4000000404000038", "createCe3EligibleDispute", dispute = "fraudulent" },
  { "4000008400000779", "createComplianceDispute", dispute = "noncompliant" },
  { "4000000000005423", "createIssuerFraudRecord", warning = true },

  { "4000000000007726", "pendingRefund", refund = "pending" },
  { "4000000000005126", "refundFail", refund = "fails" },

  { "4000000000000077", "bypassPending", available = true },
  { "4000003720000278", "bypassPendingInternational", country = "IE", available = true },

  { "4000002500003155", "authenticationRequiredOnSetup", country = "FR", secure = "on_session" },
  { "4000002760003184", "authenticationRequired", country = "DE", secure = "always" },
  { "4000003800000446", "authenticationRequiredSetupForOffSession", country = "IT", secure = "never_off_session" },
  { "4000008260003178", "authenticationRequiredChargeDeclinedInsufficientFunds", country = "GB", secure = "always",
    after = "insufficient_funds" },
  { "4000000000003220", "threeDSecure2Required", secure = "on_session" },
  { "4000000000003063", "threeDSecureRequired", secure = "on_session" },
  { "4000008400001629", "threeDSecureRequiredChargeDeclined", secure = "on_session", after = "generic_decline" },
  { "4000008400001280", "threeDSecureRequiredProcessingError", decline = "processing_error", attaches = true },
  { "4000000000003055", "threeDSecureOptional", secure = "optional" },
  { "4000000000003097", "threeDSecureOptionalProcessingError", secure = "optional" },
}

-- Ordinary cards of other countries: pm_card_ar and so on.
local COUNTRIES = [[
  AE 4000007840000001  AR 4000000320000021  AT 4000000400000008  AU 4000000360000006  BE 4000000560000004
  BG 4000001000000000  BR 4000000760000002  BY 4000001120000005  CA 4000001240000000  CH 4000007560000009
  CL 4000001520000001  CN 4000001560000002  CO 4000001700000003  CR 4000001880000005  CY 4000001960000008
  CZ 4000002030000002  DE 4000002760000016  DK 4000002080000001  EC 4000002180000000  EE 4000002330000009
  ES 4000007240000007  FI 4000002460000001  FR 4000002500000003  GB 4000008260000000  GI 4000002920000005
  GR 4000003000000030  HK 4000003440000004  HR 4000001910000009  HU 4000003480000005  IE 4000003720000005
  IN 4000003560000008  IT 4000003800000008  JP 4000003920000003  LI 4000004380000004  LT 4000004400000000
  LU 4000004420000006  LV 4000004280000005  MT 4000004700000007  MX 4000004840008001  MY 4000004580000002
  NL 4000005280000002  NO 4000005780000007  NZ 4000005540000008  PA 4000005910000000  PE 4000006040000068
  PL 4000006160000005  PT 4000006200000007  PY 4000006000000066  RO 4000006420000001  SA 4000006820000007
  SE 4000007520000008  SG 4000007020000003  SI 4000007050000006  SK 4000007030000001  TW 4000001580000008
  UY 4000008580000003
]]

-- By the first digits of a number; the first that fits.
local BRANDS = {
  { "^4", "visa" }, { "^[25]", "mastercard" }, { "^3[47]", "amex" }, { "^3[068]", "diners" }, { "^35", "jcb" },
  { "^62", "unionpay" }, { "^6", "discover" },
}

-- What a debit of an account comes to, by its number or IBAN as it was sent; what does not stand here succeeds within
-- seconds. `after`: seconds; `name`: that of pm_usBankAccount_NAME.
local SLOW, REFUSED = { after = 180 }, { failure = "debit_not_authorized" }
local REFUSED_SLOWLY, DISPUTED = { failure = "debit_not_authorized", after = 180 }, { dispute = "debit_not_authorized" }
local ACCOUNTS = {
  us_bank_account = {
    ["000123456789"] = { name = "success" },
    ["000111111113"] = { failure = "account_closed", name = "accountClosed" },
    ["000111111116"] = { failure = "no_account", name = "noAccount" },
    ["000222222227"] = { failure = "insufficient_funds", name = "insufficientFunds" },
    ["000333333335"] = { failure = "debit_not_authorized", name = "debitNotAuthorized" },
    ["000444444440"] = { failure = "invalid_currency", name = "invalidCurrency" },
    ["000555555559"] = { dispute = "bank_cannot_process", name = "dispute" },
    ["000666666661"] = { microdeposits = "fail", name = "failMicrodeposits" },
    ["000000000009"] = { never = true, name = "processing" },
  },
  sepa_debit = {
    AT591904300235473203 = SLOW, AT861904300235473202 = REFUSED, AT051904300235473205 = REFUSED_SLOWLY,
    DE08370400440532013003 = SLOW, DE62370400440532013001 = REFUSED, DE78370400440532013004 = REFUSED_SLOWLY,
    FR3020041010050500013M02609 = SLOW, FR8420041010050500013M02607 = REFUSED,
    FR7920041010050500013M02600 = REFUSED_SLOWLY, NL55RABO0300065268 = SLOW, NL91RABO0300065266 = REFUSED,
    NL85RABO0300065269 = REFUSED_SLOWLY, DE35370400440532013002 = DISPUTED, FR5720041010050500013M02608 = DISPUTED,
    NL71RABO0300065267 = DISPUTED,
  },
  bacs_debit = {
    ["90012345"] = SLOW, ["33333335"] = REFUSED, ["22222227"] = { failure = "insufficient_funds" },
    ["55555559"] = DISPUTED,
  },
  au_becs_debit = {
    ["900123456"] = SLOW, ["111111113"] = { failure = "account_closed" }, ["111111116"] = { failure = "no_account" },
    ["222222227"] = { failure = "refer_to_customer" }, ["333333335"] = REFUSED, ["666666660"] = DISPUTED,
  },
  acss_debit = {
    ["900123456789"] = SLOW, ["000222222227"] = { failure = "insufficient_funds" },
    ["900222222227"] = { failure = "insufficient_funds", after = 180 }, ["000333333335"] = DISPUTED,
    ["000666666661"] = { microdeposits = "fail" },
  },
}

-- What the failure of a debit, or of a payout, says.
local FAILURES = {
  account_closed = "The bank account has been closed.",
  could_not_process = "The bank could not process this payment.",
  debit_not_authorized = "The bank account's holder has not authorized this debit.",
  insufficient_funds = "The account has insufficient funds to cover this payment.",
  invalid_currency = "The bank account does not take this currency.",
  no_account = "The bank account could not be located.",
  payment_method_provider_decline = "The provider of the payment method declined this payment.",
  refer_to_customer = "The bank refused this payment and asks to speak with the customer.",
}

local by_number, by_name = {}, {}

local function learn(row, number, names)
  row.number = number
  row.country = row.country or "US"
  row.funding = row.funding or "credit"
  by_number[number] = row
  for name in names:gmatch "%S+" do
    by_name[name] = row
    if name:find "^chargeDeclined" then by_name["visa_" .. name] = row end
  end
end

for _, row in ipairs(CARDS) do learn(row, row[1], row[2]) end
for country, number in COUNTRIES:gmatch "(%u%u) (%d+)" do learn({ country = country }, number, country:lower()) end

local function luhn(number)
  local sum = 0
  for i = #number, 1, -1 do
    local digit = number:byte(i) - 48
    if (#number - i) % 2 == 1 then digit = digit * 2 - (digit > 4 and 9 or 0) end
    sum = sum + digit
  end
  return sum % 10 == 0
end

--- The row of a number, with spaces or without; of a number that is no test card, a row that declines. Real numbers
--- are never kept: of one nothing but its last digits is known, and that test mode refuses it.
function cards.of_number(number)
  number = number:gsub("[%s-]", "")
  local real = #number >= 12 and #number <= 19 and luhn(number)
  local decline = real and "test_mode_live_card" or "incorrect_number"
  return by_number[number] or { decline = decline, attaches = real, country = "US", funding = "credit" }, number
end

--- The row of "pm_card_visa", "tok_visa" or "visa"; nil if there is none.
function cards.of_name(name) return by_name[name:match "^pm_card_(.+)" or name:match "^tok_(.+)" or name] end

--- The row that a payment method's private note stands for. A card without one is an ordinary card.
function cards.of_note(note)
  return note.card and by_number[note.card] or (note.decline and DECLINES[note.decline] and note) or {}
end

--- What to note of a row: plain data, from which of_note finds it again.
function cards.note(row)
  return row.number and { card = row.number } or { decline = row.decline, attaches = row.attaches }
end

function cards.brand(number)
  for _, brand in ipairs(BRANDS) do
    if number:find(brand[1]) then return brand[2] end
  end
  return "unknown"
end

--- A decline by its code: {code, decline_code, message, param?, advice?, blocked?}; of an unknown code the generic one.
function cards.decline(name) return DECLINES[name] or DECLINES.generic_decline end

--- The codes that there are.
function cards.declines() return common.keys(DECLINES) end

--- What a debit of this account does: {failure?, dispute?, after?, never?, microdeposits?}.
function cards.account(kind, number)
  local known = ACCOUNTS[kind]
  return known and known[number or ""] or {}
end

function cards.account_named(name)
  for number, account in pairs(ACCOUNTS.us_bank_account) do
    if account.name == name then return number end
  end
end

function cards.failure(code) return FAILURES[code] or "The payment failed." end

--- Does this payment need the card's holder? what = {off_session?, set_up?, asked? (the request wants it)}
function cards.needs_authentication(row, what)
  local secure = row.secure
  if not secure then return false end
  if secure == "always" then return true end
  if secure == "optional" then return what.asked and not what.off_session end
  if secure == "never_off_session" then return not what.off_session end
  return not (what.off_session and what.set_up)
end

--- All names, for tests and completion: "visa" of pm_card_visa and tok_visa.
function cards.names() return common.keys(by_name) end

return cards
