#include "tests/bench/load/tally.h"

#include <string.h>

void tally_begin(struct tally *t, uint32_t first, int64_t start_ns)
{
    t->first = first;
    t->start_ns = start_ns;
    t->deliveries = t->others = t->pings = t->bytes = 0;
    memset(&t->delay, 0, sizeof t->delay);
}

void tally_event(struct tally *t, uint32_t number, uint32_t session, struct progress *p, int64_t now_ns)
{
    schedule_check(t->schedule, number, session, p);
    if (number < t->first)
        return;
    t->deliveries++;
    histogram_add(&t->delay, now_ns - t->start_ns - t->schedule->events[number].due_ns);
    if (schedule_is_done(t->schedule, session, p))
        t->pending--;
}

void tally_frame(struct tally *t, const uint8_t *payload, size_t len, uint32_t session, struct progress *p,
                 int64_t now_ns)
{
    int64_t number = schedule_number(payload, len);
    t->bytes += len;
    if (number >= 0)
        tally_event(t, (uint32_t)number, session, p, now_ns);
    else
        t->others++;
}

void tally_print(const struct tally *t, FILE *to)
{
    fprintf(to, "\"deliveries\":%lu,\"others\":%lu,\"pings\":%lu,\"bytes\":%lu,\"delay_us\":",
            (unsigned long)t->deliveries, (unsigned long)t->others, (unsigned long)t->pings,
            (unsigned long)t->bytes);
    histogram_print(&t->delay, to);
    fputs(",\"greeting_us\":", to);
    histogram_print(&t->greeting, to);
}
