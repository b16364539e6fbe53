-- CLAIM: the unit of a redelivered ticket, else one by the rule. The attempt is counted before anything can crash.
-- ARGV owner lease_ms max_attempts ticket redelivered? xrt
local owner, ticket, now = ARGV[1], ARGV[4], now_ms()
local xrt = tonumber(ARGV[6])

local function hand_out(unit)
  local cast = cast_of(unit)
  local c, before, length = load(cast), planned(unit)
  local deadline = wanted(c, before)
  unpend(unit, length, c)
  redis.call('ZADD', RUN, now + ARGV[2], unit)
  redis.call('HSET', HELD, unit, owner .. '|' .. ticket)
  if ticket ~= '' then redis.call('HSET', BOUND, ticket, unit) end
  place_due(cast, c)
  local attempt = redis.call('HINCRBY', ATTEMPTS, unit, 1)
  return { unit, string.format('%d', deadline), attempt, attempt > tonumber(ARGV[3]) and 1 or 0 }
end

local function start(cast)
  local c = load(cast)
  redis.call('ZREM', QUEUE, queue_member(cast, c))
  c.started, c.floor = true, now
  local running = client_state(c.client)
  redis.call('HSET', CLIENTS, c.client, string.format('%d|%d', running + 1, now))
  refresh(cast, c, now)
  place_client(c.client)
end

-- Whether started casts and one more, all they want within each horizon, are within the fleet's share.
local function carries_another(soonest)
  local speed = SHARE * math.max(tonumber(redis.call('HGET', SUMS, 'xrt') or 0), 1.25)
  local heard = redis.call('ZCOUNT', DUE, '-inf', now + QUIET_MS / 2)
  if heard == 0 or heard + 1 <= speed then return true end
  if soonest < now + HAND_MS or now < tonumber(redis.call('HGET', SUMS, 'full') or 0) then return false end
  local want = {}
  for i, horizon in ipairs(HORIZONS_MS) do want[i] = horizon end
  local casts = redis.call('ZRANGEBYSCORE', DUE, '-inf', now + HORIZONS_MS[#HORIZONS_MS], 'WITHSCORES')
  for i = 1, #casts, 2 do
    local c, at = load(casts[i]), tonumber(casts[i + 1])
    local rest = c.finish - (at - wanted(c, 0))
    for k, horizon in ipairs(HORIZONS_MS) do
      want[k] = want[k] + math.max(0, math.min(rest, horizon - (at - now)))
    end
  end
  for k, horizon in ipairs(HORIZONS_MS) do
    if want[k] > speed * horizon then
      redis.call('HSET', SUMS, 'full', now + 250) -- asked by every claim: the answer is kept for a moment
      return false
    end
  end
  return true
end

local function next_waiting()
  local client = redis.call('ZRANGE', WAITING, 0, 0)[1]
  if not client then return nil end
  local head = redis.call('ZRANGEBYLEX', QUEUE, '[' .. client .. '|', '(' .. client .. '}', 'LIMIT', 0, 1)[1]
  local tier, cast = string.match(head, '^[^|]*|(%d)|%d+|(.*)$')
  return cast, tier == '0'
end

local function choose_cast()
  local top = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  local cast, soonest = top[1], tonumber(top[2])
  if cast and soonest < now + PROTECT_MS then return cast end
  local waiting, heard = next_waiting()
  if waiting and (not cast or (heard and carries_another(soonest))) then
    start(waiting)
    return waiting
  end
  return cast
end

-- Seconds of audio per second of the workers at least twice as fast as this one, and the fastest of them; nil: none.
local function faster()
  if xrt <= 0 or tonumber(redis.call('HGET', SUMS, 'best') or 0) < 2 * xrt then return nil end
  local total, best = 0, 0
  for _, entry in ipairs(redis.call('HVALS', FLEET)) do
    local til, all, one = string.match(entry, '^(%d+)|([%d.]+)|([%d.]+)$')
    if tonumber(til) > now and tonumber(one) >= 2 * xrt then
      total, best = total + all, math.max(best, tonumber(one))
    end
  end
  if total == 0 then return nil end
  return total, best
end

-- The first unit of the cast; for a slow worker the first it finishes in time, or sooner than a faster one would.
local function choose_unit(cast)
  local total, best = faster()
  local members = first_pending(cast, total and 16 or 1)
  if not total then return unit_of(members[1]) end
  local c, sooner = load(cast), 0
  for _, member in ipairs(members) do
    local unit = unit_of(member)
    local before, length = planned(unit)
    sooner = sooner + length / total
    if length / xrt <= math.max(wanted(c, before) - now, sooner + length / best) then return unit end
  end
  return unit_of(members[#members])
end

if ARGV[5] == '1' then -- the broker says that the last owner of this ticket is gone
  local unit = redis.call('HGET', BOUND, ticket)
  if unit and redis.call('ZSCORE', RUN, unit) and string.match(redis.call('HGET', HELD, unit), '|(.*)$') == ticket then
    return hand_out(unit)
  end
end
for _, unit in ipairs(redis.call('ZRANGEBYSCORE', RUN, '-inf', now, 'LIMIT', 0, 64)) do return_unit(unit) end
for _, cast in ipairs(redis.call('ZRANGEBYSCORE', LOOK, '-inf', now, 'LIMIT', 0, 16)) do
  local c = load(cast)
  if c then refresh(cast, c, now) else redis.call('ZREM', LOOK, cast) end
end
local cast = choose_cast()
if not cast then return false end
return hand_out(choose_unit(cast))
