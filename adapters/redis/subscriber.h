/* The connection that subscribes: to comfy:events, and to the channel of every session that is held here.
 *
 *     up ──▶ SUBSCRIBE events, and all that relay_link_up() asks for ──▶ every one confirmed: ready
 *
 * A mark is a PING: what was published before it is sent has been received when it comes back.
 *
 * What is asked for within one turn of the loop goes out together at its end. Messages go to the core as they
 * are read; the sockets are written to once for each read. */
#ifndef REDIS_SUBSCRIBER_H
#define REDIS_SUBSCRIBER_H

#include "adapters/redis/batch.h"
#include "adapters/redis/keys.h"
#include "adapters/redis/link.h"
#include "adapters/redis/pubsub.h"
#include "adapters/redis/question.h"
#include "relay/relay.h"

struct subscriber_user {
    void (*on_ready)(struct subscriber_user *self);
    /* This mark is back, and so are all before it; UINT64_MAX: none will come any more. */
    void (*on_mark)(struct subscriber_user *self, uint64_t mark);
    void (*on_closed)(struct subscriber_user *self);
};

struct subscriber {
    struct channels channels; /* the port of the core */
    struct marker marker;     /* and that of the archive: on_mark follows */
    struct subscriber_user *user;
    struct relay *relay; /* borrowed; NULL before subscriber_open() */
    const char *prefix;
    struct link link;
    struct link_user link_user;
    struct pubsub pubsub;
    struct pubsub_user pubsub_user;
    uv_prepare_t flush; /* active while the batch holds something */
    struct batch batch;
    struct key events;
    struct key session_head;
    struct log_limit drop_limit;
    uint64_t mark;      /* the newest; those of a connection that was lost do not come back */
    uint64_t asked;     /* channels since the connection is up */
    uint64_t confirmed; /* of them */
    uint64_t due;       /* confirmations that make it ready */
    bool has_mark;      /* it goes out at the end of the turn */
    bool is_ready;
    bool was_ready; /* at least once */
    int open_handles;
};

/* All pointers are borrowed for its life. The prefix has at most KEY_PREFIX_MAX bytes. */
void subscriber_init(struct subscriber *s, const struct link_config *config, const char *prefix,
                     struct subscriber_user *user);
void subscriber_open(struct subscriber *s, struct relay *relay);
/* on_closed follows, and then its memory is the owner's again. */
void subscriber_close(struct subscriber *s);

#endif
