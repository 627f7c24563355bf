#include "relay/status.h"

#include "relay/delivery.h"

#define TOLD_NOTHING (-1)

static void tell(struct relay *r, struct session *s, struct frame *borrowed)
{
    delivery_broadcast(r, s, PLACE_TRANSIENT, frame_ref(borrowed));
    s->told = r->workers.sum;
    s->status_is_fresh = s->is_ending;
}

/* One session, or one of its sockets, knows another number than the rest: compare each when it is due. */
static void note_difference(struct relay *r)
{
    if (r->told != r->workers.sum)
        r->told = TOLD_NOTHING;
}

static struct frame *make_frame(struct relay *r)
{
    struct frame *f = r->ports.codec->make_status(r->ports.codec, r->workers.sum, SPAN_NONE);
    r->metrics.out_of_memory += f == NULL;
    return f;
}

void status_tell(struct relay *r, struct session *s)
{
    struct frame *f = make_frame(r);
    if (!f)
        return;
    tell(r, s, f);
    frame_unref(f);
    note_difference(r);
}

void status_note_greeting(struct relay *r, struct session *s, bool is_only_one)
{
    if (is_only_one)
        s->told = r->workers.sum;
    else if (s->told != r->workers.sum)
        s->told = TOLD_NOTHING;
    note_difference(r);
}

static void tell_all(struct relay *r)
{
    struct session *s;
    struct frame *f = make_frame(r);
    if (!f)
        return;
    TAILQ_FOREACH (s, &r->open, in_open)
        if (s->told != r->workers.sum)
            tell(r, s, f);
    frame_unref(f);
    r->told = r->workers.sum;
}

uint64_t status_next_ms(const struct relay *r)
{
    return r->told == r->workers.sum ? UINT64_MAX : r->told_at_ms + r->config.status_interval_ms;
}

void status_update(struct relay *r, uint64_t now_ms)
{
    if (now_ms < status_next_ms(r))
        return;
    r->told_at_ms = now_ms; /* without memory too: it is tried again an interval later */
    tell_all(r);
}
