/* The relay's clock: calls relay_tick() when relay_next_ms() says so, and tells it what time it is for people. */
#ifndef PROCESS_TICKER_H
#define PROCESS_TICKER_H

#include <uv.h>

#include "relay/relay.h"

struct ticker;

/* Time is uv_now(), which is also what the other edges give to the relay. The relay is borrowed. NULL: no
 * memory. */
struct ticker *ticker_open(uv_loop_t *loop, struct relay *relay);

/* Stops at once. The memory is freed when the loop has closed the last handle. */
void ticker_close(struct ticker *t);

#endif
