/* The WebSocket server: listeners, and the connections they accept, from the upgrade request to the close. */
#ifndef WEBSOCKET_SERVER_H
#define WEBSOCKET_SERVER_H

#include <uv.h>

#include "adapters/process/logger.h"
#include "config/options.h"
#include "relay/relay.h"

struct server;

/* Options, loop and logger are borrowed for its life. NULL when there is no memory. */
struct server *server_new(uv_loop_t *loop, const struct options *options, struct logger *logger);

struct sockets *server_sockets(struct server *s);

/* Listens on every address of options->listen. 0, or a negative errno-valued code: then *where is the address
 * at fault (owned by the server). */
int server_open(struct server *s, struct relay *relay, const char **where)
    __attribute__((warn_unused_result));

/* Options have changed in place (SIGHUP). 0; or -ENOMEM, and the features are those from before. */
int server_reload(struct server *s) __attribute__((warn_unused_result));

/* Brings the gauges of connections up to date: their memory and their limit, what they have not taken, draining. */
void server_measure(const struct server *s, struct metrics *m);

/* Refuses upgrades with 503 from now on and closes the sockets with 1012, evenly over options->drain_time_ms. Where
 * options->listen_shared, it does not listen any more: other processes do.
 * Calls on_drained once, when none is left; with none at all, from within. */
void server_drain(struct server *s, void (*on_drained)(void *arg), void *arg);
bool server_is_draining(const struct server *s);

/* Closes listeners and sockets at once. The memory is freed when the loop has closed the last handle. */
void server_close(struct server *s);

#endif
