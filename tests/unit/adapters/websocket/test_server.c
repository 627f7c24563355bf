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

#include "tests/support/server_fixture.h"

#define HEAD                                                                                    \
    "Host: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define FLAGS "{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":true}}"
#define REPLY "{\"type\":\"feature_flags\",\"data\":{\"x\":1}}"

/* The client's side of a connection. */
struct client {
    struct fixture *f;
    int fd;
    size_t len;
    uint8_t in[1 << 20]; /* what came and was not taken yet */
    bool is_at_end;
};

static struct client *connect_client(struct fixture *f)
{
    struct client *c = calloc(1, sizeof *c);
    c->f = f;
    c->fd = connect_socket(f);
    return c;
}

static void disconnect(struct client *c)
{
    close(c->fd);
    free(c);
}

static void send_bytes(struct client *c, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    while (len > 0) {
        ssize_t n = send(c->fd, from, len, MSG_NOSIGNAL);
        if (n > 0) {
            from += n;
            len -= (size_t)n;
        } else {
            assert_int_equal(errno, EAGAIN);
        }
        turn(c->f);
    }
}

static void send_str(struct client *c, const char *text)
{
    send_bytes(c, text, strlen(text));
}

/* With a mask of zeros: masked, and readable in a trace. */
static size_t make_frame(uint8_t *out, uint8_t first, const void *payload, size_t len)
{
    size_t n = 2;
    out[0] = first;
    out[1] = (uint8_t)(0x80 | (len > 125 ? 126 : len));
    if (len > 125) {
        out[2] = (uint8_t)(len >> 8);
        out[3] = (uint8_t)len;
        n = 4;
    }
    memset(out + n, 0, 4);
    memcpy(out + n + 4, payload, len);
    return n + 4 + len;
}

static void send_frame(struct client *c, uint8_t first, const void *payload, size_t len)
{
    uint8_t *bytes = malloc(len + 14);
    send_bytes(c, bytes, make_frame(bytes, first, payload, len));
    free(bytes);
}

static void send_text(struct client *c, const char *text)
{
    send_frame(c, 0x81, text, strlen(text));
}

/* Takes what the socket has, at most `most` bytes. */
static void receive(struct client *c, size_t most)
{
    size_t room = sizeof c->in - c->len;
    ssize_t n = recv(c->fd, c->in + c->len, most < room ? most : room, 0);
    if (n > 0)
        c->len += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        c->is_at_end = true;
}

static void take(struct client *c, size_t n)
{
    c->len -= n;
    memmove(c->in, c->in + n, c->len);
}

/* The length of the frame that has come whole, or 0; *at is where its payload begins. */
static size_t whole_frame(const struct client *c, size_t *at)
{
    if (c->len < 2)
        return 0;
    size_t len = c->in[1], more = len == 127 ? 8 : len == 126 ? 2 : 0;
    assert_true(c->in[1] < 128); /* a server does not mask */
    *at = 2 + more;
    if (c->len < *at)
        return 0;
    for (size_t i = 0, length = 0; i < more; i++)
        len = length = length << 8 | c->in[2 + i];
    return c->len >= *at + len ? *at + len : 0;
}

static void await_frame(struct client *c, size_t step)
{
    size_t at;
    while (whole_frame(c, &at) == 0) {
        size_t before = c->len;
        receive(c, step);
        assert_false(c->is_at_end);
        if (c->len == before)
            wait_turn(c->f);
        else
            turn(c->f);
    }
}

/* The next frame's first byte, and its payload as text (shortened). */
static uint8_t next_frame(struct client *c, char *text, size_t size)
{
    size_t at = 0;
    await_frame(c, sizeof c->in);
    size_t len = whole_frame(c, &at);
    snprintf(text, size, "%.*s", (int)(len - at), (const char *)c->in + at);
    uint8_t first = c->in[0];
    take(c, len);
    return first;
}

static void expect_frame(struct client *c, uint8_t first, const char *expected)
{
    char text[256];
    assert_int_equal(next_frame(c, text, sizeof text), first);
    assert_string_equal(text, expected);
}

static void expect_close(struct client *c, unsigned code)
{
    size_t at;
    await_frame(c, sizeof c->in);
    assert_int_equal(c->in[0], 0x88);
    assert_int_equal(whole_frame(c, &at), 4);
    assert_int_equal(c->in[2] << 8 | c->in[3], code);
    take(c, 4);
}

static void expect_end(struct client *c)
{
    while (!c->is_at_end) {
        receive(c, sizeof c->in);
        assert_int_equal(c->len, 0);
        if (!c->is_at_end)
            wait_turn(c->f);
    }
}

/* Reads a response up to its empty line. */
static void expect_response(struct client *c, const char *status_line)
{
    uint8_t *end;
    while (!(end = memmem(c->in, c->len, "\r\n\r\n", 4))) {
        receive(c, sizeof c->in);
        assert_false(c->is_at_end);
        if (!memmem(c->in, c->len, "\r\n\r\n", 4))
            wait_turn(c->f);
    }
    char line[64];
    snprintf(line, sizeof line, "%.*s", (int)strcspn((char *)c->in, "\r"), (char *)c->in);
    assert_string_equal(line, status_line);
    take(c, (size_t)(end + 4 - c->in));
}

static void request(struct client *c, const char *sid)
{
    char text[512];
    snprintf(text, sizeof text, "GET /ws?clientId=%s HTTP/1.1\r\n" HEAD, sid);
    send_str(c, text);
}

/* Connected, upgraded, subscribed, and past its first status. */
static struct client *open_client(struct fixture *f, const char *sid)
{
    char status[64];
    struct client *c = connect_client(f);
    request(c, sid);
    expect_response(c, "HTTP/1.1 101 Switching Protocols");
    core_confirm(&f->core, sid);
    snprintf(status, sizeof status, "status 0 sid=%s", sid);
    expect_frame(c, 0x81, status);
    return c;
}

static uint64_t wait_closed(struct fixture *f, enum close_reason reason)
{
    while (f->core.relay.metrics.closed[reason] == 0)
        wait_turn(f);
    return f->core.relay.metrics.closed[reason];
}

/* The handshake */

static void a_request_is_accepted_however_it_is_cut(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *c = connect_client(&f);
    const char *text = "GET /ws?clientId=a HTTP/1.1\r\n" HEAD;
    for (size_t i = 0; i < strlen(text); i++)
        send_bytes(c, text + i, 1);
    expect_response(c, "HTTP/1.1 101 Switching Protocols");
    core_confirm(&f.core, "a");
    expect_frame(c, 0x81, "status 0 sid=a");
    assert_int_equal(f.core.relay.metrics.handshakes, 1);
    assert_int_equal(f.core.relay.metrics.connections, 1);
    disconnect(c);
    tear_down(&f);
}

static void frames_may_follow_the_request_at_once(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *c = connect_client(&f);
    uint8_t bytes[512];
    size_t n = (size_t)snprintf((char *)bytes, sizeof bytes, "GET /ws?clientId=a HTTP/1.1\r\n" HEAD);
    n += make_frame(bytes + n, 0x89, "early", 5);
    n += make_frame(bytes + n, 0x81, FLAGS, strlen(FLAGS));
    send_bytes(c, bytes, n);
    expect_response(c, "HTTP/1.1 101 Switching Protocols");
    expect_frame(c, 0x8a, "early");
    core_confirm(&f.core, "a");
    expect_frame(c, 0x81, "status 0 sid=a");
    expect_frame(c, 0x81, REPLY);
    disconnect(c);
    tear_down(&f);
}

static void expect_refusal(struct fixture *f, const char *text, const char *status_line,
                           enum reject_reason reason)
{
    struct client *c = connect_client(f);
    send_str(c, text);
    expect_response(c, status_line);
    while (!c->is_at_end) {
        receive(c, sizeof c->in);
        if (!c->is_at_end)
            wait_turn(f);
    }
    assert_int_equal(f->core.relay.metrics.rejected[reason], 1);
    disconnect(c);
}

static void a_refusal_is_answered_counted_and_ends_the_connection(void **state)
{
    (void)state;
    struct fixture f;
    char text[10000];
    set_up(&f);
    expect_refusal(&f, "GET /ws\n", "HTTP/1.1 400 Bad Request", REJECT_MALFORMED);
    expect_refusal(&f, "POST /ws HTTP/1.1\r\n" HEAD, "HTTP/1.1 405 Method Not Allowed", REJECT_METHOD);
    expect_refusal(&f, "GET /x HTTP/1.1\r\n" HEAD, "HTTP/1.1 404 Not Found", REJECT_PATH);
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
    const char *text = "GET /ws?clientId=a HTTP/1.1\r\n" HEAD;
    f.options.limits_header_bytes = strlen(text);
    disconnect(open_client(&f, "a"));
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
    struct client *c = connect_client(&f);
    send_str(c, "POST /ws HTTP/1.1\r\n" HEAD);
    send_bytes(c, more, sizeof more);
    expect_response(c, "HTTP/1.1 405 Method Not Allowed");
    disconnect(c);
    tear_down(&f);
}

static void a_handshake_that_takes_too_long_gets_408(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.limits_handshake_timeout_ms = 100;
    struct client *silent = connect_client(&f), *slow = connect_client(&f);
    send_str(slow, "GET /ws HTTP/1.1\r\n");
    expect_response(silent, "HTTP/1.1 408 Request Timeout");
    expect_response(slow, "HTTP/1.1 408 Request Timeout");
    assert_int_equal(f.core.relay.metrics.rejected[REJECT_TIMEOUT], 2);
    disconnect(silent);
    disconnect(slow);
    tear_down(&f);
}

static void above_the_most_connections_an_upgrade_gets_503(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.limits_connections = 1;
    struct client *first = open_client(&f, "a");
    expect_refusal(&f, "GET /ws?clientId=b HTTP/1.1\r\n" HEAD, "HTTP/1.1 503 Service Unavailable",
                   REJECT_CONNECTIONS);
    disconnect(first);
    wait_closed(&f, CLOSE_LOST);
    disconnect(open_client(&f, "b"));
    tear_down(&f);
}

/* What a client sends */

static void flags_are_answered_after_the_first_status_and_choose_the_preview(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *with = open_client(&f, "a"), *without = open_client(&f, "b");
    send_text(with, FLAGS);
    send_text(with, FLAGS); /* is not answered again */
    send_text(without, "{\"type\":\"other\"}");
    send_text(without, FLAGS);
    expect_frame(with, 0x81, REPLY);
    core_publish(&f.core, "#4 node=1 format=JPEG v=picture");
    expect_frame(with, 0x82, "#4 node=1 format=JPEG v=picture");
    char text[256];
    size_t at = 0;
    await_frame(without, sizeof without->in);
    size_t len = whole_frame(without, &at);
    snprintf(text, sizeof text, "%.*s", (int)(len - at - 8), (char *)without->in + at + 8);
    assert_string_equal(text, "picture");
    assert_int_equal(f.core.relay.metrics.client_messages, 4);
    disconnect(with);
    disconnect(without);
    tear_down(&f);
}

static void only_an_object_uses_up_the_first_message(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *c = open_client(&f, "a"), *d = open_client(&f, "b");
    send_text(c, "[1]");
    send_text(c, "no JSON");
    send_frame(c, 0x82, "{}", 2);
    send_text(c, FLAGS);
    expect_frame(c, 0x81, REPLY);
    send_text(d, "{}");
    send_text(d, FLAGS);
    send_frame(d, 0x89, "p", 1);
    expect_frame(d, 0x8a, "p");
    disconnect(c);
    disconnect(d);
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
        struct client *c = open_client(&f, "a");
        send_frame(c, 0x88, payloads[i], strlen(payloads[i]));
        send_text(c, "after it");
        expect_close(c, 1000);
        expect_end(c);
        assert_int_equal(f.core.relay.metrics.closed[CLOSE_CLIENT], i + 1);
        assert_int_equal(f.core.relay.metrics.connections, 0);
        disconnect(c);
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
        struct client *c = open_client(&f, "a");
        uint64_t before = f.core.relay.metrics.closed[cases[i].reason];
        send_bytes(c, cases[i].bytes, cases[i].len);
        expect_close(c, cases[i].code);
        expect_end(c);
        assert_int_equal(f.core.relay.metrics.closed[cases[i].reason], before + 1);
        disconnect(c);
    }
    tear_down(&f);
}

static void a_message_above_the_limit_is_1009_while_it_is_still_being_sent(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.limits_client_message_bytes = 60000;
    struct client *c = open_client(&f, "a");
    static char payload[60001];
    memset(payload, 'x', sizeof payload);
    send_frame(c, 0x81, payload, 60000);
    send_frame(c, 0x81, payload, 60001);
    for (int i = 0; i < 20; i++)
        send_frame(c, 0x81, payload, 60000);
    expect_close(c, 1009);
    expect_end(c);
    assert_int_equal(f.core.relay.metrics.closed[CLOSE_TOO_LARGE], 1);
    disconnect(c);
    tear_down(&f);
}

/* What a client gets */

static void publish_big(struct fixture *f, const char *head, int number)
{
    static char filler[60001];
    memset(filler, 'x', sizeof filler - 1);
    core_publish(&f->core, "%s v=%06d %s", head, number, filler);
}

static int number_in(struct client *c)
{
    size_t at;
    await_frame(c, sizeof c->in);
    size_t len = whole_frame(c, &at);
    const char *v = memmem(c->in, len, " v=", 3);
    int number = v ? atoi(v + 3) : -1;
    take(c, len);
    return number;
}

static void slow_socket_gets_only_the_newest_preview(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *slow = open_client(&f, "a"), *other = open_client(&f, "b");
    for (int i = 1; i <= 100; i++)
        publish_big(&f, "#1 sid=a node=1 format=JPEG", i);
    core_publish(&f.core, "executed sid=a node=1");
    core_publish(&f.core, "executed sid=b node=1");
    expect_frame(other, 0x81, "executed sid=b node=1");
    int last = 0, count = 0, number;
    while ((number = number_in(slow)) > 0) {
        assert_true(number > last);
        last = number;
        count++;
    }
    assert_int_equal(last, 100);
    assert_in_range(count, 2, 20);
    assert_true(f.core.relay.metrics.conflated >= 80);
    disconnect(slow);
    disconnect(other);
    tear_down(&f);
}

static void a_slow_socket_misses_nothing_that_must_be_kept(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *c = open_client(&f, "a");
    for (int i = 1; i <= 100; i++)
        publish_big(&f, "executed sid=a node=1", i);
    for (int i = 1; i <= 100; i++)
        assert_int_equal(number_in(c), i);
    assert_int_equal(f.core.relay.metrics.frames, 101);
    disconnect(c);
    tear_down(&f);
}

/* The peer reads in tiny steps while the server has a frame in the socket and pings to answer. */
static void control_frames_stand_between_frames_never_inside(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *c = open_client(&f, "a");
    int small = 1, pongs = 0, frames = 0;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (int i = 1; i <= 20; i++) {
        char ping[16];
        publish_big(&f, "executed sid=a node=1", i);
        snprintf(ping, sizeof ping, "p%d", i);
        send_frame(c, 0x89, ping, strlen(ping));
    }
    while (pongs < 20 || frames < 20) {
        size_t at = 0;
        await_frame(c, 1 + (size_t)(pongs + frames) * 37);
        size_t len = whole_frame(c, &at);
        char text[64];
        if (c->in[0] == 0x8a)
            snprintf(text, sizeof text, "p%d", ++pongs);
        else
            snprintf(text, sizeof text, "executed sid=a node=1 v=%06d", ++frames);
        assert_int_equal(c->in[0], text[0] == 'p' ? 0x8a : 0x81);
        assert_memory_equal(c->in + at, text, strlen(text));
        take(c, len);
    }
    disconnect(c);
    tear_down(&f);
}

/* The flooder is no longer read when its answers wait; nobody else notices; and each ping is answered in the end. */
static void a_ping_flood_costs_only_its_sender(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *flooder = open_client(&f, "a"), *other = open_client(&f, "b");
    uint8_t ping[256];
    char payload[125];
    memset(payload, 'x', sizeof payload);
    size_t len = make_frame(ping, 0x89, payload, sizeof payload), sent = 0, pongs = 0, part = 0;
    for (int idle = 0; idle < 50;) {
        ssize_t n = send(flooder->fd, ping + part, len - part, MSG_NOSIGNAL);
        idle = n > 0 ? 0 : idle + 1;
        part = n > 0 ? (part + (size_t)n) % len : part;
        sent += n > 0 && part == 0;
        turn(&f);
        assert_in_range(sent * len, 0, 4 << 20);
    }
    core_publish(&f.core, "executed sid=b node=1");
    expect_frame(other, 0x81, "executed sid=b node=1");
    while (pongs < sent) {
        size_t at;
        await_frame(flooder, sizeof flooder->in);
        assert_int_equal(flooder->in[0], 0x8a);
        take(flooder, whole_frame(flooder, &at));
        pongs++;
    }
    disconnect(flooder);
    disconnect(other);
    tear_down(&f);
}

/* Pings */

static void only_an_echo_of_its_ping_keeps_a_socket_alive(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.ws_ping_interval_ms = 100;
    f.options.ws_ping_timeout_ms = 300;
    struct client *echoes = open_client(&f, "a"), *lies = open_client(&f, "b");
    for (int i = 0; i < 8; i++) {
        size_t at;
        await_frame(echoes, sizeof echoes->in);
        assert_int_equal(echoes->in[0], 0x89);
        assert_int_equal(whole_frame(echoes, &at), 10);
        send_frame(echoes, 0x8a, echoes->in + 2, 8);
        take(echoes, 10);
        if (lies->is_at_end)
            continue;
        receive(lies, sizeof lies->in);
        if (lies->is_at_end)
            continue;
        send_frame(lies, 0x8a, "", 0);
        send_frame(lies, 0x8a, "12345678", 8);
        send_text(lies, "alive");
    }
    assert_int_equal(wait_closed(&f, CLOSE_PING_TIMEOUT), 1);
    assert_int_equal(f.core.relay.metrics.connections, 1);
    disconnect(echoes);
    disconnect(lies);
    tear_down(&f);
}

static void shrink_buffer(uv_handle_t *handle, void *arg)
{
    int bytes = 1; /* the system has a least of its own, some KB */
    (void)arg;
    if (handle->type == UV_NAMED_PIPE)
        assert_int_equal(uv_send_buffer_size(handle, &bytes), 0);
}

/* A frame that no socket of the server takes at once. */
static void publish_giant(struct fixture *f, const char *head)
{
    uv_walk(&f->loop, shrink_buffer, NULL);
    publish_big(f, head, 1);
}

static void on_pause_over(uv_timer_t *timer)
{
    (void)timer;
}

/* Lets the server go on for so long. */
static void pause_ms(struct fixture *f, uint64_t ms)
{
    uv_timer_t timer;
    uint64_t until = uv_now(&f->loop) + ms;
    uv_timer_init(&f->loop, &timer);
    uv_timer_start(&timer, on_pause_over, ms, 0);
    while (uv_now(&f->loop) < until)
        wait_turn(f);
    uv_close((uv_handle_t *)&timer, NULL);
    turn(f);
}

/* Its ping stands behind the frame, and the frame takes far longer than interval and timeout. */
static void a_steady_reader_of_a_giant_frame_is_not_taken_for_dead(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.ws_ping_interval_ms = 100;
    f.options.ws_ping_timeout_ms = 300;
    struct client *c = open_client(&f, "a");
    uint64_t started = uv_now(&f.loop);
    publish_giant(&f, "executed sid=a node=1");
    size_t at;
    while (whole_frame(c, &at) == 0) {
        receive(c, 2048);
        assert_false(c->is_at_end);
        pause_ms(&f, 50);
    }
    assert_in_range(uv_now(&f.loop) - started, 2 * (100 + 300), 20000);
    assert_int_equal(number_in(c), 1);
    await_frame(c, sizeof c->in);
    assert_int_equal(c->in[0], 0x89);
    assert_int_equal(whole_frame(c, &at), 10);
    send_frame(c, 0x8a, c->in + 2, 8);
    take(c, 10);
    await_frame(c, sizeof c->in);
    assert_int_equal(c->in[0], 0x89); /* the next one: the pong has come */
    assert_int_equal(f.core.relay.metrics.closed[CLOSE_PING_TIMEOUT], 0);
    disconnect(c);
    tear_down(&f);
}

static void who_reads_no_more_is_dead_after_interval_and_timeout(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.ws_ping_interval_ms = 100;
    f.options.ws_ping_timeout_ms = 1000;
    struct client *c = open_client(&f, "a");
    uint64_t started = uv_now(&f.loop);
    publish_giant(&f, "executed sid=a node=1");
    assert_int_equal(wait_closed(&f, CLOSE_PING_TIMEOUT), 1);
    assert_in_range(uv_now(&f.loop) - started, 100 + 1000 - 5, 100 + 2 * 1000 - 5);
    disconnect(c);
    tear_down(&f);
}

static void who_reads_a_giant_frame_but_answers_no_ping_is_dead(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.ws_ping_interval_ms = 100;
    f.options.ws_ping_timeout_ms = 300;
    struct client *c = open_client(&f, "a");
    publish_giant(&f, "executed sid=a node=1");
    while (!c->is_at_end) {
        c->len = 0;
        receive(c, sizeof c->in);
        if (!c->is_at_end)
            wait_turn(&f);
    }
    assert_int_equal(f.core.relay.metrics.closed[CLOSE_PING_TIMEOUT], 1);
    disconnect(c);
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
    struct client *c[3] = {open_client(&f, "a"), open_client(&f, "b"), open_client(&f, "c")};
    f.options.drain_time_ms = 300;
    uint64_t started = uv_now(&f.loop);
    server_drain(f.server, on_drained, &drained);
    assert_true(server_is_draining(f.server));
    expect_refusal(&f, "GET /ws HTTP/1.1\r\n" HEAD, "HTTP/1.1 503 Service Unavailable", REJECT_DRAINING);
    for (int i = 0; i < 3; i++) {
        expect_close(c[i], 1012);
        assert_in_range(uv_now(&f.loop) - started, (uint64_t)i * 100, 5000);
        assert_int_equal(drained, 0);
        send_frame(c[i], 0x88, "\x03\xf4", 2); /* clients send the code back */
        expect_end(c[i]);
        disconnect(c[i]);
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
    struct client *half = connect_client(&f);
    send_str(half, "GET /ws HTTP/1.1\r\n");
    server_drain(f.server, on_drained, &drained);
    assert_int_equal(drained, 1);
    disconnect(half);
    tear_down(&f);
}

static void a_drain_waits_two_seconds_for_those_that_do_not_answer_or_read(void **state)
{
    (void)state;
    struct fixture f;
    int drained = 0;
    set_up(&f);
    struct client *mute = open_client(&f, "a"), *stuck = open_client(&f, "b");
    for (int i = 0; i < 20; i++)
        publish_big(&f, "executed sid=b node=1", i);
    f.options.drain_time_ms = 0;
    server_drain(f.server, on_drained, &drained);
    uint64_t started = uv_now(&f.loop);
    expect_close(mute, 1012);
    while (drained == 0)
        wait_turn(&f);
    assert_in_range(uv_now(&f.loop) - started, 1900, 10000);
    disconnect(mute);
    disconnect(stuck);
    tear_down(&f);
}

/* Ends */

static void a_connection_that_breaks_is_counted_as_lost(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *c = open_client(&f, "a");
    disconnect(c);
    assert_int_equal(wait_closed(&f, CLOSE_LOST), 1);
    assert_int_equal(f.core.relay.metrics.connections, 0);
    tear_down(&f);
}

static void a_connection_that_breaks_with_frames_outstanding_frees_them(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *c = open_client(&f, "a");
    for (int i = 0; i < 20; i++)
        publish_big(&f, "executed sid=a node=1", i);
    send_frame(c, 0x89, "p", 1);
    disconnect(c);
    assert_int_equal(wait_closed(&f, CLOSE_LOST), 1);
    tear_down(&f);
}

static void features_are_taken_over_by_a_reload(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct client *c = open_client(&f, "a");
    send_text(c, FLAGS);
    expect_frame(c, 0x81, REPLY);
    f.options.features = (char *)"{\"y\": 18446744073709551615}";
    assert_int_equal(server_reload(f.server), 0);
    struct client *d = open_client(&f, "b");
    send_text(d, FLAGS);
    expect_frame(d, 0x81, "{\"type\":\"feature_flags\",\"data\":{\"y\":18446744073709551615}}");
    disconnect(c);
    disconnect(d);
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
    struct client *a = connect_client(&f), *b = connect_client(&f);
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
    disconnect(a);
    disconnect(b);
    struct client *c = open_client(&f, "a");
    disconnect(c);
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
        cmocka_unit_test(only_an_echo_of_its_ping_keeps_a_socket_alive),
        cmocka_unit_test(a_steady_reader_of_a_giant_frame_is_not_taken_for_dead),
        cmocka_unit_test(who_reads_no_more_is_dead_after_interval_and_timeout),
        cmocka_unit_test(who_reads_a_giant_frame_but_answers_no_ping_is_dead),
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
