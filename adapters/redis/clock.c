#include "adapters/redis/clock.h"

#include <stdlib.h>
#include <time.h>

#define NS_PER_MS    1000000
#define TOLERANCE_MS 5 /* of the loop's clock, and of what is between the reading of a clock and its use */

static void on_reply(struct command *self, const redisReply *reply);

void clock_init(struct clock *c, struct commands *commands, struct oddities *oddities, struct archive *port,
                void (*on_current)(struct clock *self))
{
    *c = (struct clock){.commands = commands,
                        .oddities = oddities,
                        .port = port,
                        .command = {on_reply},
                        .on_current = on_current};
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / NS_PER_MS;
}

static void ask(struct clock *c)
{
    c->asked_ms = now_ms();
    c->is_under_way = commands_send(c->commands, &c->command, (struct span[]){span_str("TIME")}, 1) == 0;
}

void clock_begin(struct clock *c)
{
    c->is_current = false;
    ask(c);
}

void clock_keep(struct clock *c)
{
    if (c->is_current && !c->is_under_way && now_ms() - c->asked_ms >= CLOCK_INTERVAL_MS)
        ask(c);
}

uint64_t clock_at(const struct clock *c, uint64_t loop_ms)
{
    int64_t ms = (int64_t)loop_ms + c->port->clock_ms;
    return ms > 0 ? (uint64_t)ms : 0;
}

static int64_t machine_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

static int64_t number_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
}

/* [seconds, microseconds], in digits */
static int64_t redis_ms(struct clock *c, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
        return number_of(reply->element[0]) * 1000 + number_of(reply->element[1]) / 1000;
    oddities_note(c->oddities, "time of Redis not read", SPAN_NONE, reply);
    return machine_ms();
}

static void set(struct clock *c, int64_t redis_now_ms)
{
    int64_t took_ms = (int64_t)(now_ms() - c->asked_ms);
    int64_t clock_ms = redis_now_ms - (int64_t)c->asked_ms - took_ms / 2;
    bool is_same = c->port->has_clock && llabs(clock_ms - c->port->clock_ms) <= took_ms / 2 + TOLERANCE_MS;
    if (!is_same)
        c->port->clock_ms = clock_ms;
    c->port->has_clock = true;
}

/* Callback of the commands */

static void on_reply(struct command *self, const redisReply *reply)
{
    struct clock *c = (struct clock *)((char *)self - offsetof(struct clock, command));
    bool was_current = c->is_current;
    c->is_under_way = false;
    c->is_current = reply;
    if (reply)
        set(c, redis_ms(c, reply));
    if (reply && !was_current)
        c->on_current(c);
}
