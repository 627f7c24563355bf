#include "relay/lifetime.h"

#include <assert.h>

#include "relay/acks.h"
#include "relay/catchup.h"
#include "relay/delivery.h"
#include "relay/resume.h"

/* One without a socket is forgotten a time to live from now. */
static void expire_later(struct relay *r, struct session *s, uint64_t now_ms)
{
    assert(!s->is_open);
    if (s->is_expiring)
        TAILQ_REMOVE(&r->expiring, s, in_expiry);
    s->is_expiring = true;
    s->expires_at_ms = now_ms + r->config.session_ttl_ms;
    TAILQ_INSERT_TAIL(&r->expiring, s, in_expiry);
}

static void expire_never(struct relay *r, struct session *s)
{
    if (s->is_expiring)
        TAILQ_REMOVE(&r->expiring, s, in_expiry);
    s->is_expiring = false;
}

struct session *lifetime_find_or_add(struct relay *r, struct span sid, uint64_t now_ms)
{
    struct session *s = session_find(&r->sessions, sid);
    if (s)
        return s;
    s = session_add(&r->sessions, sid);
    if (s)
        expire_later(r, s, now_ms);
    return s;
}

void lifetime_subscribe(struct relay *r, struct session *s)
{
    if (s->subscription != SUBSCRIPTION_NONE || !r->link_is_up)
        return;
    s->subscription = SUBSCRIPTION_ASKED;
    r->ports.channels->subscribe(r->ports.channels, session_sid(s));
}

static void unsubscribe(struct relay *r, struct session *s)
{
    if (s->subscription != SUBSCRIPTION_NONE)
        r->ports.channels->unsubscribe(r->ports.channels, session_sid(s));
    s->subscription = SUBSCRIPTION_NONE;
}

static void leave_open(struct relay *r, struct session *s)
{
    if (s->is_open)
        TAILQ_REMOVE(&r->open, s, in_open);
    s->is_open = false;
}

/* Drops its log, and all that goes with one. */
static void drop_log(struct relay *r, struct session *s)
{
    catchup_abandon(r, s);
    acks_forget(r, s);
    delivery_forget(r, s);
    leave_open(r, s);
    log_trim(&s->log, s->log.next_seq);
    unsubscribe(r, s);
    s->has_log = s->has_left = s->is_forgotten = s->has_listeners = false;
    s->was_claimed = false;
    s->placed_ms = 0;
    s->owned_ms = s->heard_ms = 0;
    s->start_seq = s->node_seq = 0;
}

static void forget(struct relay *r, struct session *s)
{
    drop_log(r, s);
    expire_never(r, s);
    session_remove(&r->sessions, s);
}

void lifetime_open(struct relay *r, struct session *s)
{
    expire_never(r, s);
    s->has_log = true;
    if (!s->is_open)
        TAILQ_INSERT_TAIL(&r->open, s, in_open);
    s->is_open = true;
    lifetime_subscribe(r, s);
}

void lifetime_close(struct relay *r, struct session *s, uint64_t now_ms)
{
    leave_open(r, s);
    acks_rest(r, s, now_ms);
    expire_later(r, s, now_ms);
    r->has_idle_logs = true;
    if (!s->has_log)
        lifetime_remember(r, s, now_ms);
}

void lifetime_remember(struct relay *r, struct session *s, uint64_t now_ms)
{
    if (!TAILQ_EMPTY(&s->cursors))
        return;
    if (s->is_executing)
        expire_later(r, s, now_ms);
    else
        forget(r, s);
}

void lifetime_give_away(struct relay *r, struct session *s)
{
    drop_log(r, s);
    session_note_end(s, SPAN_NONE);
    if (TAILQ_EMPTY(&s->cursors))
        forget(r, s);
}

void lifetime_taken_over(struct relay *r, struct session *s, uint64_t now_ms)
{
    r->metrics.takeovers++;
    r->ports.journal->note(r->ports.journal, NOTE_TAKEN_OVER, session_sid(s));
    resume_silence(r, s, now_ms);
    lifetime_give_away(r, s);
}

/* Until Redis has answered, a later answer could be taken for that of a new session with this sid. */
static bool may_be_forgotten(const struct session *s)
{
    return s->subscription != SUBSCRIPTION_ASKED;
}

/* The first to be forgotten goes. False: there is none with anything to give. */
static bool give_up_idle(struct relay *r)
{
    struct session *s = NULL;
    if (r->has_idle_logs)
        TAILQ_FOREACH (s, &r->expiring, in_expiry)
            if (s->log.bytes > 0 && may_be_forgotten(s))
                break;
    r->has_idle_logs = s != NULL;
    if (!s)
        return false;
    acks_store_now(r, s);
    r->metrics.given_up++;
    r->ports.journal->note(r->ports.journal, NOTE_GIVEN_UP, session_sid(s));
    forget(r, s);
    return true;
}

static bool is_over_memory(const struct relay *r)
{
    return r->config.memory_bytes > 0 && r->sessions.logs.bytes > r->config.memory_bytes;
}

void lifetime_bound_memory(struct relay *r)
{
    while (is_over_memory(r) && give_up_idle(r))
        ;
}

void lifetime_bound_log(struct relay *r, struct session *s)
{
    while (is_over_memory(r) && log_give_up_oldest(&s->log))
        ;
}

void lifetime_expire(struct relay *r, uint64_t now_ms)
{
    struct session *s;
    while ((s = TAILQ_FIRST(&r->expiring)) && now_ms >= s->expires_at_ms) {
        if (may_be_forgotten(s))
            forget(r, s);
        else
            expire_later(r, s, now_ms);
    }
}

uint64_t lifetime_next_ms(const struct relay *r)
{
    return TAILQ_EMPTY(&r->expiring) ? UINT64_MAX : TAILQ_FIRST(&r->expiring)->expires_at_ms;
}
