/* What has arrived, and how late. */
#ifndef LOAD_TALLY_H
#define LOAD_TALLY_H

#include "tests/bench/load/histogram.h"
#include "tests/bench/load/schedule.h"

struct tally {
    const struct schedule *schedule;
    int64_t start_ns;    /* when the part that is measured began: its events are due from there */
    uint32_t first;      /* the number of its first event */
    uint32_t pending;    /* clients that have not had all */
    uint64_t deliveries; /* frames of events */
    uint64_t others;     /* status, flags */
    uint64_t pings;
    uint64_t bytes;
    struct histogram delay;    /* from when an event was due until a client had it */
    struct histogram greeting; /* from the start of a connection until its first frame */
};

/* Forgets what has been counted. Events of this number and above are measured, due from start_ns on. */
void tally_begin(struct tally *t, uint32_t first, int64_t start_ns);

/* A client of this session has got this payload. */
void tally_frame(struct tally *t, const uint8_t *payload, size_t len, uint32_t session, struct progress *p,
                 int64_t now_ns);

/* The same, for an event by its number. */
void tally_event(struct tally *t, uint32_t number, uint32_t session, struct progress *p, int64_t now_ns);

/* A JSON object's members. */
void tally_print(const struct tally *t, FILE *to);

#endif
