/* A frame: the bytes of one WebSocket message as they go over the wire, header and all (RFC 6455,
 * section 5.2). It is made once, never changes, and is shared by reference between logs and sockets.
 *
 *     struct frame | ....... | header 2, 4 or 10 bytes | payload
 *                            ^ start                             ^ start + len
 *
 * The header is written last, right before the payload, into room that the builder has kept. */
#ifndef RELAY_FRAME_H
#define RELAY_FRAME_H

#include <stddef.h>

#include "relay/block.h"
#include "relay/span.h"

#define FRAME_HEADER_MAX 10

enum frame_kind { FRAME_TEXT = 1, FRAME_BINARY = 2 }; /* the opcodes of RFC 6455, section 11.8 */

struct frame {
    uint32_t refs;
    uint32_t picture_type; /* with picture_at: the u32 image type of the frame's form without metadata */
    size_t picture_at; /* where in the payload a preview's picture begins; 0: the frame has one form only */
    uint32_t start;    /* where in buf the wire bytes begin */
    uint32_t unused;   /* bytes of buf after them */
    size_t len;        /* how many they are */
    uint8_t buf[];
};

/* The wire bytes: valid as long as the caller holds a reference. */
static inline struct span frame_wire(const struct frame *f)
{
    return span_of(f->buf + f->start, f->len);
}

/* How much memory it takes. */
static inline size_t frame_bytes(const struct frame *f)
{
    return block_bytes(offsetof(struct frame, buf) + f->start + f->len + f->unused);
}

/* The payload alone, without the WebSocket header. */
static inline struct span frame_payload(const struct frame *f)
{
    return span_of(f->buf + FRAME_HEADER_MAX, f->start + f->len - FRAME_HEADER_MAX);
}

struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame *f); /* NULL is fine; the last reference frees */

/* A preview for a client without `supports_preview_metadata`: code 1, the image type, the picture.
 * f must have picture_at. A new frame, which the caller owns, or NULL when there is no memory. */
struct frame *frame_without_metadata(const struct frame *f);

/* Writes a payload whose length is not known yet. A failed allocation is remembered: the calls that follow do
 * nothing, and frame_builder_finish() answers NULL. So only the end needs a check. */
struct frame_builder {
    struct frame *frame; /* owned until finish or abort; NULL after a failed allocation */
    size_t len;          /* bytes of payload so far */
    size_t cap;
};

void frame_builder_init(struct frame_builder *b, size_t expected_bytes);
void frame_builder_abort(struct frame_builder *b);

/* Makes room for n more bytes and returns where they go, or NULL when there is no memory. They count only
 * after frame_builder_commit(). */
uint8_t *frame_builder_reserve(struct frame_builder *b, size_t n);
static inline void frame_builder_commit(struct frame_builder *b, size_t n)
{
    b->len += n;
}

void frame_builder_add(struct frame_builder *b, const void *bytes, size_t n);
void frame_builder_add_str(struct frame_builder *b, const char *s);
void frame_builder_add_u32(struct frame_builder *b, uint32_t v); /* big-endian */

/* Says that the picture of a preview with metadata begins here, and its image type. */
void frame_builder_mark_picture(struct frame_builder *b, uint32_t picture_type);

/* Writes the header. Returns a frame with one reference, the caller's, or NULL when memory ran out. */
struct frame *frame_builder_finish(struct frame_builder *b, enum frame_kind kind);

#endif
