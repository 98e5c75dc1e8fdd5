--- Base64, there and back: keys in Basic authorization, bytes in snapshots.

local base64 = {}

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local digit, value_of = {}, {}
for i = 1, 64 do
  digit[i - 1] = DIGITS:sub(i, i)
  value_of[DIGITS:byte(i)] = i - 1
end

function base64.encode(bytes)
  local text = bytes:gsub("..?.?", function(group)
    local a, b, c = group:byte(1, 3)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    return digit[n >> 18] .. digit[n >> 12 & 63] .. (b and digit[n >> 6 & 63] or "=") .. (c and digit[n & 63] or "=")
  end)
  return text
end

--- What the text stands for; what is no digit of it, padding too, means nothing.
function base64.decode(text)
  local bytes = text:gsub("[^%w+/]", ""):gsub("..?.?.?", function(group)
    local a, b, c, d = group:byte(1, 4)
    local n = value_of[a] << 18 | (value_of[b] or 0) << 12 | (value_of[c] or 0) << 6 | (value_of[d] or 0)
    return string.char(n >> 16, n >> 8 & 255, n & 255):sub(1, #group - 1)
  end)
  return bytes
end

return base64
