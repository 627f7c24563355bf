/* The relay's clock: what is due is done, and only then. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "adapters/msgpack/codec.h"
#include "adapters/process/ticker.h"

#define TTL_MS 40

static void ignore_channel(struct channels *self, struct span sid)
{
    (void)self, (void)sid;
}

static void ignore_loss(struct registry *self, const struct worker *w, enum worker_end how, struct span node)
{
    (void)self, (void)w, (void)how, (void)node;
}

static void ignore_write(struct sockets *self, struct cursor *c)
{
    (void)self, (void)c;
}

/* A relay with nothing at its edges. */
struct fixture {
    struct channels channels;
    struct archive archive; /* of which nothing is asked: there is no connection */
    struct registry registry;
    struct sockets sockets;
    struct journal journal;
    struct relay relay;
    struct ticker *ticker;
    uv_loop_t loop;
};

static void begin(struct fixture *f)
{
    const struct relay_config config = {.session_ttl_ms = TTL_MS,
                                        .status_interval_ms = 250,
                                        .worker_timeout_ms = 15000,
                                        .log = {16, 65536},
                                        .message_bytes = 1 << 20};
    const uint64_t seed[2] = {1, 2};
    *f = (struct fixture){
        .channels = {ignore_channel, ignore_channel}, .registry = {ignore_loss}, .sockets = {ignore_write}};
    const struct ports ports = {.codec = codec_msgpack(),
                                .channels = &f->channels,
                                .archive = &f->archive,
                                .registry = &f->registry,
                                .sockets = &f->sockets,
                                .journal = &f->journal};
    assert_int_equal(relay_init(&f->relay, &config, &ports, seed), 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->ticker = ticker_open(&f->loop, &f->relay);
    assert_non_null(f->ticker);
}

static void end(struct fixture *f)
{
    ticker_close(f->ticker);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    relay_deinit(&f->relay);
}

static void remember_session(struct fixture *f, const char *sid)
{
    struct cursor c = {.session = NULL};
    uv_update_time(&f->loop);
    assert_int_equal(relay_attach(&f->relay, &c, span_str(sid), uv_now(&f->loop)), 0);
    relay_detach(&f->relay, &c, uv_now(&f->loop));
}

static uint64_t sessions(struct fixture *f)
{
    return relay_measure(&f->relay)->sessions;
}

static void a_session_is_forgotten_when_its_time_has_come(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    remember_session(&f, "a");
    uint64_t begun_ms = uv_now(&f.loop);
    assert_int_equal(sessions(&f), 1);
    while (sessions(&f) > 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    uv_update_time(&f.loop);
    assert_in_range(uv_now(&f.loop) - begun_ms, TTL_MS, TTL_MS + 5000);
    end(&f);
}

static void on_idle(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void what_comes_up_later_is_noticed(void **state)
{
    struct fixture f;
    uv_timer_t timer;
    (void)state;
    begin(&f);
    uv_timer_init(&f.loop, &timer);
    uv_timer_start(&timer, on_idle, 1, 0);
    uv_run(&f.loop, UV_RUN_DEFAULT); /* with nothing due the ticker sleeps */
    remember_session(&f, "a");
    while (sessions(&f) > 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    end(&f);
}

static void with_nothing_due_the_loop_sleeps(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_backend_timeout(&f.loop), -1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_forgotten_when_its_time_has_come),
        cmocka_unit_test(what_comes_up_later_is_noticed),
        cmocka_unit_test(with_nothing_due_the_loop_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
