#include "adapters/redis/ring.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAP 64

void ring_deinit(struct ring *r)
{
    free(r->items);
    *r = (struct ring){0};
}

int ring_reserve(struct ring *r)
{
    if (r->count < r->cap)
        return 0;
    size_t cap = r->cap ? 2 * r->cap : FIRST_CAP;
    struct command **items = malloc(cap * sizeof *items);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < r->count; i++)
        items[i] = r->items[(r->first + i) & (r->cap - 1)];
    free(r->items);
    r->items = items;
    r->cap = cap;
    r->first = 0;
    return 0;
}

void ring_add(struct ring *r, struct command *command)
{
    r->items[(r->first + r->count++) & (r->cap - 1)] = command;
}

struct command *ring_take(struct ring *r)
{
    if (r->count == 0)
        return NULL;
    struct command *command = r->items[r->first];
    r->first = (r->first + 1) & (r->cap - 1);
    r->count--;
    return command;
}
