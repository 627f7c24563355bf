#include "adapters/redis/commands.h"

#include <errno.h>

#define HANDLES     3     /* the link's, and two of its own */
#define FLUSH_BYTES 65536 /* so much is written without waiting for the end of the turn */

static void on_up(struct link_user *user);
static void on_bytes(struct link_user *user, struct span bytes);
static void on_down(struct link_user *user);
static void ping(struct link_user *user);
static void on_link_closed(struct link_user *user);
static void on_pong(struct command *self, const redisReply *reply);
static void on_turn_end(uv_prepare_t *prepare);
static void on_finished(uv_timer_t *timer);
static void on_handle_closed(uv_handle_t *handle);

void commands_init(struct commands *c, const struct link_config *config, struct commands_user *user)
{
    *c = (struct commands){.link_user = {on_up, on_bytes, on_down, ping, on_link_closed},
                           .user = user,
                           .ping = {on_pong},
                           .open_handles = HANDLES};
    link_init(&c->link, config, "commands", &c->link_user);
    uv_prepare_init(config->loop, &c->flush);
    uv_timer_init(config->loop, &c->finish);
    c->flush.data = c->finish.data = c;
}

void commands_open(struct commands *c)
{
    link_open(&c->link);
}

static void write_out(struct commands *c)
{
    uv_prepare_stop(&c->flush);
    if (c->outgoing.len > 0)
        link_write(&c->link, outgoing_span(&c->outgoing));
    outgoing_clear(&c->outgoing);
}

int commands_send(struct commands *c, struct command *command, const struct span args[], size_t count)
{
    if (!commands_is_up(c))
        return -ENOTCONN;
    if (ring_reserve(&c->under_way) < 0 || outgoing_add(&c->outgoing, args, count) < 0) {
        link_fail(&c->link, strerror(ENOMEM));
        return -ENOTCONN;
    }
    ring_add(&c->under_way, command);
    if (c->outgoing.len < FLUSH_BYTES)
        uv_prepare_start(&c->flush, on_turn_end);
    else
        write_out(c);
    return 0;
}

redisReply *commands_take_reply(struct commands *c)
{
    redisReply *reply = c->reply;
    c->reply = NULL;
    return reply;
}

static void lose_all(struct commands *c)
{
    struct command *command;
    if (c->reader)
        redisReaderFree(c->reader);
    c->reader = NULL;
    uv_prepare_stop(&c->flush);
    outgoing_clear(&c->outgoing);
    while ((command = ring_take(&c->under_way)))
        command->on_reply(command, NULL);
}

static void take_reply(struct commands *c, redisReply *take_reply)
{
    struct command *command = ring_take(&c->under_way);
    c->reply = take_reply;
    if (command)
        command->on_reply(command, take_reply);
    else
        link_fail(&c->link, "a reply to no command");
    if (c->reply)
        freeReplyObject(c->reply);
    c->reply = NULL;
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
    }
}

static bool has_to_wait(const struct commands *c)
{
    return commands_is_up(c) && c->under_way.count > 0;
}

void commands_finish(struct commands *c)
{
    c->is_finishing = true;
    uv_timer_start(&c->finish, on_finished, has_to_wait(c) ? COMMANDS_FINISH_MS : 0, 0);
}

static void finish_if_answered(struct commands *c)
{
    if (c->is_finishing && !has_to_wait(c))
        uv_timer_start(&c->finish, on_finished, 0, 0);
}

static void close_handle(struct commands *c)
{
    if (--c->open_handles > 0)
        return;
    ring_deinit(&c->under_way);
    outgoing_deinit(&c->outgoing);
    c->user->on_closed(c->user);
}

/* Callbacks: of the loop, of the link */

static void on_turn_end(uv_prepare_t *prepare)
{
    write_out(prepare->data);
}

static void on_finished(uv_timer_t *timer)
{
    struct commands *c = timer->data;
    c->is_finishing = false;
    c->user->on_finished(c->user);
}

static void on_handle_closed(uv_handle_t *handle)
{
    close_handle(handle->data);
}

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
    finish_if_answered(c);
}

static void on_down(struct link_user *user)
{
    struct commands *c = of_link(user);
    lose_all(c);
    finish_if_answered(c);
}

static void on_pong(struct command *self, const redisReply *reply)
{
    (void)self;
    (void)reply;
}

static void ping(struct link_user *user)
{
    struct commands *c = of_link(user);
    /* It is up, or this would not have been called. */
    if (commands_send(c, &c->ping, (struct span[]){span_str("PING")}, 1) < 0)
        link_fail(&c->link, "not connected");
}

static void on_link_closed(struct link_user *user)
{
    close_handle(of_link(user));
}

void commands_close(struct commands *c)
{
    link_close(&c->link);
    lose_all(c);
    uv_close((uv_handle_t *)&c->flush, on_handle_closed);
    uv_close((uv_handle_t *)&c->finish, on_handle_closed);
}
