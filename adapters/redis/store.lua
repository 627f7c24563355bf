-- Stores how far a session's client has got, and lets its relay have it for longer; not when it is another relay's by now.
-- Redis 6.2 or newer, or Valkey.
--
--   EVALSHA <hash> 2 comfy:sid:{S}:ack comfy:sid:{S}:owner  NAME ID TTL_MS
--
--   KEYS[1]  how far the client has got     ARGV[1]  the name of the relay that stores
--   KEYS[2]  whose the session is           ARGV[2]  the id of the last event that has reached the client
--            (claim.lua)                    ARGV[3]  session.ttl, in milliseconds
--
-- Answers what the first key held, nil for nothing, and 0 when nothing is stored.

local ack, owner = KEYS[1], KEYS[2]
local name, id, ttl = unpack(ARGV)

local function name_in(value)
  local other, at = string.match(value, '^([0-9a-f]+) (%d+)$')
  return other and #other == 16 and #at <= 15 and other
end

local value = redis.pcall('GET', owner)
local other = type(value) == 'string' and name_in(value)
if other and other ~= name then
  return 0
end
local before = redis.pcall('GET', ack)
redis.call('SET', ack, id, 'PX', ttl)
if other then
  redis.call('PEXPIRE', owner, ttl)
end
if type(before) == 'table' then -- of another type: replaced
  return before.err
end
return before
