/* The commands under way, oldest first: a ring of pointers, so that the same one may stand in it several times.
 *
 *     items  | 4 | 5 | . | . | 1 | 2 | 3 |
 *                              ^ first        count 5
 */
#ifndef REDIS_RING_H
#define REDIS_RING_H

#include <stddef.h>

struct command;

struct ring {
    struct command **items; /* owned; what they point to is borrowed */
    size_t cap;             /* a power of two, or 0 */
    size_t first;           /* index of the oldest */
    size_t count;
};

void ring_deinit(struct ring *r);

/* Room for one more. 0 or -ENOMEM. */
int ring_reserve(struct ring *r) __attribute__((warn_unused_result));
/* At the end; after ring_reserve(). */
void ring_add(struct ring *r, struct command *command);
/* The oldest, out of the ring; NULL: it is empty. */
struct command *ring_take(struct ring *r);

#endif
