/* The workers: their shares of the queue, whether they live, what they execute. */
#ifndef RELAY_WORKERS_H
#define RELAY_WORKERS_H

#include "relay/span.h"

/* What a worker says of itself (redis-contract.md, Workers). Spans of whoever decoded it. */
struct heartbeat {
    struct span boot;
    struct span sid;    /* empty: none, or not a valid sid */
    struct span prompt; /* the id as text; empty: none */
    int64_t queue_remaining;
    bool is_gone;
};

struct worker {
    struct worker *next;
    int64_t share;
    uint64_t seen_ms;
    char *boot;   /* owned; NULL: it has sent no heartbeat */
    char *sid;    /* owned; NULL: none */
    char *prompt; /* owned; NULL: none, or seen to end */
    char *id;     /* owned; "" is the worker without a name */
    bool is_watched; /* it has sent a heartbeat, so its silence means that it is lost */
};

struct workers {
    struct worker *first;
    size_t count;
    int64_t sum; /* of the shares */
};

/* Told of a worker that is lost: silent for too long, or started again. Called before its entry changes. */
struct workers_listener {
    void (*on_lost)(struct workers_listener *self, const struct worker *w, bool is_restart);
};

void workers_init(struct workers *ws);
void workers_deinit(struct workers *ws);

/* A sign of life from a known worker; an unknown one is of no interest. */
void workers_saw(struct workers *ws, struct span id, uint64_t now_ms);
/* A worker's share. -ENOMEM when it is new and there is no memory. */
int workers_share(struct workers *ws, struct span id, int64_t share, uint64_t now_ms)
    __attribute__((warn_unused_result));
/* A heartbeat, or its copy read from Redis. Another boot than before: the listener is told. */
int workers_heartbeat(struct workers *ws, struct span id, const struct heartbeat *h, uint64_t now_ms,
                      struct workers_listener *l) __attribute__((warn_unused_result));
/* This prompt has ended, whoever ran it. */
void workers_prompt_ended(struct workers *ws, struct span prompt);
/* Removes those that are silent for timeout_ms, telling the listener. */
void workers_expire(struct workers *ws, uint64_t now_ms, uint64_t timeout_ms, struct workers_listener *l);
/* When workers_expire would next have something to do; UINT64_MAX: never. */
uint64_t workers_next_ms(const struct workers *ws, uint64_t timeout_ms);

#endif
