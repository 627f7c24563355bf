/* What is sent, answered and sent again, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "adapters/publisher/backlog.h"

static void add(struct backlog *b, const char *name)
{
    struct span args[] = {span_str(name)};
    struct post *p = post_new(args, 1);
    assert_non_null(p);
    p->is_event = true;
    backlog_add(b, p);
}

/* The names of what is to be sent, one after the other. */
static const char *unsent(const struct backlog *b)
{
    static char text[64];
    struct iovec pieces[8];
    size_t n = backlog_gather(b, pieces, 8), len = 0;
    for (size_t i = 0; i < n; i++)
        text[len++] = ((const char *)pieces[i].iov_base)[pieces[i].iov_len - 3];
    text[len] = '\0';
    return text;
}

static size_t one(void)
{
    return strlen("*1\r\n$1\r\na\r\n");
}

static void post_is_a_command_as_redis_reads_it(void **state)
{
    (void)state;
    struct span args[] = {span_str("SET"), span_of("a\0b", 3), span_str("")};
    const char wanted[] = "*3\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$0\r\n\r\n";
    struct post *p = post_new(args, 3);
    assert_int_equal(p->len, sizeof wanted - 1);
    assert_memory_equal(p->bytes, wanted, p->len);
    post_free(p);
}

static void posts_are_sent_in_order_and_in_parts(void **state)
{
    (void)state;
    struct backlog b;
    backlog_init(&b);
    add(&b, "a");
    add(&b, "b");
    add(&b, "c");
    assert_string_equal(unsent(&b), "abc");
    assert_false(backlog_is_in_flight(&b));
    backlog_sent(&b, one() + 3);
    assert_string_equal(unsent(&b), "bc");
    struct iovec piece;
    assert_int_equal(backlog_gather(&b, &piece, 1), 1);
    assert_int_equal(piece.iov_len, one() - 3);
    backlog_sent(&b, one() - 3);
    assert_string_equal(unsent(&b), "c");
    backlog_deinit(&b);
}

static void answered_posts_are_done_and_the_rest_is_sent_again(void **state)
{
    (void)state;
    struct backlog b;
    backlog_init(&b);
    for (const char *const *name = (const char *const[]){"a", "b", "c", "d", NULL}; *name; name++)
        add(&b, *name);
    backlog_sent(&b, one() - 1);
    assert_true(backlog_is_in_flight(&b));
    assert_false(backlog_awaits_answer(&b));
    backlog_sent(&b, 2 * one() + 2);
    assert_true(backlog_awaits_answer(&b));
    backlog_done(&b);
    assert_int_equal(b.count, 3);
    assert_int_equal(b.events, 3);
    assert_int_equal(b.bytes, 3 * one());
    assert_true(backlog_is_in_flight(&b));
    backlog_rewind(&b);
    assert_string_equal(unsent(&b), "bcd");
    assert_false(backlog_is_in_flight(&b));
    backlog_deinit(&b);
    assert_true(backlog_is_empty(&b));
    assert_int_equal(b.bytes, 0);
}

static void oldest_is_on_its_way_until_its_last_byte_is_out(void **state)
{
    (void)state;
    struct backlog b;
    backlog_init(&b);
    add(&b, "a");
    add(&b, "b");
    assert_int_equal(backlog_on_its_way(&b, 0), one());
    backlog_sent(&b, 5);
    assert_int_equal(backlog_on_its_way(&b, 5), one());
    assert_int_equal(backlog_on_its_way(&b, 2), one() - 3);
    backlog_sent(&b, one());
    assert_int_equal(backlog_on_its_way(&b, 6), 1);
    assert_int_equal(backlog_on_its_way(&b, 5), 0);
    assert_int_equal(backlog_on_its_way(&b, 9999), one());
    backlog_deinit(&b);
}

static void post_that_is_given_up_costs_no_other(void **state)
{
    (void)state;
    struct backlog b;
    backlog_init(&b);
    for (const char *const *name = (const char *const[]){"a", "b", "c", NULL}; *name; name++)
        add(&b, *name);
    backlog_sent(&b, one() + 3);
    backlog_rewind(&b);
    backlog_give_up(&b);
    assert_string_equal(unsent(&b), "bc");
    assert_int_equal(b.count, 2);
    assert_int_equal(b.unsent, 2 * one());
    assert_false(backlog_is_in_flight(&b));
    backlog_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(post_is_a_command_as_redis_reads_it),
        cmocka_unit_test(posts_are_sent_in_order_and_in_parts),
        cmocka_unit_test(answered_posts_are_done_and_the_rest_is_sent_again),
        cmocka_unit_test(oldest_is_on_its_way_until_its_last_byte_is_out),
        cmocka_unit_test(post_that_is_given_up_costs_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
