/* The process that is measured, as the kernel accounts for it. */
#ifndef LOAD_TARGET_H
#define LOAD_TARGET_H

#include <stdint.h>
#include <sys/types.h>

struct spent {
    int64_t cpu_ns;             /* what the scheduler has counted: exact */
    int64_t user_ns, system_ns; /* the same, parted as the timer ticks found it: to 10 ms */
    int64_t sleeps;             /* how often it waited for something */
    int64_t at_ns;              /* when this was read */
};

/* All of these end the program when the process is gone. */
struct spent target_spent(pid_t pid);

/* Bytes of its own memory: not of files, not the kernel's. */
int64_t target_memory(pid_t pid);

void target_stop(pid_t pid);
void target_go_on(pid_t pid);

/* Nanoseconds of a clock that only goes forward. */
int64_t clock_ns(void);

/* Prints why, and ends the program: a benchmark that is not right has no result. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

#endif
