/* Listening sockets, on loopback and in a directory of the test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "adapters/process/listener.h"

/* A loop with one listener that accepts, or refuses, what connects. */
struct fixture {
    uv_loop_t loop;
    char directory[40], path[80];
    struct listener *listener, *second;
    union listener_client client;
    int accept_error;
    int no_delay, unsent_max; /* of the last TCP connection */
    unsigned connections;
    unsigned of_second;
    unsigned failures; /* to accept one */
    int failure;
    bool refuse;
    bool close;  /* the listener, with the first connection */
    bool shared; /* what is opened from now on */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->directory, "/tmp/comfy-relay-test-XXXXXX");
    if (mkdtemp(f->directory) == NULL)
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/socket", f->directory);
    *state = f;
    return uv_loop_init(&f->loop);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int error = 0;
    if (f->listener != NULL)
        listener_close(f->listener);
    if (f->second != NULL)
        listener_close(f->second);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    error = uv_loop_close(&f->loop);
    unlink(f->path);
    rmdir(f->directory);
    free(f);
    return error;
}

static int tcp_option(const union listener_client *client, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    uv_os_fd_t fd;
    if (uv_fileno(&client->handle, &fd) == 0)
        getsockopt(fd, IPPROTO_TCP, name, &value, &len);
    return value;
}

static void on_connection(struct listener *l, void *owner, int error)
{
    struct fixture *f = owner;
    if (error < 0) {
        f->failures++;
        f->failure = error;
        return;
    }
    f->connections++;
    f->of_second += l == f->second;
    if (f->refuse || f->close)
        listener_refuse(l);
    if (f->close) {
        listener_close(l);
        f->listener = NULL;
    }
    if (f->refuse || f->close)
        return;
    f->accept_error = listener_accept(l, &f->client);
    f->no_delay = tcp_option(&f->client, TCP_NODELAY);
    f->unsent_max = tcp_option(&f->client, TCP_NOTSENT_LOWAT);
    uv_close(&f->client.handle, NULL);
}

static int open_at(struct fixture *f, const char *text, struct listener **l)
{
    struct address a;
    int error = 0;
    assert_int_equal(address_parse(&a, span_str(text)), 0);
    *l = listener_open(&f->loop, &a, f->shared, on_connection, f, &error);
    assert_int_equal(*l == NULL, error < 0);
    return error;
}

static int open_path(struct fixture *f, struct listener **l)
{
    char text[100];
    snprintf(text, sizeof(text), "unix:%s", f->path);
    return open_at(f, text, l);
}

/* A socket, or a negative error code. */
static int try_to_connect(const char *address)
{
    struct address a;
    assert_int_equal(address_parse(&a, span_str(address)), 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a.port)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    bool is_unix = a.kind == ADDRESS_UNIX;
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    inet_pton(AF_INET, a.name, &in.sin_addr);
    if (is_unix)
        strcpy(un.sun_path, a.name);
    int error = is_unix ? connect(fd, (struct sockaddr *)&un, sizeof(un))
                        : connect(fd, (struct sockaddr *)&in, sizeof(in));
    if (error == 0)
        return fd;
    error = -errno;
    close(fd);
    return error;
}

static int connect_to(const struct listener *l)
{
    int fd = try_to_connect(listener_address(l));
    assert_true(fd >= 0);
    return fd;
}

/* A connection that was closed is at its end. */
static void check_closed(int fd)
{
    char byte;
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

static void port_0_is_told_as_the_real_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    assert_memory_equal(listener_address(f->listener), "127.0.0.1:", 10);
    assert_string_not_equal(listener_address(f->listener), "127.0.0.1:0");
    int fd = connect_to(f->listener);
    while (f->connections < 1)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->accept_error, 0);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    check_closed(fd);
}

static void a_name_is_resolved(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_at(f, "localhost:0", &f->listener), 0);
    close(connect_to(f->listener));
    while (f->connections < 1)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static void a_taken_port_is_refused(void **state)
{
    struct fixture *f = *state;
    struct listener *second;
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    assert_int_equal(open_at(f, listener_address(f->listener), &second), -EADDRINUSE);
}

/* Two listeners of one port, which refuse what connects. */
static int share(struct fixture *f)
{
    f->shared = f->refuse = true;
    int error = open_at(f, "127.0.0.1:0", &f->listener);
    return error < 0 ? error : open_at(f, listener_address(f->listener), &f->second);
}

static void a_shared_port_gives_each_connection_to_one_of_its_listeners(void **state)
{
    struct fixture *f = *state;
    int fds[60];
    assert_int_equal(share(f), 0);
    for (size_t i = 0; i < 60; i++)
        fds[i] = connect_to(f->listener);
    while (f->connections < 60)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_in_range(f->of_second, 1, 59);
    for (size_t i = 0; i < 60; i++)
        close(fds[i]);
}

static void a_port_is_shared_by_all_or_by_none(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    f->shared = true;
    assert_int_equal(open_at(f, listener_address(f->listener), &f->second), -EBUSY);
    assert_string_equal(listener_strerror(-EBUSY),
                        "somebody listens there who does not share the port, or is another user");
    listener_close(f->listener);
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    f->shared = false;
    assert_int_equal(open_at(f, listener_address(f->listener), &f->second), -EADDRINUSE);
}

static void port_0_is_a_port_of_its_own_though_shared(void **state)
{
    struct fixture *f = *state;
    f->shared = true;
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->second), 0);
    assert_string_not_equal(listener_address(f->listener), listener_address(f->second));
}

static void a_connection_sends_at_once_and_lets_the_kernel_hold_little(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    int fd = connect_to(f->listener);
    while (f->connections < 1)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->no_delay, 1);
    assert_int_equal(f->unsent_max, 256 << 10);
    close(fd);
}

static void what_has_connected_is_handed_over_before_the_listener_closes(void **state)
{
    struct fixture *f = *state;
    char address[64];
    int fds[100]; /* more than one turn of the loop accepts */
    assert_int_equal(share(f), 0);
    snprintf(address, sizeof(address), "%s", listener_address(f->listener));
    for (size_t i = 0; i < 100; i++)
        fds[i] = connect_to(f->listener);
    listener_finish(f->listener);
    unsigned of_first = f->connections;
    assert_in_range(of_first, 1, 99);
    listener_finish(f->second);
    assert_int_equal(f->connections, 100);
    assert_int_equal(f->of_second, 100 - of_first);
    f->listener = f->second = NULL;
    for (size_t i = 0; i < 100; i++)
        check_closed(fds[i]);
    assert_int_equal(try_to_connect(address), -ECONNREFUSED);
}

static void a_shared_port_goes_on_without_a_listener_that_has_finished(void **state)
{
    struct fixture *f = *state;
    int fds[60];
    assert_int_equal(share(f), 0);
    listener_finish(f->listener);
    f->listener = NULL;
    for (size_t i = 0; i < 60; i++)
        fds[i] = connect_to(f->second);
    while (f->of_second < 60)
        uv_run(&f->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < 60; i++)
        close(fds[i]);
}

static void a_listener_that_is_closed_while_it_finishes_frees_all(void **state)
{
    struct fixture *f = *state;
    f->close = true;
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    int first = connect_to(f->listener), second = connect_to(f->listener);
    listener_finish(f->listener);
    assert_int_equal(f->connections, 1);
    close(first);
    close(second);
}

static void an_address_of_another_machine_is_refused(void **state)
{
    assert_int_equal(open_at(*state, "192.0.2.1:0", &((struct fixture *)*state)->listener), -EADDRNOTAVAIL);
}

static void a_unix_socket_accepts_and_takes_its_file_with_it(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(open_path(f, &f->listener), 0);
    assert_memory_equal(listener_address(f->listener), "unix:", 5);
    int fd = connect_to(f->listener);
    while (f->connections < 1)
        uv_run(&f->loop, UV_RUN_ONCE);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    check_closed(fd);
    listener_close(f->listener);
    f->listener = NULL;
    assert_int_equal(stat(f->path, &st), -1);
}

static void a_live_unix_socket_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    struct listener *second;
    assert_int_equal(open_path(f, &f->listener), 0);
    assert_int_equal(open_path(f, &second), -EADDRINUSE);
    close(connect_to(f->listener));
}

static void a_stale_unix_socket_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strcpy(un.sun_path, f->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    close(fd);
    assert_int_equal(open_path(f, &f->listener), 0);
    close(connect_to(f->listener));
}

static void a_unix_socket_that_is_too_busy_to_answer_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int server = socket(AF_UNIX, SOCK_STREAM, 0), clients[8];
    strcpy(un.sun_path, f->path);
    assert_int_equal(bind(server, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(server, 0), 0);
    for (size_t i = 0; i < 8; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], (struct sockaddr *)&un, sizeof(un)); /* until there is no room */
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(open_path(f, &f->listener), -EADDRINUSE);
    for (size_t i = 0; i < 8; i++)
        close(clients[i]);
    close(server);
}

static void a_file_that_is_no_socket_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(open_path(f, &f->listener), -EEXIST);
    assert_string_equal(listener_strerror(-EEXIST), "the path exists and is no socket");
    assert_int_equal(stat(f->path, &st), 0);
}

static void a_socket_of_another_kind_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strcpy(un.sun_path, f->path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(open_path(f, &f->listener), -EPROTOTYPE);
    assert_string_equal(listener_strerror(-EPROTOTYPE), "the path is a socket of another kind");
    assert_int_equal(stat(f->path, &st), 0);
    close(fd);
}

static void a_unix_socket_is_for_everybody_whatever_the_umask_is(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    mode_t before = umask(0077);
    int error = open_path(f, &f->listener);
    umask(before);
    assert_int_equal(error, 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
}

static void a_name_that_does_not_resolve_is_told(void **state)
{
    int error = open_at(*state, "nosuchhost.invalid:80", &((struct fixture *)*state)->listener);
    assert_true(error == UV_EAI_NONAME || error == UV_EAI_AGAIN); /* without a network it may be the latter */
    assert_memory_equal(listener_strerror(error), "the name does not resolve", 25);
}

static void refused_connections_are_all_closed(void **state)
{
    struct fixture *f = *state;
    int fds[20];
    f->refuse = true;
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    for (size_t i = 0; i < 20; i++)
        fds[i] = connect_to(f->listener);
    while (f->connections < 20)
        uv_run(&f->loop, UV_RUN_ONCE);
    for (unsigned turns = 0; turns < 50; turns++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < 20; i++)
        check_closed(fds[i]);
    f->refuse = false;
    close(connect_to(f->listener));
    unsigned before = f->connections;
    while (f->connections == before)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->accept_error, 0);
}

static void closing_with_connections_that_wait_frees_all(void **state)
{
    struct fixture *f = *state;
    f->close = true;
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    int first = connect_to(f->listener), second = connect_to(f->listener);
    while (f->connections < 1)
        uv_run(&f->loop, UV_RUN_ONCE);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->connections, 1);
    close(first);
    close(second);
}

/* No descriptor from this one on can be opened then. The limit until now. */
static struct rlimit limit_descriptors(int first)
{
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)first;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static int first_free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void a_connection_without_a_descriptor_is_closed_and_told(void **state)
{
    struct fixture *f = *state;
    int fds[5];
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    for (size_t i = 0; i < 5; i++)
        fds[i] = connect_to(f->listener);
    struct rlimit before = limit_descriptors(first_free_descriptor());
    while (f->failures < 5)
        uv_run(&f->loop, UV_RUN_ONCE);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(f->failure, -EMFILE);
    assert_int_equal(f->failures, 5);
    assert_int_equal(f->connections, 0);
    for (size_t i = 0; i < 5; i++)
        check_closed(fds[i]);
    int fd = connect_to(f->listener);
    while (f->connections < 1)
        uv_run(&f->loop, UV_RUN_ONCE);
    close(fd);
}

static void a_connection_that_cannot_even_be_closed_waits_and_nothing_spins(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_at(f, "127.0.0.1:0", &f->listener), 0);
    int fd = connect_to(f->listener);
    struct rlimit before =
        limit_descriptors(STDERR_FILENO + 1); /* so that the listener's reserve is of no help */
    while (f->failures < 1)
        uv_run(&f->loop, UV_RUN_ONCE);
    uint64_t since_ms = uv_now(&f->loop), turns = 0;
    for (; uv_now(&f->loop) - since_ms < 250; turns++)
        uv_run(&f->loop, UV_RUN_ONCE);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_in_range(f->failures, 2, 4); /* tried again now and then */
    assert_in_range(turns, 1, 10);
    while (f->connections < 1)
        uv_run(&f->loop, UV_RUN_ONCE);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(port_0_is_told_as_the_real_one),
        TEST(a_name_is_resolved),
        TEST(a_taken_port_is_refused),
        TEST(a_shared_port_gives_each_connection_to_one_of_its_listeners),
        TEST(a_port_is_shared_by_all_or_by_none),
        TEST(port_0_is_a_port_of_its_own_though_shared),
        TEST(a_connection_sends_at_once_and_lets_the_kernel_hold_little),
        TEST(what_has_connected_is_handed_over_before_the_listener_closes),
        TEST(a_shared_port_goes_on_without_a_listener_that_has_finished),
        TEST(a_listener_that_is_closed_while_it_finishes_frees_all),
        TEST(an_address_of_another_machine_is_refused),
        TEST(a_unix_socket_accepts_and_takes_its_file_with_it),
        TEST(a_live_unix_socket_is_not_replaced),
        TEST(a_stale_unix_socket_is_replaced),
        TEST(a_unix_socket_that_is_too_busy_to_answer_is_not_replaced),
        TEST(a_file_that_is_no_socket_is_not_replaced),
        TEST(a_socket_of_another_kind_is_not_replaced),
        TEST(a_unix_socket_is_for_everybody_whatever_the_umask_is),
        TEST(a_name_that_does_not_resolve_is_told),
        TEST(refused_connections_are_all_closed),
        TEST(closing_with_connections_that_wait_frees_all),
        TEST(a_connection_without_a_descriptor_is_closed_and_told),
        TEST(a_connection_that_cannot_even_be_closed_waits_and_nothing_spins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
