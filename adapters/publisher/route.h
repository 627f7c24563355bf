/* The way of an event: which command publishes it (WORKERS.md, "Channels", "Classes"). Class, conflation key and end of a
 * prompt are the relay's own, by its decoder: relay/event.h. */
#ifndef PUBLISHER_ROUTE_H
#define PUBLISHER_ROUTE_H

#include "adapters/publisher/post.h"

struct route {
    const char *prefix; /* borrowed */
    uint64_t session_ttl_ms;
    uint64_t session_log_events;
};

/* The post for an envelope, for the caller to own; *post is NULL for an event that is for nobody. 0, -EINVAL (and *why,
 * in words) or -ENOMEM. */
int route_event(const struct route *r, struct span envelope, struct post **post, const char **why)
    __attribute__((warn_unused_result));

/* For a message to all. NULL: no memory. */
struct post *route_to_all(const struct route *r, struct span message);
/* Another life for what Redis holds of a session: its log, its newest conflated events. NULL: no memory. */
struct post *route_renewal(const struct route *r, struct span sid, const char *suffix);

#endif
