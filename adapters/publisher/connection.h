/* A connection to Redis that never waits: hiredis makes it and reads replies; bytes go by our own hands, for hiredis
 * copies what it writes and lets SIGPIPE come. */
#ifndef PUBLISHER_CONNECTION_H
#define PUBLISHER_CONNECTION_H

#include <hiredis/hiredis.h>
#include <sys/uio.h>

#include "config/redis_url.h"

struct connection {
    redisContext *context; /* owned; NULL: closed */
};

#define CONNECTION_CLOSED ((struct connection){NULL})

/* Begins to connect. 0, or -EIO and `why`, in words: then it is closed. */
int connection_open(struct connection *c, const struct redis_url *url, char *why, size_t why_bytes)
    __attribute__((warn_unused_result));
void connection_close(struct connection *c);

static inline int connection_fd(const struct connection *c)
{
    return c->context ? c->context->fd : -1;
}

/* 1: it stands; 0: not yet; or a negative errno: it will not. */
int connection_is_made(const struct connection *c) __attribute__((warn_unused_result));

/* How many bytes were taken, 0 when none can be at the moment, or a negative errno. */
ssize_t connection_write(struct connection *c, struct iovec *pieces, size_t count)
    __attribute__((warn_unused_result));
/* Takes what has come. The same results; -EPIPE at the end of it. */
ssize_t connection_read(struct connection *c) __attribute__((warn_unused_result));
/* How many bytes that were taken have not reached the other side: about, for a unix socket. */
size_t connection_waiting(const struct connection *c);
/* The next reply, for freeReplyObject(), or NULL. 0 or -EPROTO. */
int connection_reply(struct connection *c, redisReply **reply) __attribute__((warn_unused_result));

#endif
