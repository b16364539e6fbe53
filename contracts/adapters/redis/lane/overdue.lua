-- OVERDUE: logs whose time to be looked at has come. Each goes to one caller; its next time is set.
-- ARGV again_in_ms limit
local now = now_ms()
local jobs = redis.call('ZRANGEBYSCORE', EXPECTED, '-inf', now, 'LIMIT', 0, ARGV[2])
for _, job in ipairs(jobs) do redis.call('ZADD', EXPECTED, now + ARGV[1], job) end
return jobs
