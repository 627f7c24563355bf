/* A datagram to who supervises the process, as sd_notify(3) sends it.
 *
 * Without libsystemd, which would bring liblzma, libgcrypt and more into a program that faces the network. Its own manual
 * page shows how to do without, and promises that the protocol stays. */
#ifndef PROCESS_NOTIFY_H
#define PROCESS_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd;
    socklen_t to_len;
    struct sockaddr_un to;
};

/* The address is that of NOTIFY_SOCKET: a path, or `@` and the name of an abstract socket. 0; -EINVAL: it is neither, or
 * too long; or a negative errno-valued code of socket(). */
int notify_init(struct notify *n, const char *address) __attribute__((warn_unused_result));

/* Sends these lines, and never waits. 0, or a negative errno-valued code: -EAGAIN where nobody reads. */
int notify_send(const struct notify *n, const char *lines) __attribute__((warn_unused_result));

void notify_deinit(struct notify *n);

#endif
