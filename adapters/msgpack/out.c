#include "adapters/msgpack/out.h"

#define MORE 512 /* asked for at the least, so that the builder is not asked for every few bytes */

static void use_scratch(struct out *o)
{
    o->builder = NULL;
    o->start = o->at = o->scratch;
    o->end = o->scratch + sizeof o->scratch;
}

static void use_builder(struct out *o, size_t n)
{
    o->start = o->at = frame_builder_reserve(o->builder, n);
    if (!o->start)
        use_scratch(o);
    else
        o->end = o->start + (o->builder->cap - o->builder->len);
}

void out_init(struct out *o, struct frame_builder *builder)
{
    o->builder = builder;
    if (builder)
        use_builder(o, 0);
    else
        use_scratch(o);
}

void out_flush(struct out *o)
{
    if (o->builder)
        frame_builder_commit(o->builder, (size_t)(o->at - o->start));
    o->start = o->at;
}

uint8_t *out_grow(struct out *o, uint8_t *at, size_t n)
{
    if (!o->builder)
        return o->start = o->scratch;
    o->at = at;
    out_flush(o);
    use_builder(o, n > SIZE_MAX - MORE ? n : n + MORE);
    return o->at;
}

uint8_t *out_span(struct out *o, uint8_t *at, struct span s)
{
    if (s.len == 0 || !out_has_room(o, &at, s.len))
        return at;
    memcpy(at, s.bytes, s.len);
    return at + s.len;
}
