/* The ids of entries of a stream. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "relay/stream_id.h"

static void expect_id(const char *text, uint64_t ms, uint64_t n)
{
    struct stream_id id = {77, 77};
    char again[STREAM_ID_TEXT_BYTES];
    if (!stream_id_parse(span_str(text), &id))
        fail_msg("\"%s\" was not taken for an id", text);
    assert_int_equal(id.ms, ms);
    assert_int_equal(id.n, n);
    assert_int_equal(stream_id_format(id, again), strlen(text));
    assert_string_equal(again, text);
}

static void ids_are_read_and_written_as_redis_writes_them(void **state)
{
    (void)state;
    expect_id("0-0", 0, 0);
    expect_id("1526919030474-55", 1526919030474, 55);
    expect_id("1526919030474-0", 1526919030474, 0);
    expect_id("0-1", 0, 1);
    expect_id("18446744073709551615-18446744073709551615", UINT64_MAX, UINT64_MAX);
    assert_int_equal(strlen("18446744073709551615-18446744073709551615") + 1, STREAM_ID_TEXT_BYTES);
}

static void nothing_at_all_is_no_id(void **state)
{
    (void)state;
    struct stream_id id;
    assert_false(stream_id_parse(SPAN_NONE, &id));
    assert_false(stream_id_parse(span_of("5-", 2), &id));
}

static void what_is_no_id_is_not_taken_for_one(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "-",
        "5",
        "5-",
        "-5",
        "5-5-5",
        "5-5 ",
        " 5-5",
        "+5-5",
        "5-+5",
        "-5-5",
        "5--5",
        "5-*",
        "$",
        ">",
        "*",
        "a-5",
        "5-a",
        "5 5",
        "5.0-5",
        "05-5",
        "5-05",
        "00-0",
        "0-00",
        "0x5-5",
        "18446744073709551616-0",
        "0-18446744073709551616",
        "99999999999999999999999-1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct stream_id id;
        if (stream_id_parse(span_str(texts[i]), &id))
            fail_msg("\"%s\" was taken for %llu-%llu", texts[i], (unsigned long long)id.ms,
                     (unsigned long long)id.n);
    }
}

static void a_zero_in_the_middle_of_the_bytes_ends_no_id(void **state)
{
    (void)state;
    struct stream_id id;
    assert_false(stream_id_parse(span_of("5-5\0", 4), &id));
    assert_false(stream_id_parse(span_of("5\0-5", 4), &id));
    assert_true(stream_id_parse(span_of("5-57", 3), &id));
    assert_int_equal(id.n, 5);
}

static void ids_have_the_order_of_time(void **state)
{
    (void)state;
    static const struct stream_id ordered[] = {{0, 0}, {0, 1}, {0, UINT64_MAX}, {1, 0},
                                               {5, 3}, {5, 4}, {6, 0},          {UINT64_MAX, UINT64_MAX}};
    size_t n = sizeof ordered / sizeof *ordered;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            int order = stream_id_compare(ordered[i], ordered[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

static void expect_before(struct stream_id id, uint64_t ms, uint64_t n)
{
    struct stream_id before = stream_id_before(id);
    assert_int_equal(before.ms, ms);
    assert_int_equal(before.n, n);
}

static void the_id_before_is_the_next_lower_one(void **state)
{
    (void)state;
    expect_before((struct stream_id){5, 3}, 5, 2);
    expect_before((struct stream_id){5, 0}, 4, UINT64_MAX);
    expect_before((struct stream_id){0, 1}, 0, 0);
    expect_before(STREAM_ID_NONE, 0, 0);
    expect_before(STREAM_ID_MAX, UINT64_MAX, UINT64_MAX - 1);
}

static void none_is_before_every_entry(void **state)
{
    (void)state;
    assert_true(stream_id_is_none(STREAM_ID_NONE));
    assert_false(stream_id_is_none((struct stream_id){0, 1}));
    assert_false(stream_id_is_none((struct stream_id){1, 0}));
    assert_true(stream_id_compare(STREAM_ID_NONE, (struct stream_id){0, 1}) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_read_and_written_as_redis_writes_them),
        cmocka_unit_test(nothing_at_all_is_no_id),
        cmocka_unit_test(what_is_no_id_is_not_taken_for_one),
        cmocka_unit_test(a_zero_in_the_middle_of_the_bytes_ends_no_id),
        cmocka_unit_test(ids_have_the_order_of_time),
        cmocka_unit_test(the_id_before_is_the_next_lower_one),
        cmocka_unit_test(none_is_before_every_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
