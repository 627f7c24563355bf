/* A histogram of times: how often something took how long. The bounds are powers of two, so that one is found without a search. */
#ifndef RELAY_HISTOGRAM_H
#define RELAY_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BOUNDS 15 /* 1 ms, 2 ms, 4 ms, … 16.384 s */

struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* up to a bound and beyond the one before; last: beyond all */
    uint64_t sum_ms;
};

/* So many took that long. */
static inline void histogram_add(struct histogram *h, uint64_t ms, uint64_t times)
{
    unsigned i = ms <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(ms - 1);
    h->counts[i < HISTOGRAM_BOUNDS ? i : HISTOGRAM_BOUNDS] += times;
    h->sum_ms += ms * times;
}

/* The i-th bound. */
static inline uint64_t histogram_bound_ms(unsigned i)
{
    return UINT64_C(1) << i;
}

#endif
