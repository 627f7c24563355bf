#include "relay/cursor.h"

#include <assert.h>
#include <errno.h>

#include "relay/session.h"

static struct frame *frame_for(struct cursor *c, struct log_entry *e)
{
    bool has_two_forms = e->frame->picture_at > 0;
    return has_two_forms && !c->wants_metadata ? log_without_metadata(&c->session->log, e) : e->frame;
}

/* The first from this one on that is for it, or NULL. */
static struct log_entry *step_over(const struct cursor *c, struct log_entry *e)
{
    while (e && e->place.is_transient && e->seq < c->live_from)
        e = log_after(&c->session->log, e);
    return e;
}

static struct log_entry *entry_from(const struct cursor *c, uint64_t seq)
{
    return step_over(c, log_at(&c->session->log, seq));
}

static struct log_entry *entry_after(const struct cursor *c, const struct log_entry *e)
{
    return step_over(c, log_after(&c->session->log, e));
}

bool cursor_has_replay(const struct cursor *c, uint64_t seq)
{
    const struct log_entry *e = entry_from(c, seq);
    return e && e->seq < c->live_from;
}

/* What its own session must not lose. */
static bool is_kept_entry(const struct log_entry *e)
{
    return e->place.key == 0 && !e->place.is_transient;
}

int cursor_peek(struct cursor *c, struct frame **frames, int max, bool *is_kept)
{
    int n = 0;
    *is_kept = false;
    if (c->state != CURSOR_LIVE && c->state != CURSOR_HELD)
        return 0;
    while (n < c->own_count && n < max) {
        frames[n] = c->own[n];
        n++;
    }
    struct log_entry *e = c->state == CURSOR_LIVE && n < max ? entry_from(c, c->seq) : NULL;
    for (; e && n < max; e = entry_after(c, e)) {
        frames[n] = frame_for(c, e);
        if (!frames[n])
            return n > 0 ? n : -ENOMEM;
        *is_kept = *is_kept || is_kept_entry(e);
        n++;
    }
    return n;
}

static void take_own(struct cursor *c)
{
    frame_unref(c->own[0]);
    c->own_count--;
    memmove(c->own, c->own + 1, c->own_count * sizeof c->own[0]);
}

static void take_entry(struct cursor *c, const struct log_entry *e)
{
    c->seq = e->seq + 1;
    if (!stream_id_is_none(e->place.id))
        c->last = e->place.id;
    if (is_kept_entry(e))
        c->kept = c->seq;
}

/* Entries one after the other that were published in the same millisecond: counted together. */
struct lag_run {
    uint32_t published_ms; /* 0: their lag is not counted */
    int left;              /* entries that were left to take when it began */
};

static void count_lag(struct lag_run run, int left, struct metrics *m, uint64_t now_ms)
{
    int32_t lag = (int32_t)((uint32_t)now_ms - run.published_ms);
    if (run.published_ms != 0)
        histogram_add(&m->delivery_lag, lag > 0 ? (uint64_t)lag : 0, (uint64_t)(run.left - left));
}

static void take_entries(struct cursor *c, int n, struct metrics *m, uint64_t now_ms)
{
    struct lag_run run = {0, n};
    uint64_t live_from = c->live_from, latest = 0;
    const struct log_entry *e = entry_from(c, c->seq);
    for (int left = n; left > 0; left--, e = entry_after(c, e)) {
        assert(e); /* n are not more than cursor_peek() has shown */
        bool is_replay = e->seq < live_from;
        uint32_t published_ms = is_replay ? 0 : e->place.published_ms;
        if (published_ms != run.published_ms) {
            count_lag(run, left, m, now_ms);
            run = (struct lag_run){published_ms, left};
        }
        m->replayed += is_replay;
        latest += e->place.key != 0;
        take_entry(c, e);
    }
    count_lag(run, 0, m, now_ms);
    m->sent[CLASS_LATEST] += latest;
    m->sent[CLASS_KEEP] += (uint64_t)n - latest;
}

void cursor_take(struct cursor *c, int n, struct metrics *m, uint64_t now_ms)
{
    for (; n > 0 && c->own_count > 0; n--) {
        m->sent[CLASS_OWN]++;
        take_own(c);
    }
    if (n > 0)
        take_entries(c, n, m, now_ms);
}

int cursor_push(struct cursor *c, struct frame *take_frame)
{
    if (c->own_count == CURSOR_OWN_MAX) {
        frame_unref(take_frame);
        return -ENOBUFS;
    }
    c->own[c->own_count++] = take_frame;
    return 0;
}

void cursor_drop_own(struct cursor *c)
{
    while (c->own_count > 0)
        take_own(c);
}
