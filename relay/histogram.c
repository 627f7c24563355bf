#include "relay/histogram.h"

#define BOUND_MS(ms, text)   ms,
#define BOUND_TEXT(ms, text) text,

static const uint64_t bounds_ms[] = {HISTOGRAM_BOUNDS(BOUND_MS)};
static const char *const bounds_text[] = {HISTOGRAM_BOUNDS(BOUND_TEXT)};

void histogram_add(struct histogram *h, uint64_t ms, uint64_t times)
{
    int i = 0;
    while (i < HISTOGRAM_BOUNDS_COUNT && ms > bounds_ms[i])
        i++;
    h->counts[i] += times;
    h->sum_ms += ms * times;
}

const char *histogram_bound(int i)
{
    return bounds_text[i];
}
