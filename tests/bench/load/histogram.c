#include "tests/bench/load/histogram.h"

/* The first STEPS values have a bucket each; then every doubling has STEPS / 2 more. */
static unsigned bucket(uint64_t ns)
{
    if (ns < HISTOGRAM_STEPS)
        return (unsigned)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - 6;
    return shift * (HISTOGRAM_STEPS / 2) + (unsigned)(ns >> shift);
}

static uint64_t highest_of(unsigned bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    unsigned shift = bucket / (HISTOGRAM_STEPS / 2) - 1;
    uint64_t mantissa = bucket - shift * (HISTOGRAM_STEPS / 2);
    return ((mantissa + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, int64_t ns)
{
    uint64_t n = ns > 0 ? (uint64_t)ns : 0;
    h->count++;
    h->buckets[bucket(n)]++;
    if (n > h->max_ns)
        h->max_ns = n;
}

uint64_t histogram_at(const struct histogram *h, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)h->count + 0.5), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->count > 0; i++) {
        seen += h->buckets[i];
        if (seen >= wanted && seen > 0)
            return highest_of(i) < h->max_ns ? highest_of(i) : h->max_ns;
    }
    return h->max_ns;
}

void histogram_print(const struct histogram *h, FILE *to)
{
    static const struct {
        const char *name;
        double part;
    } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    fprintf(to, "{\"count\":%lu", (unsigned long)h->count);
    for (unsigned i = 0; i < sizeof points / sizeof points[0]; i++)
        fprintf(to, ",\"%s\":%.1f", points[i].name, (double)histogram_at(h, points[i].part) / 1000);
    fprintf(to, ",\"max\":%.1f}", (double)h->max_ns / 1000);
}
