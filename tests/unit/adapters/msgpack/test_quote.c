/* The two ways to copy plain text do the same. */
#include "tests/unit/adapters/msgpack/messages.h"

#include "adapters/msgpack/quote.h"

enum { LEN_MAX = 70 };

/* Both find the same length and copy the same bytes, with this many readable bytes behind the text. */
static void expect_same(struct span text, size_t behind)
{
    uint8_t fast[LEN_MAX + QUOTE_SLACK], plain[LEN_MAX + QUOTE_SLACK];
    size_t n = quote_plain_bytewise(plain, text);
    assert_int_equal(quote_plain(fast, text, text.bytes + text.len + behind), n);
    assert_memory_equal(fast, plain, n);
}

static void both_ways_stop_at_the_same_byte_whatever_byte_it_is(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t len = 1; len <= LEN_MAX; len += 3) {
            uint8_t bytes[LEN_MAX];
            memset(bytes, 'x', sizeof bytes);
            bytes[len / 2] = (uint8_t)c;
            struct span text = exact_copy(span_of(bytes, len));
            expect_same(text, 0);
            free_copy(text);
        }
    }
}

static void both_ways_stop_at_the_same_place_wherever_it_is(void **state)
{
    (void)state;
    for (size_t len = 0; len <= LEN_MAX; len++) {
        for (size_t at = 0; at <= len; at++) {
            uint8_t bytes[LEN_MAX + 1 + 20];
            memset(bytes, '"', sizeof bytes); /* what is behind must not count */
            memset(bytes, 'x', len);
            bytes[at] = '\\';
            for (size_t behind = 0; behind <= 20; behind++)
                expect_same(span_of(bytes, len), behind);
        }
    }
}

static void only_printable_ascii_without_quotes_and_backslashes_is_plain(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c, out[1 + QUOTE_SLACK];
        size_t expected = c >= 0x20 && c <= 0x7f && c != '"' && c != '\\';
        assert_int_equal(quote_plain_bytewise(out, span_of(&byte, 1)), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_stop_at_the_same_byte_whatever_byte_it_is),
        cmocka_unit_test(both_ways_stop_at_the_same_place_wherever_it_is),
        cmocka_unit_test(only_printable_ascii_without_quotes_and_backslashes_is_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
