--- The flows: what has behaviour of its own, beside what the table alone tells. Each brings `operations`, `jobs`,
--- `resolvers`, `helpers`, `routes`, `filters`, `embedded` as it needs; two that bring the same are a mistake.

local lists = require "sandbox.lists"
local references = require "sandbox.references"
local render = require "sandbox.render"

local names = {
  "sandbox.flows.webhook_endpoints",
  "sandbox.flows.ledger",
  "sandbox.flows.payouts",
  "sandbox.flows.topups",
  "sandbox.flows.transfers",
  "sandbox.flows.application_fees",
  "sandbox.flows.products",
  "sandbox.flows.prices",
  "sandbox.flows.coupons",
  "sandbox.flows.rates",
  "sandbox.flows.files",
  "sandbox.flows.meters",
  "sandbox.flows.external_accounts",
  "sandbox.flows.accounts",
  "sandbox.flows.reporting",
  "sandbox.flows.issuing",
  "sandbox.flows.terminal",
  "sandbox.flows.tax",
  "sandbox.flows.catalog",
  "sandbox.flows.apps",
  "sandbox.flows.filters",
  "sandbox.flows.payment_methods",
  "sandbox.flows.sources",
  "sandbox.flows.charges",
  "sandbox.flows.disputes",
  "sandbox.flows.refunds",
  "sandbox.flows.intents",
  "sandbox.flows.cash_balance",
  "sandbox.flows.payment_intents",
  "sandbox.flows.setup_intents",
  "sandbox.flows.customers",
}

local flows = {
  operations = {}, -- [operation's id] = function(call) → object, or nil and an error
  jobs = {}, -- [name] = function(call, args), run by the clock
  helpers = {}, -- [name] = function(call, id, params) → object: what the world outside does to an object
  routes = {}, -- [path's beginning] = function(box, request) → reply or nil: what is served without a key
  resolvers = references.resolvers,
  filters = lists.filters,
  embedded = render.embedded,
}

local function add(name)
  for part, entries in pairs(require(name)) do
    local into = flows[part]
    if into and type(entries) == "table" then
      for key, value in pairs(entries) do
        assert(into[key] == nil, key)
        into[key] = value
      end
    end
  end
end

for _, name in ipairs(names) do add(name) end

return flows
