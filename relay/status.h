/* The status that clients see: one number, the sum of the workers' shares (redis-contract.md, Workers).
 *
 * Every session is told a change once: all together, at most once an interval; one alone at its prompt's end, in any
 * case and at once. What each was told last is remembered, so that nobody is told the same twice. */
#ifndef RELAY_STATUS_H
#define RELAY_STATUS_H

#include "relay/core.h"

/* Tells one session now: its prompt ends. */
void status_tell(struct relay *r, struct session *s);

/* A new socket was greeted with the number; `is_only_one`: no other of its session receives. */
void status_note_greeting(struct relay *r, struct session *s, bool is_only_one);

/* Tells all that do not know the number, if the interval is over. */
void status_update(struct relay *r, uint64_t now_ms);

/* When status_update() next has something to do; UINT64_MAX: never. */
uint64_t status_next_ms(const struct relay *r);

#endif
