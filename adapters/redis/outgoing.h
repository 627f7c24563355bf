/* Commands that are to be written together, as they go over the wire: RESP arrays of bulk strings. */
#ifndef REDIS_OUTGOING_H
#define REDIS_OUTGOING_H

#include "relay/span.h"

struct outgoing {
    uint8_t *bytes; /* owned */
    size_t len, cap;
};

void outgoing_deinit(struct outgoing *o);

/* One more command, which has at least one argument. 0, or -ENOMEM: then nothing was added. */
int outgoing_add(struct outgoing *o, const struct span args[], size_t count)
    __attribute__((warn_unused_result));
/* They are written, or lost. What a giant has needed is given back. */
void outgoing_clear(struct outgoing *o);

static inline struct span outgoing_span(const struct outgoing *o)
{
    return span_of(o->bytes, o->len);
}

#endif
