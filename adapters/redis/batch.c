#include "adapters/redis/batch.h"

static const char *const words[] = {[BATCH_SUBSCRIBE] = "SUBSCRIBE", [BATCH_UNSUBSCRIBE] = "UNSUBSCRIBE"};

void batch_clear(struct batch *b)
{
    b->count = 0;
    b->used = 0;
}

bool batch_add(struct batch *b, enum batch_verb verb, struct span channel)
{
    if (b->count > 0 && b->verb != verb)
        return false;
    if (b->count == BATCH_CHANNELS || channel.len > sizeof b->names - b->used)
        return false;
    uint8_t *name = b->names + b->used;
    memcpy(name, channel.bytes, channel.len);
    b->verb = verb;
    b->args[0] = span_str(words[verb]);
    b->args[1 + b->count++] = span_of(name, channel.len);
    b->used += channel.len;
    return true;
}
