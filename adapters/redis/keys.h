/* The names of channels and keys, with `comfy` for the configured prefix:
 *
 *     comfy:events          comfy:sid:{S}
 *     comfy:workers         comfy:sid:{S}:log
 *     comfy:lost:<prompt>   comfy:sid:{S}:latest
 *                           comfy:sid:{S}:ack
 *                           comfy:sid:{S}:owner
 *
 * The braces are literal: they keep a session's keys on one slot of a cluster. */
#ifndef REDIS_KEYS_H
#define REDIS_KEYS_H

#include "relay/span.h"

#define KEY_PREFIX_MAX 128 /* bytes of a prefix; with them every session's keys fit in a struct key */
#define KEY_MAX        512

struct key {
    size_t len;
    uint8_t bytes[KEY_MAX];
};

static inline struct span key_span(const struct key *k)
{
    return span_of(k->bytes, k->len);
}

/* prefix:name, as in comfy:events. */
void key_common(struct key *k, const char *prefix, const char *name);
/* prefix:sid:{ - the beginning of every session's channel and keys. */
void key_session_head(struct key *k, const char *prefix);
/* prefix:sid:{S} and a suffix: "" for the channel, ":log", ":latest", ":ack", ":owner". The sid has at most SID_MAX_BYTES. */
void key_session(struct key *k, const char *prefix, struct span sid, const char *suffix);
/* prefix:lost:<prompt>. -ENAMETOOLONG when the prompt's id is longer than there is room. */
int key_lost(struct key *k, const char *prefix, struct span prompt) __attribute__((warn_unused_result));

/* The sid of a session's channel, in its bytes; empty when it is none. `head` is what key_session_head()
 * made. */
struct span key_sid(const struct key *head, struct span channel);

#endif
