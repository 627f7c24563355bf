/* The connection for commands: pipelined, each with whom to tell its reply.
 *
 * What is sent within one turn of the loop goes out together at its end, in one write. */
#ifndef REDIS_COMMANDS_H
#define REDIS_COMMANDS_H

#include "adapters/redis/link.h"
#include "adapters/redis/outgoing.h"
#include "adapters/redis/ring.h"

#define COMMANDS_FINISH_MS 1000 /* the longest wait of commands_finish() */

/* Whom to tell the reply to a command; embedded by its owner. The same one may be under way several times: it is told
 * as often, in the order of the commands. */
struct command {
    /* The reply, borrowed for the call; NULL: the connection was lost, and whether Redis has executed it is
     * not known. It may send the next command from within, with the same struct too. */
    void (*on_reply)(struct command *self, const struct redisReply *reply);
};

struct commands_user {
    void (*on_up)(struct commands_user *self);
    /* What was under way when commands_finish() was called is answered, or will not be. */
    void (*on_finished)(struct commands_user *self);
    void (*on_closed)(struct commands_user *self);
};

struct commands {
    struct link link;
    struct link_user link_user;
    struct commands_user *user;
    redisReader *reader; /* owned; NULL while not up */
    redisReply *reply;   /* owned; the one that is told of; NULL: none, or somebody took it */
    struct ring under_way;
    struct outgoing outgoing;
    uv_prepare_t flush; /* active while outgoing holds something */
    uv_timer_t finish;
    struct command ping;
    bool is_finishing;
    int open_handles;
};

/* All pointers are borrowed for its life. */
void commands_init(struct commands *c, const struct link_config *config, struct commands_user *user);
void commands_open(struct commands *c);
/* Waits until all that was sent is answered: a connection that is closed with a reply unread is reset, and what
 * Redis has not read yet is lost. on_finished follows, later: when there is nothing to wait for, when the connection
 * is lost, or after COMMANDS_FINISH_MS. */
void commands_finish(struct commands *c);
/* Every command under way is told that it is lost, now. on_closed follows later, and then its memory is the
 * owner's again. */
void commands_close(struct commands *c);

/* Sends a command. 0, or -ENOTCONN: then on_reply is not called. Without memory the connection is given up. */
int commands_send(struct commands *c, struct command *command, const struct span args[], size_t count)
    __attribute__((warn_unused_result));

/* Only from within on_reply, at most once: the reply is the caller's from now on (freeReplyObject). */
redisReply *commands_take_reply(struct commands *c);

static inline bool commands_is_up(const struct commands *c)
{
    return link_is_up(&c->link);
}

#endif
