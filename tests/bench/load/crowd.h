/* All that is waited for, in one loop: the clients, the publisher, a bare subscriber. */
#ifndef LOAD_CROWD_H
#define LOAD_CROWD_H

#include "tests/bench/load/client.h"
#include "tests/bench/load/publisher.h"

struct crowd {
    int loop;
    struct sockaddr_in to, from;
    struct schedule schedule;
    struct tally tally;
    struct publisher publisher;
    struct bare *bare;      /* it is what is measured, or NULL */
    struct client *clients; /* owned */
    uint32_t count, greeted;
    bool is_awake;
};

struct crowd_plan {
    int port;
    const char *redis;
    uint32_t sessions, sockets; /* sockets of each session */
    uint32_t slow;              /* of all, the first ones */
    bool has_flags, is_bare;
    bool is_awake;  /* never sleeps, so that who writes to it wakes nobody: as with clients elsewhere */
    bool is_posted; /* events by HTTP to the port of the clients, who are not greeted */
};

/* `crowd->schedule` is open. Connects to Redis, and no client yet. */
void crowd_init(struct crowd *crowd, const struct crowd_plan *plan);

/* Opens all clients, so many at a time, and waits until each has had its first frame, or is connected where none comes. */
void crowd_open(struct crowd *crowd, uint32_t at_once);
void crowd_close(struct crowd *crowd);

/* Takes what has come, or comes within that time. */
void crowd_turn(struct crowd *crowd, int64_t wait_ns);
void crowd_rest(struct crowd *crowd, int64_t ns);

/* How many clients have not had all that the schedule has for them. A slow one is not waited for. */
uint32_t crowd_pending(const struct crowd *crowd);

#endif
