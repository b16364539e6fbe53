-- GROW: units are added to an open log; those it has already stay as they are, so that it may be said again.
-- Unless it is to be exact: then they stand at the end, or nowhere.
-- KEYS meta log staged units  ARGV epoch first close channel exact text…
local m = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'closed', 'total', 'wm', 'seq', 'skipped', 'audio_ms', 'gen_ms',
  'ttl')
local total, first = tonumber(m[4] or 0), tonumber(ARGV[2])
if m[1] ~= ARGV[1] or m[2] == 'cancelled' or m[2] == 'failed' then return { 'GONE', total, 0 } end
if m[3] == '1' then return { 'OK', total, 0 } end
if first > total or (ARGV[5] == '1' and first < total) then return { 'GAP', total, 0 } end
for n = total, first + #ARGV - 6 do
  redis.call('HSET', KEYS[4], n, ARGV[6 + n - first])
  total = n + 1
end
redis.call('HSET', KEYS[1], 'total', total, 'closed', ARGV[3])
local finished = 0
if ARGV[3] == '1' and tonumber(m[5]) == total then
  finished = 1
  finish(KEYS, { ARGV[1], tonumber(m[6]), total, tonumber(m[7]), tonumber(m[8]), tonumber(m[9]) }, ARGV[4])
  redis.call('HINCRBY', KEYS[1], 'seq', 1)
end
keep(KEYS, tonumber(m[10]))
return { 'OK', total, finished }
