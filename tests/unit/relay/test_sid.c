/* What is a sid, and what of it may be shown. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/sid.h"

static bool is_valid(const char *s)
{
    return sid_is_valid(span_str(s));
}

static void what_clients_use_is_a_sid(void **state)
{
    (void)state;
    assert_true(is_valid("0123456789abcdef0123456789abcdef"));
    assert_true(is_valid("3f2b1c9e-7d41-4b7a-9b0e-0c3f1a2d4e5f"));
    assert_true(is_valid("a"));
    assert_true(is_valid("a b+c/d?e=f&g:*[]"));
    assert_true(is_valid("\xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80"));
}

static void its_length_is_1_to_128_bytes(void **state)
{
    (void)state;
    char s[130];
    memset(s, 'x', sizeof s);
    assert_false(sid_is_valid(SPAN_NONE));
    assert_true(sid_is_valid(span_of(s, 128)));
    assert_false(sid_is_valid(span_of(s, 129)));
}

static void control_characters_are_no_part_of_it(void **state)
{
    (void)state;
    for (int c = 0; c < 0x20; c++) {
        char s[3] = {'a', (char)c, 'b'};
        assert_false(sid_is_valid(span_of(s, 3)));
    }
    assert_false(is_valid("a\x7f"));
    assert_false(is_valid("\xc2\x80"));
    assert_false(is_valid("\xc2\x9f"));
    assert_true(is_valid("\xc2\xa0"));
    assert_true(is_valid("~ "));
}

static void braces_are_no_part_of_it(void **state)
{
    (void)state;
    assert_false(is_valid("{"));
    assert_false(is_valid("a}b"));
    assert_true(is_valid("|"));
}

static void bytes_that_are_not_utf8_are_no_part_of_it(void **state)
{
    (void)state;
    assert_false(is_valid("\xff"));
    assert_false(is_valid("a\xc3"));
    assert_false(is_valid("\xed\xa0\x80"));
    assert_false(is_valid("\xc0\xaf"));
}

static const char *shortened(const char *sid)
{
    static char out[SID_SHORT_BYTES];
    memset(out, 'Z', sizeof out);
    sid_shorten(span_str(sid), out);
    return out;
}

static void at_most_half_of_a_sid_is_shown(void **state)
{
    (void)state;
    assert_string_equal(shortened("a"), "...");
    assert_string_equal(shortened("ab"), "a...");
    assert_string_equal(shortened("abc"), "a...");
    assert_string_equal(shortened("abcdefghijklmno"), "abcdefg...");
    assert_string_equal(shortened("abcdefghijklmnop"), "abcdefgh...");
    assert_string_equal(shortened(""), "");
}

static void at_most_eight_bytes_of_a_sid_are_shown(void **state)
{
    (void)state;
    assert_string_equal(shortened("0123456789abcdef0123456789abcdef"), "01234567...");
}

static void what_could_break_a_line_of_a_log_is_not_shown(void **state)
{
    (void)state;
    assert_string_equal(shortened("a\xc3\xa4 b\x1b[2Jxxxxxxxx"), "a???b?[2...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_use_is_a_sid),
        cmocka_unit_test(its_length_is_1_to_128_bytes),
        cmocka_unit_test(control_characters_are_no_part_of_it),
        cmocka_unit_test(braces_are_no_part_of_it),
        cmocka_unit_test(bytes_that_are_not_utf8_are_no_part_of_it),
        cmocka_unit_test(at_most_half_of_a_sid_is_shown),
        cmocka_unit_test(at_most_eight_bytes_of_a_sid_are_shown),
        cmocka_unit_test(what_could_break_a_line_of_a_log_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
