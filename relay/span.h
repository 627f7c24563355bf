/* A span: borrowed bytes, and how many. It owns nothing and is valid as long as what it points into. */
#ifndef RELAY_SPAN_H
#define RELAY_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *bytes; /* may be NULL when len is 0 */
    size_t len;
};

#define SPAN_NONE ((struct span){NULL, 0})

/* Initializes a span with a string literal, whose length the compiler knows. */
#define SPAN_LITERAL(s)                     \
    {                                       \
        (const uint8_t *)(s), sizeof(s) - 1 \
    }

static inline struct span span_of(const void *bytes, size_t len)
{
    return (struct span){bytes, len};
}

static inline struct span span_str(const char *s)
{
    return (struct span){(const uint8_t *)s, strlen(s)};
}

static inline uint64_t span_word(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline uint32_t span_half_word(const uint8_t *bytes)
{
    uint32_t half;
    memcpy(&half, bytes, sizeof half);
    return half;
}

/* Names are short, mostly: two words, which may overlap, are sooner compared than a function is called. */
static inline bool span_equals(struct span a, struct span b)
{
    size_t n = a.len;
    if (n != b.len)
        return false;
    if (n >= 8 && n <= 16)
        return span_word(a.bytes) == span_word(b.bytes) &&
               span_word(a.bytes + n - 8) == span_word(b.bytes + n - 8);
    if (n >= 4 && n < 8)
        return span_half_word(a.bytes) == span_half_word(b.bytes) &&
               span_half_word(a.bytes + n - 4) == span_half_word(b.bytes + n - 4);
    return n == 0 || memcmp(a.bytes, b.bytes, n) == 0;
}

static inline bool span_is(struct span a, const char *s)
{
    return span_equals(a, span_str(s));
}

static inline bool span_starts_with(struct span a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.len >= n && memcmp(a.bytes, prefix, n) == 0;
}

/* ASCII letters have no case here; all else must be equal. */
bool span_equals_ignoring_case(struct span a, struct span b);

/* Without the blanks (space, tab) at both ends. */
struct span span_trim(struct span s);

/* Cuts what is before the first c off *s, and that c. False when there is none: then *before is all of it, and
 * *s is SPAN_NONE. */
bool span_cut(struct span *s, char c, struct span *before);

#endif
