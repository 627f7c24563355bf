/* The other side of the operations address: what `comfy-relay --health` asks, for a container that has no shell and
 * no client of HTTP. */
#ifndef HTTP_HEALTH_H
#define HTTP_HEALTH_H

#include <stdio.h>

/* Asks the relay that listens on `ops_listen` for /live and writes one line to `out`: 0. When it does not answer 200,
 * or `ops_listen` is empty: 1, and the line in `err` says why. Blocks, each of two questions for HEALTH_TIMEOUT_S at
 * the most, from connecting to the end of the answer. A host that has to be looked up elsewhere than in /etc/hosts
 * takes its resolver's time, too.
 *
 * /ready is told in the line only. Whoever reads the exit code restarts what is not healthy: that would cut all
 * clients for a Redis that is away, which they need not notice, and bring no Redis back. */
int health_ask(const char *ops_listen, FILE *out, FILE *err);

#define HEALTH_TIMEOUT_S 2

#endif
