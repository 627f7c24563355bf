/* A worker's pulse: what it says of itself every few seconds, and when it goes (WORKERS.md, "Queue and liveness"). */
#ifndef PUBLISHER_PULSE_H
#define PUBLISHER_PULSE_H

#include "adapters/publisher/backlog.h"
#include "adapters/publisher/route.h"

#define PULSE_BOOT_BYTES 33 /* 32 hexadecimal digits, new at each start */

struct pulse {
    const struct route *route; /* borrowed */
    const char *worker;        /* borrowed */
    char boot[PULSE_BOOT_BYTES];
    uint64_t queue_remaining;
    char *sid;    /* owned; NULL: none */
    char *prompt; /* owned; NULL: none */
    bool beats;   /* it has said what it does */
    uint64_t due_ms;
};

/* 0, or -EIO: there are no random numbers. */
int pulse_init(struct pulse *p, const struct route *route, const char *worker)
    __attribute__((warn_unused_result));
void pulse_deinit(struct pulse *p);

/* What the worker does from now on. Copied. -ENOMEM: it stays as it was. */
int pulse_set(struct pulse *p, uint64_t queue_remaining, const char *sid, const char *prompt)
    __attribute__((warn_unused_result));

/* Adds a heartbeat: stored, then published, then what it renews. -ENOMEM: nothing was added. */
int pulse_beat(struct pulse *p, struct backlog *b, uint64_t unix_ms) __attribute__((warn_unused_result));
/* Adds the goodbye. The same results. */
int pulse_goodbye(const struct pulse *p, struct backlog *b) __attribute__((warn_unused_result));

#endif
