-- FAIL: `error` becomes the last record of an open log of this epoch; one that has all its units is left as it is.
-- KEYS meta log staged units  ARGV epoch headers channel
local m = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'seq', 'closed')
if m[1] ~= ARGV[1] or m[2] ~= 'live' or m[4] == '1' then return 0 end
append(KEYS[2], tonumber(m[3]), 'error', ARGV[2], '', ARGV[3], ARGV[1])
redis.call('HSET', KEYS[1], 'state', 'failed', 'seq', tonumber(m[3]) + 1)
redis.call('DEL', KEYS[3], KEYS[4])
return 1
