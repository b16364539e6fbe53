-- APPEND: parts of the unit that is next become visible. A new writer takes over with its first part.
-- KEYS meta log staged units  ARGV index epoch writer at channel (type headers body)…
local m = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'wm', 'seq', 'writer', 'written', 'ttl')
local at, count = tonumber(ARGV[4]), (#ARGV - 5) / 3
if m[1] ~= ARGV[2] or m[2] ~= 'live' or m[3] ~= ARGV[1] then return 'GONE' end
local written = tonumber(m[6] or 0)
if m[5] ~= ARGV[3] then
  if at > 0 then return 'LAPSED' end
  written = 0
end
if written >= at + count and written > 0 then return 'OK' end -- said again: the answer was lost
local seq = tonumber(m[4])
for i = 6, #ARGV, 3 do
  append(KEYS[2], seq, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[5], ARGV[2])
  seq = seq + 1
end
redis.call('HSET', KEYS[1], 'seq', seq, 'writer', ARGV[3], 'written', at + count)
keep(KEYS, tonumber(m[7]))
return 'OK'
