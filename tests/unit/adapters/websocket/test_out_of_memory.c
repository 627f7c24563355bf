/* Every single allocation of a connection's life fails once, and from each on all that follow. Nothing crashes or
 * leaks (the sanitizers tell), and a connection that comes afterwards is served. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/websocket/server.h"
#include "tests/support/core_fixture.h"
#include "tests/support/failing_malloc.h"

#define REQUEST                                                                                   \
    "GET /ws?clientId=a HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

struct scene {
    uv_loop_t loop;
    struct core core;
    struct options options;
    struct logger logger;
    struct server *server;
    char listen[64];
};

static void set_up(struct scene *s)
{
    struct relay_config config = core_config();
    const char *where;
    memset(s, 0, sizeof *s);
    uv_loop_init(&s->loop);
    assert_int_equal(core_init(&s->core, &config), 0);
    snprintf(s->listen, sizeof s->listen, "unix:/tmp/test-server-%d", (int)getpid());
    s->logger = (struct logger){stderr, LOG_ERROR, LOG_TEXT};
    s->options = (struct options){
        .listen = s->listen,
        .features = (char *)"{}",
        .ws_origins = (char *)"*",
        .ws_ping_interval_ms = 60000,
        .ws_ping_timeout_ms = 60000,
        .limits_connections = 100,
        .limits_handshake_timeout_ms = 60000,
        .limits_header_bytes = 8192,
        .limits_client_message_bytes = 1 << 20,
        .limits_socket_bytes = 8 << 20,
    };
    s->server = server_new(&s->loop, &s->options, &s->logger);
    assert_non_null(s->server);
    s->core.relay.ports.sockets = server_sockets(s->server);
    assert_int_equal(server_open(s->server, &s->core.relay, &where), 0);
}

static void tear_down(struct scene *s)
{
    server_close(s->server);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    assert_int_equal(s->core.relay.metrics.connections, 0);
    core_deinit(&s->core);
}

/* All that there is to do. */
static void settle(struct scene *s)
{
    for (int i = 0; i < 8; i++) {
        uv_run(&s->loop, UV_RUN_NOWAIT);
        core_flush(&s->core);
    }
}

static int connect_client(struct scene *s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", s->listen + strlen("unix:"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    settle(s);
    return fd;
}

/* The server may have closed it already. */
static void send_bytes(struct scene *s, int fd, const void *bytes, size_t len)
{
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    (void)n;
    settle(s);
}

static void receive_all(struct scene *s, int fd)
{
    static char in[1 << 16];
    while (recv(fd, in, sizeof in, 0) > 0)
        settle(s);
}

static void publish_big(struct scene *s)
{
    static char filler[60001];
    memset(filler, 'x', sizeof filler - 1);
    core_receive(&s->core, "executed sid=a v=%s", filler);
    core_flush(&s->core);
}

/* A request in two parts, flags in two fragments, a socket that is full with pings to answer, and a close. */
static void live(struct scene *s)
{
    int fd = connect_client(s);
    send_bytes(s, fd, REQUEST, 20);
    send_bytes(s, fd, &REQUEST[20], strlen(REQUEST) - 20);
    core_confirm(&s->core, "a");
    send_bytes(s, fd, "\x01\x8b\0\0\0\0{\"type\":\"fe", 17);
    send_bytes(s, fd, "\x80\x8d\0\0\0\0ature_flags\"}", 19);
    for (int i = 0; i < 8; i++)
        publish_big(s);
    send_bytes(s, fd, "\x89\x81\0\0\0\0p\x89\x81\0\0\0\0q", 14);
    send_bytes(s, fd, "\x89\x81\0\0\0\0r", 7);
    receive_all(s, fd);
    send_bytes(s, fd, "\x88\x82\0\0\0\0\x03\xe8", 8);
    close(fd);
    settle(s);
}

static void expect_served(struct scene *s)
{
    char in[256] = "";
    int fd = connect_client(s);
    send_bytes(s, fd, REQUEST, strlen(REQUEST));
    assert_true(recv(fd, in, sizeof in - 1, 0) > 0);
    in[strcspn(in, "\r")] = '\0';
    assert_string_equal(in, "HTTP/1.1 101 Switching Protocols");
    close(fd);
    settle(s);
}

/* How many allocations the life takes when none fails. */
static size_t count_allocations(void)
{
    struct scene s;
    set_up(&s);
    fail_nothing();
    live(&s);
    size_t count = allocations_asked_for();
    assert_int_equal(s.core.relay.metrics.closed[CLOSE_CLIENT], 1);
    tear_down(&s);
    return count;
}

static void fail_each(size_t more)
{
    struct scene s;
    size_t count = count_allocations();
    assert_in_range(count, 15, 200);
    set_up(&s);
    for (size_t n = 1; n <= count; n++) {
        fail_at(n, more);
        live(&s);
        fail_nothing();
        expect_served(&s);
    }
    tear_down(&s);
}

static void any_allocation_may_fail_and_the_next_connection_is_served(void **state)
{
    (void)state;
    fail_each(0);
}

static void memory_may_be_gone_for_a_while_and_the_next_connection_is_served(void **state)
{
    (void)state;
    fail_each(1000);
}

/* Nothing is listened on, nothing stays open. */
static void a_server_that_cannot_open_can_be_closed(void **state)
{
    (void)state;
    struct scene s;
    const char *where;
    set_up(&s);
    for (size_t n = 1; n <= 3; n++) {
        char other[80];
        struct server *second = server_new(&s.loop, &s.options, &s.logger);
        snprintf(other, sizeof other, "%s-other", s.listen);
        s.options.listen = other;
        fail_at(n, 0);
        int error = server_open(second, &s.core.relay, &where);
        fail_nothing();
        assert_true(error == 0 || error == -ENOMEM);
        server_close(second);
        s.options.listen = s.listen;
        settle(&s);
    }
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail_and_the_next_connection_is_served),
        cmocka_unit_test(memory_may_be_gone_for_a_while_and_the_next_connection_is_served),
        cmocka_unit_test(a_server_that_cannot_open_can_be_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
