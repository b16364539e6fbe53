-- STATUS: where a log stands, read at one instant.
-- KEYS meta
return status(KEYS[1])
