/* The journal of the core, in the program's log: one line for each note, a few in a while. */
#ifndef PROCESS_JOURNAL_H
#define PROCESS_JOURNAL_H

#include <uv.h>

#include "adapters/process/logger.h"
#include "relay/ports.h"

struct log_journal {
    struct journal port; /* of the core */
    uv_loop_t *loop;
    struct logger *logger;
    struct log_limit limits[NOTES_COUNT]; /* each note has its own, so that a frequent one hides no other */
};

/* All pointers are borrowed for its life. */
void journal_init(struct log_journal *j, uv_loop_t *loop, struct logger *logger);

#endif
