#include "adapters/websocket/ping.h"

#include "adapters/websocket/control.h"

static void write_u64(uint8_t *out, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* Behind all that its cursor has taken so far. */
static void send_ping(struct conn *c)
{
    uint8_t frame[CONTROL_HEADER_BYTES + CONN_PING_BYTES];
    struct span payload = span_of(c->ping, CONN_PING_BYTES);
    cursor_ask(&c->cursor);
    write_u64(c->ping, c->cursor.seq);
    write_u64(c->ping + 8, ++c->shared->pings);
    conn_enter(c, PHASE_PINGED);
    conn_send(c, frame, control_make(frame, CONTROL_PING, payload));
    c->before_ping = outbox_writing(&c->outbox);
}

/* Where the keep-alive is due sooner, it asks. */
void ping_note_written(struct conn *c)
{
    uint64_t soon = uv_now(c->shared->loop) + CONN_WRITTEN_MS;
    if (c->phase == PHASE_QUIET && cursor_is_unacknowledged(&c->cursor) && soon < c->due_ms)
        conn_enter(c, PHASE_WRITTEN);
}

void ping_note_pong(struct conn *c, struct span payload)
{
    if (c->phase != PHASE_PINGED || !span_equals(payload, span_of(c->ping, CONN_PING_BYTES)))
        return;
    conn_enter(c, PHASE_RESTING);
    relay_acknowledge(c->shared->relay, &c->cursor, uv_now(c->shared->loop));
}

void ping_note_taken(struct conn *c)
{
    if (c->phase != PHASE_PINGED || c->before_ping == 0)
        return;
    c->before_ping = 0;
    conn_enter(c, PHASE_PINGED); /* its time begins now */
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

void ping_act(struct conn *c)
{
    if (c->phase == PHASE_PINGED)
        miss_pong(c);
    else if (c->phase == PHASE_RESTING && !cursor_is_unacknowledged(&c->cursor))
        conn_enter(c, PHASE_QUIET);
    else
        send_ping(c);
}
