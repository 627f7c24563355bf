#include "adapters/msgpack/envelope.h"

#include "adapters/msgpack/unpack.h"
#include "relay/sid.h"

#define LEVEL_OF_VALUES 2 /* of those in the event's map */

/* The envelope's keys as they stand in the message, not yet checked. */
enum { KEY_TYPE, KEY_SID, KEY_WORKER, KEY_KEEP, KEY_TS, KEY_DATA, KEYS };

struct envelope {
    struct member members[KEYS];
};

static const struct envelope empty = {{[KEY_TYPE] = {.key = SPAN_LITERAL("type")},
                                       [KEY_SID] = {.key = SPAN_LITERAL("sid")},
                                       [KEY_WORKER] = {.key = SPAN_LITERAL("worker")},
                                       [KEY_KEEP] = {.key = SPAN_LITERAL("keep")},
                                       [KEY_TS] = {.key = SPAN_LITERAL("ts")},
                                       [KEY_DATA] = {.key = SPAN_LITERAL("data")}}};

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

/* The value of `data`, when nothing of the envelope follows: the rest of the message, whatever it is. */
static enum drop_reason take_rest(struct unpack *u, struct member *data)
{
    if (unpack_left(u) == 0)
        return DROP_TRUNCATED;
    data->value = span_of(u->at, unpack_left(u));
    u->at = u->end;
    return DROP_NOTHING;
}

static enum drop_reason take_pair(struct unpack *u, struct envelope *e, bool is_last)
{
    struct value key;
    enum drop_reason why = unpack_key(u, &key, 1);
    if (why)
        return why;
    struct member *m = unpack_find(e->members, KEYS, &key);
    if (is_last && m == &e->members[KEY_DATA])
        return take_rest(u, m);
    const uint8_t *start = u->at;
    why = unpack_skip(u, LEVEL_OF_VALUES);
    if (m)
        m->value = span_of(start, (size_t)(u->at - start));
    return why;
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

static enum drop_reason read_type(struct span raw, struct event *event)
{
    if (raw.len == 0)
        return DROP_NO_TYPE;
    struct value v = unpack_one(raw);
    if (v.kind == VALUE_STR) {
        event->type = v.bytes;
        return DROP_NOTHING;
    }
    if (v.kind != VALUE_UINT || v.uint > UINT32_MAX)
        return DROP_BAD_TYPE;
    event->is_binary = true;
    event->code = (uint32_t)v.uint;
    return DROP_NOTHING;
}

static enum drop_reason read_sid(struct span raw, struct event *event)
{
    struct value v = unpack_one(raw);
    if (v.kind == VALUE_NIL) {
        event->to = TO_ALL;
        return DROP_NOTHING;
    }
    if (v.kind != VALUE_STR)
        return DROP_BAD_SID;
    if (v.bytes.len == 0) {
        event->to = TO_NOBODY;
        return DROP_NOTHING;
    }
    event->to = TO_SESSION;
    event->sid = v.bytes;
    return sid_is_valid(v.bytes) ? DROP_NOTHING : DROP_BAD_SID;
}

static enum drop_reason read_worker(struct span raw, struct event *event)
{
    struct value v = unpack_one(raw);
    if (v.kind == VALUE_STR)
        event->worker = v.bytes;
    return v.kind == VALUE_STR || v.kind == VALUE_NIL ? DROP_NOTHING : DROP_BAD_ENVELOPE;
}

static enum drop_reason read_keep(struct span raw, struct event *event)
{
    struct value v = unpack_one(raw);
    if (v.kind == VALUE_BOOL)
        event->keep = v.boolean ? KEEP_ALWAYS : KEEP_NEWEST;
    return v.kind == VALUE_BOOL || v.kind == VALUE_NIL ? DROP_NOTHING : DROP_BAD_ENVELOPE;
}

/* When it was published is of no use here; but it must be a number. */
static enum drop_reason read_ts(struct span raw)
{
    switch (unpack_one(raw).kind) {
    case VALUE_NIL:
    case VALUE_UINT:
    case VALUE_INT:
    case VALUE_FLOAT32:
    case VALUE_FLOAT64:
        return DROP_NOTHING;
    default:
        return DROP_BAD_ENVELOPE;
    }
}

static enum drop_reason read_values(const struct envelope *e, struct span channel_sid, struct event *event)
{
    event->data = e->members[KEY_DATA].value;
    enum drop_reason why = read_type(e->members[KEY_TYPE].value, event);
    if (why)
        return why;
    if (channel_sid.len > 0) {
        event->to = TO_SESSION;
        event->sid = channel_sid;
    } else {
        why = read_sid(e->members[KEY_SID].value, event);
    }
    if (!why)
        why = read_worker(e->members[KEY_WORKER].value, event);
    if (!why)
        why = read_keep(e->members[KEY_KEEP].value, event);
    return why ? why : read_ts(e->members[KEY_TS].value);
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
    struct envelope e = empty;
    why = take_pairs(&u, &e, map.count);
    return why ? why : read_values(&e, channel_sid, event);
}
