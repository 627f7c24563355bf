/* The connection for commands: pipelined, each with whom to tell its reply. */
#ifndef REDIS_COMMANDS_H
#define REDIS_COMMANDS_H

#include "adapters/redis/link.h"

/* A command under way; embedded by its owner, and in use until on_reply. */
struct command {
    struct command *next;
    /* The reply, borrowed for the call; NULL: the connection was lost, and whether Redis has executed it is
     * not known. It may send the next command from within, with the same struct too. */
    void (*on_reply)(struct command *self, const struct redisReply *reply);
};

struct commands_user {
    void (*on_up)(struct commands_user *self);
    void (*on_closed)(struct commands_user *self);
};

struct commands {
    struct link link;
    struct link_user link_user;
    struct commands_user *user;
    redisReader *reader;           /* owned; NULL while not up */
    struct command *first, **last; /* under way, oldest first */
    struct command ping;
};

/* All pointers are borrowed for its life. */
void commands_init(struct commands *c, const struct link_config *config, struct commands_user *user);
void commands_open(struct commands *c);
/* Every command under way is told that it is lost, now. on_closed follows later, and then its memory is the
 * owner's again. */
void commands_close(struct commands *c);

/* Sends a command of at most LINK_ARGS_MAX arguments. 0, or -ENOTCONN: then on_reply is not called. */
int commands_send(struct commands *c, struct command *command, const struct span args[], size_t count)
    __attribute__((warn_unused_result));

static inline bool commands_is_up(const struct commands *c)
{
    return link_is_up(&c->link);
}

#endif
