-- GIVE BACK: a leased unit returns under its own deadline, if it is still this owner's.
-- KEYS due run info attempts bound  ARGV unit owner attempted
local deadline, owner, ticket = string.match(redis.call('HGET', KEYS[3], ARGV[1]) or '', '^(%d+)|([^|]*)|(.*)$')
if owner ~= ARGV[2] or redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[1], deadline, ARGV[1])
if redis.call('HGET', KEYS[5], ticket) == ARGV[1] then redis.call('HDEL', KEYS[5], ticket) end
if ARGV[3] == '0' then redis.call('HINCRBY', KEYS[4], ARGV[1], -1) end
return 1
