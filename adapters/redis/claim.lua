-- Claims a session for the relay with its newest socket, and tells all who listen to it; not when another relay has a newer
-- one. Of two that were opened at once, the one at the relay with the greater name counts as newer. Redis 6.2 or newer, or
-- Valkey.
--
--   EVALSHA <hash> 1 comfy:sid:{S}:owner  NAME OPENED TTL_MS comfy:sid:{S} MESSAGE
--
--   KEYS[1]  whose the session is: a relay's name, a     ARGV[1]  the name of the relay that claims
--            space, and when its newest socket was       ARGV[2]  when its newest socket was opened
--            opened, in ms of the clock of Redis         ARGV[3]  session.ttl, in milliseconds
--                                                        ARGV[4]  the session's channel
--                                                        ARGV[5]  what is told there
--
-- Answers what the key held, nil for nothing; 1 when the claim is refused, else 0; and what became of storing it. A claim
-- that cannot be stored (no memory left, a disk or replicas that are wanting) is told all the same.

local owner = KEYS[1]
local name, opened, ttl, channel, message = unpack(ARGV)

local function is_newer(value)
  local other, at = string.match(value, '^([0-9a-f]+) (%d+)$')
  if not other or #other ~= 16 or #at > 15 or other == name then
    return false
  end
  local difference = tonumber(at) - tonumber(opened)
  return difference > 0 or (difference == 0 and other > name)
end

local before = redis.pcall('GET', owner)
if type(before) == 'string' and is_newer(before) then
  return {before, 1}
end
local stored = redis.pcall('SET', owner, name .. ' ' .. opened, 'PX', ttl)
redis.call('PUBLISH', channel, message)
return {before, 0, stored}
