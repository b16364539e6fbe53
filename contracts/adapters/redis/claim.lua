-- CLAIM: the unit of a redelivered ticket, else the one due soonest. The attempt is counted before anything can crash.
-- KEYS due run info attempts bound  ARGV owner lease_ms max_attempts ticket redelivered
local now = now_ms()

local function parts(unit) -- deadline, owner, ticket
  return string.match(redis.call('HGET', KEYS[3], unit) or '', '^(%d+)|([^|]*)|(.*)$')
end

local function hand_out(unit, deadline)
  redis.call('ZREM', KEYS[1], unit)
  redis.call('ZADD', KEYS[2], now + ARGV[2], unit)
  redis.call('HSET', KEYS[3], unit, string.format('%d|%s|%s', deadline, ARGV[1], ARGV[4]))
  if ARGV[4] ~= '' then redis.call('HSET', KEYS[5], ARGV[4], unit) end
  local attempt = redis.call('HINCRBY', KEYS[4], unit, 1)
  return { unit, string.format('%d', deadline), attempt, attempt > tonumber(ARGV[3]) and 1 or 0 }
end

if ARGV[5] == '1' then -- the broker says that the last owner of this ticket is gone
  local unit = redis.call('HGET', KEYS[5], ARGV[4])
  if unit and redis.call('ZSCORE', KEYS[2], unit) then
    local deadline, _, ticket = parts(unit)
    if ticket == ARGV[4] then return hand_out(unit, deadline) end
  end
end
for _, unit in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 64)) do -- lapsed leases
  redis.call('ZREM', KEYS[2], unit)
  local deadline, _, ticket = parts(unit)
  if redis.call('HGET', KEYS[5], ticket) == unit then redis.call('HDEL', KEYS[5], ticket) end
  redis.call('ZADD', KEYS[1], deadline, unit) -- its own deadline: it goes first again
end
local top = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not top[1] then return false end
return hand_out(top[1], top[2])
