-- EXTEND: renew a lease, if it is still this owner's.
-- ARGV unit owner lease_ms
local owner = string.match(redis.call('HGET', HELD, ARGV[1]) or '', '^([^|]*)|')
if owner ~= ARGV[2] or not redis.call('ZSCORE', RUN, ARGV[1]) then return 0 end
redis.call('ZADD', RUN, 'XX', now_ms() + ARGV[3], ARGV[1])
return 1
