/* The load of a benchmark, in one thread: clients, a publisher, and what the measured process has spent on them.
 *
 *     load --work WORK --pid PID... --port PORT --redis ADDRESS [OPTION...]
 *
 * WORK is one of
 *     rate      events at a steady pace
 *     backlog   the process is stopped, all is published, the process goes on
 *     play      all steps for each session, at the pace they were recorded at
 *     accept    clients that connect, some at a time (--at-once)
 *     idle      clients that connect, stay and go, twice; what memory that takes
 *
 * --awake: the clients never sleep, so that who writes to them wakes nobody, as it would not with clients on other machines.
 *
 * --pid as often as there are processes: what they spend is added up.
 *
 * --post: the events are not for Redis but posted by HTTP to the process itself, to /publish?id=SESSION or ?id=everybody;
 * and it greets nobody, so that whoever is connected is there.
 *
 * Prints what came of it as one JSON object. Whatever is missing, out of order or somebody else's is an error. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tests/bench/load/crowd.h"
#include "tests/bench/load/target.h"

#define MS_NS        INT64_C(1000000)
#define TIMEOUT_NS   (60000 * MS_NS)
#define BACKLOG_SEND (1 << 20) /* bytes on their way to Redis */
#define SOME_CLIENTS 64        /* open at a time, where that is not what is measured */

struct settings {
    struct crowd_plan plan;
    const char *work, *steps, *name;
    struct target target;
    uint32_t events, warm, at_once;
    double rate;
    int64_t spread_ns, rest_ns;
    bool is_broadcast, is_waiting;
};

static struct settings settings = {
    .plan = {.sessions = 1, .sockets = 1}, .name = "bench", .at_once = SOME_CLIENTS, .rest_ns = 700 * MS_NS};

static struct crowd crowd;
static struct histogram lag; /* how late events were published */

/* ---- what is done ---- */

static int64_t due_ns(uint32_t number)
{
    return crowd.tally.start_ns + crowd.schedule.events[number].due_ns;
}

/* Appends the events that are due; returns the first one that is not. */
static uint32_t publish_due(uint32_t next)
{
    int64_t now_ns = clock_ns();
    while (next < crowd.schedule.event_count && due_ns(next) <= now_ns &&
           crowd.publisher.out_len < BACKLOG_SEND) {
        histogram_add(&lag, now_ns - due_ns(next));
        publisher_add(&crowd.publisher, &crowd.schedule, next++);
    }
    publisher_flush(&crowd.publisher);
    return next;
}

static void fail_late(uint32_t next)
{
    fail("%d s: %u of %u events sent, %lu answered by Redis, %u clients without their last event",
         (int)(TIMEOUT_NS / 1000 / MS_NS), next, crowd.schedule.event_count,
         (unsigned long)crowd.publisher.answered, crowd.tally.pending);
}

static bool is_under_way(uint32_t next, bool until_received)
{
    return next < crowd.schedule.event_count || crowd.publisher.answered < crowd.publisher.sent ||
           (until_received && crowd.tally.pending > 0);
}

/* Publishes all events from this one on, each when it is due, and takes what comes. */
static void publish_from(uint32_t next, bool until_received)
{
    int64_t quiet_ns = clock_ns();
    while (is_under_way(next, until_received)) {
        uint64_t before = crowd.tally.deliveries + crowd.publisher.answered;
        int64_t now_ns = clock_ns(), wait_ns = 100 * MS_NS;
        next = publish_due(next);
        if (next < crowd.schedule.event_count && crowd.publisher.out_len == 0)
            wait_ns = due_ns(next) - now_ns < wait_ns ? due_ns(next) - now_ns : wait_ns;
        crowd_turn(&crowd, wait_ns > 0 ? wait_ns : 0);
        if (crowd.tally.deliveries + crowd.publisher.answered != before)
            quiet_ns = clock_ns();
        if (now_ns - quiet_ns > TIMEOUT_NS)
            fail_late(next);
    }
}

static void begin(uint32_t first)
{
    crowd.tally.pending = crowd_pending(&crowd);
    tally_begin(&crowd.tally, first, clock_ns());
    memset(&lag, 0, sizeof lag);
}

static void publish_paced(uint32_t first)
{
    begin(first);
    publish_from(first, true);
}

/* What comes is due when the process goes on. */
static void publish_backlog(uint32_t first)
{
    if (settings.plan.is_posted) { /* what is stopped takes nothing: so as fast as it takes them */
        publish_paced(first);
        return;
    }
    begin(first);
    target_stop(&settings.target);
    publish_from(first, false);
    crowd.tally.start_ns = clock_ns();
    target_go_on(&settings.target);
    publish_from(crowd.schedule.event_count, true);
}

static void work_rate(uint32_t first)
{
    schedule_add_rate(&crowd.schedule, settings.events, settings.rate, settings.is_broadcast);
    publish_paced(first);
}

static void work_backlog(uint32_t first)
{
    schedule_add_rate(&crowd.schedule, settings.events, 0, settings.is_broadcast);
    publish_backlog(first);
}

static void work_play(uint32_t first)
{
    schedule_add_play(&crowd.schedule, settings.spread_ns);
    publish_paced(first);
}

static void work_accept(uint32_t first)
{
    begin(first);
    crowd_open(&crowd, settings.at_once);
}

/* ---- what is told ---- */

static void print_spent(struct spent from, struct spent to)
{
    printf("{\"cpu_ns\":%ld,\"user_ns\":%ld,\"system_ns\":%ld,\"sleeps\":%ld,\"reads\":%ld,\"writes\":%ld,"
           "\"elapsed_ns\":%ld,\"events\":%"
           "u,\"clients\":%u,",
           (long)(to.cpu_ns - from.cpu_ns), (long)(to.user_ns - from.user_ns),
           (long)(to.system_ns - from.system_ns), (long)(to.sleeps - from.sleeps),
           (long)(to.reads - from.reads), (long)(to.writes - from.writes), (long)(to.at_ns - from.at_ns),
           crowd.schedule.event_count - crowd.tally.first, crowd.count);
    tally_print(&crowd.tally, stdout);
    fputs(",\"publish_lag_us\":", stdout);
    histogram_print(&lag, stdout);
}

/* Whoever started this may want to begin looking now. */
static void wait_for_go(void)
{
    if (!settings.is_waiting)
        return;
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF)
        fail("nobody is there");
}

static void measure(void (*work)(uint32_t first), uint32_t first)
{
    wait_for_go();
    struct spent from = target_spent(&settings.target);
    work(first);
    crowd_rest(&crowd, settings.rest_ns);
    print_spent(from, target_spent(&settings.target));
}

/* Events that nobody measures; and what a client that has just come still causes. */
static uint32_t warm_up(void)
{
    uint32_t first = crowd.schedule.event_count;
    schedule_add_rate(&crowd.schedule, settings.warm, settings.rate > 0 ? settings.rate : 20000,
                      settings.is_broadcast);
    publish_paced(first);
    crowd_rest(&crowd, settings.rest_ns);
    return crowd.schedule.event_count;
}

static void measure_events(void (*work)(uint32_t first))
{
    crowd_open(&crowd, SOME_CLIENTS);
    crowd_rest(&crowd, settings.rest_ns);
    measure(work, warm_up());
    puts("}");
}

/* Before all, with them, after them, with them again, after that. */
static void print_memory(const int64_t memory[5])
{
    fputs(",\"memory\":[", stdout);
    for (int i = 0; i < 5; i++)
        printf("%s%ld", i > 0 ? "," : "", (long)memory[i]);
    puts("]}");
}

static void come_and_go(uint32_t count, int64_t *with, int64_t *after)
{
    uint32_t all = crowd.count;
    crowd.count = count;
    crowd_open(&crowd, SOME_CLIENTS);
    crowd_rest(&crowd, 3 * settings.rest_ns);
    *with = target_memory(&settings.target);
    crowd_close(&crowd);
    crowd_rest(&crowd, 3 * settings.rest_ns);
    *after = target_memory(&settings.target);
    crowd.count = all;
}

/* As `idle`, but what the first wave of all costs is measured, and its memory with it. */
static void run_accept(void)
{
    int64_t memory[5] = {target_memory(&settings.target)};
    measure(work_accept, 0);
    memory[1] = target_memory(&settings.target);
    crowd_close(&crowd);
    crowd_rest(&crowd, 3 * settings.rest_ns);
    memory[2] = target_memory(&settings.target);
    come_and_go(crowd.count, &memory[3], &memory[4]);
    print_memory(memory);
}

static void run_idle(void)
{
    int64_t memory[5], few;
    come_and_go(SOME_CLIENTS, &few, &memory[0]);
    come_and_go(crowd.count, &memory[1], &memory[2]);
    come_and_go(crowd.count, &memory[3], &memory[4]);
    printf("{\"clients\":%u", crowd.count);
    print_memory(memory);
}

static void run_rate(void)
{
    measure_events(work_rate);
}

static void run_backlog(void)
{
    measure_events(work_backlog);
}

static void run_play(void)
{
    measure_events(work_play);
}

static const struct {
    const char *name;
    void (*run)(void);
} works[] = {{"rate", run_rate},
             {"backlog", run_backlog},
             {"play", run_play},
             {"accept", run_accept},
             {"idle", run_idle}};

/* ---- options ---- */

enum option_kind { TEXT, COUNT, NUMBER, TIME_MS, SWITCH, PROCESS };

static const struct {
    const char *name;
    enum option_kind kind;
    void *to;
} options[] = {
    {"work", TEXT, &settings.work},
    {"steps", TEXT, &settings.steps},
    {"name", TEXT, &settings.name},
    {"redis", TEXT, &settings.plan.redis},
    {"pid", PROCESS, &settings.target},
    {"port", COUNT, &settings.plan.port},
    {"sessions", COUNT, &settings.plan.sessions},
    {"sockets", COUNT, &settings.plan.sockets},
    {"slow", COUNT, &settings.plan.slow},
    {"events", COUNT, &settings.events},
    {"warm", COUNT, &settings.warm},
    {"at-once", COUNT, &settings.at_once},
    {"rate", NUMBER, &settings.rate},
    {"spread-ms", TIME_MS, &settings.spread_ns},
    {"rest-ms", TIME_MS, &settings.rest_ns},
    {"flags", SWITCH, &settings.plan.has_flags},
    {"bare", SWITCH, &settings.plan.is_bare},
    {"awake", SWITCH, &settings.plan.is_awake},
    {"post", SWITCH, &settings.plan.is_posted},
    {"broadcast", SWITCH, &settings.is_broadcast},
    {"wait", SWITCH, &settings.is_waiting},
};

#define OPTION_COUNT (sizeof options / sizeof options[0])

static void set(size_t i, const char *value)
{
    switch (options[i].kind) {
    case TEXT:
        *(const char **)options[i].to = value;
        return;
    case COUNT:
        *(uint32_t *)options[i].to = (uint32_t)strtoul(value, NULL, 10);
        return;
    case NUMBER:
        *(double *)options[i].to = strtod(value, NULL);
        return;
    case TIME_MS:
        *(int64_t *)options[i].to = strtoll(value, NULL, 10) * MS_NS;
        return;
    case SWITCH:
        *(bool *)options[i].to = true;
        return;
    case PROCESS:
        target_add(options[i].to, (pid_t)strtol(value, NULL, 10));
    }
}

static void read_options(int argc, char **argv)
{
    struct option table[OPTION_COUNT + 1] = {0};
    int i;
    for (size_t n = 0; n < OPTION_COUNT; n++)
        table[n] = (struct option){.name = options[n].name, .has_arg = options[n].kind != SWITCH};
    while (getopt_long(argc, argv, "", table, &i) == 0)
        set((size_t)i, optarg);
    if (optind < argc || !settings.work || !settings.steps || !settings.plan.redis || !settings.plan.sessions)
        fail("what is to be done? --work, --steps, --redis, --port, --pid");
}

static void prepare(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    prctl(PR_SET_TIMERSLACK, 1); /* or it would publish 50 us late */
    schedule_open(&crowd.schedule, settings.steps, settings.plan.sessions, settings.name);
    crowd_init(&crowd, &settings.plan);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    prepare();
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        if (strcmp(works[i].name, settings.work) != 0)
            continue;
        works[i].run();
        return EXIT_SUCCESS;
    }
    fail("no such work: %s", settings.work);
}
