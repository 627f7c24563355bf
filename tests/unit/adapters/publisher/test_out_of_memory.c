/* Every allocation fails once: an event is in the queue or its call says -ENOMEM, and the publisher lives on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "adapters/publisher/comfy_publisher.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/redis_server.h"

static struct redis_server server;

/* Returns how many events were taken. */
static int publish_all(struct comfy_publisher *p)
{
    int results[] = {
        comfy_publisher_json(p, "s", "executed", "{\"a\":[1,\"x\",2.5]}"),
        comfy_publisher_binary(p, "s", 10, "bytes", 5),
        comfy_publisher_preview(p, "s", "PNG", "x", 1, "{\"node_id\":\"1\"}"),
        comfy_publisher_text(p, "s", "executed", NULL, 0),
    };
    int taken = 0;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        assert_true(results[i] == 0 || results[i] == -ENOMEM);
        taken += results[i] == 0;
    }
    int told = comfy_publisher_status(p, 1, "s", "p");
    assert_true(told == 0 || told == -ENOMEM);
    return taken;
}

/* Open, publish, close; true when an allocation has failed. */
static bool run(size_t n)
{
    struct comfy_publisher_options options = {.redis_url = server.url, .password = NULL, .worker = "w"};
    struct comfy_publisher *p;
    freeReplyObject(redis_server_do(&server, "FLUSHALL"));
    fail_at(n, 0);
    int opened = comfy_publisher_open(&options, &p, NULL), taken = 0;
    if (opened == 0) {
        taken = publish_all(p);
        int flushed = comfy_publisher_flush(p, 20000);
        assert_int_equal(flushed, 0);
        int closed = comfy_publisher_close(p, 20000);
        assert_true(closed == 0 || closed == -ENOMEM);
    } else {
        assert_int_equal(opened, -ENOMEM);
        assert_null(p);
    }
    bool hit = has_failed();
    fail_nothing();
    assert_int_equal(redis_server_count(&server, "XLEN comfy:sid:{s}:log"), taken);
    return hit;
}

static void each_event_is_taken_or_refused(void **state)
{
    (void)state;
    size_t n = 1;
    redis_server_start(&server, NULL);
    while (run(n))
        n++;
    assert_true(n > 20);
    redis_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_is_taken_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
