--- Report runs: a report is drawn up at once, as a CSV file of the account's balance transactions within the interval,
--- by category; `parameters` decide the columns.
local common = require "sandbox.flows.common"
local files = require "sandbox.flows.files"
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local flow = { operations = {} }

local COLUMNS = { "reporting_category", "currency", "count", "gross", "fee", "net" }

-- One row for each category and currency, in their order.
local function rows(call, parameters)
  local by_key = {}
  local start, stop = parameters.interval_start or 0, parameters.interval_end or math.huge
  for transaction in call.store:newest "balance_transaction" do
    local category, currency, created = transaction.reporting_category, transaction.currency, transaction.created
    if created >= start and created < stop and (parameters.currency or currency) == currency then
      local key = category .. " " .. currency
      local row = by_key[key] or { reporting_category = category, currency = currency, count = 0, gross = 0, fee = 0,
        net = 0 }
      row.count, row.gross = row.count + 1, row.gross + transaction.amount
      row.fee, row.net = row.fee + transaction.fee, row.net + transaction.net
      by_key[key] = row
    end
  end
  return by_key
end

local function csv(call, parameters)
  local columns, by_key = parameters.columns or COLUMNS, rows(call, parameters)
  local lines = { table.concat(columns, ",") }
  for _, key in ipairs(common.keys(by_key)) do
    local cells = {}
    for i, column in ipairs(columns) do cells[i] = tostring(by_key[key][column] or "") end
    lines[#lines + 1] = table.concat(cells, ",")
  end
  return table.concat(lines, "\n") .. "\n"
end

flow.operations["reporting.report_runs.create"] = function(call)
  local run, params = generic.build(call), call.params
  run.status, run.succeeded_at, run.parameters = "succeeded", call:now(), params.parameters or {}
  local name = params.report_type .. ".csv"
  run.result = host.copy(files.make(call, "finance_report_run", name, csv(call, run.parameters)))
  call.store:insert(run)
  call:emit("reporting.report_run.succeeded", run)
  return run
end

return flow
