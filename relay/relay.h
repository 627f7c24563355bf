/* The relay: an event in, frames offered to cursors. Everything else of the core serves this page.
 *
 *     message ─▶ decode ─▶ route by sid ─▶ encode once ─▶ session log ─▶ cursor ─▶ socket
 *
 * It knows no socket, no Redis and no clock: the edges call these functions, with the time (a monotonic one,
 * in milliseconds), and are called through ports.h. Nothing here blocks, and nothing is called again from
 * within. */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "relay/ports.h"
#include "relay/catchup.h"
#include "relay/session.h"

struct relay_config {
    uint64_t session_ttl_ms;
    uint64_t status_interval_ms;
    uint64_t worker_timeout_ms;
    struct log_limits log;
    size_t message_bytes; /* a larger event is dropped */
    size_t memory_bytes;  /* of all logs together; 0: no limit */
    bool share;           /* all sockets of a session receive; else only the newest */
};

#define RELAY_FIRST_STATUS_MS 1000 /* the longest wait for the session's subscription */
#define RELAY_PLACING_MS \
    150 /* from the first status, for flags and for an older socket's end, before a replay */
#define RELAY_STORE_MS     50  /* places of clients are stored so much later, many at once */
#define RELAY_READINGS_MAX 128 /* questions to the archive at a time: the pace of a return */

struct relay {
    struct relay_config config;
    struct ports ports;
    struct workers_listener on_worker;
    struct metrics metrics;
    struct session_table sessions;
    struct workers workers;
    struct session_list dirty;    /* with something to write */
    struct session_list open;     /* with a socket */
    struct session_list expiring; /* without a socket, the first to be forgotten first */
    struct cursor_list waiting;   /* for their subscription, oldest first */
    struct cursor_list held;      /* told their first status and not yet placed, oldest first */
    struct catchup_list queue;    /* with a question to ask the archive */
    struct session_list unstored; /* whose place has changed, oldest first */
    struct session_list stored;   /* with sockets: stored again before it expires, oldest first */
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

/* Ports are borrowed for the relay's life. `seed` should be random. 0 or -ENOMEM. */
int relay_init(struct relay *r, const struct relay_config *config, const struct ports *ports,
               const uint64_t seed[2]) __attribute__((warn_unused_result));
/* All sockets must have been detached. */
void relay_deinit(struct relay *r);
/* Takes over limits and intervals that may change while it runs. */
void relay_configure(struct relay *r, const struct relay_config *config);
/* The figures, with the gauges of sessions, logs and workers brought up to date. Borrowed. */
const struct metrics *relay_measure(struct relay *r);

/* From Redis */

/* One message of a session's channel, or (`channel_sid` empty) of the events channel. DROP_NOTHING, or why it
 * was dropped: counted already, the caller may log it. Sockets are written to by relay_flush(). */
enum drop_reason relay_receive(struct relay *r, struct span channel_sid, struct span message,
                               uint64_t now_ms);
/* The messages that were at hand have been received: write to the sockets. */
void relay_flush(struct relay *r);

/* Connected: asks through channels.subscribe for every session that has a log, then reads back what it missed. */
void relay_link_up(struct relay *r, uint64_t now_ms);
void relay_link_down(struct relay *r, uint64_t now_ms);
/* Redis has confirmed a session's channel. Its waiting sockets are written to by relay_flush(). */
void relay_subscribed(struct relay *r, struct span sid, uint64_t now_ms);
/* What Redis keeps of a session: answers to the questions of struct archive. Of no effect when the ticket is not that
 * of the session's question. `is_last`: the log has nothing older. */
void relay_read_back(struct relay *r, struct span sid, uint64_t ticket, const struct archived *entries,
                     size_t count, bool is_last, uint64_t now_ms);
void relay_read_on(struct relay *r, struct span sid, uint64_t ticket, const struct reading *reading,
                   uint64_t now_ms);
/* What was stored before is not there any more. */
void relay_data_lost(struct relay *r);
/* Another relay has the session now. May free it. */
void relay_taken_over(struct relay *r, struct session *s, uint64_t now_ms);
/* True when the logs of all sessions hold what Redis had when the link came up: then the relay is ready. */
bool relay_is_caught_up(const struct relay *r);
/* Stores every place that is not stored yet. */
void relay_store(struct relay *r, uint64_t now_ms);

/* An entry of the workers' hash, read at the start or after a reconnect. */
void relay_worker_entry(struct relay *r, struct span worker, struct span entry, uint64_t now_ms);

/* From sockets */

/* A socket has opened. The cursor is the caller's, zeroed, with its owner's fields set, and must stay where
 * it is until relay_detach(). It is written to as soon as its session is subscribed. 0, or -ENOMEM: then it
 * is not attached. */
int relay_attach(struct relay *r, struct cursor *c, struct span sid, uint64_t now_ms)
    __attribute__((warn_unused_result));
/* The client has told its flags, or will not: a replay need not wait for them. */
void relay_settled(struct relay *r, struct cursor *c, uint64_t now_ms);
/* It has received all that cursor_ask() noted last. */
void relay_acknowledge(struct relay *r, struct cursor *c, uint64_t now_ms);
/* Its page has gone (close code 1001): whoever comes next has seen nothing. Call it before relay_detach(). */
void relay_page_left(struct relay *r, struct cursor *c, uint64_t now_ms);
/* The socket is closed. */
void relay_detach(struct relay *r, struct cursor *c, uint64_t now_ms);
/* A blocked socket takes more again, or has a frame of its own: write to it. */
void relay_writable(struct relay *r, struct cursor *c);

/* From the clock */

/* Does what is due: first statuses that waited long enough, status broadcasts, lost workers, expired
 * sessions. */
void relay_tick(struct relay *r, uint64_t now_ms);
/* When relay_tick() next has something to do; UINT64_MAX: never. */
uint64_t relay_next_ms(const struct relay *r);

#endif
