#include "relay/span.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

bool span_equals_ignoring_case(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.bytes[i]) != lower(b.bytes[i]))
            return false;
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && is_blank(s.bytes[0]))
        s = span_of(s.bytes + 1, s.len - 1);
    while (s.len > 0 && is_blank(s.bytes[s.len - 1]))
        s.len--;
    return s;
}

bool span_cut(struct span *s, char c, struct span *before)
{
    const uint8_t *at = s->len > 0 ? memchr(s->bytes, c, s->len) : NULL;
    *before = *s;
    *s = SPAN_NONE;
    if (!at)
        return false;
    size_t len = before->len;
    before->len = (size_t)(at - before->bytes);
    *s = span_of(at + 1, len - before->len - 1);
    return true;
}
