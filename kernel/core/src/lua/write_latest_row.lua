-- Accepts a row iff its order key (bytes 1..33) is greater than the stored one's, byte by byte. The run that the key
-- knows (bytes 33..41) advances either way.
local new = ARGV[1]
if #new < 41 or string.byte(new, 1) ~= 2 then
  return redis.error_reply('BAD_STATE the new value has no prefix of form 2')
end
local function greater(a, b, from, to)
  for i = from, to do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x > y
    end
  end
  return false
end
local old = redis.call('GETRANGE', KEYS[1], 0, 40)
local wins = true
if #old > 0 then
  if #old < 41 or string.byte(old, 1) ~= 2 then
    return redis.error_reply('BAD_STATE the stored value has no prefix of form 2')
  end
  wins = greater(new, old, 2, 33)
  if not wins then
    if greater(new, old, 34, 41) then
      redis.call('SETRANGE', KEYS[1], 33, string.sub(new, 34, 41))
    end
    return 0
  end
  if greater(old, new, 34, 41) then
    new = string.sub(new, 1, 33) .. string.sub(old, 34, 41) .. string.sub(new, 42)
  end
end
local expiry = ARGV[2]
if #old > 0 then
  local stored = redis.call('PEXPIRETIME', KEYS[1])
  if stored < 0 then
    expiry = ''
  elseif expiry ~= '' and stored > tonumber(expiry) then
    expiry = string.format('%.0f', stored)
  end
end
redis.call('SET', KEYS[1], new)
if expiry ~= '' then
  redis.call('PEXPIREAT', KEYS[1], expiry)
end
return 1
