-- Claims a session for the relay with its newest socket, and tells all who listen to it; not when another relay has a newer
-- one. Relays know the clock of Redis to a few milliseconds: of two that were opened within ten, the one that is claimed
-- later counts as newer, and is made so. Redis 6.2 or newer, or Valkey.
--
--   EVALSHA <hash> 1 comfy:sid:{S}:owner  NAME OPENED TTL_MS comfy:sid:{S} MESSAGE
--
--   KEYS[1]  whose the session is: a relay's name, a     ARGV[1]  the name of the relay that claims
--            space, and when its newest socket was       ARGV[2]  when its newest socket was opened
--            opened, in ms of the clock of Redis         ARGV[3]  session.ttl, in milliseconds
--                                                        ARGV[4]  the session's channel
--                                                        ARGV[5]  what is told there: a relay.takeover, which ends
--                                                                 with the time as 8 bytes
--
-- Answers what the key held, nil for nothing; 1 when the claim is refused, else 0; what became of storing it; and when the
-- socket counts as opened. A claim that cannot be stored (no memory left, a disk or replicas that are wanting) is told all
-- the same.

local skew = 10 -- RELAY_SKEW_MS of relay/core.h
local owner = KEYS[1]
local name, opened, ttl, channel, message = unpack(ARGV)

-- When the newest socket of another relay was opened. A time that is still to come tells nothing: the clock was set back.
local function opened_elsewhere(value)
  local other, at = string.match(value, '^([0-9a-f]+) (%d+)$')
  if not other or #other ~= 16 or #at > 15 or other == name then
    return nil
  end
  local now = redis.pcall('TIME')
  if not now.err and tonumber(at) > tonumber(now[1]) * 1000 + tonumber(now[2]) / 1000 + 1000 then
    return nil
  end
  return tonumber(at)
end

local before = redis.pcall('GET', owner)
local theirs = type(before) == 'string' and opened_elsewhere(before)
if theirs and theirs >= tonumber(opened) then
  if theirs > tonumber(opened) + skew then
    return {before, 1}
  end
  opened = string.format('%d', theirs + 1)
  message = string.sub(message, 1, -9) .. struct.pack('>I8', theirs + 1)
end
local stored = redis.pcall('SET', owner, name .. ' ' .. opened, 'PX', ttl)
redis.call('PUBLISH', channel, message)
return {before, 0, stored, opened}
