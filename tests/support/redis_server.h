/* A redis-server of a test's own: in a directory of its own, gone with the test, whatever becomes of that. */
#ifndef SUPPORT_REDIS_SERVER_H
#define SUPPORT_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <stdint.h>
#include <sys/types.h>

#define REDIS_SERVER_ARGS_MAX 16

struct redis_server {
    const char *const *args; /* borrowed, NULL-terminated: further options of redis-server; or NULL */
    char dir[64];
    char socket[96]; /* the Unix socket it listens on; no TCP unless args say so */
    char url[128];
    pid_t pid;             /* 0: it does not run */
    redisContext *control; /* owned; a connection for commands of the test */
};

/* Starts it and waits until it takes connections. On failure it says why and ends the test program. */
void redis_server_start(struct redis_server *s, const char *const *args);
/* Ends it as a crash would (SIGKILL), and starts it again at the same address. */
void redis_server_kill(struct redis_server *s);
void redis_server_restart(struct redis_server *s);
/* Ends it and removes its directory. Fine at any time after redis_server_start(). */
void redis_server_stop(struct redis_server *s);

/* Runs a command as redisCommand() has it. The reply is the caller's (freeReplyObject), and never an error. */
redisReply *redis_server_do(struct redis_server *s, const char *format, ...);
/* The same, for a command whose reply is an integer. */
long long redis_server_count(struct redis_server *s, const char *format, ...);

/* A TCP port on which nobody listens at the moment. */
uint16_t redis_server_free_port(void);

#endif
