#include "adapters/publisher/command/player.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "adapters/publisher/clock.h"
#include "adapters/publisher/command/grow.h"
#include "adapters/publisher/envelope.h"
#include "relay/sid.h"

#define SID_BYTES (SID_MAX_BYTES + 1)
#define FOR_EVER  SIZE_MAX
#define DELAY_MAX 1e15 /* in ms: never, and an integer holds it */

enum state { RESTING, PLAYING, IDLE };

struct player {
    struct comfy_publisher *publisher; /* borrowed */
    struct run_ids ids;
    size_t *jobs; /* owned; numbers of sessions, a run each */
    size_t job_count, next_job;
    enum state state;
    char sid[SID_BYTES]; /* of this run; "": those of the recording */
    size_t next_event;
    size_t told_events; /* of which the worker's own state was told */
    bool has_ended;     /* its prompt has told that it is over */
    uint64_t began_ms, due_ms;
    uint64_t full_ms; /* since when Redis has had no room for the next event; 0: it has */
};

struct players {
    struct desk *desk;
    const struct recording *recording;
    const struct arguments *arguments;
    struct player *all; /* owned */
    uint64_t chance;
    unsigned long refused;
    bool gave_up;
};

/* Chance: splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t draw(struct players *ps, uint64_t below)
{
    uint64_t z = ps->chance += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

/* A UUID, version 4. */
static void make_id(char id[PROMPT_BYTES])
{
    uint8_t b[16] = {0};
    if (getrandom(b, sizeof b, 0) != sizeof b)
        memset(b, 0, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(id, PROMPT_BYTES, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void complain(struct players *ps, const struct player *p, const char *where)
{
    desk_complain(ps->desk, (size_t)(p - ps->all), where);
    ps->refused++;
}

/* What a worker has to do */

static size_t sessions_of(const struct players *ps)
{
    return ps->arguments->sessions ? ps->arguments->sessions : 1;
}

static bool give_job(struct player *p, size_t session)
{
    size_t *more = grow(p->jobs, p->job_count, sizeof *more);
    if (!more)
        return false;
    p->jobs = more;
    p->jobs[p->job_count++] = session;
    return true;
}

/* Every session's runs, in random order, each to any of the workers. */
static bool spread_jobs(struct players *ps)
{
    size_t sessions = sessions_of(ps), count = sessions * ps->arguments->times;
    size_t *jobs = malloc(count * sizeof *jobs);
    bool is_given = jobs != NULL;
    for (size_t i = 0; is_given && i < count; i++)
        jobs[i] = i % sessions;
    for (size_t i = count; is_given && i > 1; i--) {
        size_t other = draw(ps, i), job = jobs[i - 1];
        jobs[i - 1] = jobs[other];
        jobs[other] = job;
    }
    for (size_t i = 0; is_given && i < count; i++)
        is_given = give_job(&ps->all[draw(ps, ps->desk->count)], jobs[i]);
    free(jobs);
    return is_given;
}

static size_t jobs_left(const struct players *ps, const struct player *p)
{
    return ps->arguments->loop ? 0 : p->job_count - p->next_job;
}

/* The session of the next run; FOR_EVER: there is none. */
static size_t take_job(struct players *ps, struct player *p)
{
    if (ps->arguments->loop)
        return draw(ps, sessions_of(ps));
    return p->next_job < p->job_count ? p->jobs[p->next_job++] : FOR_EVER;
}

/* A run */

static void begin_run(struct players *ps, struct player *p, size_t session)
{
    const struct arguments *a = ps->arguments;
    const char *sid = a->sid ? a->sid : "";
    if (a->sessions)
        snprintf(p->sid, sizeof p->sid, "%.120s-%zu", sid, session + 1);
    else
        snprintf(p->sid, sizeof p->sid, "%s", sid);
    for (size_t i = 0; i < ps->recording->prompt_count; i++)
        make_id(p->ids.ids[i]);
    p->state = PLAYING;
    p->next_event = p->told_events = 0;
    p->has_ended = false;
    p->began_ms = p->due_ms = clock_now_ms();
}

static void next_run(struct players *ps, struct player *p)
{
    size_t session = take_job(ps, p);
    if (session == FOR_EVER)
        p->state = IDLE;
    else
        begin_run(ps, p, session);
}

/* What has no room now will be sent when there is some. */
static void tell(struct players *ps, struct player *p, uint64_t queue, const char *sid, const char *prompt)
{
    int error = comfy_publisher_status(p->publisher, queue, sid, prompt);
    if (error < 0 && error != -EAGAIN)
        complain(ps, p, "heartbeat");
}

static void end_run(struct players *ps, struct player *p)
{
    p->state = RESTING;
    p->due_ms = clock_now_ms() + ps->arguments->pause_ms;
    tell(ps, p, jobs_left(ps, p), NULL, NULL);
}

/* The prompts that the worker has, the one that it plays included until that has told its end. */
static uint64_t queue_of(const struct players *ps, const struct player *p)
{
    return jobs_left(ps, p) + !p->has_ended;
}

/* What a worker says of itself at this event: it takes a prompt, or its queue has changed. */
static void tell_state(struct players *ps, struct player *p, const struct event *e)
{
    char sid[SID_BYTES] = "";
    if (event_effect(e) != EFFECT_START || p->told_events > p->next_event)
        return;
    p->told_events = p->next_event + 1;
    long prompt = recording_prompt(ps->recording, e->prompt);
    if (*p->sid)
        memcpy(sid, p->sid, sizeof sid);
    else if (e->to == TO_SESSION && e->sid.len < sizeof sid)
        memcpy(sid, e->sid.bytes, e->sid.len);
    p->has_ended = false;
    tell(ps, p, queue_of(ps, p), *sid ? sid : NULL, prompt < 0 ? NULL : p->ids.ids[prompt]);
    if (prompt >= 0) {
        printf("prompt %s for %s\n", p->ids.ids[prompt], *sid ? sid : "nobody");
        fflush(stdout);
    }
}

/* A load's queues are its own, not the recording's. */
static void pack_data(struct players *ps, struct player *p, const struct event *e, struct packing *to)
{
    if (event_effect(e) != EFFECT_STATUS || !ps->arguments->sessions) {
        if (e->data.len)
            recording_rewrite(ps->recording, e->data, &p->ids, clock_unix_ms(), to);
        else
            msgpack_pack_nil(&to->packer);
        return;
    }
    for (const char *const *key = (const char *const[]){"status", "exec_info", "queue_remaining", NULL}; *key;
         key++) {
        msgpack_pack_map(&to->packer, 1);
        packing_text(to, *key);
    }
    msgpack_pack_uint64(&to->packer, queue_of(ps, p));
}

static int publish(struct players *ps, struct player *p, const struct event *recorded)
{
    struct packing packed;
    struct event e = *recorded;
    e.worker = span_str(comfy_publisher_worker(p->publisher));
    if (e.to == TO_SESSION && *p->sid)
        e.sid = span_str(p->sid);
    packing_init(&packed);
    envelope_begin(&packed, &e, clock_unix_ms());
    pack_data(ps, p, recorded, &packed);
    struct span envelope = packing_span(&packed);
    int error =
        packed.has_failed ? -ENOMEM : comfy_publisher_envelope(p->publisher, envelope.bytes, envelope.len);
    packing_deinit(&packed);
    return error;
}

static uint64_t due_of(const struct players *ps, const struct player *p, const struct recorded *r)
{
    double speed = ps->arguments->speed;
    double delay_ms = speed == FASTEST || r->at_ms < 0 ? 0 : r->at_ms / speed;
    return p->began_ms + (uint64_t)(delay_ms < DELAY_MAX ? delay_ms : DELAY_MAX);
}

static void complain_of_event(struct players *ps, const struct player *p)
{
    char where[48];
    snprintf(where, sizeof where, "event %zu of the recording", p->next_event + 1);
    complain(ps, p, where);
}

/* Until Redis has answered something, or has had its time. */
static void wait_for_room(struct players *ps, struct player *p)
{
    uint64_t now_ms = clock_now_ms();
    if (!p->full_ms)
        p->full_ms = now_ms;
    p->due_ms = p->full_ms + ps->arguments->timeout_ms;
    if (now_ms < p->due_ms)
        return;
    complain_of_event(ps, p);
    ps->gave_up = true;
}

/* The next event. False: Redis has no room for it yet. */
static bool play_event(struct players *ps, struct player *p)
{
    const struct event *e = &ps->recording->events[p->next_event].event;
    tell_state(ps, p, e);
    int error = publish(ps, p, e);
    if (error == -EAGAIN) {
        wait_for_room(ps, p);
        return false;
    }
    p->full_ms = 0;
    if (error < 0)
        complain_of_event(ps, p);
    if (event_ends_prompt(e))
        p->has_ended = true;
    p->next_event++;
    return true;
}

/* What is due. */
static void play(struct players *ps, struct player *p, uint64_t now_ms)
{
    const struct recording *r = ps->recording;
    if (p->state == RESTING && p->due_ms <= now_ms)
        next_run(ps, p);
    while (p->state == PLAYING) {
        if (p->next_event == r->count) {
            end_run(ps, p);
            return;
        }
        p->due_ms = due_of(ps, p, &r->events[p->next_event]);
        if (p->due_ms > now_ms)
            return;
        if (!play_event(ps, p))
            return;
    }
}

/* All of them */

static bool open_player(struct players *ps, size_t i)
{
    struct player *p = &ps->all[i];
    size_t prompts = ps->recording->prompt_count;
    p->publisher = ps->desk->publishers[i];
    p->ids.ids = malloc((prompts ? prompts : 1) * sizeof *p->ids.ids);
    p->state = RESTING;
    return p->ids.ids && (comfy_publisher_status(p->publisher, 0, NULL, NULL) == 0);
}

static bool open_all(struct players *ps)
{
    ps->all = calloc(ps->desk->count, sizeof *ps->all);
    if (!ps->all)
        return false;
    for (size_t i = 0; i < ps->desk->count; i++)
        if (!open_player(ps, i))
            return false;
    return ps->arguments->loop || spread_jobs(ps);
}

static void close_all(struct players *ps)
{
    for (size_t i = 0; ps->all && i < ps->desk->count; i++) {
        free(ps->all[i].ids.ids);
        free(ps->all[i].jobs);
    }
    free(ps->all);
}

/* Plays what is due; when to go on, or 0 when all is played. */
static uint64_t play_due(struct players *ps)
{
    uint64_t next_ms = UINT64_MAX, now_ms = clock_now_ms();
    bool has_more = false;
    for (size_t i = 0; i < ps->desk->count; i++) {
        struct player *p = &ps->all[i];
        play(ps, p, now_ms);
        bool has_job = p->state == PLAYING || ps->arguments->loop || p->next_job < p->job_count;
        if (has_job && p->due_ms < next_ms)
            next_ms = p->due_ms;
        has_more |= has_job;
    }
    return has_more ? next_ms : 0;
}

int player_play_all(struct desk *d, const struct recording *r, const struct arguments *a)
{
    struct players ps = {.desk = d, .recording = r, .arguments = a, .chance = a->seed};
    uint64_t next_ms = 1;
    if (!open_all(&ps)) {
        fprintf(stderr, "comfy-publish: no memory\n");
        close_all(&ps);
        return -1;
    }
    while (!d->is_stopped && !ps.gave_up && (next_ms = play_due(&ps)) > 0)
        desk_wait(d, next_ms, false);
    close_all(&ps);
    return ps.refused > 0 ? -1 : 0;
}
