/* A WebSocket client: it says its flags if it is to, answers pings, and checks what it gets. */
#ifndef LOAD_CLIENT_H
#define LOAD_CLIENT_H

#include <netinet/in.h>

#include "tests/bench/load/tally.h"

enum client_state { CLIENT_CLOSED, CLIENT_CONNECTING, CLIENT_UPGRADING, CLIENT_OPEN, CLIENT_GREETED };

struct client {
    int fd;
    enum client_state state;
    uint32_t session;
    bool has_flags;    /* it tells them */
    bool is_slow;      /* it reads nothing after its first frame */
    bool is_ungreeted; /* no frame comes before the first event */
    struct progress progress;
    int64_t began_ns;
    uint8_t *rest; /* owned: of a frame that is not complete, or NULL */
    size_t rest_len;
};

/* Begins to connect; its fd is then to be watched for reading and writing, edge by edge. */
void client_open(struct client *c, const struct sockaddr_in *to, const struct sockaddr_in *from);

/* It can write: the connection stands. `sid` is its session's. */
void client_on_writable(struct client *c, const char *sid);

/* It can read, or has ended, which ends the program. */
void client_on_readable(struct client *c, struct tally *tally);

/* Says goodbye, as a program does that has what it wanted, and closes. */
void client_close(struct client *c);

#endif
