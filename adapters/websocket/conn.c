#include "adapters/websocket/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "adapters/websocket/flags.h"
#include "adapters/websocket/handshake.h"
#include "relay/sid.h"

#define UNSENT_MAX          (256 << 10) /* bytes that the kernel holds of a socket and has not sent */
#define CONTROL_WAITING_MAX 4096        /* control bytes that may wait before a client is no longer read */

enum opcode { OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 }; /* RFC 6455, section 11.8 */

enum code { CODE_NORMAL = 1000 };

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

static uint64_t phase_ms(const struct shared *s, enum phase phase)
{
    switch (phase) {
    case PHASE_HANDSHAKE:
        return s->options->limits_handshake_timeout_ms;
    case PHASE_QUIET:
        return s->options->ws_ping_interval_ms;
    case PHASE_PINGED:
        return s->options->ws_ping_timeout_ms;
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

/* A control frame of the server: at most 125 bytes, not masked (RFC 6455, section 5.5). Two bytes of header
 * are no work for a library. */
static size_t make_control(uint8_t *out, enum opcode opcode, struct span payload)
{
    out[0] = (uint8_t)(0x80 | opcode);
    out[1] = (uint8_t)payload.len;
    if (payload.len > 0)
        memcpy(out + 2, payload.bytes, payload.len);
    return 2 + payload.len;
}

static void send_answers(struct conn *c)
{
    struct shared *s = c->shared;
    size_t len = s->control_len;
    s->control_len = 0;
    if (len > 0 && c->phase != PHASE_CLOSED)
        conn_send(c, s->control, len);
}

static void send_close(struct conn *c, uint16_t code)
{
    uint8_t frame[4];
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    conn_send(c, frame, make_control(frame, OPCODE_CLOSE, span_of(payload, sizeof payload)));
}

static void send_ping(struct conn *c)
{
    uint8_t frame[2 + sizeof c->ping];
    c->ping = ++c->shared->pings;
    conn_enter(c, PHASE_PINGED);
    conn_send(c, frame, make_control(frame, OPCODE_PING, span_of(&c->ping, sizeof c->ping)));
    c->before_ping = outbox_writing(&c->outbox);
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

/* One system call's worth. False when there is no more to write, or it cannot be written now. */
static bool write_some(struct conn *c)
{
    struct frame *frames[OUTBOX_FRAMES_MAX];
    int n = cursor_peek(&c->cursor, frames, OUTBOX_FRAMES_MAX);
    if (n == 0)
        return false;
    if (n > 0)
        n = outbox_write(&c->outbox, frames, bound_bytes(frames, n, c->shared->options->limits_socket_bytes));
    if (n < 0) {
        conn_abort(c, n == -ENOMEM ? CLOSE_NO_MEMORY : CLOSE_LOST);
        return false;
    }
    count_frames(&c->shared->relay->metrics, frames, n);
    cursor_take(&c->cursor, n);
    return !outbox_is_blocked(&c->outbox);
}

void conn_write(struct conn *c)
{
    while (conn_is_open(c) && !outbox_is_blocked(&c->outbox) && write_some(c))
        ;
    c->cursor.is_blocked = !conn_is_open(c) || outbox_is_blocked(&c->outbox);
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
    send_answers(c);
    if (!conn_is_open(c))
        return;
    leave_open(c, reason);
    conn_enter(c, PHASE_CLOSING);
    send_close(c, code);
}

/* Closes without waiting for an answer: it was the client that closed, or broke the protocol. */
static void close_at_once(struct conn *c, uint16_t code, enum close_reason reason)
{
    if (conn_is_open(c))
        conn_close(c, code, reason);
    if (c->phase == PHASE_CLOSING)
        conn_linger(c);
}

/* Receiving */

static struct receiver *take_receiver(struct shared *s)
{
    struct receiver *r = s->spare ? s->spare : receiver_new();
    s->spare = NULL;
    return r;
}

/* Lent no longer than a message takes. */
static void return_receiver(struct conn *c)
{
    struct shared *s = c->shared;
    bool is_idle = receiver_is_idle(c->receiver);
    if (!is_idle && (conn_is_open(c) || c->phase == PHASE_CLOSING))
        return;
    if (is_idle && !s->spare)
        s->spare = c->receiver;
    else
        receiver_free(c->receiver);
    c->receiver = NULL;
}

static void answer_ping(struct conn *c, struct span payload)
{
    struct shared *s = c->shared;
    if (sizeof s->control - s->control_len < 2 + payload.len)
        send_answers(c);
    s->control_len += make_control(s->control + s->control_len, OPCODE_PONG, payload);
}

/* Only the echo of its own last ping says that it lives: others are legal and mean nothing. */
static void note_pong(struct conn *c, struct span payload)
{
    if (c->phase == PHASE_PINGED && span_equals(payload, span_of(&c->ping, sizeof c->ping)))
        conn_enter(c, PHASE_QUIET);
}

/* The answer goes by the cursor, so that it never comes before the first status. */
static void answer_flags(struct conn *c, bool wants_metadata)
{
    c->cursor.wants_metadata = wants_metadata;
    if (cursor_push(&c->cursor, frame_ref(c->shared->features)) < 0) {
        conn_abort(c, CLOSE_NO_MEMORY);
        return;
    }
    relay_writable(c->shared->relay, &c->cursor);
}

static void read_text(struct conn *c, struct span text)
{
    bool wants_metadata = false;
    enum flags_verdict verdict = flags_read(text, &wants_metadata);
    c->is_settled = verdict != FLAGS_NOT_YET;
    if (verdict == FLAGS_NOT_YET)
        logger_debug(c->shared->logger, "message of a client is no JSON object", LOG_INT("bytes", text.len));
    send_answers(c); /* to what came before it */
    if (verdict == FLAGS_NEGOTIATED && conn_is_open(c))
        answer_flags(c, wants_metadata);
}

static enum close_reason failure_reason(uint16_t code)
{
    return code == 1009 ? CLOSE_TOO_LARGE : CLOSE_PROTOCOL;
}

/* Ends it, if that is what has come. */
static bool handle_end(struct conn *c, const struct receiver_event *e)
{
    switch (e->kind) {
    case RECEIVER_CLOSE: /* a stock server answers 1000, whatever the client's code is */
        close_at_once(c, CODE_NORMAL, CLOSE_CLIENT);
        return true;
    case RECEIVER_FAILURE:
        close_at_once(c, e->code, failure_reason(e->code));
        return true;
    case RECEIVER_NO_MEMORY:
        conn_abort(c, CLOSE_NO_MEMORY);
        return true;
    default:
        return false;
    }
}

static void handle(struct conn *c, const struct receiver_event *e)
{
    if (handle_end(c, e) || !conn_is_open(c))
        return;
    switch (e->kind) {
    case RECEIVER_PING:
        answer_ping(c, e->payload);
        break;
    case RECEIVER_PONG:
        note_pong(c, e->payload);
        break;
    case RECEIVER_TEXT:
        c->shared->relay->metrics.client_messages++;
        read_text(c, e->payload);
        break;
    default:
        c->shared->relay->metrics.client_messages++;
        break;
    }
}

/* A client that floods and does not read waits until it has read. */
static void pause_if_flooded(struct conn *c)
{
    if (c->phase == PHASE_CLOSED || outbox_waiting(&c->outbox) <= CONTROL_WAITING_MAX)
        return;
    uv_read_stop(&c->client.stream);
    c->is_reading = false;
}

void conn_receive(struct conn *c, struct span bytes)
{
    struct receiver_event e = {.kind = RECEIVER_NOTHING};
    if (!c->receiver)
        c->receiver = take_receiver(c->shared);
    if (!c->receiver) {
        conn_abort(c, CLOSE_NO_MEMORY);
        return;
    }
    receiver_feed(c->receiver, bytes.bytes, bytes.len);
    do {
        e = receiver_next(c->receiver, c->shared->options->limits_client_message_bytes, !c->is_settled);
        if (e.kind != RECEIVER_NOTHING)
            handle(c, &e);
    } while (e.kind != RECEIVER_NOTHING && (conn_is_open(c) || c->phase == PHASE_CLOSING));
    send_answers(c);
    return_receiver(c);
    pause_if_flooded(c);
}

static void receive(struct conn *c, struct span bytes)
{
    if (c->phase == PHASE_HANDSHAKE)
        handshake_receive(c, bytes);
    else if (conn_is_open(c) || c->phase == PHASE_CLOSING)
        conn_receive(c, bytes);
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

/* A frame is written when it is due. What the kernel holds of a slow client cannot be conflated any more: so it takes
 * no more than a few previews ahead of what it can send, instead of megabytes. A refusal costs only that. */
static void tune_tcp(struct conn *c)
{
    int unsent = UNSENT_MAX;
    uv_os_fd_t fd;
    uv_tcp_nodelay(&c->client.tcp, 1);
    if (uv_fileno(&c->client.handle, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
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
    if (error == 0 && !listener_is_unix(l))
        tune_tcp(c);
    if (error == 0)
        error = start_reading(c);
    if (error < 0)
        conn_abort(c, CLOSE_LOST);
}

/* No pong: the end, unless the ping is still to be sent and the client has read since the last look. */
static void miss_pong(struct conn *c)
{
    size_t left = outbox_writing(&c->outbox);
    if (left >= c->before_ping) {
        conn_abort(c, CLOSE_PING_TIMEOUT);
        return;
    }
    c->before_ping = left;
    conn_enter(c, PHASE_PINGED);
}

/* The socket has taken all, a ping too: its time begins. */
static void resume(struct conn *c)
{
    if (c->phase == PHASE_PINGED && c->before_ping > 0) {
        c->before_ping = 0;
        conn_enter(c, PHASE_PINGED);
    }
    relay_writable(c->shared->relay, &c->cursor);
}

void conn_act(struct conn *c)
{
    switch (c->phase) {
    case PHASE_HANDSHAKE:
        handshake_expire(c);
        break;
    case PHASE_QUIET:
        send_ping(c);
        break;
    case PHASE_PINGED:
        miss_pong(c);
        break;
    default:
        conn_abort(c, CLOSE_PING_TIMEOUT);
        break;
    }
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
        resume(c);
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
