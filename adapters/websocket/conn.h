/* One connection's life, and what the connections of a server share.
 *
 *     handshake ──101──▶ quiet · written · pinged · resting      open: how it goes round there, see ping.h
 *         │ refused        │ we close            │ no pong
 *         │                ▼                     ▼
 *         │             closing ─no answer─▶ closed              no list; freed when libuv lets go of it
 *         ▼                │ answered            ▲
 *     lingering ◀──────────┘                     │
 *         └── what was written is taken, or not ─┘
 *
 * Each phase is a list, oldest first, with one time to be left by. The time is the same for all in a list, so
 * the first one is always the next to act on. (After a reload of the options a list may be out of order by the
 * difference, until it has turned over once.)
 *
 * An idle connection is this struct and nothing else: a receiver is lent to it while a message is coming in,
 * and its outbox holds memory only while the socket does not take what is written. */
#ifndef WEBSOCKET_CONN_H
#define WEBSOCKET_CONN_H

#include <sys/queue.h>
#include <uv.h>

#include "adapters/process/listener.h"
#include "adapters/process/logger.h"
#include "adapters/websocket/outbox.h"
#include "adapters/websocket/receiver.h"
#include "config/options.h"
#include "relay/relay.h"

/* What one read may bring: with libuv's 32 reads it bounds the work for a socket in a turn of the loop. */
#define CONN_READ_BYTES 16384
#define CONN_PING_BYTES 8   /* payload of our pings */
#define CONN_WRITTEN_MS 100 /* a ping that is due waits so long for a write to go along with */
#define CONN_RESTING_MS \
    2000 /* from a pong until the next ping is due; half a ping interval where that is less */
#define CONN_CLOSE_WAIT_MS 2000 /* for the answer to our close frame */
#define CONN_LINGER_MS     1000 /* for what was written to be taken */

enum phase {
    PHASE_HANDSHAKE,
    PHASE_QUIET,   /* until the keep-alive is due */
    PHASE_WRITTEN, /* something is to be acknowledged: a ping goes with the next write, or soon alone */
    PHASE_PINGED,  /* its pong is awaited */
    PHASE_RESTING, /* the pong has come: no ping for a while */
    PHASE_CLOSING, /* we have closed: the answer is awaited */
    PHASE_LINGERING,
    PHASE_CLOSED,
};
#define PHASE_OPEN_FIRST PHASE_QUIET
#define PHASE_OPEN_LAST  PHASE_RESTING
#define PHASE_LISTS      PHASE_CLOSED

TAILQ_HEAD(conn_list, conn);

struct shared {
    uv_loop_t *loop; /* borrowed, as are the next three */
    const struct options *options;
    struct logger *logger;
    struct relay *relay;
    /* A connection has entered a phase, or was freed: times to act may have changed, the count too. */
    void (*on_change)(struct shared *s);
    struct conn_list phases[PHASE_LISTS];
    size_t count;           /* of connections, until they are freed */
    size_t upgraded;        /* of those that ever were upgraded */
    struct frame *features; /* owned; the answer to feature flags */
    struct receiver *spare; /* owned; or NULL */
    struct log_limit refusals;
    uint64_t pings; /* how many were made: the number of the last one */
    bool is_draining;
    size_t control_len;
    uint8_t control[CONN_READ_BYTES + 256]; /* answers to what one read brought */
    char read[CONN_READ_BYTES];
};

struct conn {
    union listener_client client;
    struct shared *shared; /* borrowed */
    TAILQ_ENTRY(conn) in_phase;
    uint64_t due_ms; /* when its phase must be left */
    struct cursor cursor;
    struct outbox outbox;
    struct receiver *receiver; /* owned while lent; or NULL */
    uint8_t *head;             /* owned; a request that is not complete yet, or NULL */
    uint32_t head_len;
    enum phase phase : 8;
    bool was_upgraded : 1;
    bool is_reading : 1;
    bool is_settled : 1;           /* its first message has come: no other is looked at */
    uint16_t close_code;           /* of our close frame */
    uint8_t ping[CONN_PING_BYTES]; /* payload of the last ping */
    size_t before_ping; /* 0: the socket has taken it; else what the outbox was writing when last looked at */
};

void shared_init(struct shared *s);
void shared_deinit(struct shared *s); /* with no connection left */

/* Accepts the connection at hand. */
void conn_open(struct shared *s, struct listener *l);

/* Open: upgraded, and nobody has begun to close it. */
static inline bool conn_is_open(const struct conn *c)
{
    return c->phase >= PHASE_OPEN_FIRST && c->phase <= PHASE_OPEN_LAST;
}

static inline struct conn *conn_of_cursor(struct cursor *cursor)
{
    return (struct conn *)((char *)cursor - offsetof(struct conn, cursor));
}

/* Writes what its cursor has, as far as the socket takes it: the core's port. */
void conn_write(struct conn *c);

/* Its time in this phase is over. */
void conn_act(struct conn *c);

/* Closes an open one: a close frame with this code, then the client's answer is waited for. With the same code it
 * acknowledges all that was written; so where it is waited for, this must be a code that no client begins with. */
void conn_close(struct conn *c, uint16_t code, enum close_reason reason);

/* Closes it at once, whatever the phase. The reason counts when it was open. */
void conn_abort(struct conn *c, enum close_reason reason);

/* For handshake.c, inbox.c and ping.c */

void conn_enter(struct conn *c, enum phase phase);
/* All is said: closes when what was written is taken and the client has closed, or CONN_LINGER_MS later. */
void conn_linger(struct conn *c);
/* Sends bytes that are no frame of the log. When that fails it is aborted: look at the phase after it. */
void conn_send(struct conn *c, const void *bytes, size_t len);

#endif
