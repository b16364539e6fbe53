-- HEAR: somebody listens to a cast at a position of its audio, or does not any more.
-- ARGV cast ear position_ms ttl_ms renew?  (position_ms -1: has paused or left)
local cast, ear, position, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms()
local c = load(cast)
if not c then return 0 end
local ears, _, _, count = ears_of(cast, now)
ears['-'] = nil -- whoever was expected is here, or has said that he is not
if position < 0 then
  ears[ear] = nil
elseif ARGV[5] == '1' and ears[ear] then
  ears[ear][2] = now + ARGV[4]
else
  if count >= 64 and not ears[ear] then ear = '*' end -- the rest of a crowd is one
  local anchor = now - position - c.late
  local head = ARGV[5] == '1' and first_pending(cast, 1)[1]
  if head then anchor = math.max(anchor, now - c.late - c.shift - planned(unit_of(head))) end
  if ear == '*' and ears[ear] then anchor = math.min(anchor, ears[ear][1]) end
  ears[ear] = { anchor, now + ARGV[4] }
end
keep_ears(cast, ears)
refresh(cast, c, now)
return 1
