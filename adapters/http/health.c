/* What `comfy-relay --health` asks. No loop: it asks, says what was answered, and ends. */
#include "adapters/http/health.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#include "config/address.h"
#include "config/quote.h"

#define ANSWER_MAX 2048

struct answer {
    bool is_ok; /* 200 */
    size_t len;
    char bytes[ANSWER_MAX]; /* a string: the head and the body, as far as they fit */
};

/* The next call waits until `end` (of uv_hrtime()) at the most; connect() too has SO_SNDTIMEO. */
static int limit_wait(int fd, int option, uint64_t end)
{
    uint64_t now = uv_hrtime();
    if (now >= end)
        return -ETIMEDOUT;
    uint64_t left_us = (end - now) / 1000 + 1; /* 0 would be no limit */
    struct timeval limit = {.tv_sec = (time_t)(left_us / 1000000),
                            .tv_usec = (suseconds_t)(left_us % 1000000)};
    return setsockopt(fd, SOL_SOCKET, option, &limit, sizeof(limit)) < 0 ? -errno : 0;
}

/* What the errno of a call says that has failed, perhaps because its time was over. */
static int why_failed(void)
{
    return errno == EINPROGRESS || errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int connect_in_time(int family, const struct sockaddr *address, socklen_t len, uint64_t end)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = limit_wait(fd, SO_SNDTIMEO, end);
    if (error == 0 && connect(fd, address, len) < 0)
        error = why_failed();
    if (error == 0)
        return fd;
    close(fd);
    return error;
}

static int connect_unix(const char *path, uint64_t end)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1); /* address_parse() has seen to its length */
    return connect_in_time(AF_UNIX, (const struct sockaddr *)&address, sizeof(address), end);
}

/* Where all interfaces are listened on, this one is. */
static const char *host_to_ask(const char *name)
{
    if (strcmp(name, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(name, "::") == 0 ? "::1" : name;
}

/* The first address that takes it, as the one that listens takes the first. */
static int connect_tcp(const struct address *a, uint64_t end)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char port[8];
    int fd = -EADDRNOTAVAIL;
    snprintf(port, sizeof(port), "%u", (unsigned)a->port);
    if (getaddrinfo(host_to_ask(a->name), port, &hints, &found) != 0)
        return fd;
    for (const struct addrinfo *f = found; f != NULL && fd < 0 && fd != -ETIMEDOUT; f = f->ai_next)
        fd = connect_in_time(f->ai_family, f->ai_addr, f->ai_addrlen, end);
    freeaddrinfo(found);
    return fd;
}

static int send_in_time(int fd, const char *request, size_t len, uint64_t end)
{
    int error = limit_wait(fd, SO_SNDTIMEO, end);
    if (error < 0)
        return error;
    ssize_t sent = send(fd, request, len, MSG_NOSIGNAL);
    return sent < 0 ? why_failed() : (size_t)sent == len ? 0 : -EIO;
}

/* Until it is closed or full. */
static int read_in_time(int fd, struct answer *answer, uint64_t end)
{
    ssize_t n = 1;
    answer->len = 0;
    while (n > 0 && answer->len < ANSWER_MAX - 1) {
        int error = limit_wait(fd, SO_RCVTIMEO, end);
        if (error < 0)
            return error;
        n = recv(fd, answer->bytes + answer->len, ANSWER_MAX - 1 - answer->len, 0);
        answer->len += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        return why_failed();
    answer->bytes[answer->len] = '\0';
    answer->is_ok = strncmp(answer->bytes, "HTTP/1.1 200 ", 13) == 0;
    return answer->len == 0 ? -ECONNRESET : 0;
}

/* 0, or a negative errno-valued code: there is no answer. */
static int ask(const struct address *a, const char *path, struct answer *answer)
{
    char request[512];
    const char *host = a->kind == ADDRESS_TCP ? a->text : "localhost";
    int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    uint64_t end = uv_hrtime() + (uint64_t)HEALTH_TIMEOUT_S * 1000000000;
    int fd = a->kind == ADDRESS_TCP ? connect_tcp(a, end) : connect_unix(a->name, end);
    if (fd < 0)
        return fd;
    int error = send_in_time(fd, request, (size_t)len, end);
    if (error == 0)
        error = read_in_time(fd, answer, end);
    close(fd);
    return error;
}

/* The body's first line; of what is no answer of HTTP, the first line. */
static struct span said(const struct answer *answer)
{
    const char *body = strstr(answer->bytes, "\r\n\r\n");
    const char *text = body == NULL ? answer->bytes : body + 4;
    return span_of(text, strcspn(text, "\r\n"));
}

static int fail(FILE *err, const char *at, const char *why, struct span text)
{
    fputs("comfy-relay: not healthy: ops.listen ", err);
    quote_write(span_str(at), SIZE_MAX, err);
    fprintf(err, "%s", why);
    quote_write(text, SIZE_MAX, err);
    fputc('\n', err);
    return 1;
}

int health_ask(const char *ops_listen, FILE *out, FILE *err)
{
    struct address address;
    struct answer live, ready;
    if (address_parse(&address, span_str(ops_listen)) < 0)
        return fail(err, "is empty", ": there is nothing to ask", SPAN_NONE);
    int error = ask(&address, "/live", &live);
    if (error < 0)
        return fail(err, ops_listen, ": ", span_str(strerror(-error)));
    if (!live.is_ok)
        return fail(err, ops_listen, " answers: ", said(&live));
    error = ask(&address, "/ready", &ready);
    fputs(error == 0 && ready.is_ok ? "live and ready" : "live, not ready: ", out);
    if (error < 0 || !ready.is_ok)
        quote_write(error < 0 ? span_str(strerror(-error)) : said(&ready), SIZE_MAX, out);
    fputc('\n', out);
    return 0;
}
