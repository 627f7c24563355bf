#include "adapters/msgpack/status.h"

#include "adapters/msgpack/codec.h"
#include "adapters/msgpack/number.h"
#include "adapters/msgpack/out.h"
#include "adapters/msgpack/quote.h"
#include "adapters/msgpack/transcode.h"
#include "adapters/msgpack/unpack.h"
#include "relay/sid.h"

static struct span text_of(struct span raw)
{
    struct value v = unpack_one(raw);
    return v.kind == VALUE_STR ? v.bytes : SPAN_NONE;
}

/* A number of prompts. */
static enum drop_reason read_queue(struct span raw, int64_t *n)
{
    struct value v = unpack_one(raw);
    if (v.kind != VALUE_UINT || v.uint > INT64_MAX)
        return DROP_BAD_DATA;
    *n = (int64_t)v.uint;
    return DROP_NOTHING;
}

/* Replaces a map by the value of one of its members. */
static enum drop_reason descend(struct span *map, int level, const char *key)
{
    struct member m = {.key = span_str(key)};
    enum drop_reason why = map->len > 0 ? unpack_members(*map, level, &m, 1) : DROP_BAD_DATA;
    *map = m.value;
    return why;
}

enum drop_reason status_read_share(const struct event *event, int64_t *share)
{
    static const char *const path[] = {"status", "exec_info", "queue_remaining"};
    struct span at = event->data;
    for (int i = 0; i < 3; i++) {
        enum drop_reason why = descend(&at, CODEC_DATA_LEVEL + i, path[i]);
        if (why)
            return why;
    }
    return read_queue(at, share);
}

/* A time, for telling which of two is the newer; 0 when it does not say. */
static int64_t read_clock(struct span raw)
{
    struct value v = unpack_one(raw);
    if (v.kind == VALUE_FLOAT64 && v.float64 >= 0 && v.float64 < 0x1p62)
        return (int64_t)v.float64;
    return v.kind == VALUE_UINT && v.uint <= INT64_MAX ? (int64_t)v.uint : 0;
}

enum drop_reason status_read_heartbeat(struct span data, struct heartbeat *heartbeat)
{
    enum { BOOT, QUEUE, SID, PROMPT, AT, GONE, COUNT };
    struct member m[COUNT] = {
        [BOOT] = {.key = SPAN_LITERAL("boot")}, [QUEUE] = {.key = SPAN_LITERAL("queue_remaining")},
        [SID] = {.key = SPAN_LITERAL("sid")},   [PROMPT] = {.key = SPAN_LITERAL("prompt_id")},
        [AT] = {.key = SPAN_LITERAL("at")},     [GONE] = {.key = SPAN_LITERAL("gone")}};
    *heartbeat = (struct heartbeat){0};
    enum drop_reason why = data.len > 0 ? unpack_members(data, CODEC_DATA_LEVEL, m, COUNT) : DROP_BAD_DATA;
    if (why)
        return why;
    struct value gone = unpack_one(m[GONE].value);
    heartbeat->is_gone = gone.kind == VALUE_BOOL && gone.boolean;
    if (heartbeat->is_gone)
        return DROP_NOTHING;
    if (unpack_one(m[BOOT].value).kind != VALUE_STR)
        return DROP_BAD_DATA;
    heartbeat->boot = text_of(m[BOOT].value);
    heartbeat->prompt = text_of(m[PROMPT].value);
    heartbeat->at_ms = read_clock(m[AT].value);
    struct span sid = text_of(m[SID].value);
    heartbeat->sid = sid_is_valid(sid) ? sid : SPAN_NONE;
    return read_queue(m[QUEUE].value, &heartbeat->queue_remaining);
}

enum drop_reason status_read_sender(struct span data, struct sender *sender)
{
    enum { BY, OPENED, COUNT };
    struct member m[COUNT] = {[BY] = {.key = SPAN_LITERAL("by")}, [OPENED] = {.key = SPAN_LITERAL("opened")}};
    enum drop_reason why = data.len > 0 ? unpack_members(data, CODEC_DATA_LEVEL, m, COUNT) : DROP_BAD_DATA;
    *sender = (struct sender){.name = text_of(m[BY].value), .opened_ms = read_clock(m[OPENED].value)};
    if (why)
        return why;
    return sender->name.len > 0 ? DROP_NOTHING : DROP_BAD_DATA;
}

/* Frames of the relay's own */

struct frame *status_make(int64_t queue_remaining, struct span sid)
{
    struct frame_builder b;
    struct out o;
    frame_builder_init(&b, 96 + sid.len);
    out_init(&o, &b);
    uint8_t *at = out_literal(&o, o.at, "{\"type\":\"status\",\"data\":{\"status\":{");
    at = out_literal(&o, at, "\"exec_info\":{\"queue_remaining\":");
    at = out_room(&o, at, NUMBER_MAX);
    at += number_signed(at, queue_remaining);
    at = out_literal(&o, at, "}}");
    if (sid.len > 0) {
        at = out_literal(&o, at, ",\"sid\":");
        at = quote_text(&o, at, sid, sid.bytes + sid.len);
    }
    o.at = out_literal(&o, at, "}}");
    out_flush(&o);
    return frame_builder_finish(&b, FRAME_TEXT);
}

/* It was checked when it came; should it not be exactly one value after all, it is null. */
static void put_node(struct out *o, struct span node)
{
    struct unpack check = unpack_of(node), u = check;
    bool is_value = unpack_skip(&check, CODEC_DATA_LEVEL + 1) == DROP_NOTHING && check.at == check.end;
    if (!is_value || transcode_value(&u, o, CODEC_DATA_LEVEL + 1) != DROP_NOTHING)
        o->at = out_literal(o, o->at, "null");
}

struct frame *status_make_executing(struct span node)
{
    struct frame_builder b;
    struct out o;
    frame_builder_init(&b, 64 + 2 * node.len);
    out_init(&o, &b);
    o.at = out_literal(&o, o.at, "{\"type\":\"executing\",\"data\":{\"node\":");
    put_node(&o, node);
    o.at = out_literal(&o, o.at, "}}");
    out_flush(&o);
    return frame_builder_finish(&b, FRAME_TEXT);
}
