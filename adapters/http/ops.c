/* The operations address: /, /live, /ready, /metrics. One request a connection:
 *
 *     READING ──head whole, wrong or late──▶ ANSWERING ──written──▶ LINGERING ──peer closed, or 1 s──▶ CLOSING
 *        └──peer closed──────────────────────────┴──late, or a fault──────────────────────────────────────▲
 *
 * When all places are taken one more takes the place of the oldest that is READING, else of the oldest. */
#include "adapters/http/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "adapters/http/inspector.h"
#include "adapters/http/metrics.h"
#include "adapters/http/request.h"
#include "adapters/process/listener.h"

#define CONNECTIONS_MAX     64
#define LINGER_MS           1000
#define NOT_ACCEPTED_LOG_MS 10000
#define PLAIN_TEXT          "text/plain; charset=utf-8"

enum state { READING, ANSWERING, LINGERING, CLOSING };

struct connection {
    TAILQ_ENTRY(connection) link; /* in its ops' list, until CLOSING */
    struct ops *ops;              /* borrowed; not to be used when CLOSING */
    union listener_client client;
    uv_timer_t timer; /* of the state */
    uv_write_t write;
    uv_shutdown_t shutdown;
    enum state state;
    unsigned open_handles;
    char *answer; /* owned; NULL while READING */
    size_t answer_len;
    size_t size; /* of bytes: the longest head */
    size_t len;  /* bytes of the head so far */
    char bytes[];
};

TAILQ_HEAD(connections, connection);

struct ops {
    struct listener *listener;     /* owned */
    const struct options *options; /* borrowed, like the next two */
    struct logger *logger;
    struct ops_source *source;
    struct connections connections;
    unsigned count;
    time_t started_at;
    struct inspector inspector;
    struct log_limit not_accepted;
};

/* What is answered; the body is a line, the metrics or the inspector. */
struct answer {
    const char *status;
    const char *headers; /* each with its CRLF */
    const char *body;    /* NULL: metrics, or the inspector */
    bool is_inspector;
    bool no_body; /* only its length is told */
};

static void on_connection(struct listener *l, void *owner, int error);
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer);
static void on_timeout(uv_timer_t *timer);
static void on_written(uv_write_t *request, int status);
static void on_shutdown(uv_shutdown_t *request, int status);
static void on_closed(uv_handle_t *handle);

static void close_connection(struct connection *c)
{
    if (c->state == CLOSING)
        return;
    c->state = CLOSING;
    TAILQ_REMOVE(&c->ops->connections, c, link);
    c->ops->count--;
    uv_close(&c->client.handle, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

static struct answer answer_ready(struct ops *o)
{
    const char *why = o->source->not_ready(o->source);
    return why == NULL ? (struct answer){.status = "200 OK", .body = "ready"}
                       : (struct answer){.status = "503 Service Unavailable", .body = why};
}

static struct answer answer_request(struct ops *o, const struct request *r)
{
    if (!span_is(r->method, "GET"))
        return (struct answer){.status = "405 Method Not Allowed",
                               .headers = "Allow: GET\r\n",
                               .body = "only GET",
                               .no_body = span_is(r->method, "HEAD")};
    if (span_is(r->path, "/"))
        return (struct answer){.status = "200 OK", .headers = o->inspector.headers, .is_inspector = true};
    if (span_is(r->path, "/live"))
        return (struct answer){.status = "200 OK", .body = "live"};
    if (span_is(r->path, "/ready"))
        return answer_ready(o);
    if (span_is(r->path, "/metrics"))
        return (struct answer){.status = "200 OK"};
    return (struct answer){.status = "404 Not Found",
                           .body = "here are / (the inspector), /live, /ready and /metrics"};
}

static void write_body(struct ops *o, const struct answer *a, FILE *to)
{
    if (a->is_inspector)
        inspector_write(&o->inspector, to);
    else if (a->body == NULL)
        metrics_write(o->source->metrics(o->source), o->started_at, to);
    else
        fprintf(to, "%s\n", a->body);
}

static const char *content_type(const struct answer *a)
{
    if (a->is_inspector)
        return INSPECTOR_CONTENT_TYPE;
    return a->body == NULL ? METRICS_CONTENT_TYPE : PLAIN_TEXT;
}

static void write_answer(const struct answer *a, const char *body, size_t len, FILE *to)
{
    fprintf(to, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
            a->status, content_type(a), len, a->headers == NULL ? "" : a->headers);
    if (!a->no_body)
        fwrite(body, 1, len, to);
}

/* The whole answer in memory. 0 or -ENOMEM. */
static int make_answer(struct connection *c, const struct answer *a)
{
    char *body = NULL;
    size_t body_len = 0;
    FILE *to = open_memstream(&body, &body_len);
    if (to == NULL)
        return -ENOMEM;
    write_body(c->ops, a, to);
    if (fclose(to) != 0)
        goto fail;
    to = open_memstream(&c->answer, &c->answer_len);
    if (to == NULL)
        goto fail;
    write_answer(a, body, body_len, to);
    if (fclose(to) != 0)
        goto fail;
    free(body);
    return 0;
fail:
    free(body);
    return -ENOMEM;
}

static void answer(struct connection *c, const struct answer *a)
{
    c->state = ANSWERING;
    if (make_answer(c, a) < 0) {
        close_connection(c);
        return;
    }
    uv_buf_t buffer = uv_buf_init(c->answer, (unsigned)c->answer_len);
    uv_read_stop(&c->client.stream);
    uv_timer_start(&c->timer, on_timeout, c->ops->options->limits_handshake_timeout_ms, 0);
    if (uv_write(&c->write, &c->client.stream, &buffer, 1, on_written) < 0)
        close_connection(c);
}

static void answer_error(struct connection *c, const char *status, const char *body)
{
    answer(c, &(struct answer){.status = status, .body = body});
}

static void receive(struct connection *c, size_t n)
{
    struct request r;
    struct answer a;
    c->len += n;
    switch (request_parse(&r, c->bytes, c->len)) {
    case REQUEST_COMPLETE:
        a = answer_request(c->ops, &r);
        answer(c, &a);
        break;
    case REQUEST_MALFORMED:
        answer_error(c, "400 Bad Request", "malformed request");
        break;
    case REQUEST_INCOMPLETE:
        if (c->len == c->size)
            answer_error(c, "431 Request Header Fields Too Large", "the request is too long");
        break;
    }
}

/* What the peer still sends is read and forgotten: closing on unread bytes would reset the connection, and
 * the answer might be lost. */
static void linger(struct connection *c)
{
    c->state = LINGERING;
    uv_timer_start(&c->timer, on_timeout, LINGER_MS, 0);
    if (uv_shutdown(&c->shutdown, &c->client.stream, on_shutdown) < 0 ||
        uv_read_start(&c->client.stream, on_alloc, on_read) < 0)
        close_connection(c);
}

static struct connection *new_connection(struct ops *o)
{
    size_t size = o->options->limits_header_bytes;
    struct connection *c = malloc(sizeof(*c) + size);
    if (c == NULL)
        return NULL;
    *c = (struct connection){.ops = o, .state = READING, .open_handles = 2, .size = size};
    return c;
}

/* Who waits longest for nothing: whoever holds all places must not keep a probe out. */
static struct connection *choose_victim(struct ops *o)
{
    struct connection *c;
    TAILQ_FOREACH (c, &o->connections, link)
        if (c->state == READING)
            return c;
    return TAILQ_FIRST(&o->connections);
}

static void make_room(struct ops *o)
{
    if (o->count < CONNECTIONS_MAX)
        return;
    close_connection(choose_victim(o));
    o->source->count_evicted(o->source);
}

static void accept_connection(struct ops *o)
{
    make_room(o);
    struct connection *c = new_connection(o);
    if (c == NULL) {
        listener_refuse(o->listener);
        return;
    }
    int error = listener_accept(o->listener, &c->client);
    uv_timer_init(c->client.handle.loop, &c->timer);
    c->client.handle.data = c->timer.data = c->write.data = c;
    TAILQ_INSERT_TAIL(&o->connections, c, link);
    o->count++;
    uv_timer_start(&c->timer, on_timeout, o->options->limits_handshake_timeout_ms, 0);
    if (error < 0 || uv_read_start(&c->client.stream, on_alloc, on_read) < 0)
        close_connection(c);
}

static void tell_not_accepted(struct ops *o, int error)
{
    uint64_t suppressed;
    if (log_limit_pass(&o->not_accepted, uv_hrtime() / 1000000, &suppressed))
        logger_warn(o->logger, "connection not accepted", LOG_STR("option", "ops.listen"),
                    LOG_STR("error", uv_strerror(error)), LOG_INT("suppressed", suppressed));
}

struct ops *ops_open(uv_loop_t *loop, const struct options *options, struct logger *logger,
                     struct ops_source *source, int *error)
{
    struct address address;
    *error = address_parse(&address, span_str(options->ops_listen));
    if (*error < 0)
        return NULL;
    struct ops *o = malloc(sizeof(*o));
    *error = -ENOMEM;
    if (o == NULL)
        return NULL;
    *o = (struct ops){.options = options, .logger = logger, .source = source, .started_at = time(NULL)};
    o->not_accepted = (struct log_limit){.interval_ms = NOT_ACCEPTED_LOG_MS, .burst = 1};
    TAILQ_INIT(&o->connections);
    inspector_init(&o->inspector, options->listen);
    o->listener = listener_open(loop, &address, false, on_connection, o, error);
    if (o->listener == NULL) {
        free(o);
        return NULL;
    }
    logger_info(logger, "listening", LOG_STR("option", "ops.listen"),
                LOG_STR("address", listener_address(o->listener)));
    return o;
}

/* No callback comes back to it: a connection that is closing knows its ops no more. */
void ops_close(struct ops *o)
{
    while (!TAILQ_EMPTY(&o->connections))
        close_connection(TAILQ_FIRST(&o->connections));
    listener_close(o->listener);
    free(o);
}

/* Callbacks */

static void on_connection(struct listener *l, void *owner, int error)
{
    (void)l;
    if (error < 0)
        tell_not_accepted(owner, error);
    else
        accept_connection(owner);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct connection *c = handle->data;
    size_t used = c->state == READING ? c->len : 0;
    (void)suggested;
    *buffer = uv_buf_init(c->bytes + used, (unsigned)(c->size - used));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct connection *c = stream->data;
    (void)buffer;
    if (n < 0)
        close_connection(c);
    else if (n > 0 && c->state == READING)
        receive(c, (size_t)n);
}

static void on_timeout(uv_timer_t *timer)
{
    struct connection *c = timer->data;
    if (c->state == READING)
        answer_error(c, "408 Request Timeout", "the request took too long");
    else
        close_connection(c);
}

/* Also of a connection that was closed after it had written, before this could be told: with status 0. */
static void on_written(uv_write_t *request, int status)
{
    struct connection *c = request->data;
    if (c->state == CLOSING)
        return;
    if (status < 0)
        close_connection(c);
    else
        linger(c);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)request, (void)status; /* the peer closes, or the timer does */
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    if (--c->open_handles > 0)
        return;
    free(c->answer);
    free(c);
}
