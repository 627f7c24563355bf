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

static void on_alarm(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "nothing has come for 20 s\n");
    abort();
}

void set_up(struct fixture *f)
{
    struct relay_config config = core_config();
    config.log.bytes = 8000000;
    memset(f, 0, sizeof *f);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->alarm);
    assert_int_equal(core_init(&f->core, &config), 0);
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
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_int_equal(f->core.relay.metrics.connections, 0);
    core_deinit(&f->core);
    assert_int_equal(rmdir(f->directory), 0);
}

void turn(struct fixture *f)
{
    uv_timer_start(&f->alarm, on_alarm, 20000, 0);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    core_flush(&f->core);
}

void wait_turn(struct fixture *f)
{
    uv_timer_start(&f->alarm, on_alarm, 20000, 0);
    uv_run(&f->loop, UV_RUN_ONCE);
    core_flush(&f->core);
}

int connect_socket(struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", f->listen + strlen("unix:"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}
