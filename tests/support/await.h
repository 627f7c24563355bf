/* Runs a loop until something has come to pass. */
#ifndef SUPPORT_AWAIT_H
#define SUPPORT_AWAIT_H

#include <stdbool.h>
#include <uv.h>

#define AWAIT_MS 60000 /* a bound for a hanging test, not a measure: the machine may be busy */

/* True as soon as is_done(arg) is; false after AWAIT_MS, or when the loop has nothing more to do. */
bool await(uv_loop_t *loop, bool (*is_done)(void *arg), void *arg);

/* Runs the loop until every handle is closed, and closes it. False when handles are left after AWAIT_MS. */
bool await_end(uv_loop_t *loop);

#endif
