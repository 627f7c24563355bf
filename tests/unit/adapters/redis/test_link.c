/* A connection's life, against a peer that does what Redis, or the network, may do. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "adapters/redis/link.h"
#include "tests/support/await.h"
#include "tests/support/redis_server.h"

#define PASSWORD "a secret that no log may hold"
#define FLOOD    (8 << 20)

/* The peer: takes connections on a port of the loopback, and answers each command, of which it only counts the '*'. */
struct peer {
    uv_tcp_t listener;
    uv_tcp_t *client;   /* owned by the loop; the newest */
    const char *answer; /* to each command */
    uint16_t port;
    int connections;
    int commands; /* of the newest connection */
    bool is_silent;
    size_t bytes;
    char said[1024]; /* the beginning of what came on the newest connection */
};

struct fixture {
    uv_loop_t loop;
    struct peer peer;
    struct link_config config;
    struct link link;
    struct link_user user;
    struct logger logger;
    char *log; /* of the logger's stream */
    size_t log_len;
    char port[8];
    int ups, downs;
    int wanted; /* what a test waits for */
    bool is_closed;
};

static void on_client_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    static char bytes[65536];
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void answer(struct peer *p, uv_stream_t *stream)
{
    uv_buf_t buf = uv_buf_init((char *)p->answer, (unsigned)strlen(p->answer));
    p->commands++;
    if (!p->is_silent)
        uv_try_write(stream, &buf, 1);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer *p = stream->data;
    if (n < 0 && !uv_is_closing((uv_handle_t *)stream)) {
        if (p->client == (uv_tcp_t *)stream)
            p->client = NULL;
        uv_close((uv_handle_t *)stream, on_client_closed);
    }
    for (ssize_t i = 0; i < n; i++) {
        if (p->bytes++ < sizeof p->said - 1)
            p->said[p->bytes - 1] = buf->base[i];
        if (buf->base[i] == '*')
            answer(p, stream);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct peer *p = listener->data;
    assert_int_equal(status, 0);
    p->client = calloc(1, sizeof *p->client);
    p->client->data = p;
    uv_tcp_init(listener->loop, p->client);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)p->client), 0);
    uv_read_start((uv_stream_t *)p->client, on_allocate, on_read);
    p->connections++;
    p->commands = 0;
    p->bytes = 0;
    memset(p->said, 0, sizeof p->said);
}

static void listen_at(struct fixture *f, uint16_t port)
{
    struct peer *p = &f->peer;
    struct sockaddr_in address;
    int len = sizeof address;
    uv_ip4_addr("127.0.0.1", port, &address);
    uv_tcp_init(&f->loop, &p->listener);
    p->listener.data = p;
    assert_int_equal(uv_tcp_bind(&p->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&p->listener, 16, on_connection), 0);
    uv_tcp_getsockname(&p->listener, (struct sockaddr *)&address, &len);
    p->port = ntohs(address.sin_port);
}

static void reset_client(struct fixture *f)
{
    assert_non_null(f->peer.client);
    assert_int_equal(uv_tcp_close_reset(f->peer.client, on_client_closed), 0);
    f->peer.client = NULL;
}

static struct fixture *of_user(struct link_user *user)
{
    return (struct fixture *)((char *)user - offsetof(struct fixture, user));
}

static void on_up(struct link_user *user)
{
    of_user(user)->ups++;
}

static void on_down(struct link_user *user)
{
    of_user(user)->downs++;
}

static void on_bytes(struct link_user *user, struct span bytes)
{
    (void)user;
    (void)bytes;
}

static void ping(struct link_user *user)
{
    link_command(&of_user(user)->link, (struct span[]){span_str("PING")}, 1);
}

static void on_closed(struct link_user *user)
{
    of_user(user)->is_closed = true;
}

static void *open_fixture(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    f->logger = (struct logger){.stream = open_memstream(&f->log, &f->log_len), .level = LOG_DEBUG};
    f->user = (struct link_user){on_up, on_bytes, on_down, ping, on_closed};
    f->peer.answer = "+OK\r\n";
    f->config = (struct link_config){.loop = &f->loop,
                                     .logger = &f->logger,
                                     .where = "there",
                                     .idle_ms = 20,
                                     .dead_ms = 100,
                                     .address = {.host = "127.0.0.1", .port = f->port}};
    return f;
}

static void connect_to(struct fixture *f, uint16_t port)
{
    snprintf(f->port, sizeof f->port, "%u", (unsigned)port);
    link_init(&f->link, &f->config, "test", &f->user);
    link_open(&f->link);
}

static int set_up(void **state)
{
    struct fixture *f = *state = open_fixture();
    listen_at(f, 0);
    return 0;
}

static int set_up_without_peer(void **state)
{
    *state = open_fixture();
    return 0;
}

/* Everything is closed, and the loop has nothing left: no handle, no memory. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    link_close(&f->link);
    uv_close((uv_handle_t *)&f->peer.listener, NULL);
    bool has_ended = await_end(&f->loop);
    fclose(f->logger.stream);
    free(f->log);
    has_ended = has_ended && f->is_closed;
    free(f);
    return has_ended ? 0 : -1;
}

static bool has_ups(void *arg)
{
    struct fixture *f = arg;
    return f->ups >= f->wanted;
}

static bool has_downs(void *arg)
{
    struct fixture *f = arg;
    return f->downs >= f->wanted;
}

static bool has_connections(void *arg)
{
    struct fixture *f = arg;
    return f->peer.connections >= f->wanted;
}

static bool has_commands(void *arg)
{
    struct fixture *f = arg;
    return f->peer.commands >= f->wanted;
}

static bool has_bytes(void *arg)
{
    struct fixture *f = arg;
    return f->peer.bytes >= (size_t)f->wanted;
}

static bool has_failed_often(void *arg)
{
    struct fixture *f = arg;
    return f->link.attempts >= (unsigned)f->wanted;
}

static void await_in(struct fixture *f, bool (*is_done)(void *), int wanted)
{
    f->wanted = wanted;
    if (!await(&f->loop, is_done, f))
        fail_msg("waited in vain: %d ups, %d downs, %d connections, %d commands, log:\n%s", f->ups, f->downs,
                 f->peer.connections, f->peer.commands, f->log);
}

static int count_logged(struct fixture *f, const char *text)
{
    int n = 0;
    fflush(f->logger.stream);
    for (const char *at = f->log; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

static void refused_connection_is_tried_again_until_somebody_listens(void **state)
{
    struct fixture *f = *state;
    uint16_t port = redis_server_free_port();
    connect_to(f, port);
    await_in(f, has_failed_often, 3);
    listen_at(f, port);
    await_in(f, has_ups, 1);
    assert_int_equal(count_logged(f, "connection refused"), 1);
    assert_int_equal(f->downs, 0);
}

static void greeting_says_who_it_is_and_where(void **state)
{
    struct fixture *f = *state;
    f->config.user = "relay";
    f->config.password = PASSWORD;
    f->config.database = 7;
    connect_to(f, f->peer.port);
    await_in(f, has_ups, 1);
    assert_string_equal(f->peer.said,
                        "*3\r\n$4\r\nAUTH\r\n$5\r\nrelay\r\n$29\r\n" PASSWORD "\r\n"
                        "*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n"
                        "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$11\r\ncomfy-relay\r\n*1\r\n$4\r\nPING\r\n");
    assert_int_equal(count_logged(f, PASSWORD), 0);
}

static void password_without_a_user_is_for_the_default_one(void **state)
{
    struct fixture *f = *state;
    f->config.password = "pw";
    connect_to(f, f->peer.port);
    await_in(f, has_ups, 1);
    assert_memory_equal(f->peer.said, "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n", 22);
}

static void who_does_not_know_auth_and_quotes_it_does_not_tell_the_password(void **state)
{
    struct fixture *f = *state;
    f->config.password = PASSWORD;
    f->peer.answer = "-ERR unknown command 'AUTH', with args beginning with: '" PASSWORD "' \r\n";
    connect_to(f, f->peer.port);
    await_in(f, has_failed_often, 1);
    assert_string_equal(f->link.error, "ERR unknown command 'AUTH'");
    assert_int_equal(count_logged(f, "unknown command 'AUTH'"), 1);
    assert_int_equal(count_logged(f, PASSWORD), 0);
}

static void refusal_is_told_once_and_tried_again(void **state)
{
    struct fixture *f = *state;
    f->config.password = PASSWORD;
    f->peer.answer = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    connect_to(f, f->peer.port);
    await_in(f, has_connections, 4);
    assert_int_equal(f->ups, 0);
    assert_int_equal(count_logged(f, "WRONGPASS"), 1);
    f->peer.answer = "-LOADING Redis is loading the dataset in memory\r\n";
    f->config.password = NULL;
    await_in(f, has_connections, 8);
    assert_int_equal(f->ups, 0);
    assert_int_equal(count_logged(f, "LOADING"), 1);
    f->peer.answer = "+OK\r\n";
    await_in(f, has_ups, 1);
    assert_int_equal(count_logged(f, PASSWORD), 0);
}

static void reset_by_the_peer_is_noticed_and_mended(void **state)
{
    struct fixture *f = *state;
    connect_to(f, f->peer.port);
    await_in(f, has_ups, 1);
    reset_client(f);
    await_in(f, has_downs, 1);
    await_in(f, has_ups, 2);
    assert_int_equal(f->peer.connections, 2);
    assert_int_equal(count_logged(f, "connection reset by peer"), 1);
}

static void reset_in_the_greeting_is_tried_again(void **state)
{
    struct fixture *f = *state;
    f->peer.is_silent = true;
    connect_to(f, f->peer.port);
    await_in(f, has_commands, 2);
    reset_client(f);
    f->peer.is_silent = false;
    await_in(f, has_ups, 1);
    assert_int_equal(f->downs, 0);
}

static void idle_peer_that_answers_is_kept(void **state)
{
    struct fixture *f = *state;
    connect_to(f, f->peer.port);
    await_in(f, has_commands, 2 + 10);
    assert_int_equal(f->downs, 0);
    assert_int_equal(f->peer.connections, 1);
}

static void silent_peer_is_given_up(void **state)
{
    struct fixture *f = *state;
    connect_to(f, f->peer.port);
    await_in(f, has_ups, 1);
    f->peer.is_silent = true;
    await_in(f, has_downs, 1);
    assert_int_equal(f->peer.commands, 3);
    f->peer.is_silent = false;
    await_in(f, has_ups, 2);
}

static void something_else_than_redis_is_no_redis(void **state)
{
    struct fixture *f = *state;
    f->peer.answer = "HTTP/1.1 400 Bad Request\r\n";
    connect_to(f, f->peer.port);
    await_in(f, has_connections, 3);
    assert_int_equal(f->ups, 0);
    assert_int_equal(count_logged(f, "redis connection failed"), 1);
}

static void more_than_the_socket_takes_arrives_whole(void **state)
{
    struct fixture *f = *state;
    f->config.dead_ms = AWAIT_MS; /* a busy machine may be silent for long in the midst of it */
    connect_to(f, f->peer.port);
    await_in(f, has_ups, 1);
    char *payload = malloc(FLOOD);
    memset(payload, 'x', FLOOD);
    link_command(&f->link, (struct span[]){span_str("ECHO"), span_of(payload, FLOOD)}, 2);
    link_command(&f->link, (struct span[]){span_str("PING")}, 1);
    free(payload);
    await_in(f, has_bytes, FLOOD);
    await_in(f, has_commands, 4);
    assert_int_equal(f->downs, 0);
}

static void each_address_of_a_name_is_tried(void **state)
{
    struct fixture *f = *state;
    f->config.address.host = "localhost";
    connect_to(f, f->peer.port);
    await_in(f, has_ups, 1);
    assert_int_equal(count_logged(f, "failed"), 0);
}

static void close_while_it_resolves_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    f->config.address.host = "localhost";
    connect_to(f, f->peer.port);
    assert_int_equal(f->ups, 0);
}

static void close_while_it_connects_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    connect_to(f, f->peer.port);
    assert_int_equal(f->ups, 0);
}

static void failure_without_an_up_is_no_down(void **state)
{
    struct fixture *f = *state;
    connect_to(f, f->peer.port);
    link_fail(&f->link, "as if");
    await_in(f, has_ups, 1);
    assert_int_equal(f->downs, 0);
    assert_int_equal(count_logged(f, "as if"), 1);
}

static void missing_unix_socket_is_tried_again(void **state)
{
    struct fixture *f = *state;
    f->config.address = (struct transport_address){.path = "/tmp/comfy-relay-there-is-no-such-socket"};
    connect_to(f, 0);
    await_in(f, has_failed_often, 3);
    assert_int_equal(count_logged(f, "no such file"), 1);
    listen_at(f, 0);
}

#define promise(name)         cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define promise_without(name) cmocka_unit_test_setup_teardown(name, set_up_without_peer, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        promise_without(refused_connection_is_tried_again_until_somebody_listens),
        promise(greeting_says_who_it_is_and_where),
        promise(password_without_a_user_is_for_the_default_one),
        promise(who_does_not_know_auth_and_quotes_it_does_not_tell_the_password),
        promise(refusal_is_told_once_and_tried_again),
        promise(reset_by_the_peer_is_noticed_and_mended),
        promise(reset_in_the_greeting_is_tried_again),
        promise(idle_peer_that_answers_is_kept),
        promise(silent_peer_is_given_up),
        promise(something_else_than_redis_is_no_redis),
        promise(more_than_the_socket_takes_arrives_whole),
        promise(each_address_of_a_name_is_tried),
        promise(close_while_it_resolves_leaves_nothing),
        promise(close_while_it_connects_leaves_nothing),
        promise(failure_without_an_up_is_no_down),
        promise_without(missing_unix_socket_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
