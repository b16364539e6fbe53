-- SOURCE: what a log was opened with, read at one instant. The texts of a finished log are in its records alone.
-- KEYS meta log units
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local m = redis.call('HMGET', KEYS[1], 'owner', 'recipe', 'reply_to', 'ttl')
return { status(KEYS[1]), m, redis.call('XRANGE', KEYS[2], '1-0', '1-0'), redis.call('HGETALL', KEYS[3]) }
