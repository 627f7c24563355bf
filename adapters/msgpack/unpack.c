#include "adapters/msgpack/unpack.h"

#include <endian.h>

#include "adapters/msgpack/codec.h"

/* A big-endian number of so many bytes, at most eight: by one load, where there are as many to read. */
static inline bool take_number(struct unpack *u, unsigned width, uint64_t *n)
{
    size_t left = unpack_left(u);
    *n = 0;
    if (left >= sizeof *n) {
        memcpy(n, u->at, sizeof *n);
        *n = be64toh(*n) >> (32 - 4 * width) >> (32 - 4 * width); /* in two steps, for it may be by 64 */
    } else {
        if (left < width)
            return false;
        for (unsigned i = 0; i < width; i++)
            *n = *n << 8 | u->at[i];
    }
    u->at += width;
    return true;
}

static enum drop_reason take_bytes(struct unpack *u, struct value *v, enum value_kind kind, uint64_t len)
{
    v->kind = kind;
    if (len > unpack_left(u))
        return DROP_TRUNCATED;
    v->bytes = span_of(u->at, (size_t)len);
    u->at += len;
    return DROP_NOTHING;
}

static enum drop_reason take_ext(struct unpack *u, struct value *v, uint64_t len)
{
    if (unpack_left(u) == 0)
        return DROP_TRUNCATED;
    v->ext_type = (int8_t)*u->at++;
    return take_bytes(u, v, VALUE_EXT, len);
}

static enum drop_reason take_count(struct unpack *u, struct value *v, enum value_kind kind, uint64_t count)
{
    v->kind = kind;
    v->count = (uint32_t)count;
    return (kind == VALUE_MAP ? 2 * count : count) > unpack_left(u) ? DROP_TRUNCATED : DROP_NOTHING;
}

static void set_signed(struct value *v, uint64_t bits, unsigned width)
{
    unsigned unused = 64 - 8 * width;
    v->sint = (int64_t)(bits << unused) >> unused; /* gcc and clang: an arithmetic shift */
    v->kind = v->sint < 0 ? VALUE_INT : VALUE_UINT;
}

static void set_float32(struct value *v, uint32_t bits)
{
    v->kind = VALUE_FLOAT32;
    memcpy(&v->float32, &bits, sizeof bits);
}

/* How many bytes follow a first byte from 0xc0, of a length or a number. */
static const uint8_t widths[32] = {0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8,
                                   1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};

/* From 0xca to 0xd3. */
static enum drop_reason take_numeric(struct value *v, uint8_t first, uint64_t n)
{
    if (first >= 0xd0) {
        set_signed(v, n, widths[first - 0xc0]);
    } else if (first == 0xca) {
        set_float32(v, (uint32_t)n);
    } else {
        v->kind = first == 0xcb ? VALUE_FLOAT64 : VALUE_UINT;
        v->uint = n; /* of a float the same eight bytes */
    }
    return DROP_NOTHING;
}

/* The value that a byte from 0xc0 begins: from where on it is what, from the end. */
static enum drop_reason take_long(struct unpack *u, struct value *v, uint8_t first)
{
    uint64_t n;
    if (!take_number(u, widths[first - 0xc0], &n))
        return DROP_TRUNCATED;
    if (first >= 0xdc)
        return take_count(u, v, first >= 0xde ? VALUE_MAP : VALUE_ARRAY, n);
    if (first >= 0xd9)
        return take_bytes(u, v, VALUE_STR, n);
    if (first >= 0xd4)
        return take_ext(u, v, 1U << (first - 0xd4));
    if (first >= 0xca)
        return take_numeric(v, first, n);
    if (first >= 0xc7)
        return take_ext(u, v, n);
    if (first >= 0xc4)
        return take_bytes(u, v, VALUE_BIN, n);
    v->kind = first == 0xc0 ? VALUE_NIL : VALUE_BOOL;
    v->boolean = first == 0xc3;
    return first == 0xc1 ? DROP_MALFORMED : DROP_NOTHING;
}

enum drop_reason unpack_any(struct unpack *u, struct value *v)
{
    if (unpack_left(u) == 0)
        return DROP_TRUNCATED;
    uint8_t first = *u->at++;
    if (first <= 0x7f || first >= 0xe0) {
        set_signed(v, first, 1);
        return DROP_NOTHING;
    }
    if (first >= 0xc0)
        return take_long(u, v, first);
    if (first >= 0xa0)
        return take_bytes(u, v, VALUE_STR, first & 0x1f);
    return take_count(u, v, first >= 0x90 ? VALUE_ARRAY : VALUE_MAP, first & 0x0f);
}

enum drop_reason unpack_skip(struct unpack *u, int level)
{
    uint64_t left[CODEC_DEPTH_MAX + 1]; /* of each container that is open; the first holds the value itself */
    int depth = 0;
    left[0] = 1;
    do {
        struct value v;
        enum drop_reason why = unpack_next(u, &v);
        if (why)
            return why;
        left[depth]--;
        if (value_is_container(&v)) {
            if (level + depth > CODEC_DEPTH_MAX)
                return DROP_TOO_DEEP;
            left[++depth] = (uint64_t)v.count * (v.kind == VALUE_MAP ? 2 : 1);
        }
        while (depth > 0 && left[depth] == 0)
            depth--;
    } while (left[depth] > 0);
    return DROP_NOTHING;
}

static enum drop_reason next_member(struct unpack *u, int level, struct member *members, size_t count)
{
    struct value key = {.kind = VALUE_NIL}; /* gcc cannot see that a str has bytes */
    enum drop_reason why = unpack_whole(u, &key, level + 1);
    if (why)
        return why;
    const uint8_t *start = u->at;
    why = unpack_skip(u, level + 1);
    struct member *m = unpack_find(members, count, value_text(&key));
    if (m)
        m->value = span_of(start, (size_t)(u->at - start));
    return why;
}

enum drop_reason unpack_members(struct span map, int level, struct member *members, size_t count)
{
    struct unpack u = unpack_of(map);
    struct value v;
    enum drop_reason why = unpack_next(&u, &v);
    if (why)
        return why;
    if (v.kind != VALUE_MAP)
        return DROP_BAD_DATA;
    for (uint32_t i = 0; i < v.count; i++) {
        why = next_member(&u, level, members, count);
        if (why)
            return why;
    }
    return u.at == u.end ? DROP_NOTHING : DROP_TRAILING;
}

struct value unpack_one(struct span s)
{
    struct unpack u = unpack_of(s);
    struct value v;
    bool is_one = unpack_next(&u, &v) == DROP_NOTHING && (value_is_container(&v) || u.at == u.end);
    return is_one ? v : (struct value){.kind = VALUE_NIL};
}
