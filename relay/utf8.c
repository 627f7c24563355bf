#include "relay/utf8.h"

/* The length of the character a lead byte begins, and the range its second byte must be in: the only places
 * where UTF-8 differs from "lead, then continuations". 0: no character begins so. */
static int lead_length(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

int utf8_next(struct span s)
{
    uint8_t low, high;
    int length = lead_length(s.bytes[0], &low, &high);
    if (length == 0)
        return -1;
    for (int i = 1; i < length; i++) {
        if ((size_t)i == s.len || s.bytes[i] < low || s.bytes[i] > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return length;
}

bool utf8_is_control(struct span s)
{
    uint8_t c = s.bytes[0];
    return c < 0x20 || c == 0x7f || (c == 0xc2 && s.bytes[1] < 0xa0);
}
