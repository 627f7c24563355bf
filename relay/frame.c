#include "relay/frame.h"

#include <assert.h>
#include <stdlib.h>

#define MIN_CAP    64
#define SLACK_KEPT 256 /* a frame with more unused room than this is shrunk when it is finished */

struct frame *frame_ref(struct frame *f)
{
    f->refs++;
    return f;
}

void frame_unref(struct frame *f)
{
    if (f && --f->refs == 0)
        free(f);
}

static struct frame *resize(struct frame *f, size_t cap)
{
    if (cap > SIZE_MAX - sizeof(struct frame) - FRAME_HEADER_MAX)
        return NULL;
    return realloc(f, sizeof(struct frame) + FRAME_HEADER_MAX + cap);
}

void frame_builder_init(struct frame_builder *b, size_t expected_bytes)
{
    b->len = 0;
    b->cap = expected_bytes < MIN_CAP ? MIN_CAP : expected_bytes;
    b->frame = resize(NULL, b->cap);
    if (b->frame)
        *b->frame = (struct frame){.refs = 1};
}

void frame_builder_abort(struct frame_builder *b)
{
    free(b->frame);
    b->frame = NULL;
}

static void grow(struct frame_builder *b, size_t need)
{
    size_t cap = b->cap + b->cap / 2 > need ? b->cap + b->cap / 2 : need;
    struct frame *f = resize(b->frame, cap);
    if (!f) {
        frame_builder_abort(b);
        return;
    }
    b->frame = f;
    b->cap = cap;
}

uint8_t *frame_builder_reserve(struct frame_builder *b, size_t n)
{
    if (!b->frame)
        return NULL;
    if (n > b->cap - b->len) {
        if (n > SIZE_MAX - b->len)
            frame_builder_abort(b);
        else
            grow(b, b->len + n);
        if (!b->frame)
            return NULL;
    }
    return b->frame->buf + FRAME_HEADER_MAX + b->len;
}

void frame_builder_add(struct frame_builder *b, const void *bytes, size_t n)
{
    uint8_t *to = frame_builder_reserve(b, n);
    if (!to || n == 0)
        return;
    memcpy(to, bytes, n);
    frame_builder_commit(b, n);
}

void frame_builder_add_str(struct frame_builder *b, const char *s)
{
    frame_builder_add(b, s, strlen(s));
}

void frame_builder_add_u32(struct frame_builder *b, uint32_t v)
{
    uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    frame_builder_add(b, bytes, sizeof bytes);
}

void frame_builder_mark_picture(struct frame_builder *b, uint32_t picture_type)
{
    if (!b->frame)
        return;
    b->frame->picture_at = b->len;
    b->frame->picture_type = picture_type;
}

/* RFC 6455, section 5.2: FIN and opcode, then the length in 7, 7+16 or 7+64 bits; a server does not mask.
 * Written so that it ends where the payload begins. Returns its length. */
static size_t write_header(uint8_t *payload, enum frame_kind kind, size_t len)
{
    size_t extra = len < 126 ? 0 : len <= 0xffff ? 2 : 8;
    uint8_t *header = payload - 2 - extra;
    header[0] = (uint8_t)(0x80 | kind);
    header[1] = extra == 0 ? (uint8_t)len : extra == 2 ? 126 : 127;
    for (size_t i = 0; i < extra; i++)
        header[2 + i] = (uint8_t)((uint64_t)len >> 8 * (extra - 1 - i));
    return 2 + extra;
}

struct frame *frame_builder_finish(struct frame_builder *b, enum frame_kind kind)
{
    struct frame *f = b->frame;
    if (!f)
        return NULL;
    if (b->cap - b->len > SLACK_KEPT) {
        struct frame *smaller = resize(f, b->len);
        f = smaller ? smaller : f;
        b->cap = smaller ? b->len : b->cap;
    }
    size_t header = write_header(f->buf + FRAME_HEADER_MAX, kind, b->len);
    f->start = (uint32_t)(FRAME_HEADER_MAX - header);
    f->unused = (uint32_t)(b->cap - b->len);
    f->len = header + b->len;
    b->frame = NULL;
    return f;
}

struct frame *frame_without_metadata(const struct frame *f)
{
    assert(f->picture_at > 0);
    struct span payload = frame_payload(f);
    struct frame_builder b;
    frame_builder_init(&b, 8 + payload.len - f->picture_at);
    frame_builder_add_u32(&b, 1);
    frame_builder_add_u32(&b, f->picture_type);
    frame_builder_add(&b, payload.bytes + f->picture_at, payload.len - f->picture_at);
    return frame_builder_finish(&b, FRAME_BINARY);
}
