/* What is kept in Redis of workers: their entries are read, and what a lost one leaves behind is put in
 * order. */
#ifndef REDIS_REGISTRY_H
#define REDIS_REGISTRY_H

#include "adapters/redis/loss.h"
#include "relay/relay.h"

#define REGISTRY_LOSSES_MAX 1024 /* lost workers that wait for Redis */

struct worker_registry {
    struct registry port; /* of the core */
    struct loss_context context;
    struct loss_user loss_user;
    struct relay *relay; /* borrowed; NULL before registry_open() */
    struct loss *losses; /* owned */
    size_t loss_count;
    struct log_limit log_limit; /* of the lines that tell of a lost worker; how it ends has its own */
    struct command read;
    bool is_reading;
};

/* All pointers are borrowed for its life. */
void registry_init(struct worker_registry *r, struct commands *commands, const struct options *options,
                   struct logger *logger);
void registry_open(struct worker_registry *r, struct relay *relay);
/* After commands_close(). */
void registry_deinit(struct worker_registry *r);

/* Reads every entry and gives it to the core. No effect without a connection. */
void registry_read(struct worker_registry *r);
/* The connection is back: goes on with what was interrupted. */
void registry_go_on(struct worker_registry *r);

#endif
