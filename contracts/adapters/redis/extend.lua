-- EXTEND: renew a lease, if it is still this owner's.
-- KEYS run info  ARGV unit owner lease_ms
local owner = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^%d+|([^|]*)|')
if owner ~= ARGV[2] or not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], 'XX', now_ms() + ARGV[3], ARGV[1])
return 1
