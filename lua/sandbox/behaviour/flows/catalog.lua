--- What the API itself brings: country specs, exchange rates, tax codes, report types, climate products, terminal
--- hardware. An account finds them there from the start: each kind is made when it is first asked for.
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local lists = require "sandbox.lists"

local array = host.array
local flow = { operations = {}, resolvers = {} }

local COUNTRIES = [[AT eur BE eur CA cad CH chf DE eur DK dkk ES eur FR eur GB gbp IE eur IT eur JP jpy NL eur NO nok
  PL pln PT eur SE sek SG sgd US usd]]

local function country_specs()
  local specs = {}
  for country, currency in COUNTRIES:gmatch "(%u%u) (%l%l%l)" do
    local function asked()
      return { minimum = array { "business_type", "external_account", "tos_acceptance.date" }, additional = array {} }
    end
    specs[#specs + 1] = {
      id = country, default_currency = currency, supported_payment_currencies = array { currency, "eur", "usd" },
      supported_bank_account_currencies = { [currency] = array { country } },
      supported_payment_methods = array { "ach", "card", "stripe" }, supported_transfer_countries = array { country },
      verification_fields = { company = asked(), individual = asked() },
    }
  end
  return specs
end

local RATES = { aud = 0.65, cad = 0.73, chf = 1.12, dkk = 0.145, eur = 1.08, gbp = 1.27, jpy = 0.0067, usd = 1 }

local function exchange_rates()
  local rates = {}
  for currency, value in pairs(RATES) do
    local map = {}
    for other, worth in pairs(RATES) do map[other] = worth / value end
    rates[#rates + 1] = { id = currency, rates = map }
  end
  table.sort(rates, function(a, b) return a.id < b.id end)
  return rates
end

-- Objects of lines "ID NAME", with more fields.
local function named(text, more)
  return function(call)
    local found = {}
    for id, name in text:gmatch "(%S+) ([^\n]+)" do
      local object = more(call, name)
      object.id, object.name = id, name
      found[#found + 1] = object
    end
    return found
  end
end

local tax_codes = named([[
txcd_00000000 Nontaxable
txcd_10000000 General - Electronically Supplied Services
txcd_10103000 Software as a service (SaaS) - personal use
txcd_10103001 Software as a service (SaaS) - business use
txcd_20030000 General - Services
txcd_35010000 Books
txcd_92010001 Shipping
txcd_99999999 General - Tangible Goods]], function(_, name) return { description = name .. "." } end)

local report_types = named([[
balance.summary.1 Balance summary
balance_change_from_activity.itemized.1 Itemized balance change from activity
balance_change_from_activity.summary.1 Balance change from activity
ending_balance_reconciliation.itemized.1 Itemized ending balance reconciliation
payouts.itemized.1 Itemized payouts
payouts.summary.1 Payouts summary]], function(call)
  return {
    version = 1, updated = call:now(), data_available_start = call:now() - 365 * 86400,
    data_available_end = call:now(), default_columns = array { "reporting_category", "currency", "count", "net" },
  }
end)

local function one(object) return function() return { object } end end

-- By service: the kind, and its objects, the newest first.
local CATALOG = {
  country_specs = { "country_spec", country_specs },
  exchange_rates = { "exchange_rate", exchange_rates },
  tax_codes = { "tax_code", tax_codes },
  ["reporting.report_types"] = { "reporting.report_type", report_types },
  ["climate.suppliers"] = { "climate.supplier", one {
    id = "climsup_sandbox", name = "Sandbox Removal", info_url = "https://example.com/removal",
    removal_pathway = "direct_air_capture", locations = array {},
  } },
  ["climate.products"] = { "climate.product", one {
    id = "climsku_sandbox", name = "Direct air capture", delivery_year = 2030, metric_tons_available = "100000",
    current_prices_per_metric_ton = { usd = { amount_subtotal = 50000, amount_fees = 1500, amount_total = 51500 } },
    suppliers = array {},
  } },
  ["issuing.physical_bundles"] = { "issuing.physical_bundle", one {
    id = "ics_sandbox", name = "Standard", status = "active", type = "standard",
  } },
  ["terminal.hardware_products"] = { "terminal.hardware_product", one {
    id = "thpr_sandbox", type = "stripe_s700", status = "available",
  } },
  ["terminal.hardware_skus"] = { "terminal.hardware_sku", one {
    id = "thsku_sandbox", amount = 34900, currency = "usd", country = "US", status = "available",
    product = "thpr_sandbox",
  } },
  ["terminal.hardware_shipping_methods"] = { "terminal.hardware_shipping_method", one {
    id = "thsm_sandbox", country = "US", name = "standard", status = "available",
    estimated_delivery_window = { minimum_date = "2026-01-05", maximum_date = "2026-01-12" },
  } },
}

for service, row in pairs(CATALOG) do
  local kind, objects_of = row[1], row[2]
  local function filled(call)
    if call.store:rows(kind) > 0 then return call end
    local objects = objects_of(call)
    for i = #objects, 1, -1 do call:add(kind, host.copy(objects[i])) end
    return call
  end
  flow.operations[service .. ".list"] = function(call) return lists.run(filled(call)) end
  flow.operations[service .. ".retrieve"] = function(call) return generic.retrieve(filled(call)) end
  flow.resolvers[kind] = function(call, id) return filled(call).store:get(kind, id) end
end

return flow
