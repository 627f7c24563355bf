/* Delivery: what is appended to a session's log, and when its sockets are written to.
 *
 * Sockets are written to when the messages at hand have been received, so that several frames share a write. Where all
 * that is new are latest events, they wait a little longer for company: a sampler's step publishes a state, a preview and
 * its progress within a millisecond or two. Whatever cannot wait takes them along.
 *
 *     appended ──▶ dirty ──flush──▶ written          what is kept in order, replays, frames of a socket's own
 *                    │ ▲
 *       latest only  ▼ │ something that cannot wait
 *                  company ──coalesce_ms──▶ written
 *
 * Earlier only before a log loses an entry that a socket could take: only slow sockets see fewer events than were published. */
#ifndef RELAY_DELIVERY_H
#define RELAY_DELIVERY_H

#include "relay/core.h"

/* A larger frame does not wait: what its company would save is little beside what its own bytes cost. */
#define DELIVERY_SMALL_BYTES (16 << 10)

/* For those who are there when it comes. */
#define PLACE_TRANSIENT ((struct place){.is_transient = true})

/* Where an event for a session belongs; of one for all, `s` is NULL. */
struct place delivery_place(const struct relay *r, const struct session *s, const struct event *e);

/* Appends a frame to a session's log. Without memory it is lost, and counted. The seq, or 0. */
uint64_t delivery_append(struct relay *r, struct session *s, struct place p, struct frame *take_frame);
/* A broadcast, or a status: to one of the sessions with sockets, now or when it has caught up. Takes the frame. */
void delivery_broadcast(struct relay *r, struct session *s, struct place p, struct frame *take_frame);

/* The entry at seq (0: none) is about to go: writes it to those sockets that take more. */
void delivery_before_loss(struct relay *r, struct session *s, uint64_t seq);

/* It has something to write: it is dirty. */
void delivery_mark(struct relay *r, struct session *s);
/* A dirty one: writes to its sockets, or (false) has it wait for company. It is dirty no longer. */
bool delivery_flush(struct relay *r, struct session *s, uint64_t now_ms);
/* What has waited long enough is dirty now; and when that is next, UINT64_MAX: never. */
void delivery_tick(struct relay *r, uint64_t now_ms);
uint64_t delivery_next_ms(const struct relay *r);
/* It is about to be freed. */
void delivery_forget(struct relay *r, struct session *s);

/* Writes to all of its sockets that take more. */
void delivery_write(struct relay *r, struct session *s);
/* Writes to one that takes more again. */
void delivery_resume(struct relay *r, struct cursor *c);

/* Drops from the log what every socket has. */
void delivery_trim(struct session *s);

#endif
