-- The page of a socket has gone: how far it had got is forgotten, unless another relay has a newer socket of the session
-- (claim.lua); whoever listens is told in any case. Redis 6.2 or newer, or Valkey.
--
--   EVAL <this text> 2 comfy:sid:{S}:ack comfy:sid:{S}:owner  NAME OPENED comfy:sid:{S} MESSAGE
--
--   KEYS[1]  how far the client has got     ARGV[1]  the name of the relay that had the socket
--   KEYS[2]  whose the session is           ARGV[2]  when the socket was opened, in ms of the clock of Redis
--            (claim.lua)                    ARGV[3]  the session's channel
--                                           ARGV[4]  what is told there
--
-- Answers how many were told, or Redis' error.

local ack, owner = KEYS[1], KEYS[2]
local name, opened, channel, message = unpack(ARGV)

local function is_newer(value)
  local other, at = string.match(value, '^([0-9a-f]+) (%d+)$')
  if not other or #other ~= 16 or #at > 15 or other == name then
    return false
  end
  local now = redis.pcall('TIME')
  if not now.err and tonumber(at) > tonumber(now[1]) * 1000 + tonumber(now[2]) / 1000 + 1000 then
    return false
  end
  return tonumber(at) > tonumber(opened)
end

local forgotten = 0
local value = redis.pcall('GET', owner)
if type(value) ~= 'string' or not is_newer(value) then
  forgotten = redis.pcall('DEL', ack)
end
local told = redis.call('PUBLISH', channel, message)
if type(forgotten) == 'table' then
  return forgotten
end
return told
