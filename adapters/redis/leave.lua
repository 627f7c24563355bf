-- The page of a socket has gone: how far it had got is forgotten, unless another relay has a socket of the session that was
-- opened later; whoever listens is told in any case. Redis 6.2 or newer, or Valkey.
--
--   EVAL <this text> 2 comfy:sid:{S}:ack comfy:sid:{S}:owner  NAME AGE_MS comfy:sid:{S} MESSAGE
--
--   KEYS[1]  how far the client has got     ARGV[1]  the name of the relay that had the socket
--   KEYS[2]  whose the session is           ARGV[2]  how long ago the socket was opened, in milliseconds
--            (claim.lua)                    ARGV[3]  the session's channel
--                                           ARGV[4]  what is told there
--
-- Answers how many were told, or Redis' error.

local ack, owner = KEYS[1], KEYS[2]
local name, age, channel, message = unpack(ARGV)

local time = redis.call('TIME')
local opened = time[1] * 1000 + math.floor(time[2] / 1000) - age

local function is_newer(value)
  local other, at = string.match(value, '^(%x+) (%d+)$')
  return other and #other == 16 and #at <= 15 and other ~= name and tonumber(at) > opened
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
