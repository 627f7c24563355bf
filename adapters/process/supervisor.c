/* Tells systemd, or who else supervises the process, how it is. */
#include "adapters/process/supervisor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "adapters/process/notify.h"

#define LINES_BYTES 512

enum stage { STARTING, RUNNING, STOPPING };

struct supervisor {
    uv_timer_t timer;
    struct notify notify;
    const struct relay *relay; /* borrowed */
    struct logger *logger;     /* borrowed */
    supervisor_not_ready *not_ready;
    void *arg;
    enum stage stage;
    uint64_t watchdog_ms; /* within which a datagram is expected; UINT64_MAX: none is */
    uint64_t look_ms;
    uint64_t told_ms;       /* when it was last told */
    char told[LINES_BYTES]; /* and what; empty: it could not be */
    bool has_failed;        /* that has been logged */
};

static void on_look(uv_timer_t *timer);
static void on_closed(uv_handle_t *handle);

/* WATCHDOG_PID: it may be meant for the parent that we have it from. */
static uint64_t watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t ms = usec ? strtoull(usec, NULL, 10) / 1000 : 0;
    return ms == 0 || (pid && strtoll(pid, NULL, 10) != getpid()) ? UINT64_MAX : ms;
}

static uint64_t look_ms(uint64_t within_ms)
{
    return within_ms / 2 >= SUPERVISOR_LOOK_MS ? SUPERVISOR_LOOK_MS : within_ms < 2 ? 1 : within_ms / 2;
}

static void warn_once(struct supervisor *s, int error)
{
    if (!s->has_failed)
        logger_warn(s->logger, "cannot tell who supervises", LOG_STR("error", uv_strerror(error)));
    s->has_failed = true;
}

/* A line end would begin another field, and what is no UTF-8 would be refused. */
static void make_one_line(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

static void compose(struct supervisor *s, char lines[LINES_BYTES])
{
    const char *why = s->not_ready(s->arg);
    char stage[64] = "READY=1\n";
    if (s->stage == STOPPING)
        snprintf(stage, sizeof stage, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%d000\n", SUPERVISOR_EXTEND_MS);
    int at = snprintf(lines, LINES_BYTES, "%s%sSTATUS=", stage,
                      s->watchdog_ms == UINT64_MAX ? "" : "WATCHDOG=1\n");
    snprintf(lines + at, LINES_BYTES - (size_t)at, "%" PRIu64 " connections, %s%s",
             (uint64_t)s->relay->metrics.connections, why ? "not ready: " : "subscribed to Redis",
             why ? why : "");
    make_one_line(lines + at);
}

static void tell(struct supervisor *s, const char *lines)
{
    int error = notify_send(&s->notify, lines);
    snprintf(s->told, sizeof s->told, "%s", error < 0 ? "" : lines);
    if (error < 0)
        warn_once(s, error);
    s->told_ms = uv_now(s->timer.loop);
}

static bool is_due(const struct supervisor *s)
{
    uint64_t next_look_ms = uv_now(s->timer.loop) - s->told_ms + s->look_ms;
    return s->stage == STOPPING || next_look_ms > s->watchdog_ms / 2;
}

static void look(struct supervisor *s, bool tells_anyway)
{
    char lines[LINES_BYTES];
    compose(s, lines);
    if (tells_anyway || is_due(s) || strcmp(lines, s->told) != 0)
        tell(s, lines);
}

static void enter(struct supervisor *s, enum stage stage)
{
    if (!s)
        return;
    s->stage = stage;
    look(s, true);
    uv_timer_start(&s->timer, on_look, s->look_ms, s->look_ms);
    uv_unref((uv_handle_t *)&s->timer);
}

struct supervisor *supervisor_open(uv_loop_t *loop, const struct relay *relay, struct logger *logger,
                                   supervisor_not_ready *not_ready, void *arg)
{
    const char *address = getenv("NOTIFY_SOCKET");
    struct supervisor *s = address ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    s->relay = relay;
    s->logger = logger;
    s->not_ready = not_ready;
    s->arg = arg;
    s->watchdog_ms = watchdog_ms();
    s->look_ms = look_ms(s->watchdog_ms);
    int error = notify_init(&s->notify, address);
    if (error < 0) {
        warn_once(s, error);
        free(s);
        return NULL;
    }
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    return s;
}

void supervisor_ready(struct supervisor *s)
{
    enter(s, RUNNING);
}

/* With the time, by which systemd knows that it is the reload that it has asked for. It ends before the next look. */
void supervisor_reloading(struct supervisor *s)
{
    char lines[LINES_BYTES];
    if (!s || s->stage != RUNNING)
        return;
    snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, uv_hrtime() / 1000);
    tell(s, lines);
}

void supervisor_stopping(struct supervisor *s)
{
    enter(s, STOPPING);
}

void supervisor_close(struct supervisor *s)
{
    if (!s)
        return;
    notify_deinit(&s->notify);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}

/* Callbacks */

static void on_look(uv_timer_t *timer)
{
    look(timer->data, false);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}
