#include "adapters/msgpack/transcode.h"

#include <math.h>

#include "adapters/msgpack/codec.h"
#include "adapters/msgpack/number.h"
#include "adapters/msgpack/plain.h"
#include "adapters/msgpack/quote.h"
#include "adapters/msgpack/timestamp.h"

/* Values that are no containers, by their kind. `end`: of the message, in which the value stands. */
typedef uint8_t *writer(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end);

static uint8_t *put_null(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end)
{
    (void)v, (void)end;
    return out_literal(o, at, "null");
}

static uint8_t *put_bool(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end)
{
    (void)end;
    return v->boolean ? out_literal(o, at, "true") : out_literal(o, at, "false");
}

static uint8_t *put_unsigned(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end)
{
    (void)end;
    at = out_room(o, at, NUMBER_MAX);
    return at + number_unsigned(at, v->uint);
}

static uint8_t *put_signed(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end)
{
    (void)end;
    at = out_room(o, at, NUMBER_MAX);
    return at + number_signed(at, v->sint);
}

static uint8_t *put_double(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end)
{
    if (!isfinite(v->float64) || !out_is_wanted(o))
        return put_null(o, at, v, end);
    at = out_room(o, at, NUMBER_MAX);
    return at + number_double(at, v->float64);
}

static uint8_t *put_float(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end)
{
    if (!isfinite(v->float32) || !out_is_wanted(o))
        return put_null(o, at, v, end);
    at = out_room(o, at, NUMBER_MAX);
    return at + number_float(at, v->float32);
}

static uint8_t *put_str(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end)
{
    return quote_text(o, at, v->bytes, end);
}

static uint8_t *put_bin(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end)
{
    (void)end;
    return quote_base64(o, at, v->bytes);
}

static uint8_t *put_ext(struct out *o, uint8_t *at, const struct value *v, const uint8_t *end)
{
    char text[TIMESTAMP_MAX];
    size_t n = v->ext_type == TIMESTAMP_EXT_TYPE ? timestamp_write(text, v->bytes) : 0;
    if (n == 0)
        return put_null(o, at, v, end);
    at = out_byte(o, at, '"');
    at = out_small(o, at, text, n);
    return out_byte(o, at, '"');
}

static writer *const writers[] = {
    [VALUE_NIL] = put_null,   [VALUE_BOOL] = put_bool,     [VALUE_UINT] = put_unsigned,
    [VALUE_INT] = put_signed, [VALUE_FLOAT32] = put_float, [VALUE_FLOAT64] = put_double,
    [VALUE_STR] = put_str,    [VALUE_BIN] = put_bin,       [VALUE_EXT] = put_ext,
};

/* A key in quotes: bool, nil and numbers as their JSON text, bin as base64, what remains as null. */
static uint8_t *put_key_value(struct out *o, uint8_t *at, const struct value *key, const uint8_t *end)
{
    if (key->kind == VALUE_STR || key->kind == VALUE_BIN)
        return writers[key->kind](o, at, key, end);
    at = out_byte(o, at, '"');
    bool is_null = key->kind == VALUE_EXT || value_is_container(key);
    at = writers[is_null ? VALUE_NIL : key->kind](o, at, key, end);
    return out_byte(o, at, '"');
}

/* Where reading and writing are. The loops hold them in registers while short strings, which most of every
 * event is, go by; what is rarer works on the members of *u and *o. */
struct places {
    const uint8_t *in;
    uint8_t *out;
};

/* For a key and a value that are short strings, each with its quotes and what is before it. */
#define ELEMENT_ROOM (2 * (1 + 2 + PLAIN_STEP))

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

/* A str of at most PLAIN_STEP bytes, all of them plain, for which there is room. False: it is something else, and
 * nothing has been taken. */
static inline bool put_short(struct places *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p->in);
    if (left == 0)
        return false;
    size_t n = (size_t)*p->in - UNPACK_FIXSTR;
    if (n > PLAIN_STEP)
        return false;
    size_t plain = left > PLAIN_STEP ? plain_copy(p->out + 1, p->in + 1)
                                     : plain_copy_last(p->out + 1, p->in + 1, left - 1);
    if (plain < n)
        return false;
    p->out[0] = p->out[n + 1] = '"'; /* of the copy, what is behind the text is overwritten */
    p->out += n + 2;
    p->in += n + 1;
    return true;
}

static enum drop_reason put_any_key(struct unpack *u, struct out *o, int level, struct span *name)
{
    struct value key;
    enum drop_reason why = unpack_whole(u, &key, level);
    if (why)
        return why;
    o->at = put_key_value(o, o->at, &key, u->end);
    if (name)
        *name = value_text(&key);
    return DROP_NOTHING;
}

/* A key and a colon. `level` is the key's own, should it be a container. `name`, which may be NULL: its text, if it is
 * a str. */
static inline enum drop_reason put_key(struct unpack *u, struct out *o, struct places *p, int level,
                                       struct span *name)
{
    const uint8_t *start = p->in;
    if (put_short(p, u->end)) {
        if (name)
            *name = span_of(start + 1, (size_t)(p->in - start - 1));
    } else {
        places_leave(p, u, o);
        enum drop_reason why = put_any_key(u, o, level, name);
        if (why)
            return why;
        places_enter(p, u, o);
        p->out = out_room(o, p->out, ELEMENT_ROOM);
    }
    *p->out++ = ':';
    return DROP_NOTHING;
}

/* A str whose length is the next byte, such as the ids of prompts. False: it is something else. */
static inline bool put_str8(struct unpack *u, struct out *o, struct places *p)
{
    size_t left = (size_t)(u->end - p->in);
    if (left < 2 || p->in[0] != UNPACK_STR8 || p->in[1] > left - 2)
        return false;
    struct span s = span_of(p->in + 2, p->in[1]);
    p->in += 2 + s.len;
    p->out = quote_text(o, p->out, s, u->end);
    return true;
}

/* What put_short() does not take; of a container nothing, its header is left in *v. */
static inline enum drop_reason put_long(struct unpack *u, struct out *o, struct places *p, struct value *v)
{
    v->kind = VALUE_STR;
    if (put_str8(u, o, p))
        return DROP_NOTHING;
    u->at = p->in;
    enum drop_reason why = unpack_any(u, v);
    p->in = u->at;
    if (!why && !value_is_container(v))
        p->out = writers[v->kind](o, p->out, v, u->end);
    return why;
}

/* A container that is open. */
struct level {
    uint32_t left; /* elements (of a map: pairs) that have not begun */
    bool is_map;
    uint8_t before; /* what is written before the next one: the bracket that opens, later a comma */
};

static inline struct level level_of(const struct value *header)
{
    bool is_map = header->kind == VALUE_MAP;
    return (struct level){header->count, is_map, is_map ? '{' : '['};
}

/* The bracket that closes, and before it, if there was no element, the one that opens. */
static inline uint8_t *put_closing(struct out *o, uint8_t *at, const struct level *level)
{
    at = out_room(o, at, 2);
    if (level->before != ',')
        *at++ = level->before;
    *at++ = level->is_map ? '}' : ']';
    return at;
}

/* What is between the elements. There is room for one then. */
static inline uint8_t *put_separator(struct out *o, uint8_t *at, struct level *level)
{
    at = out_room(o, at, ELEMENT_ROOM);
    *at = level->before;
    level->before = ',';
    level->left--;
    return at + 1;
}

/* A container, behind its header, which stands on `level`. */
static enum drop_reason put_container(struct unpack *u, struct out *o, const struct value *header, int level)
{
    struct level stack[CODEC_DEPTH_MAX], *top = stack;
    struct places p;
    if (level > CODEC_DEPTH_MAX)
        return DROP_TOO_DEEP;
    *top = level_of(header);
    places_enter(&p, u, o);
    for (;;) {
        while (top->left == 0) {
            p.out = put_closing(o, p.out, top);
            if (top == stack) {
                places_leave(&p, u, o);
                return DROP_NOTHING;
            }
            top--;
        }
        p.out = put_separator(o, p.out, top);
        enum drop_reason why = DROP_NOTHING;
        if (top->is_map)
            why = put_key(u, o, &p, level + (int)(top - stack) + 1, NULL);
        if (why)
            return why;
        if (put_short(&p, u->end))
            continue;
        struct value v;
        why = put_long(u, o, &p, &v);
        if (why)
            return why;
        if (!value_is_container(&v))
            continue;
        if (top == stack + CODEC_DEPTH_MAX - level)
            return DROP_TOO_DEEP;
        *++top = level_of(&v);
    }
}

/* A value with all that is in it. */
static inline enum drop_reason put_whole(struct unpack *u, struct out *o, struct places *p, int level)
{
    struct value v;
    if (put_short(p, u->end))
        return DROP_NOTHING;
    enum drop_reason why = put_long(u, o, p, &v);
    if (why || !value_is_container(&v))
        return why;
    places_leave(p, u, o);
    why = put_container(u, o, &v, level);
    places_enter(p, u, o);
    return why;
}

enum drop_reason transcode_value(struct unpack *u, struct out *o, int level)
{
    struct places p;
    places_enter(&p, u, o);
    p.out = out_room(o, p.out, ELEMENT_ROOM);
    enum drop_reason why = put_whole(u, o, &p, level);
    places_leave(&p, u, o);
    return why;
}

/* The inserted value in the place of the map's own, which is stepped over. */
static enum drop_reason put_inserted(struct unpack *u, struct out *o, struct places *p, int level,
                                     const struct inserted *insert)
{
    places_leave(p, u, o);
    o->at = out_span(o, o->at, span_str(insert->json));
    enum drop_reason why = unpack_skip(u, level);
    places_enter(p, u, o);
    return why;
}

static void append_inserted(struct out *o, struct level *map, const struct inserted *insert)
{
    uint8_t *at = put_separator(o, o->at, map);
    at = quote_text(o, at, insert->key, insert->key.bytes + insert->key.len);
    at = out_byte(o, at, ':');
    o->at = out_span(o, at, span_str(insert->json));
}

enum drop_reason transcode_map(struct unpack *u, struct out *o, uint32_t count, int level,
                               struct member *members, size_t member_count, const struct inserted *insert)
{
    struct level map = level_of(&(struct value){.kind = VALUE_MAP, .count = count});
    bool is_inserted = !insert;
    struct places p;
    places_enter(&p, u, o);
    while (map.left > 0) {
        struct span name;
        p.out = put_separator(o, p.out, &map);
        enum drop_reason why = put_key(u, o, &p, level + 1, &name);
        if (why)
            return why;
        struct member *m = unpack_find(members, member_count, name);
        const uint8_t *start = p.in;
        bool is_it = insert && span_equals(name, insert->key);
        why = is_it ? put_inserted(u, o, &p, level + 1, insert) : put_whole(u, o, &p, level + 1);
        if (why)
            return why;
        is_inserted |= is_it;
        if (m)
            m->value = span_of(start, (size_t)(p.in - start));
    }
    places_leave(&p, u, o);
    if (!is_inserted)
        append_inserted(o, &map, insert);
    o->at = put_closing(o, o->at, &map);
    return DROP_NOTHING;
}
