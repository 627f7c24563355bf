/* The relay driven in memory: how long events take, and what is counted by class. */
#include "tests/support/core_story.h"

#define UNIX_MS INT64_C(1700000000000)

static int setup_clock(void **state)
{
    int error = setup(state);
    relay_set_clock(&core.relay, UNIX_MS);
    return error;
}

/* Publishes an event that is so old by the clock of the relay. */
static void publish(int64_t age_ms, const char *rest)
{
    long long ts = UNIX_MS + (long long)core.now_ms - age_ms;
    core_publish(&core, "executed ts=%lld %s", ts, rest);
}

static uint64_t count(const struct histogram *h)
{
    uint64_t sum = 0;
    for (int i = 0; i <= HISTOGRAM_BOUNDS; i++)
        sum += h->counts[i];
    return sum;
}

static void lag_is_from_the_publishers_clock_to_the_socket(void **state)
{
    const struct metrics *m = &core.relay.metrics;
    (void)state;
    core_open(&core, &a, "a");
    publish(7, "sid=a");
    assert_int_equal(count(&m->delivery_lag), 1);
    assert_int_equal(m->delivery_lag.sum_ms, 7);
    assert_int_equal(m->arrival_lag.sum_ms, 7);
}

static void each_socket_counts(void **state)
{
    const struct metrics *m = &core.relay.metrics;
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    publish(30, "");
    assert_int_equal(count(&m->arrival_lag), 1);
    assert_int_equal(count(&m->delivery_lag), 2);
    assert_int_equal(m->delivery_lag.sum_ms, 60);
}

static void what_a_slow_socket_takes_later_has_taken_longer(void **state)
{
    const struct metrics *m = &core.relay.metrics;
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    publish(5, "sid=a");
    assert_int_equal(count(&m->delivery_lag), 0);
    core_advance(&core, 100);
    core_drain(&a);
    assert_int_equal(count(&m->delivery_lag), 1);
    assert_int_equal(m->delivery_lag.sum_ms, 105);
    assert_int_equal(m->arrival_lag.sum_ms, 5);
}

static void a_clock_that_is_set_meanwhile_changes_nothing(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    publish(5, "sid=a");
    relay_set_clock(&core.relay, UNIX_MS + 86400000);
    core_drain(&a);
    assert_int_equal(core.relay.metrics.delivery_lag.sum_ms, 5);
}

static void a_ts_ahead_of_the_clock_counts_as_no_lag_and_is_counted(void **state)
{
    const struct metrics *m = &core.relay.metrics;
    (void)state;
    core_open(&core, &a, "a");
    publish(-100, "sid=a");
    assert_int_equal(m->timestamps[TIMESTAMP_AHEAD], 0); /* so much clocks differ */
    publish(-101, "sid=a");
    assert_int_equal(m->timestamps[TIMESTAMP_AHEAD], 1);
    assert_int_equal(m->delivery_lag.counts[0], 2);
    assert_int_equal(m->delivery_lag.sum_ms, 0);
}

static void a_ts_of_over_an_hour_ago_is_no_lag_and_is_counted(void **state)
{
    const struct metrics *m = &core.relay.metrics;
    (void)state;
    core_open(&core, &a, "a");
    publish(3600001, "sid=a");
    core_publish(&core, "executed sid=a ts=1700000000"); /* seconds */
    core_publish(&core, "executed sid=a ts=1");
    assert_int_equal(m->timestamps[TIMESTAMP_OLD], 3);
    assert_int_equal(count(&m->delivery_lag) + count(&m->arrival_lag), 0);
    publish(3600000, "sid=a");
    assert_int_equal(m->delivery_lag.counts[HISTOGRAM_BOUNDS], 1);
}

static void without_a_ts_or_a_clock_nothing_is_counted(void **state)
{
    const struct metrics *m = &core.relay.metrics;
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "executed sid=a");
    relay_set_clock(&core.relay, 0);
    publish(5, "sid=a");
    assert_int_equal(count(&m->delivery_lag) + count(&m->arrival_lag), 0);
    assert_int_equal(m->timestamps[TIMESTAMP_AHEAD] + m->timestamps[TIMESTAMP_OLD], 0);
}

static void events_and_frames_are_counted_by_class(void **state)
{
    const struct metrics *m = &core.relay.metrics;
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    uint64_t own = m->sent[CLASS_OWN];
    assert_true(own >= 2); /* the first statuses */
    core_publish(&core, "progress sid=a prompt=p node=3 v=1");
    core_publish(&core, "notification v=to-all");
    core_publish(&core, "executed sid=nobody");
    assert_int_equal(m->routed[CLASS_LATEST], 1);
    assert_int_equal(m->routed[CLASS_KEEP], 1);
    assert_int_equal(m->unrouted, 1);
    assert_int_equal(m->sent[CLASS_LATEST], 1);
    assert_int_equal(m->sent[CLASS_KEEP], 2);
    assert_int_equal(m->sent[CLASS_OWN], own);
    assert_true(m->received_bytes >= 3 * strlen("executed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lag_is_from_the_publishers_clock_to_the_socket, setup_clock,
                                        teardown),
        cmocka_unit_test_setup_teardown(each_socket_counts, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(what_a_slow_socket_takes_later_has_taken_longer, setup_clock,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_is_set_meanwhile_changes_nothing, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(a_ts_ahead_of_the_clock_counts_as_no_lag_and_is_counted, setup_clock,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_ts_of_over_an_hour_ago_is_no_lag_and_is_counted, setup_clock,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_a_ts_or_a_clock_nothing_is_counted, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(events_and_frames_are_counted_by_class, setup_clock, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
