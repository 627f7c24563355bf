/* The sending half of a socket: whole frames, in order, control frames only between them.
 *
 *     frames ──┐
 *              ├─▶ uv_try_write ─▶ socket        almost always: then an outbox is three pointers
 *     control ─┘        │ what it did not take
 *                       ▼
 *               | the rest of one frame, or of control bytes | control bytes that wait |
 *                 in uv_write                                  go next, before any frame
 *
 * A frame that has begun is finished first. No second one is taken meanwhile: the rest waits in the session's
 * log, where newer events can replace it. */
#ifndef WEBSOCKET_OUTBOX_H
#define WEBSOCKET_OUTBOX_H

#include <uv.h>

#include "relay/frame.h"

#define OUTBOX_FRAMES_MAX 64

struct outbox {
    uv_stream_t *stream; /* borrowed; open */
    /* All that waited is written, status 0; or the socket is broken, a negative errno-valued code, -ECANCELED
     * when it was closed. Called by the loop only. */
    void (*on_drained)(struct outbox *o, int status);
    struct backlog *backlog; /* owned; NULL: the socket takes more */
};

static inline bool outbox_is_blocked(const struct outbox *o)
{
    return o->backlog != NULL;
}

/* Writes frames, of which it may borrow references, and behind the last of them whole control frames (`tail`, which may
 * be empty; a copy is kept where it must wait); it must not be blocked. How many frames were taken: fewer than n
 * mean that it is blocked now, and that the tail was not sent. Or a negative errno-valued code: the socket is broken,
 * or memory is out. */
int outbox_write(struct outbox *o, struct frame *const *frames, int n, struct span tail)
    __attribute__((warn_unused_result));

/* Writes bytes of whole control frames (or of an HTTP response), or keeps a copy until it is their turn. 0,
 * or a negative errno-valued code as above. */
int outbox_send(struct outbox *o, const void *bytes, size_t len) __attribute__((warn_unused_result));

/* How many bytes of control frames wait. */
size_t outbox_waiting(const struct outbox *o);

/* How many bytes are being written, without those that wait: while it is blocked, fewer than before mean that
 * the socket has taken some. */
size_t outbox_writing(const struct outbox *o);

/* The memory of what the socket has not taken; of a frame that others hold too, its share (a log counts it whole). */
size_t outbox_bytes(const struct outbox *o);

#endif
