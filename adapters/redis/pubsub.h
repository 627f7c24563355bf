/* What a subscribed connection receives, as it comes: RESP2, of which these arrays mean something.
 *
 *     ["message", channel, payload]
 *     ["subscribe", channel, count]
 *     ["pong", payload]
 *
 * It is read where it stands: a message that has come whole in one step, all else token by token, of which each is a header
 * line, of a bulk string with the bytes that follow.
 * Nothing is allocated for a message, and its payload is not copied, but for the one token that a read has cut:
 *
 *     read   | ...token | token | tok          held, until as much has come as it needs
 *                                     en | token | ...
 *
 * Source: the protocol's specification (redis.io/docs/latest/develop/reference/protocol-spec). */
#ifndef REDIS_PUBSUB_H
#define REDIS_PUBSUB_H

#include "relay/span.h"

#define PUBSUB_CHANNEL_MAX 512  /* the bytes of the longest channel that can be one of ours */
#define PUBSUB_LINE_MAX    4096 /* of the longest line, which is an error's text */

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
    struct pubsub_user *user; /* borrowed */
    uint8_t *held;            /* owned; a token's beginning; or NULL */
    size_t held_len, held_cap;
    size_t needed;         /* while held_len is not 0: bytes of that token, as far as they can be told */
    enum pubsub_kind kind; /* of the array that is being read */
    uint32_t index;        /* of its next element */
    uint32_t left;         /* elements of it that are still to come */
    uint64_t nested;       /* tokens of the last of them, an array, that are still to come */
    size_t channel_len;
    uint8_t channel[PUBSUB_CHANNEL_MAX];
};

/* For a new connection. */
void pubsub_init(struct pubsub *p, struct pubsub_user *user);
void pubsub_deinit(struct pubsub *p); /* also of one that is all zero, or twice */

/* Reads what came from the connection. 0, -EPROTO when it is no Redis protocol, or -ENOMEM. */
int pubsub_feed(struct pubsub *p, struct span bytes) __attribute__((warn_unused_result));

#endif
