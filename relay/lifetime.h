/* How long a session is known here: from its first socket, or first node executing, to a time to live after its last one.
 *
 *     remembered ──a socket──▶ open ──the last one closed──▶ idle ──time to live──▶ forgotten
 *                                │                            ▲
 *                                └──another relay has it──────┘ with nothing to remember: forgotten at once */
#ifndef RELAY_LIFETIME_H
#define RELAY_LIFETIME_H

#include "relay/core.h"

/* The session, new if need be; then it is remembered for a time to live. NULL: no memory. */
struct session *lifetime_find_or_add(struct relay *r, struct span sid, uint64_t now_ms);

/* It has a socket, or is about to have one: subscribes to its channel and keeps its events. */
void lifetime_open(struct relay *r, struct session *s);
/* Its last socket has closed. */
void lifetime_close(struct relay *r, struct session *s, uint64_t now_ms);

/* An event has come for one without a log: of interest while its prompt executes. May free the session. */
void lifetime_remember(struct relay *r, struct session *s, uint64_t now_ms);

/* Its log is another relay's matter from now on: drops the log and the subscription. Without a socket it is freed. */
void lifetime_give_away(struct relay *r, struct session *s);

/* Another relay has it now: its sockets here receive nothing more. May free it. */
void lifetime_taken_over(struct relay *r, struct session *s, uint64_t now_ms);

/* The memory of all logs is bounded: idle sessions give way first. May free sessions without a socket. */
void lifetime_bound_memory(struct relay *r);
/* And then one that has grown, and has been written to those who keep up, loses its oldest. */
void lifetime_bound_log(struct relay *r, struct session *s);

/* Forgets those whose time is over. */
void lifetime_expire(struct relay *r, uint64_t now_ms);
uint64_t lifetime_next_ms(const struct relay *r);

/* Asks for its channel, if the link is up. */
void lifetime_subscribe(struct relay *r, struct session *s);

#endif
