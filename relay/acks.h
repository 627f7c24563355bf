/* How far the clients have got, as Redis keeps it (redis-contract.md, `…:ack`), so that another relay can go on there.
 *
 * What has changed is stored a moment later, many at once; what has not is stored again before it expires, as long as the
 * session has a socket. */
#ifndef RELAY_ACKS_H
#define RELAY_ACKS_H

#include "relay/core.h"

/* The session's place may have changed. */
void acks_note(struct relay *r, struct session *s, uint64_t now_ms);
/* Its client begins here: that is stored at once, or the next relay would take the client for one never seen. */
void acks_note_start(struct relay *r, struct session *s, uint64_t now_ms);
/* Its last socket has closed: it is stored for the last time, so that it lives for a time to live from now. */
void acks_rest(struct relay *r, struct session *s, uint64_t now_ms);
/* It is another relay's matter, or is about to be freed. */
void acks_forget(struct relay *r, struct session *s);

/* Stores this one now, if it has changed. */
void acks_store_now(struct relay *r, struct session *s);
/* Stores what is due; everything that has changed. */
void acks_store_due(struct relay *r, uint64_t now_ms);
void acks_store_all(struct relay *r, uint64_t now_ms);
uint64_t acks_next_ms(const struct relay *r);

#endif
