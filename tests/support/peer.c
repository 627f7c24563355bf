#include "tests/support/peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct peer *peer_connect(struct fixture *f)
{
    struct peer *c = calloc(1, sizeof *c);
    c->f = f;
    c->fd = connect_socket(f);
    return c;
}

void peer_disconnect(struct peer *c)
{
    close(c->fd);
    free(c);
}

void peer_send_bytes(struct peer *c, const void *bytes, size_t len)
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

void peer_send(struct peer *c, const char *text)
{
    peer_send_bytes(c, text, strlen(text));
}

size_t peer_make_frame(uint8_t *out, uint8_t first, const void *payload, size_t len)
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

void peer_send_frame(struct peer *c, uint8_t first, const void *payload, size_t len)
{
    uint8_t *bytes = malloc(len + 14);
    peer_send_bytes(c, bytes, peer_make_frame(bytes, first, payload, len));
    free(bytes);
}

void peer_send_text(struct peer *c, const char *text)
{
    peer_send_frame(c, 0x81, text, strlen(text));
}

void peer_receive(struct peer *c, size_t most)
{
    size_t room = sizeof c->in - c->len;
    ssize_t n = recv(c->fd, c->in + c->len, most < room ? most : room, 0);
    if (n > 0)
        c->len += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        c->is_at_end = true;
}

void peer_take(struct peer *c, size_t n)
{
    c->len -= n;
    memmove(c->in, c->in + n, c->len);
}

size_t peer_whole_frame(const struct peer *c, size_t *at)
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

static void await_any_frame(struct peer *c, size_t step)
{
    size_t at;
    while (peer_whole_frame(c, &at) == 0) {
        size_t before = c->len;
        peer_receive(c, step);
        assert_false(c->is_at_end);
        if (c->len == before)
            wait_turn(c->f);
        else
            turn(c->f);
    }
}

static void pass_ping(struct peer *c)
{
    uint8_t payload[125];
    size_t at = 0, len = peer_whole_frame(c, &at);
    memcpy(payload, c->in + at, len - at);
    peer_take(c, len);
    c->pings++;
    if (c->mode == PEER_ANSWERS_PINGS)
        peer_send_frame(c, 0x8a, payload, len - at);
}

void peer_await_frame(struct peer *c, size_t step)
{
    await_any_frame(c, step);
    while (c->in[0] == 0x89 && c->mode != PEER_SEES_PINGS) {
        pass_ping(c);
        await_any_frame(c, step);
    }
}

/* The next frame's first byte, and its payload as text (shortened). */
static uint8_t next_frame(struct peer *c, char *text, size_t size)
{
    size_t at = 0;
    peer_await_frame(c, sizeof c->in);
    size_t len = peer_whole_frame(c, &at);
    snprintf(text, size, "%.*s", (int)(len - at), (const char *)c->in + at);
    uint8_t first = c->in[0];
    peer_take(c, len);
    return first;
}

void peer_expect_frame(struct peer *c, uint8_t first, const char *expected)
{
    char text[256];
    assert_int_equal(next_frame(c, text, sizeof text), first);
    assert_string_equal(text, expected);
}

int peer_expect_number(struct peer *c)
{
    size_t at;
    peer_await_frame(c, sizeof c->in);
    size_t len = peer_whole_frame(c, &at);
    const char *v = memmem(c->in, len, " v=", 3);
    int number = v ? atoi(v + 3) : -1;
    peer_take(c, len);
    return number;
}

void peer_expect_close(struct peer *c, unsigned code)
{
    size_t at;
    peer_await_frame(c, sizeof c->in);
    assert_int_equal(c->in[0], 0x88);
    assert_int_equal(peer_whole_frame(c, &at), 4);
    assert_int_equal(c->in[2] << 8 | c->in[3], code);
    peer_take(c, 4);
}

void peer_expect_nothing(struct peer *c)
{
    peer_send_frame(c, 0x89, "nothing", 7);
    peer_expect_frame(c, 0x8a, "nothing");
}

void peer_expect_end(struct peer *c)
{
    while (!c->is_at_end) {
        peer_receive(c, sizeof c->in);
        assert_int_equal(c->len, 0);
        if (!c->is_at_end)
            wait_turn(c->f);
    }
}

void peer_expect_response(struct peer *c, const char *status_line)
{
    uint8_t *end;
    while (!(end = memmem(c->in, c->len, "\r\n\r\n", 4))) {
        peer_receive(c, sizeof c->in);
        assert_false(c->is_at_end);
        if (!memmem(c->in, c->len, "\r\n\r\n", 4))
            wait_turn(c->f);
    }
    char line[64];
    snprintf(line, sizeof line, "%.*s", (int)strcspn((char *)c->in, "\r"), (char *)c->in);
    assert_string_equal(line, status_line);
    peer_take(c, (size_t)(end + 4 - c->in));
}

void peer_ping(struct peer *c, uint8_t payload[PEER_PING_BYTES])
{
    size_t at = 0, len;
    assert_int_equal(c->mode, PEER_SEES_PINGS);
    peer_await_frame(c, sizeof c->in);
    while (c->in[0] != 0x89) {
        peer_take(c, peer_whole_frame(c, &at));
        peer_await_frame(c, sizeof c->in);
    }
    len = peer_whole_frame(c, &at);
    assert_int_equal(len - at, PEER_PING_BYTES);
    memcpy(payload, c->in + at, PEER_PING_BYTES);
    peer_take(c, len);
}

void peer_pong(struct peer *c, const uint8_t payload[PEER_PING_BYTES])
{
    peer_send_frame(c, 0x8a, payload, PEER_PING_BYTES);
}

void peer_request(struct peer *c, const char *sid)
{
    char text[512];
    snprintf(text, sizeof text, "GET /ws?clientId=%s HTTP/1.1\r\n" PEER_HEAD, sid);
    peer_send(c, text);
}

struct peer *peer_open(struct fixture *f, const char *sid)
{
    char status[64];
    struct peer *c = peer_connect(f);
    peer_request(c, sid);
    peer_expect_response(c, "HTTP/1.1 101 Switching Protocols");
    core_confirm(&f->core, sid);
    snprintf(status, sizeof status, "status 0 sid=%s", sid);
    peer_expect_frame(c, 0x81, status);
    return c;
}
