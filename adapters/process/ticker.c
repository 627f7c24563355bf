/* The relay's clock. What is due next changes with every event, so the timer is set anew before each poll. It only
 * wakes the loop: what is due is done after a poll that began when it was due, when what waited in the sockets has
 * been read (up to 2 MiB of each). Else a relay that was stopped for a while would take every worker for lost whose
 * heartbeats it has not read yet: going on ends the poll that it was stopped in, which reads nothing (signal(7)). */
#include "adapters/process/ticker.h"

#include <stdlib.h>
#include <time.h>

struct ticker {
    uv_prepare_t prepare;
    uv_timer_t timer;
    uv_check_t check;
    struct relay *relay;  /* borrowed */
    uint64_t armed_ms;    /* what the timer is set to; UINT64_MAX: it is stopped */
    uint64_t clock_at_ms; /* when the relay was last told of the wall clock */
    unsigned open_handles;
    bool is_due; /* since before the poll */
};

#define CLOCK_MS 1000 /* how often the relay is told of the wall clock, which may be set */

static void on_prepare(uv_prepare_t *prepare);
static void on_timer(uv_timer_t *timer);
static void on_check(uv_check_t *check);
static void on_closed(uv_handle_t *handle);

static void tell_clock(struct ticker *t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    relay_set_clock(t->relay, unix_ms - (int64_t)(uv_hrtime() / 1000000));
    t->clock_at_ms = uv_now(t->timer.loop);
}

struct ticker *ticker_open(uv_loop_t *loop, struct relay *relay)
{
    struct ticker *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->relay = relay;
    t->armed_ms = UINT64_MAX;
    t->open_handles = 3;
    uv_prepare_init(loop, &t->prepare);
    uv_timer_init(loop, &t->timer);
    uv_check_init(loop, &t->check);
    t->prepare.data = t->timer.data = t->check.data = t;
    tell_clock(t);
    uv_prepare_start(&t->prepare, on_prepare);
    uv_check_start(&t->check, on_check);
    return t;
}

void ticker_close(struct ticker *t)
{
    uv_close((uv_handle_t *)&t->prepare, on_closed);
    uv_close((uv_handle_t *)&t->timer, on_closed);
    uv_close((uv_handle_t *)&t->check, on_closed);
}

static void arm(struct ticker *t)
{
    uint64_t next_ms = relay_next_ms(t->relay), now_ms = uv_now(t->timer.loop);
    t->is_due = next_ms <= now_ms;
    if (next_ms == t->armed_ms)
        return;
    t->armed_ms = next_ms;
    if (next_ms == UINT64_MAX)
        uv_timer_stop(&t->timer);
    else
        uv_timer_start(&t->timer, on_timer, next_ms > now_ms ? next_ms - now_ms : 0, 0);
}

static void tick_if_due(struct ticker *t)
{
    uint64_t now_ms = uv_now(t->timer.loop);
    if (now_ms - t->clock_at_ms >= CLOCK_MS)
        tell_clock(t);
    if (t->is_due && relay_next_ms(t->relay) <= now_ms)
        relay_tick(t->relay, now_ms);
}

/* Callbacks */

static void on_prepare(uv_prepare_t *prepare)
{
    arm(prepare->data);
}

static void on_timer(uv_timer_t *timer)
{
    struct ticker *t = timer->data;
    t->armed_ms = UINT64_MAX;
}

static void on_check(uv_check_t *check)
{
    tick_if_due(check->data);
}

static void on_closed(uv_handle_t *handle)
{
    struct ticker *t = handle->data;
    if (--t->open_handles == 0)
        free(t);
}
