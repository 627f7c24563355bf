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
static void add_ticks(pid_t pid, struct spent *spent)
{
    char text[1024];
    unsigned long user, system;
    read_proc(pid, "stat", text, sizeof text);
    if (sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        fail("no times in /proc/%d/stat", (int)pid);
    int64_t tick_ns = INT64_C(1000000000) / sysconf(_SC_CLK_TCK);
    spent->user_ns += (int64_t)user * tick_ns;
    spent->system_ns += (int64_t)system * tick_ns;
}

/* Of all its threads, also of those that have ended. */
static int64_t cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        fail("no process %d: has it ended?", (int)pid);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void add_spent(pid_t pid, struct spent *spent)
{
    char text[4096];
    spent->cpu_ns += cpu_ns(pid);
    read_proc(pid, "status", text, sizeof text);
    spent->sleeps += number_behind(text, "\nvoluntary_ctxt_switches:");
    read_proc(pid, "io", text, sizeof text);
    spent->reads += number_behind(text, "\nsyscr:");
    spent->writes += number_behind(text, "\nsyscw:");
    add_ticks(pid, spent);
}

struct spent target_spent(const struct target *target)
{
    struct spent spent = {.at_ns = clock_ns()};
    for (int i = 0; i < target->count; i++)
        add_spent(target->pids[i], &spent);
    return spent;
}

/* What processes share counts once: Pss is a page's part for each who has it. */
int64_t target_memory(const struct target *target)
{
    char text[4096];
    int64_t kib = 0;
    for (int i = 0; i < target->count; i++) {
        read_proc(target->pids[i], "smaps_rollup", text, sizeof text);
        kib += number_behind(text, "\nAnonymous:") + number_behind(text, "\nPss_Shmem:");
    }
    return kib * 1024;
}

void target_add(struct target *target, pid_t pid)
{
    if (target->count == TARGET_PIDS)
        fail("more than %d processes", TARGET_PIDS);
    target->pids[target->count++] = pid;
}

static void send_signal(const struct target *target, int signal)
{
    for (int i = 0; i < target->count; i++) {
        if (kill(target->pids[i], signal) != 0)
            fail("cannot send signal %d to %d", signal, (int)target->pids[i]);
    }
}

void target_stop(const struct target *target)
{
    send_signal(target, SIGSTOP);
}

void target_go_on(const struct target *target)
{
    send_signal(target, SIGCONT);
}
