#include "adapters/redis/question.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "adapters/msgpack/compose.h"
#include "adapters/redis/keys.h"
#include "adapters/redis/owner.h"
#include "adapters/redis/reply.h"
#include "adapters/redis/scripts.h"

#define STRINGIZE(n) #n
#define DIGITS(n)    STRINGIZE(n)

static void on_reply(struct command *self, const redisReply *reply);
static void answer(struct question *q);

static void begin(struct question *q, struct question_context *context, struct span sid, struct stream_id at,
                  uint64_t ticket)
{
    *q = (struct question){
        .context = context, .command = {on_reply}, .at = at, .ticket = ticket, .sid_len = sid.len};
    memcpy(q->sid, sid.bytes, sid.len);
}

void question_back(struct question *q, struct question_context *context, struct span sid,
                   struct stream_id before, uint64_t ticket)
{
    begin(q, context, sid, before, ticket);
    q->is_back = true;
}

void question_on(struct question *q, struct question_context *context, struct span sid, struct stream_id from,
                 enum join join, uint64_t opened_ms, uint64_t ticket)
{
    begin(q, context, sid, from, ticket);
    q->join = join;
    q->opened_ms = opened_ms;
}

void question_drop(struct question *q)
{
    if (q->log)
        freeReplyObject(q->log);
    if (q->latest)
        freeReplyObject(q->latest);
    q->log = q->latest = NULL;
    q->reading = (struct reading){0};
    q->sent = q->taken = 0;
    q->is_unclaimed = q->is_second = false;
    q->mark = 0;
}

static struct span sid_of(const struct question *q)
{
    return span_of(q->sid, q->sid_len);
}

/* Asking */

/* Should it not be sent, the connection is being lost, and all is asked again. */
static void ask(struct question *q, enum question_part part, const struct span args[], size_t count)
{
    if (commands_send(q->context->commands, &q->command, args, count) == 0)
        q->parts[q->sent++] = part;
}

static void ask_of_key(struct question *q, enum question_part part, const char *verb, const char *suffix)
{
    struct key key;
    key_session(&key, q->context->prefix, sid_of(q), suffix);
    ask(q, part, (struct span[]){span_str(verb), key_span(&key)}, 2);
}

static void ask_log(struct question *q, const char *verb, struct span from, const char *to)
{
    struct key log;
    key_session(&log, q->context->prefix, sid_of(q), ":log");
    ask(q, PART_LOG,
        (struct span[]){span_str(verb), key_span(&log), from, span_str(to), span_str("COUNT"),
                        span_str(DIGITS(QUESTION_PAGE))},
        6);
}

/* Its message; false: there is no memory, and as without memory for a command, the connection is given up. */
static bool compose(struct question *q, uint64_t opened_ms, struct composed *takeover)
{
    if (compose_takeover(q->context->name, opened_ms, takeover) == 0)
        return true;
    link_fail(&q->context->commands->link, strerror(ENOMEM));
    return false;
}

static void ask_claim(struct question *q)
{
    const struct question_context *c = q->context;
    struct key channel, owner;
    struct composed takeover;
    char text[24];
    uint64_t opened_ms = clock_at(c->clock, q->opened_ms);
    int len = snprintf(text, sizeof text, "%" PRIu64, opened_ms);
    if (!compose(q, opened_ms, &takeover))
        return;
    key_session(&channel, c->prefix, sid_of(q), "");
    key_session(&owner, c->prefix, sid_of(q), ":owner");
    ask(q, PART_CLAIM,
        (struct span[]){span_str("EVALSHA"), span_str(claim_lua_sha1), span_str("1"), key_span(&owner),
                        c->name, span_of(text, (size_t)len), c->ttl_ms, key_span(&channel),
                        span_of(takeover.bytes, takeover.len)},
        9);
    free(takeover.bytes);
}

static void ask_back(struct question *q)
{
    char text[STREAM_ID_TEXT_BYTES];
    size_t len = stream_id_format(stream_id_before(q->at), text);
    bool is_newest = stream_id_compare(q->at, STREAM_ID_MAX) == 0;
    ask_log(q, "XREVRANGE", is_newest ? span_str("+") : span_of(text, len), "-");
}

static void ask_on(struct question *q)
{
    char text[STREAM_ID_TEXT_BYTES];
    size_t len = stream_id_format(q->at, text);
    struct key channel;
    key_session(&channel, q->context->prefix, sid_of(q), "");
    ask(q, PART_LISTENERS, (struct span[]){span_str("PUBSUB"), span_str("NUMSUB"), key_span(&channel)}, 3);
    if (q->join == JOIN_CLAIM)
        ask_claim(q);
    else if (q->join == JOIN_CHECK)
        ask_of_key(q, PART_OWNER, "GET", ":owner");
    ask_of_key(q, PART_ACK, "GET", ":ack");
    ask_log(q, "XRANGE", span_of(text, len), "+");
    ask_of_key(q, PART_LATEST, "HGETALL", ":latest");
}

void question_ask(struct question *q)
{
    if (q->sent > 0 || !commands_is_up(q->context->commands) || !q->context->clock->is_current)
        return;
    if (!relay_awaits(q->context->oddities.relay, sid_of(q), q->ticket))
        answer(q); /* with nothing: a session that was given up must not be claimed again */
    else if (q->is_back)
        ask_back(q);
    else
        ask_on(q);
}

/* The parts of the answer. False: the reply makes no sense */

static bool take_listeners(struct question *q, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[1]->type != REDIS_REPLY_INTEGER)
        return false;
    q->reading.has_listeners = reply->element[1]->integer > 1;
    return true;
}

/* What is no owner's is nobody's, and a claim replaces it. */
static bool take_owner(struct question *q, const redisReply *reply)
{
    struct span name = owner_name(reply_bytes(reply));
    bool is_ours = span_equals(name, q->context->name);
    q->reading.owner = name.len == 0 ? OWNER_NOBODY : is_ours ? OWNER_US : OWNER_ANOTHER;
    return name.len > 0 || reply->type == REDIS_REPLY_NIL;
}

/* Where the script cannot run (no right to), the others are told all the same. */
static void tell_takeover(struct question *q)
{
    struct key channel;
    struct composed takeover;
    if (!compose(q, clock_at(q->context->clock, q->opened_ms), &takeover))
        return;
    key_session(&channel, q->context->prefix, sid_of(q), "");
    struct span args[] = {span_str("PUBLISH"), key_span(&channel), span_of(takeover.bytes, takeover.len)};
    int error = commands_send(q->context->commands, &q->context->told, args, 3);
    (void)error; /* without a connection the whole is asked again */
    free(takeover.bytes);
}

static void note(struct question *q, const char *what, const redisReply *reply)
{
    oddities_note(&q->context->oddities, what, sid_of(q), reply);
}

static bool take_missing(struct question *q)
{
    q->is_unclaimed = true;
    q->context->on_script_missing(q->context);
    return true;
}

/* [the owner before, refused or not, what became of the SET, when the socket counts as opened] */
static bool take_claim(struct question *q, const redisReply *reply)
{
    if (scripts_is_missing(reply) && !q->is_second)
        return take_missing(q);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
        tell_takeover(q);
        return false;
    }
    q->reading.is_refused = reply->element[1]->integer == 1;
    if (!take_owner(q, reply->element[0]))
        note(q, "owner of a session not understood", reply->element[0]);
    if (reply->elements > 3 && reply->element[3]->type == REDIS_REPLY_STRING)
        q->reading.opened_ms = strtoll(reply->element[3]->str, NULL, 10);
    if (reply->elements == 2 || reply->element[2]->type == REDIS_REPLY_STATUS)
        return true;
    note(q, "claim of a session not stored", reply->element[2]);
    return true;
}

static bool take_ack(struct question *q, const redisReply *reply)
{
    q->reading.has_ack = stream_id_parse(reply_bytes(reply), &q->reading.ack);
    return q->reading.has_ack || reply->type == REDIS_REPLY_NIL;
}

static bool take_log(struct question *q, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return false;
    q->log = commands_take_reply(q->context->commands);
    return true;
}

static bool take_latest(struct question *q, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return false;
    q->latest = commands_take_reply(q->context->commands);
    return true;
}

static const struct {
    bool (*take)(struct question *q, const redisReply *reply);
    const char *otherwise; /* what a log line says when it makes no sense */
} parts[] = {
    [PART_LISTENERS] = {take_listeners, "listeners of a session not counted"},
    [PART_CLAIM] = {take_claim, "claim of a session not stored"},
    [PART_OWNER] = {take_owner, "owner of a session not understood"},
    [PART_ACK] = {take_ack, "place of a client not read"},
    [PART_LOG] = {take_log, "log of a session not read"},
    [PART_LATEST] = {take_latest, "newest events of a session not read"},
};

/* Answering */

/* An entry without an event stays, as an empty one: the core drops and counts it, and reads on from behind it. */
static size_t read_entries(struct question *q, struct archived entries[QUESTION_PAGE])
{
    size_t count = 0;
    for (size_t i = 0; q->log && i < q->log->elements && i < QUESTION_PAGE; i++) {
        const redisReply *entry = q->log->element[i];
        entries[count].event = reply_entry_event(entry);
        if (reply_entry_id(entry, &entries[count].id))
            count++;
        else
            oddities_note(&q->context->oddities, "entry of a log not understood", sid_of(q), entry);
    }
    return count;
}

/* Of [key, event, …] the events. They are the caller's: free(). */
static struct span *read_latest(const struct question *q, size_t *count)
{
    size_t n = q->latest ? q->latest->elements / 2 : 0;
    struct span *events = n > 0 ? malloc(n * sizeof *events) : NULL;
    *count = events ? n : 0;
    if (n > 0 && !events)
        q->context->oddities.relay->metrics.out_of_memory++;
    for (size_t i = 0; i < *count; i++)
        events[i] = reply_bytes(q->latest->element[2 * i + 1]);
    return events;
}

static void answer_on(struct question *q, uint64_t now_ms)
{
    struct span *latest = read_latest(q, &q->reading.latest_count);
    q->reading.latest = latest;
    relay_read_on(q->context->oddities.relay, sid_of(q), q->ticket, &q->reading, now_ms);
    free(latest);
}

static void answer(struct question *q)
{
    struct archived entries[QUESTION_PAGE];
    struct relay *relay = q->context->oddities.relay;
    uint64_t now_ms = uv_now(q->context->oddities.loop);
    struct reading *r = &q->reading;
    r->entries = entries;
    r->count = read_entries(q, entries);
    r->is_last = !q->log || q->log->elements < QUESTION_PAGE;
    if (q->is_back)
        relay_read_back(relay, sid_of(q), q->ticket, entries, r->count, r->is_last, now_ms);
    else
        answer_on(q, now_ms);
    question_drop(q);
    q->context->on_answered(q->context, q);
}

static void finish(struct question *q)
{
    struct marker *marker = q->context->marker;
    q->mark = marker && !q->is_back ? marker->set(marker) : 0;
    if (q->mark == 0)
        answer(q);
}

void question_marked(struct question *q, uint64_t mark)
{
    if (q->mark > 0 && q->mark <= mark)
        answer(q);
}

/* Of what was answered nothing counts: the log is read after the claim. */
static void ask_again(struct question *q)
{
    question_drop(q);
    q->is_second = true;
    question_ask(q);
}

static void take(struct question *q, const redisReply *reply)
{
    enum question_part part = q->parts[q->taken++];
    if (!parts[part].take(q, reply))
        note(q, parts[part].otherwise, reply);
    if (q->taken < q->sent)
        return;
    if (q->is_unclaimed)
        ask_again(q);
    else
        finish(q);
}

/* Callback of the commands */

static void on_reply(struct command *self, const redisReply *reply)
{
    struct question *q = (struct question *)((char *)self - offsetof(struct question, command));
    if (reply)
        take(q, reply);
    else
        question_drop(q);
}
