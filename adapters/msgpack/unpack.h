/* MessagePack read in place: one header after the other, no tree, no allocation, nothing beyond the end.
 *
 * Source: the MessagePack specification (github.com/msgpack/msgpack, spec.md). It is our own and not
 * msgpack-c's, whose parser makes a tree, allocates by a declared count before it has seen an element, and
 * stops at depth 32. */
#ifndef MSGPACK_UNPACK_H
#define MSGPACK_UNPACK_H

#include "relay/metrics.h"
#include "relay/span.h"

/* What these begin with. */
#define UNPACK_NIL    0xc0
#define UNPACK_FIXSTR 0xa0 /* a str of less than 32 bytes: its length is added */
#define UNPACK_STR8   0xd9 /* a str whose length is the next byte */

enum value_kind {
    VALUE_NIL,
    VALUE_BOOL,
    VALUE_UINT, /* any integer that is not negative, however it is written */
    VALUE_INT,  /* a negative integer */
    VALUE_FLOAT32,
    VALUE_FLOAT64,
    VALUE_STR,
    VALUE_BIN,
    VALUE_EXT,
    VALUE_ARRAY, /* the two containers come last */
    VALUE_MAP,
};

/* One value; of an array or a map its header, whose elements follow. */
struct value {
    enum value_kind kind;
    int8_t ext_type;
    union {
        bool boolean;
        uint64_t uint;
        int64_t sint;
        float float32;
        double float64;
        uint32_t count;    /* of elements, of a map: of pairs. At least as many bytes follow (pairs: twice) */
        struct span bytes; /* of a str, bin or ext */
    };
};

struct unpack {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct unpack unpack_of(struct span s)
{
    return (struct unpack){s.bytes, s.len > 0 ? s.bytes + s.len : s.bytes};
}

static inline size_t unpack_left(const struct unpack *u)
{
    return (size_t)(u->end - u->at);
}

static inline bool value_is_container(const struct value *v)
{
    return v->kind >= VALUE_ARRAY;
}

static inline struct span value_text(const struct value *v)
{
    return v->kind == VALUE_STR ? v->bytes : SPAN_NONE;
}

/* Takes a str of less than 32 bytes, which most values are, if one is there. */
static inline bool unpack_short(struct unpack *u, struct value *v)
{
    size_t left = unpack_left(u);
    if (left == 0)
        return false;
    size_t n = (size_t)*u->at - UNPACK_FIXSTR;
    if (n >= 32 || n >= left)
        return false;
    v->kind = VALUE_STR;
    v->bytes = span_of(u->at + 1, n);
    u->at += 1 + n;
    return true;
}

enum drop_reason unpack_any(struct unpack *u, struct value *v) __attribute__((warn_unused_result));

/* Reads one value. DROP_NOTHING; DROP_TRUNCATED when the bytes, or as many as a container needs at the least,
 * end before it does; DROP_MALFORMED for the one byte that begins nothing. unpack_any() does the same. */
static inline enum drop_reason unpack_next(struct unpack *u, struct value *v)
{
    return unpack_short(u, v) ? DROP_NOTHING : unpack_any(u, v);
}

/* Steps over one value with all that is in it, checking it. `level` is the value's own, should it be a
 * container (the event's map is level 1): deeper than CODEC_DEPTH_MAX is DROP_TOO_DEEP. */
enum drop_reason unpack_skip(struct unpack *u, int level) __attribute__((warn_unused_result));

/* Reads one value whole. Of a container, which is stepped over like unpack_skip() does, *v is the header. */
static inline enum drop_reason unpack_whole(struct unpack *u, struct value *v, int level)
{
    const uint8_t *start = u->at;
    enum drop_reason why = unpack_next(u, v);
    if (why || !value_is_container(v))
        return why;
    u->at = start;
    return unpack_skip(u, level);
}

/* A member of a map that a reader wants, by its key, a str. */
struct member {
    struct span key;
    struct span
        value; /* the value as it stands; empty until it was found. Of several the last counts, as in JSON */
};

/* The member that has this key, or NULL. A key that is no str is empty here: no member has that name. */
static inline struct member *unpack_find(struct member *members, size_t count, struct span key)
{
    for (struct member *m = members; m < members + count; m++)
        if (span_equals(m->key, key))
            return m;
    return NULL;
}

/* Reads a span that is to hold exactly one map, which stands on `level`. DROP_BAD_DATA: it is none;
 * DROP_TRAILING: something follows; or what unpack_skip() finds. */
enum drop_reason unpack_members(struct span map, int level, struct member *members, size_t count)
    __attribute__((warn_unused_result));

/* The value of a span that holds exactly one, or its header. An empty span, and one that is not well-formed,
 * is nil. */
struct value unpack_one(struct span s);

#endif
