/* What is measured, one process or several, as the kernel accounts for them. */
#ifndef LOAD_TARGET_H
#define LOAD_TARGET_H

#include <stdint.h>
#include <sys/types.h>

#define TARGET_PIDS 64

/* Without a process nothing is spent. */
struct target {
    pid_t pids[TARGET_PIDS];
    int count;
};

struct spent {
    int64_t cpu_ns;             /* of all threads, what the scheduler has counted: exact */
    int64_t user_ns, system_ns; /* the same, parted as the timer ticks found it: to 10 ms */
    int64_t sleeps;             /* how often the first thread of each waited for something */
    int64_t reads, writes;      /* calls of read(), write() and their like */
    int64_t at_ns;              /* when this was read */
};

/* All of these end the program when a process is gone. */
void target_add(struct target *target, pid_t pid);
struct spent target_spent(const struct target *target);

/* Bytes of their own memory, with what they share among themselves: not of files, not the kernel's. */
int64_t target_memory(const struct target *target);

void target_stop(const struct target *target);
void target_go_on(const struct target *target);

/* Nanoseconds of a clock that only goes forward. */
int64_t clock_ns(void);

/* Prints why, and ends the program: a benchmark that is not right has no result. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

#endif
