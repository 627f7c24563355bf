/* The backlog: posts that Redis has not answered, in their order.
 *
 *     oldest ....... answering ........ next ............... newest
 *            passed            in flight      not sent: of next, `sent` bytes are
 *
 * An answer is for `answering`. It is done with, or passed over: to be sent again, after backlog_rewind(). */
#ifndef PUBLISHER_BACKLOG_H
#define PUBLISHER_BACKLOG_H

#include <sys/uio.h>

#include "adapters/publisher/post.h"

struct backlog {
    TAILQ_HEAD(, post) posts; /* owned */
    struct post *answering;   /* NULL: nothing is in flight and all is sent */
    struct post *next;        /* NULL: all is sent */
    size_t sent;
    size_t count;
    size_t bytes;
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

/* Something was sent, at least in part, and has no answer. */
static inline bool backlog_is_in_flight(const struct backlog *b)
{
    return b->answering != b->next || b->sent > 0;
}

/* What is to be sent next, at most so many pieces; how many they are. With `only_begun`, only the rest of what was begun. */
size_t backlog_gather(const struct backlog *b, struct iovec *pieces, size_t most, bool only_begun);
void backlog_sent(struct backlog *b, size_t bytes);

/* An answer has come; something must be in flight. Done frees the post. */
void backlog_done(struct backlog *b);
void backlog_pass(struct backlog *b);

/* All of it is to be sent, from the oldest on: what was in flight will not be answered, or was passed over. */
void backlog_rewind(struct backlog *b);

#endif
