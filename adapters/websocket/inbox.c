#include "adapters/websocket/inbox.h"

#include "adapters/websocket/control.h"
#include "adapters/websocket/flags.h"
#include "adapters/websocket/ping.h"

#define CONTROL_WAITING_MAX 4096 /* control bytes that may wait before a client is no longer read */

/* The receiver */

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

/* Answers */

static void send_answers(struct conn *c)
{
    struct shared *s = c->shared;
    size_t len = s->control_len;
    s->control_len = 0;
    if (len > 0 && c->phase != PHASE_CLOSED)
        conn_send(c, s->control, len);
}

static void answer_ping(struct conn *c, struct span payload)
{
    struct shared *s = c->shared;
    if (sizeof s->control - s->control_len < CONTROL_HEADER_BYTES + payload.len)
        send_answers(c);
    s->control_len += control_make(s->control + s->control_len, CONTROL_PONG, payload);
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
    if (c->is_settled && conn_is_open(c))
        relay_settled(c->shared->relay, &c->cursor, uv_now(c->shared->loop));
}

/* The end */

/* Closes without waiting for an answer: it was the client that closed, or broke the protocol. */
static void end(struct conn *c, uint16_t code, enum close_reason reason)
{
    send_answers(c);
    if (conn_is_open(c))
        conn_close(c, code, reason);
    if (c->phase == PHASE_CLOSING)
        conn_linger(c);
}

/* A page that is left says so even when its JavaScript is blocked. The answer to our own close frame says, as a pong
 * does, that all before it has come. A stock server answers 1000, whatever the client's code is. */
static void end_by_client(struct conn *c, uint16_t code)
{
    struct shared *s = c->shared;
    if (code == CLOSE_CODE_GOING_AWAY)
        relay_page_left(s->relay, &c->cursor, uv_now(s->loop));
    else if (c->phase == PHASE_CLOSING && code == c->close_code)
        relay_acknowledge(s->relay, &c->cursor, uv_now(s->loop));
    end(c, CLOSE_CODE_NORMAL, CLOSE_CLIENT);
}

static enum close_reason failure_reason(uint16_t code)
{
    return code == CLOSE_CODE_TOO_LARGE ? CLOSE_TOO_LARGE : CLOSE_PROTOCOL;
}

/* Ends it, if that is what has come. */
static bool handle_end(struct conn *c, const struct receiver_event *e)
{
    switch (e->kind) {
    case RECEIVER_CLOSE:
        end_by_client(c, e->code);
        return true;
    case RECEIVER_FAILURE:
        end(c, e->code, failure_reason(e->code));
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
        ping_note_pong(c, e->payload);
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

void inbox_receive(struct conn *c, struct span bytes)
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
