#include "relay/resume.h"

#include "relay/acks.h"
#include "relay/catchup.h"
#include "relay/delivery.h"

#define PLACE_UNKNOWN UINT64_MAX

/* Waiting for a time */

static struct cursor_list *list_of(struct relay *r, const struct cursor *c)
{
    return c->state == CURSOR_WAITING ? &r->waiting : &r->held;
}

static void leave_list(struct relay *r, struct cursor *c)
{
    if (c->is_timed)
        TAILQ_REMOVE(list_of(r, c), c, in_waiting);
    c->is_timed = false;
}

static void enter(struct relay *r, struct cursor *c, enum cursor_state state, uint64_t until_ms)
{
    leave_list(r, c);
    c->state = state;
    c->wait_until_ms = until_ms;
    c->is_timed = true;
    TAILQ_INSERT_TAIL(list_of(r, c), c, in_waiting);
}

void resume_wait(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    enter(r, c, CURSOR_WAITING, now_ms + RELAY_FIRST_STATUS_MS);
}

void resume_hold(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    enter(r, c, CURSOR_HELD, now_ms + RELAY_PLACING_MS);
    delivery_mark(r, c->session);
}

void resume_greet(struct relay *r, struct session *s, uint64_t now_ms)
{
    struct cursor *c;
    if (s->subscription != SUBSCRIPTION_ACTIVE || (s->catchup && !s->catchup->has_newest))
        return;
    TAILQ_FOREACH (c, &s->cursors, in_session)
        if (c->state == CURSOR_WAITING)
            resume_hold(r, c, now_ms);
}

/* Where to begin */

static void expire_left(struct session *s, uint64_t now_ms)
{
    if (now_ms >= s->left_until_ms)
        s->has_left = false;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void resume_prepare(struct session *s, struct cursor *c, uint64_t live_from, uint64_t now_ms)
{
    struct reached place;
    expire_left(s, now_ms);
    bool begins_before = s->is_executing && s->start_seq > 0;
    c->live_from = live_from;
    c->start_from = begins_before ? least(s->start_seq, live_from) : live_from;
    c->resume_from = session_place(s, &place) ? place.seq : PLACE_UNKNOWN;
    c->seq = least(c->start_from, c->resume_from);
}

bool resume_reaches(const struct session *s)
{
    struct reached place;
    if (stream_id_is_none(s->newest))
        return true; /* and Redis has nothing of it */
    if (!s->is_forgotten && session_place(s, &place))
        return place.seq >= s->log.trimmed_to;
    return !s->is_executing || s->start_seq >= s->log.trimmed_to;
}

static bool may_place(const struct session *s, const struct cursor *c)
{
    if (c->state != CURSOR_HELD || (s->catchup && s->catchup->why == CATCHUP_NEW))
        return false;
    if (!c->is_timed || !cursor_has_replay(c, c->seq))
        return true;
    return c->is_settled && !TAILQ_NEXT(c, in_session) && !s->has_listeners;
}

/* Without memory it goes without: more important frames will find none either. */
static void tell_executing(struct relay *r, const struct session *s, struct cursor *c)
{
    uint64_t held_from = c->seq > s->log.trimmed_to ? c->seq : s->log.trimmed_to;
    if (!s->is_executing || s->node_len == 0 || s->node_seq >= held_from)
        return;
    struct frame *f = r->ports.codec->make_executing(r->ports.codec, session_node(s));
    if (!f || cursor_push(c, f) < 0)
        r->metrics.out_of_memory++;
}

static uint64_t begin_of(const struct session *s, const struct cursor *c)
{
    bool is_known = c->resume_from != PLACE_UNKNOWN && !s->is_forgotten;
    return is_known ? c->resume_from : c->start_from;
}

static void place(struct relay *r, struct session *s, struct cursor *c, uint64_t now_ms)
{
    leave_list(r, c);
    c->state = CURSOR_LIVE;
    c->seq = begin_of(s, c);
    c->last = log_id_before(&s->log, c->seq);
    c->acked = c->asked = (struct reached){c->seq, c->last};
    c->kept = c->seq;
    tell_executing(r, s, c);
    s->has_left = s->is_forgotten = s->has_listeners = false;
    s->placed_ms = c->opened_ms;
    delivery_mark(r, s);
    acks_note_start(r, s, now_ms);
}

void resume_place(struct relay *r, struct session *s, uint64_t now_ms)
{
    struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session)
        if (may_place(s, c))
            place(r, s, c, now_ms);
}

/* Leaving */

/* Where it has got to: when it was not placed yet, where it would have begun. */
static bool reached(const struct session *s, const struct cursor *c, struct reached *place)
{
    *place = c->acked;
    if (c->state != CURSOR_HELD || (s->catchup && s->catchup->why == CATCHUP_NEW))
        return c->state == CURSOR_LIVE;
    place->seq = begin_of(s, c);
    place->id = log_id_before(&s->log, place->seq);
    return true;
}

static void leave_place(struct relay *r, struct session *s, const struct cursor *c, uint64_t now_ms)
{
    struct reached place;
    if (!reached(s, c, &place) || (s->has_left && s->left.seq <= place.seq))
        return;
    s->has_left = true;
    s->left = place;
    s->left_until_ms = now_ms + r->config.session_ttl_ms;
}

static void silence(struct relay *r, struct cursor *c)
{
    leave_list(r, c);
    c->state = CURSOR_SILENT;
    cursor_drop_own(c);
}

void resume_silence(struct relay *r, struct session *s, uint64_t now_ms)
{
    struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session) {
        if (c->state == CURSOR_SILENT)
            break; /* and so are those that are older still */
        if (c->state == CURSOR_WAITING) {
            resume_hold(r, c, now_ms); /* its first status it gets in any case */
            delivery_resume(r, c);
        }
        leave_place(r, s, c, now_ms);
        silence(r, c);
    }
}

void resume_leave(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    leave_place(r, c->session, c, now_ms);
    silence(r, c);
}

void resume_forget(struct session *s, uint64_t opened_ms)
{
    const struct cursor *newest = session_unplaced(s);
    if (newest && opened_ms <= newest->opened_ms && opened_ms >= s->placed_ms)
        s->is_forgotten = true;
}

/* From sockets */

void resume_settled(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    c->is_settled = true;
    if (c->session)
        resume_place(r, c->session, now_ms);
}

void resume_acknowledge(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    if (c->state != CURSOR_LIVE || c->asked.seq <= c->acked.seq)
        return;
    c->acked = c->asked;
    expire_left(c->session, now_ms);
    delivery_trim(c->session);
    acks_note(r, c->session, now_ms);
}

/* Under share other pages may be there, which have not gone and are not about to begin. */
static bool has_others(const struct session *s, const struct cursor *c)
{
    const struct cursor *other = session_unplaced(s);
    if (other && other != c)
        return false;
    TAILQ_FOREACH (other, &s->cursors, in_session)
        if (other != c && other->state == CURSOR_LIVE)
            return true;
    return false;
}

void resume_page_left(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    struct session *s = c->session;
    if (!s)
        return;
    bool receives = c->state != CURSOR_SILENT, forgets = receives && !has_others(s, c);
    r->ports.archive->leave(r->ports.archive, session_sid(s), c->opened_ms, forgets);
    if (receives)
        silence(r, c);
    else
        resume_forget(s, c->opened_ms);
    if (!forgets)
        return;
    s->is_forgotten = true;
    s->forgotten_ms = c->opened_ms;
    s->has_left = s->is_stored = false;
    acks_note(r, s, now_ms);
}

/* The clock */

static void release(struct relay *r, uint64_t now_ms)
{
    struct cursor *c = TAILQ_FIRST(&r->waiting);
    resume_hold(r, c, now_ms);
    resume_place(r, c->session, now_ms);
}

void resume_release(struct relay *r, uint64_t now_ms)
{
    while (!TAILQ_EMPTY(&r->waiting))
        release(r, now_ms);
}

void resume_tick(struct relay *r, uint64_t now_ms)
{
    struct cursor *c;
    while ((c = TAILQ_FIRST(&r->waiting)) && now_ms >= c->wait_until_ms)
        release(r, now_ms);
    while ((c = TAILQ_FIRST(&r->held)) && now_ms >= c->wait_until_ms) {
        leave_list(r, c);
        resume_place(r, c->session, now_ms);
    }
}

static uint64_t first_ms(const struct cursor_list *list)
{
    return TAILQ_EMPTY(list) ? UINT64_MAX : TAILQ_FIRST(list)->wait_until_ms;
}

uint64_t resume_next_ms(const struct relay *r)
{
    return least(first_ms(&r->waiting), first_ms(&r->held));
}
