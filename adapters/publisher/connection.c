#include "adapters/publisher/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define READ_BYTES (16 * 1024)

static redisContext *connect_to(const struct redis_url *url)
{
    return url->is_unix ? redisConnectUnixNonBlock(url->host) : redisConnectNonBlock(url->host, url->port);
}

int connection_open(struct connection *c, const struct redis_url *url, char *why, size_t why_bytes)
{
    int on = 1;
    c->context = connect_to(url);
    if (!c->context || c->context->err) {
        snprintf(why, why_bytes, "%s", c->context ? c->context->errstr : "no memory");
        connection_close(c);
        return -EIO;
    }
    fcntl(c->context->fd, F_SETFD, FD_CLOEXEC);
    if (!url->is_unix)
        setsockopt(c->context->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return 0;
}

void connection_close(struct connection *c)
{
    if (c->context)
        redisFree(c->context);
    c->context = NULL;
}

int connection_is_made(const struct connection *c)
{
    struct pollfd ready = {.fd = c->context->fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;
    if (poll(&ready, 1, 0) <= 0)
        return 0;
    if (getsockopt(c->context->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return -errno;
    return error ? -error : 1;
}

static ssize_t later_or_never(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
}

ssize_t connection_write(struct connection *c, struct iovec *pieces, size_t count)
{
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t n = sendmsg(c->context->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? later_or_never() : n;
}

ssize_t connection_read(struct connection *c)
{
    char bytes[READ_BYTES];
    ssize_t n = recv(c->context->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0)
        return -EPIPE;
    if (n < 0)
        return later_or_never();
    return redisReaderFeed(c->context->reader, bytes, (size_t)n) == REDIS_OK ? n : -ENOMEM;
}

size_t connection_waiting(const struct connection *c)
{
    int waiting = 0;
    return ioctl(c->context->fd, TIOCOUTQ, &waiting) == 0 && waiting > 0 ? (size_t)waiting : 0;
}

int connection_reply(struct connection *c, redisReply **reply)
{
    *reply = NULL;
    return redisReaderGetReply(c->context->reader, (void **)reply) == REDIS_OK ? 0 : -EPROTO;
}
