-- RELEASE: forget units; the log has decided.
-- KEYS due run info attempts bound  ARGV unit…
for _, unit in ipairs(ARGV) do
  local ticket = string.match(redis.call('HGET', KEYS[3], unit) or '', '^%d+|[^|]*|(.*)$')
  if ticket and redis.call('HGET', KEYS[5], ticket) == unit then redis.call('HDEL', KEYS[5], ticket) end
  redis.call('ZREM', KEYS[1], unit)
  redis.call('ZREM', KEYS[2], unit)
  redis.call('HDEL', KEYS[3], unit)
  redis.call('HDEL', KEYS[4], unit)
end
return #ARGV
