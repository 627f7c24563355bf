#include "adapters/redis/commands.h"

#include <errno.h>

static void on_up(struct link_user *user);
static void on_bytes(struct link_user *user, struct span bytes);
static void on_down(struct link_user *user);
static void ping(struct link_user *user);
static void on_link_closed(struct link_user *user);

void commands_init(struct commands *c, const struct link_config *config, struct commands_user *user)
{
    *c = (struct commands){.link_user = {on_up, on_bytes, on_down, ping, on_link_closed}, .user = user};
    c->last = &c->first;
    link_init(&c->link, config, "commands", &c->link_user);
}

void commands_open(struct commands *c)
{
    link_open(&c->link);
}

int commands_send(struct commands *c, struct command *command, const struct span args[], size_t count)
{
    if (!commands_is_up(c))
        return -ENOTCONN;
    command->next = NULL;
    *c->last = command;
    c->last = &command->next;
    link_command(&c->link, args, count);
    return 0;
}

static struct command *take_first(struct commands *c)
{
    struct command *command = c->first;
    if (!command)
        return NULL;
    c->first = command->next;
    if (!c->first)
        c->last = &c->first;
    return command;
}

static void lose_all(struct commands *c)
{
    struct command *command;
    if (c->reader)
        redisReaderFree(c->reader);
    c->reader = NULL;
    while ((command = take_first(c)))
        command->on_reply(command, NULL);
}

static void take_reply(struct commands *c, redisReply *reply)
{
    struct command *command = take_first(c);
    if (command)
        command->on_reply(command, reply);
    else
        link_fail(&c->link, "a reply to no command");
}

static void read_replies(struct commands *c)
{
    while (commands_is_up(c)) {
        void *reply = NULL;
        if (redisReaderGetReply(c->reader, &reply) != REDIS_OK)
            link_fail(&c->link, c->reader->errstr);
        if (!reply)
            return;
        take_reply(c, reply);
        freeReplyObject(reply);
    }
}

/* Callbacks of the link */

static struct commands *of_link(struct link_user *user)
{
    return (struct commands *)((char *)user - offsetof(struct commands, link_user));
}

static void on_up(struct link_user *user)
{
    struct commands *c = of_link(user);
    c->reader = redisReaderCreate();
    if (c->reader)
        c->user->on_up(c->user);
    else
        link_fail(&c->link, "no memory");
}

static void on_bytes(struct link_user *user, struct span bytes)
{
    struct commands *c = of_link(user);
    if (redisReaderFeed(c->reader, (const char *)bytes.bytes, bytes.len) == REDIS_OK)
        read_replies(c);
    else
        link_fail(&c->link, c->reader->errstr);
}

static void on_down(struct link_user *user)
{
    lose_all(of_link(user));
}

static void on_pong(struct command *self, const struct redisReply *reply)
{
    (void)self;
    (void)reply;
}

static void ping(struct link_user *user)
{
    struct commands *c = of_link(user);
    c->ping.on_reply = on_pong;
    /* It is up, or this would not have been called. */
    if (commands_send(c, &c->ping, (struct span[]){span_str("PING")}, 1) < 0)
        link_fail(&c->link, "not connected");
}

static void on_link_closed(struct link_user *user)
{
    struct commands *c = of_link(user);
    c->user->on_closed(c->user);
}

void commands_close(struct commands *c)
{
    link_close(&c->link);
    lose_all(c);
}
