-- Publishes one event of a session so that it outlives a connection: into the session's log, or as the newest of its
-- kind, and to whoever listens. Nothing comes between its steps; Redis 6.2 or newer, or Valkey.
--
--   EVAL <this text> 2 comfy:sid:{S}:log comfy:sid:{S}:latest  comfy:sid:{S} EVENT TTL_MS LOG_EVENTS KEY ENDS
--
--   KEYS[1]  the session's log, a stream              ARGV[1]  the session's channel
--   KEYS[2]  its newest conflated events, a hash      ARGV[2]  the event, a MessagePack map
--                                                     ARGV[3]  session.ttl, in milliseconds
--                                                     ARGV[4]  about how many events the log holds
--                                                     ARGV[5]  class latest: the conflation key, in any form that
--                                                              tells two of them apart; class keep: empty
--                                                     ARGV[6]  "1" when the event ends its prompt, else "0"
--
-- Both keys live for another ttl. Answers the event's id in the log, or an empty string for class latest. When the
-- event cannot be stored (no memory left, a key of another type, a disk or replicas that are wanting) it is published
-- all the same, and the answer is Redis' error. But on a replica (READONLY) nothing is done: its master's subscribers would
-- not hear of it.

local log, latest = KEYS[1], KEYS[2]
local channel, event, ttl, log_events, key, ends = unpack(ARGV)

-- An id as a MessagePack str: fixstr up to 31 bytes, else str8.
local function as_str(id)
  if #id < 32 then
    return string.char(0xa0 + #id) .. id
  end
  return string.char(0xd9, #id) .. id
end

local function failed(reply)
  return type(reply) == 'table' and reply.err
end

local message, answer = event, ''
if key == '' then
  answer = redis.pcall('XADD', log, 'MAXLEN', '~', log_events, '*', 'e', event)
  if not failed(answer) then
    message = as_str(answer) .. event
  end
else
  local stored = redis.pcall('HSET', latest, key, event)
  if failed(stored) then
    answer = stored
  end
end
if failed(answer) and string.find(answer.err, 'READONLY', 1, true) then
  return answer
end
if ends == '1' then
  redis.pcall('DEL', latest)
end
redis.pcall('PEXPIRE', log, ttl)
redis.pcall('PEXPIRE', latest, ttl)
redis.call('PUBLISH', channel, message)
return answer
