#include "relay/catchup.h"

#include <errno.h>
#include <stdlib.h>

void catchup_join_queue(struct relay *r, struct catchup *c)
{
    c->is_queued = true;
    if (c->is_first && c->back.count == 0)
        TAILQ_INSERT_TAIL(&r->queue, c, in_queue);
    else
        TAILQ_INSERT_HEAD(&r->queue, c, in_queue); /* whoever has begun is done sooner */
}

void catchup_leave_queue(struct relay *r, struct catchup *c)
{
    if (c->is_queued)
        TAILQ_REMOVE(&r->queue, c, in_queue);
    c->is_queued = false;
}

static void clear(struct catchup *c)
{
    aside_clear(&c->back);
    aside_clear(&c->on);
    aside_clear(&c->latest);
}

/* Back to its first question. */
static void reset(struct catchup *c)
{
    clear(c);
    c->ticket = 0;
    c->is_first = true;
    c->has_read_on = c->has_read_back = c->has_marker = c->is_whole = c->has_ack = false;
    c->has_joined = c->has_lost = c->is_gone = c->is_broken = c->is_short = false;
    c->read_to = STREAM_ID_NONE;
    if (c->why != CATCHUP_NEW)
        catchup_know_newest(c, c->session->newest);
    else if (c->has_newest)
        catchup_know_newest(c, c->newest);
}

void catchup_know_newest(struct catchup *c, struct stream_id id)
{
    c->has_newest = true;
    c->newest = c->from = id;
    c->first = stream_id_after(id);
    c->is_whole = stream_id_is_none(id);
    if (c->why == CATCHUP_NEW)
        c->read_to = id;
}

void catchup_forget_newest(struct catchup *c)
{
    c->has_newest = false;
    reset(c);
}

int catchup_begin(struct relay *r, struct session *s, enum catchup_why why)
{
    struct catchup *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->session = s;
    c->why = why;
    aside_init(&c->back);
    aside_init(&c->on);
    aside_init(&c->latest);
    aside_init(&c->live);
    reset(c);
    s->catchup = c;
    r->catching_up++;
    r->behind += why == CATCHUP_OUTAGE;
    return 0;
}

struct catchup *catchup_end(struct relay *r, struct session *s)
{
    struct catchup *c = s->catchup;
    catchup_leave_queue(r, c);
    s->catchup = NULL;
    r->catching_up--;
    r->behind -= c->why == CATCHUP_OUTAGE;
    return c;
}

void catchup_free(struct catchup *c)
{
    clear(c);
    aside_clear(&c->live);
    free(c);
}

void catchup_abandon(struct relay *r, struct session *s)
{
    if (s->catchup)
        catchup_free(catchup_end(r, s));
}

void catchup_restart(struct relay *r, struct session *s)
{
    struct catchup *c = s->catchup;
    catchup_leave_queue(r, c);
    r->behind += c->why == CATCHUP_CLAIM;
    if (c->why == CATCHUP_CLAIM)
        c->why = CATCHUP_OUTAGE;
    reset(c);
    aside_drop_kept(&c->live); /* it is read again, if Redis still has it */
}

/* What comes live */

bool catchup_is_full(const struct relay *r, const struct aside *a)
{
    return a->count >= r->config.log.events || a->bytes >= r->config.log.bytes;
}

/* One too many that is in Redis too is read from there. */
enum drop_reason catchup_put_aside(struct relay *r, struct session *s, struct span message,
                                   const struct event *e)
{
    struct catchup *c = s->catchup;
    uint64_t key = stream_id_is_none(e->id) ? event_conflation_key(e, r->sessions.seed) : 0;
    int error = catchup_is_full(r, &c->live) ? -ENOBUFS
                : key != 0                   ? aside_append_latest(&c->live, key, message)
                                             : aside_append(&c->live, e->id, message);
    if (error == 0)
        return DROP_NOTHING;
    if (stream_id_is_none(e->id))
        return DROP_NO_MEMORY;
    c->is_short = true;
    return DROP_NOTHING;
}

void catchup_put_frame_aside(struct relay *r, struct session *s, struct frame *take_frame, uint64_t key)
{
    struct catchup *c = s->catchup;
    if (catchup_is_full(r, &c->live))
        frame_unref(take_frame);
    else if (aside_append_frame(&c->live, take_frame, key) == 0)
        return;
    r->metrics.out_of_memory++;
}

size_t catchup_bytes(const struct catchup *c)
{
    return block_bytes(sizeof *c) + aside_bytes(&c->back) + aside_bytes(&c->on) + aside_bytes(&c->latest) +
           aside_bytes(&c->live);
}
