/* The publisher library, by a real Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/msgpack/unpack.h"
#include "adapters/publisher/comfy_publisher.h"
#include "adapters/redis/publish.h"
#include "tests/support/redis_server.h"

#define LOG     "comfy:sid:{s}:log"
#define LATEST  "comfy:sid:{s}:latest"
#define WAIT_MS 20000

static struct redis_server server;
static struct comfy_publisher *p;
static bool has_no_chance;

/* In place of the C library's. */
ssize_t getrandom(void *to, size_t bytes, unsigned flags)
{
    return has_no_chance ? -1 : syscall(SYS_getrandom, to, bytes, flags);
}

static void open_with(struct comfy_publisher_options options)
{
    char why[COMFY_PUBLISHER_WHY_BYTES] = "";
    if (!options.redis_url)
        options.redis_url = server.url;
    if (!options.worker)
        options.worker = "w";
    int error = comfy_publisher_open(&options, &p, why);
    assert_string_equal(why, "");
    assert_int_equal(error, 0);
}

static int start(void **state)
{
    static const char *const args[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    (void)state;
    redis_server_start(&server, args);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_server_stop(&server);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    if (server.pid == 0)
        redis_server_restart(&server);
    freeReplyObject(redis_server_do(&server, "FLUSHALL"));
    freeReplyObject(redis_server_do(&server, "SCRIPT FLUSH"));
    open_with((struct comfy_publisher_options){0});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    int error = comfy_publisher_close(p, 0);
    p = NULL;
    return error == 0 || error == -ETIMEDOUT ? 0 : -1;
}

static void flush(void)
{
    if (comfy_publisher_flush(p, WAIT_MS) < 0)
        fail_msg("%s", comfy_publisher_error(p));
    assert_int_equal(comfy_publisher_counters(p).queued_events, 0);
}

static void emit(const char *sid, const char *type, const char *json)
{
    if (comfy_publisher_json(p, sid, type, json) < 0)
        fail_msg("%s", comfy_publisher_error(p));
}

static void emit_number(int n)
{
    char json[64];
    snprintf(json, sizeof json, "{\"n\":%d}", n);
    emit("s", "executed", json);
}

static long long log_length(void)
{
    return redis_server_count(&server, "XLEN %s", LOG);
}

/* Each of these numbers is in the log, once or more often, and the first time in order. */
static void expect_log_has_all(int count)
{
    redisReply *log = redis_server_do(&server, "XRANGE %s - +", LOG);
    int seen = 0;
    for (size_t i = 0; i < log->elements; i++) {
        const redisReply *event = log->element[i]->element[1]->element[1];
        struct member data = {.key = SPAN_LITERAL("data")}, n = {.key = SPAN_LITERAL("n")};
        assert_int_equal(unpack_members(span_of(event->str, event->len), 1, &data, 1), DROP_NOTHING);
        assert_int_equal(unpack_members(data.value, 2, &n, 1), DROP_NOTHING);
        int number = (int)unpack_one(n.value).uint;
        if (number == seen)
            seen++;
        else if (number > seen)
            fail_msg("event %d is missing before %d", seen, number);
    }
    assert_int_equal(seen, count);
    freeReplyObject(log);
}

static redisContext *listen_to(const char *channel)
{
    redisContext *c = redisConnectUnix(server.socket);
    struct timeval patience = {.tv_sec = 20};
    redisSetTimeout(c, patience);
    freeReplyObject(redisCommand(c, "SUBSCRIBE %s", channel));
    return c;
}

/* The next message of a listener, for freeReplyObject(); *bytes is its payload. */
static redisReply *hear(redisContext *c, struct span *bytes)
{
    redisReply *message = NULL;
    assert_int_equal(redisGetReply(c, (void **)&message), REDIS_OK);
    *bytes = span_of(message->element[2]->str, message->element[2]->len);
    return message;
}

static struct span value_of(struct span map, const char *key)
{
    struct member m = {.key = span_str(key)};
    assert_int_equal(unpack_members(map, 1, &m, 1), DROP_NOTHING);
    return m.value;
}

static struct span text_of(struct span map, const char *key)
{
    struct value v = unpack_one(value_of(map, key));
    return v.kind == VALUE_STR ? v.bytes : SPAN_NONE;
}

static void expect_text(struct span got, const char *wanted)
{
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)got.len, (const char *)got.bytes);
    assert_string_equal(text, wanted);
}

/* Events */

static void kept_events_are_logged_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        emit_number(i);
    flush();
    assert_int_equal(log_length(), 1000);
    expect_log_has_all(1000);
    assert_int_equal(comfy_publisher_counters(p).published, 1000);
    assert_in_range(redis_server_count(&server, "PTTL %s", LOG), 1, COMFY_PUBLISHER_TTL_MS);
}

static void newest_of_a_kind_replaces_the_older(void **state)
{
    (void)state;
    emit("s", "progress", "{\"prompt_id\":\"p\",\"node\":\"1\",\"value\":1}");
    emit("s", "progress", "{\"prompt_id\":\"p\",\"node\":\"2\",\"value\":1}");
    emit("s", "progress", "{\"prompt_id\":\"p\",\"node\":\"1\",\"value\":2}");
    assert_int_equal(comfy_publisher_preview(p, "s", "JPEG", "x", 1, "{\"node_id\":\"1\"}"), 0);
    assert_int_equal(comfy_publisher_preview(p, "s", "JPEG", "y", 1, "{\"node_id\":\"1\"}"), 0);
    flush();
    assert_int_equal(redis_server_count(&server, "HLEN %s", LATEST), 3);
    assert_int_equal(log_length(), 0);
}

static void end_of_a_prompt_drops_its_newest_events(void **state)
{
    (void)state;
    emit("s", "progress", "{\"prompt_id\":\"p\",\"node\":\"1\",\"value\":1}");
    emit("s", "executing", "{\"prompt_id\":\"p\",\"node\":null}");
    flush();
    assert_int_equal(redis_server_count(&server, "EXISTS %s", LATEST), 0);
    assert_int_equal(log_length(), 1);
}

static void results_are_kept(void **state)
{
    (void)state;
    assert_int_equal(comfy_publisher_preview(p, "s", "PNG", "x", 1, NULL), 0);
    assert_int_equal(comfy_publisher_binary(p, "s", 10, "bytes", 5), 0);
    flush();
    assert_int_equal(log_length(), 2);
}

static void event_for_all_is_published_to_all(void **state)
{
    (void)state;
    redisContext *all = listen_to("comfy:events");
    struct span event;
    emit(NULL, "custom", "[18446744073709551615]");
    flush();
    redisReply *message = hear(all, &event);
    expect_text(text_of(event, "type"), "custom");
    expect_text(text_of(event, "worker"), "w");
    assert_int_equal(unpack_one(value_of(event, "sid")).kind, VALUE_NIL);
    assert_true(unpack_one(value_of(event, "ts")).uint > 1600000000000);
    expect_text(value_of(event, "data"), "\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    freeReplyObject(message);
    redisFree(all);
}

static void event_for_nobody_is_published_to_nobody(void **state)
{
    (void)state;
    emit("", "custom", "1");
    assert_int_equal(comfy_publisher_counters(p).queued_events, 0);
    flush();
    assert_int_equal(comfy_publisher_counters(p).published, 0);
}

static void text_without_data_is_nil(void **state)
{
    (void)state;
    redisContext *all = listen_to("comfy:events");
    struct span event;
    assert_int_equal(comfy_publisher_text(p, NULL, "custom", NULL, 0), 0);
    flush();
    redisReply *message = hear(all, &event);
    expect_text(value_of(event, "data"), "\xc0");
    freeReplyObject(message);
    redisFree(all);
}

static void envelope_is_published_as_it_stands(void **state)
{
    (void)state;
    const char envelope[] = "\x83\xa4type\xa1t\xa3sid\xa1s\xa1x\x01";
    assert_int_equal(comfy_publisher_envelope(p, envelope, sizeof envelope - 1), 0);
    flush();
    redisReply *log = redis_server_do(&server, "XRANGE %s - +", LOG);
    assert_int_equal(log->elements, 1);
    assert_string_equal(log->element[0]->element[1]->element[1]->str, envelope);
    freeReplyObject(log);
}

static void expect_refused(int error, const char *part)
{
    assert_int_equal(error, -EINVAL);
    if (!strstr(comfy_publisher_error(p), part))
        fail_msg("no \"%s\" in \"%s\"", part, comfy_publisher_error(p));
}

static void what_breaks_the_contract_is_refused(void **state)
{
    (void)state;
    expect_refused(comfy_publisher_json(p, "s", "t", "{\"a\":}"), "JSON, byte 6: not a value");
    expect_refused(comfy_publisher_json(p, "a{b", "t", "1"), "a sid is");
    expect_refused(comfy_publisher_text(p, "s", "t", "\xc1", 1), "not MessagePack");
    expect_refused(comfy_publisher_text(p, "s", "t", "\x01\x02", 2), "something follows");
    expect_refused(comfy_publisher_text(p, "s", "t", "\x92\x01", 2), "ends before");
    expect_refused(comfy_publisher_binary(p, "s", 2, "x", 1), "wrong shape");
    expect_refused(comfy_publisher_preview(p, "s", "JPEG", "x", 1, "[]"), "wrong shape");
    expect_refused(comfy_publisher_json(p, NULL, "relay.worker", "{}"), "relay.");
    expect_refused(comfy_publisher_json(p, NULL, "status", "{}"), "wrong shape");
    expect_refused(comfy_publisher_envelope(p, "\x80", 1), "no type");
    expect_refused(comfy_publisher_envelope(p, "x", 1), "a map");
    assert_int_equal(comfy_publisher_counters(p).queued_events, 0);
}

static void what_is_null_and_may_not_be_is_refused(void **state)
{
    (void)state;
    expect_refused(comfy_publisher_json(p, "s", "t", NULL), "the JSON is NULL");
    expect_refused(comfy_publisher_json(p, "s", NULL, "1"), "the type is NULL");
    expect_refused(comfy_publisher_text(p, "s", NULL, "\x01", 1), "the type is NULL");
    expect_refused(comfy_publisher_text(p, "s", "t", NULL, 5), "bytes");
    expect_refused(comfy_publisher_binary(p, "s", 10, NULL, 5), "bytes");
    expect_refused(comfy_publisher_preview(p, "s", NULL, "x", 1, NULL), "the format is NULL");
    expect_refused(comfy_publisher_preview(p, "s", "PNG", NULL, 1, NULL), "bytes");
    expect_refused(comfy_publisher_envelope(p, NULL, 5), "bytes");
    assert_int_equal(comfy_publisher_binary(p, "s", 10, NULL, 0), 0);
    flush();
    assert_int_equal(comfy_publisher_counters(p).published, 1);
}

/* Redis comes and goes */

static void redis_that_is_away_is_no_error_until_somebody_waits(void **state)
{
    (void)state;
    redis_server_kill(&server);
    emit_number(0);
    assert_int_equal(comfy_publisher_counters(p).queued_events, 1);
    assert_int_equal(comfy_publisher_flush(p, 100), -ETIMEDOUT);
    assert_non_null(strstr(comfy_publisher_error(p), server.socket));
    redis_server_restart(&server);
    flush();
    expect_log_has_all(1);
}

/* Killed where it hurts: with commands under way. It keeps its data (appendfsync always). */
static void killed_redis_costs_no_kept_event(void **state)
{
    (void)state;
    int n = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 300; i++)
            emit_number(n++);
        redis_server_kill(&server);
        for (int i = 0; i < 100; i++)
            emit_number(n++);
        redis_server_restart(&server);
        flush(); /* it gets on between two deaths: three at one and the same command would be taken for that one's fault */
    }
    expect_log_has_all(n);
    assert_int_equal(comfy_publisher_counters(p).published, n);
    assert_in_range(comfy_publisher_counters(p).connections, 2, 100);
}

/* What a second publisher does that knows it by its hash. */
static void script_that_redis_forgets_and_learns_again_costs_no_order(void **state)
{
    (void)state;
    int n = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 200; i++)
            emit_number(n++);
        freeReplyObject(redis_server_do(&server, "SCRIPT FLUSH"));
        for (int i = 0; i < 200; i++)
            emit_number(n++);
        freeReplyObject(redis_server_do(&server, "SCRIPT LOAD %s", publish_lua));
    }
    flush();
    assert_int_equal(log_length(), n);
    expect_log_has_all(n);
    assert_int_equal(comfy_publisher_counters(p).connections, 1);
    assert_int_equal(comfy_publisher_counters(p).errors, 0);
}

static void master_made_replica_is_left_until_it_is_a_master_again(void **state)
{
    (void)state;
    emit_number(0);
    flush();
    freeReplyObject(redis_server_do(&server, "REPLICAOF 127.0.0.1 1"));
    emit_number(1);
    int late = comfy_publisher_flush(p, 300);
    bool is_told = strstr(comfy_publisher_error(p), "READONLY") != NULL;
    freeReplyObject(redis_server_do(&server, "REPLICAOF NO ONE"));
    assert_int_equal(late, -ETIMEDOUT);
    assert_true(is_told);
    flush();
    expect_log_has_all(2);
    assert_int_equal(comfy_publisher_counters(p).errors, 0);
}

static void connection_is_not_for_child_processes(void **state)
{
    (void)state;
    struct pollfd wants;
    emit_number(0);
    flush();
    (void)comfy_publisher_poll(p, &wants);
    assert_int_equal(fcntl(wants.fd, F_GETFD), FD_CLOEXEC);
}

/* Not one of long ago. */
static void late_answer_has_a_reason_of_its_own(void **state)
{
    (void)state;
    emit_number(0);
    flush();
    expect_refused(comfy_publisher_json(p, "s", "t", "{"), "JSON");
    kill(server.pid, SIGSTOP);
    emit_number(1);
    int late = comfy_publisher_flush(p, 100);
    kill(server.pid, SIGCONT);
    assert_int_equal(late, -ETIMEDOUT);
    assert_string_equal(comfy_publisher_error(p), "Redis has not answered in time");
    flush();
    assert_string_equal(comfy_publisher_error(p), "");
}

static void heartbeat_without_room_hides_no_reason(void **state)
{
    (void)state;
    assert_int_equal(comfy_publisher_close(p, 0), 0);
    open_with((struct comfy_publisher_options){.queue_events = 1});
    emit_number(0);
    flush();
    kill(server.pid, SIGSTOP);
    emit_number(1);
    int told = comfy_publisher_status(p, 1, NULL, NULL); /* it is due from now on */
    int late = comfy_publisher_flush(p, 100);
    kill(server.pid, SIGCONT);
    assert_int_equal(told, -EAGAIN);
    assert_int_equal(late, -ETIMEDOUT);
    assert_string_equal(comfy_publisher_error(p), "Redis has not answered in time");
}

static void without_random_numbers_there_is_no_publisher(void **state)
{
    (void)state;
    struct comfy_publisher *none = p;
    char why[COMFY_PUBLISHER_WHY_BYTES] = "";
    has_no_chance = true;
    int error = comfy_publisher_open(&(struct comfy_publisher_options){0}, &none, why);
    has_no_chance = false;
    assert_int_equal(error, -EIO);
    assert_null(none);
    assert_non_null(strstr(why, "random"));
}

static void error_of_redis_is_counted_and_not_repeated(void **state)
{
    (void)state;
    redisContext *session = listen_to("comfy:sid:{s}");
    struct span event;
    freeReplyObject(redis_server_do(&server, "SET %s text", LOG));
    emit_number(0);
    flush();
    assert_int_equal(comfy_publisher_counters(p).errors, 1);
    assert_non_null(strstr(comfy_publisher_error(p), "WRONGTYPE"));
    redisReply *message = hear(session, &event);
    expect_text(text_of(event, "type"), "executed");
    freeReplyObject(message);
    redisFree(session);
}

static void redis_that_does_not_answer_is_left_and_tried_again(void **state)
{
    (void)state;
    assert_int_equal(comfy_publisher_close(p, 0), 0);
    open_with((struct comfy_publisher_options){.answer_timeout_ms = 200});
    emit_number(0);
    flush();
    kill(server.pid, SIGSTOP);
    emit_number(1);
    while (!strstr(comfy_publisher_error(p), "does not answer"))
        assert_int_equal(comfy_publisher_flush(p, 50), -ETIMEDOUT);
    kill(server.pid, SIGCONT);
    flush();
    expect_log_has_all(2);
}

/* So does what is behind it on its way. */
static void event_that_redis_ends_the_connection_for_is_counted_and_costs_no_other(const char *limit)
{
    size_t n = 3 << 20;
    char *large = calloc(1, n);
    freeReplyObject(redis_server_do(&server, "CONFIG SET %s 1mb", limit));
    for (int i = 0; i < 10; i++)
        emit_number(i);
    assert_int_equal(comfy_publisher_binary(p, "other", 10, large, n), 0);
    for (int i = 10; i < 20; i++)
        emit_number(i);
    flush();
    freeReplyObject(redis_server_do(&server, "CONFIG SET %s 512mb", limit));
    free(large);
    expect_log_has_all(20);
    assert_int_equal(redis_server_count(&server, "EXISTS comfy:sid:{other}:log"), 0);
    assert_int_equal(comfy_publisher_counters(p).errors, 1);
    assert_int_equal(comfy_publisher_counters(p).published, 20);
    assert_int_equal(comfy_publisher_counters(p).is_connected, 1);
    if (!strstr(comfy_publisher_error(p), "is given up"))
        fail_msg("it says \"%s\"", comfy_publisher_error(p));
}

static void event_that_redis_calls_too_large_is_counted_and_costs_no_other(void **state)
{
    (void)state;
    event_that_redis_ends_the_connection_for_is_counted_and_costs_no_other("proto-max-bulk-len");
}

static void event_that_redis_ends_the_connection_for_without_a_word_is_counted_too(void **state)
{
    (void)state;
    event_that_redis_ends_the_connection_for_is_counted_and_costs_no_other("client-query-buffer-limit");
}

static void full_queue_refuses_and_takes_again(void **state)
{
    (void)state;
    assert_int_equal(comfy_publisher_close(p, 0), 0);
    open_with((struct comfy_publisher_options){.queue_events = 10});
    redis_server_kill(&server);
    for (int i = 0; i < 10; i++)
        emit_number(i);
    assert_int_equal(comfy_publisher_json(p, "s", "executed", "{\"n\":10}"), -EAGAIN);
    assert_string_equal(comfy_publisher_error(p), "the queue is full");
    redis_server_restart(&server);
    flush();
    emit_number(10);
    flush();
    expect_log_has_all(11);
}

static void queue_is_bounded_in_bytes_too(void **state)
{
    (void)state;
    static char bytes[4000];
    assert_int_equal(comfy_publisher_close(p, 0), 0);
    open_with((struct comfy_publisher_options){.queue_bytes = 12000});
    redis_server_kill(&server);
    assert_int_equal(comfy_publisher_binary(p, "s", 10, bytes, sizeof bytes), 0);
    assert_int_equal(comfy_publisher_binary(p, "s", 10, bytes, sizeof bytes), 0);
    assert_int_equal(comfy_publisher_binary(p, "s", 10, bytes, sizeof bytes), -EAGAIN);
    char *large = calloc(1, 12000);
    assert_int_equal(comfy_publisher_binary(p, "s", 10, large, 12000), -EMSGSIZE);
    free(large);
    assert_in_range(comfy_publisher_counters(p).queued_bytes, 8000, 12000);
}

static void large_event_arrives_whole(void **state)
{
    (void)state;
    size_t n = 20 << 20;
    char *bytes = malloc(n);
    memset(bytes, 'x', n);
    assert_int_equal(comfy_publisher_binary(p, "s", 10, bytes, n), 0);
    flush();
    redisReply *log = redis_server_do(&server, "XRANGE %s - +", LOG);
    const redisReply *event = log->element[0]->element[1]->element[1];
    assert_in_range(event->len, n, n + 100);
    assert_memory_equal(event->str + event->len - n, bytes, n);
    freeReplyObject(log);
    free(bytes);
}

/* A worker */

static struct span entry_of(redisReply **reply)
{
    *reply = redis_server_do(&server, "HGET comfy:workers w");
    return span_of((*reply)->str, (*reply)->len);
}

static void worker_says_what_it_does_and_goodbye(void **state)
{
    (void)state;
    redisContext *all = listen_to("comfy:events");
    struct span message;
    redisReply *entry, *heard;
    assert_int_equal(comfy_publisher_status(p, 2, "s", "prompt"), 0);
    flush();
    struct span at = entry_of(&entry);
    expect_text(text_of(at, "sid"), "s");
    expect_text(text_of(at, "prompt_id"), "prompt");
    assert_int_equal(text_of(at, "boot").len, 32);
    assert_int_equal(unpack_one(value_of(at, "queue_remaining")).uint, 2);
    heard = hear(all, &message);
    expect_text(text_of(message, "type"), "relay.worker");
    expect_text(text_of(message, "worker"), "w");
    assert_true(span_equals(value_of(message, "data"), at));
    freeReplyObject(heard);
    freeReplyObject(entry);
    assert_int_equal(comfy_publisher_close(p, WAIT_MS), 0);
    p = NULL;
    heard = hear(all, &message);
    assert_int_equal(unpack_one(value_of(value_of(message, "data"), "gone")).kind, VALUE_BOOL);
    assert_int_equal(redis_server_count(&server, "HLEN comfy:workers"), 0);
    freeReplyObject(heard);
    redisFree(all);
}

static void heartbeat_renews_what_redis_holds_of_the_session(void **state)
{
    (void)state;
    emit_number(0);
    emit("s", "progress", "{\"prompt_id\":\"p\",\"node\":\"1\"}");
    flush();
    redis_server_count(&server, "PEXPIRE %s 1000", LOG);
    redis_server_count(&server, "PEXPIRE %s 1000", LATEST);
    assert_int_equal(comfy_publisher_status(p, 1, "s", "p"), 0);
    flush();
    assert_in_range(redis_server_count(&server, "PTTL %s", LOG), 2000, COMFY_PUBLISHER_TTL_MS);
    assert_in_range(redis_server_count(&server, "PTTL %s", LATEST), 2000, COMFY_PUBLISHER_TTL_MS);
}

static void heartbeat_comes_again_by_itself(void **state)
{
    (void)state;
    redisContext *all = listen_to("comfy:events");
    struct span message;
    assert_int_equal(comfy_publisher_status(p, 1, NULL, NULL), 0);
    flush();
    freeReplyObject(hear(all, &message));
    freeReplyObject(redis_server_do(&server, "HDEL comfy:workers w"));
    struct pollfd wants;
    int ms = comfy_publisher_poll(p, &wants);
    assert_in_range(ms, 1, COMFY_PUBLISHER_HEARTBEAT_MS);
    while (redis_server_count(&server, "HLEN comfy:workers") == 0) {
        poll(&wants, 1, comfy_publisher_poll(p, &wants));
        assert_in_range(comfy_publisher_flush(p, 0) + ETIMEDOUT, 0, ETIMEDOUT);
    }
    freeReplyObject(hear(all, &message));
    redisFree(all);
}

static void publisher_without_status_is_no_worker(void **state)
{
    (void)state;
    emit_number(0);
    flush();
    assert_int_equal(comfy_publisher_close(p, WAIT_MS), 0);
    p = NULL;
    assert_int_equal(redis_server_count(&server, "EXISTS comfy:workers"), 0);
}

static void status_for_no_valid_sid_is_refused(void **state)
{
    (void)state;
    expect_refused(comfy_publisher_status(p, 1, "a}", NULL), "a sid is");
}

/* Options */

static void expect_bad_option(struct comfy_publisher_options options, int wanted, const char *part)
{
    char why[COMFY_PUBLISHER_WHY_BYTES] = "";
    struct comfy_publisher *none = p;
    assert_int_equal(comfy_publisher_open(&options, &none, why), wanted);
    assert_null(none);
    if (!strstr(why, part))
        fail_msg("no \"%s\" in \"%s\"", part, why);
}

static void wrong_options_are_refused_in_words(void **state)
{
    (void)state;
    char name[300] = "";
    memset(name, 'x', sizeof name - 1);
    expect_bad_option((struct comfy_publisher_options){.redis_url = "http://x"}, -EINVAL, "redis://");
    expect_bad_option((struct comfy_publisher_options){.redis_url = "rediss://x"}, -ENOTSUP, "rediss://");
    expect_bad_option((struct comfy_publisher_options){.prefix = ""}, -EINVAL, "prefix");
    expect_bad_option((struct comfy_publisher_options){.prefix = name}, -EINVAL, "prefix");
    expect_bad_option((struct comfy_publisher_options){.worker = name}, -EINVAL, "worker");
}

static void url_may_have_a_database_and_the_short_scheme_of_sockets(void **state)
{
    (void)state;
    char url[200];
    assert_int_equal(comfy_publisher_close(p, 0), 0);
    snprintf(url, sizeof url, "unix://%s?db=3", server.socket);
    open_with((struct comfy_publisher_options){.redis_url = url, .prefix = "other"});
    emit_number(0);
    flush();
    freeReplyObject(redis_server_do(&server, "SELECT 3"));
    long long length = redis_server_count(&server, "XLEN other:sid:{s}:log");
    freeReplyObject(redis_server_do(&server, "SELECT 0"));
    assert_int_equal(length, 1);
}

static void password_is_used_and_never_told(void **state)
{
    (void)state;
    freeReplyObject(redis_server_do(&server, "ACL SETUSER pub on >secret ~* &* +@all"));
    char url[200];
    assert_int_equal(comfy_publisher_close(p, 0), 0);
    snprintf(url, sizeof url, "redis+unix://pub:wrong-one@%s", server.socket);
    open_with((struct comfy_publisher_options){.redis_url = url});
    emit_number(0);
    assert_int_equal(comfy_publisher_flush(p, 200), -ETIMEDOUT);
    assert_non_null(strstr(comfy_publisher_error(p), "WRONGPASS"));
    assert_null(strstr(comfy_publisher_error(p), "wrong-one"));
    assert_int_equal(comfy_publisher_close(p, 0), -ETIMEDOUT);
    open_with((struct comfy_publisher_options){.redis_url = url, .password = "secret"});
    emit_number(0);
    flush();
}

#define promise(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        promise(kept_events_are_logged_in_order),
        promise(newest_of_a_kind_replaces_the_older),
        promise(end_of_a_prompt_drops_its_newest_events),
        promise(results_are_kept),
        promise(event_for_all_is_published_to_all),
        promise(event_for_nobody_is_published_to_nobody),
        promise(text_without_data_is_nil),
        promise(envelope_is_published_as_it_stands),
        promise(what_breaks_the_contract_is_refused),
        promise(what_is_null_and_may_not_be_is_refused),
        promise(redis_that_is_away_is_no_error_until_somebody_waits),
        promise(killed_redis_costs_no_kept_event),
        promise(script_that_redis_forgets_and_learns_again_costs_no_order),
        promise(master_made_replica_is_left_until_it_is_a_master_again),
        promise(connection_is_not_for_child_processes),
        promise(late_answer_has_a_reason_of_its_own),
        promise(heartbeat_without_room_hides_no_reason),
        promise(without_random_numbers_there_is_no_publisher),
        promise(error_of_redis_is_counted_and_not_repeated),
        promise(redis_that_does_not_answer_is_left_and_tried_again),
        promise(event_that_redis_calls_too_large_is_counted_and_costs_no_other),
        promise(event_that_redis_ends_the_connection_for_without_a_word_is_counted_too),
        promise(full_queue_refuses_and_takes_again),
        promise(queue_is_bounded_in_bytes_too),
        promise(large_event_arrives_whole),
        promise(worker_says_what_it_does_and_goodbye),
        promise(heartbeat_renews_what_redis_holds_of_the_session),
        promise(heartbeat_comes_again_by_itself),
        promise(publisher_without_status_is_no_worker),
        promise(status_for_no_valid_sid_is_refused),
        promise(wrong_options_are_refused_in_words),
        promise(url_may_have_a_database_and_the_short_scheme_of_sockets),
        promise(password_is_used_and_never_told),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
