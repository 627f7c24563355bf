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
static void read_ticks(pid_t pid, struct spent *spent)
{
    char text[1024];
    unsigned long user, system;
    read_proc(pid, "stat", text, sizeof text);
    if (sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        fail("no times in /proc/%d/stat", (int)pid);
    int64_t tick_ns = INT64_C(1000000000) / sysconf(_SC_CLK_TCK);
    spent->user_ns = (int64_t)user * tick_ns;
    spent->system_ns = (int64_t)system * tick_ns;
}

struct spent target_spent(pid_t pid)
{
    char text[4096];
    struct spent spent = {.at_ns = clock_ns()};
    read_proc(pid, "schedstat", text, sizeof text);
    spent.cpu_ns = strtoll(text, NULL, 10);
    read_proc(pid, "status", text, sizeof text);
    spent.sleeps = number_behind(text, "\nvoluntary_ctxt_switches:");
    read_ticks(pid, &spent);
    return spent;
}

int64_t target_memory(pid_t pid)
{
    char text[4096];
    read_proc(pid, "smaps_rollup", text, sizeof text);
    return number_behind(text, "\nAnonymous:") * 1024;
}

void target_stop(pid_t pid)
{
    if (kill(pid, SIGSTOP) != 0)
        fail("cannot stop %d", (int)pid);
}

void target_go_on(pid_t pid)
{
    if (kill(pid, SIGCONT) != 0)
        fail("cannot let %d go on", (int)pid);
}
