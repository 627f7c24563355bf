#include "adapters/publisher/command/recording.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapters/msgpack/codec.h"
#include "adapters/msgpack/unpack.h"
#include "adapters/publisher/command/grow.h"

/* Reading */

static int fail(struct recording *r, char *why, const char *file, const char *what)
{
    snprintf(why, RECORDING_WHY_BYTES, "%.160s: %s", file, what);
    recording_deinit(r);
    return -1;
}

static int fail_event(struct recording *r, char *why, const char *file, enum drop_reason reason)
{
    char what[64];
    snprintf(what, sizeof what, "event %zu: %s", r->count + 1, drop_reason_label(reason));
    return fail(r, why, file, what);
}

static bool add_prompt(struct recording *r, struct span id)
{
    struct value v = unpack_one(id);
    if (v.kind != VALUE_STR || recording_prompt(r, id) >= 0)
        return true;
    struct span *more = grow(r->prompts, r->prompt_count, sizeof *more);
    if (!more)
        return false;
    r->prompts = more;
    r->prompts[r->prompt_count++] = v.bytes;
    return true;
}

/* When it was published, or not a number. */
static double time_of(struct span envelope)
{
    struct member ts = {.key = SPAN_LITERAL("ts")};
    if (unpack_members(envelope, 1, &ts, 1) != DROP_NOTHING)
        return NAN;
    struct value v = unpack_one(ts.value);
    double ms = v.kind == VALUE_UINT ? (double)v.uint : v.kind == VALUE_FLOAT64 ? v.float64 : NAN;
    return isfinite(ms) ? ms : NAN;
}

/* Of an event without a time, that of the one before. */
static double since_first(struct recording *r, double ms)
{
    if (isnan(ms))
        return r->count > 0 ? r->events[r->count - 1].at_ms : 0;
    if (isnan(r->first_ms))
        r->first_ms = ms;
    return ms - r->first_ms;
}

/* One whose data breaks the contract is kept: it will be refused when it is published. */
static enum drop_reason add_event(struct recording *r, struct span envelope)
{
    struct codec *codec = codec_msgpack();
    struct recorded recorded = {.at_ms = since_first(r, time_of(envelope))};
    enum drop_reason why = codec->decode(codec, envelope, SPAN_NONE, &recorded.event);
    if (why)
        return why;
    bool is_whole = codec->encode(codec, &recorded.event, NULL) == DROP_NOTHING;
    if (is_whole && event_effect(&recorded.event) == EFFECT_START && !add_prompt(r, recorded.event.prompt))
        return DROP_NO_MEMORY;
    struct recorded *more = grow(r->events, r->count, sizeof *more);
    if (!more)
        return DROP_NO_MEMORY;
    r->events = more;
    r->events[r->count++] = recorded;
    return DROP_NOTHING;
}

/* Steps over one value, however deep it is nested. */
static bool skip(struct unpack *u)
{
    for (uint64_t wanted = 1; wanted > 0; wanted--) {
        struct value v;
        if (unpack_next(u, &v) != DROP_NOTHING)
            return false;
        if (value_is_container(&v))
            wanted += (uint64_t)v.count * (v.kind == VALUE_MAP ? 2 : 1);
    }
    return true;
}

static int split(struct recording *r, const char *file, char *why)
{
    struct unpack u = unpack_of(span_of(r->bytes, r->len));
    while (unpack_left(&u) > 0) {
        const uint8_t *start = u.at;
        if (*start >> 4 != 0x8 && *start != 0xde && *start != 0xdf)
            return fail(r, why, file, "not a recording: an event is a MessagePack map");
        if (!skip(&u))
            return fail(r, why, file, "not a recording: its MessagePack is broken");
        enum drop_reason reason = add_event(r, span_of(start, (size_t)(u.at - start)));
        if (reason)
            return fail_event(r, why, file, reason);
    }
    if (r->count == 0)
        return fail(r, why, file, "a recording without an event");
    return 0;
}

static int read_all(struct recording *r, FILE *file)
{
    size_t n;
    do {
        uint8_t *more = realloc(r->bytes, r->len + BUFSIZ);
        if (!more)
            return -ENOMEM;
        r->bytes = more;
        n = fread(r->bytes + r->len, 1, BUFSIZ, file);
        r->len += n;
    } while (n > 0);
    return ferror(file) ? -errno : 0;
}

int recording_read(struct recording *r, const char *name, char why[RECORDING_WHY_BYTES])
{
    *r = (struct recording){.first_ms = NAN};
    FILE *file = fopen(name, "rb");
    if (!file)
        return fail(r, why, name, strerror(errno));
    int error = read_all(r, file);
    fclose(file);
    return error ? fail(r, why, name, strerror(-error)) : split(r, name, why);
}

void recording_deinit(struct recording *r)
{
    free(r->bytes);
    free(r->events);
    free(r->prompts);
    *r = (struct recording){0};
}

long recording_prompt(const struct recording *r, struct span id)
{
    struct value v = unpack_one(id);
    for (size_t i = 0; v.kind == VALUE_STR && i < r->prompt_count; i++)
        if (span_equals(r->prompts[i], v.bytes))
            return (long)i;
    return -1;
}

/* Rewriting */

struct rewriter {
    const struct recording *recording;
    const struct run_ids *ids;
    uint64_t now;
    struct unpack from;
    struct packing *to;
};

static void rewrite_value(struct rewriter *w);

static void copy_since(struct rewriter *w, const uint8_t *start)
{
    packing_raw(w->to, span_of(start, (size_t)(w->from.at - start)));
}

static bool is_number(struct span rest)
{
    struct unpack u = unpack_of(rest);
    struct value v;
    return unpack_next(&u, &v) == DROP_NOTHING && v.kind == VALUE_UINT;
}

static void rewrite_member(struct rewriter *w)
{
    struct value key;
    const uint8_t *start = w->from.at;
    if (unpack_whole(&w->from, &key, 1) != DROP_NOTHING)
        return;
    copy_since(w, start);
    if (key.kind != VALUE_STR || !span_is(key.bytes, "timestamp") ||
        !is_number(span_of(w->from.at, unpack_left(&w->from)))) {
        rewrite_value(w);
        return;
    }
    if (unpack_skip(&w->from, 0) == DROP_NOTHING)
        msgpack_pack_uint64(&w->to->packer, w->now);
}

static void rewrite_text(struct rewriter *w, const uint8_t *start)
{
    long prompt = recording_prompt(w->recording, span_of(start, (size_t)(w->from.at - start)));
    if (prompt >= 0)
        packing_text(w->to, w->ids->ids[prompt]);
    else
        copy_since(w, start);
}

/* Nested no deeper than the contract allows: what is deeper is copied. */
static void rewrite_value(struct rewriter *w)
{
    struct value v;
    const uint8_t *start = w->from.at;
    if (unpack_next(&w->from, &v) != DROP_NOTHING)
        return;
    if (v.kind == VALUE_STR) {
        rewrite_text(w, start);
        return;
    }
    copy_since(w, start);
    if (!value_is_container(&v))
        return;
    for (uint32_t i = 0; i < v.count; i++)
        (v.kind == VALUE_MAP ? rewrite_member : rewrite_value)(w);
}

void recording_rewrite(const struct recording *r, struct span data, const struct run_ids *ids, uint64_t now,
                       struct packing *to)
{
    struct rewriter w = {r, ids, now, unpack_of(data), to};
    struct unpack whole = unpack_of(data);
    if (unpack_skip(&whole, CODEC_DATA_LEVEL) == DROP_NOTHING)
        rewrite_value(&w);
    else
        packing_raw(to, data);
}
