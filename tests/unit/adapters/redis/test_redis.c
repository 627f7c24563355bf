/* The core on a real Redis: events come, outages pass, a lost worker's prompt ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <msgpack.h>

#include "adapters/redis/publish.h"
#include "tests/support/await.h"
#include "tests/support/redis_relay.h"
#include "tests/support/redis_server.h"

#define MANY  10000
#define LARGE (60 << 20)
#define FLOOD 2500

struct fixture {
    struct redis_server server;
    uv_loop_t loop;
    struct redis_relay relays[2];
    int relay_count;
    struct relay_socket socket;
    char packed[4096];
};

static const char *const server_args[] = {"--client-output-buffer-limit", "pubsub", "0", "0", "0", NULL};

static int set_up(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof *f);
    redis_server_start(&f->server, server_args);
    return uv_loop_init(&f->loop);
}

/* Everything is closed, and the loop has nothing left. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < f->relay_count; i++)
        redis_relay_close(&f->relays[i]);
    bool has_ended = await_end(&f->loop);
    for (int i = 0; i < f->relay_count; i++)
        redis_relay_deinit(&f->relays[i]);
    redis_server_stop(&f->server);
    free(f);
    return has_ended ? 0 : -1;
}

static struct redis_relay *add_relay(struct fixture *f, const char *url)
{
    struct redis_relay *r = &f->relays[f->relay_count++];
    redis_relay_init(r, &f->loop, url);
    return r;
}

static struct redis_relay *open_relay(struct fixture *f)
{
    struct redis_relay *r = add_relay(f, f->server.url);
    const char *why = redis_relay_open(r);
    if (why)
        fail_msg("%s", why);
    return r;
}

/* Waiting ---------------------------------------------------------------------------------------------------- */

static void await_or_fail(struct fixture *f, bool (*is_done)(void *arg), void *arg, const char *what)
{
    if (!await(&f->loop, is_done, arg))
        fail_msg("waited in vain for %s; log:\n%s", what, f->relays[0].log);
}

static bool is_ready(void *arg)
{
    struct redis_relay *r = arg;
    return redis_why_not_ready(r->redis) == NULL;
}

static bool is_not_ready(void *arg)
{
    return !is_ready(arg);
}

static struct redis_relay *open_ready(struct fixture *f)
{
    struct redis_relay *r = open_relay(f);
    await_or_fail(f, is_ready, r, "a subscription");
    return r;
}

struct expected_text {
    const char *in;
    const char *text;
};

static bool has_text(void *arg)
{
    struct expected_text *e = arg;
    return strstr(e->in, e->text) != NULL;
}

static void await_text(struct fixture *f, const struct relay_socket *s, const char *text)
{
    struct expected_text e = {s->text, text};
    if (!await(&f->loop, has_text, &e))
        fail_msg("waited in vain for %s; got:\n%slog:\n%s", text, s->text, f->relays[0].log);
}

struct expected_log {
    const struct redis_relay *relay;
    const char *text;
};

static bool has_logged(void *arg)
{
    struct expected_log *e = arg;
    return redis_relay_count(e->relay->log, e->text) > 0;
}

static void await_log(struct fixture *f, const struct redis_relay *r, const char *text)
{
    struct expected_log e = {r, text};
    await_or_fail(f, has_logged, &e, text);
}

struct expected_count {
    struct redis_server *server;
    const char *command;
    long long want;
};

static bool has_count(void *arg)
{
    struct expected_count *e = arg;
    return redis_server_count(e->server, e->command) == e->want;
}

static void await_count(struct fixture *f, const char *command, long long want)
{
    struct expected_count e = {&f->server, command, want};
    await_or_fail(f, has_count, &e, command);
}

static void attach_ready(struct fixture *f, struct redis_relay *r, struct relay_socket *s, const char *sid)
{
    redis_relay_attach(r, s, sid);
    await_text(f, s, "\"sid\"");
}

static bool is_idle(void *arg)
{
    struct redis_relay *r = arg;
    return r->relay.catching_up == 0;
}

/* Until its sessions are read. */
static void await_read(struct fixture *f, struct redis_relay *r)
{
    await_or_fail(f, is_idle, r, "the sessions to be read");
}

/* Events ------------------------------------------------------------------------------------------------------ */

/* m: a map of so many pairs; s: a str; i: an integer; n: nil; b: bytes and their number, as a bin. */
static void pack(msgpack_sbuffer *to, const char *shape, ...)
{
    msgpack_packer p;
    msgpack_packer_init(&p, to, msgpack_sbuffer_write);
    va_list args;
    va_start(args, shape);
    for (; *shape; shape++) {
        if (*shape == 'm')
            msgpack_pack_map(&p, (size_t)va_arg(args, int));
        else if (*shape == 'i')
            msgpack_pack_int(&p, va_arg(args, int));
        else if (*shape == 'n')
            msgpack_pack_nil(&p);
        else {
            const char *text = va_arg(args, const char *);
            size_t len = *shape == 's' ? strlen(text) : va_arg(args, size_t);
            if (*shape == 's')
                msgpack_pack_str(&p, len);
            else
                msgpack_pack_bin(&p, len);
            msgpack_pack_str_body(&p, text, len);
        }
    }
    va_end(args);
}

static void publish(struct fixture *f, const char *channel, msgpack_sbuffer *take_event)
{
    freeReplyObject(
        redis_server_do(&f->server, "PUBLISH %s %b", channel, take_event->data, take_event->size));
    msgpack_sbuffer_destroy(take_event);
}

/* {"type":"note","data":text} on a channel. */
static void publish_note(struct fixture *f, const char *channel, const char *text)
{
    msgpack_sbuffer event;
    msgpack_sbuffer_init(&event);
    pack(&event, "mssss", 2, "type", "note", "data", text);
    publish(f, channel, &event);
}

/* The entry of a worker that executes a prompt, as it is stored and told. */
static void pack_entry(msgpack_sbuffer *entry, const char *boot, const char *sid, const char *prompt, int at)
{
    msgpack_sbuffer_init(entry);
    pack(entry,
         "mss"
         "si"
         "ss"
         "ss"
         "si",
         5, "boot", boot, "queue_remaining", 3, "sid", sid, "prompt_id", prompt, "at", at);
}

static void store_entry(struct fixture *f, const char *worker, const char *boot, int at)
{
    msgpack_sbuffer entry;
    pack_entry(&entry, boot, "s", "p", at);
    freeReplyObject(redis_server_do(&f->server, "HSET comfy:workers %s %b", worker, entry.data, entry.size));
    msgpack_sbuffer_destroy(&entry);
}

/* It stores its entry and says so, as the contract has it. */
static void beat(struct fixture *f, const char *worker, const char *boot, const char *sid, const char *prompt)
{
    msgpack_sbuffer entry, event;
    pack_entry(&entry, boot, sid, prompt, 1);
    msgpack_sbuffer_init(&event);
    freeReplyObject(redis_server_do(&f->server, "HSET comfy:workers %s %b", worker, entry.data, entry.size));
    pack(&event,
         "mss"
         "ss"
         "s",
         3, "type", "relay.worker", "worker", worker, "data");
    msgpack_sbuffer_write(&event, entry.data, entry.size);
    msgpack_sbuffer_destroy(&entry);
    publish(f, "comfy:events", &event);
}

/* An event of session s, by the publish script. */
static void publish_kept(struct fixture *f, const char *type, const char *prompt)
{
    msgpack_sbuffer event;
    msgpack_sbuffer_init(&event);
    pack(&event,
         "mss"
         "sm"
         "ss",
         2, "type", type, "data", 1, "prompt_id", prompt);
    freeReplyObject(redis_server_do(&f->server, "EVAL %s 2 %s %s %s %b 60000 4096 %s 0", publish_lua,
                                    "comfy:sid:{s}:log", "comfy:sid:{s}:latest", "comfy:sid:{s}", event.data,
                                    event.size, ""));
    msgpack_sbuffer_destroy(&event);
}

static bool is_watched(void *arg)
{
    struct redis_relay *r = arg;
    return r->relay.workers.sum > 0;
}

/* Events come -------------------------------------------------------------------------------------------------- */

static void message_of_a_session_reaches_its_socket(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    publish_note(f, "comfy:sid:{other}", "not for s");
    publish_note(f, "comfy:sid:{s}", "for s");
    await_text(f, &f->socket, "{\"type\":\"note\",\"data\":\"for s\"}");
    publish_note(f, "comfy:events", "for all");
    await_text(f, &f->socket, "{\"type\":\"note\",\"data\":\"for all\"}");
    assert_int_equal(f->socket.frames, 3);
}

static void channel_is_left_when_the_session_is_over(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = add_relay(f, f->server.url);
    r->options.session_ttl_ms = 10;
    assert_null(redis_relay_open(r));
    await_or_fail(f, is_ready, r, "a subscription");
    attach_ready(f, r, &f->socket, "s");
    redisReply *before = redis_server_do(&f->server, "PUBSUB NUMSUB %s", "comfy:sid:{s}");
    assert_int_equal(before->element[1]->integer, 1);
    freeReplyObject(before);
    redis_relay_detach(r, &f->socket);
    await_count(f, "PUBLISH comfy:sid:{s} x", 0);
}

static void message_of_60_mb_arrives_whole_and_a_larger_one_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    char *picture = calloc(1, LARGE);
    msgpack_sbuffer event;
    size_t before = f->socket.bytes;
    msgpack_sbuffer_init(&event);
    pack(&event,
         "msi"
         "sb",
         2, "type", 10, "data", picture, (size_t)LARGE);
    publish(f, "comfy:sid:{s}", &event);
    publish_note(f, "comfy:sid:{s}", "after it");
    await_text(f, &f->socket, "after it");
    assert_int_equal(f->socket.bytes - before,
                     4 + LARGE + strlen("{\"type\":\"note\",\"data\":\"after it\"}"));
    msgpack_sbuffer_init(&event);
    pack(&event,
         "msi"
         "sb",
         2, "type", 10, "data", picture, (size_t)LARGE);
    r->relay.config.message_bytes = LARGE;
    publish(f, "comfy:sid:{s}", &event);
    publish_note(f, "comfy:sid:{s}", "still here");
    await_text(f, &f->socket, "still here");
    assert_int_equal(r->relay.metrics.dropped[DROP_TOO_LARGE], 1);
    assert_int_equal(redis_relay_count(r->log, "event dropped"), 1);
    free(picture);
}

static void flood_of_bad_messages_is_counted_and_told_a_few_times(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "secret-session-id-of-someone");
    for (int i = 0; i < 100; i++)
        redis_server_count(&f->server, "PUBLISH %s %s", "comfy:sid:{secret-session-id-of-someone}",
                           "garbage");
    publish_note(f, "comfy:events", "after them");
    await_text(f, &f->socket, "after them");
    assert_in_range(redis_relay_count(r->log, "event dropped"), 1, 10);
    assert_int_equal(redis_relay_count(r->log, "secret-session"), 0);
}

/* Who may ------------------------------------------------------------------------------------------------------ */

static void user_of_the_acl_is_let_in(void **state)
{
    struct fixture *f = *state;
    char url[256];
    freeReplyObject(
        redis_server_do(&f->server,
                        "ACL SETUSER relay on >%s ~comfy:* resetchannels &comfy:* -@all +@connection "
                        "+@pubsub +@read +@write +@scripting +@transaction +select",
                        "p@ss"));
    snprintf(url, sizeof url, "redis+unix://relay:p%%40ss@%s?db=3", f->server.socket);
    struct redis_relay *r = add_relay(f, url);
    assert_null(redis_relay_open(r));
    await_or_fail(f, is_ready, r, "a subscription");
    attach_ready(f, r, &f->socket, "s");
    publish_note(f, "comfy:sid:{s}", "hello");
    await_text(f, &f->socket, "hello");
}

static void wrong_password_is_told_once_and_tried_until_it_is_right(void **state)
{
    struct fixture *f = *state;
    freeReplyObject(
        redis_server_do(&f->server, "ACL SETUSER relay on >other allkeys allchannels allcommands"));
    char path[128], url[256];
    snprintf(path, sizeof path, "%s/password", f->server.dir);
    FILE *file = fopen(path, "w");
    fputs("the right one\n", file);
    fclose(file);
    snprintf(url, sizeof url, "redis+unix://relay@%s", f->server.socket);
    struct redis_relay *r = add_relay(f, url);
    r->options.redis_password_file = path;
    assert_null(redis_relay_open(r));
    await_log(f, r, "WRONGPASS");
    freeReplyObject(redis_server_do(&f->server, "ACL SETUSER relay >%s", "the right one"));
    await_or_fail(f, is_ready, r, "a subscription");
    assert_in_range(redis_relay_count(r->log, "WRONGPASS"), 1, 2); /* one for each connection */
    assert_int_equal(redis_relay_count(r->log, "the right one"), 0);
}

static void channel_that_is_not_allowed_is_told_and_tried_again(void **state)
{
    struct fixture *f = *state;
    char url[256];
    freeReplyObject(
        redis_server_do(&f->server, "ACL SETUSER relay on >pw allkeys allcommands resetchannels"));
    snprintf(url, sizeof url, "redis+unix://relay:pw@%s", f->server.socket);
    struct redis_relay *r = add_relay(f, url);
    assert_null(redis_relay_open(r));
    await_log(f, r, "NOPERM");
    assert_non_null(strstr(redis_why_not_ready(r->redis), "not subscribed to Redis: NOPERM"));
    freeReplyObject(redis_server_do(&f->server, "ACL SETUSER relay allchannels"));
    await_or_fail(f, is_ready, r, "a subscription");
}

static void what_cannot_be_read_is_said(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = add_relay(f, "rediss://localhost");
    assert_non_null(strstr(redis_relay_open(r), "redis.url"));
    r = add_relay(f, f->server.url);
    r->options.redis_password_file = (char *)"/there/is/no/such/file";
    assert_string_equal(redis_relay_open(r), "redis.password_file: cannot read \"/there/is/no/such/file\": "
                                             "No such file or directory");
}

/* Outages pass -------------------------------------------------------------------------------------------------- */

static void redis_that_comes_later_is_found(void **state)
{
    struct fixture *f = *state;
    redis_server_kill(&f->server);
    struct redis_relay *r = open_relay(f);
    redis_relay_attach(r, &f->socket, "s");
    await_text(f, &f->socket, "\"sid\"");
    await_log(f, r, "redis connection failed");
    redis_server_restart(&f->server);
    await_or_fail(f, is_ready, r, "a subscription");
    publish_note(f, "comfy:sid:{s}", "here I am");
    await_text(f, &f->socket, "here I am");
    assert_int_equal(r->relay.metrics.redis_reconnects, 0);
}

static void outage_passes_and_live_events_go_on(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    assert_int_equal(r->relay.metrics.redis_up, 1);
    redis_server_kill(&f->server);
    await_or_fail(f, is_not_ready, r, "the outage");
    assert_int_equal(r->relay.metrics.redis_up, 0);
    redis_server_restart(&f->server);
    await_or_fail(f, is_ready, r, "a subscription");
    publish_note(f, "comfy:sid:{s}", "after the outage");
    await_text(f, &f->socket, "after the outage");
    assert_int_equal(r->relay.metrics.redis_up, 1);
    assert_int_equal(r->relay.metrics.redis_reconnects, 1);
    assert_int_equal(redis_relay_count(r->log, "redis connection lost"), 2); /* one for each connection */
}

static void ten_thousand_sessions_are_subscribed_again(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    struct relay_socket *sockets = calloc(MANY, sizeof *sockets);
    char sid[33];
    assert_non_null(sockets);
    for (int i = 0; i < MANY; i++) {
        snprintf(sid, sizeof sid, "%032x", (unsigned)i);
        redis_relay_attach(r, &sockets[i], sid);
    }
    await_text(f, &sockets[MANY - 1], "\"sid\"");
    await_read(f, r);
    assert_int_equal(redis_server_count(&f->server, "CLIENT KILL TYPE pubsub"), 1);
    uint64_t began_ns = uv_hrtime();
    await_or_fail(f, is_not_ready, r, "the cut");
    uint64_t cut_ns = uv_hrtime();
    await_or_fail(f, is_ready, r, "a subscription");
    uint64_t ready_ns = uv_hrtime();
    print_message("%d sessions: cut noticed after %.1f ms, subscribed and read again after %.1f ms more, "
                  "back-off included\n",
                  MANY, (double)(cut_ns - began_ns) / 1e6, (double)(ready_ns - cut_ns) / 1e6);
    redisReply *channels = redis_server_do(&f->server, "PUBSUB CHANNELS %s", "comfy:sid:*");
    assert_int_equal(channels->elements, MANY);
    freeReplyObject(channels);
    for (int i = 0; i < MANY; i++)
        redis_relay_detach(r, &sockets[i]);
    free(sockets);
}

/* Sessions that outlive a connection, and a relay -------------------------------------------------------------- */

static struct redis_relay *open_replacing(struct fixture *f)
{
    struct redis_relay *r = add_relay(f, f->server.url);
    r->options.session_duplicate = DUPLICATE_REPLACE;
    assert_null(redis_relay_open(r));
    await_or_fail(f, is_ready, r, "a subscription");
    return r;
}

/* What a server answers to a command, in a string; the caller's. */
static char *text_of(struct fixture *f, const char *command)
{
    redisReply *reply = redis_server_do(&f->server, command);
    while (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) {
        redisReply *first = reply->element[0];
        reply->element[0] = NULL;
        freeReplyObject(reply);
        reply = first;
    }
    char *text = strdup(reply->str ? reply->str : "");
    freeReplyObject(reply);
    return text;
}

struct expected_ack {
    struct fixture *f;
    char *id; /* owned */
};

static bool is_stored(void *arg)
{
    struct expected_ack *e = arg;
    char *ack = text_of(e->f, "GET comfy:sid:{s}:ack");
    bool is_it = strcmp(ack, e->id) == 0;
    free(ack);
    return is_it;
}

/* The client has all that it was sent; then it goes, without another word. */
static void acknowledge(struct redis_relay *r, struct relay_socket *s)
{
    cursor_ask(&s->cursor);
    relay_acknowledge(&r->relay, &s->cursor, uv_now(r->loop));
}

static bool is_silent(void *arg)
{
    return ((struct relay_socket *)arg)->cursor.state == CURSOR_SILENT;
}

static void newer_socket_at_another_relay_takes_the_session_over(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *a = open_replacing(f), *b = open_replacing(f);
    static struct relay_socket newer;
    attach_ready(f, a, &f->socket, "s");
    await_read(f, a);
    attach_ready(f, b, &newer, "s");
    await_or_fail(f, is_silent, &f->socket, "the older socket to be silent");
    publish_note(f, "comfy:sid:{s}", "for the newer one");
    await_text(f, &newer, "for the newer one");
    assert_int_equal(redis_relay_count(f->socket.text, "for the newer one"), 0);
    assert_int_equal(newer.cursor.state, CURSOR_LIVE);
    struct span name = redis_archive(b->redis)->name;
    char *owner = text_of(f, "GET comfy:sid:{s}:owner");
    assert_true(strlen(owner) > name.len && owner[name.len] == ' ');
    assert_memory_equal(owner, name.bytes, name.len);
    free(owner);
    assert_int_equal(a->relay.metrics.takeovers, 1);
    assert_int_equal(b->relay.metrics.takeovers, 0);
}

static void session_goes_on_at_another_relay_where_its_client_had_got_to(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *a = open_replacing(f), *b = open_replacing(f);
    static struct relay_socket later;
    attach_ready(f, a, &f->socket, "s");
    publish_kept(f, "one", "p");
    await_text(f, &f->socket, "\"one\"");
    acknowledge(a, &f->socket);
    publish_kept(f, "two", "p");
    await_text(f, &f->socket, "\"two\"");
    struct expected_ack e = {f, text_of(f, "XRANGE comfy:sid:{s}:log - + COUNT 1")};
    await_or_fail(f, is_stored, &e, "the place of the client");
    redis_relay_detach(a, &f->socket);
    publish_kept(f, "three", "p");
    redis_relay_attach(b, &later, "s");
    await_text(f, &later, "\"three\"");
    const char *two = strstr(later.text, "\"two\"");
    assert_int_equal(redis_relay_count(later.text, "\"one\""), 0);
    assert_int_equal(redis_relay_count(later.text, "\"two\""), 1);
    assert_int_equal(redis_relay_count(later.text, "\"three\""), 1);
    assert_true(two < strstr(later.text, "\"three\""));
    free(e.id);
}

static void note_done(void *arg)
{
    *(bool *)arg = true;
}

static bool is_done(void *arg)
{
    return *(bool *)arg;
}

/* Within the 50 ms in which it would be stored with others. */
static void place_of_a_client_is_stored_before_the_end(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_replacing(f);
    bool done = false;
    attach_ready(f, r, &f->socket, "s");
    publish_kept(f, "one", "p");
    await_text(f, &f->socket, "\"one\"");
    struct expected_ack e = {f, text_of(f, "XRANGE comfy:sid:{s}:log - + COUNT 1")};
    acknowledge(r, &f->socket);
    redis_relay_detach(r, &f->socket);
    relay_store(&r->relay, uv_now(r->loop));
    redis_finish(r->redis, note_done, &done);
    assert_false(done);
    await_or_fail(f, is_done, &done, "the end");
    assert_true(is_stored(&e));
    free(e.id);
}

static void relay_that_reads_what_it_missed_is_not_ready(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    r->relay.behind++;
    assert_string_equal(redis_why_not_ready(r->redis), "reading back what was missed");
    r->relay.behind--;
    assert_null(redis_why_not_ready(r->redis));
}

/* Workers ------------------------------------------------------------------------------------------------------- */

static void workers_are_read_at_the_start(void **state)
{
    struct fixture *f = *state;
    beat(f, "w", "b1", "s", "p");
    struct redis_relay *r = open_ready(f);
    await_or_fail(f, is_watched, r, "the worker");
    assert_int_equal(r->relay.workers.sum, 3);
}

static void expect_one_end(const struct relay_socket *s, const char *worker)
{
    char message[64];
    snprintf(message, sizeof message, "\"worker %s was lost\"", worker);
    assert_int_equal(redis_relay_count(s->text, message), 1);
    assert_int_equal(redis_relay_count(s->text, "WorkerLost"), 1);
    assert_int_equal(redis_relay_count(s->text, "\"node\":null"), 1);
    assert_true(strstr(s->text, "WorkerLost") < strstr(s->text, "\"node\":null"));
}

/* Two relays hold the session; both notice the restart in the same moment. */
static void lost_prompt_is_ended_once_when_two_relays_race(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *a = open_ready(f), *b = open_ready(f);
    static struct relay_socket other;
    attach_ready(f, a, &f->socket, "s");
    attach_ready(f, b, &other, "s");
    beat(f, "w", "b1", "s", "p");
    beat(f, "w", "b2", "", "");
    await_text(f, &f->socket, "\"node\":null");
    await_text(f, &other, "\"node\":null");
    publish_note(f, "comfy:sid:{s}", "the last");
    await_text(f, &f->socket, "the last");
    await_text(f, &other, "the last");
    expect_one_end(&f->socket, "w");
    expect_one_end(&other, "w");
    assert_int_equal(redis_server_count(&f->server, "XLEN comfy:sid:{s}:log"), 2);
    assert_in_range(redis_server_count(&f->server, "TTL comfy:lost:p"), 1, 60);
}

static void silent_workers_entry_is_deleted_and_its_prompt_ended(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    beat(f, "w", "b1", "s", "p");
    await_text(f, &f->socket, "\"node\":null");
    expect_one_end(&f->socket, "w");
    assert_int_equal(redis_server_count(&f->server, "HEXISTS comfy:workers w"), 0);
}

static struct worker a_worker(const char *id, const char *boot, const char *sid, const char *prompt)
{
    struct worker_text texts[4];
    const char *values[] = {id, boot, sid, prompt};
    for (int i = 0; i < 4; i++)
        texts[i] = (struct worker_text){(uint8_t *)values[i], strlen(values[i])};
    return (struct worker){.id = texts[0], .boot = texts[1], .sid = texts[2], .prompt = texts[3], .at_ms = 1};
}

static void lose(struct redis_relay *r, struct worker w, enum worker_end how)
{
    struct registry *registry = redis_registry(r->redis);
    registry->lost(registry, &w, how, SPAN_NONE);
}

/* The relay did not hear it, as when it was stopped itself; what the worker stored meanwhile shows that it
 * lives. */
static void worker_whose_entry_is_newer_than_what_was_heard_lives(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = add_relay(f, f->server.url);
    r->options.worker_timeout_ms = 60000;
    assert_null(redis_relay_open(r));
    await_or_fail(f, is_ready, r, "a subscription");
    attach_ready(f, r, &f->socket, "s");
    store_entry(f, "w", "b1", 2);
    lose(r, a_worker("w", "b1", "s", "p"), WORKER_SILENT);
    await_or_fail(f, is_watched, r, "the worker");
    assert_int_equal(r->relay.workers.items[0].at_ms, 2);
    publish_note(f, "comfy:sid:{s}", "all is well");
    await_text(f, &f->socket, "all is well");
    assert_int_equal(redis_relay_count(f->socket.text, "WorkerLost"), 0);
    assert_int_equal(redis_server_count(&f->server, "HEXISTS comfy:workers w"), 1);
    assert_int_equal(redis_server_count(&f->server, "EXISTS comfy:lost:p"), 0);
}

/* It stored a newer entry, died before it told of it, and is silent from then on. */
static void worker_that_died_after_it_stored_its_entry_is_lost_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    beat(f, "w", "b1", "s", "p");
    await_or_fail(f, is_watched, r, "the worker");
    store_entry(f, "w", "b1", 2);
    await_log(f, r, "worker is not lost");
    await_text(f, &f->socket, "\"node\":null");
    expect_one_end(&f->socket, "w");
    assert_int_equal(redis_server_count(&f->server, "HEXISTS comfy:workers w"), 0);
}

/* Both losses take the same steps, so when the second is done, so is the first. */
static void entry_of_a_newer_life_stays(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    beat(f, "w", "b2", "", "");
    beat(f, "v", "b1", "", "");
    await_or_fail(f, is_watched, r, "the workers");
    lose(r, a_worker("w", "b1", "", ""), WORKER_SILENT);
    lose(r, a_worker("v", "b1", "", ""), WORKER_SILENT);
    await_count(f, "HEXISTS comfy:workers v", 0);
    assert_int_equal(redis_server_count(&f->server, "HEXISTS comfy:workers w"), 1);
}

static void prompt_whose_end_is_in_the_log_is_not_ended_again(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    publish_kept(f, "execution_success", "p1");
    for (int i = 0; i < 200; i++)
        publish_kept(f, "execution_cached", "p2");
    lose(r, a_worker("w1", "b", "s", "p1"), WORKER_RESTARTED);
    lose(r, a_worker("w2", "b", "s", "p2"), WORKER_RESTARTED);
    await_text(f, &f->socket, "\"node\":null");
    expect_one_end(&f->socket, "w2");
    assert_int_equal(redis_server_count(&f->server, "EXISTS comfy:lost:p1"), 1);
    assert_int_equal(redis_server_count(&f->server, "XLEN comfy:sid:{s}:log"), 1 + 200 + 2);
}

static void entries_of_another_type_do_not_keep_the_end_from_clients(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    freeReplyObject(redis_server_do(&f->server, "SET comfy:workers text"));
    lose(r, a_worker("w", "b", "s", "p"), WORKER_SILENT);
    await_text(f, &f->socket, "\"node\":null");
    expect_one_end(&f->socket, "w");
    await_log(f, r, "entry of a lost worker not read");
}

/* Each entry may be a picture, and a page of them is held in memory. */
static void log_is_searched_eight_entries_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    await_read(f, r);
    for (int i = 0; i < 80; i++)
        publish_kept(f, "execution_cached", "p");
    freeReplyObject(redis_server_do(&f->server, "CONFIG RESETSTAT"));
    lose(r, a_worker("w", "b", "s", "p"), WORKER_RESTARTED);
    await_text(f, &f->socket, "\"node\":null");
    redisReply *stats = redis_server_do(&f->server, "INFO commandstats");
    const char *pages = strstr(stats->str, "cmdstat_xrevrange:calls=");
    assert_non_null(pages);
    assert_int_equal(strtol(pages + strlen("cmdstat_xrevrange:calls="), NULL, 10), 80 / 8 + 1);
    freeReplyObject(stats);
}

static void prompt_that_another_relay_ends_is_left_to_it(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    freeReplyObject(redis_server_do(&f->server, "SET comfy:lost:p1 1"));
    lose(r, a_worker("w1", "b", "s", "p1"), WORKER_RESTARTED);
    lose(r, a_worker("w2", "b", "s", "p2"), WORKER_RESTARTED);
    await_text(f, &f->socket, "\"node\":null");
    expect_one_end(&f->socket, "w2");
    assert_int_equal(redis_server_count(&f->server, "XLEN comfy:sid:{s}:log"), 2);
}

static void worker_lost_in_an_outage_is_seen_to_afterwards(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    redis_server_kill(&f->server);
    await_or_fail(f, is_not_ready, r, "the outage");
    lose(r, a_worker("w", "b", "s", "p"), WORKER_RESTARTED);
    redis_server_restart(&f->server);
    await_count(f, "XLEN comfy:sid:{s}:log", 2);
}

/* A broken or hostile publisher, and among it a worker that is really lost. */
static void flood_of_restarts_is_told_a_few_times_and_hides_no_loss(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    await_log(f, r, "connection=commands");
    for (int i = 0; i < FLOOD; i++)
        lose(r, a_worker("flood", i % 2 ? "b1" : "b2", "other", "p1"), WORKER_RESTARTED);
    for (int i = 0; i < FLOOD; i++)
        lose(r, a_worker("flood", i % 2 ? "b1" : "b2", "", ""), WORKER_RESTARTED);
    lose(r, a_worker("w", "b", "s", "p2"), WORKER_RESTARTED);
    await_text(f, &f->socket, "\"node\":null");
    expect_one_end(&f->socket, "w");
    await_count(f, "XLEN comfy:sid:{other}:log", 2);
    assert_in_range(redis_relay_count(r->log, "worker restarted"), 1, 20);
    assert_int_equal(redis_relay_count(r->log, "no room"), 0);
}

/* Its end is under way already, as that of a restarted one; what it has stored must go all the same. */
static void entry_of_a_worker_that_is_lost_after_a_restart_is_deleted(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    await_log(f, r, "connection=commands");
    store_entry(f, "w", "b2", 1);
    lose(r, a_worker("w", "b1", "s", "p"), WORKER_RESTARTED);
    lose(r, a_worker("w", "b2", "s", "p"), WORKER_SILENT);
    await_text(f, &f->socket, "\"node\":null");
    await_count(f, "HEXISTS comfy:workers w", 0);
    expect_one_end(&f->socket, "w");
}

static void long_ids_leave_room_for_the_rest_of_the_line(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    char id[4097], prompt[301], shown[65];
    memset(id, 'w', sizeof id - 1);
    memset(prompt, 'p', sizeof prompt - 1);
    id[sizeof id - 1] = prompt[sizeof prompt - 1] = '\0';
    attach_ready(f, r, &f->socket, "s");
    lose(r, a_worker(id, "b", "s", prompt), WORKER_RESTARTED);
    await_log(f, r, "prompt of a lost worker ended");
    memset(shown, 'p', sizeof shown - 1);
    shown[sizeof shown - 1] = '\0';
    const char *line = strstr(r->log, "prompt of a lost worker ended");
    assert_in_range(strlen(line), 1, 300);
    assert_non_null(strstr(line, shown));
    assert_non_null(strstr(line, "sid="));
    assert_int_equal(redis_relay_count(r->log, id), 0);
}

static void flood_of_ended_prompts_is_told_a_few_times(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    char prompt[16];
    attach_ready(f, r, &f->socket, "s");
    await_log(f, r, "connection=commands");
    for (int i = 0; i < 200; i++) {
        snprintf(prompt, sizeof prompt, "p%d", i);
        lose(r, a_worker("w", "b", "s", prompt), WORKER_RESTARTED);
    }
    await_count(f, "XLEN comfy:sid:{s}:log", 400);
    publish_note(f, "comfy:sid:{s}", "after them");
    await_text(f, &f->socket, "after them");
    assert_in_range(redis_relay_count(r->log, "prompt of a lost worker ended"), 1, 20);
}

/* The claim is sent, its reply is not awaited: the connection is cut, and the key is there already. */
static void cut_between_claim_and_end_loses_no_end(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    await_log(f, r, "connection=commands");
    assert_int_equal(redis_server_count(&f->server, "CLIENT KILL TYPE normal SKIPME yes"), 1);
    lose(r, a_worker("w", "b", "s", "p"), WORKER_RESTARTED);
    freeReplyObject(redis_server_do(&f->server, "SET comfy:lost:p 1"));
    await_text(f, &f->socket, "\"node\":null");
    expect_one_end(&f->socket, "w");
}

static void log_of_another_type_does_not_keep_the_end_from_clients(void **state)
{
    struct fixture *f = *state;
    struct redis_relay *r = open_ready(f);
    attach_ready(f, r, &f->socket, "s");
    freeReplyObject(redis_server_do(&f->server, "SET comfy:sid:{s}:log text"));
    lose(r, a_worker("w", "b", "s", "p"), WORKER_RESTARTED);
    await_text(f, &f->socket, "\"node\":null");
    expect_one_end(&f->socket, "w");
    await_log(f, r, "not stored");
}

#define promise(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        promise(message_of_a_session_reaches_its_socket),
        promise(channel_is_left_when_the_session_is_over),
        promise(message_of_60_mb_arrives_whole_and_a_larger_one_is_dropped),
        promise(flood_of_bad_messages_is_counted_and_told_a_few_times),
        promise(user_of_the_acl_is_let_in),
        promise(wrong_password_is_told_once_and_tried_until_it_is_right),
        promise(channel_that_is_not_allowed_is_told_and_tried_again),
        promise(what_cannot_be_read_is_said),
        promise(redis_that_comes_later_is_found),
        promise(outage_passes_and_live_events_go_on),
        promise(ten_thousand_sessions_are_subscribed_again),
        promise(newer_socket_at_another_relay_takes_the_session_over),
        promise(session_goes_on_at_another_relay_where_its_client_had_got_to),
        promise(place_of_a_client_is_stored_before_the_end),
        promise(relay_that_reads_what_it_missed_is_not_ready),
        promise(workers_are_read_at_the_start),
        promise(lost_prompt_is_ended_once_when_two_relays_race),
        promise(silent_workers_entry_is_deleted_and_its_prompt_ended),
        promise(worker_whose_entry_is_newer_than_what_was_heard_lives),
        promise(worker_that_died_after_it_stored_its_entry_is_lost_all_the_same),
        promise(entry_of_a_newer_life_stays),
        promise(prompt_whose_end_is_in_the_log_is_not_ended_again),
        promise(entries_of_another_type_do_not_keep_the_end_from_clients),
        promise(log_is_searched_eight_entries_at_a_time),
        promise(prompt_that_another_relay_ends_is_left_to_it),
        promise(worker_lost_in_an_outage_is_seen_to_afterwards),
        promise(flood_of_restarts_is_told_a_few_times_and_hides_no_loss),
        promise(entry_of_a_worker_that_is_lost_after_a_restart_is_deleted),
        promise(long_ids_leave_room_for_the_rest_of_the_line),
        promise(flood_of_ended_prompts_is_told_a_few_times),
        promise(cut_between_claim_and_end_loses_no_end),
        promise(log_of_another_type_does_not_keep_the_end_from_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
