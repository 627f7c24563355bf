/* The relay: an event in, frames offered to cursors. Everything else of the core serves this page.
 *
 *     message ─▶ decode ─▶ route by sid ─▶ encode once ─▶ session log ─▶ cursor ─▶ socket
 *
 * It knows no socket, no Redis and no clock: the edges call these functions, with the time (a monotonic one,
 * in milliseconds), and are called through ports.h. Nothing here blocks, and nothing is called again from
 * within. */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "relay/core.h"

/* Ports are borrowed for the relay's life. `seed` should be random. 0 or -ENOMEM. */
int relay_init(struct relay *r, const struct relay_config *config, const struct ports *ports,
               const uint64_t seed[2]) __attribute__((warn_unused_result));
/* All sockets must have been detached. */
void relay_deinit(struct relay *r);
/* Takes over limits and intervals that may change while it runs. */
void relay_configure(struct relay *r, const struct relay_config *config);
/* What to add to a time to get a Unix time. To be told again now and then: that clock may be set. */
void relay_set_clock(struct relay *r, int64_t unix_ms);
/* The figures, with the gauges of sessions, logs and workers brought up to date. Borrowed. */
const struct metrics *relay_measure(struct relay *r);
/* About how much memory it holds, by what there is most of; without counting anything. */
size_t relay_held_bytes(const struct relay *r);

/* From Redis */

/* One message of a session's channel, or (`channel_sid` empty) of the events channel. DROP_NOTHING, or why it
 * was dropped: counted already, the caller may log it. Sockets are written to by relay_flush(). */
enum drop_reason relay_receive(struct relay *r, struct span channel_sid, struct span message,
                               uint64_t now_ms);
/* The messages that were at hand have been received: write to the sockets, but what may wait for company. */
void relay_flush(struct relay *r, uint64_t now_ms);

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
/* False when nobody waits any more for the answer to a question: it need not be asked again. */
bool relay_awaits(const struct relay *r, struct span sid, uint64_t ticket);
/* What was stored before is not there any more. */
void relay_data_lost(struct relay *r);
/* True when the logs of all sessions hold what Redis had when the link came up: then the relay is ready. */
bool relay_is_caught_up(const struct relay *r);
/* What was being stored may be lost with a connection: stores every place again. */
void relay_store_again(struct relay *r, uint64_t now_ms);
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

/* Does what is due: first statuses that waited long enough, status broadcasts, latest events that have waited for company,
 * lost workers, expired sessions. */
void relay_tick(struct relay *r, uint64_t now_ms);
/* When relay_tick() next has something to do; UINT64_MAX: never. */
uint64_t relay_next_ms(const struct relay *r);

#endif
