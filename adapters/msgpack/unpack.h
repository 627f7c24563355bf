/* MessagePack read in place: one header after the other, no tree, no allocation, nothing beyond the end.
 *
 * Source: the MessagePack specification (github.com/msgpack/msgpack, spec.md). It is our own and not
 * msgpack-c's, whose parser makes a tree, allocates by a declared count before it has seen an element, and
 * stops at depth 32. */
#ifndef MSGPACK_UNPACK_H
#define MSGPACK_UNPACK_H

#include "relay/metrics.h"
#include "relay/span.h"

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

/* Reads one value. DROP_NOTHING; DROP_TRUNCATED when the bytes, or as many as a container needs at the least,
 * end before it does; DROP_MALFORMED for the one byte that begins nothing. */
enum drop_reason unpack_next(struct unpack *u, struct value *v) __attribute__((warn_unused_result));

/* The short way for what most of every event is: takes a str of less than 32 bytes from *at, if one is there.
 */
static inline bool unpack_short_str(const uint8_t **at, const uint8_t *end, struct span *str)
{
    size_t left = (size_t)(end - *at);
    if (left == 0 || (**at & 0xe0) != 0xa0)
        return false;
    size_t n = **at & 0x1f;
    if (left <= n)
        return false;
    *str = span_of(*at + 1, n);
    *at += 1 + n;
    return true;
}

/* Steps over one value with all that is in it, checking it. `level` is the value's own, should it be a
 * container (the event's map is level 1): deeper than CODEC_DEPTH_MAX is DROP_TOO_DEEP. */
enum drop_reason unpack_skip(struct unpack *u, int level) __attribute__((warn_unused_result));

/* Reads the key of a member of a map that stands on `level`. A key that is a container is stepped over whole;
 * then its header is the key. */
enum drop_reason unpack_key(struct unpack *u, struct value *key, int level)
    __attribute__((warn_unused_result));

/* A member of a map that a reader wants, by its key, a str. */
struct member {
    struct span key;
    struct span
        value; /* the value as it stands; empty until it was found. Of several the last counts, as in JSON */
};

/* The member that this key names, or NULL. */
struct member *unpack_find(struct member *members, size_t count, const struct value *key);

/* Reads a span that is to hold exactly one map, which stands on `level`. DROP_BAD_DATA: it is none;
 * DROP_TRAILING: something follows; or what unpack_skip() finds. */
enum drop_reason unpack_members(struct span map, int level, struct member *members, size_t count)
    __attribute__((warn_unused_result));

/* The value of a span that holds exactly one, or its header. An empty span, and one that is not well-formed,
 * is nil. */
struct value unpack_one(struct span s);

#endif
