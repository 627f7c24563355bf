#include "adapters/redis/owner.h"

#include "relay/hex.h"

#define OPENED_MAX 15 /* digits: as many as a script's numbers hold */

static bool is_hex(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (hex_value(s.bytes[i]) < 0 || (s.bytes[i] >= 'A' && s.bytes[i] <= 'F'))
            return false;
    return true;
}

static bool is_decimal(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.bytes[i] < '0' || s.bytes[i] > '9')
            return false;
    return true;
}

struct span owner_name(struct span value)
{
    if (value.len < OWNER_NAME_LEN + 2 || value.len > OWNER_NAME_LEN + 1 + OPENED_MAX ||
        value.bytes[OWNER_NAME_LEN] != ' ')
        return SPAN_NONE;
    struct span name = span_of(value.bytes, OWNER_NAME_LEN);
    struct span opened = span_of(value.bytes + OWNER_NAME_LEN + 1, value.len - OWNER_NAME_LEN - 1);
    return is_hex(name) && is_decimal(opened) ? name : SPAN_NONE;
}
