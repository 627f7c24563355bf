/* A listening socket, TCP or Unix, that hands over what connects to it.
 *
 * The sockets are made here and not by libuv, so that a failure is known before there is a handle to close.
 */
#include "adapters/process/listener.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG      4096 /* thousands may reconnect at once; the kernel lowers it to its somaxconn */
#define SOCKET_FLAGS (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
#define UNIX_PREFIX  "unix:"
#define TEXT_SIZE    (sizeof(UNIX_PREFIX) + sizeof(((struct address *)NULL)->name))

struct listener {
    union listener_client server;  /* what listens */
    union listener_client refused; /* the connection that is being refused */
    bool is_refusing;              /* `refused` is in use */
    bool is_waiting;               /* another one waits for it */
    bool is_closing;
    bool is_closed; /* and libuv is done with `server` */
    enum address_kind kind;
    listener_on_connection *on_connection;
    void *owner;          /* borrowed */
    char text[TEXT_SIZE]; /* where it listens; "unix:" and the path, or host and port */
};

static void on_closed(uv_handle_t *handle);
static void on_refused_closed(uv_handle_t *handle);
static void on_connection(uv_stream_t *stream, int status);

static int bind_and_listen(int fd, const struct sockaddr *address, socklen_t len)
{
    if (bind(fd, address, len) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    return 0;
}

/* A socket that listens there, or a negative error code. */
static int open_resolved(const struct addrinfo *found)
{
    int one = 1;
    int fd = socket(found->ai_family, SOCKET_FLAGS, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (found->ai_family == AF_INET6) /* so that 0.0.0.0 and [::] can be listened on side by side */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    int error = bind_and_listen(fd, found->ai_addr, found->ai_addrlen);
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

static int open_first(const struct addrinfo *all, int family)
{
    int fd = -EADDRNOTAVAIL;
    for (const struct addrinfo *a = all; a != NULL && fd < 0; a = a->ai_next) {
        if (a->ai_family == family)
            fd = open_resolved(a);
    }
    return fd;
}

static int resolve_error(int code)
{
    if (code == EAI_SYSTEM)
        return -errno;
    return code == EAI_MEMORY ? -ENOMEM : -EADDRNOTAVAIL;
}

static int open_tcp(const struct address *address)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char port[8];
    snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    int code = getaddrinfo(address->name, port, &hints, &found);
    if (code != 0)
        return resolve_error(code);
    int fd = open_first(found, AF_INET);
    if (fd == -EADDRNOTAVAIL)
        fd = open_first(found, AF_INET6);
    freeaddrinfo(found);
    return fd;
}

/* A socket's file that no process listens on. Anything that is no socket belongs to somebody. */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0)
        return false;
    bool refused =
        connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int open_unix(const struct address *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, address->name, strlen(address->name) + 1);
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0)
        return -errno;
    int error = bind_and_listen(fd, (const struct sockaddr *)&un, sizeof(un));
    if (error == -EADDRINUSE && is_stale(&un) && unlink(un.sun_path) == 0)
        error = bind_and_listen(fd, (const struct sockaddr *)&un, sizeof(un));
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

/* The real address of a TCP socket, as an address is written. */
static void describe_tcp(char *text, size_t size, int fd)
{
    struct sockaddr_storage name = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(name);
    char host[64] = "?", port[8] = "?";
    if (getsockname(fd, (struct sockaddr *)&name, &len) == 0)
        getnameinfo((struct sockaddr *)&name, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(text, size, name.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static void init_client(uv_loop_t *loop, enum address_kind kind, union listener_client *client)
{
    int error = kind == ADDRESS_UNIX ? uv_pipe_init(loop, &client->pipe, 0) : uv_tcp_init(loop, &client->tcp);
    assert(error == 0); /* they make no socket and take no memory */
    (void)error;
}

/* Takes the fd on every path. */
static int start(struct listener *l, uv_loop_t *loop, int take_fd)
{
    init_client(loop, l->kind, &l->server);
    l->server.handle.data = l;
    int error = l->kind == ADDRESS_UNIX ? uv_pipe_open(&l->server.pipe, take_fd)
                                        : uv_tcp_open(&l->server.tcp, take_fd);
    if (error < 0) {
        close(take_fd);
        return error;
    }
    return uv_listen(&l->server.stream, BACKLOG, on_connection);
}

struct listener *listener_open(uv_loop_t *loop, const struct address *address,
                               listener_on_connection *on_connected, void *owner, int *error)
{
    struct listener *l = calloc(1, sizeof(*l));
    *error = -ENOMEM;
    if (l == NULL)
        return NULL;
    int fd = address->kind == ADDRESS_UNIX ? open_unix(address) : open_tcp(address);
    *error = fd;
    if (fd < 0) {
        free(l);
        return NULL;
    }
    l->kind = address->kind;
    l->on_connection = on_connected;
    l->owner = owner;
    if (l->kind == ADDRESS_UNIX)
        snprintf(l->text, sizeof(l->text), UNIX_PREFIX "%s", address->name);
    else
        describe_tcp(l->text, sizeof(l->text), fd);
    *error = start(l, loop, fd);
    if (*error < 0) {
        listener_close(l);
        return NULL;
    }
    return l;
}

const char *listener_address(const struct listener *l)
{
    return l->text;
}

bool listener_is_unix(const struct listener *l)
{
    return l->kind == ADDRESS_UNIX;
}

int listener_accept(struct listener *l, union listener_client *client)
{
    init_client(l->server.handle.loop, l->kind, client);
    return uv_accept(&l->server.stream, &client->stream);
}

/* Until `refused` is free again libuv holds the next connection and looks for no other, so a flood of them
 * costs one turn of the loop each. */
void listener_refuse(struct listener *l)
{
    l->is_waiting = l->is_refusing;
    if (l->is_refusing)
        return;
    int error = listener_accept(l, &l->refused);
    (void)error; /* it is closed in any case */
    l->is_refusing = true;
    l->refused.handle.data = l;
    uv_close(&l->refused.handle, on_refused_closed);
}

void listener_close(struct listener *l)
{
    l->is_closing = true;
    if (l->kind == ADDRESS_UNIX)
        unlink(l->text + strlen(UNIX_PREFIX));
    uv_close(&l->server.handle, on_closed);
}

static void offer_waiting(struct listener *l)
{
    if (!l->is_waiting || l->is_closing)
        return;
    l->is_waiting = false;
    l->on_connection(l, l->owner);
}

static void free_if_closed(struct listener *l)
{
    if (l->is_closed && !l->is_refusing)
        free(l);
}

/* Callbacks */

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *l = stream->data;
    if (status == 0) /* else out of descriptors: libuv has closed what it could not accept */
        l->on_connection(l, l->owner);
}

static void on_refused_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    l->is_refusing = false;
    offer_waiting(l);
    free_if_closed(l);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    l->is_closed = true;
    free_if_closed(l);
}
