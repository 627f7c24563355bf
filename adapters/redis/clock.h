/* What time it is for Redis: relays whose own clocks differ compare times by that one.
 *
 * It is asked when the connection comes up, and now and then. What an answer tells is off by half of the time that it took,
 * at most; a difference that this explains changes nothing, so that a moment stays the same number. */
#ifndef REDIS_CLOCK_H
#define REDIS_CLOCK_H

#include "adapters/redis/commands.h"
#include "adapters/redis/oddities.h"
#include "relay/ports.h"

#define CLOCK_INTERVAL_MS 10000

struct clock {
    struct commands *commands; /* borrowed */
    struct oddities *oddities; /* borrowed */
    struct archive *port;      /* borrowed; its clock is set */
    struct command command;
    uint64_t asked_ms; /* by uv_hrtime() */
    bool is_under_way;
    bool is_current; /* it was answered on this connection */
    void (*on_current)(struct clock *self);
};

void clock_init(struct clock *c, struct commands *commands, struct oddities *oddities, struct archive *port,
                void (*on_current)(struct clock *self));
/* The connection is up: on_current follows. A Redis that does not tell the time has that of this machine. */
void clock_begin(struct clock *c);
/* A time of the loop as one of Redis'. */
uint64_t clock_at(const struct clock *c, uint64_t loop_ms);
/* Asks again when the last answer is of some time ago. */
void clock_keep(struct clock *c);

#endif
