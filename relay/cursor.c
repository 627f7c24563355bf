#include "relay/cursor.h"

#include <errno.h>

#include "relay/session.h"

static struct frame *frame_for(struct cursor *c, struct log_entry *e)
{
    bool has_two_forms = e->frame->picture_at > 0;
    return has_two_forms && !c->wants_metadata ? log_without_metadata(&c->session->log, e) : e->frame;
}

int cursor_peek(struct cursor *c, struct frame **frames, int max)
{
    int n = 0;
    if (c->state != CURSOR_LIVE)
        return 0;
    while (n < c->own_count && n < max) {
        frames[n] = c->own[n];
        n++;
    }
    uint64_t seq = c->seq;
    struct log_entry *e;
    while (n < max && (e = log_at(&c->session->log, seq))) {
        frames[n] = frame_for(c, e);
        if (!frames[n])
            return n > 0 ? n : -ENOMEM;
        seq = e->seq + 1;
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

void cursor_take(struct cursor *c, int n)
{
    for (; n > 0 && c->own_count > 0; n--)
        take_own(c);
    for (; n > 0; n--)
        c->seq = log_at(&c->session->log, c->seq)->seq + 1;
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
