#include "relay/delivery.h"

#include "relay/catchup.h"
#include "relay/hash.h"

static struct session_list *list_of(struct relay *r, enum pending pending)
{
    return pending == PENDING_COMPANY ? &r->company : &r->dirty;
}

static void enter(struct relay *r, struct session *s, enum pending pending)
{
    if (s->pending != PENDING_NOTHING)
        TAILQ_REMOVE(list_of(r, s->pending), s, in_pending);
    s->pending = pending;
    if (pending != PENDING_NOTHING)
        TAILQ_INSERT_TAIL(list_of(r, pending), s, in_pending);
}

void delivery_mark(struct relay *r, struct session *s)
{
    if (s->pending != PENDING_NOW)
        enter(r, s, PENDING_NOW);
}

static void mark_appended(struct relay *r, struct session *s, bool may_wait)
{
    if (!may_wait)
        delivery_mark(r, s);
    else if (s->pending == PENDING_NOTHING)
        enter(r, s, PENDING_LATEST);
}

void delivery_forget(struct relay *r, struct session *s)
{
    enter(r, s, PENDING_NOTHING);
}

/* Transient entries go as soon as those who were there have them, so that a log is filled by its own session only. */
static uint64_t sent_to_all(const struct session *s)
{
    uint64_t seq = s->log.next_seq;
    const struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session) {
        uint64_t from = c->state == CURSOR_LIVE ? c->seq : c->live_from;
        if (c->state != CURSOR_SILENT && from < seq)
            seq = from;
    }
    return seq;
}

void delivery_trim(struct session *s)
{
    if (s->log.count == 0)
        return;
    log_trim(&s->log, session_needed_from(s));
    log_sweep(&s->log, sent_to_all(s));
}

static void note_gap(struct relay *r, const struct cursor *c)
{
    r->metrics.replay_gaps++;
    r->ports.journal->note(r->ports.journal, NOTE_GAP, session_sid(c->session));
}

/* A socket that fell behind the trimmed end goes on from the oldest that is held. */
static void skip_trimmed(struct relay *r, struct cursor *c)
{
    if (c->state != CURSOR_LIVE || c->seq >= c->session->log.trimmed_to)
        return;
    c->seq = c->session->log.trimmed_to;
    note_gap(r, c);
}

static void write_cursor(struct relay *r, struct cursor *c)
{
    bool is_written = c->state == CURSOR_LIVE || c->state == CURSOR_HELD;
    if (!is_written || c->is_blocked)
        return;
    skip_trimmed(r, c);
    uint64_t from = c->seq, gap = c->session->log.gap_seq;
    r->ports.sockets->write(r->ports.sockets, c);
    if (gap > 0 && from <= gap && c->seq > gap)
        note_gap(r, c);
}

void delivery_write(struct relay *r, struct session *s)
{
    struct cursor *c;
    delivery_forget(r, s);
    TAILQ_FOREACH (c, &s->cursors, in_session)
        write_cursor(r, c);
    delivery_trim(s);
}

static void wait_for_company(struct relay *r, struct session *s, uint64_t now_ms)
{
    s->write_at_ms = now_ms + r->config.coalesce_ms;
    enter(r, s, PENDING_COMPANY);
}

bool delivery_flush(struct relay *r, struct session *s, uint64_t now_ms)
{
    if (s->pending == PENDING_LATEST && r->config.coalesce_ms > 0) {
        wait_for_company(r, s, now_ms);
        return false;
    }
    delivery_write(r, s);
    return true;
}

void delivery_tick(struct relay *r, uint64_t now_ms)
{
    while (delivery_next_ms(r) <= now_ms)
        delivery_mark(r, TAILQ_FIRST(&r->company));
}

uint64_t delivery_next_ms(const struct relay *r)
{
    return TAILQ_EMPTY(&r->company) ? UINT64_MAX : TAILQ_FIRST(&r->company)->write_at_ms;
}

void delivery_resume(struct relay *r, struct cursor *c)
{
    write_cursor(r, c);
    delivery_trim(c->session);
}

static bool is_awaited(const struct session *s, uint64_t seq)
{
    const struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session)
        if (c->state == CURSOR_LIVE && !c->is_blocked && c->seq <= seq)
            return true;
    return false;
}

void delivery_before_loss(struct relay *r, struct session *s, uint64_t seq)
{
    if (seq > 0 && is_awaited(s, seq))
        delivery_write(r, s);
}

/* Over its limits the log loses its oldest entries. */
static void before_trim(struct relay *r, struct session *s, size_t more_bytes)
{
    bool is_full = s->log.live >= r->config.log.events || s->log.bytes + more_bytes > r->config.log.bytes;
    if (is_full && s->log.live > 0 && is_awaited(s, log_at(&s->log, 0)->seq))
        delivery_write(r, s);
}

/* Read from Redis, or without a ts: 0. */
static uint32_t published_ms(const struct relay *r, const struct event *e)
{
    uint32_t ms = (uint32_t)(e->ts_ms - r->unix_ms);
    return e->ts_ms == 0 ? 0 : ms == 0 ? 1 : ms;
}

/* One that does not say which prompt it is of, as a preview without metadata, is of the one that executes. */
struct place delivery_place(const struct relay *r, const struct session *s, const struct event *e)
{
    struct place p = {.key = event_conflation_key(e, r->sessions.seed),
                      .id = e->id,
                      .is_transient = !s,
                      .published_ms = published_ms(r, e)};
    struct span prompt = e->prompt.len > 0 || !s ? e->prompt : session_prompt(s);
    if (p.key != 0 && prompt.len > 0)
        p.prompt = hash_bytes(prompt, r->sessions.seed);
    return p;
}

uint64_t delivery_append(struct relay *r, struct session *s, struct place p, struct frame *take_frame)
{
    bool replaced = false;
    size_t bytes = take_frame->len;
    delivery_before_loss(r, s, log_find_key(&s->log, p.key));
    before_trim(r, s, bytes);
    if (log_append(&s->log, take_frame, p, &r->config.log, &replaced) < 0) {
        r->metrics.out_of_memory++;
        return 0;
    }
    r->metrics.conflated += replaced;
    r->has_idle_logs = r->has_idle_logs || s->is_expiring;
    mark_appended(r, s, p.key != 0 && bytes <= DELIVERY_SMALL_BYTES);
    return s->log.next_seq - 1;
}

void delivery_broadcast(struct relay *r, struct session *s, struct place p, struct frame *take_frame)
{
    if (s->catchup)
        catchup_put_frame_aside(r, s, take_frame, p.key);
    else
        delivery_append(r, s, p, take_frame);
}
