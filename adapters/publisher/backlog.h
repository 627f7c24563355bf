/* The backlog: posts that Redis has not answered, in their order.
 *
 *     oldest ............... next ............... newest
 *            in flight            not sent: of next, `sent` bytes are
 *
 * An answer is for the oldest. */
#ifndef PUBLISHER_BACKLOG_H
#define PUBLISHER_BACKLOG_H

#include <sys/uio.h>

#include "adapters/publisher/post.h"

struct backlog {
    TAILQ_HEAD(, post) posts; /* owned */
    struct post *next;        /* NULL: all is sent */
    size_t sent;
    size_t count;
    size_t bytes;
    size_t unsent; /* of these; what is not sent */
    size_t events;
};

void backlog_init(struct backlog *b);
void backlog_deinit(struct backlog *b);

void backlog_add(struct backlog *b, struct post *take_post);

static inline bool backlog_is_empty(const struct backlog *b)
{
    return b->count == 0;
}

static inline bool backlog_has_unsent(const struct backlog *b)
{
    return b->next != NULL;
}

/* A whole post was sent, and has no answer. */
static inline bool backlog_awaits_answer(const struct backlog *b)
{
    return TAILQ_FIRST(&b->posts) != b->next;
}

/* Something was sent, at least in part, and has no answer. */
static inline bool backlog_is_in_flight(const struct backlog *b)
{
    return backlog_awaits_answer(b) || b->sent > 0;
}

/* What is to be sent next, at most so many pieces; how many they are. */
size_t backlog_gather(const struct backlog *b, struct iovec *pieces, size_t most);
void backlog_sent(struct backlog *b, size_t bytes);

/* How much of the oldest is still on its way out, when so many of the bytes that were sent are. */
size_t backlog_on_its_way(const struct backlog *b, size_t waiting);

/* The oldest was answered; one must be awaiting that. Frees it. */
void backlog_done(struct backlog *b);

/* All of it is to be sent, from the oldest on: what was in flight will not be answered. */
void backlog_rewind(struct backlog *b);

/* Frees the oldest, which will not be answered; nothing may be in flight. */
void backlog_give_up(struct backlog *b);

#endif
