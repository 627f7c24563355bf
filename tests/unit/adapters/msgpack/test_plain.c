/* The ways to copy plain text do the same. */
#include "tests/unit/adapters/msgpack/messages.h"

#include <stdlib.h>

#include "adapters/msgpack/plain.h"

enum { ROUNDS = 20000, ALIGNMENTS = 64, BEHIND = 0xee };

/* Both find as many bytes, and copy all sixteen and none behind them. */
static void expect_same(const uint8_t *from)
{
    uint8_t vector[PLAIN_STEP + 1], bytewise[PLAIN_STEP + 1];
    vector[PLAIN_STEP] = bytewise[PLAIN_STEP] = BEHIND;
    assert_int_equal(plain_copy(vector, from), plain_copy_bytewise(bytewise, from));
    assert_memory_equal(vector, bytewise, sizeof vector);
    assert_memory_equal(vector, from, PLAIN_STEP);
    assert_int_equal(vector[PLAIN_STEP], BEHIND);
}

static void every_byte_in_every_place_is_judged_alike_both_ways(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < PLAIN_STEP; at++) {
            uint8_t bytes[PLAIN_STEP];
            memset(bytes, 'x', sizeof bytes);
            bytes[at] = (uint8_t)c;
            expect_same(bytes);
        }
    }
}

static void random_bytes_are_judged_alike_both_ways_wherever_in_memory_they_are(void **state)
{
    (void)state;
    uint8_t bytes[ALIGNMENTS + PLAIN_STEP];
    srandom(1);
    for (int i = 0; i < ROUNDS; i++) {
        for (size_t at = 0; at < sizeof bytes; at++) /* most of them plain, else the first ends it */
            bytes[at] = (uint8_t)(random() % 16 ? 0x23 + random() % 0x39 : random());
        expect_same(bytes + i % ALIGNMENTS);
    }
}

static void only_printable_ascii_without_quotes_and_backslashes_is_plain(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        uint8_t bytes[PLAIN_STEP] = {(uint8_t)c, '\n'}, out[PLAIN_STEP];
        size_t expected = c >= 0x20 && c <= 0x7f && c != '"' && c != '\\';
        assert_int_equal(plain_copy_bytewise(out, bytes), expected);
    }
}

/* The sanitizer sees to it that no more is read. */
static void near_the_end_no_more_is_read_than_there_is(void **state)
{
    (void)state;
    for (size_t readable = 0; readable < PLAIN_STEP; readable++) {
        for (size_t at = 0; at <= readable; at++) {
            uint8_t bytes[PLAIN_STEP], out[PLAIN_STEP];
            memset(bytes, 'x', sizeof bytes);
            bytes[at] = '"';
            struct span exact = exact_copy(span_of(bytes, readable));
            assert_int_equal(plain_copy_last(out, exact.bytes, readable), at);
            assert_memory_equal(out, bytes, readable);
            free_copy(exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_in_every_place_is_judged_alike_both_ways),
        cmocka_unit_test(random_bytes_are_judged_alike_both_ways_wherever_in_memory_they_are),
        cmocka_unit_test(only_printable_ascii_without_quotes_and_backslashes_is_plain),
        cmocka_unit_test(near_the_end_no_more_is_read_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
