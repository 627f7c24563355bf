/* The core on a real Redis, in a loop of the test, with sockets that take everything. */
#ifndef SUPPORT_REDIS_RELAY_H
#define SUPPORT_REDIS_RELAY_H

#include <sys/queue.h>

#include "adapters/process/journal.h"
#include "adapters/process/ticker.h"
#include "adapters/redis/redis.h"

#define RELAY_SOCKET_TEXT 4096

/* A socket, and what it was sent: the payloads, a line each, the newest that fit. */
struct relay_socket {
    struct cursor cursor;
    LIST_ENTRY(relay_socket) in_attached;
    size_t frames;
    size_t bytes; /* of payloads */
    char text[RELAY_SOCKET_TEXT];
};

struct redis_relay {
    uv_loop_t *loop; /* borrowed */
    struct options options;
    struct logger logger;
    char *log; /* what it has logged */
    size_t log_len;
    struct relay relay;
    struct sockets sockets;
    struct log_journal journal;
    LIST_HEAD(, relay_socket) attached;
    struct ticker *ticker;
    struct redis *redis;
    char why[REDIS_WHY_BYTES]; /* it could not be opened */
};

/* A session lives 60 s, all its sockets receive, a worker is lost after 300 ms. Options may be changed before redis_relay_open(). */
void redis_relay_init(struct redis_relay *r, uv_loop_t *loop, const char *url);
/* NULL, or why it cannot. */
const char *redis_relay_open(struct redis_relay *r);
/* Detaches its sockets, closes what it opened; the loop must then be run to its end, and redis_relay_deinit() follows. */
void redis_relay_close(struct redis_relay *r);
void redis_relay_deinit(struct redis_relay *r);

void redis_relay_attach(struct redis_relay *r, struct relay_socket *s, const char *sid);
void redis_relay_detach(struct redis_relay *r, struct relay_socket *s);

/* How often a text occurs. */
int redis_relay_count(const char *in, const char *text);

#endif
