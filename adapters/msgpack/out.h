/* Where output goes: straight into a frame that is being built, or nowhere.
 *
 *     start ........ at .............. end
 *           written     room, reserved
 *
 * Output that nobody wants, or for which memory has run out, is written into a scratch area over and over: so
 * a writer need not ask. Small pieces only; what may be long asks out_has_room(). */
#ifndef MSGPACK_OUT_H
#define MSGPACK_OUT_H

#include "relay/frame.h"

#define OUT_SMALL 64 /* what out_room() gives in any case */

struct out {
    uint8_t *start;
    uint8_t *at; /* while nobody writes */
    uint8_t *end;
    struct frame_builder *builder; /* NULL: output is discarded */
    uint8_t scratch[4 * OUT_SMALL];
};

/* builder: begun by the caller, who also finishes or aborts it; or NULL. */
void out_init(struct out *o, struct frame_builder *builder);

/* Hands what was written to the builder, which may then be used directly. */
void out_flush(struct out *o);

/* What out_room() does when there is too little. */
uint8_t *out_grow(struct out *o, uint8_t *at, size_t n);

static inline bool out_is_wanted(const struct out *o)
{
    return o->builder != NULL;
}

/* The functions that write take the place to write at and return the place behind, so that it stays in a
 * register from one to the next: at = out_byte(o, at, ':'). The outermost one begins with out->at and leaves
 * the last place there. */

/* Where n more bytes have room: at most OUT_SMALL. */
static inline uint8_t *out_room(struct out *o, uint8_t *at, size_t n)
{
    return (size_t)(o->end - at) < n ? out_grow(o, at, n) : at;
}

/* Makes room at *at for n bytes, however many. False: nobody wants them, and they do not fit the scratch area either. */
static inline bool out_has_room(struct out *o, uint8_t **at, size_t n)
{
    if ((size_t)(o->end - *at) >= n)
        return true;
    *at = out_grow(o, *at, n);
    return out_is_wanted(o);
}

static inline uint8_t *out_byte(struct out *o, uint8_t *at, char c)
{
    at = out_room(o, at, 1);
    *at = (uint8_t)c;
    return at + 1;
}

static inline uint8_t *out_small(struct out *o, uint8_t *at, const char *s, size_t n)
{
    at = out_room(o, at, n);
    memcpy(at, s, n);
    return at + n;
}

/* A string literal, of at most OUT_SMALL bytes. */
#define out_literal(o, at, s) out_small((o), (at), (s), sizeof(s) - 1)

/* Bytes, however many. */
uint8_t *out_span(struct out *o, uint8_t *at, struct span s);

#endif
