#include "adapters/msgpack/transcode.h"

#include <math.h>

#include "adapters/msgpack/codec.h"
#include "adapters/msgpack/number.h"
#include "adapters/msgpack/quote.h"
#include "adapters/msgpack/timestamp.h"

/* A container that is open: how many more elements (of a map: pairs) it has. */
struct level {
    uint32_t left;
    bool is_map;
};

static uint8_t *put_double(struct out *o, uint8_t *at, double v)
{
    if (!isfinite(v) || !out_is_wanted(o))
        return out_literal(o, at, "null");
    at = out_room(o, at, NUMBER_MAX);
    return at + number_double(at, v);
}

static uint8_t *put_float(struct out *o, uint8_t *at, float v)
{
    if (!isfinite(v) || !out_is_wanted(o))
        return out_literal(o, at, "null");
    at = out_room(o, at, NUMBER_MAX);
    return at + number_float(at, v);
}

static uint8_t *put_unsigned(struct out *o, uint8_t *at, uint64_t n)
{
    at = out_room(o, at, NUMBER_MAX);
    return at + number_unsigned(at, n);
}

static uint8_t *put_signed(struct out *o, uint8_t *at, int64_t n)
{
    at = out_room(o, at, NUMBER_MAX);
    return at + number_signed(at, n);
}

static uint8_t *put_ext(struct out *o, uint8_t *at, const struct value *v)
{
    char text[TIMESTAMP_MAX];
    size_t n = v->ext_type == TIMESTAMP_EXT_TYPE ? timestamp_write(text, v->bytes) : 0;
    if (n == 0)
        return out_literal(o, at, "null");
    at = out_byte(o, at, '"');
    at = out_small(o, at, text, n);
    return out_byte(o, at, '"');
}

static uint8_t *put_scalar(const struct unpack *u, struct out *o, uint8_t *at, const struct value *v)
{
    switch (v->kind) {
    case VALUE_STR:
        return quote_text(o, at, v->bytes, u->end);
    case VALUE_UINT:
        return put_unsigned(o, at, v->uint);
    case VALUE_INT:
        return put_signed(o, at, v->sint);
    case VALUE_FLOAT64:
        return put_double(o, at, v->float64);
    case VALUE_FLOAT32:
        return put_float(o, at, v->float32);
    case VALUE_BOOL:
        return v->boolean ? out_literal(o, at, "true") : out_literal(o, at, "false");
    case VALUE_BIN:
        return quote_base64(o, at, v->bytes);
    case VALUE_EXT:
        return put_ext(o, at, v);
    default:
        return out_literal(o, at, "null");
    }
}

/* A key in quotes: bool, nil and numbers as their JSON text, bin as base64, what remains as null. */
static uint8_t *put_key_value(const struct unpack *u, struct out *o, uint8_t *at, const struct value *key)
{
    if (key->kind == VALUE_STR || key->kind == VALUE_BIN)
        return put_scalar(u, o, at, key);
    at = out_byte(o, at, '"');
    bool is_null = key->kind == VALUE_EXT || value_is_container(key);
    at = is_null ? out_literal(o, at, "null") : put_scalar(u, o, at, key);
    return out_byte(o, at, '"');
}

/* Where reading and writing are. The loop holds them in registers while short strings, which most of every
 * event is, go by; what is rarer works on the members of *u and *o. */
struct places {
    const uint8_t *in;
    uint8_t *out;
};

static inline void places_leave(const struct places *p, struct unpack *u, struct out *o)
{
    u->at = p->in;
    o->at = p->out;
}

static inline void places_enter(struct places *p, const struct unpack *u, const struct out *o)
{
    p->in = u->at;
    p->out = o->at;
}

static enum drop_reason put_any_key(struct unpack *u, struct out *o, int level)
{
    struct value key;
    enum drop_reason why = unpack_key(u, &key, level);
    if (!why)
        o->at = put_key_value(u, o, o->at, &key);
    return why;
}

static enum drop_reason put_any_value(struct unpack *u, struct out *o, struct value *v)
{
    enum drop_reason why = unpack_next(u, v);
    if (!why && !value_is_container(v))
        o->at = put_scalar(u, o, o->at, v);
    return why;
}

/* The key of a member of a map on this level, and a colon. */
static inline enum drop_reason put_key(struct unpack *u, struct out *o, struct places *p, int level)
{
    struct span str;
    if (unpack_short_str(&p->in, u->end, &str)) {
        p->out = quote_text(o, p->out, str, u->end);
    } else {
        places_leave(p, u, o);
        enum drop_reason why = put_any_key(u, o, level);
        if (why)
            return why;
        places_enter(p, u, o);
    }
    p->out = out_byte(o, p->out, ':');
    return DROP_NOTHING;
}

/* A value; of a container nothing, its header is left in *v. */
static inline enum drop_reason put_value(struct unpack *u, struct out *o, struct places *p, struct value *v)
{
    struct span str;
    if (unpack_short_str(&p->in, u->end, &str)) {
        v->kind = VALUE_STR;
        p->out = quote_text(o, p->out, str, u->end);
        return DROP_NOTHING;
    }
    places_leave(p, u, o);
    enum drop_reason why = put_any_value(u, o, v);
    places_enter(p, u, o);
    return why;
}

enum drop_reason transcode_value(struct unpack *u, struct out *o, int level)
{
    struct level stack[CODEC_DEPTH_MAX];
    int depth = 0;
    struct places p;
    places_enter(&p, u, o);
    for (;;) {
        struct value v;
        enum drop_reason why = put_value(u, o, &p, &v);
        if (why)
            return why;
        bool is_first = value_is_container(&v);
        if (is_first) {
            if (level + depth > CODEC_DEPTH_MAX)
                return DROP_TOO_DEEP;
            stack[depth++] = (struct level){v.count, v.kind == VALUE_MAP};
            p.out = out_byte(o, p.out, v.kind == VALUE_MAP ? '{' : '[');
        }
        while (depth > 0 && stack[depth - 1].left == 0) {
            p.out = out_byte(o, p.out, stack[--depth].is_map ? '}' : ']');
            is_first = false;
        }
        if (depth == 0)
            break;
        if (!is_first)
            p.out = out_byte(o, p.out, ',');
        stack[depth - 1].left--;
        if (!stack[depth - 1].is_map)
            continue;
        why = put_key(u, o, &p, level + depth - 1);
        if (why)
            return why;
    }
    places_leave(&p, u, o);
    return DROP_NOTHING;
}

static enum drop_reason put_map_key(struct unpack *u, struct out *o, int level, struct value *key,
                                    bool is_first)
{
    enum drop_reason why = unpack_key(u, key, level);
    if (why)
        return why;
    uint8_t *at = is_first ? o->at : out_byte(o, o->at, ',');
    at = put_key_value(u, o, at, key);
    o->at = out_byte(o, at, ':');
    return DROP_NOTHING;
}

/* The inserted value in the place of the map's own, which is stepped over. */
static enum drop_reason put_inserted(struct unpack *u, struct out *o, int level,
                                     const struct inserted *insert)
{
    o->at = out_span(o, o->at, span_str(insert->json));
    return unpack_skip(u, level);
}

static void append_inserted(struct out *o, const struct inserted *insert, bool is_first)
{
    uint8_t *at = is_first ? o->at : out_byte(o, o->at, ',');
    at = quote_text(o, at, insert->key, insert->key.bytes + insert->key.len);
    at = out_byte(o, at, ':');
    o->at = out_span(o, at, span_str(insert->json));
}

enum drop_reason transcode_map(struct unpack *u, struct out *o, uint32_t count, int level,
                               struct member *members, size_t member_count, const struct inserted *insert)
{
    bool is_inserted = !insert;
    o->at = out_byte(o, o->at, '{');
    for (uint32_t i = 0; i < count; i++) {
        struct value key;
        enum drop_reason why = put_map_key(u, o, level, &key, i == 0);
        if (why)
            return why;
        struct member *m = unpack_find(members, member_count, &key);
        const uint8_t *start = u->at;
        bool is_it = insert && key.kind == VALUE_STR && span_equals(key.bytes, insert->key);
        why = is_it ? put_inserted(u, o, level + 1, insert) : transcode_value(u, o, level + 1);
        if (why)
            return why;
        is_inserted |= is_it;
        if (m)
            m->value = span_of(start, (size_t)(u->at - start));
    }
    if (!is_inserted)
        append_inserted(o, insert, count == 0);
    o->at = out_byte(o, o->at, '}');
    return DROP_NOTHING;
}
