--- What the API itself brings: country specs, exchange rates, tax codes, report types, climate products, terminal
--- hardware. An account finds them there from the start: each kind is made when it is first asked for.
local generic = require "sandbox.generic"
local host = require "sandbox.host"
local lists = require "sandbox.lists"
local shape = require "sandbox.shape"

local array = host.array
local flow = { operations = {}, resolvers = {} }

local CATALOG = {}

local COUNTRIES = [[AT eur BE eur CA cad CH chf DE eur DK dkk ES eur FR eur GB gbp IE eur IT eur JP jpy NL eur NO nok
  PL pln PT eur SE sek SG sgd US usd]]

function CATALOG.country_spec()
  local specs = {}
  for country, currency in COUNTRIES:gmatch "(%u%u) (%l%l%l)" do
    specs[#specs + 1] = {
      id = country, default_currency = currency, supported_payment_currencies = array { currency, "eur", "usd" },
      supported_bank_account_currencies = { [currency] = array { country } },
      supported_payment_methods = array { "ach", "card", "stripe" }, supported_transfer_countries = array { country },
      verification_fields = {
        company = { minimum = array { "business_type", "external_account", "tos_acceptance.date" },
          additional = array {} },
        individual = { minimum = array { "business_type", "external_account", "tos_acceptance.date" },
          additional = array {} },
      },
    }
  end
  return specs
end

local RATES = { aud = 0.65, cad = 0.73, chf = 1.12, dkk = 0.145, eur = 1.08, gbp = 1.27, jpy = 0.0067, usd = 1 }

function CATALOG.exchange_rate()
  local rates = {}
  for currency, value in pairs(RATES) do
    local map = {}
    for other, worth in pairs(RATES) do map[other] = worth / value end
    rates[#rates + 1] = { id = currency, rates = map }
  end
  table.sort(rates, function(a, b) return a.id < b.id end)
  return rates
end

local function rows(text, make)
  local found = {}
  for line in text:gmatch "[^\n]+" do
    local id, name = line:match "^%s*(%S+)%s+(.+)$"
    if id then found[#found + 1] = make(id, name) end
  end
  return found
end

function CATALOG.tax_code()
  return rows([[
    txcd_00000000 Nontaxable
    txcd_10000000 General - Electronically Supplied Services
    txcd_10103000 Software as a service (SaaS) - personal use
    txcd_10103001 Software as a service (SaaS) - business use
    txcd_20030000 General - Services
    txcd_35010000 Books
    txcd_92010001 Shipping
    txcd_99999999 General - Tangible Goods]], function(id, name)
    return { id = id, name = name, description = name .. "." }
  end)
end

CATALOG["reporting.report_type"] = function(call)
  return rows([[
    balance.summary.1 Balance summary
    balance_change_from_activity.itemized.1 Itemized balance change from activity
    balance_change_from_activity.summary.1 Balance change from activity
    ending_balance_reconciliation.itemized.1 Itemized ending balance reconciliation
    payouts.itemized.1 Itemized payouts
    payouts.summary.1 Payouts summary]], function(id, name)
    return {
      id = id, name = name, version = 1, updated = call:now(), data_available_start = call:now() - 365 * 86400,
      data_available_end = call:now(), default_columns = array { "reporting_category", "currency", "count", "net" },
    }
  end)
end

CATALOG["climate.supplier"] = function()
  return { { id = "climsup_sandbox", name = "Sandbox Removal", info_url = "https://example.com/removal",
    removal_pathway = "direct_air_capture", locations = array {} } }
end

CATALOG["climate.product"] = function()
  return { {
    id = "climsku_sandbox", name = "Direct air capture", delivery_year = 2030, metric_tons_available = "100000",
    current_prices_per_metric_ton = { usd = { amount_subtotal = 50000, amount_fees = 1500, amount_total = 51500 } },
    suppliers = array {},
  } }
end

CATALOG["issuing.physical_bundle"] = function()
  return { { id = "ics_sandbox", name = "Standard", status = "active", type = "standard" } }
end

CATALOG["terminal.hardware_product"] = function()
  return { { id = "thpr_sandbox", type = "stripe_s700", status = "available" } }
end

CATALOG["terminal.hardware_sku"] = function()
  return { { id = "thsku_sandbox", amount = 34900, currency = "usd", country = "US", status = "available",
    product = "thpr_sandbox" } }
end

CATALOG["terminal.hardware_shipping_method"] = function()
  return { { id = "thsm_sandbox", country = "US", name = "standard", status = "available",
    estimated_delivery_window = { minimum_date = "2026-01-05", maximum_date = "2026-01-12" } } }
end

-- Puts a kind's objects into the call's store, the first of them newest.
local function fill(call, kind)
  if call.store:rows(kind) > 0 then return end
  local objects = CATALOG[kind](call)
  for i = #objects, 1, -1 do
    local object = shape.new(kind)
    for name, value in pairs(objects[i]) do object[name] = value end
    call.store:insert(object)
  end
end

local SERVICES = {
  country_specs = "country_spec", exchange_rates = "exchange_rate", tax_codes = "tax_code",
  ["reporting.report_types"] = "reporting.report_type", ["climate.suppliers"] = "climate.supplier",
  ["climate.products"] = "climate.product", ["issuing.physical_bundles"] = "issuing.physical_bundle",
  ["terminal.hardware_products"] = "terminal.hardware_product", ["terminal.hardware_skus"] = "terminal.hardware_sku",
  ["terminal.hardware_shipping_methods"] = "terminal.hardware_shipping_method",
}

for service, kind in pairs(SERVICES) do
  flow.operations[service .. ".list"] = function(call)
    fill(call, kind)
    return lists.run(call)
  end
  flow.operations[service .. ".retrieve"] = function(call)
    fill(call, kind)
    return generic.retrieve(call)
  end
  flow.resolvers[kind] = function(call, id)
    fill(call, kind)
    return call.store:get(kind, id)
  end
end

return flow
