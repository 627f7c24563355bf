/* What Redis answers about a session and does not belong there: errors, keys of another type, malformed values. Each
 * is stepped over; they are counted, and told at a bounded rate. */
#ifndef REDIS_ODDITIES_H
#define REDIS_ODDITIES_H

#include <hiredis/hiredis.h>
#include <uv.h>

#include "adapters/process/logger.h"
#include "relay/relay.h"

struct oddities {
    struct relay *relay;   /* borrowed; its metrics count them */
    struct logger *logger; /* borrowed */
    uv_loop_t *loop;       /* borrowed */
    struct log_limit log_limit;
};

/* `relay` may be set later, before the first one. */
void oddities_init(struct oddities *o, uv_loop_t *loop, struct logger *logger);

/* `what` was not done or not understood; `reply` says why where it is an error. `sid`: empty when it is not known. */
void oddities_note(struct oddities *o, const char *what, struct span sid, const redisReply *reply);

#endif
