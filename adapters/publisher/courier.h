/* The courier: brings the backlog to Redis, over one connection after the other.
 *
 *     AWAY --retry_ms--> CONNECTING --made--> GREETING --all answered--> AT_WORK
 *       ^                                                                   |
 *       +------------- lost, refused, silent: from any of them -------------+
 *
 * It greets with AUTH, SELECT and PING; nothing else is sent before all of these are answered well, for of posts that are
 * under way together, an unready Redis may refuse the first and take the next.
 *
 * When it ends the connection before it has answered a single post, the oldest goes alone; when it does so again and
 * again, it is for that post (proto-max-bulk-len), which is given up. */
#ifndef PUBLISHER_COURIER_H
#define PUBLISHER_COURIER_H

#include "adapters/publisher/backlog.h"
#include "adapters/publisher/connection.h"

#define COURIER_WHY_BYTES 256

enum courier_state { COURIER_AWAY, COURIER_CONNECTING, COURIER_GREETING, COURIER_AT_WORK };

struct courier_config {
    struct redis_url url;
    const char *password; /* NULL: none. Borrowed */
    uint64_t connect_timeout_ms;
    uint64_t answer_timeout_ms;
};

struct courier {
    const struct courier_config *config; /* borrowed */
    enum courier_state state;
    struct connection connection;
    struct backlog greeting;
    struct backlog backlog;
    uint64_t moved_ms; /* the last sign of life: connecting, the first or more of the oldest out, an answer */
    size_t on_its_way; /* of the oldest post, when it was last looked; SIZE_MAX: not yet */
    unsigned cuts;     /* connections in a row that Redis has ended before it answered a post */
    uint64_t retry_ms; /* AWAY: not before */
    uint64_t back_off_ms; /* of the next failure */
    uint64_t published, errors, connections;
    char why[COURIER_WHY_BYTES]; /* what last went wrong with the connection, or Redis' last error */
};

void courier_init(struct courier *c, const struct courier_config *config);
void courier_deinit(struct courier *c);

/* Does all that can be done without waiting. */
void courier_turn(struct courier *c, uint64_t now_ms);

/* What to wait for, as poll() takes it; returns until when at most, UINT64_MAX for ever. */
uint64_t courier_wants(const struct courier *c, int *fd, short *events);

#endif
