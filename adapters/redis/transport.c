#include "adapters/redis/transport.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>

#define READ_BYTES 262144 /* the more messages one read brings, the more frames share a write */

struct transport {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } peer;
    uv_timer_t timer;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    struct transport_user *user; /* borrowed; NULL: closed */
    struct addrinfo *addresses;  /* owned */
    const struct addrinfo *next; /* of them, to be tried */
    int error;                   /* of the last one tried */
    int holds;                   /* handles and requests that the loop still knows: 0 frees */
    bool has_peer;               /* peer is a handle that was not yet closed to the end */
    bool is_resolving;
    char buffer[READ_BYTES];
};

struct unsent {
    uv_write_t request;
    char bytes[];
};

static void on_connected(uv_connect_t *request, int status);
static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses);
static void on_attempt_closed(uv_handle_t *handle);
static void on_timeout(uv_timer_t *timer);
static void on_failed(uv_timer_t *timer);
static void on_written(uv_write_t *request, int status);

static void let_go(struct transport *t)
{
    if (--t->holds > 0)
        return;
    if (t->addresses)
        freeaddrinfo(t->addresses);
    free(t);
}

/* Tells the user later, so that no verb calls back from within. */
static void fail(struct transport *t, int error)
{
    t->error = error;
    uv_timer_start(&t->timer, on_failed, 0, 0);
}

static void end_attempt(struct transport *t, int error)
{
    t->error = error;
    uv_timer_stop(&t->timer);
    uv_close(&t->peer.handle, on_attempt_closed);
}

static void begin_attempt(struct transport *t)
{
    t->peer.handle.data = t;
    t->connect.data = t;
    t->has_peer = true;
    t->holds++;
    uv_timer_start(&t->timer, on_timeout, TRANSPORT_CONNECT_MS, 0);
}

static void try_next(struct transport *t)
{
    if (!t->next) {
        fail(t, t->error);
        return;
    }
    const struct addrinfo *address = t->next;
    t->next = address->ai_next;
    int error = uv_tcp_init(t->timer.loop, &t->peer.tcp);
    if (error < 0) {
        fail(t, error);
        return;
    }
    begin_attempt(t);
    error = uv_tcp_connect(&t->connect, &t->peer.tcp, address->ai_addr, on_connected);
    if (error < 0)
        end_attempt(t, error);
}

static void use_addresses(struct transport *t, struct addrinfo *take_addresses)
{
    t->addresses = take_addresses;
    t->next = take_addresses;
    t->error = UV_EADDRNOTAVAIL;
    try_next(t);
}

/* A numeric address needs no thread of the loop's pool to look it up. */
static void open_tcp(struct transport *t, const struct transport_address *address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(address->host, address->port, &hints, &found) == 0) {
        use_addresses(t, found);
        return;
    }
    hints.ai_flags = AI_NUMERICSERV;
    t->resolve.data = t;
    int error = uv_getaddrinfo(t->timer.loop, &t->resolve, on_resolved, address->host, address->port, &hints);
    if (error < 0) {
        fail(t, error);
        return;
    }
    t->is_resolving = true;
    t->holds++;
}

static void open_unix(struct transport *t, const char *path)
{
    int error = uv_pipe_init(t->timer.loop, &t->peer.pipe, 0);
    if (error < 0) {
        fail(t, error);
        return;
    }
    begin_attempt(t);
    uv_pipe_connect(&t->connect, &t->peer.pipe, path, on_connected);
}

struct transport *transport_open(uv_loop_t *loop, const struct transport_address *address,
                                 struct transport_user *user)
{
    struct transport *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->user = user;
    uv_timer_init(loop, &t->timer);
    t->timer.data = t;
    t->holds = 1;
    if (address->path)
        open_unix(t, address->path);
    else
        open_tcp(t, address);
    return t;
}

static int queue_rest(struct transport *t, struct span rest)
{
    struct unsent *u = malloc(sizeof *u + rest.len);
    if (!u)
        return -ENOMEM;
    memcpy(u->bytes, rest.bytes, rest.len);
    u->request.data = t;
    uv_buf_t buf = uv_buf_init(u->bytes, (unsigned)rest.len);
    int error = uv_write(&u->request, &t->peer.stream, &buf, 1, on_written);
    if (error < 0)
        free(u);
    return error;
}

int transport_write(struct transport *t, struct span bytes)
{
    uv_buf_t buf = uv_buf_init((char *)bytes.bytes, (unsigned)bytes.len);
    int sent = uv_try_write(&t->peer.stream, &buf, 1);
    /* An error shows again when the rest is written, and then is told by on_lost. */
    size_t done = sent > 0 ? (size_t)sent : 0;
    return done == bytes.len ? 0 : queue_rest(t, span_of(bytes.bytes + done, bytes.len - done));
}

static void on_handle_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

void transport_close(struct transport *t)
{
    t->user = NULL;
    if (t->is_resolving)
        uv_cancel((uv_req_t *)&t->resolve);
    if (t->has_peer && !uv_is_closing(&t->peer.handle))
        uv_close(&t->peer.handle, on_handle_closed);
    uv_close((uv_handle_t *)&t->timer, on_handle_closed);
}

/* Callbacks of the loop */

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct transport *t = handle->data;
    *buf = uv_buf_init(t->buffer, sizeof t->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct transport *t = stream->data;
    if (!t->user || n == 0)
        return;
    if (n > 0)
        t->user->on_bytes(t->user, span_of(buf->base, (size_t)n));
    else
        t->user->on_lost(t->user, (int)n);
}

static void on_written(uv_write_t *request, int status)
{
    struct transport *t = request->data;
    if (status < 0 && t->user)
        t->user->on_lost(t->user, status);
    free(request);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct transport *t = request->data;
    if (uv_is_closing(&t->peer.handle))
        return;
    if (status < 0) {
        end_attempt(t, status);
        return;
    }
    uv_timer_stop(&t->timer);
    if (t->peer.handle.type == UV_TCP)
        uv_tcp_nodelay(&t->peer.tcp, 1);
    uv_read_start(&t->peer.stream, on_allocate, on_read);
    t->user->on_open(t->user);
}

static void on_timeout(uv_timer_t *timer)
{
    end_attempt(timer->data, UV_ETIMEDOUT);
}

static void on_attempt_closed(uv_handle_t *handle)
{
    struct transport *t = handle->data;
    t->has_peer = false;
    if (t->user)
        try_next(t);
    let_go(t);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct transport *t = request->data;
    t->is_resolving = false;
    if (!t->user)
        uv_freeaddrinfo(addresses);
    else if (status < 0)
        fail(t, status);
    else
        use_addresses(t, addresses);
    let_go(t);
}

static void on_failed(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    t->user->on_lost(t->user, t->error);
}
