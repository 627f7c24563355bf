/* The server on a real loop and a Unix socket of its own, with the real core; messages are lines of text
 * (core_fixture). */
#ifndef TESTS_SERVER_FIXTURE_H
#define TESTS_SERVER_FIXTURE_H

#include <uv.h>

#include "adapters/websocket/server.h"
#include "tests/support/core_fixture.h"

struct fixture {
    uv_loop_t loop;
    uv_timer_t alarm;  /* a test that waits for ever fails */
    uv_timer_t clock;  /* the core's: it has the loop's time */
    bool clock_stands; /* for the core: it does nothing by time */
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
/* Goes on for so long: what the server has to do by then is done. */
void wait_ms(struct fixture *f, uint64_t ms);

/* Waits until a connection was closed for this reason. Returns how many were. */
uint64_t wait_closed(struct fixture *f, enum close_reason reason);

/* "<head> v=<number> …" of 60 KB for all or, by the head, for a session. */
void publish_big(struct fixture *f, const char *head, int number);

/* A client's end of a connection: it does not block, and is the caller's to close. */
int connect_socket(struct fixture *f);

#endif
