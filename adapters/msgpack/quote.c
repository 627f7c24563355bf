#include "adapters/msgpack/quote.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "relay/utf8.h"

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

size_t quote_plain_bytewise(uint8_t *to, struct span text)
{
    size_t i = 0;
    for (; i < text.len && is_plain(text.bytes[i]); i++)
        to[i] = text.bytes[i];
    return i;
}

#ifdef __SSE2__
/* Sixteen bytes at a time. As signed numbers those from 0x80 are negative: one comparison finds them and the
 * control characters. What is read behind the text is masked out, what is written behind it is overwritten
 * later. */
size_t quote_plain(uint8_t *to, struct span text, const uint8_t *readable_end)
{
    const __m128i space = _mm_set1_epi8(' '), quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    size_t i = 0;
    for (; i < text.len && readable_end - (text.bytes + i) >= 16; i += 16) {
        __m128i chunk = _mm_loadu_si128((const __m128i *)(text.bytes + i));
        __m128i special =
            _mm_or_si128(_mm_cmplt_epi8(chunk, space),
                         _mm_or_si128(_mm_cmpeq_epi8(chunk, quote), _mm_cmpeq_epi8(chunk, backslash)));
        unsigned found = (unsigned)_mm_movemask_epi8(special);
        _mm_storeu_si128((__m128i *)(to + i), chunk);
        if (text.len - i < 16)
            found |= 1U << (text.len - i); /* the end counts as found */
        if (found)
            return i + (size_t)__builtin_ctz(found);
    }
    return i >= text.len ? text.len : i + quote_plain_bytewise(to + i, span_of(text.bytes + i, text.len - i));
}
#else
size_t quote_plain(uint8_t *to, struct span text, const uint8_t *readable_end)
{
    (void)readable_end;
    return quote_plain_bytewise(to, text);
}
#endif

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

/* Writes one character that is not plain and takes it from the text. */
static uint8_t *put_special(struct out *o, uint8_t *at, struct span *text)
{
    struct span s = *text;
    if (s.bytes[0] < 0x80) {
        *text = span_of(s.bytes + 1, s.len - 1);
        return put_escape(o, at, s.bytes[0]);
    }
    int n = utf8_next(s);
    size_t len = n < 0 ? (size_t)-n : (size_t)n;
    *text = span_of(s.bytes + len, s.len - len);
    return n < 0 ? out_literal(o, at, "\xef\xbf\xbd") : out_small(o, at, (const char *)s.bytes, len);
}

/* Text that begins with a character that is not plain. */
static uint8_t *put_mixed(struct out *o, uint8_t *at, struct span text, const uint8_t *readable_end)
{
    while (text.len > 0) {
        at = put_special(o, at, &text);
        at = out_room(o, at, text.len + QUOTE_SLACK);
        if (!out_is_wanted(o)) /* memory has run out just now */
            break;
        size_t n = quote_plain(at, text, readable_end);
        at += n;
        text = span_of(text.bytes + n, text.len - n);
    }
    return at;
}

uint8_t *quote_text(struct out *o, uint8_t *at, struct span text, const uint8_t *readable_end)
{
    if (!out_is_wanted(o))
        return at;
    at = out_room(o, at, text.len + QUOTE_SLACK + 2);
    if (!out_is_wanted(o))
        return at;
    *at++ = '"';
    size_t n = quote_plain(at, text, readable_end);
    at += n;
    if (n < text.len)
        at = put_mixed(o, at, span_of(text.bytes + n, text.len - n), readable_end);
    return out_byte(o, at, '"');
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
    if (!out_is_wanted(o))
        return at;
    at = out_room(o, at, (bytes.len + 2) / 3 * 4 + 2);
    if (!out_is_wanted(o))
        return at;
    *at++ = '"';
    for (size_t i = 0; i < bytes.len; i += 3, at += 4)
        put_base64(at, bytes.bytes + i, bytes.len - i);
    *at++ = '"';
    return at;
}
