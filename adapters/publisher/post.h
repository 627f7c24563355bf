/* A post: one command for Redis, as it goes over the wire, from when it is made until Redis has answered it. */
#ifndef PUBLISHER_POST_H
#define PUBLISHER_POST_H

#include <sys/queue.h>

#include "relay/span.h"

struct post {
    TAILQ_ENTRY(post) in_backlog;
    bool is_event;
    char *bytes; /* owned */
    size_t len;
};

/* A command of at most 16 arguments, copied. NULL: no memory. */
struct post *post_new(const struct span *args, size_t count);
void post_free(struct post *p);

#endif
