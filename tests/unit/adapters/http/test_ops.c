/* The operations address, over real sockets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/http/inspector.h"
#include "adapters/http/ops.h"

#define HEADER_BYTES 512
#define CLIENTS_MAX  70

/* Ops on a free port, and the answer to one client. */
struct fixture {
    struct ops_source source;
    struct metrics metrics;
    const char *why;
    unsigned asked; /* how often, whether it is ready */
    char listen[20], websocket[32];
    struct options options;
    struct logger logger;
    char *log;
    size_t log_len;
    uv_loop_t loop;
    struct ops *ops;
    uint16_t port;
    char answer[131072];
    size_t len;
};

static const char *not_ready(struct ops_source *self)
{
    struct fixture *f = (struct fixture *)self;
    f->asked++;
    return f->why;
}

static const struct metrics *metrics(struct ops_source *self)
{
    return &((struct fixture *)self)->metrics;
}

static void count_evicted(struct ops_source *self)
{
    ((struct fixture *)self)->metrics.ops_evicted++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int error;
    f->source = (struct ops_source){not_ready, metrics, count_evicted};
    strcpy(f->listen, "127.0.0.1:0");
    f->options.ops_listen = f->listen;
    f->options.listen = f->websocket;
    strcpy(f->websocket, "127.0.0.1:8190");
    f->options.limits_header_bytes = HEADER_BYTES;
    f->options.limits_handshake_timeout_ms = 60000;
    f->logger = (struct logger){.level = LOG_INFO, .stream = open_memstream(&f->log, &f->log_len)};
    *state = f;
    if (uv_loop_init(&f->loop) < 0)
        return -1;
    f->ops = ops_open(&f->loop, &f->options, &f->logger, &f->source, &error);
    const char *address = f->log == NULL ? NULL : strstr(f->log, "address=127.0.0.1:");
    f->port = address == NULL ? 0 : (uint16_t)atoi(address + strlen("address=127.0.0.1:"));
    return f->ops == NULL || f->port == 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->ops != NULL)
        ops_close(f->ops);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    int error = uv_loop_close(&f->loop);
    fclose(f->logger.stream);
    free(f->log);
    free(f);
    return error;
}

static int connect_client(const struct fixture *f)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Turns the loop until the relay has shut down its side; what came is the answer. */
static void read_answer(struct fixture *f, int fd)
{
    ssize_t n = -1;
    f->len = 0;
    while (n != 0) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        n = read(fd, f->answer + f->len, sizeof(f->answer) - 1 - f->len);
        if (n < 0)
            assert_int_equal(errno, EAGAIN);
        else
            f->len += (size_t)n;
    }
    f->answer[f->len] = '\0';
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void ask(struct fixture *f, const char *request)
{
    int fd = connect_client(f);
    send_text(fd, request);
    read_answer(f, fd);
    close(fd);
}

static void check_answer(struct fixture *f, const char *request, const char *expected)
{
    ask(f, request);
    assert_string_equal(f->answer, expected);
}

#define PLAIN(status, more, length, body)                                                       \
    "HTTP/1.1 " status "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " length \
    "\r\nConnection: close\r\n" more "\r\n" body

static void live_is_200_while_the_loop_turns(void **state)
{
    struct fixture *f = *state;
    f->why = "anything";
    check_answer(f, "GET /live HTTP/1.1\r\nHost: a\r\n\r\n", PLAIN("200 OK", "", "5", "live\n"));
    check_answer(f, "GET /live?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", PLAIN("200 OK", "", "5", "live\n"));
}

static void ready_says_why_it_is_not(void **state)
{
    struct fixture *f = *state;
    check_answer(f, "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n", PLAIN("200 OK", "", "6", "ready\n"));
    f->why = "draining";
    check_answer(f, "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n",
                 PLAIN("503 Service Unavailable", "", "9", "draining\n"));
}

static void metrics_are_what_the_relay_counted(void **state)
{
    struct fixture *f = *state;
    f->metrics.connections = 42;
    ask(f, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(
        strstr(f->answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(f->answer, "\ncomfy_relay_connections 42\n"));
    const char *length = strstr(f->answer, "Content-Length: "), *body = strstr(f->answer, "\r\n\r\n");
    assert_int_equal(atoi(length + 16), strlen(body + 4));
}

/* The page is told the port of `listen`, and its policy allows its own style and script. */
static void the_inspector_is_a_page_with_a_policy(void **state)
{
    struct fixture *f = *state;
    ask(f, "GET /?sid=x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(strstr(f->answer, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n") ==
                f->answer);
    assert_non_null(strstr(f->answer, "\r\nContent-Security-Policy: default-src 'none'; style-src 'sha256-"));
    assert_non_null(strstr(f->answer, "\r\nX-Content-Type-Options: nosniff\r\n"));
    const char *length = strstr(f->answer, "Content-Length: "), *body = strstr(f->answer, "\r\n\r\n");
    assert_int_equal(atoi(length + 16), strlen(body + 4));
    assert_true(strstr(body, "<!doctype html>\n<html lang=\"en\" data-port=\"8190\">\n") == body + 4);
}

static void the_inspector_is_told_the_first_port_of_listen(void **state)
{
    struct inspector i;
    (void)state;
    inspector_init(&i, "unix:/run/relay.sock,[::1]:8190,127.0.0.1:8191");
    assert_string_equal(i.port, "8190");
    inspector_init(&i, "unix:/run/relay.sock");
    assert_string_equal(i.port, "");
}

static void another_path_is_404_and_another_method_405(void **state)
{
    struct fixture *f = *state;
    ask(f, "GET /livex HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_memory_equal(f->answer, "HTTP/1.1 404 ", 13);
    assert_non_null(strstr(f->answer, "here are / (the inspector), /live, /ready and /metrics\n"));
    check_answer(f, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
                 PLAIN("405 Method Not Allowed", "Allow: GET\r\n", "9", ""));
    check_answer(f, "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
                 PLAIN("405 Method Not Allowed", "Allow: GET\r\n", "9", "only GET\n"));
    check_answer(f, "HEAD /live HTTP/1.1\r\nHost: a\r\n\r\n",
                 PLAIN("405 Method Not Allowed", "Allow: GET\r\n", "9", ""));
}

static void a_malformed_request_is_400(void **state)
{
    struct fixture *f = *state;
    check_answer(f, "GET /live\r\n\r\n", PLAIN("400 Bad Request", "", "18", "malformed request\n"));
    check_answer(f, "GET /live HTTP/1.1\r\n\r\n", PLAIN("400 Bad Request", "", "18", "malformed request\n"));
}

static void a_head_of_just_the_limit_is_answered_and_a_longer_one_431(void **state)
{
    struct fixture *f = *state;
    char request[HEADER_BYTES + 2];
    int len = snprintf(request, sizeof(request), "GET /live HTTP/1.1\r\nHost: a\r\nX: ");
    memset(request + len, 'x', sizeof(request) - (size_t)len);
    strcpy(request + HEADER_BYTES - 4, "\r\n\r\n");
    int fd = connect_client(f);
    assert_int_equal(write(fd, request, HEADER_BYTES - 1), HEADER_BYTES - 1);
    for (int turns = 0; turns < 5; turns++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    send_text(fd, request + HEADER_BYTES - 1);
    read_answer(f, fd);
    close(fd);
    assert_memory_equal(f->answer, "HTTP/1.1 200 ", 13);
    memcpy(request + HEADER_BYTES - 4, "x\r\n\r\n", 6);
    ask(f, request);
    assert_memory_equal(f->answer, "HTTP/1.1 431 ", 13);
}

static void a_request_in_single_bytes_is_answered(void **state)
{
    struct fixture *f = *state;
    const char *request = "GET /live HTTP/1.1\r\nHost: a\r\n\r\n";
    int fd = connect_client(f);
    for (const char *p = request; *p != '\0'; p++) {
        assert_int_equal(write(fd, p, 1), 1);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    read_answer(f, fd);
    assert_memory_equal(f->answer, "HTTP/1.1 200 ", 13);
    close(fd);
}

static void a_slow_request_is_408(void **state)
{
    struct fixture *f = *state;
    f->options.limits_handshake_timeout_ms = 50;
    int fd = connect_client(f);
    send_text(fd, "GET /live HTT");
    read_answer(f, fd);
    assert_memory_equal(f->answer, "HTTP/1.1 408 ", 13);
    close(fd);
}

static void what_follows_the_request_does_not_lose_the_answer(void **state)
{
    struct fixture *f = *state;
    char more[4096];
    int fd = connect_client(f);
    send_text(fd, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    memset(more, 'm', sizeof(more));
    for (int i = 0; i < 8; i++)
        assert_int_equal(write(fd, more, sizeof(more)), sizeof(more));
    read_answer(f, fd); /* without a reset */
    assert_memory_equal(f->answer, "HTTP/1.1 404 ", 13);
    close(fd);
}

static bool is_closed(int fd)
{
    char byte;
    return read(fd, &byte, 1) == 0;
}

static void a_peer_that_does_not_close_is_closed(void **state)
{
    struct fixture *f = *state;
    int fd = connect_client(f);
    send_text(fd, "GET /live HTTP/1.1\r\nHost: a\r\n\r\n");
    read_answer(f, fd);
    while (write(fd, "x", 1) == 1) /* it lingers for 1 s, then writing fails */
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_true(errno == EPIPE || errno == ECONNRESET);
    close(fd);
}

static void idle_connections_give_way_to_new_ones_the_oldest_first(void **state)
{
    struct fixture *f = *state;
    int fds[CLIENTS_MAX];
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        fds[i] = connect_client(f);
    while (f->metrics.ops_evicted < CLIENTS_MAX - 64)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    ask(f, "GET /live HTTP/1.1\r\nHost: a\r\n\r\n"); /* with all places taken */
    assert_memory_equal(f->answer, "HTTP/1.1 200 ", 13);
    assert_int_equal(f->metrics.ops_evicted, CLIENTS_MAX - 64 + 1);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        assert_int_equal(is_closed(fds[i]), i <= CLIENTS_MAX - 64);
        close(fds[i]);
    }
}

static void connections_that_were_answered_give_way_when_none_is_idle(void **state)
{
    struct fixture *f = *state;
    int fds[64];
    for (size_t i = 0; i < 64; i++) {
        fds[i] = connect_client(f);
        send_text(fds[i], "GET /live HTTP/1.1\r\nHost: a\r\n\r\n");
        read_answer(f, fds[i]);
    }
    ask(f, "GET /live HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_memory_equal(f->answer, "HTTP/1.1 200 ", 13);
    assert_int_equal(f->metrics.ops_evicted, 1);
    for (size_t i = 0; i < 64; i++)
        close(fds[i]);
}

static void closing_with_requests_under_way_frees_all(void **state)
{
    struct fixture *f = *state;
    int half = connect_client(f), whole = connect_client(f);
    send_text(half, "GET");
    send_text(whole, "GET /live HTTP/1.1\r\nHost: a\r\n\r\n");
    uv_run(&f->loop, UV_RUN_NOWAIT);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    ops_close(f->ops);
    f->ops = NULL;
    uv_run(&f->loop, UV_RUN_DEFAULT);
    close(half);
    close(whole);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct fixture *f = handle->data;
    (void)number;
    assert_int_equal(f->asked, 1); /* answered in this very turn */
    ops_close(f->ops);
    f->ops = NULL;
    uv_close((uv_handle_t *)handle, NULL);
}

/* The loop looks at signals last: the answer is written then, but nobody has been told so. */
static void closing_in_the_turn_of_an_answer_frees_all(void **state)
{
    struct fixture *f = *state;
    uv_signal_t stop = {.data = f};
    uv_signal_init(&f->loop, &stop);
    uv_signal_start(&stop, on_signal, SIGUSR1);
    int fd = connect_client(f);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    send_text(fd, "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n");
    raise(SIGUSR1);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_null(f->ops);
    close(fd);
}

static void a_taken_address_is_told(void **state)
{
    struct fixture *f = *state;
    int error = 0;
    snprintf(f->listen, sizeof(f->listen), "127.0.0.1:%u", f->port);
    assert_null(ops_open(&f->loop, &f->options, &f->logger, &f->source, &error));
    assert_int_equal(error, -EADDRINUSE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(live_is_200_while_the_loop_turns),
        TEST(ready_says_why_it_is_not),
        TEST(metrics_are_what_the_relay_counted),
        TEST(the_inspector_is_a_page_with_a_policy),
        TEST(the_inspector_is_told_the_first_port_of_listen),
        TEST(another_path_is_404_and_another_method_405),
        TEST(a_malformed_request_is_400),
        TEST(a_head_of_just_the_limit_is_answered_and_a_longer_one_431),
        TEST(a_request_in_single_bytes_is_answered),
        TEST(a_slow_request_is_408),
        TEST(what_follows_the_request_does_not_lose_the_answer),
        TEST(a_peer_that_does_not_close_is_closed),
        TEST(idle_connections_give_way_to_new_ones_the_oldest_first),
        TEST(connections_that_were_answered_give_way_when_none_is_idle),
        TEST(closing_with_requests_under_way_frees_all),
        TEST(closing_in_the_turn_of_an_answer_frees_all),
        TEST(a_taken_address_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
