-- Stands before every script of a lane, after lib.lua and the numbers of the rule. All scripts get the same KEYS.
-- A cast is `job:epoch`, a unit `job:epoch:index`.
local DUE, WAITING, QUEUE, PENDING, RUN, PLAN, HELD, ATTEMPTS, BOUND, CASTS, LEFT, CLIENTS, EARS, LOOK, FLEET, SUMS,
  EXPECTED =
  unpack(KEYS)

local function cast_of(unit)
  return string.match(unit, '^(.*):(%d+)$')
end

-- Of a unit, as planned: estimated audio before it, and its own, ms. nil: done, or never submitted.
local function planned(unit)
  local before, length = string.match(redis.call('HGET', PLAN, unit) or '', '^(%d+)|(%d+)$')
  return tonumber(before), tonumber(length)
end

local CAST = '^([^|]*)|(%d+)|(%d)|(%d)|(%-?%d+)|(%d+)|(%-?%d+)|(%d+)|(%d+)$'
local function load(cast)
  local packed = redis.call('HGET', CASTS, cast)
  if not packed then return nil end
  local client, created, started, tier, anchor, floor, shift, late, finish = string.match(packed, CAST)
  return { client = client, created = tonumber(created), started = started == '1', tier = tonumber(tier),
    anchor = tonumber(anchor), floor = tonumber(floor), shift = tonumber(shift), late = tonumber(late),
    finish = tonumber(finish) }
end

local function save(cast, c)
  redis.call('HSET', CASTS, cast, string.format('%s|%d|%d|%d|%d|%d|%d|%d|%d', c.client, c.created, c.started and 1 or 0,
    c.tier, c.anchor, c.floor, c.shift, c.late, c.finish))
end

local function first_pending(cast, count)
  return redis.call('ZRANGEBYLEX', PENDING, '[' .. cast .. ':', '(' .. cast .. ';', 'LIMIT', 0, count)
end

local function unit_of(member) -- pending members have padded indexes, so that they sort
  local cast, index = cast_of(member)
  return string.format('%s:%d', cast, tonumber(index))
end

local function member_of(unit)
  local cast, index = cast_of(unit)
  return string.format('%s:%09d', cast, tonumber(index))
end

local function wanted(c, before)
  return c.anchor + c.late + c.shift + before
end

-- A started cast with pending units stands in DUE, under the time its first one is wanted.
local function place_due(cast, c)
  local head = c.started and first_pending(cast, 1)[1]
  if head then
    redis.call('ZADD', DUE, wanted(c, planned(unit_of(head))), cast)
  else
    redis.call('ZREM', DUE, cast)
  end
end

-- Waiting casts of a client, in order: heard ones first, then by age.
local function queue_member(cast, c)
  return string.format('%s|%d|%013d|%s', c.client, c.tier, c.created, cast)
end

local function client_state(client)
  local running, served = string.match(redis.call('HGET', CLIENTS, client) or '0|0', '^(%d+)|(%d+)$')
  return tonumber(running), tonumber(served)
end

-- Clients by the tier of their next waiting cast, then fewest running casts, then who was served longest ago.
local function place_client(client)
  local head = redis.call('ZRANGEBYLEX', QUEUE, '[' .. client .. '|', '(' .. client .. '}', 'LIMIT', 0, 1)[1]
  local running, served = client_state(client)
  if not head then
    redis.call('ZREM', WAITING, client)
    if running == 0 then redis.call('HDEL', CLIENTS, client) end
    return
  end
  local tier, created = string.match(head, '^[^|]*|(%d)|(%d+)|')
  local rank = (math.min(running, 400) + 500 * tier) * 1e13 + math.max(tonumber(created), served)
  redis.call('ZADD', WAITING, string.format('%.0f', rank), client)
end

-- SUMS has the estimated audio pending, by tier. Formatted: Lua's minus nought is no integer to Redis.
local function add_audio(tier, ms)
  redis.call('HINCRBY', SUMS, 'audio' .. tier, string.format('%d', ms))
end

local function pend(unit, length, c)
  redis.call('ZADD', PENDING, 0, member_of(unit))
  add_audio(c.tier, length)
end

local function unpend(unit, length, c)
  if redis.call('ZREM', PENDING, member_of(unit)) == 1 then add_audio(c.tier, -length) end
end

local function change_tier(cast, c, tier)
  local audio = 0
  for _, member in ipairs(first_pending(cast, -1)) do
    local _, length = planned(unit_of(member))
    audio = audio + length
  end
  add_audio(c.tier, -audio)
  add_audio(tier, audio)
  c.tier = tier
end

-- EARS: `ear=anchor,until;…` of a cast; gone ones are dropped. The soonest anchor, when the next one goes, how many.
local function ears_of(cast, now)
  local ears, soonest, next_look, count = {}, nil, nil, 0
  for ear, anchor, til in string.gmatch(redis.call('HGET', EARS, cast) or '', '([^=;]+)=(%-?%d+),(%d+);') do
    anchor, til = tonumber(anchor), tonumber(til)
    if til > now then
      ears[ear] = { anchor, til }
      count = count + 1
      if not soonest or anchor < soonest then soonest = anchor end
      if not next_look or til < next_look then next_look = til end
    end
  end
  return ears, soonest, next_look, count
end

local function keep_ears(cast, ears)
  local list = {}
  for ear, e in pairs(ears) do list[#list + 1] = string.format('%s=%d,%d;', ear, e[1], e[2]) end
  table.sort(list)
  if #list == 0 then redis.call('HDEL', EARS, cast) else redis.call('HSET', EARS, cast, table.concat(list)) end
end

-- Nobody can have listened before there was something to hear.
local function hold_ears_until(cast, now)
  local ears = ears_of(cast, now)
  for _, e in pairs(ears) do e[1] = math.max(e[1], now) end
  keep_ears(cast, ears)
end

-- Who listens has changed, or the time has come to look: anchor, tier and place of a cast follow.
local function refresh(cast, c, now)
  local ears, soonest, next_look = ears_of(cast, now)
  keep_ears(cast, ears)
  local was = queue_member(cast, c)
  local aged = c.created + QUIET_MS
  local tier = (soonest or now >= aged) and 0 or 1
  if tier ~= c.tier then change_tier(cast, c, tier) end
  c.anchor = math.max(soonest or aged, c.floor)
  save(cast, c)
  if not soonest and now < aged then next_look = aged end
  if next_look then redis.call('ZADD', LOOK, next_look, cast) else redis.call('ZREM', LOOK, cast) end
  if c.started then return place_due(cast, c) end
  local is = queue_member(cast, c)
  if is ~= was then redis.call('ZREM', QUEUE, was) end
  redis.call('ZADD', QUEUE, 0, is)
  place_client(c.client)
end

local function forget(cast, c)
  redis.call('HDEL', CASTS, cast)
  redis.call('HDEL', LEFT, cast)
  redis.call('HDEL', EARS, cast)
  redis.call('ZREM', LOOK, cast)
  redis.call('ZREM', DUE, cast)
  redis.call('ZREM', QUEUE, queue_member(cast, c))
  if c.started then
    local running, served = client_state(c.client)
    redis.call('HSET', CLIENTS, c.client, string.format('%d|%d', math.max(running - 1, 0), served))
  end
  place_client(c.client)
end

-- A leased unit becomes pending again, in its old place.
local function return_unit(unit)
  local _, _, ticket = string.find(redis.call('HGET', HELD, unit) or '', '^[^|]*|(.*)$')
  redis.call('HDEL', HELD, unit)
  redis.call('ZREM', RUN, unit)
  if ticket and redis.call('HGET', BOUND, ticket) == unit then redis.call('HDEL', BOUND, ticket) end
  local cast = cast_of(unit)
  local c, _, length = load(cast), planned(unit)
  if not c or not length then return end
  pend(unit, length, c)
  place_due(cast, c)
end
