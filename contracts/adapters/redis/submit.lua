-- SUBMIT: idempotent; what waits or is leased is left alone.
-- KEYS due run  ARGV unit deadline unit deadline …
local new = 0
for i = 1, #ARGV, 2 do
  if not redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    new = new + redis.call('ZADD', KEYS[1], 'NX', ARGV[i + 1], ARGV[i])
  end
end
return new
