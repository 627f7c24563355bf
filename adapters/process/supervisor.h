/* Tells systemd, or who else supervises the process, how it is (sd_notify(3)): that it is ready, reloads or stops, a line
 * for people, and that its loop still turns.
 *
 *     supervisor_open() ── supervisor_ready() ──┬── supervisor_reloading(), supervisor_ready() ──┬── supervisor_stopping()
 *                                               └────────────────────◀───────────────────────────┘
 *
 * Each datagram from supervisor_ready() on tells the whole state, so that one that could not be sent is made up for by the
 * next. They come from a timer of the loop: when the line has changed, at the latest after half of WATCHDOG_USEC, and all the time while
 * it stops, since each asks for more time to do that (EXTEND_TIMEOUT_USEC). A loop that hangs says nothing, and is seen to. */
#ifndef PROCESS_SUPERVISOR_H
#define PROCESS_SUPERVISOR_H

#include <uv.h>

#include "adapters/process/logger.h"
#include "relay/relay.h"

#define SUPERVISOR_LOOK_MS \
    1000 /* how often the line is looked at; or half of WATCHDOG_USEC, where that is less */
#define SUPERVISOR_EXTEND_MS 10000 /* while it stops: how much longer, from each datagram on */

struct supervisor;

/* Why it is not ready, in a line of text that holds until the next call; NULL: it is. */
typedef const char *supervisor_not_ready(void *arg);

/* Nothing is sent yet. Relay and logger are borrowed for its life. NULL: nobody supervises (no NOTIFY_SOCKET in the
 * environment), or nobody can be told, which is logged; the others below do nothing then. */
struct supervisor *supervisor_open(uv_loop_t *loop, const struct relay *relay, struct logger *logger,
                                   supervisor_not_ready *not_ready, void *arg);

/* It listens; or it has reloaded. */
void supervisor_ready(struct supervisor *s);
void supervisor_reloading(struct supervisor *s);
void supervisor_stopping(struct supervisor *s);

/* Says nothing more. The memory is freed when the loop has closed the timer. */
void supervisor_close(struct supervisor *s);

#endif
