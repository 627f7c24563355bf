#include "tests/bench/load/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load/target.h"

static void *grow(void *from, size_t count, size_t size)
{
    void *to = realloc(from, count * size);
    if (!to)
        fail("no memory for %zu of %zu bytes", count, size);
    return to;
}

static bool read_step(FILE *f, struct step *step)
{
    uint32_t head[3];
    if (fread(head, sizeof head, 1, f) != 1)
        return false;
    *step = (struct step){.at_us = head[0], .is_kept = head[1], .len = head[2]};
    step->bytes = grow(NULL, step->len, 1);
    if (fread(step->bytes, 1, step->len, f) != step->len)
        fail("a step ends too early");
    step->sid = memmem(step->bytes, step->len, "@sid____", 8);
    step->mark = memmem(step->bytes, step->len, MARK, strlen(MARK));
    return true;
}

void schedule_open(struct schedule *s, const char *file, uint32_t sessions, const char *name)
{
    struct step step;
    *s = (struct schedule){.sessions = sessions};
    snprintf(s->name, sizeof s->name, "%s", name);
    FILE *f = fopen(file, "r");
    if (!f)
        fail("cannot read %s", file);
    while (read_step(f, &step)) {
        s->steps = grow(s->steps, s->step_count + 1, sizeof step);
        s->steps[s->step_count++] = step;
    }
    fclose(f);
    s->kept_last = calloc(sessions + 1, sizeof *s->kept_last);
    s->last = calloc(sessions + 1, sizeof *s->last);
    if (s->step_count == 0 || !s->kept_last || !s->last)
        fail("no steps in %s", file);
}

/* ---- making it ---- */

static void add(struct schedule *s, struct planned event)
{
    uint32_t target = event.session == ALL_CLIENTS ? s->sessions : event.session;
    event.kept_before = s->kept_last[target];
    s->events[s->event_count++] = event;
    s->last[target] = s->event_count;
    if (s->steps[event.step].is_kept)
        s->kept_last[target] = s->event_count;
}

static void make_room(struct schedule *s, uint32_t more)
{
    s->events = grow(s->events, s->event_count + more, sizeof *s->events);
}

void schedule_add_rate(struct schedule *s, uint32_t events, double rate, bool is_broadcast)
{
    make_room(s, events);
    for (uint32_t i = 0; i < events; i++) {
        int64_t due_ns = rate > 0 ? (int64_t)(i * 1e9 / rate) : 0;
        add(s, (struct planned){.due_ns = due_ns,
                                .session = is_broadcast ? ALL_CLIENTS : i % s->sessions,
                                .step = i % s->step_count});
    }
}

static int by_due(const void *a, const void *b)
{
    const struct planned *x = a, *y = b;
    if (x->due_ns != y->due_ns)
        return x->due_ns < y->due_ns ? -1 : 1;
    if (x->session != y->session)
        return x->session < y->session ? -1 : 1;
    return x->step < y->step ? -1 : x->step > y->step;
}

void schedule_add_play(struct schedule *s, int64_t spread_ns)
{
    uint32_t count = s->sessions * s->step_count;
    struct planned *plan = grow(NULL, count, sizeof *plan);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t session = i / s->step_count, step = i % s->step_count;
        int64_t due_ns = s->steps[step].at_us * INT64_C(1000) + spread_ns * session / s->sessions;
        plan[i] = (struct planned){.due_ns = due_ns, .session = session, .step = step};
    }
    qsort(plan, count, sizeof *plan, by_due);
    make_room(s, count);
    for (uint32_t i = 0; i < count; i++)
        add(s, plan[i]);
    free(plan);
}

/* ---- publishing it ---- */

void schedule_sid(const struct schedule *s, uint32_t session, char sid[SID_BYTES + 1])
{
    snprintf(sid, SID_BYTES + 1, "%5.5s-%06u", s->name, session % 1000000);
}

struct step *schedule_make(struct schedule *s, uint32_t number)
{
    char text[SID_BYTES + 1];
    const struct planned *event = &s->events[number];
    struct step *step = &s->steps[event->step];
    if (step->sid) {
        schedule_sid(s, event->session, text);
        memcpy(step->sid, text, SID_BYTES);
    }
    if (step->mark) {
        snprintf(text, sizeof text, MARK "%08x", number);
        memcpy(step->mark, text, MARK_BYTES);
    }
    return step;
}

/* ---- checking it ---- */

static int hex(uint8_t c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

int64_t schedule_number(const uint8_t *payload, size_t len)
{
    const uint8_t *mark = memmem(payload, len, MARK, strlen(MARK));
    if (!mark || payload + len - mark < MARK_BYTES)
        return -1;
    int64_t number = 0;
    for (size_t i = strlen(MARK); i < MARK_BYTES; i++)
        number = number << 4 | hex(mark[i]);
    return number;
}

void schedule_check(const struct schedule *s, uint32_t number, uint32_t session, struct progress *p)
{
    if (number >= s->event_count)
        fail("event %u was never published", number);
    const struct planned *event = &s->events[number];
    if (event->session != ALL_CLIENTS && event->session != session)
        fail("event %u of session %u came to session %u", number, event->session, session);
    if (number < p->last)
        fail("session %u: event %u came after %u", session, number, p->last - 1);
    if (p->kept_last != event->kept_before)
        fail("session %u: event %u came, and before it %d, not %d", session, number, (int)p->kept_last - 1,
             (int)event->kept_before - 1);
    p->last = number + 1;
    if (s->steps[event->step].is_kept)
        p->kept_last = number + 1;
}

bool schedule_is_done(const struct schedule *s, uint32_t session, const struct progress *p)
{
    uint32_t last = s->last[session] > s->last[s->sessions] ? s->last[session] : s->last[s->sessions];
    return p->last == last;
}
