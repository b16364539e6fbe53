-- PLACE: where a cast stands in the order of work: started?, casts ahead, audio ahead ms, heard?
-- ARGV cast
local c = load(ARGV[1])
if not c then return false end
local heard = 1 - c.tier
if c.started then return { 1, 0, 0, heard } end
local me = queue_member(ARGV[1], c)
local mine = redis.call('ZLEXCOUNT', QUEUE, '[' .. c.client .. '|', '(' .. me)
local running, served = client_state(c.client)
local level, since = running + mine, math.max(c.created, served)
local ahead = mine
local clients = redis.call('ZRANGE', WAITING, 0, 4095)
for _, client in ipairs(clients) do
  if client ~= c.client then
    local others = redis.call('ZLEXCOUNT', QUEUE, '[' .. client .. '|', string.format('(%s|%d', client, c.tier + 1))
    local run, last = client_state(client)
    local turns = level - run -- turns the other client gets before this cast's
    local head = redis.call('ZRANGEBYLEX', QUEUE, '[' .. client .. '|', '(' .. client .. '}', 'LIMIT', 0, 1)[1]
    if math.max(tonumber(string.match(head, '^[^|]*|%d|(%d+)|')), last) < since then turns = turns + 1 end
    ahead = ahead + math.max(0, math.min(others, turns))
  end
end
-- Started casts end one by one, evenly spread; what waits before this one comes after them.
local started, rest = 0, 0
local casts = redis.call('ZRANGEBYSCORE', DUE, '-inf', now_ms() + QUIET_MS / 2, 'WITHSCORES')
for i = 1, #casts, 2 do
  local other = load(casts[i])
  started, rest = started + 1, rest + other.finish - (tonumber(casts[i + 1]) - wanted(other, 0))
end
local sums = redis.call('HMGET', SUMS, 'xrt', 'audio' .. c.tier)
local speed = SHARE * math.max(tonumber(sums[1] or 0), 1.25)
if ahead + started + 1 <= speed or started + ahead == 0 then return { 0, ahead, 0, heard } end
local waiting = redis.call('ZCARD', QUEUE)
local mean = math.max(0, tonumber(sums[2] or 0) - rest) / waiting
local audio = rest * math.min(1, (ahead + 1) / math.max(1, started)) + mean * math.max(0, ahead + 1 - started)
return { 0, ahead, string.format('%.0f', audio), heard }
