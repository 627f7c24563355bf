#include "adapters/publisher/backlog.h"

#include <assert.h>

void backlog_init(struct backlog *b)
{
    *b = (struct backlog){0};
    TAILQ_INIT(&b->posts);
}

void backlog_deinit(struct backlog *b)
{
    struct post *p;
    while ((p = TAILQ_FIRST(&b->posts))) {
        TAILQ_REMOVE(&b->posts, p, in_backlog);
        post_free(p);
    }
    backlog_init(b);
}

void backlog_add(struct backlog *b, struct post *take_post)
{
    TAILQ_INSERT_TAIL(&b->posts, take_post, in_backlog);
    b->count++;
    b->bytes += take_post->len;
    b->unsent += take_post->len;
    b->events += take_post->is_event;
    if (!b->next)
        b->next = take_post;
}

size_t backlog_gather(const struct backlog *b, struct iovec *pieces, size_t most)
{
    size_t n = 0, skip = b->sent;
    for (struct post *p = b->next; p && n < most; p = TAILQ_NEXT(p, in_backlog)) {
        pieces[n++] = (struct iovec){p->bytes + skip, p->len - skip};
        skip = 0;
    }
    return n;
}

void backlog_sent(struct backlog *b, size_t bytes)
{
    b->sent += bytes;
    b->unsent -= bytes;
    while (b->next && b->sent >= b->next->len) {
        b->sent -= b->next->len;
        b->next = TAILQ_NEXT(b->next, in_backlog);
    }
}

size_t backlog_on_its_way(const struct backlog *b, size_t waiting)
{
    const struct post *oldest = TAILQ_FIRST(&b->posts);
    size_t behind = b->bytes - oldest->len;
    size_t left = b->unsent + waiting > behind ? b->unsent + waiting - behind : 0;
    return left < oldest->len ? left : oldest->len;
}

void backlog_done(struct backlog *b)
{
    struct post *p = TAILQ_FIRST(&b->posts);
    assert(p != b->next);
    TAILQ_REMOVE(&b->posts, p, in_backlog);
    b->count--;
    b->bytes -= p->len;
    b->events -= p->is_event;
    post_free(p);
}

void backlog_rewind(struct backlog *b)
{
    b->next = TAILQ_FIRST(&b->posts);
    b->sent = 0;
    b->unsent = b->bytes;
}

void backlog_give_up(struct backlog *b)
{
    assert(!backlog_is_in_flight(b));
    backlog_sent(b, b->next->len);
    backlog_done(b);
}
