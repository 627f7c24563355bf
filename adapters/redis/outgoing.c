#include "adapters/redis/outgoing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP    4096
#define KEPT_CAP     (256 << 10) /* more is given back */
#define HEADER_BYTES 24          /* of a '*' or '$', a number and a line's end */

void outgoing_deinit(struct outgoing *o)
{
    free(o->bytes);
    *o = (struct outgoing){0};
}

static int reserve(struct outgoing *o, size_t n)
{
    size_t cap = o->cap ? o->cap : FIRST_CAP;
    while (cap - o->len < n)
        cap *= 2;
    if (cap == o->cap)
        return 0;
    uint8_t *bytes = realloc(o->bytes, cap);
    if (!bytes)
        return -ENOMEM;
    o->bytes = bytes;
    o->cap = cap;
    return 0;
}

/* These write into room that is there. */

/* Every command passes here, some with ten arguments: printf would be most of its cost. */
static void put_header(struct outgoing *o, char kind, size_t n)
{
    uint8_t *end = o->bytes + o->len + 1;
    for (size_t left = n; left > 9; left /= 10)
        end++;
    o->bytes[o->len] = (uint8_t)kind;
    for (uint8_t *digit = end; digit > o->bytes + o->len; n /= 10)
        *digit-- = (uint8_t)('0' + n % 10);
    memcpy(end + 1, "\r\n", 2);
    o->len = (size_t)(end + 3 - o->bytes);
}

static void put_argument(struct outgoing *o, struct span arg)
{
    put_header(o, '$', arg.len);
    if (arg.len > 0)
        memcpy(o->bytes + o->len, arg.bytes, arg.len);
    memcpy(o->bytes + o->len + arg.len, "\r\n", 2);
    o->len += arg.len + 2;
}

int outgoing_add(struct outgoing *o, const struct span args[], size_t count)
{
    size_t n = HEADER_BYTES;
    for (size_t i = 0; i < count; i++)
        n += HEADER_BYTES + args[i].len + 2;
    int error = reserve(o, n);
    if (error < 0)
        return error;
    put_header(o, '*', count);
    for (size_t i = 0; i < count; i++)
        put_argument(o, args[i]);
    return 0;
}

void outgoing_clear(struct outgoing *o)
{
    o->len = 0;
    if (o->cap > KEPT_CAP)
        outgoing_deinit(o);
}
