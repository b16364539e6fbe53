-- RELEASE: forget units; the log has decided. Real durations correct what is estimated of the units after them.
-- ARGV unit duration_ms unit duration_ms …  (-1: unknown)
local now, touched = now_ms(), {}
for i = 1, #ARGV, 2 do
  local unit, duration = ARGV[i], tonumber(ARGV[i + 1])
  local cast, index = cast_of(unit)
  local before, length = planned(unit)
  local c = touched[cast] or load(cast)
  if length and c then
    touched[cast] = c
    if duration >= 0 then
      if index == '0' then
        hold_ears_until(cast, now) -- playback can start
        c.floor = 0
        c.anchor = math.max(c.anchor, now)
      elseif RESTART and now > wanted(c, before) then
        c.late = c.late + now - wanted(c, before) -- playback stood still until now
      end
      c.shift = c.shift + duration - length
    end
    local _, _, ticket = string.find(redis.call('HGET', HELD, unit) or '', '^[^|]*|(.*)$')
    if ticket and redis.call('HGET', BOUND, ticket) == unit then redis.call('HDEL', BOUND, ticket) end
    unpend(unit, length, c)
    redis.call('ZREM', RUN, unit)
    redis.call('HDEL', PLAN, unit)
    redis.call('HDEL', HELD, unit)
    redis.call('HDEL', ATTEMPTS, unit)
    if redis.call('HINCRBY', LEFT, cast, -1) <= 0 then
      forget(cast, c)
      touched[cast] = nil
    end
  end
end
for cast, c in pairs(touched) do
  save(cast, c)
  place_due(cast, c)
end
return 1
