#include "adapters/msgpack/unpack.h"

#include "adapters/msgpack/codec.h"

/* How a byte from 0xc0 to 0xdf begins a value: its kind, how many bytes of big-endian argument follow it, and
 * for a fixext, whose length is not among them, that length. */
struct form {
    uint8_t kind; /* enum value_kind, or one of the two below */
    uint8_t width;
    uint8_t fixed;
};

enum { FORM_SIGNED = VALUE_MAP + 1, FORM_INVALID };

static const struct form forms[32] = {
    {VALUE_NIL, 0, 0},   {FORM_INVALID, 0, 0}, {VALUE_BOOL, 0, 0},    {VALUE_BOOL, 0, 0},    /* c0 */
    {VALUE_BIN, 1, 0},   {VALUE_BIN, 2, 0},    {VALUE_BIN, 4, 0},     {VALUE_EXT, 1, 0},     /* c4 */
    {VALUE_EXT, 2, 0},   {VALUE_EXT, 4, 0},    {VALUE_FLOAT32, 4, 0}, {VALUE_FLOAT64, 8, 0}, /* c8 */
    {VALUE_UINT, 1, 0},  {VALUE_UINT, 2, 0},   {VALUE_UINT, 4, 0},    {VALUE_UINT, 8, 0},    /* cc */
    {FORM_SIGNED, 1, 0}, {FORM_SIGNED, 2, 0},  {FORM_SIGNED, 4, 0},   {FORM_SIGNED, 8, 0},   /* d0 */
    {VALUE_EXT, 0, 1},   {VALUE_EXT, 0, 2},    {VALUE_EXT, 0, 4},     {VALUE_EXT, 0, 8},     /* d4 */
    {VALUE_EXT, 0, 16},  {VALUE_STR, 1, 0},    {VALUE_STR, 2, 0},     {VALUE_STR, 4, 0},     /* d8 */
    {VALUE_ARRAY, 2, 0}, {VALUE_ARRAY, 4, 0},  {VALUE_MAP, 2, 0},     {VALUE_MAP, 4, 0},     /* dc */
};

static uint32_t big_endian_4(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One case for each width: compilers make a single load of each. */
static uint64_t big_endian(const uint8_t *p, unsigned width)
{
    switch (width) {
    case 0:
        return 0;
    case 1:
        return p[0];
    case 2:
        return (uint64_t)p[0] << 8 | p[1];
    case 4:
        return big_endian_4(p);
    default:
        return (uint64_t)big_endian_4(p) << 32 | big_endian_4(p + 4);
    }
}

static void set_signed(struct value *v, uint64_t bits, unsigned width)
{
    unsigned unused = 64 - 8 * width;
    v->sint = (int64_t)(bits << unused) >> unused; /* gcc and clang: an arithmetic shift */
    v->kind = v->sint < 0 ? VALUE_INT : VALUE_UINT;
}

static void set_float32(struct value *v, uint32_t bits)
{
    memcpy(&v->float32, &bits, sizeof bits);
}

static enum drop_reason take_bytes(struct unpack *u, struct value *v, uint64_t len)
{
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
    return take_bytes(u, v, len);
}

static enum drop_reason take_count(struct unpack *u, struct value *v, enum value_kind kind, uint64_t count)
{
    v->kind = kind;
    v->count = (uint32_t)count;
    return (kind == VALUE_MAP ? 2 * count : count) > unpack_left(u) ? DROP_TRUNCATED : DROP_NOTHING;
}

/* The value of a form, once its argument has been read. */
static enum drop_reason take_form(struct unpack *u, struct value *v, const struct form *form,
                                  uint64_t argument)
{
    v->kind = form->kind;
    switch (form->kind) {
    case VALUE_UINT:
    case VALUE_FLOAT64: /* the same eight bytes */
        v->uint = argument;
        return DROP_NOTHING;
    case FORM_SIGNED:
        set_signed(v, argument, form->width);
        return DROP_NOTHING;
    case VALUE_FLOAT32:
        set_float32(v, (uint32_t)argument);
        return DROP_NOTHING;
    case VALUE_STR:
    case VALUE_BIN:
        return take_bytes(u, v, argument);
    case VALUE_EXT:
        return take_ext(u, v, argument + form->fixed);
    default:
        return take_count(u, v, form->kind, argument);
    }
}

static enum drop_reason take_long(struct unpack *u, struct value *v, uint8_t first)
{
    const struct form *form = &forms[first - 0xc0];
    if (form->kind == FORM_INVALID)
        return DROP_MALFORMED;
    if (form->kind <= VALUE_BOOL) {
        v->kind = form->kind;
        v->boolean = first & 1;
        return DROP_NOTHING;
    }
    if (form->width > unpack_left(u))
        return DROP_TRUNCATED;
    uint64_t argument = big_endian(u->at, form->width);
    u->at += form->width;
    return take_form(u, v, form, argument);
}

enum drop_reason unpack_next(struct unpack *u, struct value *v)
{
    if (unpack_left(u) == 0)
        return DROP_TRUNCATED;
    uint8_t first = *u->at++;
    if (first <= 0x7f || first >= 0xe0) {
        set_signed(v, first, 1);
        return DROP_NOTHING;
    }
    if (first <= 0x8f)
        return take_count(u, v, VALUE_MAP, first & 0x0f);
    if (first <= 0x9f)
        return take_count(u, v, VALUE_ARRAY, first & 0x0f);
    if (first >= 0xc0)
        return take_long(u, v, first);
    v->kind = VALUE_STR;
    return take_bytes(u, v, first & 0x1f);
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

enum drop_reason unpack_key(struct unpack *u, struct value *key, int level)
{
    const uint8_t *start = u->at;
    enum drop_reason why = unpack_next(u, key);
    if (why || !value_is_container(key))
        return why;
    u->at = start;
    return unpack_skip(u, level + 1);
}

struct member *unpack_find(struct member *members, size_t count, const struct value *key)
{
    if (key->kind != VALUE_STR)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (span_equals(key->bytes, members[i].key))
            return &members[i];
    return NULL;
}

static enum drop_reason next_member(struct unpack *u, int level, struct member *members, size_t count)
{
    struct value key = {.kind = VALUE_NIL}; /* gcc cannot see that a str has bytes */
    enum drop_reason why = unpack_key(u, &key, level);
    if (why)
        return why;
    const uint8_t *start = u->at;
    why = unpack_skip(u, level + 1);
    struct member *m = unpack_find(members, count, &key);
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
