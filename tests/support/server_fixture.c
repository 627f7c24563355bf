#include "tests/support/server_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#define ALARM_MS 120000 /* a bound for a hanging test, not a measure: the machine may be busy */

static void on_alarm(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "what the test waits for has not come\n");
    abort();
}

static void on_clock(uv_timer_t *clock)
{
    (void)clock; /* it wakes the loop */
}

void set_up(struct fixture *f)
{
    struct relay_config config = core_config();
    config.log.bytes = 8000000;
    memset(f, 0, sizeof *f);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->alarm);
    uv_timer_init(&f->loop, &f->clock);
    uv_timer_start(&f->alarm, on_alarm, ALARM_MS, 0);
    assert_int_equal(core_init(&f->core, &config), 0);
    f->core.now_ms = uv_now(&f->loop);
    strcpy(f->directory, "/tmp/test-server-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->listen, sizeof f->listen, "unix:%s/socket", f->directory);
    f->logger = (struct logger){stderr, LOG_ERROR, LOG_TEXT};
    f->options = (struct options){
        .listen = f->listen,
        .features = (char *)"{\"x\": 1}",
        .ws_origins = (char *)"same-host",
        .ws_ping_interval_ms = 60000,
        .ws_ping_timeout_ms = 60000,
        .limits_connections = 100,
        .limits_handshake_timeout_ms = 60000,
        .limits_header_bytes = 8192,
        .limits_client_message_bytes = 1 << 20,
        .limits_socket_bytes = 8 << 20,
        .drain_time_ms = 100,
    };
    f->server = server_new(&f->loop, &f->options, &f->logger);
    assert_non_null(f->server);
    f->core.relay.ports.sockets = server_sockets(f->server);
    const char *where;
    assert_int_equal(server_open(f->server, &f->core.relay, &where), 0);
}

void tear_down(struct fixture *f)
{
    server_close(f->server);
    uv_close((uv_handle_t *)&f->alarm, NULL);
    uv_close((uv_handle_t *)&f->clock, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_int_equal(f->core.relay.metrics.connections, 0);
    core_deinit(&f->core);
    assert_int_equal(rmdir(f->directory), 0);
}

static void tick(struct fixture *f)
{
    if (!f->clock_stands) {
        f->core.now_ms = uv_now(&f->loop);
        relay_tick(&f->core.relay, f->core.now_ms);
    }
    core_flush(&f->core);
}

void turn(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
    tick(f);
}

void wait_turn(struct fixture *f)
{
    uint64_t next = f->clock_stands ? UINT64_MAX : relay_next_ms(&f->core.relay), now = uv_now(&f->loop);
    if (next == UINT64_MAX)
        uv_timer_stop(&f->clock);
    else
        uv_timer_start(&f->clock, on_clock, next > now ? next - now : 0, 0);
    uv_run(&f->loop, UV_RUN_ONCE);
    tick(f);
}

void wait_ms(struct fixture *f, uint64_t ms)
{
    uv_timer_t timer;
    uint64_t until = uv_now(&f->loop) + ms;
    uv_timer_init(&f->loop, &timer);
    uv_timer_start(&timer, on_clock, ms, 0);
    while (uv_now(&f->loop) < until)
        wait_turn(f);
    uv_close((uv_handle_t *)&timer, NULL);
    turn(f);
}

int connect_socket(struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", f->listen + strlen("unix:"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

uint64_t wait_closed(struct fixture *f, enum close_reason reason)
{
    while (f->core.relay.metrics.closed[reason] == 0)
        wait_turn(f);
    return f->core.relay.metrics.closed[reason];
}

void publish_big(struct fixture *f, const char *head, int number)
{
    static char filler[60001];
    memset(filler, 'x', sizeof filler - 1);
    core_publish(&f->core, "%s v=%06d %s", head, number, filler);
}
