/* A session: a sid, its log, its sockets, and the prompt that it last saw executing; and the table of them.
 *
 * A session with `has_log` has, or had within the time to live, a socket here: its channel is subscribed and
 * its events are kept. One without is only remembered for its last executing node, or for sockets here that another
 * relay's have silenced.
 *
 *     log   | may go |  held: from the least of the client's place, the sockets' places, the prompt's beginning  | */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include <stddef.h>

#include "relay/cursor.h"
#include "relay/log.h"

struct catchup;

enum subscription { SUBSCRIPTION_NONE, SUBSCRIPTION_ASKED, SUBSCRIPTION_ACTIVE };

/* What was appended since its sockets were written to. */
enum pending {
    PENDING_NOTHING,
    PENDING_LATEST,  /* nothing that could not wait: the next flush writes it, or has it wait for company */
    PENDING_NOW,     /* the next flush writes it */
    PENDING_COMPANY, /* it waits until write_at_ms, or for something that cannot */
};

/* What is to be done about its place in Redis. */
enum store { STORE_NOTHING, STORE_SOON, STORE_AGAIN };

TAILQ_HEAD(session_list, session);

struct session {
    struct session *next_in_bucket;
    union {
        TAILQ_ENTRY(session) in_open;   /* while is_open */
        TAILQ_ENTRY(session) in_expiry; /* while is_expiring: never both */
    };
    TAILQ_ENTRY(session) in_stored;  /* while storing is not STORE_NOTHING: in one of the relay's two lists */
    TAILQ_ENTRY(session) in_pending; /* while pending is not PENDING_NOTHING: in the relay's list of that */
    uint64_t expires_at_ms;          /* while is_expiring */
    uint64_t write_at_ms;            /* while pending is PENDING_COMPANY */
    struct log log;
    struct cursor_list cursors; /* newest first */
    uint8_t *prompt;            /* owned; the prompt that executes, a MessagePack value; NULL: none */
    uint8_t *node;              /* owned; its last executing node for display, likewise; NULL: none yet */
    uint64_t start_seq; /* of the beginning of the prompt that executes, in the log; 0: it is not there */
    uint64_t node_seq;  /* of its last executing, likewise */
    struct catchup *catchup; /* owned; NULL: the log here is where it is in Redis */
    struct stream_id newest; /* in Redis, as far as is known here */
    struct reached
        left; /* while has_left: the place of the least advanced socket that ended and may come back */
    uint64_t left_until_ms;  /* so long */
    struct stream_id stored; /* while is_stored: its place as it was stored last */
    uint64_t store_at_ms;    /* by its list */
    uint64_t
        placed_ms; /* when the last socket that was placed was opened; 0: none, since the session is here */
    int64_t
        owned_ms; /* when its newest socket counts as opened, by Redis' clock; 0: it is not claimed for that */
    int64_t heard_ms; /* the newest time that another relay has claimed it for, while ours was not answered */
    uint64_t forgotten_ms;         /* while is_forgotten: when the socket of that page was opened */
    uint64_t newest_at_ms;         /* when that id came */
    int64_t told;                  /* the queue number its sockets were told last; -1: none */
    uint32_t hash;                 /* the low half: as many buckets as there may be sessions */
    uint16_t prompt_len, node_len; /* SESSION_VALUE_MAX at most */
    enum subscription subscription : 4;
    enum pending pending : 4;
    enum store store : 4;
    bool has_log : 1;
    bool has_left : 1;
    bool is_forgotten : 1;  /* its last page has gone: whoever comes next has seen nothing */
    bool was_claimed : 1;   /* Redis knows that it is this relay's, unless it has lost that */
    bool has_listeners : 1; /* another relay listened to its channel when it was claimed */
    bool is_stored : 1;     /* its place is in Redis, as far as is known */
    bool is_open : 1;       /* in the relay's list: broadcasts reach it */
    bool is_executing : 1;
    bool is_expiring : 1;     /* without a socket: forgotten when the time has come */
    bool is_ending : 1;       /* an execution_* ended its prompt: executing with no node will follow */
    bool status_is_fresh : 1; /* and a status came since */
    uint8_t sid_len;
    uint8_t sid[];
};

/* The size of a session. */
static inline size_t session_size(size_t sid_len)
{
    return offsetof(struct session, sid) + sid_len;
}

static inline struct span session_sid(const struct session *s)
{
    return span_of(s->sid, s->sid_len);
}

static inline struct span session_prompt(const struct session *s)
{
    return span_of(s->prompt, s->prompt_len);
}

static inline struct span session_node(const struct session *s)
{
    return span_of(s->node, s->node_len);
}

/* The longest prompt id and node id that are remembered: these are ids, not a place to keep data in. */
#define SESSION_VALUE_MAX 1024

struct session_table {
    struct session **buckets; /* owned */
    size_t cap;               /* a power of two */
    size_t count;
    struct log_totals logs;
    uint64_t seed[2];
};

/* -ENOMEM, or 0. */
int session_table_init(struct session_table *t, const uint64_t seed[2]) __attribute__((warn_unused_result));
void session_table_deinit(struct session_table *t); /* frees every session */

struct session *session_find(const struct session_table *t, struct span sid); /* or NULL */
/* A new one, empty. The sid must be valid and not in the table. NULL when there is no memory. */
struct session *session_add(struct session_table *t, struct span sid);
/* Out of the table and freed. It must have no cursor and be in no list. */
void session_remove(struct session_table *t, struct session *s);

/* The memory that a session takes, without its log and what it catches up with. */
size_t session_bytes(const struct session *s);
/* And that of the table itself. */
size_t session_table_bytes(const struct session_table *t);

/* Calls fn for every session; fn must not add or remove any. */
void session_each(const struct session_table *t, void (*fn)(struct session *s, void *arg), void *arg);

/* Remembers what executes: by an event of its prompt. Without memory it remembers nothing rather than wrong
 * things. */
void session_note_start(struct session *s, struct span prompt);
void session_note_executing(struct session *s, struct span prompt, struct span display_node);
/* The event that was noted last, a start or (is_node) an executing, is in the log at seq. */
void session_note_seq(struct session *s, bool is_node, uint64_t seq);
/* The prompt has ended; no effect when another one executes now. */
void session_note_end(struct session *s, struct span prompt);

/* The seq from which the log must still be held. */
uint64_t session_needed_from(const struct session *s);

/* How far its client has got: the least advanced of its sockets, open or left. False when nothing is known. */
bool session_place(const struct session *s, struct reached *place);

/* Its newest socket, if that receives; or NULL. */
struct cursor *session_receiver(const struct session *s);
/* Its newest socket, if that is not placed yet; or NULL. */
struct cursor *session_unplaced(const struct session *s);

#endif
