/* The server on a real loop and a Unix socket of its own, with the real core; messages are lines of text
 * (core_fixture). */
#ifndef TESTS_SERVER_FIXTURE_H
#define TESTS_SERVER_FIXTURE_H

#include <uv.h>

#include "adapters/websocket/server.h"
#include "tests/support/core_fixture.h"

struct fixture {
    uv_loop_t loop;
    uv_timer_t alarm; /* a test that waits for ever fails */
    struct core core;
    struct options options;
    struct logger logger;
    struct server *server;
    char directory[64];
    char listen[96];
};

/* Listens. Pings and time limits are a minute away, a drain takes 100 ms. Fails the test when it cannot. */
void set_up(struct fixture *f);
/* Fails the test unless everything is closed, detached and freed then. */
void tear_down(struct fixture *f);

/* One turn of the loop and the flush that follows; with what there is to do, or waiting for the next event. */
void turn(struct fixture *f);
void wait_turn(struct fixture *f);

/* A client's end of a connection: it does not block, and is the caller's to close. */
int connect_socket(struct fixture *f);

#endif
