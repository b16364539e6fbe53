-- CANCEL: `cancelled` becomes the last record of a live log; any other log is left as it is.
-- KEYS meta log staged units  ARGV channel
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
if redis.call('HGET', KEYS[1], 'state') == 'live' then
  local m = redis.call('HMGET', KEYS[1], 'seq', 'wm', 'total', 'epoch')
  local seq = tonumber(m[1])
  append(KEYS[2], seq, 'cancelled', string.format('{"units":%d,"total":%d}', m[2], m[3]), '', ARGV[1], m[4])
  redis.call('HSET', KEYS[1], 'state', 'cancelled', 'seq', seq + 1)
  redis.call('DEL', KEYS[3], KEYS[4])
end
return status(KEYS[1])
