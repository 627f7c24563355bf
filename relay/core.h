/* What the parts of the core work on: the sessions, the workers, and the lists of what is to be done. relay.h is how its
 * edges see it. */
#ifndef RELAY_CORE_H
#define RELAY_CORE_H

#include "relay/ports.h"
#include "relay/session.h"

struct catchup;
TAILQ_HEAD(catchup_list, catchup);

struct relay_config {
    uint64_t session_ttl_ms;
    uint64_t status_interval_ms;
    uint64_t worker_timeout_ms;
    uint64_t
        coalesce_ms; /* the longest that a latest event waits for others to share its write; 0: none waits */
    struct log_limits log;
    size_t message_bytes; /* a larger event is dropped */
    size_t memory_bytes;  /* of all logs together; 0: no limit */
    bool share;           /* all sockets of a session receive; else only the newest */
};

#define RELAY_FIRST_STATUS_MS 1000 /* the longest wait for the session's subscription */
#define RELAY_PLACING_MS \
    150 /* from the first status, for flags and for an older socket's end, before a replay */
#define RELAY_STORE_MS     50  /* places of clients are stored so much later, many at once */
#define RELAY_SKEW_MS      10  /* how exactly relays know the clock of Redis (claim.lua) */
#define RELAY_READINGS_MAX 128 /* questions to the archive at a time: the pace of a return */

struct relay {
    struct relay_config config;
    struct ports ports;
    struct workers_listener on_worker;
    struct metrics metrics;
    struct session_table sessions;
    struct workers workers;
    struct session_list dirty;    /* with something to write */
    struct session_list company;  /* with something that waits for company, oldest first */
    struct session_list open;     /* with a socket */
    struct session_list expiring; /* without a socket, the first to be forgotten first */
    struct cursor_list waiting;   /* for their subscription, oldest first */
    struct cursor_list held;      /* told their first status and not yet placed, oldest first */
    struct catchup_list queue;    /* with a question to ask the archive */
    struct session_list unstored; /* whose place has changed, oldest first */
    struct session_list stored;   /* with sockets: stored again before it expires, oldest first */
    int64_t unix_ms;              /* what to add to a time of relay.h to get a Unix time; 0: not known */
    uint64_t tickets;             /* of questions, so far */
    size_t asked;                 /* questions without an answer */
    size_t catching_up;           /* sessions whose log is being read */
    size_t behind;                /* of them, those that were here when the link was lost */
    uint64_t down_at_ms;          /* when it was lost */
    bool has_idle_logs;           /* a session without a socket may have something to give up */
    int64_t told;                 /* the queue number of the last status broadcast */
    uint64_t told_at_ms;
    bool link_is_up;
};

#endif
