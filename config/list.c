/* Comma-separated lists, as some options hold them. */
#include "config/list.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct span list_trim(struct span text)
{
    while (text.len > 0 && is_blank(text.bytes[0])) {
        text.bytes++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.bytes[text.len - 1]))
        text.len--;
    return text;
}

bool list_next(struct span *list, struct span *item)
{
    if (list->bytes == NULL)
        return false;
    const uint8_t *comma = memchr(list->bytes, ',', list->len);
    size_t len = comma == NULL ? list->len : (size_t)(comma - list->bytes);
    *item = list_trim(span_of(list->bytes, len));
    *list = comma == NULL ? SPAN_NONE : span_of(comma + 1, list->len - len - 1);
    return true;
}
