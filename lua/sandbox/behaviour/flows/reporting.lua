--- Report runs: a report is drawn up at once, as a CSV file of the account's balance transactions within the interval,
--- by category; `parameters` decide the columns.
local events = require "sandbox.events"
local files = require "sandbox.flows.files"
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local flow = { operations = {} }

local COLUMNS = host.array { "reporting_category", "currency", "count", "gross", "fee", "net" }

-- One row for each category and currency.
local function rows(call, parameters)
  local by_key, keys = {}, {}
  for transaction in call.store:newest "balance_transaction" do
    local created, stop = transaction.created, parameters.interval_end
    local within = created >= (parameters.interval_start or 0) and (not stop or created < stop)
    if within and (not parameters.currency or parameters.currency == transaction.currency) then
      local key = transaction.reporting_category .. " " .. transaction.currency
      local row = by_key[key]
      if not row then
        row = { reporting_category = transaction.reporting_category, currency = transaction.currency,
          count = 0, gross = 0, fee = 0, net = 0 }
        by_key[key] = row
        keys[#keys + 1] = key
      end
      row.count, row.gross = row.count + 1, row.gross + transaction.amount
      row.fee, row.net = row.fee + transaction.fee, row.net + transaction.net
    end
  end
  table.sort(keys)
  return by_key, keys
end

local function csv(call, parameters)
  local columns = parameters.columns or COLUMNS
  local lines = { table.concat(columns, ",") }
  local by_key, keys = rows(call, parameters)
  for _, key in ipairs(keys) do
    local cells = {}
    for i, column in ipairs(columns) do
      cells[i] = tostring(by_key[key][column] or "")
    end
    lines[#lines + 1] = table.concat(cells, ",")
  end
  return table.concat(lines, "\n") .. "\n"
end

flow.operations["reporting.report_runs.create"] = function(call)
  local run = generic.build(call)
  run.status, run.succeeded_at = "succeeded", call:now()
  run.parameters = call.params.parameters or {}
  local file = files.make(call, {
    purpose = "finance_report_run", filename = call.params.report_type .. ".csv",
    content = csv(call, run.parameters),
  })
  run.result = host.copy(file)
  call.store:insert(run)
  events.emit(call, "reporting.report_run.succeeded", run)
  return run
end

return flow
