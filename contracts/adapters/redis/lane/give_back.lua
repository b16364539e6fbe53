-- GIVE BACK: a leased unit returns to its place, if it is still this owner's.
-- ARGV unit owner attempted?
local owner = string.match(redis.call('HGET', HELD, ARGV[1]) or '', '^([^|]*)|')
if owner ~= ARGV[2] or not redis.call('ZSCORE', RUN, ARGV[1]) then return 0 end
return_unit(ARGV[1])
if ARGV[3] == '0' then redis.call('HINCRBY', ATTEMPTS, ARGV[1], -1) end
return 1
