#include "tests/bench/load/client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/load/target.h"

#define READ_BYTES  (1 << 20)
#define REST_BYTES  (1 << 24) /* a frame is not longer */
#define SLOW_BYTES  4096
#define CONTROL_MAX 125

enum opcode { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

struct incoming {
    int opcode;
    const uint8_t *payload;
    size_t len;
};

static uint8_t buffer[REST_BYTES + READ_BYTES]; /* what one client has; one reads at a time */

void client_open(struct client *c, const struct sockaddr_in *to, const struct sockaddr_in *from)
{
    c->began_ns = clock_ns();
    c->state = CLIENT_CONNECTING;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    if (c->is_slow)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &(int){SLOW_BYTES}, sizeof(int));
    if (bind(c->fd, (const struct sockaddr *)from, sizeof *from) != 0)
        fail("bind: %s", strerror(errno));
    if (connect(c->fd, (const struct sockaddr *)to, sizeof *to) != 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
}

static void say(struct client *c, const void *bytes, size_t len)
{
    if (write(c->fd, bytes, len) != (ssize_t)len)
        fail("session %u: cannot write: %s", c->session, strerror(errno));
}

/* Masked by zeroes. */
static void say_frame(struct client *c, enum opcode opcode, const void *payload, size_t len)
{
    uint8_t frame[6 + CONTROL_MAX] = {(uint8_t)(0x80 | opcode), (uint8_t)(0x80 | len)};
    memcpy(frame + 6, payload, len);
    say(c, frame, 6 + len);
}

void client_on_writable(struct client *c, const char *sid)
{
    char text[512];
    if (c->state != CLIENT_CONNECTING)
        return;
    int error = 0;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    if (error)
        fail("session %u: cannot connect: %s", c->session, strerror(error));
    int n = snprintf(
        text, sizeof text,
        "GET /ws?clientId=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        sid);
    c->state = CLIENT_UPGRADING;
    say(c, text, (size_t)n);
}

/* ---- what comes ---- */

/* The example of RFC 6455, section 1.3. Returns where the frames begin, or NULL: not all has come. */
static const uint8_t *read_answer(struct client *c, const uint8_t *at, const uint8_t *end)
{
    static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    size_t len = (size_t)(end - at);
    const uint8_t *stop = memmem(at, len, "\r\n\r\n", 4);
    if (!stop)
        return NULL;
    if (len < 12 || memcmp(at, "HTTP/1.1 101", 12) != 0 ||
        !memmem(at, (size_t)(stop - at), accept, strlen(accept)))
        fail("session %u was refused: %.*s", c->session, (int)strcspn((const char *)at, "\r"),
             (const char *)at);
    c->state = CLIENT_OPEN;
    return stop + 4;
}

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | *p++;
    return v;
}

/* Returns the place behind the frame, or NULL: it has not come whole. */
static const uint8_t *read_frame(const uint8_t *at, const uint8_t *end, struct incoming *in)
{
    size_t left = (size_t)(end - at), extra;
    if (left < 2)
        return NULL;
    extra = at[1] < 126 ? 0 : at[1] == 126 ? 2 : 8;
    if (left < 2 + extra)
        return NULL;
    *in = (struct incoming){at[0] & 15, at + 2 + extra, at[1]};
    if (!(at[0] & 0x80) || at[1] & 0x80)
        fail("a frame begins with %02x %02x", at[0], at[1]);
    if (extra)
        in->len = big_endian(at + 2, extra);
    if (in->len > REST_BYTES)
        fail("a frame of %zu bytes", in->len);
    return left - 2 - extra < in->len ? NULL : in->payload + in->len;
}

static void greet(struct client *c, struct tally *tally, int64_t now_ns)
{
    static const char flags[] = "{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":true}}";
    c->state = CLIENT_GREETED;
    histogram_add(&tally->greeting, now_ns - c->began_ns);
    if (c->has_flags)
        say_frame(c, TEXT, flags, strlen(flags));
}

static void on_frame(struct client *c, struct tally *tally, const struct incoming *in, int64_t now_ns)
{
    switch (in->opcode) {
    case TEXT:
    case BINARY:
        tally_frame(tally, in->payload, in->len, c->session, &c->progress, now_ns);
        if (c->state == CLIENT_OPEN)
            greet(c, tally, now_ns);
        return;
    case PING:
        tally->pings++;
        say_frame(c, PONG, in->payload, in->len);
        return;
    default:
        fail("session %u: a frame with opcode %d", c->session, in->opcode);
    }
}

static void keep_rest(struct client *c, const uint8_t *at, size_t len)
{
    free(c->rest);
    c->rest = len > 0 ? malloc(len) : NULL;
    if (len > 0 && !c->rest)
        fail("no memory");
    if (len > 0)
        memcpy(c->rest, at, len);
    c->rest_len = len;
}

static void work_through(struct client *c, struct tally *tally, const uint8_t *at, const uint8_t *end)
{
    struct incoming in;
    const uint8_t *next = at;
    int64_t now_ns = clock_ns();
    if (c->state == CLIENT_UPGRADING && (next = read_answer(c, at, end))) {
        at = next;
        if (c->is_ungreeted)
            greet(c, tally, now_ns);
    }
    while (next && (next = read_frame(at, end, &in))) {
        on_frame(c, tally, &in, now_ns);
        at = next;
    }
    keep_rest(c, at, (size_t)(end - at));
}

void client_on_readable(struct client *c, struct tally *tally)
{
    ssize_t n;
    do {
        if (c->is_slow && c->state == CLIENT_GREETED)
            return;
        if (c->rest_len > 0)
            memcpy(buffer, c->rest, c->rest_len);
        n = read(c->fd, buffer + c->rest_len, READ_BYTES);
        if (n > 0)
            work_through(c, tally, buffer, buffer + c->rest_len + n);
    } while (n == READ_BYTES);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        fail("session %u: the connection ended: %s", c->session, n == 0 ? "closed" : strerror(errno));
}

void client_close(struct client *c)
{
    if (c->state >= CLIENT_OPEN && !c->is_slow)
        say_frame(c, CLOSE, (uint8_t[]){0x03, 0xe8}, 2);
    close(c->fd);
    keep_rest(c, NULL, 0);
    *c = (struct client){.session = c->session,
                         .has_flags = c->has_flags,
                         .is_slow = c->is_slow,
                         .is_ungreeted = c->is_ungreeted};
}
