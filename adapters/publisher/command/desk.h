/* The desk: publishers, and waiting for whatever comes first: Redis, a time, standard input, a signal to stop. Says once
 * that Redis is away, and once that it is back; what Redis refuses, each thing once until another is. */
#ifndef COMMAND_DESK_H
#define COMMAND_DESK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapters/publisher/comfy_publisher.h"
#include "adapters/publisher/command/arguments.h"

#define DESK_GOODBYE_MS 2000 /* that a signal leaves */

/* What was last said of a publisher. */
struct told {
    char why[COMFY_PUBLISHER_WHY_BYTES];
    uint64_t errors; /* that there were then */
    bool is_away;    /* its Redis */
};

struct desk {
    struct comfy_publisher **publishers; /* owned */
    struct told *told;                   /* owned; of each */
    struct pollfd *waits;                /* owned; for each publisher, the signals, standard input */
    size_t count;
    int signals; /* a signalfd */
    bool is_stopped;
    uint64_t stop_ms; /* when all must have ended; UINT64_MAX until a signal has come */
};

/* Opens a publisher for each worker. 0, or -1: said why; in any case desk_close() follows. */
int desk_open(struct desk *d, const struct arguments *a);
/* Waits until all is published, for at most so long, or DESK_GOODBYE_MS from a signal on; then the workers say goodbye, within
 * the same time. 0, or -1: something was not published or not stored, and that was said. */
int desk_close(struct desk *d, uint64_t timeout_ms);

/* Waits until `when_ms` (UINT64_MAX: for ever) at the latest, doing what the publishers have to do. With `reads_input` also
 * until standard input has something: then the result is true. */
bool desk_wait(struct desk *d, uint64_t when_ms, bool reads_input);

/* Says what a publisher's last call failed for; `where` it was, a text to begin with. */
void desk_complain(const struct desk *d, size_t publisher, const char *where);

#endif
