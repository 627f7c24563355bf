#include "adapters/websocket/outbox.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct backlog {
    uv_write_t write;
    struct outbox *outbox;
    struct frame *frame; /* a reference; what is being written, or NULL */
    uint8_t *bytes;      /* owned; likewise */
    uint8_t *waiting;    /* owned; control frames */
    size_t waiting_len;
};

static void on_written(uv_write_t *write, int status);

static uv_buf_t buf_of(struct span s)
{
    return uv_buf_init((char *)s.bytes, (unsigned)s.len); /* libuv only reads it */
}

static void backlog_free(struct backlog *b)
{
    frame_unref(b->frame);
    free(b->bytes);
    free(b->waiting);
    free(b);
}

static int start(struct backlog *b, struct span rest)
{
    uv_buf_t buf = buf_of(rest);
    return uv_write(&b->write, b->outbox->stream, &buf, 1, on_written);
}

/* Takes the frame and the bytes, one of which is NULL, on every path. `rest` lies within. */
static int block(struct outbox *o, struct frame *take_frame, uint8_t *take_bytes, struct span rest)
{
    struct backlog *b = calloc(1, sizeof *b);
    if (!b) {
        frame_unref(take_frame);
        free(take_bytes);
        return -ENOMEM;
    }
    b->outbox = o;
    b->frame = take_frame;
    b->bytes = take_bytes;
    int error = start(b, rest);
    if (error < 0)
        backlog_free(b);
    else
        o->backlog = b;
    return error;
}

/* How many bytes went; 0 when the socket takes none for now. */
static int try_write(struct outbox *o, const uv_buf_t *bufs, int n)
{
    int written = uv_try_write(o->stream, bufs, (unsigned)n);
    return written == UV_EAGAIN ? 0 : written;
}

int outbox_write(struct outbox *o, struct frame *const *frames, int n)
{
    uv_buf_t bufs[OUTBOX_FRAMES_MAX];
    assert(!o->backlog && n > 0 && n <= OUTBOX_FRAMES_MAX);
    bufs[0] = buf_of(frame_wire(frames[0]));
    for (int i = 1; i < n; i++)
        bufs[i] = buf_of(frame_wire(frames[i]));
    int written = try_write(o, bufs, n);
    if (written < 0)
        return written;
    size_t left = (size_t)written;
    int whole = 0;
    while (whole < n && left >= frames[whole]->len)
        left -= frames[whole++]->len;
    if (whole == n)
        return n;
    struct span wire = frame_wire(frames[whole]);
    int error = block(o, frame_ref(frames[whole]), NULL, span_of(wire.bytes + left, wire.len - left));
    return error < 0 ? error : whole + 1;
}

static int append_waiting(struct backlog *b, const void *bytes, size_t len)
{
    uint8_t *grown = realloc(b->waiting, b->waiting_len + len);
    if (!grown)
        return -ENOMEM;
    memcpy(grown + b->waiting_len, bytes, len);
    b->waiting = grown;
    b->waiting_len += len;
    return 0;
}

int outbox_send(struct outbox *o, const void *bytes, size_t len)
{
    if (o->backlog)
        return append_waiting(o->backlog, bytes, len);
    uv_buf_t buf = buf_of(span_of(bytes, len));
    int written = try_write(o, &buf, 1);
    if (written < 0 || (size_t)written == len)
        return written < 0 ? written : 0;
    size_t left = len - (size_t)written;
    uint8_t *rest = malloc(left);
    if (!rest)
        return -ENOMEM;
    memcpy(rest, (const uint8_t *)bytes + written, left);
    return block(o, NULL, rest, span_of(rest, left));
}

size_t outbox_waiting(const struct outbox *o)
{
    return o->backlog ? o->backlog->waiting_len : 0;
}

size_t outbox_writing(const struct outbox *o)
{
    return uv_stream_get_write_queue_size(o->stream);
}

size_t outbox_bytes(const struct outbox *o)
{
    const struct backlog *b = o->backlog;
    if (!b)
        return 0;
    size_t writing = b->frame ? frame_bytes(b->frame) / b->frame->refs : block_bytes(outbox_writing(o));
    return block_bytes(sizeof *b) + writing + block_bytes(b->waiting_len);
}

/* The control bytes that waited are what is written now. */
static int write_waiting(struct backlog *b)
{
    struct span next = span_of(b->waiting, b->waiting_len);
    frame_unref(b->frame);
    free(b->bytes);
    b->frame = NULL;
    b->bytes = b->waiting;
    b->waiting = NULL;
    b->waiting_len = 0;
    return start(b, next);
}

/* Callback of the loop */

static void on_written(uv_write_t *write, int status)
{
    struct backlog *b = (struct backlog *)write; /* its first member */
    struct outbox *o = b->outbox;
    if (status == 0 && b->waiting_len > 0) {
        status = write_waiting(b);
        if (status == 0)
            return;
    }
    o->backlog = NULL;
    backlog_free(b);
    o->on_drained(o, status);
}
