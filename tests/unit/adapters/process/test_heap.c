/* Memory that is free goes back to the system: when, and what the allocator says of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "adapters/process/heap.h"

#define MIB ((size_t)1 << 20)

static void what_is_allocated_is_counted(void **state)
{
    (void)state;
    size_t before = heap_allocated_bytes();
    void *volatile small = malloc(1000), *volatile large = malloc(3 * MIB); /* not optimised away */
    size_t with = heap_allocated_bytes();
    free(small);
    free(large);
    assert_in_range(with - before, 3 * MIB + 1000, 3 * MIB + 10000);
    assert_in_range(heap_allocated_bytes(), before - 1000, before + 1000);
}

static void memory_is_given_back_when_a_quarter_is_free(void **state)
{
    (void)state;
    size_t peak = 0;
    assert_false(heap_has_fallen(&peak, 40 * MIB));
    assert_false(heap_has_fallen(&peak, 20 * MIB + 20 * MIB));
    assert_false(heap_has_fallen(&peak, 31 * MIB));
    assert_true(heap_has_fallen(&peak, 30 * MIB));
    assert_false(heap_has_fallen(&peak, 30 * MIB)); /* once */
    assert_false(heap_has_fallen(&peak, 23 * MIB));
    assert_true(heap_has_fallen(&peak, 22 * MIB)); /* and again after as much more */
}

static void a_little_is_not_worth_it(void **state)
{
    (void)state;
    size_t peak = 0;
    assert_false(heap_has_fallen(&peak, 4 * MIB - 1));
    assert_false(heap_has_fallen(&peak, 0));
    assert_false(heap_has_fallen(&peak, 4 * MIB));
    assert_true(heap_has_fallen(&peak, 0));
}

static void stay_awake(uv_timer_t *timer)
{
    (void)timer;
}

static void what_came_and_went_is_given_back_and_counted(void **state)
{
    (void)state;
    static struct relay relay;
    uv_loop_t loop;
    uv_timer_t awake; /* what is watched does not keep the loop alive */
    assert_int_equal(uv_loop_init(&loop), 0);
    struct heap *h = heap_open(&loop, &relay, 1);
    assert_non_null(h);
    assert_false(uv_loop_alive(&loop));
    uv_timer_init(&loop, &awake);
    uv_timer_start(&awake, stay_awake, 3, 3);
    for (int i = 0; relay.metrics.heap_trims == 0 && i < 10000; i++) {
        relay.metrics.connections = i % 2 ? 0 : 20000;
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_not_equal(relay.metrics.heap_trims, 0);
    heap_close(h);
    uv_close((uv_handle_t *)&awake, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_allocated_is_counted),
        cmocka_unit_test(memory_is_given_back_when_a_quarter_is_free),
        cmocka_unit_test(a_little_is_not_worth_it),
        cmocka_unit_test(what_came_and_went_is_given_back_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
