#include "adapters/msgpack/quote.h"

#include "adapters/msgpack/plain.h"
#include "relay/utf8.h"

static uint8_t *put_escape(struct out *o, uint8_t *at, uint8_t c)
{
    static const char shorts[0x20] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    static const char hex[] = "0123456789abcdef";
    at = out_room(o, at, 6);
    at[0] = '\\';
    at[1] = c >= 0x20 ? c : (uint8_t)shorts[c]; /* '"' and '\' stand for themselves */
    if (at[1] != 0)
        return at + 2;
    memcpy(at + 1, "u00", 3);
    at[4] = (uint8_t)hex[c >> 4];
    at[5] = (uint8_t)hex[c & 15];
    return at + 6;
}

#define WIDE_MAX 4 /* bytes of a character */

/* A character that is not ASCII, or what stands for one that is not well-formed; takes it from the text. */
static uint8_t *put_wide(struct out *o, uint8_t *at, struct span *text)
{
    struct span s = *text;
    int n = utf8_next(s);
    size_t len = n < 0 ? (size_t)-n : (size_t)n;
    *text = span_of(s.bytes + len, s.len - len);
    if (n < 0)
        return out_literal(o, at, "\xef\xbf\xbd");
    at = out_room(o, at, WIDE_MAX);
    if (s.len >= WIDE_MAX)
        memcpy(at, s.bytes, WIDE_MAX); /* cheaper than just as many as it has */
    else
        memcpy(at, s.bytes, len);
    return at + len;
}

/* Text that begins with a character that is not plain: takes it, and those like it that follow. */
static uint8_t *put_special(struct out *o, uint8_t *at, struct span *text)
{
    if (text->bytes[0] < 0x80) {
        at = put_escape(o, at, text->bytes[0]);
        *text = span_of(text->bytes + 1, text->len - 1);
        return at;
    }
    while (text->len > 0 && text->bytes[0] >= 0x80)
        at = put_wide(o, at, text);
    return at;
}

/* Copies the plain bytes that a text begins with and returns how many they are. It may write PLAIN_STEP bytes more. */
static size_t copy_plain(uint8_t *to, struct span text, const uint8_t *readable_end)
{
    size_t at = 0, n;
    for (; text.len - at >= PLAIN_STEP; at += PLAIN_STEP) {
        n = plain_copy(to + at, text.bytes + at);
        if (n < PLAIN_STEP)
            return at + n;
    }
    size_t left = text.len - at;
    if (left == 0)
        return at;
    size_t readable = (size_t)(readable_end - (text.bytes + at));
    n = readable >= PLAIN_STEP ? plain_copy(to + at, text.bytes + at)
                               : plain_copy_last(to + at, text.bytes + at, readable);
    return at + (n < left ? n : left);
}

uint8_t *quote_text(struct out *o, uint8_t *at, struct span text, const uint8_t *readable_end)
{
    if (!out_has_room(o, &at, 1 + text.len + PLAIN_STEP))
        return at;
    *at++ = '"';
    for (;;) {
        size_t n = copy_plain(at, text, readable_end);
        at += n;
        if (n == text.len)
            break;
        text = span_of(text.bytes + n, text.len - n);
        at = put_special(o, at, &text);
        if (!out_has_room(o, &at, text.len + PLAIN_STEP))
            return at;
    }
    *at++ = '"'; /* of the room behind the text */
    return at;
}

static void put_base64(uint8_t *to, const uint8_t *from, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t b[3] = {0};
    memcpy(b, from, n < 3 ? n : 3);
    uint32_t bits = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
    to[0] = (uint8_t)digits[bits >> 18];
    to[1] = (uint8_t)digits[bits >> 12 & 63];
    to[2] = (uint8_t)(n > 1 ? digits[bits >> 6 & 63] : '=');
    to[3] = (uint8_t)(n > 2 ? digits[bits & 63] : '=');
}

uint8_t *quote_base64(struct out *o, uint8_t *at, struct span bytes)
{
    if (!out_has_room(o, &at, (bytes.len + 2) / 3 * 4 + 2))
        return at;
    *at++ = '"';
    for (size_t i = 0; i < bytes.len; i += 3, at += 4)
        put_base64(at, bytes.bytes + i, bytes.len - i);
    *at++ = '"';
    return at;
}
