/* What Redis keeps of sessions, in memory: streams, conflated events, places, owners (redis-contract.md). It delivers
 * nothing. Nothing here allocates, and texts that it gave out stay valid until memory_redis_init(). */
#ifndef TESTS_MEMORY_REDIS_H
#define TESTS_MEMORY_REDIS_H

#include "relay/core.h"
#include "tests/support/line_codec.h"

#define MEMORY_SESSIONS_MAX 16
#define MEMORY_ENTRIES_MAX  512
#define MEMORY_LATEST_MAX   16
#define MEMORY_TEXT_MAX     (1 << 18)

struct memory_session {
    char sid[16];
    size_t count, latest_count;
    struct archived log[MEMORY_ENTRIES_MAX]; /* oldest first */
    uint64_t latest_keys[MEMORY_LATEST_MAX];
    struct span latest[MEMORY_LATEST_MAX];
    struct stream_id last; /* of all that were ever added */
    bool has_ack;
    struct stream_id ack;
    char owner[32];     /* "": nobody */
    uint64_t opened_ms; /* of its newest socket */
};

struct memory_redis {
    struct line_codec codec;
    size_t count; /* of sessions */
    struct memory_session sessions[MEMORY_SESSIONS_MAX];
    uint64_t next_ms; /* of the next entry's id */
    size_t entries;   /* that a log holds at most */
    size_t used;
    char text[MEMORY_TEXT_MAX];
};

void memory_redis_init(struct memory_redis *m);
/* FLUSHALL. Ids go on from next_ms. */
void memory_redis_flush(struct memory_redis *m);

struct memory_session *memory_redis_session(struct memory_redis *m, struct span sid);

/* What the publish script does with an event: true when it was added to the log, and its id. *copy is what is kept. */
bool memory_redis_publish(struct memory_redis *m, struct span sid, struct span event, struct span *copy,
                          struct stream_id *id);
/* Leaves the newest entries only. */
void memory_redis_trim(struct memory_session *s, size_t entries);

/* XREVRANGE and XRANGE: at most max entries into out. Returns how many; *is_last: there is no more. */
size_t memory_redis_back(const struct memory_session *s, struct stream_id before, struct archived *out,
                         size_t max, bool *is_last);
size_t memory_redis_on(const struct memory_session *s, struct stream_id from, struct archived *out,
                       size_t max, bool *is_last);

/* Before a reading: whose it is; with a claim it is `name`'s from now on, unless another has a newer socket: then
 * *is_refused. *opened_ms becomes when the socket counts as opened (claim.lua). */
enum owner memory_redis_join(struct memory_session *s, enum join join, struct span name, uint64_t *opened_ms,
                             bool *is_refused);
/* Stores a place, unless the session is another's. False when one that `is_again` was not there any more. */
bool memory_redis_store(struct memory_session *s, struct span name, struct stream_id ack, bool is_again);
/* Forgets it, unless another has a newer socket. */
void memory_redis_forget(struct memory_session *s, struct span name, uint64_t opened_ms, bool share);

#endif
