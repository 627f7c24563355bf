/* Delivery: what is appended to a session's log, and when its sockets are written to.
 *
 * Sockets are written to when the messages at hand have been received, so that several frames share a write. Earlier
 * only before their log loses an entry that they could take: only slow sockets see fewer events than were published. */
#ifndef RELAY_DELIVERY_H
#define RELAY_DELIVERY_H

#include "relay/relay.h"

/* What of an event its place in a log depends on. */
struct place {
    uint64_t key;    /* conflation key, 0: kept in order */
    uint64_t prompt; /* hash of its prompt, 0: none, or of no interest */
};

#define PLACE_KEPT ((struct place){0, 0})

struct place delivery_place(const struct relay *r, const struct event *e);

/* Appends a frame to a session's log. Without memory it is lost, and counted. */
void delivery_append(struct relay *r, struct session *s, struct place p, struct frame *take_frame);

/* The entry at seq (0: none) is about to go: writes it to those sockets that take more. */
void delivery_before_loss(struct relay *r, struct session *s, uint64_t seq);

/* It has something to write: relay_flush() will. */
void delivery_mark(struct relay *r, struct session *s);
/* It is about to be freed. */
void delivery_forget(struct relay *r, struct session *s);

/* Writes to all of its sockets that take more. */
void delivery_write(struct relay *r, struct session *s);
/* Writes to one that takes more again. */
void delivery_resume(struct relay *r, struct cursor *c);

/* Drops from the log what every socket has. */
void delivery_trim(struct session *s);

#endif
