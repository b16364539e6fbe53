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
