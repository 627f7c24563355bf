/* SipHash-1-3. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "relay/hash.h"

static const uint64_t zeros[2] = {0, 0};

/* Python hashes bytes by SipHash-1-3 since 3.11: what PYTHONHASHSEED=0 python3 -c 'print(hash(b"a"))' says,
 * as an unsigned number. With 1 its seed is the one of the second table. */
static void it_agrees_with_another_implementation(void **state)
{
    (void)state;
    uint8_t counted[63];
    for (uint8_t i = 0; i < sizeof counted; i++)
        counted[i] = i;
    assert_int_equal(hash_bytes(span_str("a"), zeros), 0x407448d2b89b1813);
    assert_int_equal(hash_bytes(span_str("abcdefg"), zeros), 0x6db12aae9070f506);
    assert_int_equal(hash_bytes(span_str("abcdefgh"), zeros), 0x3f7b849c0b8e35ea);
    assert_int_equal(hash_bytes(span_str("abcdefghi"), zeros), 0xf89b34a3d11eb6e5);
    assert_int_equal(hash_bytes(span_of(counted, 15), zeros), 0xf30eb725bb91c9ea);
    assert_int_equal(hash_bytes(span_of(counted, 16), zeros), 0x8972188433a5c5b7);
    assert_int_equal(hash_bytes(span_of(counted, 63), zeros), 0x385d3e39e5f37359);
}

/* Of 8 to 15 bytes, counted from 0, by the same. */
static void it_agrees_whatever_is_left_of_the_last_word(void **state)
{
    (void)state;
    static const uint64_t expected[8] = {0xead411e67ebe2eea, 0x75927f9d95124362, 0xaf9f77a65ab51a1d,
                                         0xfe64ce8b6617fcff, 0xa6baf4fb0f9fe1c2, 0xa0cf3211850f8e0d,
                                         0x7f86049379fbfe67, 0xf30eb725bb91c9ea};
    static const uint8_t counted[15] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    for (size_t left = 0; left < 8; left++)
        assert_int_equal(hash_bytes(span_of(counted, 8 + left), zeros), expected[left]);
}

static void it_agrees_with_another_implementation_under_a_seed(void **state)
{
    (void)state;
    const uint64_t seed[2] = {0xaed66ce184be2329, 0xebe9bbf1f1499052};
    assert_int_equal(hash_bytes(span_str("a"), seed), 0xd6300bc9f7cc0e73);
    assert_int_equal(hash_bytes(span_str("abcdefgh"), seed), 0xfd3011ff3947e7f4);
}

static void both_halves_of_the_seed_matter(void **state)
{
    (void)state;
    const uint64_t first[2] = {1, 0}, second[2] = {0, 1};
    uint64_t h = hash_bytes(span_str("abc"), zeros);
    assert_int_not_equal(h, hash_bytes(span_str("abc"), first));
    assert_int_not_equal(h, hash_bytes(span_str("abc"), second));
    assert_int_not_equal(hash_bytes(span_str("abc"), first), hash_bytes(span_str("abc"), second));
}

static void trailing_zeros_matter(void **state)
{
    (void)state;
    static const uint8_t nothing[64];
    for (size_t n = 0; n + 1 < sizeof nothing; n++)
        assert_int_not_equal(hash_bytes(span_of(nothing, n), zeros),
                             hash_bytes(span_of(nothing, n + 1), zeros));
}

static void nothing_at_all_has_a_hash(void **state)
{
    (void)state;
    assert_int_equal(hash_bytes(SPAN_NONE, zeros), hash_bytes(span_str(""), zeros));
}

static void bytes_need_not_be_aligned(void **state)
{
    (void)state;
    uint8_t copies[8][32];
    for (size_t i = 0; i < 8; i++) {
        memcpy(copies[i] + i, "a text of 21 bytes...", 21);
        assert_int_equal(hash_bytes(span_of(copies[i] + i, 21), zeros),
                         hash_bytes(span_of(copies[0], 21), zeros));
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* All of 0 to 2 bytes and some 35,000 of 3. */
static void a_hundred_thousand_short_keys_do_not_collide(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    uint64_t *hashes = malloc(COUNT * sizeof *hashes);
    assert_non_null(hashes);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint8_t key[3] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)};
        hashes[i] = hash_bytes(span_of(key, i < 256 ? 1 : i < 65536 ? 2 : 3), zeros);
    }
    qsort(hashes, COUNT, sizeof *hashes, compare);
    for (size_t i = 1; i < COUNT; i++)
        assert_int_not_equal(hashes[i - 1], hashes[i]);
    free(hashes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_another_implementation),
        cmocka_unit_test(it_agrees_whatever_is_left_of_the_last_word),
        cmocka_unit_test(it_agrees_with_another_implementation_under_a_seed),
        cmocka_unit_test(both_halves_of_the_seed_matter),
        cmocka_unit_test(trailing_zeros_matter),
        cmocka_unit_test(nothing_at_all_has_a_hash),
        cmocka_unit_test(bytes_need_not_be_aligned),
        cmocka_unit_test(a_hundred_thousand_short_keys_do_not_collide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
