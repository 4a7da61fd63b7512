-- Accepts a stream state iff it knows more than the stored one. Bytes are compared one by one: numbers are doubles
-- here and string comparison follows the locale.
local new = ARGV[1]
if #new < 29 or string.byte(new, 1) ~= 1 then
  return redis.error_reply('BAD_STATE the new state has no prefix of form 1')
end
local old = redis.call('GETRANGE', KEYS[1], 0, 28)
if #old > 0 then
  if #old < 29 or string.byte(old, 1) ~= 1 then
    return redis.error_reply('BAD_STATE the stored state has no prefix of form 1')
  end
  -- Epoch and partition: the partition of a key is fixed within an epoch.
  if string.sub(old, 2, 9) == string.sub(new, 2, 9) and string.sub(old, 18, 21) ~= string.sub(new, 18, 21) then
    return redis.error_reply('OTHER_PARTITION the stored state was written from another partition of this epoch')
  end
  local greater = false
  for i = 2, 17 do
    local a, b = string.byte(new, i), string.byte(old, i)
    if a ~= b then
      greater = a > b
      break
    end
  end
  if not greater then
    return 0
  end
end
-- The later of both expiries; a state without one keeps none.
local expiry = ARGV[3]
if #old > 0 then
  local stored = redis.call('PEXPIRETIME', KEYS[1])
  if stored < 0 then
    expiry = ''
  elseif expiry ~= '' and stored > tonumber(expiry) then
    expiry = string.format('%.0f', stored)
  end
end
redis.call('SET', KEYS[1], new)
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[2], ARGV[2])
end
if expiry == '' then
  redis.call('PERSIST', KEYS[2])
else
  redis.call('PEXPIREAT', KEYS[1], expiry)
  redis.call('PEXPIREAT', KEYS[2], expiry)
end
return 1
