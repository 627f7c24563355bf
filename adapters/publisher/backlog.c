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
    while (b->next && b->sent >= b->next->len) {
        b->sent -= b->next->len;
        b->next = TAILQ_NEXT(b->next, in_backlog);
    }
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
}
