#include "adapters/websocket/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapters/websocket/conn.h"
#include "adapters/websocket/control.h"
#include "adapters/websocket/flags.h"

#define NEVER               UINT64_MAX
#define NOT_ACCEPTED_LOG_MS 10000

struct drain {
    void (*on_drained)(void *arg); /* NULL: not draining, or told already */
    void *arg;
    uint64_t started_ms;
    uint64_t total;  /* of sockets that were open then */
    uint64_t closed; /* of those, so far */
};

struct server {
    struct sockets sockets;
    struct shared shared;
    struct drain drain;
    uv_timer_t timer;  /* one for all connections */
    uint64_t armed_ms; /* when it fires; NEVER */
    struct listener *listeners[ADDRESS_LIST_MAX];
    size_t listener_count;
    char where[sizeof(((struct address *)NULL)->text)];
    struct log_limit not_accepted;
    bool is_closing;
    bool timer_is_closed;
};

static void on_write(struct sockets *self, struct cursor *c);
static void on_change(struct shared *s);
static void on_connection(struct listener *l, void *owner, int error);
static void on_time(uv_timer_t *timer);
static void on_timer_closed(uv_handle_t *handle);

static struct server *server_of(struct shared *s)
{
    return (struct server *)((char *)s - offsetof(struct server, shared));
}

struct server *server_new(uv_loop_t *loop, const struct options *options, struct logger *logger)
{
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    shared_init(&s->shared);
    s->sockets.write = on_write;
    s->shared.loop = loop;
    s->shared.options = options;
    s->shared.logger = logger;
    s->shared.on_change = on_change;
    s->armed_ms = NEVER;
    s->not_accepted = (struct log_limit){.interval_ms = NOT_ACCEPTED_LOG_MS, .burst = 1};
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    return s;
}

struct sockets *server_sockets(struct server *s)
{
    return &s->sockets;
}

/* Time */

static uint64_t drain_ms(const struct server *s)
{
    return s->shared.options->drain_time_ms;
}

/* When the next socket is to be closed: the first at once, the last when nearly all of the time is over. */
static uint64_t drain_next_ms(const struct server *s)
{
    const struct drain *d = &s->drain;
    if (!d->on_drained || d->closed >= d->total)
        return NEVER;
    return d->started_ms + drain_ms(s) * d->closed / d->total;
}

static uint64_t next_ms(const struct server *s)
{
    uint64_t next = drain_next_ms(s);
    for (int i = 0; i < PHASE_LISTS; i++) {
        const struct conn *c = TAILQ_FIRST(&s->shared.phases[i]);
        if (c && c->due_ms < next)
            next = c->due_ms;
    }
    return next;
}

/* A timer that fires too early finds nothing to do, so it is moved only to do something sooner. */
static void arm(struct server *s)
{
    uint64_t now = uv_now(s->shared.loop), next = next_ms(s);
    if (s->is_closing || next >= s->armed_ms)
        return;
    s->armed_ms = next;
    uv_timer_start(&s->timer, on_time, next > now ? next - now : 0, 0);
}

static void act_on_due(struct server *s, enum phase phase)
{
    struct conn *c;
    while ((c = TAILQ_FIRST(&s->shared.phases[phase])) && c->due_ms <= uv_now(s->shared.loop))
        conn_act(c);
}

/* Drain */

static struct conn *any_open(struct server *s)
{
    for (int i = PHASE_OPEN_FIRST; i <= PHASE_OPEN_LAST; i++)
        if (!TAILQ_EMPTY(&s->shared.phases[i]))
            return TAILQ_FIRST(&s->shared.phases[i]);
    return NULL;
}

/* What waits for company goes before the close. */
static void send_away(struct server *s, struct conn *c)
{
    relay_writable(s->shared.relay, &c->cursor);
    if (conn_is_open(c))
        conn_close(c, CLOSE_CODE_RESTART, CLOSE_DRAIN);
}

static void drain_due(struct server *s)
{
    while (drain_next_ms(s) <= uv_now(s->shared.loop)) {
        struct conn *c = any_open(s);
        s->drain.closed = c ? s->drain.closed + 1 : s->drain.total;
        if (c)
            send_away(s, c);
    }
}

static void tell_if_drained(struct server *s)
{
    void (*on_drained)(void *arg) = s->drain.on_drained;
    if (!on_drained || s->shared.upgraded > 0)
        return;
    s->drain.on_drained = NULL;
    on_drained(s->drain.arg);
}

/* New clients go to the other processes from now on; those that are here already get their 503, unless
 * there is nobody to drain and the process ends first. */
static void finish_listeners(struct server *s)
{
    while (s->listener_count > 0)
        listener_finish(s->listeners[--s->listener_count]);
}

void server_drain(struct server *s, void (*on_drained)(void *arg), void *arg)
{
    if (s->shared.is_draining)
        return;
    s->shared.is_draining = true;
    if (s->shared.options->listen_shared)
        finish_listeners(s);
    s->drain = (struct drain){
        .on_drained = on_drained,
        .arg = arg,
        .started_ms = uv_now(s->shared.loop),
        .total = s->shared.relay ? s->shared.relay->metrics.connections : 0,
    };
    drain_due(s);
    arm(s);
    tell_if_drained(s);
}

bool server_is_draining(const struct server *s)
{
    return s->shared.is_draining;
}

/* Opening and closing */

int server_reload(struct server *s)
{
    struct frame *features = flags_reply(s->shared.options->features);
    if (!features)
        return -ENOMEM;
    frame_unref(s->shared.features);
    s->shared.features = features;
    return 0;
}

/* What a connection has beside itself, which is most often nothing. */
static size_t extra_bytes(const struct conn *c)
{
    return outbox_bytes(&c->outbox) + receiver_bytes(c->receiver) + block_bytes(c->head_len);
}

static void measure_conn(const struct conn *c, struct metrics *m)
{
    m->memory[MEMORY_CONNECTIONS] += extra_bytes(c);
    m->blocked += conn_is_open(c) && outbox_is_blocked(&c->outbox);
    m->backlog_bytes += outbox_writing(&c->outbox) + outbox_waiting(&c->outbox);
}

/* The memory with each one's place in the loop's table of descriptors. */
void server_measure(const struct server *s, struct metrics *m)
{
    const struct conn *c;
    m->connections_limit = s->shared.options->limits_connections;
    m->draining = s->shared.is_draining;
    m->blocked = m->backlog_bytes = 0;
    m->memory[MEMORY_CONNECTIONS] =
        receiver_bytes(s->shared.spare) + s->shared.count * (block_bytes(sizeof *c) + sizeof(void *));
    for (int i = 0; i < PHASE_LISTS; i++)
        TAILQ_FOREACH (c, &s->shared.phases[i], in_phase)
            measure_conn(c, m);
}

static void note_not_accepted(struct server *s, int error)
{
    bool is_memory = error == -ENOMEM || error == -ENOBUFS;
    uint64_t suppressed;
    s->shared.relay->metrics.rejected[is_memory ? REJECT_NO_MEMORY : REJECT_DESCRIPTORS]++;
    if (log_limit_pass(&s->not_accepted, uv_now(s->shared.loop), &suppressed))
        logger_warn(s->shared.logger, "connection not accepted", LOG_STR("option", "listen"),
                    LOG_STR("error", uv_strerror(error)), LOG_INT("suppressed", suppressed));
}

static int listen_on(struct server *s, const struct address *address)
{
    int error;
    struct listener *l =
        listener_open(s->shared.loop, address, s->shared.options->listen_shared, on_connection, s, &error);
    if (!l) {
        memcpy(s->where, address->text, sizeof s->where);
        return error;
    }
    s->listeners[s->listener_count++] = l;
    logger_info(s->shared.logger, "listening", LOG_STR("address", listener_address(l)));
    return 0;
}

static void close_listeners(struct server *s)
{
    while (s->listener_count > 0)
        listener_close(s->listeners[--s->listener_count]);
}

int server_open(struct server *s, struct relay *relay, const char **where)
{
    struct address addresses[ADDRESS_LIST_MAX];
    s->shared.relay = relay;
    *where = "features";
    int error = server_reload(s);
    if (error < 0)
        return error;
    snprintf(s->where, sizeof s->where, "%s", s->shared.options->listen);
    *where = s->where;
    int n = address_parse_list(addresses, ADDRESS_LIST_MAX, span_str(s->shared.options->listen));
    if (n <= 0)
        return n < 0 ? n : -EINVAL;
    for (int i = 0; i < n; i++) {
        error = listen_on(s, &addresses[i]);
        if (error < 0) {
            close_listeners(s);
            return error;
        }
    }
    return 0;
}

static void free_if_closed(struct server *s)
{
    if (!s->timer_is_closed || s->shared.count > 0)
        return;
    shared_deinit(&s->shared);
    free(s);
}

void server_close(struct server *s)
{
    struct conn *c;
    if (s->is_closing)
        return;
    s->is_closing = true;
    s->drain.on_drained = NULL;
    close_listeners(s);
    for (int i = 0; i < PHASE_LISTS; i++)
        while ((c = TAILQ_FIRST(&s->shared.phases[i])))
            conn_abort(c, CLOSE_DRAIN);
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

/* Callbacks */

static void on_write(struct sockets *self, struct cursor *c)
{
    (void)self;
    conn_write(conn_of_cursor(c));
}

static void on_connection(struct listener *l, void *owner, int error)
{
    struct server *s = owner;
    if (error < 0)
        note_not_accepted(s, error);
    else
        conn_open(&s->shared, l);
}

static void on_change(struct shared *shared)
{
    struct server *s = server_of(shared);
    arm(s);
    if (s->is_closing)
        free_if_closed(s);
    else
        tell_if_drained(s);
}

static void on_time(uv_timer_t *timer)
{
    struct server *s = timer->data;
    s->armed_ms = NEVER;
    for (int i = 0; i < PHASE_LISTS; i++)
        act_on_due(s, (enum phase)i);
    drain_due(s);
    arm(s);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct server *s = handle->data;
    s->timer_is_closed = true;
    free_if_closed(s);
}
