#include "relay/readback.h"

#include "relay/acks.h"
#include "relay/apply.h"
#include "relay/catchup.h"
#include "relay/delivery.h"
#include "relay/lifetime.h"
#include "relay/resume.h"

/* Asking */

static bool may_ask(const struct relay *r, const struct catchup *c)
{
    return r->link_is_up && c->ticket == 0 &&
           (!c->has_newest || c->session->subscription == SUBSCRIPTION_ACTIVE);
}

/* A session with a socket is claimed for it; without one it may have become another relay's. */
static enum join join_of(const struct relay *r, const struct catchup *c)
{
    if (r->config.share || c->has_joined)
        return JOIN_NONE;
    return session_receiver(c->session) ? JOIN_CLAIM : JOIN_CHECK;
}

/* Else whoever it was for has gone, and nothing is here yet. */
static bool is_wanted(const struct relay *r, const struct catchup *c)
{
    return c->why != CATCHUP_NEW || !c->has_newest || c->has_joined || r->config.share ||
           session_receiver(c->session);
}

static void ask_back(struct relay *r, struct catchup *c)
{
    struct stream_id before = c->has_newest ? c->first : STREAM_ID_MAX;
    r->ports.archive->read_back(r->ports.archive, session_sid(c->session), before, c->ticket);
}

static void ask_on(struct relay *r, struct catchup *c)
{
    enum join join = join_of(r, c);
    const struct cursor *receiver = session_receiver(c->session);
    if (join != JOIN_NONE)
        c->opened_ms = receiver ? receiver->opened_ms : 0;
    c->has_joined = true;
    r->ports.archive->read_on(r->ports.archive, session_sid(c->session), c->from, join, c->opened_ms,
                              c->ticket);
}

static void ask(struct relay *r, struct catchup *c)
{
    r->asked++;
    c->ticket = ++r->tickets;
    if (c->has_newest && !c->has_read_on)
        ask_on(r, c);
    else
        ask_back(r, c);
}

/* Its last page has gone. What was told of that may have been lost with a connection, or was too early for a claim. */
static void tell_forgotten(struct relay *r, struct session *s)
{
    if (s->is_forgotten)
        r->ports.archive->leave(r->ports.archive, session_sid(s), s->forgotten_ms, true);
}

static void give_away(struct relay *r, struct session *s)
{
    tell_forgotten(r, s);
    lifetime_give_away(r, s);
}

/* As many of those that wait as may be under way. */
static void pump(struct relay *r)
{
    struct catchup *c;
    while (r->asked < RELAY_READINGS_MAX && (c = TAILQ_FIRST(&r->queue))) {
        catchup_leave_queue(r, c);
        if (!is_wanted(r, c))
            give_away(r, c->session);
        else if (may_ask(r, c))
            ask(r, c);
    }
}

static bool is_complete(const struct catchup *c)
{
    return c->has_newest && c->has_read_on && (c->why != CATCHUP_NEW || c->has_read_back);
}

void readback_go_on(struct relay *r, struct session *s)
{
    struct catchup *c = s->catchup;
    if (!c || c->is_queued || !may_ask(r, c))
        return;
    catchup_join_queue(r, c);
    pump(r);
}

/* What is read */

/* True for the beginning or the end of a prompt: what is older does not tell what executes. */
static bool is_marker(struct relay *r, const struct session *s, struct span message)
{
    struct event e;
    struct codec *codec = r->ports.codec;
    return codec->decode(codec, message, session_sid(s), &e) == DROP_NOTHING &&
           codec->encode(codec, &e, NULL) == DROP_NOTHING &&
           (event_effect(&e) == EFFECT_START || event_ends_prompt(&e));
}

static void take_back(struct relay *r, struct catchup *c, const struct archived *entry)
{
    if (aside_prepend(&c->back, entry->id, entry->event) < 0) {
        r->metrics.out_of_memory++;
        return;
    }
    c->first = entry->id;
    c->has_marker = c->has_marker || is_marker(r, c->session, entry->event);
}

static void take_on(struct relay *r, struct catchup *c, const struct archived *entry)
{
    if (stream_id_compare(entry->id, c->from) <= 0)
        return;
    c->from = c->read_to = entry->id;
    if (catchup_is_full(r, &c->on)) {
        aside_free(aside_take(&c->on));
        c->is_broken = true;
    }
    if (aside_append(&c->on, entry->id, entry->event) < 0)
        r->metrics.out_of_memory++;
}

/* Where the client is known to have got to. What is known here is newer than what was stored. */
static bool known_place(const struct catchup *c, struct stream_id *id)
{
    const struct session *s = c->session;
    *id = s->has_left ? s->left.id : c->ack;
    return !s->is_forgotten && (s->has_left || c->has_ack);
}

static bool reaches_place(const struct catchup *c)
{
    struct stream_id place;
    return !known_place(c, &place) || (c->back.count > 0 && stream_id_compare(c->first, place) <= 0);
}

static void judge_back(const struct relay *r, struct catchup *c)
{
    c->has_read_back = c->is_whole || catchup_is_full(r, &c->back) || (c->has_marker && reaches_place(c));
}

/* The log does not go on where it was left. Unless it has expired meanwhile, it was trimmed, or Redis has lost it. */
static void note_break(struct relay *r, struct catchup *c, const struct reading *reading, uint64_t now_ms)
{
    bool may_be_expired = now_ms - c->session->newest_at_ms >= r->config.session_ttl_ms;
    if (c->why == CATCHUP_NEW || may_be_expired)
        return;
    c->is_broken = reading->count > 0;
    c->is_gone = c->has_lost = !c->is_broken;
}

/* The first of what is read on. */
static void take_joined(struct relay *r, struct catchup *c, const struct reading *reading, uint64_t now_ms)
{
    bool is_found = reading->count > 0 && stream_id_compare(reading->entries[0].id, c->from) == 0;
    c->is_first = false;
    if (c->why == CATCHUP_NEW)
        c->session->has_listeners = reading->has_listeners;
    if (!stream_id_is_none(c->from) && !is_found)
        note_break(r, c, reading, now_ms);
}

static void take_latest(struct relay *r, struct catchup *c, const struct reading *reading)
{
    aside_clear(&c->latest);
    for (size_t i = 0; i < reading->latest_count; i++)
        if (aside_append(&c->latest, STREAM_ID_NONE, reading->latest[i]) < 0)
            r->metrics.out_of_memory++;
}

/* Nobody's, though it was this relay's just now: Redis has lost that. */
static void take_owner(struct relay *r, struct catchup *c, enum owner owner, uint64_t now_ms)
{
    const struct session *s = c->session;
    bool may_expire = !s->is_open || now_ms - r->down_at_ms >= r->config.session_ttl_ms / 2;
    if (owner == OWNER_NOBODY && c->why == CATCHUP_OUTAGE && s->was_claimed && !may_expire)
        c->has_lost = true;
}

/* Unless a newer socket has come meanwhile. */
static bool is_claimed_for(const struct relay *r, const struct catchup *c)
{
    const struct cursor *receiver = session_receiver(c->session);
    return r->config.share || !receiver || receiver->opened_ms == c->opened_ms;
}

static void take_reading(struct relay *r, struct catchup *c, const struct reading *reading, uint64_t now_ms)
{
    if (c->is_first)
        take_joined(r, c, reading, now_ms);
    take_owner(r, c, reading->owner, now_ms);
    c->session->was_claimed = c->opened_ms > 0;
    if (reading->opened_ms > 0 && is_claimed_for(r, c))
        c->session->owned_ms = reading->opened_ms;
    c->has_ack = reading->has_ack;
    c->ack = reading->ack;
    for (size_t i = 0; i < reading->count; i++)
        take_on(r, c, &reading->entries[i]);
    take_latest(r, c, reading);
    aside_drop_until(&c->live, c->read_to);
    c->has_joined = is_claimed_for(r, c);
    c->has_read_on = reading->is_last && c->has_joined && !c->is_short;
    c->is_short = false;
    judge_back(r, c);
}

/* Completing */

static void apply_all(struct relay *r, struct session *s, struct aside *a, bool is_read, uint64_t now_ms)
{
    struct aside_item *item;
    while ((item = aside_take(a))) {
        if (item->frame)
            delivery_append(r, s, (struct place){.key = item->key, .is_transient = true},
                            frame_ref(item->frame));
        else
            r->metrics.dropped[apply_message(r, s, aside_message(item), item->id, now_ms)]++;
        r->metrics.read_back += is_read;
        aside_free(item);
    }
}

/* What a conflated event shows is over when its prompt is, and when a live one of its key has come meanwhile. */
static bool is_shown(const struct relay *r, const struct session *s, const struct aside *live,
                     struct span message)
{
    struct event e;
    struct codec *codec = r->ports.codec;
    if (codec->decode(codec, message, session_sid(s), &e) != DROP_NOTHING ||
        codec->encode(codec, &e, NULL) != DROP_NOTHING)
        return true; /* it is dropped, and counted, by being applied */
    if (aside_has_latest(live, event_conflation_key(&e, r->sessions.seed)))
        return false;
    return e.prompt.len == 0 ? s->is_executing || s->has_left
                             : s->is_executing && span_equals(e.prompt, session_prompt(s));
}

static void apply_latest(struct relay *r, struct session *s, struct aside *latest, const struct aside *live,
                         uint64_t now_ms)
{
    struct aside shown;
    struct aside_item *item;
    aside_init(&shown);
    while ((item = aside_take(latest)))
        if (is_shown(r, s, live, aside_message(item)))
            aside_put(&shown, item);
        else
            aside_free(item);
    apply_all(r, s, &shown, true, now_ms);
}

/* The client's place, by what was stored and what was read, which is in the log from first_seq on. */
static void know_place(struct relay *r, struct session *s, const struct catchup *c, uint64_t gap_seq,
                       uint64_t first_seq, uint64_t now_ms)
{
    struct stream_id place;
    if (!known_place(c, &place))
        return;
    if (s->log.trimmed_to > first_seq && stream_id_compare(s->log.before, place) > 0)
        gap_seq = s->log.trimmed_to - 1; /* what was read is more than may be held */
    s->has_left = true;
    s->left = (struct reached){gap_seq > 0 ? gap_seq : log_after_id(&s->log, place), place};
    s->left_until_ms = now_ms + r->config.session_ttl_ms;
}

/* The log was trimmed past the client's place. A log that begins more than a time to live after it has expired between,
 * and one that is shorter than its bound was never trimmed. */
static bool has_gap(const struct relay *r, const struct catchup *c)
{
    struct stream_id place;
    if (!known_place(c, &place) || reaches_place(c) || c->back.count == 0)
        return false;
    if (stream_id_is_none(place))
        return !c->is_whole || c->back.count >= r->config.log.events;
    return c->first.ms - place.ms < r->config.session_ttl_ms;
}

static void prepare_all(struct session *s, uint64_t live_from, uint64_t now_ms)
{
    struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session)
        if (c->state == CURSOR_WAITING || c->state == CURSOR_HELD)
            resume_prepare(s, c, live_from, now_ms);
}

/* The log is made anew of what Redis has. */
static void rebuild(struct relay *r, struct session *s, struct catchup *c, uint64_t now_ms)
{
    uint64_t gap_seq = 0;
    log_trim(&s->log, s->log.next_seq);
    s->start_seq = s->node_seq = 0;
    if (has_gap(r, c))
        gap_seq = log_leave_gap(&s->log);
    s->log.before = c->is_whole || c->back.count == 0 ? STREAM_ID_NONE : stream_id_before(c->first);
    uint64_t first_seq = s->log.next_seq;
    apply_all(r, s, &c->back, true, now_ms);
    know_place(r, s, c, gap_seq, first_seq, now_ms);
    prepare_all(s, s->log.next_seq, now_ms);
}

/* What was missed is replayed to those that joined meanwhile. */
static void replay_to(struct session *s, uint64_t seq)
{
    struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session)
        if (c->state == CURSOR_WAITING || c->state == CURSOR_HELD)
            c->live_from = seq;
}

static void complete(struct relay *r, struct session *s, uint64_t now_ms)
{
    struct catchup *c = catchup_end(r, s);
    if (c->has_lost)
        readback_note_lost(r);
    if (c->why == CATCHUP_NEW)
        rebuild(r, s, c, now_ms);
    if (c->is_broken)
        log_leave_gap(&s->log);
    apply_all(r, s, &c->on, true, now_ms);
    if (c->why != CATCHUP_NEW)
        replay_to(s, s->log.next_seq);
    if (c->why != CATCHUP_CLAIM)
        apply_latest(r, s, &c->latest, &c->live, now_ms);
    s->newest = c->is_gone ? c->read_to : c->from;
    s->newest_at_ms = now_ms;
    apply_all(r, s, &c->live, false, now_ms);
    if (c->why != CATCHUP_CLAIM)
        tell_forgotten(r, s);
    catchup_free(c);
    resume_place(r, s, now_ms);
    acks_note(r, s, now_ms);
    delivery_trim(s);
}

static void advance(struct relay *r, struct session *s, uint64_t now_ms)
{
    if (is_complete(s->catchup))
        complete(r, s, now_ms);
    else
        readback_go_on(r, s);
}

/* The session whose question this answers, or NULL: it was given up. */
static struct session *answered(struct relay *r, struct span sid, uint64_t ticket)
{
    struct session *s = session_find(&r->sessions, sid);
    r->asked--;
    if (!s || !s->catchup || s->catchup->ticket != ticket)
        return NULL;
    s->catchup->ticket = 0;
    return s;
}

void readback_note_lost(struct relay *r)
{
    r->metrics.data_lost++;
    r->ports.journal->note(r->ports.journal, NOTE_DATA_LOST, SPAN_NONE);
}

void readback_take_back(struct relay *r, struct span sid, uint64_t ticket, const struct archived *entries,
                        size_t count, bool is_last, uint64_t now_ms)
{
    struct session *s = answered(r, sid, ticket);
    if (s) {
        struct catchup *c = s->catchup;
        if (!c->has_newest)
            catchup_know_newest(c, count > 0 ? entries[0].id : STREAM_ID_NONE);
        resume_greet(r, s, now_ms);
        c->is_whole = is_last || count == 0;
        for (size_t i = 0; i < count; i++)
            take_back(r, c, &entries[i]);
        if (c->has_read_on)
            judge_back(r, c);
        advance(r, s, now_ms);
    }
    pump(r);
}

/* What was history is gone: Redis has lost its data since. */
static bool has_lost_history(const struct catchup *c, const struct reading *reading)
{
    return c->why == CATCHUP_NEW && c->is_first && !stream_id_is_none(c->newest) && reading->count == 0;
}

/* A claim was refused, or was followed by another's, or there was no socket to claim for; and no newer one has come
 * meanwhile. */
static bool is_another_relays(const struct relay *r, const struct catchup *c, const struct reading *reading)
{
    if (!is_claimed_for(r, c))
        return false;
    bool is_followed = reading->opened_ms > 0 && c->session->heard_ms > reading->opened_ms;
    return reading->is_refused || is_followed || (reading->owner == OWNER_ANOTHER && c->opened_ms == 0);
}

void readback_take_on(struct relay *r, struct span sid, uint64_t ticket, const struct reading *reading,
                      uint64_t now_ms)
{
    struct session *s = answered(r, sid, ticket);
    if (s && is_another_relays(r, s->catchup, reading)) {
        lifetime_taken_over(r, s, now_ms);
    } else if (s && has_lost_history(s->catchup, reading)) {
        readback_note_lost(r);
        catchup_forget_newest(s->catchup);
        advance(r, s, now_ms);
    } else if (s) {
        take_reading(r, s->catchup, reading, now_ms);
        advance(r, s, now_ms);
    }
    pump(r);
}
