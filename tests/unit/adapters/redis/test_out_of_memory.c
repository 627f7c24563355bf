/* Every allocation fails once: each question is answered all the same, once, and what is lost is the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "adapters/redis/archive.h"
#include "tests/support/await.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/redis_server.h"

#define QUESTIONS 40 /* more commands than the ring has room for at first */
#define LATEST    3

/* The core: counts what it is told. */
static int answers;
static size_t entries_told, latest_told;

void relay_read_back(struct relay *r, struct span sid, uint64_t ticket, const struct archived *entries,
                     size_t count, bool is_last, uint64_t now_ms)
{
    (void)r, (void)sid, (void)ticket, (void)entries, (void)is_last, (void)now_ms;
    answers++;
    entries_told += count;
}

void relay_read_on(struct relay *r, struct span sid, uint64_t ticket, const struct reading *reading,
                   uint64_t now_ms)
{
    (void)r, (void)sid, (void)ticket, (void)now_ms;
    answers++;
    entries_told += reading->count;
    latest_told += reading->latest_count;
}

bool relay_awaits(const struct relay *r, struct span sid, uint64_t ticket)
{
    (void)r;
    (void)sid;
    (void)ticket;
    return true;
}

void relay_data_lost(struct relay *r)
{
    (void)r;
    fail_msg("no data was lost");
}

void relay_store_again(struct relay *r, uint64_t now_ms)
{
    (void)r;
    (void)now_ms;
    fail_msg("Redis knew the scripts");
}

struct scenario {
    uv_loop_t loop;
    struct logger logger;
    struct link_config config;
    struct options options;
    struct commands commands;
    struct commands_user user;
    struct session_archive archive;
    struct relay relay;
};

static void on_up(struct commands_user *user)
{
    struct scenario *s = (struct scenario *)((char *)user - offsetof(struct scenario, user));
    archive_go_on(&s->archive);
}

static void on_nothing(struct commands_user *user)
{
    (void)user;
}

static bool is_up(void *arg)
{
    return commands_is_up(&((struct scenario *)arg)->commands);
}

static bool is_answered(void *arg)
{
    (void)arg;
    return answers >= QUESTIONS;
}

static bool is_quiet(void *arg)
{
    const struct commands *c = &((struct scenario *)arg)->commands;
    return is_up(arg) && c->under_way.count == 0;
}

static void open_scenario(struct scenario *s, struct redis_server *server, FILE *log)
{
    *s = (struct scenario){.logger = {.stream = log, .level = LOG_ERROR},
                           .options = {.redis_prefix = (char *)"comfy", .session_ttl_ms = 60000},
                           .user = {on_up, on_nothing, on_nothing}};
    s->config = (struct link_config){.loop = &s->loop,
                                     .logger = &s->logger,
                                     .where = "there",
                                     .idle_ms = 60000,
                                     .dead_ms = 60000,
                                     .address = {.path = server->socket}};
    answers = 0;
    entries_told = latest_told = 0;
    assert_int_equal(uv_loop_init(&s->loop), 0);
    commands_init(&s->commands, &s->config, &s->user);
    assert_int_equal(archive_init(&s->archive, &s->commands, NULL, &s->config, &s->options), 0);
    archive_open(&s->archive, &s->relay);
    commands_open(&s->commands);
    assert_true(await(&s->loop, is_up, s));
}

static void close_scenario(struct scenario *s)
{
    commands_close(&s->commands);
    archive_deinit(&s->archive);
    assert_true(await_end(&s->loop));
}

/* True when an allocation has failed. */
static bool ask(struct scenario *s)
{
    struct archive *a = &s->archive.port;
    for (unsigned i = 0; i < QUESTIONS; i++)
        if (i % 2)
            a->read_back(a, span_str("s"), STREAM_ID_MAX, i);
        else
            a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, uv_now(&s->loop), i);
    assert_true(await(&s->loop, is_answered, s));
    bool hit = has_failed();
    fail_nothing();
    assert_true(await(&s->loop, is_quiet, s));
    return hit;
}

static void each_question_is_answered_once(void **state)
{
    static struct scenario s;
    struct redis_server server;
    FILE *log = fopen("/dev/null", "w");
    bool hit = true;
    uint64_t without_memory = 0;
    (void)state;
    redis_server_start(&server, NULL);
    freeReplyObject(redis_server_do(&server, "XADD comfy:sid:{s}:log 1-1 e A"));
    freeReplyObject(redis_server_do(&server, "HSET comfy:sid:{s}:latest a 1 b 2 c 3"));
    for (size_t n = 1; hit; n++) {
        open_scenario(&s, &server, log);
        fail_at(n, 0);
        hit = ask(&s);
        assert_int_equal(answers, QUESTIONS);
        assert_int_equal(entries_told, QUESTIONS);
        assert_int_equal(latest_told + s.relay.metrics.out_of_memory * LATEST, QUESTIONS / 2 * LATEST);
        without_memory += s.relay.metrics.out_of_memory + s.commands.link.attempts;
        close_scenario(&s);
    }
    assert_true(without_memory > 2);
    redis_server_stop(&server);
    fclose(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_question_is_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
