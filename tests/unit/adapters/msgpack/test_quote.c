/* Text in quotes, against the rules written out byte for byte. */
#include "tests/unit/adapters/msgpack/messages.h"

#include <stdio.h>

#include "adapters/msgpack/quote.h"
#include "relay/utf8.h"

enum { LEN_MAX = 64, JSON_MAX = 2 + 6 * LEN_MAX, ALIGNMENTS = 16, BEHIND_MAX = 20, ROUNDS = 20000 };

static size_t escape(char *to, struct span text, size_t len)
{
    static const char *const shorts[0x20] = {
        ['\b'] = "\\b", ['\f'] = "\\f", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t"};
    uint8_t c = text.bytes[0];
    if (c == '"' || c == '\\')
        return (size_t)sprintf(to, "\\%c", c);
    if (c < 0x20)
        return (size_t)(shorts[c] ? sprintf(to, "%s", shorts[c]) : sprintf(to, "\\u%04x", c));
    memcpy(to, text.bytes, len);
    return len;
}

static size_t expected_json(char to[static JSON_MAX + 1], struct span text)
{
    size_t at = 0;
    to[at++] = '"';
    while (text.len > 0) {
        int n = utf8_next(text);
        size_t len = (size_t)(n < 0 ? -n : n);
        at += n < 0 ? (size_t)sprintf(to + at, "\xef\xbf\xbd") : escape(to + at, text, len);
        text = span_of(text.bytes + len, text.len - len);
    }
    to[at++] = '"';
    return at;
}

/* Whatever may be read behind the text. The sanitizer sees to it that no more is. */
static void expect_quoted(struct span text, struct span readable)
{
    char expected[JSON_MAX + 1];
    size_t len = expected_json(expected, text);
    struct frame_builder b;
    struct out o;
    frame_builder_init(&b, 0);
    out_init(&o, &b);
    o.at = quote_text(&o, o.at, text, readable.bytes + readable.len);
    out_flush(&o);
    struct frame *f = frame_builder_finish(&b, FRAME_TEXT);
    assert_int_equal(frame_payload(f).len, len);
    assert_memory_equal(frame_payload(f).bytes, expected, len);
    frame_unref(f);
}

static void every_byte_is_quoted_by_the_rules_in_every_place_of_every_length(void **state)
{
    (void)state;
    for (size_t len = 1; len <= LEN_MAX; len++) {
        uint8_t bytes[LEN_MAX];
        memset(bytes, 'x', sizeof bytes);
        struct span text = exact_copy(span_of(bytes, len));
        uint8_t *place = (uint8_t *)(uintptr_t)text.bytes;
        for (size_t at = 0; at < len; place[at++] = 'x') {
            for (unsigned c = 0; c < 256; c++) {
                place[at] = (uint8_t)c;
                expect_quoted(text, text);
            }
        }
        free_copy(text);
    }
}

/* Mostly plain, with characters of two to four bytes, cut ones, escapes. */
static void fill(uint8_t *bytes, size_t len)
{
    static const char *const pieces[] = {
        "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82", "\xe2\x82", "\xff", "\n", "\"", "\\", "\x01"};
    size_t at = 0;
    while (at < len) {
        const char *piece = random() % 8 ? "x" : pieces[random() % 9];
        size_t n = strlen(piece) < len - at ? strlen(piece) : len - at;
        memcpy(bytes + at, piece, n);
        at += n;
    }
}

static void random_text_is_quoted_by_the_rules_wherever_it_is_and_whatever_follows(void **state)
{
    (void)state;
    srandom(1);
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t bytes[ALIGNMENTS + LEN_MAX + BEHIND_MAX];
        size_t begin = (size_t)random() % ALIGNMENTS, len = (size_t)random() % (LEN_MAX + 1),
               behind = (size_t)random() % BEHIND_MAX;
        memset(bytes, 'x', sizeof bytes);
        fill(bytes + begin, len);
        struct span all = exact_copy(span_of(bytes, begin + len + behind));
        expect_quoted(span_of(all.bytes + begin, len), all);
        free_copy(all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_quoted_by_the_rules_in_every_place_of_every_length),
        cmocka_unit_test(random_text_is_quoted_by_the_rules_wherever_it_is_and_whatever_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
