/* The operations address: / (the inspector), /live, /ready, /metrics. */
#ifndef HTTP_OPS_H
#define HTTP_OPS_H

#include <uv.h>

#include "adapters/process/logger.h"
#include "config/options.h"
#include "relay/metrics.h"

struct ops;

/* What it asks the program. Embedded by whoever answers. */
struct ops_source {
    /* NULL when ready; else why not, in a line of text without a newline. */
    const char *(*not_ready)(struct ops_source *self);
    /* The figures, gauges brought up to date. Borrowed. */
    const struct metrics *(*metrics)(struct ops_source *self);
    /* A connection has given way to a newer one, since all places were taken. */
    void (*count_evicted)(struct ops_source *self);
};

/* Listens on options->ops_listen, which must not be empty. All is borrowed for its life. NULL, and *error a
 * negative errno-valued code, when it cannot. */
struct ops *ops_open(uv_loop_t *loop, const struct options *options, struct logger *logger,
                     struct ops_source *source, int *error);

/* Closes it and its connections. The memory is freed when the loop has closed the last handle. */
void ops_close(struct ops *o);

#endif
