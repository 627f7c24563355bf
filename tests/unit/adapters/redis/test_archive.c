/* What Redis keeps of sessions, asked of a real one: the core is a recorder of answers. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "adapters/redis/archive.h"
#include "tests/support/await.h"
#include "tests/support/redis_server.h"

#define CHANNEL "comfy:sid:{s}"
#define LOG     CHANNEL ":log"
#define LATEST  CHANNEL ":latest"
#define ACK     CHANNEL ":ack"
#define OWNER   CHANNEL ":owner"
#define OTHER   "0123456789abcdef" /* another relay */
#define TTL_MS  60000
#define TOLD    8192

struct fixture {
    uint64_t left_ms; /* when the socket of the page that left was opened */
    struct redis_server server;
    redisContext *listener; /* to CHANNEL */
    uv_loop_t loop;
    struct logger logger;
    char *log; /* of the logger */
    size_t log_len;
    struct link_config config;
    struct options options;
    struct commands commands;
    struct commands_user user;
    struct session_archive archive;
    struct relay relay;
    char name[ARCHIVE_NAME_LEN + 1];
    int finished, closed;
    int wanted;
};

/* What the core was told, a line each. */
static char told[TOLD];
static int answers, losses, stored_again;
static uint64_t not_awaited; /* a ticket */

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    size_t used = strlen(told);
    va_list args;
    va_start(args, format);
    vsnprintf(told + used, sizeof told - used, format, args);
    va_end(args);
}

static void tell_entries(const struct archived *entries, size_t count)
{
    char id[STREAM_ID_TEXT_BYTES];
    for (size_t i = 0; i < count; i++) {
        stream_id_format(entries[i].id, id);
        tell(" %s=%.*s", id, (int)entries[i].event.len,
             entries[i].event.len > 0 ? (const char *)entries[i].event.bytes : "");
    }
}

void relay_read_back(struct relay *r, struct span sid, uint64_t ticket, const struct archived *entries,
                     size_t count, bool is_last, uint64_t now_ms)
{
    (void)r;
    (void)now_ms;
    tell("%.*s %u back", (int)sid.len, sid.bytes, (unsigned)ticket);
    tell_entries(entries, count);
    tell("%s\n", is_last ? " last" : "");
    answers++;
}

void relay_read_on(struct relay *r, struct span sid, uint64_t ticket, const struct reading *reading,
                   uint64_t now_ms)
{
    static const char *const owners[] = {"?", "nobody", "us", "another"};
    char id[STREAM_ID_TEXT_BYTES];
    (void)r;
    (void)now_ms;
    tell("%.*s %u on", (int)sid.len, sid.bytes, (unsigned)ticket);
    tell_entries(reading->entries, reading->count);
    stream_id_format(reading->ack, id);
    tell("%s owner=%s ack=%s", reading->is_last ? " last" : "", owners[reading->owner],
         reading->has_ack ? id : "none");
    tell("%s%s", reading->is_refused ? " refused" : "", reading->has_listeners ? " listeners" : "");
    for (size_t i = 0; i < reading->latest_count; i++)
        tell(" latest=%.*s", (int)reading->latest[i].len, reading->latest[i].bytes);
    tell("\n");
    answers++;
}

bool relay_awaits(const struct relay *r, struct span sid, uint64_t ticket)
{
    (void)r;
    (void)sid;
    return ticket != not_awaited;
}

void relay_data_lost(struct relay *r)
{
    (void)r;
    losses++;
}

void relay_store_again(struct relay *r, uint64_t now_ms)
{
    (void)r;
    (void)now_ms;
    stored_again++;
}

static struct fixture *of_user(struct commands_user *user)
{
    return (struct fixture *)((char *)user - offsetof(struct fixture, user));
}

static void on_up(struct commands_user *user)
{
    archive_go_on(&of_user(user)->archive);
}

static void on_finished(struct commands_user *user)
{
    of_user(user)->finished++;
}

static void on_closed(struct commands_user *user)
{
    of_user(user)->closed++;
}

static void listen_to_channel(struct fixture *f)
{
    if (f->listener)
        redisFree(f->listener);
    f->listener = redisConnectUnix(f->server.socket);
    redisSetTimeout(f->listener, (struct timeval){.tv_sec = 10});
    freeReplyObject(redisCommand(f->listener, "SUBSCRIBE %s", CHANNEL));
}

static int set_up(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof *f);
    told[0] = '\0';
    answers = losses = stored_again = 0;
    not_awaited = UINT64_MAX;
    redis_server_start(&f->server, NULL);
    listen_to_channel(f);
    f->logger = (struct logger){.stream = open_memstream(&f->log, &f->log_len), .level = LOG_DEBUG};
    f->options = (struct options){.redis_prefix = (char *)"comfy", .session_ttl_ms = TTL_MS};
    f->config = (struct link_config){.loop = &f->loop,
                                     .logger = &f->logger,
                                     .where = "there",
                                     .idle_ms = 60000,
                                     .dead_ms = 60000,
                                     .address = {.path = f->server.socket}};
    f->user = (struct commands_user){on_up, on_finished, on_closed};
    return uv_loop_init(&f->loop);
}

/* Everything is closed, and the loop has nothing left. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    commands_close(&f->commands);
    archive_deinit(&f->archive);
    bool has_ended = await_end(&f->loop) && f->closed == 1;
    redisFree(f->listener);
    redis_server_stop(&f->server);
    fclose(f->logger.stream);
    free(f->log);
    free(f);
    return has_ended ? 0 : -1;
}

/* Waiting */

static bool is_up(void *arg)
{
    return commands_is_up(&((struct fixture *)arg)->commands);
}

static bool is_down(void *arg)
{
    return !is_up(arg);
}

static bool is_answered(void *arg)
{
    return answers >= ((struct fixture *)arg)->wanted;
}

static bool is_quiet(void *arg)
{
    return ((struct fixture *)arg)->commands.under_way.count == 0;
}

static bool is_finished(void *arg)
{
    return ((struct fixture *)arg)->finished > 0;
}

static void await_or_fail(struct fixture *f, bool (*is_done)(void *arg), const char *what)
{
    if (!await(&f->loop, is_done, f))
        fail_msg("waited in vain for %s; told:\n%slog:\n%s", what, told, f->log);
}

/* Until all that was sent is answered. */
static void settle(struct fixture *f)
{
    await_or_fail(f, is_quiet, "the replies");
}

static void open_archive(struct fixture *f)
{
    commands_init(&f->commands, &f->config, &f->user);
    assert_int_equal(archive_init(&f->archive, &f->commands, NULL, &f->config, &f->options), 0);
    archive_open(&f->archive, &f->relay);
    memcpy(f->name, f->archive.name, ARCHIVE_NAME_LEN);
    commands_open(&f->commands);
}

static struct archive *open_connected(void **state)
{
    struct fixture *f = *state;
    open_archive(f);
    await_or_fail(f, is_up, "the connection");
    settle(f); /* it has the scripts */
    return &f->archive.port;
}

/* What was told since the last time, when so many answers have come. */
static void expect_told(struct fixture *f, int count, const char *text)
{
    f->wanted = count;
    await_or_fail(f, is_answered, "answers");
    assert_string_equal(told, text);
    assert_int_equal(answers, count);
    told[0] = '\0';
    answers = 0;
}

/* Writes what was asked, and reads nothing: Redis is paused, or this is one turn of the loop. */
static void send_all(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->commands.outgoing.len, 0);
    assert_true(f->commands.under_way.count > 0);
}

/* The session in Redis */

static void do_in_redis(struct fixture *f, const char *command)
{
    freeReplyObject(redis_server_do(&f->server, command));
}

static void expect_key(struct fixture *f, const char *key, const char *value)
{
    redisReply *reply = redis_server_do(&f->server, "GET %s", key);
    if (value)
        assert_string_equal(reply->str ? reply->str : "(nil)", value);
    else
        assert_int_equal(reply->type, REDIS_REPLY_NIL);
    freeReplyObject(reply);
}

static void expect_expiry(struct fixture *f, const char *key)
{
    assert_in_range(redis_server_count(&f->server, "PTTL %s", key), TTL_MS - 30000, TTL_MS);
}

static void expect_message(struct fixture *f, const char *want, size_t len)
{
    redisReply *message = NULL;
    assert_int_equal(redisGetReply(f->listener, (void **)&message), REDIS_OK);
    assert_int_equal(message->element[2]->len, len);
    assert_memory_equal(message->element[2]->str, want, len);
    freeReplyObject(message);
}

/* What was said on the channel next is {"type":type,"data":{"by":our name,"opened":opened_ms}}; `type` with its length. */
static void expect_said(struct fixture *f, const char *type, uint64_t opened_ms)
{
    char want[128];
    int len = snprintf(want, sizeof want, "\x82\xa4type%s\xa4%s\x82\xa2%s\xb0%s\xa6opened\xcf", type, "data",
                       "by", f->name);
    for (int shift = 56; shift >= 0; shift -= 8)
        want[len++] = (char)(opened_ms >> shift);
    expect_message(f, want, (size_t)len);
}

static uint64_t by_redis(struct fixture *f, uint64_t ms);

static void expect_left(struct fixture *f)
{
    expect_said(f, "\xaarelay.left", by_redis(f, f->left_ms));
}

static void expect_takeover(struct fixture *f, uint64_t opened_ms)
{
    expect_said(f, "\xaerelay.takeover", opened_ms);
}

/* Nothing more was said: the next message is the one of this call. */
static void expect_silence(struct fixture *f)
{
    redisReply *message = NULL;
    redis_server_count(&f->server, "PUBLISH %s end", CHANNEL);
    assert_int_equal(redisGetReply(f->listener, (void **)&message), REDIS_OK);
    assert_string_equal(message->element[2]->str, "end");
    freeReplyObject(message);
}

static struct stream_id id(uint64_t ms, uint64_t n)
{
    return (struct stream_id){ms, n};
}

static uint64_t redis_now_ms(struct fixture *f)
{
    redisReply *time = redis_server_do(&f->server, "TIME");
    uint64_t ms =
        strtoull(time->element[0]->str, NULL, 10) * 1000 + strtoull(time->element[1]->str, NULL, 10) / 1000;
    freeReplyObject(time);
    return ms;
}

static void set_owner(struct fixture *f, const char *name, uint64_t opened_ms)
{
    char value[64];
    snprintf(value, sizeof value, "%s %" PRIu64, name, opened_ms);
    freeReplyObject(redis_server_do(&f->server, "SET " OWNER " %s", value));
}

/* When the newest socket of the session was opened, by Redis' clock. */
static uint64_t expect_owner(struct fixture *f, const char *name)
{
    redisReply *reply = redis_server_do(&f->server, "GET " OWNER);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_true(reply->len > ARCHIVE_NAME_LEN + 1);
    reply->str[ARCHIVE_NAME_LEN] = '\0';
    assert_string_equal(reply->str, name);
    uint64_t opened_ms = strtoull(reply->str + ARCHIVE_NAME_LEN + 1, NULL, 10);
    freeReplyObject(reply);
    return opened_ms;
}

/* A time of the core, by Redis' clock as it was measured. */
static uint64_t by_redis(struct fixture *f, uint64_t opened_ms)
{
    assert_true(f->archive.port.has_clock);
    return opened_ms + (uint64_t)f->archive.port.clock_ms;
}

/* By the clock of the core: so long ago. */
static uint64_t ago(struct fixture *f, uint64_t ms)
{
    return uv_now(&f->loop) - ms;
}

static void fill_log(struct fixture *f, int count)
{
    for (int i = 1; i <= count; i++) {
        char letter[2] = {(char)('A' + i % 26), '\0'};
        freeReplyObject(redis_server_do(&f->server, "XADD %s %d-1 e %s", LOG, i, letter));
    }
}

/* Reading back */

static void newest_entries_come_newest_first(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    fill_log(f, 3);
    a->read_back(a, span_str("s"), STREAM_ID_MAX, 7);
    assert_int_equal(answers, 0);
    expect_told(f, 1, "s 7 back 3-1=D 2-1=C 1-1=B last\n");
    a->read_back(a, span_str("s"), id(3, 1), 8);
    a->read_back(a, span_str("s"), id(1, 1), 9);
    a->read_back(a, span_str("unknown"), STREAM_ID_MAX, 10);
    expect_told(f, 3, "s 8 back 2-1=C 1-1=B last\ns 9 back last\nunknown 10 back last\n");
}

static void log_longer_than_a_page_is_read_page_by_page(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    fill_log(f, 2 * QUESTION_PAGE);
    a->read_back(a, span_str("s"), STREAM_ID_MAX, 1);
    f->wanted = 1;
    await_or_fail(f, is_answered, "an answer");
    assert_non_null(strstr(told, "s 1 back 128-1=Y 127-1=X "));
    assert_non_null(strstr(told, " 65-1=N\n"));
    told[0] = '\0';
    answers = 0;
    a->read_on(a, span_str("s"), id(64, 1), JOIN_NONE, 0, 2);
    await_or_fail(f, is_answered, "an answer");
    assert_non_null(strstr(told, "s 2 on 64-1=M 65-1=N "));
    assert_non_null(strstr(told, " 127-1=X owner="));
    told[0] = '\0';
    answers = 0;
    a->read_on(a, span_str("s"), id(127, 1), JOIN_NONE, 0, 3);
    expect_told(f, 1, "s 3 on 127-1=X 128-1=Y last owner=? ack=none\n");
}

/* The event is what stands in the field e, wherever that is; an entry without one keeps its place. */
static void entries_of_another_form_are_empty_events(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "XADD " LOG " 1-1 a 1 e ONE z 2");
    do_in_redis(f, "XADD " LOG " 2-1 other TWO");
    do_in_redis(f, "XADD " LOG " 3-1 x e");
    a->read_back(a, span_str("s"), STREAM_ID_MAX, 1);
    expect_told(f, 1, "s 1 back 3-1= 2-1= 1-1=ONE last\n");
}

/* Reading on */

static void all_that_is_known_of_a_session_comes_in_one_answer(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    fill_log(f, 3);
    do_in_redis(f, "HSET " LATEST " progress P preview Q");
    do_in_redis(f, "SET " ACK " 2-1");
    a->read_on(a, span_str("s"), id(2, 1), JOIN_NONE, 0, 5);
    a->read_on(a, span_str("unknown"), STREAM_ID_NONE, JOIN_NONE, 0, 6);
    expect_told(f, 2,
                "s 5 on 2-1=C 3-1=D last owner=? ack=2-1 latest=P latest=Q\nunknown 6 on last owner=? "
                "ack=none\n");
    expect_silence(f);
}

static void client_that_has_had_nothing_has_a_place(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "SET " ACK " 0-0");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_NONE, 0, 1);
    expect_told(f, 1, "s 1 on last owner=? ack=0-0\n");
}

/* One is the relay itself. */
static void another_listener_on_the_channel_is_told(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_NONE, 0, 1);
    expect_told(f, 1, "s 1 on last owner=? ack=none\n");
    redisContext *second = redisConnectUnix(f->server.socket);
    freeReplyObject(redisCommand(second, "SUBSCRIBE %s", CHANNEL));
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_NONE, 0, 2);
    expect_told(f, 1, "s 2 on last owner=? ack=none listeners\n");
    redisFree(second);
}

/* Whatever the machine is busy with, it is not busy for so long. */
#define LONG_MS 100000

static uint64_t differ_by(int64_t a, int64_t b)
{
    return (uint64_t)(a > b ? a - b : b - a);
}

static void clock_is_that_of_redis(void **state)
{
    struct fixture *f = *state;
    open_archive(f);
    assert_false(f->archive.port.has_clock);
    await_or_fail(f, is_up, "the connection");
    settle(f);
    assert_true(f->archive.port.has_clock);
    uv_update_time(&f->loop);
    assert_in_range(differ_by((int64_t)by_redis(f, ago(f, 0)), (int64_t)redis_now_ms(f)), 0, LONG_MS / 10);
}

/* A moment is the same number as before, where no more than the way of the answers differs. */
static void clock_is_kept_and_set_when_it_is_wrong(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    int64_t measured_ms = a->clock_ms;
    f->archive.clock.asked_ms -= CLOCK_INTERVAL_MS;
    a->store(a, span_str("s"), id(1, 1), false);
    settle(f);
    assert_in_range(differ_by(a->clock_ms, measured_ms), 0, LONG_MS / 10);
    a->clock_ms += LONG_MS; /* it was set back since */
    a->store(a, span_str("s"), id(1, 1), false);
    settle(f);
    assert_in_range(differ_by(a->clock_ms, measured_ms + LONG_MS), 0, LONG_MS / 10);
    f->archive.clock.asked_ms -= CLOCK_INTERVAL_MS;
    a->read_back(a, span_str("s"), STREAM_ID_MAX, 1);
    settle(f);
    assert_in_range(differ_by(a->clock_ms, measured_ms), 0, LONG_MS / 10);
    int64_t again_ms = a->clock_ms;
    a->clock_ms = again_ms + 1;
    f->archive.clock.asked_ms -= CLOCK_INTERVAL_MS;
    uint64_t asked_ms = f->archive.clock.asked_ms;
    a->store(a, span_str("s"), id(1, 1), false);
    settle(f);
    assert_true(f->archive.clock.asked_ms > asked_ms);
    if (a->clock_ms != again_ms + 1) /* only a way that explains less than that */
        assert_true(differ_by(a->clock_ms, again_ms + 1) > 5);
}

static void claim_is_stored_and_told(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0) + 12345;
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
    expect_told(f, 1, "s 1 on last owner=nobody ack=none\n");
    assert_int_equal(expect_owner(f, f->name), by_redis(f, opened_ms));
    expect_expiry(f, OWNER);
    expect_takeover(f, by_redis(f, opened_ms));
    expect_silence(f);
}

static void newer_socket_takes_the_session_over(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0);
    set_owner(f, OTHER, by_redis(f, opened_ms) - 1);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
    expect_told(f, 1, "s 1 on last owner=another ack=none\n");
    assert_int_equal(expect_owner(f, f->name), by_redis(f, opened_ms));
    expect_expiry(f, OWNER);
    expect_takeover(f, by_redis(f, opened_ms));
}

static void claim_for_an_older_socket_is_refused(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0), theirs_ms = by_redis(f, opened_ms) + RELAY_SKEW_MS + 1;
    set_owner(f, OTHER, theirs_ms);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
    expect_told(f, 1, "s 1 on last owner=another ack=none refused\n");
    assert_int_equal(expect_owner(f, OTHER), theirs_ms);
    assert_int_equal(redis_server_count(&f->server, "PTTL " OWNER), -1);
    expect_silence(f);
    assert_int_equal(f->relay.metrics.redis_errors, 0);
}

/* Whichever part of a second it is now: clocks differ by some milliseconds at its end too. */
static void owner_of_less_than_a_second_to_come_is_somebody(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    set_owner(f, OTHER, redis_now_ms(f) + 900);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, ago(f, 0), 1);
    expect_told(f, 1, "s 1 on last owner=another ack=none refused\n");
}

/* Whatever the time of the first one was: an outage makes it be claimed again. */
static void own_session_is_claimed_and_told_again(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0);
    for (unsigned i = 1; i <= 2; i++) {
        a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms - i, i);
        settle(f);
        expect_takeover(f, by_redis(f, opened_ms - i));
        assert_int_equal(expect_owner(f, f->name), by_redis(f, opened_ms - i));
    }
    expect_told(f, 2, "s 1 on last owner=nobody ack=none\ns 2 on last owner=us ack=none\n");
    expect_silence(f);
}

static void of_two_sockets_opened_nearly_at_once_the_one_claimed_later_is_newer(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0), theirs_ms = by_redis(f, opened_ms) + RELAY_SKEW_MS;
    set_owner(f, OTHER, theirs_ms);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
    expect_told(f, 1, "s 1 on last owner=another ack=none\n");
    assert_int_equal(expect_owner(f, f->name), theirs_ms + 1);
    expect_takeover(f, theirs_ms + 1);
}

static void owner_of_a_time_to_come_is_nobody(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    set_owner(f, OTHER, redis_now_ms(f) + LONG_MS);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, ago(f, 0), 1);
    expect_told(f, 1, "s 1 on last owner=another ack=none\n");
    expect_owner(f, f->name);
}

static void owner_that_is_none_is_nobody_and_counted(void **state)
{
    static const char *const values[] = {"other",
                                         OTHER,
                                         OTHER " ",
                                         OTHER " 99999999999999999",
                                         OTHER "0 1",
                                         "0123456789abcdeg 1",
                                         "0123456789ABCDEF 9999999999999",
                                         OTHER " 1x",
                                         " ",
                                         ""};
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        for (unsigned join = JOIN_CLAIM; join <= JOIN_CHECK; join++) {
            freeReplyObject(redis_server_do(&f->server, "SET " OWNER " %s", values[i]));
            f->relay.metrics.redis_errors = 0;
            a->read_on(a, span_str("s"), STREAM_ID_NONE, join, ago(f, LONG_MS), 1);
            expect_told(f, 1, "s 1 on last owner=nobody ack=none\n");
            assert_int_equal(f->relay.metrics.redis_errors, 1);
            if (join == JOIN_CLAIM)
                expect_owner(f, f->name);
        }
}

static void owner_is_checked_and_not_changed(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CHECK, 0, 1);
    expect_told(f, 1, "s 1 on last owner=nobody ack=none\n");
    set_owner(f, OTHER, 7);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CHECK, 0, 2);
    expect_told(f, 1, "s 2 on last owner=another ack=none\n");
    assert_int_equal(expect_owner(f, OTHER), 7);
    set_owner(f, f->name, 8);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CHECK, 0, 3);
    expect_told(f, 1, "s 3 on last owner=us ack=none\n");
    assert_int_equal(expect_owner(f, f->name), 8);
    expect_silence(f);
}

/* The commands as the server saw them, but for their times. */
static void expect_monitored(redisContext *monitor, const char *const *want, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        redisReply *line = NULL;
        assert_int_equal(redisGetReply(monitor, (void **)&line), REDIS_OK);
        const char *command = strchr(line->str, '"');
        assert_string_equal(command ? command : line->str, want[i]);
        freeReplyObject(line);
    }
}

/* A script, and what it runs, up to this one. */
static void expect_script_run(redisContext *monitor, const char *script, const char *last)
{
    bool is_last = false;
    for (bool is_first = true; !is_last; is_first = false) {
        redisReply *line = NULL;
        assert_int_equal(redisGetReply(monitor, (void **)&line), REDIS_OK);
        assert_non_null(strstr(line->str, is_first ? script : " lua] "));
        is_last = strstr(line->str, last) && !is_first;
        freeReplyObject(line);
    }
}

static redisContext *watch(struct fixture *f)
{
    redisContext *monitor = redisConnectUnix(f->server.socket);
    redisSetTimeout(monitor, (struct timeval){.tv_sec = 10});
    freeReplyObject(redisCommand(monitor, "MONITOR"));
    return monitor;
}

static void reading_on_has_its_effects_in_this_order(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    redisContext *monitor = watch(f);
    char claim[128];
    snprintf(claim, sizeof claim, "\"EVALSHA\" \"%s\" \"1\" \"" OWNER "\" \"%s\" ", claim_lua_sha1, f->name);
    const char *const want[] = {"\"PUBSUB\" \"NUMSUB\" \"" CHANNEL "\""};
    const char *const after[] = {"\"GET\" \"" ACK "\"",
                                 "\"XRANGE\" \"" LOG "\" \"5-7\" \"+\" \"COUNT\" \"64\"",
                                 "\"HGETALL\" \"" LATEST "\""};
    a->read_on(a, span_str("s"), id(5, 7), JOIN_CLAIM, ago(f, 12345), 1);
    expect_told(f, 1, "s 1 on last owner=nobody ack=none\n");
    expect_monitored(monitor, want, 1);
    expect_script_run(monitor, claim, "\"PUBLISH\" ");
    expect_monitored(monitor, after, 3);
    redisFree(monitor);
}

static long long server_stat(struct fixture *f, const char *name)
{
    redisReply *info = redis_server_do(&f->server, "INFO stats");
    const char *at = strstr(info->str, name);
    assert_non_null(at);
    long long n = strtoll(at + strlen(name), NULL, 10);
    freeReplyObject(info);
    return n;
}

/* One read for all of them, and one for the question about it. */
static void what_is_asked_in_one_turn_goes_out_in_one_write(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    long long before = server_stat(f, "total_reads_processed:");
    for (unsigned i = 0; i < 20; i++)
        a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, ago(f, 0), i);
    f->wanted = 20;
    await_or_fail(f, is_answered, "answers");
    assert_int_equal(server_stat(f, "total_reads_processed:") - before, 2);
}

struct counting_marker {
    struct marker port;
    uint64_t set;
};

static uint64_t set_mark(struct marker *self)
{
    return ++((struct counting_marker *)self)->set;
}

/* What was published before the log was read may still be on its way. */
static void answer_waits_for_the_messages_before_it(void **state)
{
    struct fixture *f = *state;
    struct counting_marker marker = {.port.set = set_mark};
    struct archive *a = open_connected(state);
    f->archive.context.marker = &marker.port;
    fill_log(f, 1);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_NONE, 0, 1);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_NONE, 0, 2);
    settle(f);
    assert_int_equal(marker.set, 2);
    assert_int_equal(answers, 0);
    archive_marked(&f->archive, 1);
    expect_told(f, 1, "s 1 on 1-1=B last owner=? ack=none\n");
    archive_marked(&f->archive, UINT64_MAX);
    expect_told(f, 1, "s 2 on 1-1=B last owner=? ack=none\n");
    a->read_back(a, span_str("s"), STREAM_ID_MAX, 3);
    expect_told(f, 1, "s 3 back 1-1=B last\n");
}

/* What goes wrong */

static void keys_of_another_type_are_stepped_over_and_counted(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "SET " LOG " text");
    do_in_redis(f, "SET " LATEST " text");
    do_in_redis(f, "LPUSH " ACK " text");
    do_in_redis(f, "LPUSH " OWNER " text");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CHECK, 0, 1);
    expect_told(f, 1, "s 1 on last owner=nobody ack=none\n");
    assert_int_equal(f->relay.metrics.redis_errors, 4);
    a->read_back(a, span_str("s"), STREAM_ID_MAX, 2);
    expect_told(f, 1, "s 2 back last\n");
    assert_int_equal(f->relay.metrics.redis_errors, 5);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, ago(f, 0), 3);
    expect_told(f, 1, "s 3 on last owner=nobody ack=none\n");
    assert_int_equal(f->relay.metrics.redis_errors, 9);
    expect_owner(f, f->name);
}

static void place_that_is_none_is_unknown(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "SET " ACK " nonsense");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_NONE, 0, 1);
    expect_told(f, 1, "s 1 on last owner=? ack=none\n");
    assert_int_equal(f->relay.metrics.redis_errors, 1);
}

static int count_logged(struct fixture *f, const char *text)
{
    int n = 0;
    for (const char *at = f->log; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

static void flood_of_errors_is_told_a_few_times_and_names_no_session(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "SET comfy:sid:{secret-session-id-of-someone}:log text");
    for (unsigned i = 0; i < 100; i++)
        a->read_back(a, span_str("secret-session-id-of-someone"), STREAM_ID_MAX, i);
    f->wanted = 100;
    await_or_fail(f, is_answered, "answers");
    assert_int_equal(f->relay.metrics.redis_errors, 100);
    assert_in_range(count_logged(f, "log of a session not read"), 1, 10);
    assert_in_range(count_logged(f, "WRONGTYPE"), 1, 10);
    assert_int_equal(count_logged(f, "secret-session"), 0);
}

static void be_somebody(struct fixture *f, const char *rules)
{
    do_in_redis(f, rules);
    f->config.user = "relay";
    f->config.password = "pw";
}

static void what_the_user_may_not_read_is_empty(void **state)
{
    struct fixture *f = *state;
    be_somebody(f, "ACL SETUSER relay on >pw ~* &* +@all -xrange -@pubsub");
    struct archive *a = open_connected(state);
    fill_log(f, 1);
    do_in_redis(f, "SET " ACK " 1-1");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_NONE, 0, 1);
    expect_told(f, 1, "s 1 on last owner=? ack=1-1\n");
    assert_int_equal(f->relay.metrics.redis_errors, 2);
}

/* A claim that cannot be stored silences the other relay all the same. */
static void claim_is_told_when_redis_has_no_memory_left(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0);
    do_in_redis(f, "CONFIG SET maxmemory 1");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
    expect_told(f, 1, "s 1 on last owner=nobody ack=none\n");
    expect_key(f, OWNER, NULL);
    expect_takeover(f, by_redis(f, opened_ms));
    expect_silence(f);
    assert_int_equal(f->relay.metrics.redis_errors, 1);
    assert_int_equal(count_logged(f, "claim of a session not stored"), 1);
    assert_int_equal(count_logged(f, "OOM"), 1);
}

static void claim_is_told_when_the_user_may_not_store_it(void **state)
{
    struct fixture *f = *state;
    be_somebody(f, "ACL SETUSER relay on >pw ~* &* +@all -set");
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
    expect_told(f, 1, "s 1 on last owner=nobody ack=none\n");
    expect_key(f, OWNER, NULL);
    expect_takeover(f, by_redis(f, opened_ms));
    assert_int_equal(f->relay.metrics.redis_errors, 1);
}

static void clock_of_the_machine_counts_when_redis_does_not_tell_the_time(void **state)
{
    struct fixture *f = *state;
    be_somebody(f, "ACL SETUSER relay on >pw ~* &* +@all -time");
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
    expect_told(f, 1, "s 1 on last owner=nobody ack=none\n");
    assert_in_range(differ_by((int64_t)expect_owner(f, f->name), (int64_t)redis_now_ms(f)), 0, LONG_MS / 10);
    assert_int_equal(f->relay.metrics.redis_errors, 1);
    assert_int_equal(count_logged(f, "time of Redis not read"), 1);
}

static void claim_is_told_when_the_user_may_run_no_scripts(void **state)
{
    static const char *const rules[] = {"ACL SETUSER relay on >pw ~* &* +@all -evalsha",
                                        "ACL SETUSER relay on >pw ~* &* +@all -script"};
    struct fixture *f = *state;
    be_somebody(f, rules[0]);
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0);
    for (size_t i = 0; i < 2; i++) {
        be_somebody(f, rules[i]);
        do_in_redis(f, "SCRIPT FLUSH");
        a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
        expect_told(f, 1, "s 1 on last owner=? ack=none\n");
        expect_takeover(f, by_redis(f, opened_ms));
        a->store(a, span_str("s"), id(1, 1), false);
        settle(f);
        expect_silence(f);
    }
    int tries = stored_again;
    a->store(a, span_str("s"), id(1, 1), false);
    settle(f);
    assert_int_equal(stored_again, tries);
    assert_int_equal(count_logged(f, "script not loaded") > 0, 1);
}

static void scripts_that_redis_has_forgotten_are_given_to_it_again(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0);
    fill_log(f, 1);
    do_in_redis(f, "SCRIPT FLUSH");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
    a->read_on(a, span_str("t"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 2);
    expect_told(f, 2, "s 1 on 1-1=B last owner=nobody ack=none\nt 2 on last owner=nobody ack=none\n");
    expect_owner(f, f->name);
    expect_takeover(f, by_redis(f, opened_ms));
    expect_silence(f);
    assert_int_equal(stored_again, 1);
    assert_int_equal(f->relay.metrics.redis_errors, 0);
}

static void place_is_stored_again_when_redis_has_forgotten_the_scripts(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "SCRIPT FLUSH");
    a->store(a, span_str("s"), id(1, 1), false);
    a->store(a, span_str("t"), id(1, 1), true);
    settle(f);
    expect_key(f, ACK, NULL);
    assert_int_equal(stored_again, 1);
    assert_int_equal(losses, 0);
    a->store(a, span_str("s"), id(1, 1), false);
    settle(f);
    expect_key(f, ACK, "1-1");
    assert_int_equal(stored_again, 1);
}

static void page_that_leaves_is_forgotten_though_redis_has_forgotten_the_scripts(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "SCRIPT FLUSH");
    do_in_redis(f, "SET " ACK " 1-1");
    f->left_ms = ago(f, 0);
    a->leave(a, span_str("s"), f->left_ms, true);
    settle(f);
    expect_key(f, ACK, NULL);
    expect_left(f);
}

static void question_without_a_connection_is_answered_when_there_is_one(void **state)
{
    struct fixture *f = *state;
    fill_log(f, 1);
    open_archive(f);
    struct archive *a = &f->archive.port;
    a->read_back(a, span_str("s"), STREAM_ID_MAX, 1);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_NONE, 0, 2);
    expect_told(f, 2, "s 1 back 1-1=B last\ns 2 on 1-1=B last owner=? ack=none\n");
}

/* Redis has all of the commands, and ends without a word. */
static void question_whose_answer_is_lost_is_asked_again_and_answered_once(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "CLIENT PAUSE 60000");
    a->read_back(a, span_str("s"), STREAM_ID_MAX, 1);
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CHECK, 0, 2);
    send_all(f);
    redis_server_kill(&f->server);
    await_or_fail(f, is_down, "the loss");
    assert_int_equal(answers, 0);
    redis_server_restart(&f->server);
    fill_log(f, 2);
    a->read_back(a, span_str("s"), id(2, 1), 3);
    f->wanted = 3;
    await_or_fail(f, is_answered, "answers");
    expect_told(f, 3,
                "s 1 back 2-1=C 1-1=B last\ns 2 on 1-1=B 2-1=C last owner=nobody ack=none\n"
                "s 3 back 1-1=B last\n");
    settle(f);
    assert_int_equal(answers, 0);
}

/* What has happened to Redis meanwhile makes the socket no younger. */
static void claim_that_is_made_again_is_as_old_as_its_socket(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    uint64_t opened_ms = ago(f, 0);
    do_in_redis(f, "CLIENT PAUSE 60000");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, opened_ms, 1);
    send_all(f);
    redis_server_kill(&f->server);
    await_or_fail(f, is_down, "the loss");
    redis_server_restart(&f->server);
    listen_to_channel(f);
    a->clock_ms -= LONG_MS; /* that Redis' clock differs */
    expect_told(f, 1, "s 1 on last owner=nobody ack=none\n");
    assert_in_range(differ_by((int64_t)by_redis(f, ago(f, 0)), (int64_t)redis_now_ms(f)), 0, LONG_MS / 10);
    assert_int_equal(expect_owner(f, f->name), by_redis(f, opened_ms));
    expect_takeover(f, by_redis(f, opened_ms));
}

static void claim_that_nobody_awaits_any_more_is_not_made_again(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "CLIENT PAUSE 60000");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, ago(f, 0), 1);
    send_all(f);
    redis_server_kill(&f->server);
    await_or_fail(f, is_down, "the loss");
    not_awaited = 1;
    redis_server_restart(&f->server);
    set_owner(f, OTHER, 1);
    expect_told(f, 1, "s 1 on last owner=? ack=none\n");
    settle(f);
    assert_int_equal(expect_owner(f, OTHER), 1);
}

/* The first replies have come, the rest has not: nothing of them is left when it is asked again. */
static void half_an_answer_is_no_answer(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    fill_log(f, 2);
    do_in_redis(f, "HSET " LATEST " k NEWEST");
    do_in_redis(f, "SET " ACK " 1-1");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CHECK, 0, 1);
    struct question *q = TAILQ_FIRST(&f->archive.asked);
    const redisReply early = {.type = REDIS_REPLY_ARRAY};
    q->command.on_reply(&q->command, &early); /* of NUMSUB, of no elements */
    assert_int_equal(q->taken, 1);
    redis_server_count(&f->server, "CLIENT KILL TYPE normal SKIPME yes");
    expect_told(f, 1, "s 1 on 1-1=B 2-1=C last owner=nobody ack=1-1 latest=NEWEST\n");
}

/* As many as the core asks at a time, and the one it asks while it is answered. */
static void as_many_questions_as_the_core_asks_have_room(void **state)
{
    struct fixture *f = *state;
    open_archive(f);
    struct archive *a = &f->archive.port;
    for (unsigned i = 0; i < ARCHIVE_QUESTIONS; i++)
        a->read_back(a, span_str("s"), STREAM_ID_MAX, i);
    f->wanted = ARCHIVE_QUESTIONS;
    await_or_fail(f, is_answered, "answers");
    for (unsigned i = 0; i < ARCHIVE_QUESTIONS; i++)
        a->read_back(a, span_str("s"), STREAM_ID_MAX, i);
    f->wanted = 2 * ARCHIVE_QUESTIONS;
    await_or_fail(f, is_answered, "answers");
    assert_int_equal(answers, 2 * ARCHIVE_QUESTIONS);
}

/* Storing */

static void place_is_stored_for_a_time_to_live(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    a->store(a, span_str("s"), id(1526919030474, 55), false);
    settle(f);
    expect_key(f, ACK, "1526919030474-55");
    expect_expiry(f, ACK);
    a->store(a, span_str("s"), STREAM_ID_NONE, true);
    settle(f);
    expect_key(f, ACK, "0-0");
    assert_int_equal(losses, 0);
}

static void owner_lives_on_with_the_place(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    for (int is_again = 0; is_again <= 1; is_again++) {
        set_owner(f, f->name, 5);
        redis_server_count(&f->server, "PEXPIRE " OWNER " 5000");
        a->store(a, span_str("s"), id(1, 1), is_again);
        settle(f);
        assert_int_equal(expect_owner(f, f->name), 5);
        expect_expiry(f, OWNER);
    }
    do_in_redis(f, "DEL " OWNER);
    a->store(a, span_str("s"), id(1, 1), true);
    settle(f);
    expect_key(f, OWNER, NULL);
}

static void place_is_not_stored_late_over_that_of_another_relay(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    for (int is_again = 0; is_again <= 1; is_again++) {
        do_in_redis(f, "FLUSHALL");
        set_owner(f, OTHER, 1);
        redis_server_count(&f->server, "PEXPIRE " OWNER " 5000");
        a->store(a, span_str("s"), id(1, 1), is_again);
        settle(f);
        expect_key(f, ACK, NULL);
        assert_in_range(redis_server_count(&f->server, "PTTL " OWNER), 0, 5000);
    }
    assert_int_equal(losses, 0);
    assert_int_equal(f->relay.metrics.redis_errors, 0);
}

/* Whoever has put them there. */
static void place_is_stored_over_what_is_none_and_counted(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "LPUSH " OWNER " text");
    do_in_redis(f, "LPUSH " ACK " text");
    a->store(a, span_str("s"), id(1, 1), true);
    settle(f);
    expect_key(f, ACK, "1-1");
    do_in_redis(f, "SET " OWNER " nonsense");
    do_in_redis(f, "SET " ACK " nonsense");
    a->store(a, span_str("s"), id(2, 1), true);
    settle(f);
    expect_key(f, ACK, "2-1");
    expect_expiry(f, ACK);
    expect_key(f, OWNER, "nonsense");
    assert_int_equal(f->relay.metrics.redis_errors, 2);
    assert_int_equal(losses, 0);
}

static void place_that_is_not_there_any_more_means_that_redis_lost_its_data(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    a->store(a, span_str("s"), id(1, 1), false);
    settle(f);
    do_in_redis(f, "FLUSHALL");
    a->store(a, span_str("s"), id(2, 1), true);
    settle(f);
    assert_int_equal(losses, 1);
    expect_key(f, ACK, "2-1");
    a->store(a, span_str("s"), id(3, 1), true);
    settle(f);
    assert_int_equal(losses, 1);
}

/* It was lost with the connection, and never was in Redis. */
static void place_that_was_never_stored_is_no_lost_data(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "CLIENT PAUSE 60000");
    a->store(a, span_str("s"), id(1, 1), false);
    send_all(f);
    redis_server_kill(&f->server);
    await_or_fail(f, is_down, "the loss");
    a->store(a, span_str("t"), id(1, 1), false);
    redis_server_restart(&f->server);
    await_or_fail(f, is_up, "the connection");
    a->store(a, span_str("s"), id(2, 1), true);
    a->store(a, span_str("t"), id(2, 1), true);
    settle(f);
    assert_int_equal(losses, 0);
    expect_key(f, ACK, "2-1");
}

static void place_forgotten_by_another_relay_under_share_is_no_lost_data(void **state)
{
    struct fixture *f = *state;
    f->options.session_duplicate = DUPLICATE_SHARE;
    struct archive *a = open_connected(state);
    a->store(a, span_str("s"), id(1, 1), true);
    settle(f);
    assert_int_equal(losses, 0);
    expect_key(f, ACK, "1-1");
    expect_key(f, OWNER, NULL);
}

static void place_that_cannot_be_stored_is_counted_and_told(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "CONFIG SET maxmemory 1");
    a->store(a, span_str("s"), id(1, 1), false);
    a->store(a, span_str("s"), id(1, 1), true);
    settle(f);
    assert_int_equal(losses, 0);
    assert_true(f->relay.metrics.redis_errors >= 2);
    assert_true(count_logged(f, "place of a client not stored") > 0);
    do_in_redis(f, "CONFIG SET maxmemory 0");
    a->store(a, span_str("s"), id(1, 1), true);
    settle(f);
    assert_int_equal(losses, 0); /* it was never stored */
    expect_key(f, ACK, "1-1");
}

/* Leaving */

/* `owner`: NULL for none, else its newest socket was opened so long ago; the page's socket LONG_MS ago. */
static void leave(struct fixture *f, struct archive *a, const char *owner, int64_t owner_age_ms, bool forgets)
{
    do_in_redis(f, "SET " ACK " 1-1");
    do_in_redis(f, "DEL " OWNER);
    if (owner)
        set_owner(f, owner, redis_now_ms(f) - (uint64_t)owner_age_ms);
    f->left_ms = ago(f, LONG_MS);
    a->leave(a, span_str("s"), f->left_ms, forgets);
    settle(f);
    expect_left(f);
    expect_silence(f);
    assert_int_equal(f->relay.metrics.redis_errors, 0);
}

static void page_that_leaves_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    leave(f, a, f->name, LONG_MS, true);
    expect_key(f, ACK, NULL);
    leave(f, a, f->name, 0, true);
    expect_key(f, ACK, NULL);
    leave(f, a, NULL, 0, true);
    expect_key(f, ACK, NULL);
}

static void page_that_leaves_is_forgotten_though_another_relay_has_an_older_socket(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    leave(f, a, OTHER, 2 * LONG_MS, true);
    expect_key(f, ACK, NULL);
}

static void page_that_leaves_is_not_forgotten_when_another_relay_has_a_newer_socket(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    leave(f, a, OTHER, LONG_MS / 2, true);
    expect_key(f, ACK, "1-1");
}

static void page_that_leaves_is_not_forgotten_for_a_socket_of_less_than_a_second_to_come(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    leave(f, a, OTHER, -900, true);
    expect_key(f, ACK, "1-1");
}

static void page_that_leaves_is_forgotten_when_the_owner_is_none(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "SET " ACK " 1-1");
    do_in_redis(f, "LPUSH " OWNER " text");
    f->left_ms = ago(f, 0);
    a->leave(a, span_str("s"), f->left_ms, true);
    settle(f);
    expect_key(f, ACK, NULL);
    expect_left(f);
    do_in_redis(f, "SET " ACK " 1-1");
    do_in_redis(f, "SET " OWNER " other");
    f->left_ms = ago(f, 0);
    a->leave(a, span_str("s"), f->left_ms, true);
    settle(f);
    expect_key(f, ACK, NULL);
    expect_left(f);
}

static void page_that_cannot_be_forgotten_is_told_and_counted(void **state)
{
    struct fixture *f = *state;
    be_somebody(f, "ACL SETUSER relay on >pw ~* &* +@all -del");
    struct archive *a = open_connected(state);
    do_in_redis(f, "SET " ACK " 1-1");
    f->left_ms = ago(f, 0);
    a->leave(a, span_str("s"), f->left_ms, true);
    settle(f);
    expect_key(f, ACK, "1-1");
    expect_left(f);
    assert_int_equal(f->relay.metrics.redis_errors, 1);
}

static void page_of_a_silent_socket_only_tells(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    leave(f, a, f->name, LONG_MS, false);
    expect_key(f, ACK, "1-1");
}

static void page_that_leaves_is_forgotten_under_share_whoever_the_owner_is(void **state)
{
    struct fixture *f = *state;
    f->options.session_duplicate = DUPLICATE_SHARE;
    struct archive *a = open_connected(state);
    leave(f, a, OTHER, 0, true);
    expect_key(f, ACK, NULL);
}

/* The end */

static void names_of_two_relays_differ(void **state)
{
    struct fixture *f = *state;
    static struct session_archive other;
    open_connected(state);
    assert_int_equal(archive_init(&other, &f->commands, NULL, &f->config, &f->options), 0);
    assert_int_equal(strspn(f->name, "0123456789abcdef"), ARCHIVE_NAME_LEN);
    assert_int_equal(other.port.name.len, ARCHIVE_NAME_LEN);
    assert_false(span_equals(other.port.name, f->archive.port.name));
    archive_deinit(&other);
}

static void what_was_stored_is_written_and_answered_before_the_end(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "CLIENT PAUSE 100 WRITE");
    a->store(a, span_str("s"), id(9, 9), false);
    commands_finish(&f->commands);
    assert_int_equal(f->finished, 0);
    await_or_fail(f, is_finished, "the end");
    assert_int_equal(f->commands.under_way.count, 0);
    expect_key(f, ACK, "9-9");
}

static void end_waits_a_second_for_a_redis_that_does_not_answer(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "CLIENT PAUSE 60000");
    a->store(a, span_str("s"), id(9, 9), false);
    uint64_t began_ms = uv_now(&f->loop);
    commands_finish(&f->commands);
    await_or_fail(f, is_finished, "the end");
    assert_true(uv_now(&f->loop) - began_ms >= COMMANDS_FINISH_MS);
    assert_int_equal(f->commands.under_way.count, 1);
}

static void end_waits_for_nothing_without_a_connection(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    do_in_redis(f, "CLIENT PAUSE 60000");
    a->store(a, span_str("s"), id(9, 9), false);
    send_all(f);
    uint64_t began_ms = uv_now(&f->loop);
    commands_finish(&f->commands);
    redis_server_kill(&f->server);
    await_or_fail(f, is_finished, "the end");
    assert_true(uv_now(&f->loop) - began_ms < COMMANDS_FINISH_MS);
    f->finished = 0;
    commands_finish(&f->commands);
    assert_int_equal(f->finished, 0);
    await_or_fail(f, is_finished, "the end");
}

static void end_in_mid_question_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct archive *a = open_connected(state);
    fill_log(f, QUESTION_PAGE);
    do_in_redis(f, "CLIENT PAUSE 60000");
    a->read_on(a, span_str("s"), STREAM_ID_NONE, JOIN_CLAIM, ago(f, 0), 1);
    a->read_back(a, span_str("s"), STREAM_ID_MAX, 2);
    send_all(f);
    assert_int_equal(answers, 0);
}

#define promise(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        promise(newest_entries_come_newest_first),
        promise(log_longer_than_a_page_is_read_page_by_page),
        promise(entries_of_another_form_are_empty_events),
        promise(all_that_is_known_of_a_session_comes_in_one_answer),
        promise(client_that_has_had_nothing_has_a_place),
        promise(another_listener_on_the_channel_is_told),
        promise(clock_is_that_of_redis),
        promise(clock_is_kept_and_set_when_it_is_wrong),
        promise(claim_is_stored_and_told),
        promise(newer_socket_takes_the_session_over),
        promise(claim_for_an_older_socket_is_refused),
        promise(own_session_is_claimed_and_told_again),
        promise(of_two_sockets_opened_nearly_at_once_the_one_claimed_later_is_newer),
        promise(owner_of_a_time_to_come_is_nobody),
        promise(owner_of_less_than_a_second_to_come_is_somebody),
        promise(owner_that_is_none_is_nobody_and_counted),
        promise(owner_is_checked_and_not_changed),
        promise(reading_on_has_its_effects_in_this_order),
        promise(what_is_asked_in_one_turn_goes_out_in_one_write),
        promise(answer_waits_for_the_messages_before_it),
        promise(keys_of_another_type_are_stepped_over_and_counted),
        promise(place_that_is_none_is_unknown),
        promise(flood_of_errors_is_told_a_few_times_and_names_no_session),
        promise(what_the_user_may_not_read_is_empty),
        promise(claim_is_told_when_redis_has_no_memory_left),
        promise(claim_is_told_when_the_user_may_not_store_it),
        promise(clock_of_the_machine_counts_when_redis_does_not_tell_the_time),
        promise(claim_is_told_when_the_user_may_run_no_scripts),
        promise(scripts_that_redis_has_forgotten_are_given_to_it_again),
        promise(place_is_stored_again_when_redis_has_forgotten_the_scripts),
        promise(page_that_leaves_is_forgotten_though_redis_has_forgotten_the_scripts),
        promise(question_without_a_connection_is_answered_when_there_is_one),
        promise(question_whose_answer_is_lost_is_asked_again_and_answered_once),
        promise(claim_that_is_made_again_is_as_old_as_its_socket),
        promise(claim_that_nobody_awaits_any_more_is_not_made_again),
        promise(half_an_answer_is_no_answer),
        promise(as_many_questions_as_the_core_asks_have_room),
        promise(place_is_stored_for_a_time_to_live),
        promise(owner_lives_on_with_the_place),
        promise(place_is_not_stored_late_over_that_of_another_relay),
        promise(place_is_stored_over_what_is_none_and_counted),
        promise(place_that_is_not_there_any_more_means_that_redis_lost_its_data),
        promise(place_that_was_never_stored_is_no_lost_data),
        promise(place_forgotten_by_another_relay_under_share_is_no_lost_data),
        promise(place_that_cannot_be_stored_is_counted_and_told),
        promise(page_that_leaves_is_forgotten),
        promise(page_that_leaves_is_forgotten_though_another_relay_has_an_older_socket),
        promise(page_that_leaves_is_not_forgotten_when_another_relay_has_a_newer_socket),
        promise(page_that_leaves_is_not_forgotten_for_a_socket_of_less_than_a_second_to_come),
        promise(page_that_leaves_is_forgotten_when_the_owner_is_none),
        promise(page_that_cannot_be_forgotten_is_told_and_counted),
        promise(page_of_a_silent_socket_only_tells),
        promise(page_that_leaves_is_forgotten_under_share_whoever_the_owner_is),
        promise(names_of_two_relays_differ),
        promise(what_was_stored_is_written_and_answered_before_the_end),
        promise(end_waits_a_second_for_a_redis_that_does_not_answer),
        promise(end_waits_for_nothing_without_a_connection),
        promise(end_in_mid_question_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
