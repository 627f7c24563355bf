/* Text of others on one line of ours. */
#include "config/quote.h"

#include "relay/utf8.h"

static bool is_control(struct span character)
{
    uint8_t c = character.bytes[0];
    if (character.len == 1)
        return c < 0x20 || c == 0x7f;
    return character.len == 2 && c == 0xc2 && character.bytes[1] < 0xa0; /* U+0080 to U+009F */
}

static void write_character(struct span character, bool is_text, FILE *to)
{
    if (is_text && !is_control(character)) {
        fwrite(character.bytes, 1, character.len, to);
        return;
    }
    for (size_t i = 0; i < character.len; i++)
        fprintf(to, "\\x%02x", character.bytes[i]);
}

void quote_write(struct span text, size_t most, FILE *to)
{
    for (size_t at = 0; at < text.len;) {
        if (at >= most) {
            fputs("…", to);
            return;
        }
        int len = utf8_next(span_of(text.bytes + at, text.len - at));
        size_t step = (size_t)(len < 0 ? -len : len);
        write_character(span_of(text.bytes + at, step), len > 0, to);
        at += step;
    }
}
