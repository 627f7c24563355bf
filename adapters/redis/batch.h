/* A SUBSCRIBE or UNSUBSCRIBE that is being gathered: a few hundred channels make one command. */
#ifndef REDIS_BATCH_H
#define REDIS_BATCH_H

#include "relay/span.h"

#define BATCH_CHANNELS 500
#define BATCH_BYTES    32768 /* of their names */

enum batch_verb { BATCH_SUBSCRIBE, BATCH_UNSUBSCRIBE };

struct batch {
    enum batch_verb verb;
    size_t count;                         /* of channels */
    size_t used;                          /* of names */
    struct span args[1 + BATCH_CHANNELS]; /* the command, its channels in names */
    uint8_t names[BATCH_BYTES];
};

void batch_clear(struct batch *b);

/* False when it must be sent and cleared first: it is full, or has another verb. An empty one takes every
 * channel of up to BATCH_BYTES. */
bool batch_add(struct batch *b, enum batch_verb verb, struct span channel);

#endif
