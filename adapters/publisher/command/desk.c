#include "adapters/publisher/command/desk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "adapters/publisher/clock.h"

#define PASSWORD_MAX 4096

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "comfy-publish: %s%s%s\n", what, *what ? ": " : "", why);
    return -1;
}

/* Its first line. */
static int read_password(const char *file, char password[PASSWORD_MAX])
{
    FILE *f = fopen(file, "r");
    if (!f)
        return complain(file, strerror(errno));
    if (!fgets(password, PASSWORD_MAX, f))
        password[0] = '\0';
    fclose(f);
    password[strcspn(password, "\r\n")] = '\0';
    return *password ? 0 : complain(file, "there is no password in it");
}

/* The name of one of several has its number. NULL is the library's choice. */
static const char *name_worker(const struct arguments *a, size_t i, char name[COMFY_PUBLISHER_WHY_BYTES])
{
    if (a->workers == 1)
        return a->worker;
    char host[64] = "worker";
    gethostname(host, sizeof host - 1);
    if (a->worker)
        snprintf(name, COMFY_PUBLISHER_WHY_BYTES, "%.200s-%zu", a->worker, i + 1);
    else
        snprintf(name, COMFY_PUBLISHER_WHY_BYTES, "%s:%ld-%zu", host, (long)getpid(), i + 1);
    return name;
}

static int open_publishers(struct desk *d, const struct arguments *a, const char *password)
{
    char why[COMFY_PUBLISHER_WHY_BYTES], name[COMFY_PUBLISHER_WHY_BYTES];
    for (; d->count < a->workers; d->count++) {
        struct comfy_publisher_options o = {.redis_url = a->redis_url,
                                            .password = password,
                                            .prefix = a->redis_prefix,
                                            .worker = name_worker(a, d->count, name),
                                            .session_ttl_ms = a->session_ttl_ms,
                                            .session_log_events = a->session_log_events};
        if (comfy_publisher_open(&o, &d->publishers[d->count], why) < 0)
            return complain("", why);
    }
    return 0;
}

/* They are waited for like all else, and so cut nothing short. */
static int open_signals(void)
{
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigprocmask(SIG_BLOCK, &stops, NULL);
    return signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
}

int desk_open(struct desk *d, const struct arguments *a)
{
    char password[PASSWORD_MAX] = "";
    *d = (struct desk){.signals = -1, .stop_ms = UINT64_MAX};
    if (a->password_file && read_password(a->password_file, password) < 0)
        return -1;
    d->publishers = calloc(a->workers, sizeof *d->publishers);
    d->told = calloc(a->workers, sizeof *d->told);
    d->waits = calloc(a->workers + 2, sizeof *d->waits);
    d->signals = open_signals();
    if (!d->publishers || !d->told || !d->waits || d->signals < 0)
        return complain("", strerror(errno));
    return open_publishers(d, a, password);
}

void desk_complain(const struct desk *d, size_t publisher, const char *where)
{
    complain(where, comfy_publisher_error(d->publishers[publisher]));
}

/* Redis' own words. */
static void complain_of_error(struct desk *d, size_t i)
{
    struct told *told = &d->told[i];
    const char *why = comfy_publisher_error(d->publishers[i]);
    if (strcmp(why, told->why) == 0)
        return;
    snprintf(told->why, sizeof told->why, "%s", why);
    complain(comfy_publisher_worker(d->publishers[i]), why);
}

/* What has changed since. */
static void tell(struct desk *d, size_t i)
{
    struct told *told = &d->told[i];
    struct comfy_publisher *p = d->publishers[i];
    struct comfy_publisher_counters now = comfy_publisher_counters(p);
    bool is_away = !now.is_connected && *comfy_publisher_error(p);
    if (now.errors > told->errors)
        complain_of_error(d, i);
    else if (is_away && !told->is_away)
        complain(comfy_publisher_worker(p), comfy_publisher_error(p));
    else if (now.is_connected && told->is_away)
        complain(comfy_publisher_worker(p), "Redis is back");
    told->errors = now.errors;
    told->is_away = is_away;
}

/* True when all of them have all their answers. */
static bool flush_all(struct desk *d)
{
    bool is_flushed = true;
    for (size_t i = 0; i < d->count; i++) {
        is_flushed &= comfy_publisher_flush(d->publishers[i], 0) == 0;
        tell(d, i);
    }
    return is_flushed;
}

static void take_signal(struct desk *d)
{
    struct signalfd_siginfo signal;
    if (read(d->signals, &signal, sizeof signal) <= 0 || d->is_stopped)
        return;
    d->is_stopped = true;
    d->stop_ms = clock_now_ms() + DESK_GOODBYE_MS;
}

bool desk_wait(struct desk *d, uint64_t when_ms, bool reads_input)
{
    struct pollfd *signals = &d->waits[d->count], *input = signals + 1;
    int ms = clock_left(when_ms, clock_now_ms());
    for (size_t i = 0; i < d->count; i++) {
        int its_ms = comfy_publisher_poll(d->publishers[i], &d->waits[i]);
        if (its_ms >= 0 && (ms < 0 || its_ms < ms))
            ms = its_ms;
    }
    *signals = (struct pollfd){.fd = d->signals, .events = POLLIN};
    *input = (struct pollfd){.fd = reads_input ? STDIN_FILENO : -1, .events = POLLIN};
    poll(d->waits, d->count + 2, ms);
    flush_all(d);
    take_signal(d);
    return input->revents != 0;
}

/* When the time is over: a signal shortens it. */
static uint64_t end_of(const struct desk *d, uint64_t end_ms)
{
    return d->stop_ms < end_ms ? d->stop_ms : end_ms;
}

/* All of it has had its time; the goodbye has the rest. */
static int close_publisher(struct desk *d, size_t i, uint64_t end_ms)
{
    char why[2 * COMFY_PUBLISHER_WHY_BYTES];
    struct comfy_publisher *p = d->publishers[i];
    int flushed = comfy_publisher_flush(p, 1);
    int error = comfy_publisher_counters(p).errors > 0 ? -1 : 0;
    if (error)
        tell(d, i);
    if (flushed < 0) {
        snprintf(why, sizeof why, "%zu events were not published: %s",
                 comfy_publisher_counters(p).queued_events, comfy_publisher_error(p));
        error = complain(comfy_publisher_worker(p), why);
    }
    int closed = comfy_publisher_close(p, (unsigned)clock_left(end_ms, clock_now_ms()));
    return closed < 0 && !error ? complain("a worker's goodbye", strerror(-closed)) : error;
}

int desk_close(struct desk *d, uint64_t timeout_ms)
{
    int error = 0;
    uint64_t end_ms = clock_now_ms() + timeout_ms;
    while (!flush_all(d) && clock_now_ms() < end_of(d, end_ms))
        desk_wait(d, end_of(d, end_ms), false);
    for (size_t i = 0; i < d->count; i++)
        if (close_publisher(d, i, end_of(d, end_ms)) < 0)
            error = -1;
    free(d->publishers);
    free(d->told);
    free(d->waits);
    if (d->signals >= 0)
        close(d->signals);
    return error;
}
