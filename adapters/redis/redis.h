/* Redis: the relay's source of events, its subscriptions, what is kept of sessions, and the registry of workers.
 *
 * Two connections to one server: one that only subscribes, one for commands. Each reconnects by itself, with
 * jittered back-off; everything it must know again it asks the core for. */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include <uv.h>

#include "adapters/process/logger.h"
#include "config/options.h"
#include "relay/relay.h"

struct redis;

#define REDIS_WHY_BYTES 512

/* Reads URL and password file. Nothing is connected yet. NULL when something is wrong: `why` then tells a
 * person. The options, the loop and the logger are borrowed for its life. */
struct redis *redis_new(uv_loop_t *loop, const struct options *options, struct logger *logger,
                        char why[REDIS_WHY_BYTES]);

struct channels *redis_channels(struct redis *r);
struct archive *redis_archive(struct redis *r);
struct registry *redis_registry(struct redis *r);

/* Begins to connect, and goes on until redis_close(). */
void redis_open(struct redis *r, struct relay *relay);

/* NULL: subscribed to the events channel and to every session's, and what was missed before is read. Else why not, in
 * a line of text with the last error; it holds until the next call. */
const char *redis_why_not_ready(struct redis *r);

/* Brings the gauges of Redis up to date: the two connections, what is sent and awaited. */
void redis_measure(struct redis *r, struct metrics *m);

/* Waits until what was sent is answered, for a second at most: then on_done, later, and not after redis_close(). */
void redis_finish(struct redis *r, void (*on_done)(void *arg), void *arg);

/* Closes both connections, at once. The memory is freed when the loop has closed the last handle. */
void redis_close(struct redis *r);

#endif
