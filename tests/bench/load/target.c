#include "tests/bench/load/target.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(EXIT_FAILURE);
}

int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void read_proc(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail("no %s: has it ended?", path);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
}

static int64_t number_behind(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    return at ? strtoll(at + strlen(label), NULL, 10) : 0;
}

/* Fields 14 and 15 of stat, counted behind the name, which may hold anything but ends with the last ')'. */
static void add_ticks(pid_t pid, struct spent *sum)
{
    char text[1024];
    unsigned long user, system;
    read_proc(pid, "stat", text, sizeof text);
    if (sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        fail("no times in /proc/%d/stat", (int)pid);
    int64_t tick_ns = INT64_C(1000000000) / sysconf(_SC_CLK_TCK);
    sum->user_ns += (int64_t)user * tick_ns;
    sum->system_ns += (int64_t)system * tick_ns;
}

static void add_spent(pid_t pid, struct spent *sum)
{
    char text[4096];
    read_proc(pid, "schedstat", text, sizeof text);
    sum->cpu_ns += strtoll(text, NULL, 10);
    read_proc(pid, "status", text, sizeof text);
    sum->sleeps += number_behind(text, "\nvoluntary_ctxt_switches:");
    add_ticks(pid, sum);
}

static void send_all(const struct target *t, int signal)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (kill(t->pids[i], signal) != 0)
            fail("cannot signal %d", (int)t->pids[i]);
    }
}

void target_add(struct target *t, pid_t pid)
{
    if (t->count == TARGET_MAX)
        fail("more than %d processes", TARGET_MAX);
    t->pids[t->count++] = pid;
}

struct spent target_spent(const struct target *t)
{
    struct spent sum = {.at_ns = clock_ns()};
    for (unsigned i = 0; i < t->count; i++)
        add_spent(t->pids[i], &sum);
    return sum;
}

int64_t target_memory(const struct target *t)
{
    char text[4096];
    int64_t sum = 0;
    for (unsigned i = 0; i < t->count; i++) {
        read_proc(t->pids[i], "smaps_rollup", text, sizeof text);
        sum += number_behind(text, "\nAnonymous:") * 1024;
    }
    return sum;
}

void target_stop(const struct target *t)
{
    send_all(t, SIGSTOP);
}

void target_go_on(const struct target *t)
{
    send_all(t, SIGCONT);
}
