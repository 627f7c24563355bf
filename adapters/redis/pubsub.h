/* What a subscribed connection receives, as it comes: RESP2 arrays.
 *
 *     ["message", channel, payload]
 *     ["subscribe", channel, count]
 *     ["pong", payload]
 *
 * Nothing is allocated for a message, and its payload is not copied: it is handed over out of the buffer of
 * hiredis' reader, the moment it is complete. */
#ifndef REDIS_PUBSUB_H
#define REDIS_PUBSUB_H

#include <hiredis/hiredis.h>

#include "relay/span.h"

#define PUBSUB_CHANNEL_MAX 512 /* the bytes of the longest channel that can be one of ours */

/* Whom it tells; embedded by the owner. Spans are borrowed for the call, from which the parser must not be
 * called. */
struct pubsub_user {
    void (*on_message)(struct pubsub_user *self, struct span channel, struct span payload);
    void (*on_subscribed)(struct pubsub_user *self, struct span channel);
    /* A PING has been answered, with its payload. */
    void (*on_pong)(struct pubsub_user *self, struct span payload);
    /* Redis has refused a command. */
    void (*on_error)(struct pubsub_user *self, struct span text);
};

enum pubsub_kind { PUBSUB_OTHER, PUBSUB_MESSAGE, PUBSUB_SUBSCRIBE, PUBSUB_PONG };

struct pubsub {
    struct pubsub_user *user;
    redisReader *reader;   /* owned; NULL: not open */
    enum pubsub_kind kind; /* of the array that is being read */
    bool has_grown;        /* the reader's buffer holds, or held, a giant */
    size_t channel_len;
    uint8_t channel[PUBSUB_CHANNEL_MAX];
};

/* For a new connection. 0 or -ENOMEM. */
int pubsub_open(struct pubsub *p, struct pubsub_user *user) __attribute__((warn_unused_result));
void pubsub_close(struct pubsub *p);

/* Reads what came from the connection. 0, -EPROTO when it is no Redis protocol, or -ENOMEM. */
int pubsub_feed(struct pubsub *p, struct span bytes) __attribute__((warn_unused_result));

#endif
