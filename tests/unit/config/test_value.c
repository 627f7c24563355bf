/* Numbers as options spell them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "config/value.h"

#define REFUSED UINT64_MAX

typedef int parse(const char *text, uint64_t *value);

struct spelling {
    const char *text;
    uint64_t value; /* REFUSED: none */
};

static void check_all(parse *p, const struct spelling *spellings)
{
    for (const struct spelling *s = spellings; s->text != NULL; s++) {
        uint64_t value = 0;
        int error = p(s->text, &value);
        if (s->value == REFUSED ? error != -EINVAL : error != 0 || value != s->value)
            fail_msg("\"%s\": expected %ju, got %ju and error %d", s->text, (uintmax_t)s->value,
                     (uintmax_t)value, error);
    }
}

static void a_time_needs_its_unit(void **state)
{
    static const struct spelling spellings[] = {{"250ms", 250},
                                                {"20s", 20000},
                                                {"3m", 180000},
                                                {"2h", 7200000},
                                                {"0", 0},
                                                {"0s", 0},
                                                {"007s", 7000},
                                                {"5", REFUSED},
                                                {"", REFUSED},
                                                {"s", REFUSED},
                                                {"-1s", REFUSED},
                                                {"+1s", REFUSED},
                                                {"1.5s", REFUSED},
                                                {"1 s", REFUSED},
                                                {" 1s", REFUSED},
                                                {"1s ", REFUSED},
                                                {"1S", REFUSED},
                                                {"1d", REFUSED},
                                                {"1ss", REFUSED},
                                                {"0x1s", REFUSED},
                                                {"18446744073709551616ms", REFUSED},
                                                {"18446744073709551615h", REFUSED},
                                                {NULL, 0}};
    (void)state;
    check_all(value_parse_time, spellings);
}

static void a_size_takes_binary_units_or_none(void **state)
{
    static const struct spelling spellings[] = {{"125", 125},
                                                {"8KiB", 8192},
                                                {"16MiB", 16777216},
                                                {"3GiB", 3221225472},
                                                {"0", 0},
                                                {"8KB", REFUSED},
                                                {"8k", REFUSED},
                                                {"8kib", REFUSED},
                                                {"8B", REFUSED},
                                                {"17179869184GiB", REFUSED},
                                                {NULL, 0}};
    (void)state;
    check_all(value_parse_bytes, spellings);
}

static void a_count_takes_no_unit(void **state)
{
    static const struct spelling spellings[] = {{"4096", 4096},  {"0", 0},         {"4096 ", REFUSED},
                                                {"4k", REFUSED}, {"1e3", REFUSED}, {NULL, 0}};
    (void)state;
    check_all(value_parse_count, spellings);
}

static void a_formatted_number_reads_back(void **state)
{
    static const uint64_t numbers[] = {0, 1, 999, 1000, 1001, 60000, 3600000, 604800000, UINT64_MAX - 1};
    char text[VALUE_TEXT_SIZE];
    uint64_t value;
    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        value_format_time(numbers[i], text);
        assert_int_equal(value_parse_time(text, &value), 0);
        assert_int_equal(value, numbers[i]);
        value_format_bytes(numbers[i], text);
        assert_int_equal(value_parse_bytes(text, &value), 0);
        assert_int_equal(value, numbers[i]);
    }
}

static void a_number_is_formatted_with_its_greatest_unit(void **state)
{
    char text[VALUE_TEXT_SIZE];
    (void)state;
    value_format_time(90000, text);
    assert_string_equal(text, "90s");
    value_format_time(7200000, text);
    assert_string_equal(text, "2h");
    value_format_bytes(16777216, text);
    assert_string_equal(text, "16MiB");
    value_format_bytes(1000, text);
    assert_string_equal(text, "1000");
    value_format_time(0, text);
    assert_string_equal(text, "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_needs_its_unit),
        cmocka_unit_test(a_size_takes_binary_units_or_none),
        cmocka_unit_test(a_count_takes_no_unit),
        cmocka_unit_test(a_formatted_number_reads_back),
        cmocka_unit_test(a_number_is_formatted_with_its_greatest_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
