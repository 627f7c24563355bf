/* Spans: comparing, trimming, cutting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "relay/hex.h"
#include "relay/span.h"

static void only_ascii_letters_have_no_case(void **state)
{
    (void)state;
    static const struct {
        struct span a, b;
        bool are_equal;
    } cases[] = {
        {{(const uint8_t *)"WebSocket-1", 11}, {(const uint8_t *)"wEBsOCKET-1", 11}, true},
        {{NULL, 0}, {(const uint8_t *)"", 0}, true},
        {{(const uint8_t *)"a\0B", 3}, {(const uint8_t *)"A\0b", 3}, true},
        {{(const uint8_t *)"a\0b", 3}, {(const uint8_t *)"a\0c", 3}, false},
        {{(const uint8_t *)"ab", 2}, {(const uint8_t *)"abc", 3}, false},
        {{(const uint8_t *)"@[`{", 4}, {(const uint8_t *)"`{@[", 4}, false},
        {{(const uint8_t *)"\xc4", 1}, {(const uint8_t *)"\xe4", 1}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool are_equal = span_equals_ignoring_case(cases[i].a, cases[i].b);
        if (are_equal != cases[i].are_equal)
            fail_msg("case %zu: %d instead of %d", i, are_equal, cases[i].are_equal);
    }
}

static struct span on_heap(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1); /* of its exact size: a sanitizer sees a step beyond the end */
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return span_of(copy, len);
}

static void one_other_byte_in_any_place_of_any_length_makes_a_difference(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 40; len++) {
        uint8_t bytes[40];
        memset(bytes, 'x', sizeof bytes);
        struct span a = on_heap(bytes, len), b = on_heap(bytes, len);
        uint8_t *place = (uint8_t *)(uintptr_t)b.bytes;
        assert_true(span_equals(a, b));
        for (size_t at = 0; at < len; at++) {
            place[at] ^= 1;
            assert_false(span_equals(a, b));
            place[at] ^= 1;
        }
        if (len > 0)
            assert_false(span_equals(a, span_of(b.bytes, len - 1)));
        free((void *)(uintptr_t)a.bytes);
        free(place);
    }
    assert_true(span_equals(SPAN_NONE, span_str("")));
}

static const char *text_of(struct span s)
{
    static char text[32];
    snprintf(text, sizeof text, "%.*s", (int)s.len, s.len > 0 ? (const char *)s.bytes : "");
    return text;
}

static void blanks_are_trimmed_at_both_ends_only(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {" \t a \tb\t ", "a \tb"}, {"ab", "ab"}, {" \t", ""}, {"", ""}, {"\ra\n", "\ra\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(text_of(span_trim(span_str(cases[i][0]))), cases[i][1]);
    assert_int_equal(span_trim(SPAN_NONE).len, 0);
}

static void a_cut_takes_what_is_before_and_leaves_what_is_behind(void **state)
{
    (void)state;
    struct span rest = span_str("a,,b"), before;
    assert_true(span_cut(&rest, ',', &before));
    assert_string_equal(text_of(before), "a");
    assert_true(span_cut(&rest, ',', &before));
    assert_string_equal(text_of(before), "");
    assert_false(span_cut(&rest, ',', &before));
    assert_string_equal(text_of(before), "b");
    assert_null(rest.bytes);
    assert_int_equal(rest.len, 0);
}

static void a_cut_at_the_last_character_leaves_an_empty_rest_that_is_there(void **state)
{
    (void)state;
    struct span rest = span_str("a,"), before;
    assert_true(span_cut(&rest, ',', &before));
    assert_string_equal(text_of(before), "a");
    assert_non_null(rest.bytes);
    assert_int_equal(rest.len, 0);
    assert_false(span_cut(&rest, ',', &before));
    assert_non_null(before.bytes);
    assert_null(rest.bytes);
    assert_false(span_cut(&rest, ',', &before));
    assert_int_equal(before.len, 0);
}

static void hexadecimal_digits_have_values_and_nothing_else_has(void **state)
{
    (void)state;
    static const char digits[] = "0123456789abcdefABCDEF";
    for (int c = 0; c < 256; c++) {
        const char *at = c > 0 ? strchr(digits, c) : NULL;
        int expected = !at ? -1 : at - digits < 16 ? (int)(at - digits) : (int)(at - digits - 6);
        if (hex_value((uint8_t)c) != expected)
            fail_msg("byte %d: %d instead of %d", c, hex_value((uint8_t)c), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_ascii_letters_have_no_case),
        cmocka_unit_test(one_other_byte_in_any_place_of_any_length_makes_a_difference),
        cmocka_unit_test(blanks_are_trimmed_at_both_ends_only),
        cmocka_unit_test(a_cut_takes_what_is_before_and_leaves_what_is_behind),
        cmocka_unit_test(a_cut_at_the_last_character_leaves_an_empty_rest_that_is_there),
        cmocka_unit_test(hexadecimal_digits_have_values_and_nothing_else_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
