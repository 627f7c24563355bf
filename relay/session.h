/* A session: a sid, its log, its sockets, and the prompt that it last saw executing; and the table of them.
 *
 * A session with `has_log` has, or had within the time to live, a socket here: its channel is subscribed and
 * its events are kept. One without is only remembered for its last executing node. */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include "relay/cursor.h"
#include "relay/log.h"

enum subscription { SUBSCRIPTION_NONE, SUBSCRIPTION_ASKED, SUBSCRIPTION_ACTIVE };

TAILQ_HEAD(session_list, session);

struct session {
    struct session *next_in_bucket;
    TAILQ_ENTRY(session) in_expiry; /* while is_expiring */
    TAILQ_ENTRY(session) in_open;   /* while it has a cursor */
    TAILQ_ENTRY(session) in_dirty;  /* while is_dirty */
    uint64_t hash;
    uint64_t expires_at_ms; /* while is_expiring */
    struct log log;
    struct cursor_list cursors; /* newest first */
    uint8_t *prompt;            /* owned; the prompt that executes, a MessagePack value; NULL: none */
    uint8_t *node;              /* owned; its last executing node for display, likewise; NULL: none yet */
    uint32_t prompt_len, node_len;
    int64_t told; /* the queue number its sockets were told last; -1: none */
    enum subscription subscription;
    bool has_log;
    bool is_executing;
    bool is_dirty;        /* something was appended since its sockets were written to */
    bool is_expiring;     /* without a socket: forgotten when the time has come */
    bool is_ending;       /* an execution_* ended its prompt: executing with no node will follow */
    bool status_is_fresh; /* and a status came since */
    uint8_t sid_len;
    uint8_t sid[];
};

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

/* Calls fn for every session; fn must not add or remove any. */
void session_each(const struct session_table *t, void (*fn)(struct session *s, void *arg), void *arg);

/* Remembers what executes: by an event of its prompt. Without memory it remembers nothing rather than wrong
 * things. */
void session_note_start(struct session *s, struct span prompt);
void session_note_executing(struct session *s, struct span prompt, struct span display_node);
/* The prompt has ended; no effect when another one executes now. */
void session_note_end(struct session *s, struct span prompt);

/* The seq that must still be held: the place of its least advanced socket that receives. */
uint64_t session_needed_from(const struct session *s);

#endif
