--- For a misuse: the word of a list that is nearest to a wrong one, or nil if none is near.

-- Levenshtein's distance, with one row of memory.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local corner = row[0]
    row[0] = i
    for j = 1, #b do
      local above = row[j]
      local change = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(above + 1, row[j - 1] + 1, corner + change)
      corner = above
    end
  end
  return row[#b]
end

return function(name, words)
  local best, nearest = math.floor(#name / 3) + 2, nil
  for _, word in ipairs(words) do
    local d = distance(name, word)
    if d > 0 and d < best then best, nearest = d, word end
  end
  return nearest
end
