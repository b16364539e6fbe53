-- SUBMIT: idempotent; what waits or is leased is left alone.
-- ARGV cast client live? first before_ms shift_ms length_ms…
local cast, now = ARGV[1], now_ms()
local c = load(cast)
local new, before = 0, tonumber(ARGV[5])
for i = 7, #ARGV do
  local unit = string.format('%s:%d', cast, ARGV[4] + i - 7)
  if redis.call('HSETNX', PLAN, unit, string.format('%d|%d', before, ARGV[i])) == 1 then
    if not c then
      local shift = tonumber(ARGV[6])
      c = { client = ARGV[2], created = now, started = tonumber(ARGV[4]) > 0, tier = ARGV[3] == '1' and 0 or 1,
        anchor = 0, floor = 0, shift = shift, late = 0, finish = 0 }
      if c.started then
        local running, served = client_state(c.client)
        redis.call('HSET', CLIENTS, c.client, string.format('%d|%d', running + 1, served))
      end
      if ARGV[3] == '1' then
        redis.call('HSET', EARS, cast, string.format('-=%d,%d;', now - before - shift, now + GRACE_MS))
      end
    end
    pend(unit, ARGV[i], c)
    new = new + 1
  end
  before = before + ARGV[i]
end
if new > 0 then
  redis.call('HINCRBY', LEFT, cast, new)
  c.finish = math.max(c.finish, before)
  refresh(cast, c, now)
end
return new
