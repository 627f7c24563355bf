/* UTF-8, character by character. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/utf8.h"

static int next(const char *s, size_t len)
{
    return utf8_next(span_of(s, len));
}

static void well_formed_characters_of_each_length_are_measured(void **state)
{
    (void)state;
    assert_int_equal(next("a", 1), 1);
    assert_int_equal(next("\0", 1), 1);
    assert_int_equal(next("\x7f", 1), 1);
    assert_int_equal(next("\xc2\x80", 2), 2);
    assert_int_equal(next("\xdf\xbf", 2), 2);
    assert_int_equal(next("\xe0\xa0\x80", 3), 3);
    assert_int_equal(next("\xef\xbf\xbf", 3), 3);
    assert_int_equal(next("\xf0\x90\x80\x80", 4), 4);
    assert_int_equal(next("\xf4\x8f\xbf\xbf", 4), 4);
}

static void only_the_first_character_is_looked_at(void **state)
{
    (void)state;
    assert_int_equal(next("a\xff", 2), 1);
    assert_int_equal(next("\xc3\xa4\xff", 3), 2);
}

static void overlong_forms_surrogates_and_what_is_beyond_the_last_plane_are_ill_formed(void **state)
{
    (void)state;
    assert_int_equal(next("\xc0\x80", 2), -1);
    assert_int_equal(next("\xc1\xbf", 2), -1);
    assert_int_equal(next("\xe0\x9f\xbf", 3), -1);
    assert_int_equal(next("\xed\xa0\x80", 3), -1);
    assert_int_equal(next("\xed\xbf\xbf", 3), -1);
    assert_int_equal(next("\xf0\x8f\xbf\xbf", 4), -1);
    assert_int_equal(next("\xf4\x90\x80\x80", 4), -1);
    assert_int_equal(next("\xf5\x80\x80\x80", 4), -1);
    assert_int_equal(next("\x80", 1), -1);
    assert_int_equal(next("\xff", 1), -1);
}

static void the_neighbours_of_surrogates_are_well_formed(void **state)
{
    (void)state;
    assert_int_equal(next("\xed\x9f\xbf", 3), 3);
    assert_int_equal(next("\xee\x80\x80", 3), 3);
}

static void a_truncated_character_is_as_long_as_what_is_there_of_it(void **state)
{
    (void)state;
    assert_int_equal(next("\xc3", 1), -1);
    assert_int_equal(next("\xe2\x82", 2), -2);
    assert_int_equal(next("\xf0\x9f\x98", 3), -3);
    assert_int_equal(next("\xf0\x9f\x98"
                          "a",
                          4),
                     -3);
    assert_int_equal(next("\xe2\x82"
                          "a",
                          3),
                     -2);
    assert_int_equal(next("\xf0\x9f"
                          "a",
                          3),
                     -2);
}

/* How many U+FFFD a browser shows for the bytes; well-formed characters do not count. */
static size_t replacements(const char *s, size_t len)
{
    struct span rest = span_of(s, len);
    size_t count = 0;
    while (rest.len > 0) {
        int n = utf8_next(rest);
        size_t step = (size_t)(n > 0 ? n : -n);
        count += n < 0;
        rest = span_of(rest.bytes + step, rest.len - step);
    }
    return count;
}

/* Unicode 15, section 3.9, tables 3-8 to 3-11. */
static void maximal_subparts_are_those_of_the_standard(void **state)
{
    (void)state;
    assert_int_equal(replacements("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", 9), 8);
    assert_int_equal(replacements("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", 9), 8);
    assert_int_equal(replacements("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", 9), 7);
    assert_int_equal(replacements("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9), 4);
}

/* Every code point, encoded by the book, is one character; the surrogates are none. */
static void every_code_point_is_recognised(void **state)
{
    (void)state;
    for (uint32_t c = 0x80; c <= 0x10ffff; c++) {
        uint8_t s[4] = {(uint8_t)(0xf0 | c >> 18), (uint8_t)(0x80 | (c >> 12 & 0x3f)),
                        (uint8_t)(0x80 | (c >> 6 & 0x3f)), (uint8_t)(0x80 | (c & 0x3f))};
        int len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (len == 3)
            s[1] = (uint8_t)(0xe0 | c >> 12);
        if (len == 2)
            s[2] = (uint8_t)(0xc0 | c >> 6);
        int got = utf8_next(span_of(s + 4 - len, (size_t)len));
        assert_int_equal(got, c >= 0xd800 && c <= 0xdfff ? -1 : len);
    }
}

static void controls_are_told_apart_from_their_neighbours(void **state)
{
    (void)state;
    static const char *const controls[] = {"\x01", "\n", "\x1f", "\x7f", "\xc2\x80", "\xc2\x9f"};
    static const char *const others[] = {
        " ", "~", "\xc2\xa0", "\xc3\x80", "\xe2\x80\x80", "\xf0\x90\x80\x80"};
    assert_true(utf8_is_control(span_of("", 1)));
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        if (!utf8_is_control(span_str(controls[i])))
            fail_msg("control %zu is none", i);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (utf8_is_control(span_str(others[i])))
            fail_msg("other %zu is a control", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_characters_of_each_length_are_measured),
        cmocka_unit_test(only_the_first_character_is_looked_at),
        cmocka_unit_test(overlong_forms_surrogates_and_what_is_beyond_the_last_plane_are_ill_formed),
        cmocka_unit_test(the_neighbours_of_surrogates_are_well_formed),
        cmocka_unit_test(a_truncated_character_is_as_long_as_what_is_there_of_it),
        cmocka_unit_test(maximal_subparts_are_those_of_the_standard),
        cmocka_unit_test(every_code_point_is_recognised),
        cmocka_unit_test(controls_are_told_apart_from_their_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
