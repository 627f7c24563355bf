/* The processes that are measured, as the kernel accounts for them. */
#ifndef LOAD_TARGET_H
#define LOAD_TARGET_H

#include <stdint.h>
#include <sys/types.h>

#define TARGET_MAX 8

struct target {
    pid_t pids[TARGET_MAX];
    unsigned count; /* 0: nobody is measured */
};

struct spent {
    int64_t cpu_ns;             /* what the scheduler has counted: exact */
    int64_t user_ns, system_ns; /* the same, parted as the timer ticks found it: to 10 ms */
    int64_t sleeps;             /* how often it waited for something */
    int64_t at_ns;              /* when this was read */
};

void target_add(struct target *t, pid_t pid);

/* These add up all of them, and end the program when one is gone. */
struct spent target_spent(const struct target *t);

/* Bytes of its own memory: not of files, not the kernel's. */
int64_t target_memory(const struct target *t);

void target_stop(const struct target *t);
void target_go_on(const struct target *t);

/* Nanoseconds of a clock that only goes forward. */
int64_t clock_ns(void);

/* Prints why, and ends the program: a benchmark that is not right has no result. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

#endif
