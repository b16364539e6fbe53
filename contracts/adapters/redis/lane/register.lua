-- REGISTER: a worker's speed, and with it the fleet's.
-- ARGV worker ttl_ms xrt slots  (ttl_ms 0: it leaves)
local now = now_ms()
if tonumber(ARGV[2]) > 0 then
  redis.call('HSET', FLEET, ARGV[1], string.format('%d|%.3f|%.3f', now + ARGV[2], ARGV[3], ARGV[3] / ARGV[4]))
else
  redis.call('HDEL', FLEET, ARGV[1])
end
local total, best, count = 0, 0, 0
local fleet = redis.call('HGETALL', FLEET)
for i = 1, #fleet, 2 do
  local til, all, one = string.match(fleet[i + 1], '^(%d+)|([%d.]+)|([%d.]+)$')
  if tonumber(til) > now then
    total, best, count = total + all, math.max(best, tonumber(one)), count + 1
  else
    redis.call('HDEL', FLEET, fleet[i])
  end
end
redis.call('HSET', SUMS, 'xrt', string.format('%.3f', total), 'best', string.format('%.3f', best), 'workers', count)
return count
