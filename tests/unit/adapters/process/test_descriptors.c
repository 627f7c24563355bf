/* The limit of descriptors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "adapters/process/descriptors.h"

static void the_limit_is_raised_to_the_hard_one(void **state)
{
    struct rlimit limit, now;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    assert_true(limit.rlim_max > 65);
    limit.rlim_max = limit.rlim_max == RLIM_INFINITY ? 65536 : limit.rlim_max - 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(descriptors_raise(), limit.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, limit.rlim_max);
    assert_int_equal(now.rlim_max, limit.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_limit_is_raised_to_the_hard_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
