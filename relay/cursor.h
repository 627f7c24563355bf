/* A cursor: one socket's place in its session's log. The socket's owner embeds it and is woken by ports.h.
 *
 *     waiting ──subscribed, or 1 s──▶ held ──placed──▶ live ──a newer socket took over──▶ silent
 *        gets nothing yet        its own frames    everything                gets nothing more, stays open
 *
 *     log   | sent and acknowledged | sent, may not have arrived | not sent yet |
 *                                   ^ acked.seq                  ^ seq
 *
 * How far the client has got is known from pings: cursor_ask() notes what was written before one, and its pong
 * (RFC 6455, section 5.5.3) acknowledges that: relay_acknowledge(). */
#ifndef RELAY_CURSOR_H
#define RELAY_CURSOR_H

#include <sys/queue.h>

#include "relay/frame.h"
#include "relay/metrics.h"
#include "relay/stream_id.h"

struct session;

enum cursor_state { CURSOR_NONE, CURSOR_WAITING, CURSOR_HELD, CURSOR_LIVE, CURSOR_SILENT };

/* Frames for this socket alone, sent before anything of the log: the first status, the last executing node,
 * the reply to its feature flags. There is at most one of each. */
#define CURSOR_OWN_MAX 3

TAILQ_HEAD(cursor_list, cursor);

/* How far a client has got. */
struct reached {
    uint64_t seq;        /* it has all before it */
    struct stream_id id; /* of the newest entry before it that has one; STREAM_ID_NONE: of none */
};

struct cursor {
    struct session *session;        /* NULL while not attached */
    TAILQ_ENTRY(cursor) in_session; /* newest first */
    uint64_t seq;       /* the next entry of the log to read; while not live, the first it may need */
    uint64_t live_from; /* what is before it is replayed; broadcasts are not */
    uint64_t opened_ms;
    union {
        struct { /* waiting or held */
            TAILQ_ENTRY(cursor)
            in_waiting;             /* while is_timed: in the relay's list of its state, oldest first */
            uint64_t wait_until_ms; /* likewise */
            uint64_t resume_from;   /* where it goes on by what is known of the client */
            uint64_t start_from;    /* where it begins when nothing is known */
        };
        struct {                   /* live */
            struct reached acked;  /* as the last acknowledgement says, or where it was placed */
            struct reached asked;  /* by the last cursor_ask() */
            struct stream_id last; /* of the newest entry before seq */
            uint64_t kept;         /* after the last entry written that asks to be acknowledged */
        };
    };
    struct frame *own[CURSOR_OWN_MAX]; /* owned */
    uint8_t own_count;
    enum cursor_state state : 8;
    bool wants_metadata : 1; /* negotiated supports_preview_metadata; set by the owner */
    bool is_settled : 1;     /* its flags have come, or will not */
    bool is_timed : 1;       /* in a list of its state's, until wait_until_ms */
    bool is_blocked : 1; /* its socket takes no more for now; set by the owner, cleared by relay_writable */
};

/* The next frames for this socket, in order, at most max. They are borrowed: valid until the log next changes
 * or cursor_take. Returns how many, 0 when it has everything, or -ENOMEM when the first could not be made.
 * *is_kept: one of them asks to be acknowledged. */
int cursor_peek(struct cursor *c, struct frame **frames, int max, bool *is_kept)
    __attribute__((warn_unused_result));

/* The first n of those have been taken over by the socket, wholly or at least in part: counted by class, as replayed, and by
 * how long they took. */
void cursor_take(struct cursor *c, int n, struct metrics *m, uint64_t now_ms);

/* Puts a frame of its own before what the log holds. Takes the frame, on every path. 0, or -ENOBUFS: too
 * many. */
int cursor_push(struct cursor *c, struct frame *take_frame) __attribute__((warn_unused_result));

/* True when something at or beyond seq is to be replayed to it, by live_from. */
bool cursor_has_replay(const struct cursor *c, uint64_t seq);

/* True when something was written that the client should acknowledge before the keep-alive does. */
static inline bool cursor_is_unacknowledged(const struct cursor *c)
{
    return c->state == CURSOR_LIVE && c->kept > c->acked.seq;
}

/* A ping is sent now, after all that was taken: notes how far that is. Before it is live nothing is acknowledged. */
static inline void cursor_ask(struct cursor *c)
{
    if (c->state == CURSOR_LIVE)
        c->asked = (struct reached){c->seq, c->last};
}

/* Gives up the frames of its own. */
void cursor_drop_own(struct cursor *c);

#endif
