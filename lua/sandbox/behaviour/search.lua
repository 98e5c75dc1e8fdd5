--- The search query language: a text becomes a predicate over stored objects, once for each request.
---
---     email~"rocketrides" AND -metadata["tier"]:"gold"      created>1700000000 OR status:'canceled'
---
--- A clause is a field, an operator and a value. What a field allows depends on its type, named in FIELDS:
---
---   token    equal, in any case of letters          id       equal, exactly
---   string   the same, and ~ for a part of it       number   equal, and < > <= >=
---
--- AND and OR do not mix; without a word between them clauses are joined by AND. The value null asks whether a field is
--- there. A page's token holds where the page ends and the query that it belongs to.

local errors = require "sandbox.errors"
local host = require "sandbox.host"

local null = host.null
local search = {}

local MOST_CLAUSES, SHORTEST_PART, DEFAULT_LIMIT, MOST_LIMIT = 10, 3, 10, 100

local FIELDS = {
  charge = {
    amount = "number", created = "number", currency = "token", customer = "id", disputed = "token", refunded = "token",
    status = "token", ["billing_details.address.postal_code"] = "token",
  },
  customer = { created = "number", email = "string", name = "string", phone = "string" },
  invoice = {
    created = "number", currency = "token", customer = "id", number = "string", receipt_number = "string",
    status = "token", subscription = "id", total = "number", last_finalization_error_code = "token",
    last_finalization_error_type = "token",
  },
  payment_intent = { amount = "number", created = "number", currency = "token", customer = "id", status = "token" },
  price = { active = "token", currency = "token", lookup_key = "string", product = "id", type = "token" },
  product = { active = "token", description = "string", name = "string", shippable = "token", url = "string" },
  subscription = { canceled_at = "number", created = "number", status = "token" },
}

-- payment_method_details.card.last4: any type of payment method may stand in the middle.
local DETAILS = { brand = "token", exp_month = "number", exp_year = "number", fingerprint = "token", last4 = "token" }

-- Fields whose place in the object is another than their name.
local PLACES = {
  invoice = {
    last_finalization_error_code = { "last_finalization_error", "code" },
    last_finalization_error_type = { "last_finalization_error", "type" },
    subscription = { "parent", "subscription_details", "subscription" },
  },
}

local OPERATORS = { token = ":", id = ":", string = ": ~", number = ": < > <= >=" }

local function refuse(message)
  error(errors.invalid { message = message, param = "query" })
end

-- ---- Text to clauses

-- The quoted text that begins at `at`, its escapes undone, and what stands behind it.
local function quoted(text, at)
  local quote, parts, from = text:sub(at, at), {}, at + 1
  while true do
    local stop = text:find("[\\" .. quote .. "]", from)
    if not stop then refuse("The search query has a quote that is not closed, at character " .. at .. ".") end
    parts[#parts + 1] = text:sub(from, stop - 1)
    if text:sub(stop, stop) == quote then return table.concat(parts), stop + 1 end
    parts[#parts + 1] = text:sub(stop + 1, stop + 1)
    from = stop + 2
  end
end

local function read_value(text, at)
  local first = text:sub(at, at)
  if first == '"' or first == "'" then
    local value, after = quoted(text, at)
    return { text = value }, after
  end
  local word, after = text:match("^([%w_.@+-]+)()", at)
  if not word then refuse("The search query lacks a value at character " .. at .. ".") end
  return word == "null" and { null = true } or { text = word }, after
end

-- A field's name, or the key of metadata["key"].
local function read_field(text, at)
  local bracket = text:match("^metadata%s*%[%s*()", at)
  if bracket then
    if not text:match([[^["']()]], bracket) then refuse([[A metadata key is quoted: metadata["key"]:"value".]]) end
    local key, after = quoted(text, bracket)
    local close = text:match("^%s*%]()", after)
    if not close then refuse([[A metadata key ends with a bracket: metadata["key"]:"value".]]) end
    return { "metadata", key }, close
  end
  local name, after = text:match("^([%a_][%w_.]*)()", at)
  return name, after
end

local function read_clause(text, at)
  local clause, start = {}, at
  local word = text:match("^[nN][oO][tT]%s+()", at)
  at = text:match("^%-%s*()", at) or word or at
  clause.negated = at > start
  clause.field, at = read_field(text, at)
  if not clause.field then
    refuse("The search query can't be read at character " .. start
      .. [[. Clauses look like name:"value" or metadata["key"]:"value".]])
  end
  clause.operator, at = text:match("^%s*([<>:~]=?)%s*()", at)
  if not clause.operator or clause.operator == ":=" or clause.operator == "~=" then
    refuse("The search query lacks an operator (: ~ < > <= >=) behind a field, in the clause at character "
      .. start .. ".")
  end
  clause.value, at = read_value(text, at)
  return clause, at
end

-- The word that joins at `at`: "and" or "or" and what stands behind it; a space alone is AND.
local function read_joint(text, at)
  local word, after = text:match("^(%a+)%s+()", at)
  word = word and word:lower()
  if word == "and" or word == "or" then return word, after end
  return "and", at
end

local function read(text)
  local clauses, joint = {}, nil
  local at = text:match("^%s*()")
  if at > #text then refuse("The search query is empty.") end
  while true do
    clauses[#clauses + 1], at = read_clause(text, at)
    local behind = text:match("^%s*()", at)
    if behind > #text then break end
    if behind == at then refuse("The search query has no space before character " .. at .. ".") end
    local word
    word, at = read_joint(text, behind)
    if joint and word ~= joint then refuse("A search query can't join clauses with AND as well as OR.") end
    joint = word
  end
  if #clauses > MOST_CLAUSES then
    refuse(("A search query can have %d clauses, not %d."):format(MOST_CLAUSES, #clauses))
  end
  return clauses, joint
end

-- ---- Clauses to predicates

local function split(name)
  local path = {}
  for part in name:gmatch "[^.]+" do path[#path + 1] = part end
  return path
end

-- The type of a field and its place in the object.
local function resolve(kind, field)
  if type(field) == "table" then return "token", field end
  local found = FIELDS[kind][field]
  local detail = field:match "^payment_method_details%.[%w_]+%.([%w_]+)$"
  if not found and kind == "charge" then found = DETAILS[detail] end
  if not found then
    local names = {}
    for name in pairs(FIELDS[kind]) do names[#names + 1] = name end
    table.sort(names)
    refuse(("Field `%s` is not a search field of %s. Its fields are %s and metadata."):format(field, kind,
      table.concat(names, ", ")))
  end
  return found, PLACES[kind] and PLACES[kind][field] or split(field)
end

local function look_up(object, path)
  for i = 1, #path do
    if type(object) ~= "table" then return nil end
    object = object[path[i]]
  end
  if object ~= null then return object end
end

local function is_null(object, path)
  return look_up(object, path) == nil
end

local COMPARE = {
  [":"] = function(a, b) return a == b end,
  ["<"] = function(a, b) return a < b end,
  [">"] = function(a, b) return a > b end,
  ["<="] = function(a, b) return a <= b end,
  [">="] = function(a, b) return a >= b end,
}

local function by_number(path, operator, text)
  local number = tonumber(text)
  if not number then refuse(("The search query compares a number with `%s`."):format(text)) end
  local compare = COMPARE[operator]
  return function(object)
    local value = tonumber(look_up(object, path))
    return value ~= nil and compare(value, number)
  end
end

local function by_part(path, text)
  if utf8.len(text) and utf8.len(text) < SHORTEST_PART then
    refuse(("A part to be searched with ~ has at least %d characters."):format(SHORTEST_PART))
  end
  text = text:lower()
  return function(object)
    local value = look_up(object, path)
    return type(value) == "string" and value:lower():find(text, 1, true) ~= nil
  end
end

local function by_text(path, text, exact)
  if not exact then text = text:lower() end
  return function(object)
    local value = look_up(object, path)
    if value == nil or type(value) == "table" then return false end
    value = tostring(value)
    return (exact and value or value:lower()) == text
  end
end

local function compile_clause(kind, clause)
  local type, path = resolve(kind, clause.field)
  local operator, value = clause.operator, clause.value
  local allowed = (" " .. OPERATORS[type] .. " "):find(" " .. operator .. " ", 1, true)
  if not allowed or value.null and operator ~= ":" then
    refuse(("The search query can't use %s with `%s`; what can be used is %s"):format(operator,
      table.concat(path, "."), value.null and ":" or OPERATORS[type]))
  end
  if value.null then return function(object) return is_null(object, path) end end
  if operator == "~" then return by_part(path, value.text) end
  if type == "number" then return by_number(path, operator, value.text) end
  return by_text(path, value.text, type == "id"), type
end

local function negate(matches)
  return function(object) return not matches(object) end
end


-- The predicate of a query, and a field and its value that all it finds have in common, if the store has an index of
-- it.
local function compile(kind, text)
  local clauses, joint = read(text)
  local tests, narrow = {}, nil
  for i, clause in ipairs(clauses) do
    local matches, type = compile_clause(kind, clause)
    tests[i] = clause.negated and negate(matches) or matches
    if type == "id" and joint ~= "or" and not clause.negated and clause.value.text and not PLACES[kind] then
      narrow = { field = clause.field, value = clause.value.text }
    end
  end
  local wanted = joint == "or"
  return function(object)
    for i = 1, #tests do
      if tests[i](object) == wanted then return wanted end
    end
    return not wanted
  end, narrow
end

-- ---- Pages

-- What tells two queries apart within a token.
local function checksum(text)
  local sum = 2166136261
  for i = 1, #text do sum = ((sum ~ text:byte(i)) * 16777619) & 0xffffffff end
  return sum
end

-- A page's token: the row before which it ends, and its query.
local function token(query, number)
  return ("%08x%08x"):format(number ~ checksum(query), checksum(query))
end

local function read_token(query, page)
  local hex, sum = page:match "^(%x%x%x%x%x%x%x%x)(%x%x%x%x%x%x%x%x)$"
  if not hex or tonumber(sum, 16) ~= checksum(query) then
    error(errors.invalid { message = ("Invalid page: '%s' is no page of this search."):format(page), param = "page" })
  end
  return tonumber(hex, 16) ~ checksum(query)
end

local function read_limit(limit)
  if limit and (limit < 1 or limit > MOST_LIMIT) then
    error(errors.invalid {
      message = ("Invalid integer: %d. The limit of a search is from 1 to %d."):format(limit, MOST_LIMIT),
      code = "parameter_invalid_integer",
      param = "limit",
    })
  end
  return limit or DEFAULT_LIMIT
end

-- Rows and their objects, the newest first, of those before row `before`.
local function newest(store, kind, narrow, before)
  local numbers = narrow and store:indexed(kind, narrow.field, narrow.value)
  local i = (numbers and #numbers or math.min(store:rows(kind), before - 1)) + 1
  return function()
    while i > 1 do
      i = i - 1
      local number = numbers and numbers[i] or i
      local object = number < before and store:row(kind, number)
      if object then return number, object end
    end
  end
end

local function count(call, kind, matches, narrow)
  local total = 0
  for _, object in newest(call.store, kind, narrow, math.maxinteger) do
    if matches(object) then total = total + 1 end
  end
  return total
end

local function wants_count(call)
  for _, path in ipairs(call.params.expand or {}) do
    if path == "total_count" then return true end
  end
end

--- Answers a search: {object = "search_result", data, has_more, next_page, url, total_count if it is expanded}.
function search.run(call)
  local params, kind = call.params, call.operation.object
  local limit = read_limit(params.limit)
  local matches, narrow = compile(kind, params.query)
  local before = params.page and read_token(params.query, params.page) or math.maxinteger
  local data, last, more = host.array {}, nil, false
  for number, object in newest(call.store, kind, narrow, before) do
    if matches(object) then
      more = #data == limit
      if more then break end
      data[#data + 1], last = object, number
    end
  end
  return {
    object = "search_result", data = data, has_more = more, url = call.operation.path,
    next_page = more and token(params.query, last) or null,
    total_count = wants_count(call) and count(call, kind, matches, narrow) or nil,
  }
end

return search
