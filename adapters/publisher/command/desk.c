#include "adapters/publisher/command/desk.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define PASSWORD_MAX 4096

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t desk_now_ms(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t desk_unix_ms(void)
{
    return read_clock(CLOCK_REALTIME);
}

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
    return signalfd(-1, &stops, SFD_CLOEXEC);
}

int desk_open(struct desk *d, const struct arguments *a)
{
    char password[PASSWORD_MAX] = "";
    *d = (struct desk){.signals = -1};
    if (a->password_file && read_password(a->password_file, password) < 0)
        return -1;
    d->publishers = calloc(a->workers, sizeof *d->publishers);
    d->said = calloc(a->workers, sizeof *d->said);
    d->waits = calloc(a->workers + 2, sizeof *d->waits);
    d->signals = open_signals();
    if (!d->publishers || !d->said || !d->waits || d->signals < 0)
        return complain("", strerror(errno));
    return open_publishers(d, a, password);
}

static int close_publisher(struct comfy_publisher *p, unsigned timeout_ms)
{
    char why[2 * COMFY_PUBLISHER_WHY_BYTES];
    size_t left = 0;
    if (comfy_publisher_flush(p, timeout_ms) < 0) {
        left = comfy_publisher_counters(p).queued_events;
        snprintf(why, sizeof why, "%zu events were not published: %s", left, comfy_publisher_error(p));
        complain(comfy_publisher_worker(p), why);
    }
    /* The flush had its time. */
    int error = comfy_publisher_close(p, left ? 0 : DESK_GOODBYE_MS);
    return left || error ? -1 : 0;
}

int desk_close(struct desk *d, unsigned timeout_ms)
{
    int error = 0;
    uint64_t end_ms = desk_now_ms() + timeout_ms;
    for (size_t i = 0; i < d->count; i++) {
        uint64_t now_ms = desk_now_ms();
        if (close_publisher(d->publishers[i], now_ms < end_ms ? (unsigned)(end_ms - now_ms) : 0) < 0)
            error = -1;
    }
    free(d->publishers);
    free(d->said);
    free(d->waits);
    if (d->signals >= 0)
        close(d->signals);
    return error;
}

void desk_say_nothing(struct desk *d, size_t publisher)
{
    snprintf(d->said[publisher], sizeof d->said[publisher], "%s",
             comfy_publisher_error(d->publishers[publisher]));
}

void desk_complain(struct desk *d, size_t publisher, const char *where)
{
    desk_say_nothing(d, publisher);
    complain(where, d->said[publisher]);
}

/* Of the connection, or Redis' own words. */
static void complain_once(struct desk *d, size_t i)
{
    const char *why = comfy_publisher_error(d->publishers[i]);
    if (*why && strcmp(why, d->said[i]) != 0)
        desk_complain(d, i, comfy_publisher_worker(d->publishers[i]));
}

static int sooner(int ms, uint64_t when_ms)
{
    uint64_t now_ms = desk_now_ms(), left_ms = when_ms > now_ms ? when_ms - now_ms : 0;
    if (when_ms == UINT64_MAX || (ms >= 0 && (uint64_t)ms < left_ms))
        return ms;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

bool desk_wait(struct desk *d, uint64_t when_ms, bool reads_input)
{
    struct signalfd_siginfo signal;
    struct pollfd *signals = &d->waits[d->count], *input = signals + 1;
    int ms = -1;
    for (size_t i = 0; i < d->count; i++) {
        int its_ms = comfy_publisher_poll(d->publishers[i], &d->waits[i]);
        if (its_ms >= 0 && (ms < 0 || its_ms < ms))
            ms = its_ms;
    }
    *signals = (struct pollfd){.fd = d->signals, .events = POLLIN};
    *input = (struct pollfd){.fd = reads_input ? STDIN_FILENO : -1, .events = POLLIN};
    poll(d->waits, d->count + 2, sooner(ms, when_ms));
    for (size_t i = 0; i < d->count; i++) {
        if (comfy_publisher_flush(d->publishers[i], 0) < 0 || d->waits[i].revents)
            complain_once(d, i);
    }
    if (signals->revents && read(d->signals, &signal, sizeof signal) > 0)
        d->is_stopped = true;
    return input->revents != 0;
}
