#include "relay/apply.h"

#include "relay/catchup.h"
#include "relay/delivery.h"
#include "relay/hash.h"
#include "relay/lifetime.h"
#include "relay/status.h"

static bool is_executing(const struct event *e, enum effect effect)
{
    return effect == EFFECT_EXECUTING && e->node.len > 0;
}

static void note_end(struct relay *r, struct session *s, const struct event *e, enum effect effect)
{
    struct span ended = e->prompt.len > 0 ? e->prompt : session_prompt(s);
    if (ended.len > 0) {
        uint64_t prompt = hash_bytes(ended, r->sessions.seed);
        delivery_before_loss(r, s, log_find_prompt(&s->log, prompt));
        log_drop_prompt(&s->log, prompt);
    }
    session_note_end(s, e->prompt);
    if (effect == EFFECT_EXECUTING && s->has_log && !s->status_is_fresh)
        status_tell(r, s);
    s->is_ending = effect != EFFECT_EXECUTING;
    s->status_is_fresh = false;
}

/* What an event tells of its prompt, before the event itself is appended. `s` may be NULL: not known here. */
static void note(struct relay *r, struct session *s, const struct event *e, enum effect effect)
{
    bool is_end = effect != EFFECT_NONE && event_ends_prompt(e);
    if (is_end)
        workers_prompt_ended(&r->workers, e->worker, r->ports.codec->read_str(r->ports.codec, e->prompt));
    if (!s)
        return;
    if (is_end)
        note_end(r, s, e, effect);
    else if (effect == EFFECT_START)
        session_note_start(s, e->prompt);
    else if (effect == EFFECT_EXECUTING)
        session_note_executing(s, e->prompt, e->display_node.len > 0 ? e->display_node : e->node);
}

/* Where the prompt began and what it executes, for those who come later. */
static void note_seq(struct session *s, const struct event *e, enum effect effect, uint64_t seq)
{
    if (seq > 0 && (effect == EFFECT_START || is_executing(e, effect)))
        session_note_seq(s, effect == EFFECT_EXECUTING, seq);
}

static void note_id(struct session *s, const struct event *e, uint64_t now_ms)
{
    if (stream_id_is_none(e->id))
        return;
    s->newest = e->id;
    s->newest_at_ms = now_ms;
}

/* Takes the frame, which may be NULL: nobody has a log of it. */
static void to_session(struct relay *r, struct session *s, const struct event *e, enum effect effect,
                       struct place place, struct frame *take_frame, uint64_t now_ms)
{
    note(r, s, e, effect);
    if (!s)
        return;
    if (take_frame)
        note_seq(s, e, effect, delivery_append(r, s, place, take_frame));
    note_id(s, e, now_ms);
    if (!s->has_log)
        lifetime_remember(r, s, now_ms);
}

static void count_routed(struct relay *r, uint64_t key)
{
    r->metrics.routed[key == 0 ? CLASS_KEEP : CLASS_LATEST]++;
}

/* For the log of a session, or (`s`: NULL) all logs here. */
static struct place find_place(struct relay *r, const struct session *s, const struct event *e)
{
    struct place place = delivery_place(r, s, e);
    count_routed(r, place.key);
    return place;
}

static enum drop_reason put_aside(struct relay *r, struct session *s, const struct event *e,
                                  struct span message)
{
    enum drop_reason reason = catchup_put_aside(r, s, message, e);
    if (reason == DROP_NOTHING)
        count_routed(r, event_conflation_key(e, r->sessions.seed));
    return reason;
}

static enum drop_reason to_one(struct relay *r, struct event *e, enum effect effect, struct span message,
                               uint64_t now_ms)
{
    struct session *s = session_find(&r->sessions, e->sid);
    bool is_heard = s && s->has_log, is_aside = s && s->catchup;
    struct frame *f = NULL;
    enum drop_reason reason = r->ports.codec->encode(r->ports.codec, e, is_heard && !is_aside ? &f : NULL);
    if (reason != DROP_NOTHING)
        return reason;
    if (is_aside)
        return put_aside(r, s, e, message);
    struct place place = is_heard ? find_place(r, s, e) : PLACE_TRANSIENT;
    r->metrics.unrouted += !is_heard;
    if (!s && (effect == EFFECT_START || is_executing(e, effect)))
        s = lifetime_find_or_add(r, e->sid, now_ms); /* remembered, though nobody listens */
    to_session(r, s, e, effect, place, f, now_ms);
    return DROP_NOTHING;
}

static enum drop_reason to_all(struct relay *r, struct event *e)
{
    struct frame *f = NULL;
    enum drop_reason reason = r->ports.codec->encode(r->ports.codec, e, TAILQ_EMPTY(&r->open) ? NULL : &f);
    if (reason != DROP_NOTHING)
        return reason;
    r->metrics.broadcasts++;
    struct session *s;
    struct place p = find_place(r, NULL, e);
    TAILQ_FOREACH (s, &r->open, in_open)
        delivery_broadcast(r, s, p, frame_ref(f));
    frame_unref(f);
    return DROP_NOTHING;
}

enum drop_reason apply_event(struct relay *r, struct event *e, enum effect effect, struct span message,
                             uint64_t now_ms)
{
    if (e->to == TO_NOBODY)
        return DROP_NOBODY;
    return e->to == TO_ALL ? to_all(r, e) : to_one(r, e, effect, message, now_ms);
}

enum drop_reason apply_message(struct relay *r, struct session *s, struct span message, struct stream_id id,
                               uint64_t now_ms)
{
    struct event e;
    struct frame *f = NULL;
    enum drop_reason reason = r->ports.codec->decode(r->ports.codec, message, session_sid(s), &e);
    if (reason != DROP_NOTHING)
        return reason;
    enum effect effect = event_effect(&e);
    if (effect_is_internal(effect))
        return DROP_BAD_TYPE;
    e.ts_ms = 0; /* what has waited for Redis says nothing of live events */
    if (stream_id_is_none(e.id))
        e.id = id;
    reason = r->ports.codec->encode(r->ports.codec, &e, &f);
    if (reason == DROP_NOTHING)
        to_session(r, s, &e, effect, delivery_place(r, s, &e), f, now_ms);
    return reason;
}
