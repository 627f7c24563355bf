#include "adapters/websocket/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "adapters/websocket/control.h"
#include "adapters/websocket/handshake.h"
#include "adapters/websocket/inbox.h"
#include "adapters/websocket/ping.h"
#include "relay/sid.h"

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);
static void on_drained(struct outbox *o, int status);
static void on_closed(uv_handle_t *handle);

void shared_init(struct shared *s)
{
    *s = (struct shared){.refusals = {.interval_ms = 10000, .burst = 10}};
    for (int i = 0; i < PHASE_LISTS; i++)
        TAILQ_INIT(&s->phases[i]);
}

void shared_deinit(struct shared *s)
{
    frame_unref(s->features);
    receiver_free(s->spare);
}

/* Phases */

/* Quiet and resting last a ping interval together, and what is to be acknowledged waits no longer than that. */
static uint64_t resting_ms(const struct options *o)
{
    uint64_t half = o->ws_ping_interval_ms / 2;
    return half < CONN_RESTING_MS ? half : CONN_RESTING_MS;
}

static uint64_t phase_ms(const struct shared *s, enum phase phase)
{
    switch (phase) {
    case PHASE_HANDSHAKE:
        return s->options->limits_handshake_timeout_ms;
    case PHASE_QUIET:
        return s->options->ws_ping_interval_ms - resting_ms(s->options);
    case PHASE_WRITTEN:
        return resting_ms(s->options) < CONN_WRITTEN_MS ? resting_ms(s->options) : CONN_WRITTEN_MS;
    case PHASE_PINGED:
        return s->options->ws_ping_timeout_ms;
    case PHASE_RESTING:
        return resting_ms(s->options);
    case PHASE_CLOSING:
        return CONN_CLOSE_WAIT_MS;
    default:
        return CONN_LINGER_MS;
    }
}

static void leave_phase(struct conn *c)
{
    TAILQ_REMOVE(&c->shared->phases[c->phase], c, in_phase);
}

static void join_phase(struct conn *c, enum phase phase)
{
    struct shared *s = c->shared;
    c->phase = phase;
    c->due_ms = uv_now(s->loop) + phase_ms(s, phase);
    TAILQ_INSERT_TAIL(&s->phases[phase], c, in_phase);
    s->on_change(s);
}

void conn_enter(struct conn *c, enum phase phase)
{
    leave_phase(c);
    join_phase(c, phase);
}

/* Writing */

void conn_send(struct conn *c, const void *bytes, size_t len)
{
    int error = outbox_send(&c->outbox, bytes, len);
    c->shared->relay->metrics.sent_bytes += len;
    if (error < 0)
        conn_abort(c, error == -ENOMEM ? CLOSE_NO_MEMORY : CLOSE_LOST);
}

/* As many of them as one socket may be handed at once, but at least one. */
static int bound_bytes(struct frame *const *frames, int n, uint64_t limit)
{
    uint64_t sum = frames[0]->len;
    for (int i = 1; i < n; i++) {
        sum += frames[i]->len;
        if (sum > limit)
            return i;
    }
    return n;
}

static void count_frames(struct metrics *m, struct frame *const *frames, int n)
{
    for (int i = 0; i < n; i++)
        m->sent_bytes += frames[i]->len;
    m->frames += (uint64_t)n;
}

/* Writes them, and a ping behind the last where one is due. How many went, or a negative errno-valued code. */
static int write_frames(struct conn *c, struct frame *const *frames, int n, bool asks)
{
    uint8_t buffer[PING_FRAME_BYTES];
    struct span ping = asks ? ping_make(c, buffer) : SPAN_NONE;
    int taken = outbox_write(&c->outbox, frames, n, ping);
    if (taken < 0)
        return taken;
    count_frames(&c->shared->relay->metrics, frames, taken);
    cursor_take(&c->cursor, taken, &c->shared->relay->metrics, uv_now(c->shared->loop));
    if (ping.len > 0 && taken == n) {
        c->shared->relay->metrics.sent_bytes += ping.len;
        ping_note_sent(c);
    }
    return taken;
}

/* One system call's worth. False when there is no more to write, or it cannot be written now. */
static bool write_some(struct conn *c)
{
    struct frame *frames[OUTBOX_FRAMES_MAX];
    bool is_kept;
    int n = cursor_peek(&c->cursor, frames, OUTBOX_FRAMES_MAX, &is_kept);
    if (n == 0)
        return false;
    if (n > 0) {
        int bounded = bound_bytes(frames, n, c->shared->options->limits_socket_bytes);
        bool is_all = bounded == n && n < OUTBOX_FRAMES_MAX;
        n = write_frames(c, frames, bounded, is_all && ping_is_due(c, is_kept));
    }
    if (n < 0) {
        conn_abort(c, n == -ENOMEM ? CLOSE_NO_MEMORY : CLOSE_LOST);
        return false;
    }
    return !outbox_is_blocked(&c->outbox);
}

void conn_write(struct conn *c)
{
    while (conn_is_open(c) && !outbox_is_blocked(&c->outbox) && write_some(c))
        ;
    c->cursor.is_blocked = !conn_is_open(c) || outbox_is_blocked(&c->outbox);
    ping_note_written(c);
}

/* Closing */

static void log_closed(struct conn *c, enum close_reason reason)
{
    char sid[SID_SHORT_BYTES];
    if (c->shared->logger->level < LOG_DEBUG)
        return;
    sid_shorten(session_sid(c->cursor.session), sid);
    logger_debug(c->shared->logger, "connection closed", LOG_STR("sid", sid),
                 LOG_STR("reason", close_reason_label(reason)));
}

/* It is open no longer. Its cursor goes only with its last handle: the core may be at work with it now. */
static void leave_open(struct conn *c, enum close_reason reason)
{
    struct metrics *m = &c->shared->relay->metrics;
    m->connections--;
    m->closed[reason]++;
    m->out_of_memory += reason == CLOSE_NO_MEMORY;
    c->cursor.is_blocked = true;
    log_closed(c, reason);
}

void conn_abort(struct conn *c, enum close_reason reason)
{
    if (c->phase == PHASE_CLOSED)
        return;
    if (conn_is_open(c))
        leave_open(c, reason);
    leave_phase(c);
    c->phase = PHASE_CLOSED;
    uv_close(&c->client.handle, on_closed);
}

/* No more will be written: tells the client so. */
static void shut_down(struct conn *c)
{
    uv_os_fd_t fd;
    if (uv_fileno(&c->client.handle, &fd) == 0)
        shutdown(fd, SHUT_WR);
}

void conn_linger(struct conn *c)
{
    conn_enter(c, PHASE_LINGERING);
    if (!outbox_is_blocked(&c->outbox))
        shut_down(c);
}

void conn_close(struct conn *c, uint16_t code, enum close_reason reason)
{
    uint8_t frame[CONTROL_CLOSE_BYTES];
    leave_open(c, reason);
    conn_enter(c, PHASE_CLOSING);
    cursor_ask(&c->cursor);
    c->close_code = code;
    conn_send(c, frame, control_make_close(frame, code));
}

/* Receiving */

static void receive(struct conn *c, struct span bytes)
{
    if (c->phase == PHASE_HANDSHAKE)
        handshake_receive(c, bytes);
    else if (conn_is_open(c) || c->phase == PHASE_CLOSING)
        inbox_receive(c, bytes);
}

/* Opening, and the clock */

static int start_reading(struct conn *c)
{
    c->is_reading = true;
    return uv_read_start(&c->client.stream, on_alloc, on_read);
}

static void init(struct conn *c, struct shared *s)
{
    c->shared = s;
    c->outbox.stream = &c->client.stream;
    c->outbox.on_drained = on_drained;
    s->count++;
    join_phase(c, PHASE_HANDSHAKE);
}

void conn_open(struct shared *s, struct listener *l)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        s->relay->metrics.rejected[REJECT_NO_MEMORY]++;
        listener_refuse(l);
        return;
    }
    int error = listener_accept(l, &c->client);
    init(c, s);
    if (error == 0)
        error = start_reading(c);
    if (error < 0)
        conn_abort(c, CLOSE_LOST);
}

/* The socket has taken all that was written. */
static void take_more(struct conn *c)
{
    ping_note_taken(c);
    relay_writable(c->shared->relay, &c->cursor);
}

void conn_act(struct conn *c)
{
    if (c->phase == PHASE_HANDSHAKE)
        handshake_expire(c);
    else if (conn_is_open(c))
        ping_act(c);
    else
        conn_abort(c, CLOSE_PING_TIMEOUT);
}

/* Callbacks of the loop */

static struct conn *conn_of_handle(void *handle)
{
    return (struct conn *)((char *)handle - offsetof(struct conn, client));
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct shared *s = conn_of_handle(handle)->shared;
    (void)suggested;
    *buf = uv_buf_init(s->read, sizeof s->read);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = conn_of_handle(stream);
    if (n < 0)
        conn_abort(c, CLOSE_LOST);
    else if (n > 0)
        receive(c, span_of(buf->base, (size_t)n));
}

static void on_drained(struct outbox *o, int status)
{
    struct conn *c = (struct conn *)((char *)o - offsetof(struct conn, outbox));
    if (c->phase != PHASE_CLOSED && status == 0 && !c->is_reading)
        status = start_reading(c);
    if (status < 0)
        conn_abort(c, CLOSE_LOST);
    else if (c->phase == PHASE_LINGERING)
        shut_down(c);
    else if (conn_is_open(c))
        take_more(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = conn_of_handle(handle);
    struct shared *s = c->shared;
    relay_detach(s->relay, &c->cursor, uv_now(s->loop));
    s->count--;
    s->upgraded -= c->was_upgraded;
    receiver_free(c->receiver);
    free(c->head);
    free(c);
    s->on_change(s);
}
