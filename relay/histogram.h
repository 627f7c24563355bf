/* A histogram of times: how often something took how long, by bounds that are fixed. */
#ifndef RELAY_HISTOGRAM_H
#define RELAY_HISTOGRAM_H

#include <stdint.h>

/* X(milliseconds, the same in seconds, as it is written) */
#define HISTOGRAM_BOUNDS(X) \
    X(1, "0.001")           \
    X(2, "0.002")           \
    X(5, "0.005")           \
    X(10, "0.01")           \
    X(20, "0.02")           \
    X(50, "0.05")           \
    X(100, "0.1")           \
    X(200, "0.2")           \
    X(500, "0.5")           \
    X(1000, "1")            \
    X(2000, "2")            \
    X(5000, "5")            \
    X(10000, "10")

#define HISTOGRAM_ONE(ms, text) +1
enum { HISTOGRAM_BOUNDS_COUNT = HISTOGRAM_BOUNDS(HISTOGRAM_ONE) };

struct histogram {
    uint64_t
        counts[HISTOGRAM_BOUNDS_COUNT + 1]; /* up to a bound and beyond the one before; last: beyond all */
    uint64_t sum_ms;
};

/* So many took that long. */
void histogram_add(struct histogram *h, uint64_t ms, uint64_t times);

/* A bound in seconds, as it is written. */
const char *histogram_bound(int i);

#endif
