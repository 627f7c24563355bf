#include "adapters/redis/reply.h"

struct span reply_bytes(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? span_of(reply->str, reply->len) : SPAN_NONE;
}

static bool is_entry(const redisReply *entry)
{
    return entry->type == REDIS_REPLY_ARRAY && entry->elements == 2;
}

bool reply_entry_id(const redisReply *entry, struct stream_id *id)
{
    return is_entry(entry) && stream_id_parse(reply_bytes(entry->element[0]), id);
}

struct span reply_entry_event(const redisReply *entry)
{
    if (!is_entry(entry))
        return SPAN_NONE;
    const redisReply *fields = entry->element[1];
    if (fields->type != REDIS_REPLY_ARRAY)
        return SPAN_NONE;
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (span_is(reply_bytes(fields->element[i]), "e"))
            return reply_bytes(fields->element[i + 1]);
    return SPAN_NONE;
}
