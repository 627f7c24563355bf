/* The server on a real loop and real Unix sockets, with the real core; messages are lines of text (core_fixture). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/peer.h"

#define FLAGS "{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":true}}"
#define REPLY "{\"type\":\"feature_flags\",\"data\":{\"x\":1}}"

/* The handshake */

static void a_request_is_accepted_however_it_is_cut(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = peer_connect(&f);
    const char *text = "GET /ws?clientId=a HTTP/1.1\r\n" PEER_HEAD;
    for (size_t i = 0; i < strlen(text); i++)
        peer_send_bytes(c, text + i, 1);
    peer_expect_response(c, "HTTP/1.1 101 Switching Protocols");
    core_confirm(&f.core, "a");
    peer_expect_frame(c, 0x81, "status 0 sid=a");
    assert_int_equal(f.core.relay.metrics.handshakes, 1);
    assert_int_equal(f.core.relay.metrics.connections, 1);
    peer_disconnect(c);
    tear_down(&f);
}

static void frames_may_follow_the_request_at_once(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = peer_connect(&f);
    uint8_t bytes[512];
    size_t n = (size_t)snprintf((char *)bytes, sizeof bytes, "GET /ws?clientId=a HTTP/1.1\r\n" PEER_HEAD);
    n += peer_make_frame(bytes + n, 0x89, "early", 5);
    n += peer_make_frame(bytes + n, 0x81, FLAGS, strlen(FLAGS));
    peer_send_bytes(c, bytes, n);
    peer_expect_response(c, "HTTP/1.1 101 Switching Protocols");
    peer_expect_frame(c, 0x8a, "early");
    core_confirm(&f.core, "a");
    peer_expect_frame(c, 0x81, "status 0 sid=a");
    peer_expect_frame(c, 0x81, REPLY);
    peer_disconnect(c);
    tear_down(&f);
}

static void expect_refusal(struct fixture *f, const char *text, const char *status_line,
                           enum reject_reason reason)
{
    struct peer *c = peer_connect(f);
    peer_send(c, text);
    peer_expect_response(c, status_line);
    while (!c->is_at_end) {
        peer_receive(c, sizeof c->in);
        if (!c->is_at_end)
            wait_turn(f);
    }
    assert_int_equal(f->core.relay.metrics.rejected[reason], 1);
    peer_disconnect(c);
}

static void a_refusal_is_answered_counted_and_ends_the_connection(void **state)
{
    (void)state;
    struct fixture f;
    char text[10000];
    set_up(&f);
    expect_refusal(&f, "GET /ws\n", "HTTP/1.1 400 Bad Request", REJECT_MALFORMED);
    expect_refusal(&f, "POST /ws HTTP/1.1\r\n" PEER_HEAD, "HTTP/1.1 405 Method Not Allowed", REJECT_METHOD);
    expect_refusal(&f, "GET /x HTTP/1.1\r\n" PEER_HEAD, "HTTP/1.1 404 Not Found", REJECT_PATH);
    memset(text, 'x', sizeof text);
    memcpy(text, "GET /", 5);
    text[9000] = '\0';
    expect_refusal(&f, text, "HTTP/1.1 431 Request Header Fields Too Large", REJECT_HEADER_BYTES);
    assert_int_equal(f.core.relay.metrics.connections, 0);
    tear_down(&f);
}

static void a_head_at_the_limit_passes(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    const char *text = "GET /ws?clientId=a HTTP/1.1\r\n" PEER_HEAD;
    f.options.limits_header_bytes = strlen(text);
    peer_disconnect(peer_open(&f, "a"));
    f.options.limits_header_bytes = strlen(text) - 1;
    expect_refusal(&f, text, "HTTP/1.1 431 Request Header Fields Too Large", REJECT_HEADER_BYTES);
    tear_down(&f);
}

/* The answer must not be lost to a reset when the client has sent more than was read. */
static void a_refusal_is_seen_by_a_client_that_goes_on_sending(void **state)
{
    (void)state;
    struct fixture f;
    static char more[500000];
    set_up(&f);
    struct peer *c = peer_connect(&f);
    peer_send(c, "POST /ws HTTP/1.1\r\n" PEER_HEAD);
    peer_send_bytes(c, more, sizeof more);
    peer_expect_response(c, "HTTP/1.1 405 Method Not Allowed");
    peer_disconnect(c);
    tear_down(&f);
}

static void a_handshake_that_takes_too_long_gets_408(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.limits_handshake_timeout_ms = 100;
    struct peer *silent = peer_connect(&f), *slow = peer_connect(&f);
    peer_send(slow, "GET /ws HTTP/1.1\r\n");
    peer_expect_response(silent, "HTTP/1.1 408 Request Timeout");
    peer_expect_response(slow, "HTTP/1.1 408 Request Timeout");
    assert_int_equal(f.core.relay.metrics.rejected[REJECT_TIMEOUT], 2);
    peer_disconnect(silent);
    peer_disconnect(slow);
    tear_down(&f);
}

static void above_the_most_connections_an_upgrade_gets_503(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.limits_connections = 1;
    struct peer *first = peer_open(&f, "a");
    expect_refusal(&f, "GET /ws?clientId=b HTTP/1.1\r\n" PEER_HEAD, "HTTP/1.1 503 Service Unavailable",
                   REJECT_CONNECTIONS);
    peer_disconnect(first);
    wait_closed(&f, CLOSE_LOST);
    peer_disconnect(peer_open(&f, "b"));
    tear_down(&f);
}

/* What a client sends */

static void flags_are_answered_after_the_first_status_and_choose_the_preview(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *with = peer_open(&f, "a"), *without = peer_open(&f, "b");
    peer_send_text(with, FLAGS);
    peer_send_text(with, FLAGS); /* is not answered again */
    peer_send_text(without, "{\"type\":\"other\"}");
    peer_send_text(without, FLAGS);
    peer_expect_frame(with, 0x81, REPLY);
    core_publish(&f.core, "#4 node=1 format=JPEG v=picture");
    peer_expect_frame(with, 0x82, "#4 node=1 format=JPEG v=picture");
    char text[256];
    size_t at = 0;
    peer_await_frame(without, sizeof without->in);
    size_t len = peer_whole_frame(without, &at);
    snprintf(text, sizeof text, "%.*s", (int)(len - at - 8), (char *)without->in + at + 8);
    assert_string_equal(text, "picture");
    assert_int_equal(f.core.relay.metrics.client_messages, 4);
    peer_disconnect(with);
    peer_disconnect(without);
    tear_down(&f);
}

static void only_an_object_uses_up_the_first_message(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = peer_open(&f, "a"), *d = peer_open(&f, "b");
    peer_send_text(c, "[1]");
    peer_send_text(c, "no JSON");
    peer_send_frame(c, 0x82, "{}", 2);
    peer_send_text(c, FLAGS);
    peer_expect_frame(c, 0x81, REPLY);
    peer_send_text(d, "{}");
    peer_send_text(d, FLAGS);
    peer_send_frame(d, 0x89, "p", 1);
    peer_expect_frame(d, 0x8a, "p");
    peer_disconnect(c);
    peer_disconnect(d);
    tear_down(&f);
}

static void a_close_is_answered_with_1000_and_the_server_ends_it(void **state)
{
    (void)state;
    static const char *const payloads[] = {"", "\x03\xe8",
                                           "\x03\xe8"
                                           "bye",
                                           "\x03\xe9",
                                           "\x0f\xa0"
                                           "app"};
    struct fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct peer *c = peer_open(&f, "a");
        peer_send_frame(c, 0x88, payloads[i], strlen(payloads[i]));
        peer_send_text(c, "after it");
        peer_expect_close(c, 1000);
        peer_expect_end(c);
        assert_int_equal(f.core.relay.metrics.closed[CLOSE_CLIENT], i + 1);
        assert_int_equal(f.core.relay.metrics.connections, 0);
        peer_disconnect(c);
    }
    tear_down(&f);
}

static void what_breaks_the_protocol_is_told_why_and_ended(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        unsigned code;
        enum close_reason reason;
    } cases[] = {
        {"\x83\x81\0\0\0\0x", 7, 1002, CLOSE_PROTOCOL},
        {"\x81\x02{}", 4, 1002, CLOSE_PROTOCOL},
        {"\x81\x81\0\0\0\0\xff", 7, 1007, CLOSE_PROTOCOL},
        {"\x88\x82\0\0\0\0\x03\xed", 8, 1002, CLOSE_PROTOCOL},
        {"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 14, 1009, CLOSE_TOO_LARGE},
    };
    struct fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer *c = peer_open(&f, "a");
        uint64_t before = f.core.relay.metrics.closed[cases[i].reason];
        peer_send_bytes(c, cases[i].bytes, cases[i].len);
        peer_expect_close(c, cases[i].code);
        peer_expect_end(c);
        assert_int_equal(f.core.relay.metrics.closed[cases[i].reason], before + 1);
        peer_disconnect(c);
    }
    tear_down(&f);
}

static void a_message_above_the_limit_is_1009_while_it_is_still_being_sent(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.limits_client_message_bytes = 60000;
    struct peer *c = peer_open(&f, "a");
    static char payload[60001];
    memset(payload, 'x', sizeof payload);
    peer_send_frame(c, 0x81, payload, 60000);
    peer_send_frame(c, 0x81, payload, 60001);
    for (int i = 0; i < 20; i++)
        peer_send_frame(c, 0x81, payload, 60000);
    peer_expect_close(c, 1009);
    peer_expect_end(c);
    assert_int_equal(f.core.relay.metrics.closed[CLOSE_TOO_LARGE], 1);
    peer_disconnect(c);
    tear_down(&f);
}

/* What a client gets */

static void slow_socket_gets_only_the_newest_preview(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *slow = peer_open(&f, "a"), *other = peer_open(&f, "b");
    for (int i = 1; i <= 100; i++)
        publish_big(&f, "#1 sid=a node=1 format=JPEG", i);
    core_publish(&f.core, "executed sid=a node=1");
    core_publish(&f.core, "executed sid=b node=1");
    peer_expect_frame(other, 0x81, "executed sid=b node=1");
    int last = 0, count = 0, number;
    while ((number = peer_expect_number(slow)) > 0) {
        assert_true(number > last);
        last = number;
        count++;
    }
    assert_int_equal(last, 100);
    assert_in_range(count, 2, 20);
    assert_true(f.core.relay.metrics.conflated >= 80);
    peer_disconnect(slow);
    peer_disconnect(other);
    tear_down(&f);
}

static void a_slow_socket_misses_nothing_that_must_be_kept(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = peer_open(&f, "a");
    for (int i = 1; i <= 100; i++)
        publish_big(&f, "executed sid=a node=1", i);
    for (int i = 1; i <= 100; i++)
        assert_int_equal(peer_expect_number(c), i);
    assert_int_equal(f.core.relay.metrics.frames, 101);
    peer_disconnect(c);
    tear_down(&f);
}

/* The peer reads in tiny steps while the server has a frame in the socket and pings to answer. */
static void control_frames_stand_between_frames_never_inside(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = peer_open(&f, "a");
    int small = 1, pongs = 0, frames = 0;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (int i = 1; i <= 20; i++) {
        char ping[16];
        publish_big(&f, "executed sid=a node=1", i);
        snprintf(ping, sizeof ping, "p%d", i);
        peer_send_frame(c, 0x89, ping, strlen(ping));
    }
    while (pongs < 20 || frames < 20) {
        size_t at = 0;
        peer_await_frame(c, 1 + (size_t)(pongs + frames) * 37);
        size_t len = peer_whole_frame(c, &at);
        char text[64];
        if (c->in[0] == 0x8a)
            snprintf(text, sizeof text, "p%d", ++pongs);
        else
            snprintf(text, sizeof text, "executed sid=a node=1 v=%06d", ++frames);
        assert_int_equal(c->in[0], text[0] == 'p' ? 0x8a : 0x81);
        assert_memory_equal(c->in + at, text, strlen(text));
        peer_take(c, len);
    }
    peer_disconnect(c);
    tear_down(&f);
}

/* The flooder is no longer read when its answers wait; nobody else notices; and each ping is answered in the end. */
static void a_ping_flood_costs_only_its_sender(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *flooder = peer_open(&f, "a"), *other = peer_open(&f, "b");
    uint8_t ping[256];
    char payload[125];
    memset(payload, 'x', sizeof payload);
    size_t len = peer_make_frame(ping, 0x89, payload, sizeof payload), sent = 0, pongs = 0, part = 0;
    for (int idle = 0; idle < 50;) {
        ssize_t n = send(flooder->fd, ping + part, len - part, MSG_NOSIGNAL);
        idle = n > 0 ? 0 : idle + 1;
        part = n > 0 ? (part + (size_t)n) % len : part;
        sent += n > 0 && part == 0;
        turn(&f);
        assert_in_range(sent * len, 0, 4 << 20);
    }
    core_publish(&f.core, "executed sid=b node=1");
    peer_expect_frame(other, 0x81, "executed sid=b node=1");
    while (pongs < sent) {
        size_t at;
        peer_await_frame(flooder, sizeof flooder->in);
        assert_int_equal(flooder->in[0], 0x8a);
        peer_take(flooder, peer_whole_frame(flooder, &at));
        pongs++;
    }
    peer_disconnect(flooder);
    peer_disconnect(other);
    tear_down(&f);
}

/* Draining */

static void on_drained(void *arg)
{
    int *drained = arg;
    (*drained)++;
}

static void a_drain_closes_with_1012_and_refuses_upgrades(void **state)
{
    (void)state;
    struct fixture f;
    int drained = 0;
    set_up(&f);
    struct peer *c[3] = {peer_open(&f, "a"), peer_open(&f, "b"), peer_open(&f, "c")};
    f.options.drain_time_ms = 300;
    uint64_t started = uv_now(&f.loop);
    server_drain(f.server, on_drained, &drained);
    assert_true(server_is_draining(f.server));
    expect_refusal(&f, "GET /ws HTTP/1.1\r\n" PEER_HEAD, "HTTP/1.1 503 Service Unavailable", REJECT_DRAINING);
    for (int i = 0; i < 3; i++) {
        peer_expect_close(c[i], 1012);
        assert_in_range(uv_now(&f.loop) - started, (uint64_t)i * 100, 5000);
        assert_int_equal(drained, 0);
        peer_send_frame(c[i], 0x88, "\x03\xf4", 2); /* clients send the code back */
        peer_expect_end(c[i]);
        peer_disconnect(c[i]);
    }
    while (drained == 0)
        wait_turn(&f);
    assert_int_equal(drained, 1);
    assert_int_equal(f.core.relay.metrics.closed[CLOSE_DRAIN], 3);
    tear_down(&f);
}

static void a_drain_is_over_at_once_without_sockets(void **state)
{
    (void)state;
    struct fixture f;
    int drained = 0;
    set_up(&f);
    struct peer *half = peer_connect(&f);
    peer_send(half, "GET /ws HTTP/1.1\r\n");
    server_drain(f.server, on_drained, &drained);
    assert_int_equal(drained, 1);
    peer_disconnect(half);
    tear_down(&f);
}

static void a_drain_waits_two_seconds_for_those_that_do_not_answer_or_read(void **state)
{
    (void)state;
    struct fixture f;
    int drained = 0;
    set_up(&f);
    struct peer *mute = peer_open(&f, "a"), *stuck = peer_open(&f, "b");
    for (int i = 0; i < 20; i++)
        publish_big(&f, "executed sid=b node=1", i);
    f.options.drain_time_ms = 0;
    server_drain(f.server, on_drained, &drained);
    uint64_t started = uv_now(&f.loop);
    peer_expect_close(mute, 1012);
    while (drained == 0)
        wait_turn(&f);
    assert_in_range(uv_now(&f.loop) - started, 1900, 10000);
    peer_disconnect(mute);
    peer_disconnect(stuck);
    tear_down(&f);
}

/* Ends */

static void a_connection_that_breaks_is_counted_as_lost(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = peer_open(&f, "a");
    peer_disconnect(c);
    assert_int_equal(wait_closed(&f, CLOSE_LOST), 1);
    assert_int_equal(f.core.relay.metrics.connections, 0);
    tear_down(&f);
}

static void a_connection_that_breaks_with_frames_outstanding_frees_them(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = peer_open(&f, "a");
    for (int i = 0; i < 20; i++)
        publish_big(&f, "executed sid=a node=1", i);
    peer_send_frame(c, 0x89, "p", 1);
    peer_disconnect(c);
    assert_int_equal(wait_closed(&f, CLOSE_LOST), 1);
    tear_down(&f);
}

static void features_are_taken_over_by_a_reload(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = peer_open(&f, "a");
    peer_send_text(c, FLAGS);
    peer_expect_frame(c, 0x81, REPLY);
    f.options.features = (char *)"{\"y\": 18446744073709551615}";
    assert_int_equal(server_reload(f.server), 0);
    struct peer *d = peer_open(&f, "b");
    peer_send_text(d, FLAGS);
    peer_expect_frame(d, 0x81, "{\"type\":\"feature_flags\",\"data\":{\"y\":18446744073709551615}}");
    peer_disconnect(c);
    peer_disconnect(d);
    tear_down(&f);
}

static void a_connection_without_a_descriptor_is_counted_and_told_once(void **state)
{
    (void)state;
    struct fixture f;
    struct rlimit limit;
    char *log = NULL;
    size_t log_len = 0;
    set_up(&f);
    f.logger = (struct logger){open_memstream(&log, &log_len), LOG_WARN, LOG_TEXT};
    struct peer *a = peer_connect(&f), *b = peer_connect(&f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int first_free = dup(STDERR_FILENO);
    close(first_free);
    assert_int_equal(setrlimit(RLIMIT_NOFILE,
                               &(struct rlimit){.rlim_cur = (rlim_t)first_free, .rlim_max = limit.rlim_max}),
                     0);
    while (f.core.relay.metrics.rejected[REJECT_DESCRIPTORS] < 2)
        wait_turn(&f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(f.core.relay.metrics.rejected[REJECT_DESCRIPTORS], 2);
    fclose(f.logger.stream);
    const char *line = strstr(log, "too many open files");
    assert_non_null(line);
    assert_null(strstr(line + 1, "too many open files"));
    f.logger.stream = stderr;
    free(log);
    peer_disconnect(a);
    peer_disconnect(b);
    struct peer *c = peer_open(&f, "a");
    peer_disconnect(c);
    tear_down(&f);
}

static void an_address_that_is_taken_is_named(void **state)
{
    (void)state;
    struct fixture f;
    const char *where;
    set_up(&f);
    struct server *second = server_new(&f.loop, &f.options, &f.logger);
    assert_int_equal(server_open(second, &f.core.relay, &where), -EADDRINUSE);
    assert_string_equal(where, f.listen);
    server_close(second);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_accepted_however_it_is_cut),
        cmocka_unit_test(frames_may_follow_the_request_at_once),
        cmocka_unit_test(a_refusal_is_answered_counted_and_ends_the_connection),
        cmocka_unit_test(a_head_at_the_limit_passes),
        cmocka_unit_test(a_refusal_is_seen_by_a_client_that_goes_on_sending),
        cmocka_unit_test(a_handshake_that_takes_too_long_gets_408),
        cmocka_unit_test(above_the_most_connections_an_upgrade_gets_503),
        cmocka_unit_test(flags_are_answered_after_the_first_status_and_choose_the_preview),
        cmocka_unit_test(only_an_object_uses_up_the_first_message),
        cmocka_unit_test(a_close_is_answered_with_1000_and_the_server_ends_it),
        cmocka_unit_test(what_breaks_the_protocol_is_told_why_and_ended),
        cmocka_unit_test(a_message_above_the_limit_is_1009_while_it_is_still_being_sent),
        cmocka_unit_test(slow_socket_gets_only_the_newest_preview),
        cmocka_unit_test(a_slow_socket_misses_nothing_that_must_be_kept),
        cmocka_unit_test(control_frames_stand_between_frames_never_inside),
        cmocka_unit_test(a_ping_flood_costs_only_its_sender),
        cmocka_unit_test(a_drain_closes_with_1012_and_refuses_upgrades),
        cmocka_unit_test(a_drain_is_over_at_once_without_sockets),
        cmocka_unit_test(a_drain_waits_two_seconds_for_those_that_do_not_answer_or_read),
        cmocka_unit_test(a_connection_that_breaks_is_counted_as_lost),
        cmocka_unit_test(a_connection_that_breaks_with_frames_outstanding_frees_them),
        cmocka_unit_test(features_are_taken_over_by_a_reload),
        cmocka_unit_test(a_connection_without_a_descriptor_is_counted_and_told_once),
        cmocka_unit_test(an_address_that_is_taken_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
