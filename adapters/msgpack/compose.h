/* The events that the relay publishes itself: as a worker would (redis-contract.md, "Workers"), and for other relays;
 * and the question whether a stored one ends a prompt. Packed by msgpack-c. */
#ifndef MSGPACK_COMPOSE_H
#define MSGPACK_COMPOSE_H

#include "relay/span.h"

struct composed {
    char *bytes; /* owned by the caller: free() */
    size_t len;
};

/* The execution_error of a prompt whose worker was lost: `node` is a MessagePack value, or empty when none is
 * known. 0, or -ENOMEM: then there is nothing to free. */
int compose_worker_lost(struct span worker, struct span sid, struct span prompt, struct span node,
                        uint64_t unix_ms, struct composed *out) __attribute__((warn_unused_result));

/* The executing with node null that ends it. The same results. */
int compose_end(struct span sid, struct span prompt, struct composed *out)
    __attribute__((warn_unused_result));

/* What one relay, by its name, tells the others on a session's channel: it has the session's newest socket; the page of a
 * socket has gone. Either was opened then, by Redis' clock. The same results. */
int compose_takeover(struct span name, uint64_t opened_ms, struct composed *out)
    __attribute__((warn_unused_result));
int compose_left(struct span name, uint64_t opened_ms, struct composed *out)
    __attribute__((warn_unused_result));

/* True when an event, as it stands in a session's log, ends this prompt (its id as text). A malformed one
 * ends nothing. */
bool compose_log_entry_ends(struct span event, struct span prompt);

#endif
