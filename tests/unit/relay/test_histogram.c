/* A histogram of times. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "relay/histogram.h"

static void a_bound_holds_what_is_equal_to_it_and_not_what_is_more(void **state)
{
    struct histogram h = {.sum_ms = 0};
    (void)state;
    histogram_add(&h, 0, 1);
    histogram_add(&h, 1, 1);
    histogram_add(&h, 2, 1);
    histogram_add(&h, 3, 1);
    assert_int_equal(h.counts[0], 2);
    assert_int_equal(h.counts[1], 1);
    assert_int_equal(h.counts[2], 1);
    assert_int_equal(h.sum_ms, 6);
}

static void what_is_beyond_all_bounds_is_counted_too(void **state)
{
    struct histogram h = {.sum_ms = 0};
    (void)state;
    histogram_add(&h, 10000, 1);
    histogram_add(&h, 10001, 1);
    histogram_add(&h, 3600000, 2);
    assert_int_equal(h.counts[HISTOGRAM_BOUNDS_COUNT - 1], 1);
    assert_int_equal(h.counts[HISTOGRAM_BOUNDS_COUNT], 3);
}

static void many_of_one_length_count_as_often(void **state)
{
    struct histogram h = {.sum_ms = 0};
    (void)state;
    histogram_add(&h, 7, 64);
    assert_int_equal(h.counts[3], 64);
    assert_int_equal(h.sum_ms, 7 * 64);
}

static void bounds_go_up_and_are_told_in_seconds(void **state)
{
    static const double bounds_ms[] = {
#define BOUND(ms, text) ms,
        HISTOGRAM_BOUNDS(BOUND)};
    (void)state;
    for (int i = 0; i < HISTOGRAM_BOUNDS_COUNT; i++) {
        assert_int_equal((int)(atof(histogram_bound(i)) * 1000 + 0.5), (int)bounds_ms[i]);
        assert_true(i == 0 || bounds_ms[i] > bounds_ms[i - 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_holds_what_is_equal_to_it_and_not_what_is_more),
        cmocka_unit_test(what_is_beyond_all_bounds_is_counted_too),
        cmocka_unit_test(many_of_one_length_count_as_often),
        cmocka_unit_test(bounds_go_up_and_are_told_in_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
