#include "relay/delivery.h"

#include "relay/hash.h"

void delivery_mark(struct relay *r, struct session *s)
{
    if (s->is_dirty)
        return;
    s->is_dirty = true;
    TAILQ_INSERT_TAIL(&r->dirty, s, in_dirty);
}

void delivery_forget(struct relay *r, struct session *s)
{
    if (!s->is_dirty)
        return;
    s->is_dirty = false;
    TAILQ_REMOVE(&r->dirty, s, in_dirty);
}

void delivery_trim(struct session *s)
{
    if (s->log.count > 0)
        log_trim(&s->log, session_needed_from(s));
}

/* A socket that fell behind the trimmed end goes on from the oldest that is held. */
static void count_gap(struct relay *r, struct cursor *c)
{
    if (c->seq >= c->session->log.trimmed_to)
        return;
    c->seq = c->session->log.trimmed_to;
    r->metrics.replay_gaps++;
}

static void write_cursor(struct relay *r, struct cursor *c)
{
    if (c->state != CURSOR_LIVE || c->is_blocked)
        return;
    count_gap(r, c);
    r->ports.sockets->write(r->ports.sockets, c);
}

void delivery_write(struct relay *r, struct session *s)
{
    struct cursor *c;
    delivery_forget(r, s);
    TAILQ_FOREACH (c, &s->cursors, in_session)
        write_cursor(r, c);
    delivery_trim(s);
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
    if (is_full && s->log.live > 0)
        delivery_write(r, s);
}

struct place delivery_place(const struct relay *r, const struct event *e)
{
    struct place p = {.key = event_conflation_key(e, r->sessions.seed)};
    if (p.key != 0 && e->prompt.len > 0)
        p.prompt = hash_bytes(e->prompt, r->sessions.seed);
    return p;
}

void delivery_append(struct relay *r, struct session *s, struct place p, struct frame *take_frame)
{
    bool replaced = false;
    delivery_before_loss(r, s, log_find_key(&s->log, p.key));
    before_trim(r, s, take_frame->len);
    if (log_append(&s->log, take_frame, p.key, p.prompt, &r->config.log, &replaced) < 0)
        r->metrics.out_of_memory++;
    r->metrics.conflated += replaced;
    delivery_mark(r, s);
}
