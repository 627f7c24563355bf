/* The envelope of an event: everything of it but its data (redis-contract.md, "The event"). */
#ifndef MSGPACK_ENVELOPE_H
#define MSGPACK_ENVELOPE_H

#include "relay/event.h"
#include "relay/metrics.h"

/* codec.decode of relay/ports.h. Where `data` is the last key, as it should be, its bytes are not looked at.
 * Of several equal keys the last one counts. The first reason that holds of: the envelope is not well-formed;
 * no or a bad type; a bad sid; a bad value of another key. */
enum drop_reason envelope_decode(struct span message, struct span channel_sid, struct event *event)
    __attribute__((warn_unused_result));

#endif
