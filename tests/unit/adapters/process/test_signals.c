/* Signals reach their listener from the loop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "adapters/process/signals.h"

struct counter {
    struct signals_listener listener;
    unsigned stops, reloads;
};

static void on_stop(struct signals_listener *self)
{
    ((struct counter *)self)->stops++;
}

static void on_reload(struct signals_listener *self)
{
    ((struct counter *)self)->reloads++;
}

static void check_signal(uv_loop_t *loop, struct counter *c, int number, unsigned stops, unsigned reloads)
{
    assert_int_equal(kill(getpid(), number), 0);
    while (c->stops + c->reloads < stops + reloads)
        uv_run(loop, UV_RUN_ONCE);
    assert_int_equal(c->stops, stops);
    assert_int_equal(c->reloads, reloads);
}

/* As a careless parent may start us. */
static void block_and_ignore(void)
{
    sigset_t set;
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void each_signal_calls_its_function_every_time(void **state)
{
    struct counter c = {.listener = {on_stop, on_reload}};
    uv_loop_t loop;
    int error;
    (void)state;
    block_and_ignore();
    assert_int_equal(uv_loop_init(&loop), 0);
    struct signals *s = signals_open(&loop, &c.listener, &error);
    assert_non_null(s);
    assert_int_equal(error, 0);
    check_signal(&loop, &c, SIGTERM, 1, 0);
    check_signal(&loop, &c, SIGINT, 2, 0);
    check_signal(&loop, &c, SIGHUP, 2, 1);
    check_signal(&loop, &c, SIGTERM, 3, 1);
    signals_close(s);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void writing_to_a_closed_pipe_is_an_error_and_not_the_end(void **state)
{
    struct counter c = {.listener = {on_stop, on_reload}};
    uv_loop_t loop;
    int error, ends[2];
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(uv_loop_init(&loop), 0);
    struct signals *s = signals_open(&loop, &c.listener, &error);
    assert_non_null(s);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(ends[1]);
    signals_close(s);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_signal_calls_its_function_every_time),
        cmocka_unit_test(writing_to_a_closed_pipe_is_an_error_and_not_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
