/* A listening socket, TCP or Unix, that hands over what connects to it.
 *
 * The sockets are made here and not by libuv, so that a failure is known before there is a handle to close. And
 * they are accepted here: libuv closes, and tells nobody, what comes when there is no descriptor left. */
#include "adapters/process/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG      4096 /* thousands may reconnect at once; the kernel lowers it to its somaxconn */
#define QUEUED_MAX   (BACKLOG + 1) /* the kernel's queue holds one more */
#define ACCEPTS_MAX  64            /* in one turn of the loop */
#define PAUSE_MS     100           /* when nothing can be accepted, and nothing says when it can */
#define UNSENT_MAX   (256 << 10)   /* bytes that the kernel holds of a connection and has not sent */
#define SOCKET_FLAGS (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
#define UNIX_PREFIX  "unix:"
#define TEXT_SIZE    (sizeof(UNIX_PREFIX) + sizeof(((struct address *)NULL)->name))

struct listener {
    uv_poll_t poll;
    uv_timer_t pause;
    int fd;       /* what listens */
    int reserve;  /* a descriptor to give up, so that a connection can be closed for want of one; or -1 */
    int accepted; /* the connection at hand; or -1 */
    int open_handles;
    bool is_closing;
    enum address_kind kind;
    listener_on_connection *on_connection;
    void *owner;          /* borrowed */
    char text[TEXT_SIZE]; /* where it listens; "unix:" and the path, or host and port */
};

static void on_readable(uv_poll_t *poll, int status, int events);
static void on_pause_over(uv_timer_t *timer);
static void on_closed(uv_handle_t *handle);

static int bind_and_listen(int fd, const struct sockaddr *address, socklen_t len)
{
    return bind(fd, address, len) < 0 || listen(fd, BACKLOG) < 0 ? -errno : 0;
}

/* Its connections inherit this. What is written is sent at once. And what the kernel holds for a slow client cannot be
 * conflated any more: so it takes no more than a few previews ahead of what it can send, instead of megabytes. A
 * refusal costs only that. */
static void tune_connections(int fd)
{
    int one = 1, unsent = UNSENT_MAX;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static int listen_tcp(int fd, const struct addrinfo *found, bool is_shared)
{
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (found->ai_family == AF_INET6) /* so that 0.0.0.0 and [::] can be listened on side by side */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    tune_connections(fd);
    if (is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
        return -errno;
    int error = bind_and_listen(fd, found->ai_addr, found->ai_addrlen);
    return error == -EADDRINUSE && is_shared ? -EBUSY : error;
}

/* A socket that listens there, or a negative error code. */
static int open_resolved(const struct addrinfo *found, bool is_shared)
{
    int fd = socket(found->ai_family, SOCKET_FLAGS, 0);
    if (fd < 0)
        return -errno;
    int error = listen_tcp(fd, found, is_shared);
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

static int open_first(const struct addrinfo *all, int family, bool is_shared)
{
    int fd = -EADDRNOTAVAIL;
    for (const struct addrinfo *a = all; a != NULL && fd < 0; a = a->ai_next) {
        if (a->ai_family == family)
            fd = open_resolved(a, is_shared);
    }
    return fd;
}

static int resolve_error(int code)
{
    if (code == EAI_SYSTEM)
        return -errno;
    if (code == EAI_MEMORY)
        return -ENOMEM;
    return code == EAI_AGAIN ? UV_EAI_AGAIN : UV_EAI_NONAME;
}

static int open_tcp(const struct address *address, bool is_shared)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char port[8];
    snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    int code = getaddrinfo(address->name, port, &hints, &found);
    if (code != 0)
        return resolve_error(code);
    int fd = open_first(found, AF_INET, is_shared);
    if (fd == -EADDRNOTAVAIL)
        fd = open_first(found, AF_INET6, is_shared);
    freeaddrinfo(found);
    return fd;
}

/* What has taken the path: 0, a socket's file that no process listens on; else a negative error code. Anything
 * that is no socket belongs to somebody. */
static int look_at_taken(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0)
        return -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0)
        return -errno;
    int error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    close(fd);
    if (error == -ECONNREFUSED)
        return 0;
    return error == -EPROTOTYPE ? error : -EADDRINUSE;
}

static int bind_unix(int fd, const struct sockaddr_un *address)
{
    return bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
}

static int replace_stale(int fd, const struct sockaddr_un *address)
{
    int error = look_at_taken(address);
    if (error < 0)
        return error;
    return unlink(address->sun_path) < 0 ? -errno : bind_unix(fd, address);
}

/* Whoever reaches its directory may connect, whatever the umask is: as to a port. */
static int listen_unix(int fd, const struct sockaddr_un *address)
{
    int error = bind_unix(fd, address);
    if (error == -EADDRINUSE)
        error = replace_stale(fd, address);
    if (error < 0)
        return error;
    if (chmod(address->sun_path, 0666) == 0 && listen(fd, BACKLOG) == 0)
        return 0;
    error = -errno;
    unlink(address->sun_path);
    return error;
}

static int open_unix(const struct address *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, address->name, strlen(address->name) + 1);
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0)
        return -errno;
    int error = listen_unix(fd, &un);
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

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void wait_for_connections(struct listener *l)
{
    int error = uv_poll_start(&l->poll, UV_READABLE, on_readable);
    assert(error == 0); /* it is no more than noted down for the next turn */
    (void)error;
}

/* Takes the fd on every path. */
static int start(struct listener *l, uv_loop_t *loop, int take_fd)
{
    int error = uv_poll_init(loop, &l->poll, take_fd);
    if (error < 0) {
        close(take_fd);
        return error;
    }
    uv_timer_init(loop, &l->pause);
    l->poll.data = l->pause.data = l;
    l->open_handles = 2;
    l->fd = take_fd;
    l->reserve = open_reserve();
    l->accepted = -1;
    wait_for_connections(l);
    return 0;
}

struct listener *listener_open(uv_loop_t *loop, const struct address *address, bool is_shared,
                               listener_on_connection *on_connected, void *owner, int *error)
{
    struct listener *l = calloc(1, sizeof(*l));
    *error = -ENOMEM;
    if (l == NULL)
        return NULL;
    int fd = address->kind == ADDRESS_UNIX ? open_unix(address) : open_tcp(address, is_shared);
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
        free(l);
        return NULL;
    }
    return l;
}

const char *listener_strerror(int error)
{
    switch (error) {
    case UV_EAI_NONAME:
        return "the name does not resolve to an address";
    case UV_EAI_AGAIN:
        return "the name does not resolve to an address: temporary failure";
    case -EBUSY:
        return "somebody listens there who does not share the port, or is another user";
    case -EEXIST:
        return "the path exists and is no socket";
    case -EPROTOTYPE:
        return "the path is a socket of another kind";
    default:
        return uv_strerror(error);
    }
}

const char *listener_address(const struct listener *l)
{
    return l->text;
}

int listener_accept(struct listener *l, union listener_client *client)
{
    int fd = l->accepted;
    l->accepted = -1;
    init_client(l->poll.loop, l->kind, client);
    int error = l->kind == ADDRESS_UNIX ? uv_pipe_open(&client->pipe, fd) : uv_tcp_open(&client->tcp, fd);
    if (error < 0)
        close(fd);
    return error;
}

void listener_refuse(struct listener *l)
{
    close(l->accepted);
    l->accepted = -1;
}

void listener_close(struct listener *l)
{
    l->is_closing = true;
    if (l->kind == ADDRESS_UNIX)
        unlink(l->text + strlen(UNIX_PREFIX));
    uv_close((uv_handle_t *)&l->poll, on_closed);
    uv_close((uv_handle_t *)&l->pause, on_closed);
    close(l->fd);
    if (l->reserve >= 0)
        close(l->reserve);
}

/* The next connection, or a negative error code. */
static int accept_next(struct listener *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* There is no descriptor left: its peer learns that from a close, now, and not from silence. */
static int close_next(struct listener *l)
{
    if (l->reserve < 0)
        return -EMFILE;
    close(l->reserve);
    int fd = accept_next(l);
    if (fd >= 0)
        close(fd);
    l->reserve = open_reserve();
    return fd < 0 ? fd : 0;
}

static bool is_out_of_descriptors(int error)
{
    return error == -EMFILE || error == -ENFILE;
}

static bool is_out_of_memory(int error)
{
    return error == -ENOMEM || error == -ENOBUFS;
}

/* It stays in its queue, and whoever polls would spin. */
static void pause_accepting(struct listener *l)
{
    uv_poll_stop(&l->poll);
    uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
}

/* A connection could not be accepted. False when that ends this turn. */
static bool handle_failure(struct listener *l, int error)
{
    if (error == -EAGAIN)
        return false;
    if (!is_out_of_descriptors(error) && !is_out_of_memory(error)) /* that connection's own (accept(2)) */
        return true;
    int second = is_out_of_descriptors(error) ? close_next(l) : error;
    if (second == -EAGAIN) /* there was none: a descriptor is asked for before the queue is looked at */
        return false;
    if (second < 0)
        pause_accepting(l);
    l->on_connection(l, l->owner, error);
    return second == 0;
}

static bool take_next(struct listener *l)
{
    int fd = accept_next(l);
    if (fd < 0)
        return handle_failure(l, fd);
    l->accepted = fd;
    l->on_connection(l, l->owner, 0);
    return true;
}

/* An accept4() in vain costs as much as ten of these: the kernel makes the new file before it looks into the queue. */
static bool has_next(const struct listener *l)
{
    struct pollfd queue = {.fd = l->fd, .events = POLLIN};
    return !l->is_closing && poll(&queue, 1, 0) > 0;
}

void listener_finish(struct listener *l)
{
    for (int i = 0; i < QUEUED_MAX && !l->is_closing && take_next(l); i++)
        ;
    if (!l->is_closing)
        listener_close(l);
}

/* Callbacks */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    (void)status, (void)events; /* accept4() says what is wrong */
    if (l->reserve < 0)
        l->reserve = open_reserve();
    for (int i = 0; i < ACCEPTS_MAX && take_next(l) && has_next(l); i++)
        ;
}

static void on_pause_over(uv_timer_t *timer)
{
    wait_for_connections(timer->data);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    if (--l->open_handles == 0)
        free(l);
}
