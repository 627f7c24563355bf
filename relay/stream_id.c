#include "relay/stream_id.h"

#include <inttypes.h>
#include <stdio.h>

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* A number as Redis writes it: without leading zeros, up to 2^64-1. What follows it is left. */
static bool take_number(struct span *s, uint64_t *n)
{
    size_t i = 0;
    uint64_t value = 0;
    if (s->len == 0 || (s->len > 1 && s->bytes[0] == '0' && s->bytes[1] != '-'))
        return false;
    for (; i < s->len && is_digit(s->bytes[i]); i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, s->bytes[i] - '0', &value))
            return false;
    *n = value;
    *s = span_of(s->bytes + i, s->len - i);
    return i > 0;
}

bool stream_id_parse(struct span text, struct stream_id *id)
{
    if (!take_number(&text, &id->ms) || text.len == 0 || text.bytes[0] != '-')
        return false;
    text = span_of(text.bytes + 1, text.len - 1);
    return take_number(&text, &id->n) && text.len == 0;
}

size_t stream_id_format(struct stream_id id, char text[STREAM_ID_TEXT_BYTES])
{
    return (size_t)snprintf(text, STREAM_ID_TEXT_BYTES, "%" PRIu64 "-%" PRIu64, id.ms, id.n);
}

int stream_id_compare(struct stream_id a, struct stream_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return a.n < b.n ? -1 : a.n > b.n;
}

struct stream_id stream_id_after(struct stream_id id)
{
    if (id.n < UINT64_MAX)
        return (struct stream_id){id.ms, id.n + 1};
    return id.ms < UINT64_MAX ? (struct stream_id){id.ms + 1, 0} : id;
}

struct stream_id stream_id_before(struct stream_id id)
{
    if (id.n > 0)
        return (struct stream_id){id.ms, id.n - 1};
    return id.ms > 0 ? (struct stream_id){id.ms - 1, UINT64_MAX} : id;
}
