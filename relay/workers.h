/* The workers: their shares of the queue, whether they live, what they execute.
 *
 * Two processes with one id are seen by their boots: a boot that was there before comes again, and no restart brings
 * it back. Then nobody is lost, and the newest heartbeat counts, so their share is now one's, now the other's. The
 * first change from one to the other cannot be told from a restart: it ends the prompt of the one, here, and again at
 * a relay that starts later. */
#ifndef RELAY_WORKERS_H
#define RELAY_WORKERS_H

#include "relay/span.h"

#define WORKERS_MAX       4096
#define WORKERS_SHARE_MAX (INT64_MAX / WORKERS_MAX) /* so that no sum overflows */
#define WORKER_BOOTS      16 /* known from before: so many processes more may share an id */

/* What a worker says of itself (redis-contract.md, Workers). The spans are of whoever decoded it. */
struct heartbeat {
    struct span boot;
    struct span sid;    /* empty: none, or not a valid sid */
    struct span prompt; /* the id as text; empty: none */
    int64_t queue_remaining;
    int64_t at_ms; /* the worker's own clock */
    bool is_gone;
};

/* A text of its own, short and owned. */
struct worker_text {
    uint8_t *bytes;
    size_t len;
};

struct worker {
    uint64_t hash;         /* of the id */
    struct worker_text id; /* empty: the worker without a name */
    struct worker_text boot;
    uint64_t boots[WORKER_BOOTS]; /* hashes of those before it, 0: none */
    struct worker_text sid;
    struct worker_text prompt; /* empty: none, or it was seen to end */
    struct worker_text ended;  /* the prompt that was seen to end last: a late heartbeat may still name it */
    int64_t share;
    int64_t at_ms;
    uint64_t seen_ms;
    bool is_watched; /* it has sent a heartbeat, so its silence means that it is lost */
    bool is_doubled; /* another process has its id: a goodbye may be the other's */
};

static inline struct span worker_span(struct worker_text t)
{
    return span_of(t.bytes, t.len);
}

struct workers {
    struct worker *items; /* owned, in order of their hashes */
    size_t count, cap;
    uint64_t seen_from_ms; /* no watched one was seen last before it; UINT64_MAX: none is watched */
    int64_t sum;           /* of the shares */
    uint64_t seed[2];
};

enum worker_end {
    WORKER_SILENT, /* for too long */
    WORKER_RESTARTED,
    WORKER_LEFT, /* in good order, but in the middle of a prompt: nobody else will end it */
};

/* Told before its entry changes. */
struct workers_listener {
    void (*on_lost)(struct workers_listener *self, const struct worker *w, enum worker_end how);
    /* Another process has its id, and has just been heard. */
    void (*on_doubled)(struct workers_listener *self, const struct worker *w);
};

void workers_init(struct workers *ws, const uint64_t seed[2]);
void workers_deinit(struct workers *ws);
/* The memory that they take. */
size_t workers_bytes(const struct workers *ws);

/* A sign of life of a known worker; an unknown one is of no interest. */
void workers_saw(struct workers *ws, struct span id, uint64_t now_ms);
/* No silence so far counts: nobody could be heard. */
void workers_pardon(struct workers *ws, uint64_t now_ms);
/* A worker's share, WORKERS_SHARE_MAX at most. 0, or when it is new: -ENOMEM, or -ENOBUFS: there are WORKERS_MAX. */
int workers_share(struct workers *ws, struct span id, int64_t share, uint64_t now_ms)
    __attribute__((warn_unused_result));
/* A heartbeat, or a goodbye. The listener is told first when the boot is another than before, and when it leaves in the
 * middle of a prompt. 0, -ENOMEM or -ENOBUFS. */
int workers_heartbeat(struct workers *ws, struct span id, const struct heartbeat *h, uint64_t now_ms,
                      struct workers_listener *l) __attribute__((warn_unused_result));
/* The same, read from Redis: it counts only when no newer one has been heard. */
int workers_entry(struct workers *ws, struct span id, const struct heartbeat *h, uint64_t now_ms,
                  struct workers_listener *l) __attribute__((warn_unused_result));
/* This prompt has ended: `id` (empty: not known who) said so, and others may have named it too. */
void workers_prompt_ended(struct workers *ws, struct span id, struct span prompt);
/* Removes those that are silent for timeout_ms, telling the listener. */
void workers_expire(struct workers *ws, uint64_t now_ms, uint64_t timeout_ms, struct workers_listener *l);
/* Nobody can be lost before that time: workers_expire() should be called then. UINT64_MAX: never. */
uint64_t workers_next_ms(const struct workers *ws, uint64_t timeout_ms);

#endif
