/* The command line of comfy-publish. */
#ifndef COMMAND_ARGUMENTS_H
#define COMMAND_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#define FASTEST 0 /* as a speed */

struct arguments {
    const char *redis_url, *redis_prefix, *password_file, *worker; /* NULL: the library's default */
    uint64_t session_ttl_ms, session_log_events, timeout_ms;
    const char *of_playing; /* the first option given that --play alone has; NULL: none */
    const char *play;       /* a file; NULL: events come from standard input */
    const char *sid;        /* NULL: those of the recording */
    double speed;           /* times the recorded pace, or FASTEST */
    bool loop;
    uint64_t times, pause_ms, workers, sessions, seed; /* sessions 0: there is only that of `sid` */
};

/* Options stand in the environment too, weaker. Returns -1: go on; else the exit code, and all has been said. */
int arguments_read(struct arguments *a, int argc, char **argv);

#endif
