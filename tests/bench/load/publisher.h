/* The worker's side: events to Redis by PUBLISH, or to a server by POST, in one connection; and a bare subscriber to Redis. */
#ifndef LOAD_PUBLISHER_H
#define LOAD_PUBLISHER_H

#include "tests/bench/load/tally.h"

struct publisher {
    int fd;
    bool is_http;
    size_t matched; /* of an answer by HTTP: so much of what it begins with has come */
    uint8_t *out;   /* owned */
    size_t out_len, out_capacity;
    uint64_t sent, answered;
};

/* A subscriber to all sessions: what a relay cannot be faster than. */
struct bare {
    int fd;
    size_t len;
    struct progress *progress; /* owned: of each session */
};

/* address: a path or HOST:PORT on this machine. The fd is to be watched for reading and writing, edge by edge. */
void publisher_open(struct publisher *p, const char *address);

/* Requests one behind the other, without waiting for the answers, to /publish?id=SESSION or ?id=everybody on this machine. */
void publisher_open_http(struct publisher *p, int port);

/* Appends an event; publisher_flush() sends what is there, as far as it is taken. */
void publisher_add(struct publisher *p, struct schedule *schedule, uint32_t number);
void publisher_flush(struct publisher *p);

/* Counts the answers. */
void publisher_on_readable(struct publisher *p);

void bare_open(struct bare *b, const char *address, uint32_t sessions);
void bare_on_readable(struct bare *b, struct tally *tally);

#endif
