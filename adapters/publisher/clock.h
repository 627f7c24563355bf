/* What time it is, and how long it is until another, in milliseconds. */
#ifndef PUBLISHER_CLOCK_H
#define PUBLISHER_CLOCK_H

#include <limits.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline uint64_t clock_now_ms(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

static inline uint64_t clock_unix_ms(void)
{
    return clock_read(CLOCK_REALTIME);
}

/* For poll(): how long it is until then; UINT64_MAX is never. */
static inline int clock_left(uint64_t when_ms, uint64_t now_ms)
{
    uint64_t ms = when_ms > now_ms ? when_ms - now_ms : 0;
    return when_ms == UINT64_MAX ? -1 : ms < INT_MAX ? (int)ms : INT_MAX;
}

#endif
