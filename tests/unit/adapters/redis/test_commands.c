/* What holds commands under way, and what they look like on their way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "adapters/redis/commands.h"

#define MANY 1000

static struct command some[3];

static void add(struct ring *r, struct command *command)
{
    assert_int_equal(ring_reserve(r), 0);
    ring_add(r, command);
}

static void commands_leave_the_ring_in_the_order_they_came(void **state)
{
    (void)state;
    struct ring r = {0};
    size_t next = 0, came = 0;
    assert_null(ring_take(&r));
    for (size_t round = 1; round <= MANY; round++) {
        for (size_t i = 0; i < round % 7; i++)
            add(&r, &some[came++ % 3]);
        for (size_t i = 0; i < round % 5 && r.count > 0; i++)
            assert_ptr_equal(ring_take(&r), &some[next++ % 3]);
    }
    assert_int_equal(r.count, came - next);
    while (r.count > 0)
        assert_ptr_equal(ring_take(&r), &some[next++ % 3]);
    assert_int_equal(next, came);
    ring_deinit(&r);
}

static void same_command_is_under_way_as_often_as_it_was_sent(void **state)
{
    (void)state;
    struct ring r = {0};
    for (int i = 0; i < MANY; i++)
        add(&r, &some[0]);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(ring_take(&r), &some[0]);
    assert_null(ring_take(&r));
    ring_deinit(&r);
}

static void expect_bytes(const struct outgoing *o, const char *want)
{
    char *got = strndup((const char *)o->bytes, o->len);
    assert_string_equal(got, want);
    free(got);
}

static void commands_are_written_behind_each_other(void **state)
{
    (void)state;
    struct outgoing o = {0};
    assert_int_equal(outgoing_add(&o, (struct span[]){span_str("PING")}, 1), 0);
    assert_int_equal(outgoing_add(&o, (struct span[]){span_str("SET"), span_str("a key"), SPAN_NONE}, 3), 0);
    expect_bytes(&o, "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$5\r\na key\r\n$0\r\n\r\n");
    outgoing_clear(&o);
    assert_int_equal(outgoing_span(&o).len, 0);
    outgoing_deinit(&o);
}

static void giant_is_whole_and_its_memory_is_given_back(void **state)
{
    (void)state;
    struct outgoing o = {0};
    size_t len = 5 << 20;
    char *giant = calloc(1, len);
    memset(giant, 'g', len);
    assert_int_equal(outgoing_add(&o, (struct span[]){span_str("PUBLISH"), span_of(giant, len)}, 2), 0);
    size_t head = strlen("*2\r\n$7\r\nPUBLISH\r\n$5242880\r\n");
    assert_int_equal(o.len, head + len + 2);
    assert_memory_equal(o.bytes + head, giant, len);
    assert_memory_equal(o.bytes + head + len, "\r\n", 2);
    outgoing_clear(&o);
    assert_int_equal(o.cap, 0);
    outgoing_deinit(&o);
    free(giant);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_leave_the_ring_in_the_order_they_came),
        cmocka_unit_test(same_command_is_under_way_as_often_as_it_was_sent),
        cmocka_unit_test(commands_are_written_behind_each_other),
        cmocka_unit_test(giant_is_whole_and_its_memory_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
