/* A byte stream to Redis: one attempt to connect, and the connection that may come of it. Over TCP or a Unix
 * socket; whatever wraps the bytes (TLS) belongs in here, nobody above would know.
 *
 *     transport_open ──▶ on_open ──▶ on_bytes … ──▶ on_lost        every way ends with the owner's
 *                  └────────────────────────────────▶ on_lost        transport_close()
 */
#ifndef REDIS_TRANSPORT_H
#define REDIS_TRANSPORT_H

#include <uv.h>

#include "relay/span.h"

#define TRANSPORT_CONNECT_MS 5000 /* the longest wait for one address to answer */

struct transport;

struct transport_address {
    const char *path; /* of a Unix socket; NULL: TCP */
    const char *host; /* a numeric address or a name; each address of a name is tried */
    const char *port; /* in digits */
};

/* Whom it tells; embedded by the owner, who finds itself from it. None is called from within a call of
 * transport_*. */
struct transport_user {
    void (*on_open)(struct transport_user *self);
    /* Borrowed for the call. */
    void (*on_bytes)(struct transport_user *self, struct span bytes);
    /* Not connected, or not any more: a negative errno-valued or UV_EAI_* code, UV_EOF when the peer closed.
     * Called at least once then; all that is left to do is transport_close(). */
    void (*on_lost)(struct transport_user *self, int error);
};

/* Begins to connect. Address and user are borrowed for its life. NULL: no memory. */
struct transport *transport_open(uv_loop_t *loop, const struct transport_address *address,
                                 struct transport_user *user);

/* Sends what the socket takes now and queues a copy of the rest. After on_open only. 0, or -ENOMEM; a lost
 * peer is told by on_lost. */
int transport_write(struct transport *t, struct span bytes) __attribute__((warn_unused_result));

/* The user is told nothing more. The memory is freed when the loop has closed the last handle. */
void transport_close(struct transport *t);

#endif
