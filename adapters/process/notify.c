/* A datagram to who supervises the process. */
#include "adapters/process/notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

int notify_init(struct notify *n, const char *address)
{
    size_t len = strlen(address);
    if ((address[0] != '/' && address[0] != '@') || len < 2 || len >= sizeof(n->to.sun_path))
        return -EINVAL;
    n->to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(n->to.sun_path, address, len);
    if (address[0] == '@')
        n->to.sun_path[0] = '\0';
    n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return n->fd < 0 ? -errno : 0;
}

int notify_send(const struct notify *n, const char *lines)
{
    const struct sockaddr *to = (const struct sockaddr *)&n->to;
    return sendto(n->fd, lines, strlen(lines), MSG_NOSIGNAL, to, n->to_len) < 0 ? -errno : 0;
}

void notify_deinit(struct notify *n)
{
    close(n->fd);
}
