-- Claims a session for a relay, and tells all who listen to it; not when another relay has a socket of it that was
-- opened later. Redis 6.2 or newer, or Valkey.
--
--   EVALSHA <hash> 1 comfy:sid:{S}:owner  NAME AGE_MS TTL_MS comfy:sid:{S} MESSAGE
--
--   KEYS[1]  whose the session is: a relay's name, a     ARGV[1]  the name of the relay that claims
--            space, and when its newest socket was       ARGV[2]  how long ago its newest socket was opened
--            opened, in ms of the clock of Redis         ARGV[3]  session.ttl, in milliseconds
--                                                        ARGV[4]  the session's channel
--                                                        ARGV[5]  what is told there
--
-- Answers what the key held, nil for nothing; 1 when the claim is refused, else 0; and what became of storing it. A claim
-- that cannot be stored (no memory left, a disk or replicas that are wanting) is told all the same.

local owner = KEYS[1]
local name, age, ttl, channel, message = unpack(ARGV)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local opened = math.max(now - age, 0)

-- A time to come is of a clock that was set back since, and says nothing.
local function is_newer(value)
  local other, at = string.match(value, '^(%x+) (%d+)$')
  if not other or #other ~= 16 or #at > 15 or other == name then
    return false
  end
  return tonumber(at) > opened and tonumber(at) <= now
end

local before = redis.pcall('GET', owner)
if type(before) == 'string' and is_newer(before) then
  return {before, 1}
end
local stored = redis.pcall('SET', owner, string.format('%s %.0f', name, opened), 'PX', ttl)
redis.call('PUBLISH', channel, message)
return {before, 0, stored}
