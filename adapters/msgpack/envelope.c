#include "adapters/msgpack/envelope.h"

#include "adapters/msgpack/unpack.h"
#include "relay/sid.h"

#define LEVEL_OF_VALUES 2 /* of those in the event's map */

/* The envelope's values, not yet checked. An absent one is nil; only of the type it matters which. */
struct envelope {
    bool has_type;
    struct value type, sid, worker, keep, ts;
    struct span data; /* as it stands in the message */
};

/* The stream id before the map */

/* 0-0 is no entry's id. */
static enum drop_reason take_id(struct unpack *u, bool is_sessions, struct value *first, struct stream_id *id)
{
    if (first->kind != VALUE_STR)
        return DROP_NOTHING;
    if (!is_sessions || !stream_id_parse(first->bytes, id) || stream_id_is_none(*id))
        return DROP_BAD_ID;
    return unpack_next(u, first);
}

/* The map */

/* The rest of the message, whatever it is, when nothing of the envelope follows. */
static enum drop_reason take_data(struct unpack *u, struct envelope *e, bool is_last)
{
    const uint8_t *start = u->at;
    if (unpack_left(u) == 0)
        return DROP_TRUNCATED;
    enum drop_reason why = DROP_NOTHING;
    if (is_last)
        u->at = u->end;
    else
        why = unpack_skip(u, LEVEL_OF_VALUES);
    e->data = span_of(start, (size_t)(u->at - start));
    return why;
}

#define IS(key, name) (memcmp((key).bytes, name, sizeof(name) - 1) == 0)

/* Where the value of this key goes. NULL: nobody wants it. */
static struct value *find(struct envelope *e, struct span key)
{
    switch (key.len) {
    case 2:
        return IS(key, "ts") ? &e->ts : NULL;
    case 3:
        return IS(key, "sid") ? &e->sid : NULL;
    case 4:
        return IS(key, "type") ? &e->type : IS(key, "keep") ? &e->keep : NULL;
    case 6:
        return IS(key, "worker") ? &e->worker : NULL;
    default:
        return NULL;
    }
}

static enum drop_reason take_pair(struct unpack *u, struct envelope *e, bool is_last)
{
    struct value key = {.kind = VALUE_NIL}, unknown;
    enum drop_reason why = unpack_whole(u, &key, LEVEL_OF_VALUES);
    if (why)
        return why;
    struct span name = value_text(&key);
    if (name.len == 4 && IS(name, "data"))
        return take_data(u, e, is_last);
    struct value *v = find(e, name);
    e->has_type |= v == &e->type;
    return unpack_whole(u, v ? v : &unknown, LEVEL_OF_VALUES);
}

static enum drop_reason take_pairs(struct unpack *u, struct envelope *e, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        enum drop_reason why = take_pair(u, e, i + 1 == count);
        if (why)
            return why;
    }
    return u->at == u->end ? DROP_NOTHING : DROP_TRAILING;
}

/* What the values mean */

static enum drop_reason read_type(const struct value *v, struct event *event)
{
    if (v->kind == VALUE_STR) {
        event->type = v->bytes;
        return DROP_NOTHING;
    }
    if (v->kind != VALUE_UINT || v->uint > UINT32_MAX)
        return DROP_BAD_TYPE;
    event->is_binary = true;
    event->code = (uint32_t)v->uint;
    return DROP_NOTHING;
}

static enum drop_reason read_sid(const struct value *v, struct event *event)
{
    if (v->kind == VALUE_NIL) {
        event->to = TO_ALL;
        return DROP_NOTHING;
    }
    if (v->kind != VALUE_STR)
        return DROP_BAD_SID;
    if (v->bytes.len == 0) {
        event->to = TO_NOBODY;
        return DROP_NOTHING;
    }
    event->to = TO_SESSION;
    event->sid = v->bytes;
    return sid_is_valid(v->bytes) ? DROP_NOTHING : DROP_BAD_SID;
}

static enum drop_reason read_worker(const struct value *v, struct event *event)
{
    event->worker = value_text(v);
    return v->kind == VALUE_STR || v->kind == VALUE_NIL ? DROP_NOTHING : DROP_BAD_ENVELOPE;
}

static enum drop_reason read_keep(const struct value *v, struct event *event)
{
    if (v->kind == VALUE_BOOL)
        event->keep = v->boolean ? KEEP_ALWAYS : KEEP_NEWEST;
    return v->kind == VALUE_BOOL || v->kind == VALUE_NIL ? DROP_NOTHING : DROP_BAD_ENVELOPE;
}

#define TS_MAX (INT64_C(1) << 53) /* what a float64 can tell to the millisecond */

/* Of any number, one that can be calculated with: 1 for what is none of this clock, as a negative one or NaN. */
static int64_t ts_of(double ms)
{
    return ms >= 1 ? ms < (double)TS_MAX ? (int64_t)ms : TS_MAX : 1;
}

static enum drop_reason read_ts(const struct value *v, struct event *event)
{
    switch (v->kind) {
    case VALUE_NIL:
        return DROP_NOTHING;
    case VALUE_UINT:
        event->ts_ms = v->uint - 1 < (uint64_t)TS_MAX ? (int64_t)v->uint : ts_of((double)v->uint);
        return DROP_NOTHING;
    case VALUE_INT:
        event->ts_ms = ts_of(-1); /* only negative ones are of this kind */
        return DROP_NOTHING;
    case VALUE_FLOAT32:
    case VALUE_FLOAT64:
        event->ts_ms = ts_of(v->kind == VALUE_FLOAT32 ? (double)v->float32 : v->float64);
        return DROP_NOTHING;
    default:
        return DROP_BAD_ENVELOPE;
    }
}

static enum drop_reason read_values(const struct envelope *e, struct span channel_sid, struct event *event)
{
    event->data = e->data;
    enum drop_reason why = e->has_type ? read_type(&e->type, event) : DROP_NO_TYPE;
    if (why)
        return why;
    if (channel_sid.len > 0) {
        event->to = TO_SESSION;
        event->sid = channel_sid;
    } else {
        why = read_sid(&e->sid, event);
    }
    if (!why)
        why = read_worker(&e->worker, event);
    if (!why)
        why = read_keep(&e->keep, event);
    return why ? why : read_ts(&e->ts, event);
}

enum drop_reason envelope_decode(struct span message, struct span channel_sid, struct event *event)
{
    *event = (struct event){0};
    struct unpack u = unpack_of(message);
    struct value map;
    enum drop_reason why = unpack_next(&u, &map);
    if (!why)
        why = take_id(&u, channel_sid.len > 0, &map, &event->id);
    if (why)
        return why;
    if (map.kind != VALUE_MAP)
        return DROP_NOT_A_MAP;
    struct envelope e = {0};
    why = take_pairs(&u, &e, map.count);
    return why ? why : read_values(&e, channel_sid, event);
}
