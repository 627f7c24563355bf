#include "tests/support/await.h"

struct deadline {
    uv_timer_t timer;
    bool has_passed;
    bool is_closed;
};

static void on_passed(uv_timer_t *timer)
{
    ((struct deadline *)timer->data)->has_passed = true;
    uv_stop(timer->loop);
}

static void on_closed(uv_handle_t *handle)
{
    ((struct deadline *)handle->data)->is_closed = true;
}

/* It does not keep the loop going by itself. */
static void set_deadline(struct deadline *d, uv_loop_t *loop)
{
    *d = (struct deadline){.timer.data = d};
    uv_timer_init(loop, &d->timer);
    uv_timer_start(&d->timer, on_passed, AWAIT_MS, 0);
    uv_unref((uv_handle_t *)&d->timer);
}

static void end_deadline(struct deadline *d)
{
    uv_loop_t *loop = d->timer.loop;
    uv_close((uv_handle_t *)&d->timer, on_closed);
    while (!d->is_closed)
        uv_run(loop, UV_RUN_NOWAIT);
}

bool await(uv_loop_t *loop, bool (*is_done)(void *arg), void *arg)
{
    struct deadline d;
    bool has_come, is_alive = true;
    set_deadline(&d, loop);
    while (!(has_come = is_done(arg)) && !d.has_passed && is_alive)
        is_alive = uv_run(loop, UV_RUN_ONCE) != 0;
    end_deadline(&d);
    return has_come;
}

bool await_end(uv_loop_t *loop)
{
    struct deadline d;
    set_deadline(&d, loop);
    uv_run(loop, UV_RUN_DEFAULT);
    end_deadline(&d);
    return uv_loop_close(loop) == 0;
}
