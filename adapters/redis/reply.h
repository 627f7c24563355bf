/* What is in the replies of Redis, looked at with care: a key may hold anything. */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include <hiredis/hiredis.h>

#include "relay/reading.h"

/* The bytes of a string; empty when it is none. */
struct span reply_bytes(const redisReply *reply);

/* An entry of a stream is [id, [field, value, …]]. Its id; false: there is none. */
bool reply_entry_id(const redisReply *entry, struct stream_id *id);
/* Its event is the value of the field e; empty: there is none. */
struct span reply_entry_event(const redisReply *entry);

#endif
