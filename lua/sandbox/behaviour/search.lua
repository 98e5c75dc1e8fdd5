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

local common = require "sandbox.flows.common"
local host = require "sandbox.host"

local null, given = host.null, common.given
local search = {}

local MOST_CLAUSES, SHORTEST_PART, USUAL_LIMIT, MOST_LIMIT = 10, 3, 10, 100

-- The fields of each kind, by type; NAME=PLACE where it stands elsewhere in the object than its name says.
local FIELDS = {
  charge = {
    number = "amount created", id = "customer",
    token = "currency disputed refunded status billing_details.address.postal_code",
  },
  customer = { number = "created", string = "email name phone" },
  invoice = {
    number = "created total", id = "customer subscription=parent.subscription_details.subscription",
    string = "number receipt_number",
    token = "currency status last_finalization_error_code=last_finalization_error.code "
      .. "last_finalization_error_type=last_finalization_error.type",
  },
  payment_intent = { number = "amount created", id = "customer", token = "currency status" },
  price = { id = "product", string = "lookup_key", token = "active currency type" },
  product = { string = "description name url", token = "active shippable" },
  subscription = { number = "canceled_at created", token = "status" },
}

-- payment_method_details.card.last4: any type of payment method may stand in the middle.
local DETAILS = { brand = "token", exp_month = "number", exp_year = "number", fingerprint = "token", last4 = "token" }

local OPERATORS = { token = ":", id = ":", string = ": ~", number = ": < > <= >=" }

local function refuse(message, ...) common.refuse(message:format(...), "query") end

-- ---- Text to clauses

-- The quoted text that begins at `at`, its escapes undone, and what stands behind it.
local function quoted(text, at)
  local quote, parts, from = text:sub(at, at), {}, at + 1
  while true do
    local stop = text:find("[\\" .. quote .. "]", from)
    if not stop then refuse("The search query has a quote that is not closed, at character %d.", at) end
    parts[#parts + 1] = text:sub(from, stop - 1)
    if text:sub(stop, stop) == quote then return table.concat(parts), stop + 1 end
    parts[#parts + 1] = text:sub(stop + 1, stop + 1)
    from = stop + 2
  end
end

-- The value that begins at `at` (nil for null), and what stands behind it.
local function read_value(text, at)
  if text:find("^[\"']", at) then return quoted(text, at) end
  local word, after = text:match("^([%w_.@+-]+)()", at)
  if not word then refuse("The search query lacks a value at character %d.", at) end
  return word ~= "null" and word or nil, after
end

-- A field's name, or the place of metadata["key"].
local function read_field(text, at)
  local bracket = text:match("^metadata%s*%[%s*()", at)
  if not bracket then
    local name, after = text:match("^([%a_][%w_.]*)()", at)
    return name, after
  end
  if not text:find("^[\"']", bracket) then refuse [[A metadata key is quoted: metadata["key"]:"value".]] end
  local key, after = quoted(text, bracket)
  local close = text:match("^%s*%]()", after)
  if not close then refuse [[A metadata key ends with a bracket: metadata["key"]:"value".]] end
  return { "metadata", key }, close
end

local function read_clause(text, start)
  local clause = {}
  local at = text:match("^%-%s*()", start) or text:match("^[nN][oO][tT]%s+()", start) or start
  clause.negated = at > start
  clause.field, at = read_field(text, at)
  if not clause.field then
    refuse("The search query can't be read at character %d. Clauses look like %s.", start,
      [[name:"value" or metadata["key"]:"value"]])
  end
  clause.operator, at = text:match("^%s*([<>:~]=?)%s*()", at)
  if not clause.operator or clause.operator:find "^[:~]=" then
    refuse("The search query lacks an operator (: ~ < > <= >=) behind a field, in the clause at character %d.", start)
  end
  clause.value, at = read_value(text, at)
  return clause, at
end

-- The word that joins at `at`, "and" or "or", and what stands behind it; a space alone is AND.
local function read_joint(text, at)
  local word, after = text:match("^(%a+)%s+()", at)
  word = word and word:lower()
  if word == "and" or word == "or" then return word, after end
  return "and", at
end

local function read(text)
  local clauses, joint = {}, nil
  local at = text:match "^%s*()"
  if at > #text then refuse "The search query is empty." end
  while true do
    clauses[#clauses + 1], at = read_clause(text, at)
    local behind = text:match("^%s*()", at)
    if behind > #text then break end
    if behind == at then refuse("The search query has no space before character %d.", at) end
    local word
    word, at = read_joint(text, behind)
    if joint and word ~= joint then refuse "A search query can't join clauses with AND as well as OR." end
    joint = word
  end
  if #clauses > MOST_CLAUSES then refuse("A search query can have %d clauses, not %d.", MOST_CLAUSES, #clauses) end
  return clauses, joint
end

-- ---- Clauses to predicates

local function split(name)
  local path = {}
  for part in name:gmatch "[^.]+" do path[#path + 1] = part end
  return path
end

-- Of each field of a kind its type and its place in the object.
local function fields_of(kind)
  local fields = {}
  for type, names in pairs(FIELDS[kind]) do
    for name, place in names:gmatch "([^%s=]+)=?(%S*)" do
      fields[name] = { type = type, path = split(place ~= "" and place or name) }
    end
  end
  return fields
end

local function resolve(kind, field)
  if type(field) == "table" then return "token", field end
  local fields, detail = fields_of(kind), field:match "^payment_method_details%.[%w_]+%.([%w_]+)$"
  if fields[field] then return fields[field].type, fields[field].path end
  if kind == "charge" and DETAILS[detail] then return DETAILS[detail], split(field) end
  refuse("Field `%s` is not a search field of %s. Its fields are %s and metadata.", field, kind,
    table.concat(common.keys(fields), ", "))
end

local COMPARE = {
  [":"] = function(a, b) return a == b end,
  ["<"] = function(a, b) return a < b end,
  [">"] = function(a, b) return a > b end,
  ["<="] = function(a, b) return a <= b end,
  [">="] = function(a, b) return a >= b end,
}

-- What a value must be to pass: function(value) → bool.
local function test_of(type, operator, text)
  if type == "number" then
    local number, compare = tonumber(text), COMPARE[operator]
    if not number then refuse("The search query compares a number with `%s`.", text) end
    return function(value) return tonumber(value) ~= nil and compare(tonumber(value), number) end
  end
  if type == "id" then return function(value) return tostring(value) == text end end
  if operator == "~" and (utf8.len(text) or SHORTEST_PART) < SHORTEST_PART then
    refuse("A part to be searched with ~ has at least %d characters.", SHORTEST_PART)
  end
  text = text:lower()
  return function(value)
    local low = tostring(value):lower()
    return low == text or operator == "~" and low:find(text, 1, true) ~= nil
  end
end

local function compile_clause(kind, clause)
  local type_of, path = resolve(kind, clause.field)
  local operator, text = clause.operator, clause.value
  local usable = text and OPERATORS[type_of] or ":"
  if not common.among(usable, operator) then
    refuse("The search query can't use %s with `%s`; what can be used is %s", operator, table.concat(path, "."), usable)
  end
  local passes = text and test_of(type_of, operator, text)
  return function(object)
    local value = object
    for _, name in ipairs(path) do
      if type(value) ~= "table" then value = nil else value = value[name] end
    end
    value = given(value)
    local found
    if passes then found = value ~= nil and type(value) ~= "table" and passes(value) else found = value == nil end
    return found ~= clause.negated
  end, type_of == "id" and #path == 1
end

-- The predicate of a query, and a field and its value that all it finds have in common, if the store has an index of
-- it.
local function compile(kind, text)
  local clauses, joint = read(text)
  local tests, narrow, wanted = {}, nil, joint == "or"
  for i, clause in ipairs(clauses) do
    local indexed
    tests[i], indexed = compile_clause(kind, clause)
    if indexed and not wanted and not clause.negated and clause.value then narrow = clause end
  end
  return function(object)
    for i = 1, #tests do
      if tests[i](object) == wanted then return wanted end
    end
    return not wanted
  end, narrow
end

-- ---- Pages

local function checksum(text)
  local sum = 2166136261
  for i = 1, #text do sum = ((sum ~ text:byte(i)) * 16777619) & 0xffffffff end
  return sum
end

-- A page's token: the row before which it ends, and its query.
local function token(query, number) return ("%08x%08x"):format(number ~ checksum(query), checksum(query)) end

local function read_token(query, page)
  local hex, sum = page:match "^(%x%x%x%x%x%x%x%x)(%x%x%x%x%x%x%x%x)$"
  if hex and tonumber(sum, 16) == checksum(query) then return tonumber(hex, 16) ~ checksum(query) end
  common.refuse(("Invalid page: '%s' is no page of this search."):format(page), "page")
end

-- Rows and their objects that match, the newest first, of those before row `before`.
local function matching(store, kind, matches, narrow, before)
  local numbers = narrow and store:indexed(kind, narrow.field, narrow.value)
  local i = (numbers and #numbers or math.min(store:rows(kind), before - 1)) + 1
  return function()
    while i > 1 do
      i = i - 1
      local number = numbers and numbers[i] or i
      local object = number < before and store:row(kind, number)
      if object and matches(object) then return number, object end
    end
  end
end

--- Answers a search: {object = "search_result", data, has_more, next_page, url, total_count if it is expanded}.
function search.run(call)
  local params, kind, store = call.params, call.operation.object, call.store
  local limit = params.limit or USUAL_LIMIT
  common.refuse_if(limit < 1 or limit > MOST_LIMIT, "Invalid integer: %d. The limit of a search is from 1 to %d.",
    "limit", "parameter_invalid_integer", limit, MOST_LIMIT)
  local matches, narrow = compile(kind, params.query)
  local before = params.page and read_token(params.query, params.page) or math.maxinteger
  local data, last, more, total = host.array {}, nil, false, nil
  for number, object in matching(store, kind, matches, narrow, before) do
    more = #data == limit
    if more then break end
    data[#data + 1], last = object, number
  end
  if common.contains(params.expand, "total_count") then
    total = 0
    for _ in matching(store, kind, matches, narrow, math.maxinteger) do total = total + 1 end
  end
  return {
    object = "search_result", data = data, has_more = more, url = call.operation.path,
    next_page = more and token(params.query, last) or null, total_count = total,
  }
end

return search
