#include "adapters/msgpack/payload.h"

#include "adapters/msgpack/codec.h"
#include "adapters/msgpack/out.h"
#include "adapters/msgpack/quote.h"
#include "adapters/msgpack/transcode.h"
#include "adapters/msgpack/unpack.h"

enum { CODE_PREVIEW = 1, CODE_UNENCODED = 2, CODE_TEXT = 3, CODE_PREVIEW_WITH_METADATA = 4 };
enum { IMAGE_JPEG = 1, IMAGE_PNG = 2 };

/* A value as it stands, without nil: as relay/event.h wants it. */
static struct span unless_nil(struct span raw)
{
    return raw.len == 1 && raw.bytes[0] == UNPACK_NIL ? SPAN_NONE : raw;
}

static enum drop_reason at_end(const struct unpack *u)
{
    return u->at == u->end ? DROP_NOTHING : DROP_TRAILING;
}

/* Text */

static bool is_blocked(struct span exception_type)
{
    struct value v = unpack_one(exception_type);
    return span_is(value_text(&v), "ExecutionBlocked");
}

static enum drop_reason transcode_data_map(struct unpack *u, struct out *o, uint32_t count,
                                           struct event *event)
{
    struct member members[] = {{.key = SPAN_LITERAL("prompt_id")},
                               {.key = SPAN_LITERAL("node")},
                               {.key = SPAN_LITERAL("display_node")},
                               {.key = SPAN_LITERAL("exception_type")}};
    enum drop_reason why =
        transcode_map(u, o, count, CODEC_DATA_LEVEL, members, sizeof members / sizeof members[0], NULL);
    event->prompt = unless_nil(members[0].value);
    event->node = unless_nil(members[1].value);
    event->display_node = unless_nil(members[2].value);
    event->is_blocked = members[3].value.len > 0 && is_blocked(members[3].value);
    return why;
}

static enum drop_reason transcode_data(struct unpack *u, struct out *o, struct event *event)
{
    if (event->data.len == 0) {
        o->at = out_literal(o, o->at, "null");
        return DROP_NOTHING;
    }
    struct unpack before = *u;
    struct value v;
    enum drop_reason why = unpack_next(u, &v);
    if (why)
        return why;
    if (v.kind == VALUE_MAP)
        return transcode_data_map(u, o, v.count, event);
    *u = before;
    return transcode_value(u, o, CODEC_DATA_LEVEL);
}

enum drop_reason payload_text(struct event *event, struct frame_builder *builder)
{
    struct unpack u = unpack_of(event->data);
    struct out o;
    out_init(&o, builder);
    uint8_t *at = out_literal(&o, o.at, "{\"type\":");
    at = quote_text(&o, at, event->type, event->type.bytes + event->type.len);
    o.at = out_literal(&o, at, ",\"data\":");
    enum drop_reason why = transcode_data(&u, &o, event);
    o.at = out_byte(&o, o.at, '}');
    out_flush(&o);
    return why ? why : at_end(&u);
}

/* Binary */

static enum drop_reason expect(struct unpack *u, enum value_kind kind, struct value *v)
{
    enum drop_reason why = unpack_next(u, v);
    if (why)
        return why;
    return v->kind == kind ? DROP_NOTHING : DROP_BAD_DATA;
}

static enum drop_reason expect_array(struct unpack *u, uint32_t count)
{
    struct value v;
    enum drop_reason why = expect(u, VALUE_ARRAY, &v);
    if (why)
        return why;
    return v.count == count ? DROP_NOTHING : DROP_BAD_DATA;
}

static void store_u32(uint8_t *at, size_t n)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(n >> (24 - 8 * i));
}

static void put_u32(struct out *o, size_t n)
{
    uint8_t *at = out_room(o, o->at, 4);
    store_u32(at, n);
    o->at = at + 4;
}

static void put_span(struct out *o, struct span s)
{
    o->at = out_span(o, o->at, s);
}

struct image {
    struct span bytes;
    uint32_t type;
};

/* format, image: the first two elements of an array. Notes the event's class. */
static enum drop_reason take_image(struct unpack *u, struct event *event, struct image *image)
{
    struct value format, bytes;
    enum drop_reason why = expect(u, VALUE_STR, &format);
    if (!why)
        why = expect(u, VALUE_BIN, &bytes);
    if (why)
        return why;
    image->bytes = bytes.bytes;
    image->type = span_is(format.bytes, "PNG") ? IMAGE_PNG : IMAGE_JPEG;
    event->picture = span_is(format.bytes, "JPEG") ? PICTURE_JPEG : PICTURE_OTHER;
    return DROP_NOTHING;
}

static void put_preview(struct out *o, const struct image *image)
{
    put_u32(o, CODE_PREVIEW);
    put_u32(o, image->type);
    put_span(o, image->bytes);
}

/* [format, image] */
static enum drop_reason put_code_1(struct unpack *u, struct out *o, struct event *event)
{
    struct image image;
    enum drop_reason why = expect_array(u, 2);
    if (!why)
        why = take_image(u, event, &image);
    if (!why)
        put_preview(o, &image);
    return why;
}

/* [format, image, max_size], on this level */
static enum drop_reason take_sized_image(struct unpack *u, int level, struct event *event,
                                         struct image *image)
{
    enum drop_reason why = expect_array(u, 3);
    if (!why)
        why = take_image(u, event, image);
    return why ? why : unpack_skip(u, level + 1);
}

static enum drop_reason put_code_2(struct unpack *u, struct out *o, struct event *event)
{
    struct image image;
    enum drop_reason why = take_sized_image(u, CODEC_DATA_LEVEL, event, &image);
    if (!why)
        put_preview(o, &image);
    return why;
}

/* [node_id, text] */
static enum drop_reason put_code_3(struct unpack *u, struct out *o, struct event *event)
{
    (void)event;
    struct value node, text;
    enum drop_reason why = expect_array(u, 2);
    if (!why)
        why = expect(u, VALUE_STR, &node);
    if (!why)
        why = unpack_next(u, &text);
    if (why)
        return why;
    if (text.kind != VALUE_STR && text.kind != VALUE_BIN)
        return DROP_BAD_DATA;
    put_u32(o, CODE_TEXT);
    put_u32(o, node.bytes.len);
    put_span(o, node.bytes);
    put_span(o, text.bytes);
    return DROP_NOTHING;
}

/* The metadata as JSON, with image_type. */
static enum drop_reason put_metadata(struct unpack *u, struct out *o, struct event *event,
                                     uint32_t image_type)
{
    const struct inserted type = {SPAN_LITERAL("image_type"),
                                  image_type == IMAGE_PNG ? "\"image/png\"" : "\"image/jpeg\""};
    struct member members[] = {{.key = SPAN_LITERAL("prompt_id")}, {.key = SPAN_LITERAL("node_id")}};
    struct value v;
    enum drop_reason why = unpack_next(u, &v);
    if (why)
        return why;
    if (v.kind != VALUE_MAP && v.kind != VALUE_NIL)
        return DROP_BAD_DATA;
    uint32_t count = v.kind == VALUE_MAP ? v.count : 0;
    why =
        transcode_map(u, o, count, CODEC_DATA_LEVEL + 1, members, sizeof members / sizeof members[0], &type);
    event->prompt = unless_nil(members[0].value);
    event->node = unless_nil(members[1].value);
    return why;
}

/* Writes the length of what was built since, into the four bytes before. */
static void patch_length(struct frame_builder *b, size_t json_at)
{
    uint8_t *now = frame_builder_reserve(b, 0);
    if (!now)
        return;
    size_t len = b->len - json_at;
    store_u32(now - len - 4, len);
}

/* [[format, image, max_size], metadata] */
static enum drop_reason put_code_4(struct unpack *u, struct out *o, struct event *event)
{
    struct image image;
    enum drop_reason why = expect_array(u, 2);
    if (!why)
        why = take_sized_image(u, CODEC_DATA_LEVEL + 1, event, &image);
    if (why)
        return why;
    put_u32(o, CODE_PREVIEW_WITH_METADATA);
    put_u32(o, 0); /* the length, known later */
    why = put_metadata(u, o, event, image.type);
    if (why || !out_is_wanted(o))
        return why;
    out_flush(o);
    patch_length(o->builder, 8);
    frame_builder_mark_picture(o->builder, image.type);
    put_span(o, image.bytes);
    return DROP_NOTHING;
}

/* A payload that the publisher has framed itself: opaque, but what shows a preview in code 1. */
static void put_opaque(struct out *o, struct event *event, struct span bytes)
{
    bool is_jpeg = bytes.len >= 4 && memcmp(bytes.bytes, "\0\0\0\1", 4) == 0;
    if (event->code == CODE_PREVIEW)
        event->picture = is_jpeg ? PICTURE_JPEG : PICTURE_OTHER;
    else if (event->code == CODE_PREVIEW_WITH_METADATA)
        event->picture = PICTURE_OTHER;
    put_u32(o, event->code);
    put_span(o, bytes);
}

/* The codes whose data may be an array, which the relay frames. */
static enum drop_reason put_array(struct unpack *u, struct out *o, struct event *event)
{
    static enum drop_reason (*const by_code[])(struct unpack *, struct out *, struct event *) = {
        [CODE_PREVIEW] = put_code_1,
        [CODE_UNENCODED] = put_code_2,
        [CODE_TEXT] = put_code_3,
        [CODE_PREVIEW_WITH_METADATA] = put_code_4,
    };
    if (event->code >= sizeof by_code / sizeof by_code[0] || !by_code[event->code])
        return DROP_BAD_DATA;
    return by_code[event->code](u, o, event);
}

static enum drop_reason put_data(struct unpack *u, struct out *o, struct event *event)
{
    if (event->data.len == 0)
        return DROP_BAD_DATA; /* nil */
    struct unpack before = *u;
    struct value v;
    enum drop_reason why = unpack_next(u, &v);
    if (why)
        return why;
    if (v.kind == VALUE_BIN && event->code != CODE_UNENCODED) {
        put_opaque(o, event, v.bytes);
        return DROP_NOTHING;
    }
    *u = before;
    return put_array(u, o, event);
}

enum drop_reason payload_binary(struct event *event, struct frame_builder *builder)
{
    struct unpack u = unpack_of(event->data);
    struct out o;
    out_init(&o, builder);
    enum drop_reason why = put_data(&u, &o, event);
    out_flush(&o);
    return why ? why : at_end(&u);
}

/* Text grows by its punctuation, a quarter or so in recorded traffic. The rest is for what is around it, and for the
 * room that a writer asks for before the last element. */
size_t payload_expected_bytes(const struct event *event)
{
    size_t n = event->data.len;
    return event->is_binary ? n + 64 : n + n / 4 + event->type.len + 64;
}
