#include "tests/bench/load/publisher.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/load/target.h"

#define READ_BYTES (1 << 20)

static uint8_t buffer[READ_BYTES];

static int connect_path(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        fail("%s: %s", path, strerror(errno));
    return fd;
}

static int connect_port(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        fail("port %d: %s", port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static int connect_redis(const char *address)
{
    return address[0] == '/' ? connect_path(address) : connect_port(atoi(strchr(address, ':') + 1));
}

void publisher_open(struct publisher *p, const char *address)
{
    *p = (struct publisher){.fd = connect_redis(address)};
}

static void append(struct publisher *p, const void *bytes, size_t len)
{
    if (p->out_len + len > p->out_capacity) {
        p->out_capacity = 2 * (p->out_len + len);
        p->out = realloc(p->out, p->out_capacity);
        if (!p->out)
            fail("no memory");
    }
    memcpy(p->out + p->out_len, bytes, len);
    p->out_len += len;
}

void publisher_add(struct publisher *p, struct schedule *schedule, uint32_t number)
{
    char channel[64] = "comfy:events", sid[SID_BYTES + 1], head[128];
    const struct step *step = schedule_make(schedule, number);
    if (schedule->events[number].session != ALL_CLIENTS) {
        schedule_sid(schedule, schedule->events[number].session, sid);
        snprintf(channel, sizeof channel, "comfy:sid:{%s}", sid);
    }
    int n = snprintf(head, sizeof head, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%u\r\n", strlen(channel),
                     channel, step->len);
    append(p, head, (size_t)n);
    append(p, step->bytes, step->len);
    append(p, "\r\n", 2);
    p->sent++;
}

void publisher_flush(struct publisher *p)
{
    ssize_t n = p->out_len > 0 ? send(p->fd, p->out, p->out_len, MSG_DONTWAIT) : 0;
    if (n < 0 && errno != EAGAIN)
        fail("Redis: %s", strerror(errno));
    if (n <= 0)
        return;
    p->out_len -= (size_t)n;
    memmove(p->out, p->out + n, p->out_len);
}

/* Each answer is a number on a line. */
void publisher_on_readable(struct publisher *p)
{
    ssize_t n;
    while ((n = recv(p->fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            p->answered += buffer[i] == '\n';
            if (buffer[i] == '-')
                fail("Redis: %.*s", (int)(n - i), buffer + i);
        }
    }
    if (n == 0)
        fail("Redis has closed the connection");
}

/* ---- the bare subscriber ---- */

void bare_open(struct bare *b, const char *address, uint32_t sessions)
{
    static const char subscribe[] = "*2\r\n$10\r\nPSUBSCRIBE\r\n$11\r\ncomfy:sid:*\r\n";
    *b = (struct bare){.fd = connect_redis(address), .progress = calloc(sessions, sizeof *b->progress)};
    if (!b->progress || send(b->fd, subscribe, strlen(subscribe), 0) < 0)
        fail("cannot subscribe");
}

/* Marks are found wherever they stand; one that is cut by the end of a read waits for the rest. */
void bare_on_readable(struct bare *b, struct tally *tally)
{
    static uint8_t bytes[READ_BYTES];
    ssize_t n = recv(b->fd, bytes + b->len, sizeof bytes - b->len, MSG_DONTWAIT);
    if (n <= 0)
        return;
    const uint8_t *at = bytes, *end = bytes + b->len + n;
    int64_t now_ns = clock_ns(), number;
    while ((number = schedule_number(at, (size_t)(end - at))) >= 0) {
        uint32_t session = tally->schedule->events[number].session;
        tally_event(tally, (uint32_t)number, session, &b->progress[session], now_ns);
        at = (const uint8_t *)memmem(at, (size_t)(end - at), MARK, strlen(MARK)) + MARK_BYTES;
    }
    b->len = end - at < MARK_BYTES - 1 ? (size_t)(end - at) : MARK_BYTES - 1;
    memmove(bytes, end - b->len, b->len);
}
