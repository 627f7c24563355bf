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

/* A copy of the control bytes that the socket did not take is written when it takes more. */
static int keep_bytes(struct outbox *o, struct span left)
{
    uint8_t *copy = malloc(left.len);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, left.bytes, left.len);
    return block(o, NULL, copy, span_of(copy, left.len));
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

/* The socket took `written` bytes of the frames, which is not all, and of the tail none. */
static int keep_frames(struct outbox *o, struct frame *const *frames, int n, size_t written, struct span tail)
{
    int whole = 0;
    while (written >= frames[whole]->len)
        written -= frames[whole++]->len;
    struct span wire = frame_wire(frames[whole]);
    int error = block(o, frame_ref(frames[whole]), NULL, span_of(wire.bytes + written, wire.len - written));
    if (error == 0 && whole + 1 == n && tail.len > 0)
        error = append_waiting(o->backlog, tail.bytes, tail.len);
    return error < 0 ? error : whole + 1;
}

int outbox_write(struct outbox *o, struct frame *const *frames, int n, struct span tail)
{
    uv_buf_t bufs[OUTBOX_FRAMES_MAX + 1];
    size_t bytes = 0;
    assert(!o->backlog && n > 0 && n <= OUTBOX_FRAMES_MAX);
    for (int i = 0; i < n; i++) {
        bufs[i] = buf_of(frame_wire(frames[i]));
        bytes += frames[i]->len;
    }
    bufs[n] = buf_of(tail);
    int written = try_write(o, bufs, tail.len > 0 ? n + 1 : n);
    if (written < 0)
        return written;
    if ((size_t)written < bytes)
        return keep_frames(o, frames, n, (size_t)written, tail);
    size_t done = (size_t)written - bytes;
    int error = done < tail.len ? keep_bytes(o, span_of(tail.bytes + done, tail.len - done)) : 0;
    return error < 0 ? error : n;
}

int outbox_send(struct outbox *o, const void *bytes, size_t len)
{
    if (o->backlog)
        return append_waiting(o->backlog, bytes, len);
    uv_buf_t buf = buf_of(span_of(bytes, len));
    int written = try_write(o, &buf, 1);
    if (written < 0 || (size_t)written == len)
        return written < 0 ? written : 0;
    return keep_bytes(o, span_of((const uint8_t *)bytes + written, len - (size_t)written));
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
