-- Stands before every script. TIME is the server's, so that no other clock matters.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A log's meta hash as a list, in the order of store.STATUS_FIELDS, then now and the remaining time to live.
local function status(meta)
  local m = redis.call('HMGET', meta, 'epoch', 'lane', 'class', 'state', 'closed', 'total', 'wm', 'seq',
    'skipped', 'audio_ms', 'gen_ms', 'created', 'first')
  m[#m + 1] = now_ms()
  m[#m + 1] = redis.call('PTTL', meta)
  return m
end

-- A record as one string: epoch, seq, type, length of the headers, then headers and body as they are.
local function pack(epoch, seq, kind, headers, body)
  return string.format('%s %d %s %d ', epoch, seq, kind, #headers) .. headers .. body
end

-- The explicit id makes a second append of one seq an error, whoever tries it. Followers are sent what was appended.
local function append(log, seq, kind, headers, body, bell, epoch)
  redis.call('XADD', log, (seq + 1) .. '-0', 'e', kind, 'h', headers, 'b', body)
  if bell then redis.call('PUBLISH', bell, pack(epoch, seq, kind, headers, body)) end
end

-- `eos` and the end of a log. log: epoch seq units skipped audio_ms gen_ms; the caller stores seq + 1.
local function finish(keys, log, bell)
  local epoch, seq, units, skipped, audio_ms, gen_ms = unpack(log)
  local xrt = gen_ms > 0 and audio_ms / gen_ms or 0
  append(keys[2], seq, 'eos', string.format('{"units":%d,"skipped":%d,"audio_ms":%d,"gen_ms":%d,"xrt":%.3f}',
    units, skipped, audio_ms, gen_ms, xrt), '', bell, epoch)
  redis.call('HSET', keys[1], 'state', 'done')
  redis.call('DEL', keys[4])
end

-- A log lives for its retention from now on. Meta goes first: a log without meta is no log.
local function keep(keys, ttl)
  redis.call('PEXPIRE', keys[1], ttl)
  redis.call('PEXPIRE', keys[2], ttl + 60000)
  redis.call('PEXPIRE', keys[4], ttl + 60000)
end
