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

void publisher_open_http(struct publisher *p, int port)
{
    *p = (struct publisher){.fd = connect_port(port), .is_http = true};
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

static int head_of_command(char *to, size_t size, const char *sid, uint32_t len)
{
    char channel[64] = "comfy:events";
    if (sid)
        snprintf(channel, sizeof channel, "comfy:sid:{%s}", sid);
    return snprintf(to, size, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%u\r\n", strlen(channel), channel, len);
}

static int head_of_request(char *to, size_t size, const char *sid, uint32_t len)
{
    return snprintf(to, size, "POST /publish?id=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %u\r\n\r\n",
                    sid ? sid : "everybody", len);
}

void publisher_add(struct publisher *p, struct schedule *schedule, uint32_t number)
{
    char sid[SID_BYTES + 1], head[160];
    const struct step *step = schedule_make(schedule, number);
    uint32_t session = schedule->events[number].session;
    schedule_sid(schedule, session, sid);
    int n = (p->is_http ? head_of_request : head_of_command)(head, sizeof head,
                                                             session == ALL_CLIENTS ? NULL : sid, step->len);
    append(p, head, (size_t)n);
    append(p, step->bytes, step->len);
    if (!p->is_http)
        append(p, "\r\n", 2);
    p->sent++;
}

void publisher_flush(struct publisher *p)
{
    ssize_t n = p->out_len > 0 ? send(p->fd, p->out, p->out_len, MSG_DONTWAIT) : 0;
    if (n < 0 && errno != EAGAIN)
        fail("events are not taken: %s", strerror(errno));
    if (n <= 0)
        return;
    p->out_len -= (size_t)n;
    memmove(p->out, p->out + n, p->out_len);
}

/* Each answer is a number on a line. */
static void count_replies(struct publisher *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p->answered += buffer[i] == '\n';
        if (buffer[i] == '-')
            fail("Redis: %.*s", (int)(n - i), buffer + i);
    }
}

/* Of each answer only how it begins is looked at. */
static void count_answers(struct publisher *p, size_t n)
{
    static const char begin[] = "HTTP/1.1 2";
    const size_t last = strlen(begin) - 1;
    for (size_t i = 0; i < n; i++) {
        if (p->matched == last && buffer[i] != '2')
            fail("an event was refused: %.*s", (int)(n - i), buffer + i);
        p->answered += p->matched == last;
        p->matched = p->matched < last && buffer[i] == begin[p->matched] ? p->matched + 1 : buffer[i] == 'H';
    }
}

void publisher_on_readable(struct publisher *p)
{
    ssize_t n;
    while ((n = recv(p->fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
        (p->is_http ? count_answers : count_replies)(p, (size_t)n);
    if (n == 0)
        fail("%s has closed the connection", p->is_http ? "the server" : "Redis");
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
