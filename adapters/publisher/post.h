/* A post: one command for Redis, as it goes over the wire, from when it is made until Redis has answered it. */
#ifndef PUBLISHER_POST_H
#define PUBLISHER_POST_H

#include <sys/queue.h>

#include "relay/span.h"

struct post {
    TAILQ_ENTRY(post) in_backlog;
    bool is_event;
    size_t len;
    uint8_t bytes[];
};

/* A command of these arguments, copied. NULL: no memory. */
struct post *post_new(const struct span *args, size_t count);
void post_free(struct post *p);

#endif
