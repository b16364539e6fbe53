-- COMMIT: first write of an index wins; records become visible in index order; eos in the same call as the last one.
-- A unit that brings the end of its log with it is the last one. KEYS meta log staged units
-- ARGV index epoch type headers body duration_ms gen_ms channel writer
local m = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'wm', 'total', 'closed', 'seq', 'skipped', 'audio_ms', 'gen_ms',
  'ttl', 'writer')
local wm, total, n = tonumber(m[3] or -1), tonumber(m[4] or -1), tonumber(ARGV[1])
if m[1] ~= ARGV[2] or m[2] == 'cancelled' or m[2] == 'failed' then return { 'GONE', wm, 0 } end
if n < 0 or n >= total then return { 'BAD', wm, 0 } end
if n < wm or redis.call('HEXISTS', KEYS[3], n) == 1 then return { 'DUP', wm, 0 } end
if ARGV[9] ~= '' and ARGV[9] ~= m[11] then return { 'LAPSED', wm, 0 } end
local ttl = tonumber(m[10])
if ARGV[3] == 'eos' or ARGV[3] == 'error' then
  if n > wm or n + 1 < total then return { 'BAD', wm, 0 } end
  append(KEYS[2], tonumber(m[6]), ARGV[3], ARGV[4], ARGV[5], ARGV[8], ARGV[2])
  redis.call('HSET', KEYS[1], 'state', ARGV[3] == 'eos' and 'done' or 'failed', 'wm', total, 'seq', m[6] + 1,
    'audio_ms', m[8] + ARGV[6], 'gen_ms', m[9] + ARGV[7])
  redis.call('DEL', KEYS[4])
  keep(KEYS, ttl)
  return { 'OK', total, 1 }
end
if n > wm then
  -- kind, duration, engine time and length of the headers, then headers and body as they are
  redis.call('HSET', KEYS[3], n, string.format('%s %d %d %d ', ARGV[3], ARGV[6], ARGV[7], #ARGV[4]) .. ARGV[4] .. ARGV[5])
  redis.call('PEXPIRE', KEYS[3], ttl + 60000)
  return { 'STAGED', wm, 0 }
end
local kind, headers, body, duration, gen = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local seq, skipped, audio_ms, gen_ms = tonumber(m[6]), tonumber(m[7]), tonumber(m[8]), tonumber(m[9])
while true do
  append(KEYS[2], seq, kind, headers, body, ARGV[8], ARGV[2])
  seq, wm, audio_ms, gen_ms = seq + 1, wm + 1, audio_ms + duration, gen_ms + gen
  if kind == 'skip' then skipped = skipped + 1 end
  local staged = redis.call('HGET', KEYS[3], wm)
  if not staged then break end
  redis.call('HDEL', KEYS[3], wm)
  local k, d, g, size, at = string.match(staged, '^(%a+) (%d+) (%d+) (%d+) ()')
  kind, duration, gen = k, tonumber(d), tonumber(g)
  headers = string.sub(staged, at, at + size - 1)
  body = string.sub(staged, at + size)
end
local finished = 0
if m[5] == '1' and wm == total then
  finished = 1
  finish(KEYS, { ARGV[2], seq, total, skipped, audio_ms, gen_ms }, ARGV[8])
  seq = seq + 1
end
redis.call('HSET', KEYS[1], 'wm', wm, 'seq', seq, 'skipped', skipped, 'audio_ms', audio_ms, 'gen_ms', gen_ms)
if n == 0 then redis.call('HSET', KEYS[1], 'first', now_ms()) end
keep(KEYS, ttl)
return { 'OK', wm, finished }
