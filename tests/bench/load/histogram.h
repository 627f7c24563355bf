/* Times, counted in buckets that are within 1 % of what they hold. */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_STEPS   128 /* for each power of two */
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 58)

struct histogram {
    uint64_t count, max_ns;
    uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, int64_t ns);

/* The value that this part of all, 0 to 1, is not above; 0 when there is none. */
uint64_t histogram_at(const struct histogram *h, double part);

/* A JSON object: count, p50, p90, p99, p999 and max, in microseconds. */
void histogram_print(const struct histogram *h, FILE *to);

#endif
