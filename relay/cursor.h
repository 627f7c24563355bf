/* A cursor: one socket's place in its session's log. The socket's owner embeds it and is woken by ports.h.
 *
 *     waiting ──subscribed, or 1 s──▶ live ──a newer socket took over──▶ silent
 *        the first status is held       gets everything                 gets nothing more, stays open */
#ifndef RELAY_CURSOR_H
#define RELAY_CURSOR_H

#include <sys/queue.h>

#include "relay/frame.h"

struct session;

enum cursor_state { CURSOR_NONE, CURSOR_WAITING, CURSOR_LIVE, CURSOR_SILENT };

/* Frames for this socket alone, sent before anything of the log: the first status, the last executing node,
 * the reply to its feature flags. There is at most one of each. */
#define CURSOR_OWN_MAX 3

TAILQ_HEAD(cursor_list, cursor);

struct cursor {
    struct session *session;        /* NULL while not attached */
    TAILQ_ENTRY(cursor) in_session; /* newest first */
    TAILQ_ENTRY(cursor) in_waiting; /* while waiting: in the relay's list, oldest first */
    uint64_t seq;                   /* the next entry of the log to read */
    uint64_t wait_until_ms;
    struct frame *own[CURSOR_OWN_MAX]; /* owned */
    uint8_t own_count;
    enum cursor_state state;
    bool wants_metadata; /* negotiated supports_preview_metadata; set by the owner */
    bool is_blocked;     /* its socket takes no more for now; set by the owner, cleared by relay_writable */
};

/* The next frames for this socket, in order, at most max. They are borrowed: valid until the log next changes
 * or cursor_take. Returns how many, 0 when it has everything, or -ENOMEM when the first could not be made. */
int cursor_peek(struct cursor *c, struct frame **frames, int max) __attribute__((warn_unused_result));

/* The first n of those have been taken over by the socket, wholly or at least in part. */
void cursor_take(struct cursor *c, int n);

/* Puts a frame of its own before what the log holds. Takes the frame, on every path. 0, or -ENOBUFS: too
 * many. */
int cursor_push(struct cursor *c, struct frame *take_frame) __attribute__((warn_unused_result));

/* Gives up the frames of its own. */
void cursor_drop_own(struct cursor *c);

#endif
