#include "adapters/msgpack/plain.h"

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

size_t plain_copy_bytewise(uint8_t *to, const uint8_t *from)
{
    size_t n = 0;
    memcpy(to, from, PLAIN_STEP);
    while (n < PLAIN_STEP && is_plain(from[n]))
        n++;
    return n;
}

size_t plain_copy_last(uint8_t *to, const uint8_t *from, size_t readable)
{
    uint8_t padded[PLAIN_STEP] = {0};
    memcpy(padded, from, readable);
    return plain_copy(to, padded);
}
