/* A connection to Redis that comes back by itself.
 *
 *     connecting ──▶ greeting ──▶ up ──▶ failed ──▶ waiting ──▶ connecting …
 *         └──────────────┴─────────────────▲
 *
 * The greeting is AUTH, SELECT, CLIENT SETNAME and PING, so that up means: Redis takes commands. A failure is
 * handled in the next turn of the loop, never from within a call. Then it waits: full jitter, 50 ms to 2 s. */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include <hiredis/hiredis.h>

#include "adapters/process/logger.h"
#include "adapters/redis/transport.h"

#define LINK_ARGS_MAX 512 /* of one command */

/* So short that sessions are live again within 2 s of its return, read back and all. */
#define LINK_BACKOFF_MAX_MS   1000
#define LINK_BACKOFF_FIRST_MS 50
#define LINK_STABLE_MS        5000 /* after so long the back-off begins anew */
#define LINK_GREETING_MS      5000

/* A last field of a log line: how many lines were held back before it; absent when there were none. */
#define LINK_HELD_BACK(n)                                                                         \
    {                                                                                             \
        .key = "suppressed", .kind = (n) ? LOG_FIELD_INT : LOG_FIELD_END, .integer = (int64_t)(n) \
    }

enum link_silence { LINK_HEARD, LINK_PINGED, LINK_OVERDUE };
enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_GREETING, LINK_UP, LINK_FAILED, LINK_WAITING };

/* What the connections to one Redis have in common. */
struct link_config {
    uv_loop_t *loop;
    struct logger *logger;
    struct transport_address address;
    const char *where;    /* the address, for logs */
    uint64_t idle_ms;     /* when nothing was heard for so long, a PING */
    uint64_t dead_ms;     /* nothing for so long after it: the peer is gone */
    const char *user;     /* NULL or empty: none */
    const char *password; /* NULL: no AUTH */
    unsigned database;
};

struct link_user {
    void (*on_up)(struct link_user *self);
    /* Borrowed for the call. While up. */
    void (*on_bytes)(struct link_user *self, struct span bytes);
    /* It was up, and is not any more. Not called for link_close(). */
    void (*on_down)(struct link_user *self);
    /* Nothing was heard for idle_ms: send a command that is answered. */
    void (*ping)(struct link_user *self);
    void (*on_closed)(struct link_user *self);
};

struct link {
    const struct link_config *config;
    const char *name; /* in logs */
    struct link_user *user;
    struct transport_user transport_user;
    struct transport *transport; /* owned; NULL: none */
    redisReader *greeting;       /* owned; NULL but for the greeting */
    uv_timer_t timer;            /* of what the state waits for */
    uint64_t up_at_ms;
    uint64_t heard_at_ms;
    struct log_limit log_limit;
    unsigned attempts; /* failed ones, in a row */
    int replies_due;   /* of the greeting */
    enum link_state state;
    enum link_silence silence;
    bool was_up; /* before it failed */
    char error[128];
    char told[128]; /* the error that was logged last */
};

/* All pointers are borrowed for its life. */
void link_init(struct link *l, const struct link_config *config, const char *name, struct link_user *user);

/* Begins to connect. */
void link_open(struct link *l);

/* Sends a command; at most LINK_ARGS_MAX arguments. No effect while it is not up; without memory the link
 * fails. */
void link_command(struct link *l, const struct span args[], size_t count);

/* The same for commands as they go over the wire, however many. */
void link_write(struct link *l, struct span commands);

/* Gives the connection up, and comes back after a while. `why` is for the log. */
void link_fail(struct link *l, const char *why);

/* Closes for good. on_closed follows, and then its memory is the owner's again. */
void link_close(struct link *l);

static inline bool link_is_up(const struct link *l)
{
    return l->state == LINK_UP;
}

#endif
