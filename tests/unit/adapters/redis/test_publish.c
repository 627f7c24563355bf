/* publish.lua, by a real Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/redis/publish.h"
#include "tests/support/redis_server.h"

#define CHANNEL "comfy:sid:{s}"
#define LOG     CHANNEL ":log"
#define LATEST  CHANNEL ":latest"
#define TTL_MS  60000

static struct redis_server server;
static redisContext *listener;

static int start(void **state)
{
    (void)state;
    redis_server_start(&server, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_server_stop(&server);
    return 0;
}

static int listen_anew(void **state)
{
    (void)state;
    freeReplyObject(redis_server_do(&server, "CONFIG SET maxmemory 0"));
    freeReplyObject(redis_server_do(&server, "CONFIG SET min-replicas-to-write 0"));
    freeReplyObject(redis_server_do(&server, "FLUSHALL"));
    listener = redisConnectUnix(server.socket);
    struct timeval patience = {.tv_sec = 10};
    redisSetTimeout(listener, patience);
    freeReplyObject(redisCommand(listener, "SUBSCRIBE %s", CHANNEL));
    return listener->err;
}

static int listen_no_more(void **state)
{
    (void)state;
    redisFree(listener);
    return 0;
}

/* Runs the script; the reply, which may be an error, is the caller's. */
static redisReply *publish(const char *event, int log_events, const char *key, const char *ends)
{
    return redisCommand(server.control, "EVAL %s 2 %s %s %s %s %d %d %s %s", publish_lua, LOG, LATEST,
                        CHANNEL, event, TTL_MS, log_events, key, ends);
}

static void expect_reply(redisReply *take_reply, int type, const char *text)
{
    assert_non_null(take_reply);
    if (take_reply->type != type)
        print_error("replied: %s\n", take_reply->str);
    assert_int_equal(take_reply->type, type);
    if (text)
        assert_string_equal(take_reply->str, text);
    freeReplyObject(take_reply);
}

static void expect_heard(const char *bytes, size_t len)
{
    redisReply *message = NULL;
    assert_int_equal(redisGetReply(listener, (void **)&message), REDIS_OK);
    assert_int_equal(message->elements, 3);
    assert_int_equal(message->element[2]->len, len);
    assert_memory_equal(message->element[2]->str, bytes, len);
    freeReplyObject(message);
}

static void expect_expiry(const char *key)
{
    long long left_ms = redis_server_count(&server, "PTTL %s", key);
    assert_in_range(left_ms, TTL_MS - 30000, TTL_MS);
}

static void kept_event_is_logged_and_published_with_its_id(void **state)
{
    (void)state;
    char want[128];
    redisReply *id = publish("EVENT", 100, "", "0");
    assert_int_equal(id->type, REDIS_REPLY_STRING);
    int len = snprintf(want, sizeof want, "%c%sEVENT", (char)(0xa0 + id->len), id->str);
    expect_heard(want, (size_t)len);
    redisReply *log = redis_server_do(&server, "XRANGE %s - +", LOG);
    assert_int_equal(log->elements, 1);
    assert_string_equal(log->element[0]->element[0]->str, id->str);
    assert_string_equal(log->element[0]->element[1]->element[0]->str, "e");
    assert_string_equal(log->element[0]->element[1]->element[1]->str, "EVENT");
    expect_expiry(LOG);
    freeReplyObject(log);
    freeReplyObject(id);
}

static void longest_id_is_still_a_messagepack_string(void **state)
{
    (void)state;
    const char *next = "18446744073709551614-18446744073709551001";
    char want[128];
    freeReplyObject(redis_server_do(&server, "XADD %s 18446744073709551614-18446744073709551000 e x", LOG));
    expect_reply(publish("EVENT", 100, "", "0"), REDIS_REPLY_STRING, next);
    int len = snprintf(want, sizeof want, "\xd9%c%sEVENT", (char)strlen(next), next);
    expect_heard(want, (size_t)len);
}

static void latest_event_replaces_the_one_of_its_key(void **state)
{
    (void)state;
    expect_reply(publish("ONE", 100, "progress p 1", "0"), REDIS_REPLY_STRING, "");
    expect_reply(publish("OTHER", 100, "preview 1", "0"), REDIS_REPLY_STRING, "");
    expect_reply(publish("TWO", 100, "progress p 1", "0"), REDIS_REPLY_STRING, "");
    expect_heard("ONE", 3);
    expect_heard("OTHER", 5);
    expect_heard("TWO", 3);
    assert_int_equal(redis_server_count(&server, "HLEN %s", LATEST), 2);
    expect_reply(redis_server_do(&server, "HGET %s %s", LATEST, "progress p 1"), REDIS_REPLY_STRING, "TWO");
    expect_expiry(LATEST);
    assert_int_equal(redis_server_count(&server, "EXISTS %s", LOG), 0);
}

static void each_class_renews_the_expiry_of_both_keys(void **state)
{
    (void)state;
    freeReplyObject(publish("KEPT", 100, "", "0"));
    freeReplyObject(publish("LATEST", 100, "k", "0"));
    const char *keys[] = {"", "k"};
    for (int i = 0; i < 2; i++) {
        redis_server_count(&server, "PEXPIRE %s 1000", LOG);
        redis_server_count(&server, "PEXPIRE %s 1000", LATEST);
        freeReplyObject(publish("MORE", 100, keys[i], "0"));
        expect_expiry(LOG);
        expect_expiry(LATEST);
    }
}

static void end_of_a_prompt_deletes_its_latest_events(void **state)
{
    (void)state;
    freeReplyObject(publish("PROGRESS", 100, "k", "0"));
    assert_int_equal(redis_server_count(&server, "EXISTS %s", LATEST), 1);
    freeReplyObject(publish("END", 100, "", "1"));
    assert_int_equal(redis_server_count(&server, "EXISTS %s", LATEST), 0);
    assert_int_equal(redis_server_count(&server, "XLEN %s", LOG), 1);
}

static void log_holds_about_as_many_as_asked(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        freeReplyObject(publish("EVENT", 100, "", "0"));
    assert_in_range(redis_server_count(&server, "XLEN %s", LOG), 100, 300);
}

static void event_is_published_when_redis_has_no_memory_left(void **state)
{
    (void)state;
    freeReplyObject(redis_server_do(&server, "CONFIG SET maxmemory 1"));
    expect_reply(publish("KEPT", 100, "", "0"), REDIS_REPLY_ERROR, NULL);
    expect_heard("KEPT", 4);
    expect_reply(publish("LATEST", 100, "k", "0"), REDIS_REPLY_ERROR, NULL);
    expect_heard("LATEST", 6);
}

static void event_is_published_when_a_key_has_another_type(void **state)
{
    (void)state;
    freeReplyObject(redis_server_do(&server, "SET %s text", LOG));
    freeReplyObject(redis_server_do(&server, "SET %s text", LATEST));
    expect_reply(publish("KEPT", 100, "", "0"), REDIS_REPLY_ERROR, NULL);
    expect_heard("KEPT", 4);
    expect_reply(publish("LATEST", 100, "k", "0"), REDIS_REPLY_ERROR, NULL);
    expect_heard("LATEST", 6);
}

/* Redis 6.2 lets a script write all the same: then the message begins with an id. */
static void expect_heard_at_the_end(const char *event)
{
    redisReply *message = NULL;
    assert_int_equal(redisGetReply(listener, (void **)&message), REDIS_OK);
    const redisReply *payload = message->element[2];
    assert_in_range(strlen(event), 1, payload->len);
    assert_string_equal(payload->str + payload->len - strlen(event), event);
    freeReplyObject(message);
}

static void event_is_published_when_redis_takes_no_writes(void **state)
{
    (void)state;
    freeReplyObject(redis_server_do(&server, "CONFIG SET min-replicas-to-write 1"));
    freeReplyObject(publish("KEPT", 100, "", "0"));
    expect_heard_at_the_end("KEPT");
    freeReplyObject(publish("LATEST", 100, "k", "0"));
    expect_heard_at_the_end("LATEST");
    freeReplyObject(publish("END", 100, "", "1"));
    expect_heard_at_the_end("END");
}

/* It is published again when the master is found; who listens here would hear it each time. */
static void nothing_is_done_on_a_replica(void **state)
{
    (void)state;
    freeReplyObject(redis_server_do(&server, "REPLICAOF 127.0.0.1 1"));
    freeReplyObject(publish("KEPT", 100, "", "0"));
    freeReplyObject(publish("LATEST", 100, "k", "1"));
    freeReplyObject(redis_server_do(&server, "REPLICAOF NO ONE"));
    freeReplyObject(publish("AFTER", 100, "", "0"));
    expect_heard_at_the_end("AFTER");
}

#define promise(name) cmocka_unit_test_setup_teardown(name, listen_anew, listen_no_more)

int main(void)
{
    const struct CMUnitTest tests[] = {
        promise(kept_event_is_logged_and_published_with_its_id),
        promise(longest_id_is_still_a_messagepack_string),
        promise(latest_event_replaces_the_one_of_its_key),
        promise(each_class_renews_the_expiry_of_both_keys),
        promise(end_of_a_prompt_deletes_its_latest_events),
        promise(log_holds_about_as_many_as_asked),
        promise(event_is_published_when_redis_has_no_memory_left),
        promise(event_is_published_when_a_key_has_another_type),
        promise(event_is_published_when_redis_takes_no_writes),
        promise(nothing_is_done_on_a_replica),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
