/* The signals that the program is run by. */
#ifndef PROCESS_SIGNALS_H
#define PROCESS_SIGNALS_H

#include <uv.h>

struct signals;

/* Called from the loop, never from a signal handler. */
struct signals_listener {
    void (*on_stop)(struct signals_listener *self);   /* SIGTERM or SIGINT, each time */
    void (*on_reload)(struct signals_listener *self); /* SIGHUP */
};

/* Listens to SIGTERM, SIGINT and SIGHUP, also as process 1 and when they were ignored or blocked by the
 * parent, and ignores SIGPIPE. The listener is borrowed. NULL, and *error a negative errno-valued code, when
 * it cannot. */
struct signals *signals_open(uv_loop_t *loop, struct signals_listener *listener, int *error);

/* Stops listening at once. The memory is freed when the loop has closed the last handle. */
void signals_close(struct signals *s);

#endif
