/* A histogram of times. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/histogram.h"

static void a_bound_holds_what_is_equal_to_it_and_not_what_is_more(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
        struct histogram h = {.sum_ms = 0};
        histogram_add(&h, histogram_bound_ms(i), 1);
        histogram_add(&h, histogram_bound_ms(i) + 1, 1);
        assert_int_equal(h.counts[i], 1);
        assert_int_equal(h.counts[i + 1], 1);
        assert_int_equal(h.sum_ms, 2 * histogram_bound_ms(i) + 1);
    }
}

static void no_time_at_all_is_within_the_first_bound(void **state)
{
    struct histogram h = {.sum_ms = 0};
    (void)state;
    histogram_add(&h, 0, 3);
    assert_int_equal(h.counts[0], 3);
    assert_int_equal(h.sum_ms, 0);
}

static void whatever_is_beyond_all_bounds_is_counted_too(void **state)
{
    struct histogram h = {.sum_ms = 0};
    (void)state;
    histogram_add(&h, 3600000, 1);
    histogram_add(&h, UINT64_C(1) << 62, 1);
    assert_int_equal(h.counts[HISTOGRAM_BOUNDS], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_holds_what_is_equal_to_it_and_not_what_is_more),
        cmocka_unit_test(no_time_at_all_is_within_the_first_bound),
        cmocka_unit_test(whatever_is_beyond_all_bounds_is_counted_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
