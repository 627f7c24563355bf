#include "adapters/redis/archive.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#include "adapters/redis/keys.h"
#include "adapters/redis/reply.h"

static void read_back(struct archive *self, struct span sid, struct stream_id before, uint64_t ticket);
static void read_on(struct archive *self, struct span sid, struct stream_id from, enum join join,
                    uint64_t opened_ms, uint64_t ticket);
static void store(struct archive *self, struct span sid, struct stream_id ack, bool is_again);
static void leave(struct archive *self, struct span sid, uint64_t opened_ms, bool forgets);
static void on_stored(struct command *self, const redisReply *reply);
static void on_stored_again(struct command *self, const redisReply *reply);
static void on_told(struct command *self, const redisReply *reply);
static void on_told_by_question(struct command *self, const redisReply *reply);
static void on_answered(struct question_context *context, struct question *q);
static void on_script_missing(struct question_context *context);
static void on_clock(struct clock *clock);

/* 16 hex digits at random: no two relays have the same. */
static int choose_name(char name[ARCHIVE_NAME_LEN])
{
    uint64_t random;
    char digits[ARCHIVE_NAME_LEN + 1];
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -errno;
    snprintf(digits, sizeof digits, "%016" PRIx64, random);
    memcpy(name, digits, ARCHIVE_NAME_LEN);
    return 0;
}

int archive_init(struct session_archive *a, struct commands *commands, struct marker *marker,
                 const struct link_config *config, const struct options *options)
{
    *a = (struct session_archive){.port = {.read_back = read_back,
                                           .read_on = read_on,
                                           .store = store,
                                           .leave = leave,
                                           .name = span_of(a->name, sizeof a->name)},
                                  .options = options,
                                  .commands = commands,
                                  .stored = {on_stored},
                                  .stored_again = {on_stored_again},
                                  .told = {on_told}};
    int error = choose_name(a->name);
    if (error < 0)
        return error;
    int len = snprintf(a->ttl_ms, sizeof a->ttl_ms, "%" PRIu64, options->session_ttl_ms);
    a->context = (struct question_context){.commands = commands,
                                           .prefix = options->redis_prefix,
                                           .ttl_ms = span_of(a->ttl_ms, (size_t)len),
                                           .name = a->port.name,
                                           .clock = &a->clock,
                                           .told = {on_told_by_question},
                                           .marker = marker,
                                           .on_answered = on_answered,
                                           .on_script_missing = on_script_missing};
    oddities_init(&a->context.oddities, config->loop, config->logger);
    scripts_init(&a->scripts, commands, &a->context.oddities);
    clock_init(&a->clock, commands, &a->context.oddities, &a->port, on_clock);
    TAILQ_INIT(&a->asked);
    TAILQ_INIT(&a->unused);
    for (size_t i = 0; i < ARCHIVE_QUESTIONS; i++)
        TAILQ_INSERT_TAIL(&a->unused, &a->questions[i], next);
    return 0;
}

void archive_open(struct session_archive *a, struct relay *relay)
{
    a->context.oddities.relay = relay;
}

void archive_deinit(struct session_archive *a)
{
    struct question *q;
    TAILQ_FOREACH (q, &a->asked, next)
        question_drop(q);
}

void archive_go_on(struct session_archive *a)
{
    scripts_load(&a->scripts);
    clock_begin(&a->clock);
}

/* An answer takes a question out of the list, and makes the core ask another one behind those that wait. */
static void ask_all(struct session_archive *a)
{
    struct question *next;
    for (struct question *q = TAILQ_FIRST(&a->asked); q; q = next) {
        next = TAILQ_NEXT(q, next);
        question_ask(q);
    }
}

void archive_marked(struct session_archive *a, uint64_t mark)
{
    struct question *next;
    for (struct question *q = TAILQ_FIRST(&a->asked); q; q = next) {
        next = TAILQ_NEXT(q, next);
        question_marked(q, mark);
    }
}

static struct session_archive *of_port(struct archive *port)
{
    return (struct session_archive *)((char *)port - offsetof(struct session_archive, port));
}

/* Questions */

static struct question *take_unused(struct session_archive *a)
{
    struct question *q = TAILQ_FIRST(&a->unused);
    assert(q);
    TAILQ_REMOVE(&a->unused, q, next);
    return q;
}

static void ask(struct session_archive *a, struct question *q)
{
    clock_keep(&a->clock);
    TAILQ_INSERT_TAIL(&a->asked, q, next);
    question_ask(q);
}

static void read_back(struct archive *self, struct span sid, struct stream_id before, uint64_t ticket)
{
    struct session_archive *a = of_port(self);
    struct question *q = take_unused(a);
    question_back(q, &a->context, sid, before, ticket);
    ask(a, q);
}

static void read_on(struct archive *self, struct span sid, struct stream_id from, enum join join,
                    uint64_t opened_ms, uint64_t ticket)
{
    struct session_archive *a = of_port(self);
    struct question *q = take_unused(a);
    question_on(q, &a->context, sid, from, join, opened_ms, ticket);
    ask(a, q);
}

/* Storing and telling: done, or lost with the connection */

static void issue(struct session_archive *a, struct command *command, const struct span args[], size_t count)
{
    int error = commands_send(a->commands, command, args, count);
    (void)error;
}

static bool is_shared(const struct session_archive *a)
{
    return a->options->session_duplicate == DUPLICATE_SHARE;
}

/* Places were lost with the connection: for as long as they would have lived, one that is not there says nothing. */
static void note_unstored(struct session_archive *a)
{
    a->unsure_until_ms = uv_now(a->context.oddities.loop) + a->options->session_ttl_ms;
}

/* Under share no relay owns the session, and each may forget the place. */
static void store_shared(struct session_archive *a, struct key *ack, struct span id)
{
    struct span args[] = {span_str("SET"), key_span(ack), id, span_str("PX"), a->context.ttl_ms};
    if (commands_send(a->commands, &a->stored, args, 5) < 0)
        note_unstored(a);
}

static void store_own(struct session_archive *a, struct span sid, struct key *ack, struct span id,
                      bool is_again)
{
    struct key owner;
    key_session(&owner, a->options->redis_prefix, sid, ":owner");
    struct span args[] = {span_str("EVALSHA"),
                          span_str(store_lua_sha1),
                          span_str("2"),
                          key_span(ack),
                          key_span(&owner),
                          a->port.name,
                          id,
                          a->context.ttl_ms};
    struct command *command = is_again ? &a->stored_again : &a->stored;
    if (commands_send(a->commands, command, args, 8) < 0)
        note_unstored(a);
}

static void store(struct archive *self, struct span sid, struct stream_id ack, bool is_again)
{
    struct session_archive *a = of_port(self);
    struct key key;
    char text[STREAM_ID_TEXT_BYTES];
    struct span id = span_of(text, stream_id_format(ack, text));
    clock_keep(&a->clock);
    key_session(&key, a->options->redis_prefix, sid, ":ack");
    if (is_shared(a))
        store_shared(a, &key, id);
    else
        store_own(a, sid, &key, id, is_again);
}

static void tell_left(struct session_archive *a, struct span channel, struct span left)
{
    issue(a, &a->told, (struct span[]){span_str("PUBLISH"), channel, left}, 3);
}

/* A page leaves now and then, and the script is short: it is sent whole each time, so that Redis always knows it. */
static void leave_own(struct session_archive *a, struct span sid, uint64_t opened, struct span channel,
                      struct span left)
{
    struct key ack, owner;
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, opened);
    key_session(&ack, a->options->redis_prefix, sid, ":ack");
    key_session(&owner, a->options->redis_prefix, sid, ":owner");
    struct span args[] = {span_str("EVAL"),
                          span_str(leave_lua),
                          span_str("2"),
                          key_span(&ack),
                          key_span(&owner),
                          a->port.name,
                          span_of(text, (size_t)len),
                          channel,
                          left};
    issue(a, &a->told, args, sizeof args / sizeof *args);
}

static void leave_shared(struct session_archive *a, struct span sid, struct span channel, struct span left)
{
    struct key ack;
    key_session(&ack, a->options->redis_prefix, sid, ":ack");
    issue(a, &a->told, (struct span[]){span_str("DEL"), key_span(&ack)}, 2);
    tell_left(a, channel, left);
}

static void leave(struct archive *self, struct span sid, uint64_t opened_ms, bool forgets)
{
    struct session_archive *a = of_port(self);
    struct key channel;
    struct composed left;
    uint64_t opened = clock_at(&a->clock, opened_ms);
    key_session(&channel, a->options->redis_prefix, sid, "");
    if (compose_left(a->port.name, opened, &left) < 0) {
        a->context.oddities.relay->metrics.out_of_memory++;
        return;
    }
    struct span message = span_of(left.bytes, left.len);
    if (!forgets)
        tell_left(a, key_span(&channel), message);
    else if (is_shared(a))
        leave_shared(a, sid, key_span(&channel), message);
    else
        leave_own(a, sid, opened, key_span(&channel), message);
    free(left.bytes);
}

/* Callbacks: of a question, of the commands */

static void on_answered(struct question_context *context, struct question *q)
{
    struct session_archive *a =
        (struct session_archive *)((char *)context - offsetof(struct session_archive, context));
    TAILQ_REMOVE(&a->asked, q, next);
    TAILQ_INSERT_HEAD(&a->unused, q, next);
}

static void note_error(struct question_context *context, const char *what, const redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_ERROR)
        oddities_note(&context->oddities, what, SPAN_NONE, reply);
}

/* None of the places that are under way is stored either. All are stored again, behind the script. */
static void load_again(struct session_archive *a)
{
    if (scripts_load_again(&a->scripts))
        relay_store_again(a->context.oddities.relay, uv_now(a->context.oddities.loop));
}

static void on_script_missing(struct question_context *context)
{
    load_again((struct session_archive *)((char *)context - offsetof(struct session_archive, context)));
}

static void on_clock(struct clock *clock)
{
    ask_all((struct session_archive *)((char *)clock - offsetof(struct session_archive, clock)));
}

/* A string is what the place was before, an integer that it is another relay's to store. */
static void take_stored(struct session_archive *a, const redisReply *reply)
{
    struct stream_id before;
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        note_unstored(a);
    if (!reply)
        return;
    note_error(&a->context, "place of a client not stored", reply);
    if (scripts_is_missing(reply))
        load_again(a);
    if (reply->type == REDIS_REPLY_STRING && !stream_id_parse(reply_bytes(reply), &before))
        oddities_note(&a->context.oddities, "place of a client was none", SPAN_NONE, reply);
}

static void on_stored(struct command *self, const redisReply *reply)
{
    take_stored((struct session_archive *)((char *)self - offsetof(struct session_archive, stored)), reply);
}

static void on_stored_again(struct command *self, const redisReply *reply)
{
    struct session_archive *a =
        (struct session_archive *)((char *)self - offsetof(struct session_archive, stored_again));
    bool is_sure = uv_now(a->context.oddities.loop) >= a->unsure_until_ms;
    take_stored(a, reply);
    if (reply && reply->type == REDIS_REPLY_NIL && is_sure)
        relay_data_lost(a->context.oddities.relay);
}

static void on_told(struct command *self, const redisReply *reply)
{
    struct session_archive *a =
        (struct session_archive *)((char *)self - offsetof(struct session_archive, told));
    note_error(&a->context, "other relays not told of a session", reply);
}

static void on_told_by_question(struct command *self, const redisReply *reply)
{
    struct question_context *context =
        (struct question_context *)((char *)self - offsetof(struct question_context, told));
    note_error(context, "other relays not told of a session", reply);
}
