--- Meters: what a customer used, summed from the events of its meter, of v2 too. One that is sent again, with the same
--- identifier, counts once.
local common = require "sandbox.flows.common"
local generic = require "sandbox.generic"
local host = require "sandbox.host"

local flow = { operations = {} }

local WINDOWS = { hour = 3600, day = common.DAY }

--- Keeps an event that a meter asks for; `time`: when what it tells of happened.
function flow.keep(call, event, time)
  if not call.store:newest("billing.meter", { event_name = event.event_name, status = "active" })() then return end
  call:add("billing.meter_event", { event_name = event.event_name, payload = host.copy(event.payload),
    identifier = event.identifier or host.id(32), timestamp = time or call:now() })
end

flow.operations["billing.meter_events.create"] = function(call)
  local event = generic.create(call)
  flow.keep(call, event, event.timestamp)
  return event
end

-- One summary for each window in which there was usage, the newest first; without windows, for all the time.
flow.operations["billing.meters.event_summaries.list"] = function(call)
  local meter, params, seen, by_start, list = call:target(), call.params, {}, {}, host.array {}
  local from, to, window = params.start_time, params.end_time, WINDOWS[params.value_grouping_window]
  local customer_key, value_key = meter.customer_mapping.event_payload_key, meter.value_settings.event_payload_key
  for event in call.store:newest("billing.meter_event", { event_name = meter.event_name }) do
    local time, value = event.timestamp, tonumber(event.payload[value_key]) or 0
    local is_new = not seen[event.identifier] and event.payload[customer_key] == params.customer
    if is_new and time >= from and time < to then
      seen[event.identifier] = true
      local start = window and math.max(time // window * window, from) or from
      local summary, formula = by_start[start], meter.default_aggregation.formula
      if not summary then
        summary = call:new("billing.meter_event_summary", { meter = meter.id, start_time = start,
          end_time = window and math.min(start - start % window + window, to) or to, aggregated_value = 0 })
        by_start[start], list[#list + 1] = summary, summary
        if formula == "last" then summary.aggregated_value = value end
      end
      local more = formula == "sum" and value or formula == "count" and 1 or 0
      summary.aggregated_value = summary.aggregated_value + more
    end
  end
  table.sort(list, function(a, b) return a.start_time > b.start_time end)
  return { object = "list", data = list, has_more = false, url = call.path }
end

return flow
