-- EXPECT: a log that must come to an end is looked at some time from now.
-- ARGV job check_in_ms
return redis.call('ZADD', EXPECTED, 'NX', now_ms() + ARGV[2], ARGV[1])
