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
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/failing_malloc.h"
#include "tests/support/server_fixture.h"

#define REQUEST                                                                                   \
    "GET /ws?clientId=a HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* All that there is to do. */
static void settle(struct fixture *f)
{
    for (int i = 0; i < 8; i++)
        turn(f);
}

static int connect_client(struct fixture *f)
{
    int fd = connect_socket(f);
    settle(f);
    return fd;
}

/* The server may have closed it already. */
static void send_bytes(struct fixture *f, int fd, const void *bytes, size_t len)
{
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    (void)n;
    settle(f);
}

static void receive_all(struct fixture *f, int fd)
{
    static char in[1 << 16];
    while (recv(fd, in, sizeof in, 0) > 0)
        settle(f);
}

static void receive_big(struct fixture *f)
{
    static char filler[60001];
    memset(filler, 'x', sizeof filler - 1);
    core_receive(&f->core, "executed sid=a v=%s", filler);
    core_flush(&f->core);
}

/* A request in two parts, flags in two fragments, a socket that is full with pings to answer, and a close. */
static void live(struct fixture *f)
{
    int fd = connect_client(f);
    send_bytes(f, fd, REQUEST, 20);
    send_bytes(f, fd, &REQUEST[20], strlen(REQUEST) - 20);
    core_confirm(&f->core, "a");
    send_bytes(f, fd, "\x01\x8b\0\0\0\0{\"type\":\"fe", 17);
    send_bytes(f, fd, "\x80\x8d\0\0\0\0ature_flags\"}", 19);
    for (int i = 0; i < 8; i++)
        receive_big(f);
    send_bytes(f, fd, "\x89\x81\0\0\0\0p\x89\x81\0\0\0\0q", 14);
    send_bytes(f, fd, "\x89\x81\0\0\0\0r", 7);
    receive_all(f, fd);
    send_bytes(f, fd, "\x88\x82\0\0\0\0\x03\xe8", 8);
    close(fd);
    settle(f);
}

static void expect_served(struct fixture *f)
{
    char in[256] = "";
    int fd = connect_client(f);
    send_bytes(f, fd, REQUEST, strlen(REQUEST));
    assert_true(recv(fd, in, sizeof in - 1, 0) > 0);
    in[strcspn(in, "\r")] = '\0';
    assert_string_equal(in, "HTTP/1.1 101 Switching Protocols");
    close(fd);
    settle(f);
}

/* How many allocations the life takes when none fails. */
static size_t count_allocations(void)
{
    struct fixture f;
    set_up(&f);
    fail_nothing();
    live(&f);
    size_t count = allocations_asked_for();
    assert_int_equal(f.core.relay.metrics.closed[CLOSE_CLIENT], 1);
    tear_down(&f);
    return count;
}

static void fail_each(size_t more)
{
    struct fixture f;
    size_t count = count_allocations();
    assert_in_range(count, 15, 200);
    set_up(&f);
    for (size_t n = 1; n <= count; n++) {
        fail_at(n, more);
        live(&f);
        fail_nothing();
        expect_served(&f);
    }
    tear_down(&f);
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
    struct fixture f;
    const char *where;
    set_up(&f);
    for (size_t n = 1; n <= 3; n++) {
        char other[128];
        struct server *second = server_new(&f.loop, &f.options, &f.logger);
        snprintf(other, sizeof other, "%s-other", f.listen);
        f.options.listen = other;
        fail_at(n, 0);
        int error = server_open(second, &f.core.relay, &where);
        fail_nothing();
        assert_true(error == 0 || error == -ENOMEM);
        server_close(second);
        f.options.listen = f.listen;
        settle(&f);
    }
    tear_down(&f);
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
