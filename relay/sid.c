#include "relay/sid.h"

#include "relay/utf8.h"

#define SHOWN_MAX 8

static bool is_allowed(struct span character)
{
    uint8_t c = character.bytes[0];
    return c != '{' && c != '}' && !utf8_is_control(character);
}

bool sid_is_valid(struct span sid)
{
    if (sid.len == 0 || sid.len > SID_MAX_BYTES)
        return false;
    while (sid.len > 0) {
        int n = utf8_next(sid);
        if (n < 0 || !is_allowed(sid))
            return false;
        sid = span_of(sid.bytes + n, sid.len - (size_t)n);
    }
    return true;
}

void sid_shorten(struct span sid, char out[SID_SHORT_BYTES])
{
    size_t shown = sid.len / 2 < SHOWN_MAX ? sid.len / 2 : SHOWN_MAX;
    for (size_t i = 0; i < shown; i++)
        out[i] = sid.bytes[i] > 0x20 && sid.bytes[i] < 0x7f ? (char)sid.bytes[i] : '?';
    memcpy(out + shown, shown < sid.len ? "..." : "", shown < sid.len ? 4 : 1);
}
