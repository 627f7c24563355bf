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
#include "relay/session.h"

struct relay_config {
    uint64_t session_ttl_ms;
    uint64_t status_interval_ms;
    uint64_t worker_timeout_ms;
    struct log_limits log;
    size_t message_bytes; /* a larger event is dropped */
    bool share;           /* all sockets of a session receive; else only the newest */
};

#define RELAY_FIRST_STATUS_MS 1000 /* the longest wait for the session's subscription */

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

/* Connected: asks through channels.subscribe for every session that has a log. */
void relay_link_up(struct relay *r, uint64_t now_ms);
void relay_link_down(struct relay *r);
/* Redis has confirmed a session's channel. Its waiting sockets are written to by relay_flush(). */
void relay_subscribed(struct relay *r, struct span sid);
/* An entry of the workers' hash, read at the start or after a reconnect. */
void relay_worker_entry(struct relay *r, struct span worker, struct span entry, uint64_t now_ms);

/* From sockets */

/* A socket has opened. The cursor is the caller's, zeroed, with its owner's fields set, and must stay where
 * it is until relay_detach(). It is written to as soon as its session is subscribed. 0, or -ENOMEM: then it
 * is not attached. */
int relay_attach(struct relay *r, struct cursor *c, struct span sid, uint64_t now_ms)
    __attribute__((warn_unused_result));
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
