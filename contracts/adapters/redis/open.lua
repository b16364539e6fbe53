-- OPEN: the first claim of an id wins; a cancelled or failed log, and with `replace` a finished one, is replaced by a
-- new incarnation.
-- KEYS meta log staged units  ARGV epoch lane class owner recipe meta_headers reply_to closed ttl_ms replace text…
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'live' or (state == 'done' and ARGV[10] ~= '1') then return { 0, status(KEYS[1]) } end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4]) -- leftovers of an incarnation that expired piecemeal
local now = now_ms()
local total = #ARGV - 10
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'lane', ARGV[2], 'class', ARGV[3], 'owner', ARGV[4], 'recipe', ARGV[5],
  'state', 'live', 'closed', ARGV[8], 'total', total, 'wm', 0, 'seq', 1, 'skipped', 0,
  'audio_ms', 0, 'gen_ms', 0, 'created', now, 'first', 0, 'ttl', ARGV[9], 'reply_to', ARGV[7])
append(KEYS[2], 0, 'meta', string.gsub(ARGV[6], '}$', ',"created":' .. string.format('%d', now) .. '}'), '')
for i = 1, total do redis.call('HSET', KEYS[4], i - 1, ARGV[10 + i]) end
keep(KEYS, tonumber(ARGV[9]))
return { 1, status(KEYS[1]) }
