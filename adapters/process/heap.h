/* The allocator: what it has given out, and what it keeps though it is free.
 *
 *     in use   peak ▁▂▅█▇▅▃ ──fallen by a quarter, and by 4 MiB──▶ malloc_trim(), and the peak is what is in use now
 *
 * What thousands of connections or a large log have left behind goes back to the system then, which holds up the loop for some
 * 0.1 ms for each MiB: no reason to do it for less, or more often. Looked at every few
 * seconds, by a timer that does not keep the loop alive. */
#ifndef PROCESS_HEAP_H
#define PROCESS_HEAP_H

#include <uv.h>

#include "relay/relay.h"

#define HEAP_LOOK_MS    5000 /* how often it is looked at */
#define HEAP_FALL_BYTES ((size_t)4 << 20)

/* Bytes of all blocks that are allocated, with what the allocator adds to each; 0: it does not tell (musl). */
size_t heap_allocated_bytes(void);
/* Bytes that it keeps for later: some of them are given back to the system already. Likewise. */
size_t heap_free_bytes(void);

/* True when so much has become free since the peak that it is worth giving back. *peak is what is in use then, and where
 * more is in use than before. */
bool heap_has_fallen(size_t *peak, size_t in_use);

struct heap;

/* Watches how much the relay holds; what it gives back is counted in the relay's metrics. The relay is borrowed for its
 * life. NULL: no memory. */
struct heap *heap_open(uv_loop_t *loop, struct relay *relay, uint64_t look_ms);
/* The memory is freed when the loop has closed the timer. */
void heap_close(struct heap *h);

#endif
