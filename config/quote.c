/* Text of others on one line of ours. */
#include "config/quote.h"

#include "relay/utf8.h"

static void write_character(struct span character, bool is_text, FILE *to)
{
    if (is_text && !utf8_is_control(character)) {
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
