#include "adapters/redis/loss.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/time.h>

#include "adapters/msgpack/compose.h"
#include "adapters/redis/publish.h"
#include "adapters/redis/reply.h"
#include "relay/sid.h"

#define CLAIM_SECONDS  "60"
#define PAGE_ENTRIES   "8" /* of the log: each may be megabytes, and an end stands near the newest */
#define ID_SHOWN_BYTES 64

/* Deletes an entry only if nobody has changed it since it was read. */
static const char delete_entry[] = "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then "
                                   "return redis.call('HDEL', KEYS[1], ARGV[1]) end return 0";

static void on_reply(struct command *self, const redisReply *reply);
static void on_reply_before(struct command *self, const redisReply *reply);

/* Appends a copy to the loss's own bytes. */
static struct span keep(uint8_t **at, struct span s)
{
    struct span copy = span_of(*at, s.len);
    if (s.len > 0)
        memcpy(*at, s.bytes, s.len);
    *at += s.len;
    return copy;
}

static bool has_prompt(const struct loss *l)
{
    return l->sid.len > 0 && l->prompt.len > 0;
}

struct loss *loss_new(struct loss_context *context, struct loss_user *user, const struct worker *w,
                      enum worker_end how, struct span node)
{
    size_t len = w->id.len + w->boot.len + w->sid.len + w->prompt.len + node.len;
    struct loss *l = calloc(1, sizeof *l + len);
    if (!l)
        return NULL;
    uint8_t *at = l->bytes;
    l->context = context;
    l->user = user;
    l->worker = keep(&at, worker_span(w->id));
    l->boot = keep(&at, worker_span(w->boot));
    l->sid = keep(&at, worker_span(w->sid));
    l->prompt = keep(&at, worker_span(w->prompt));
    l->node = keep(&at, node);
    l->at_ms = w->at_ms;
    l->command.on_reply = on_reply;
    for (int i = 0; i < LOSS_BEFORE; i++)
        l->before[i].on_reply = on_reply_before;
    l->step = how == WORKER_SILENT ? LOSS_READ_ENTRY : LOSS_CLAIM;
    return l;
}

void loss_free(struct loss *l)
{
    free(l->entry_bytes);
    free(l);
}

bool loss_ends(const struct loss *l, struct span worker, struct span prompt)
{
    return l->step >= LOSS_CLAIM && has_prompt(l) && span_equals(l->worker, worker) &&
           span_equals(l->prompt, prompt);
}

struct span loss_shortened(struct span id)
{
    return span_of(id.bytes, id.len < ID_SHOWN_BYTES ? id.len : ID_SHOWN_BYTES);
}

static void tell(const struct loss *l, const char *message, const char *error)
{
    struct loss_context *c = l->context;
    char sid[SID_SHORT_BYTES] = "";
    uint64_t suppressed = 0;
    if (!log_limit_pass(&c->log_limit, uv_now(c->commands->link.config->loop), &suppressed))
        return;
    if (l->sid.len > 0)
        sid_shorten(l->sid, sid);
    struct log_field worker = LOG_SPAN("worker", loss_shortened(l->worker));
    struct log_field prompt = LOG_SPAN("prompt", loss_shortened(l->prompt));
    struct log_field why = LOG_STR("error", error), held_back = LINK_HELD_BACK(suppressed);
    struct log_field last = {.kind = LOG_FIELD_END};
    logger_write(c->logger, error ? LOG_WARN : LOG_INFO, message,
                 (struct log_field[]){worker, LOG_STR("sid", sid), prompt, error ? why : held_back,
                                      error ? held_back : last, last});
}

static void ask(struct loss *l, const struct span args[], size_t count)
{
    l->is_under_way = commands_send(l->context->commands, &l->command, args, count) == 0;
}

/* The entry, to be deleted if it is still that of the worker's lost life. A relay that was itself stopped takes
 * the living for lost: what they stored meanwhile shows it */

static void send_read_entry(struct loss *l)
{
    struct key workers;
    key_common(&workers, l->context->options->redis_prefix, "workers");
    ask(l, (struct span[]){span_str("HGET"), key_span(&workers), l->worker}, 3);
}

static enum loss_step spare(struct loss *l, struct span entry)
{
    tell(l, "worker is not lost, its entry is newer", NULL);
    l->user->on_alive(l->user, l, entry);
    return LOSS_DONE;
}

static void keep_entry(struct loss *l, struct span entry)
{
    free(l->entry_bytes);
    l->entry_bytes = malloc(entry.len);
    if (l->entry_bytes)
        memcpy(l->entry_bytes, entry.bytes, entry.len);
    l->entry = span_of(l->entry_bytes, entry.len);
}

static enum loss_step take_entry(struct loss *l, const redisReply *reply)
{
    struct heartbeat h;
    struct span entry = reply_bytes(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        tell(l, "entry of a lost worker not read", reply->str);
    if (entry.len == 0 || l->context->codec->read_heartbeat(l->context->codec, entry, &h) != DROP_NOTHING ||
        !span_equals(h.boot, l->boot))
        return LOSS_CLAIM;
    if (h.at_ms > l->at_ms)
        return spare(l, entry);
    keep_entry(l, entry);
    return l->entry_bytes ? LOSS_DELETE_ENTRY : LOSS_CLAIM;
}

static void send_delete_entry(struct loss *l)
{
    struct key workers;
    key_common(&workers, l->context->options->redis_prefix, "workers");
    ask(l,
        (struct span[]){span_str("EVAL"), span_str(delete_entry), span_str("1"), key_span(&workers),
                        l->worker, l->entry},
        6);
}

/* Not deleted: another relay was faster, or the worker has stored a newer one. */
static enum loss_step take_deleted(struct loss *l, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR)
        tell(l, "entry of a lost worker not deleted", reply->str);
    return reply->type == REDIS_REPLY_INTEGER && reply->integer == 0 ? LOSS_READ_ENTRY : LOSS_CLAIM;
}

/* The prompt, to be ended by one relay */

static void send_claim(struct loss *l)
{
    struct key claim;
    if (!has_prompt(l) || key_lost(&claim, l->context->options->redis_prefix, l->prompt) < 0) {
        l->step = LOSS_DONE;
        return;
    }
    ask(l,
        (struct span[]){span_str("SET"), key_span(&claim), span_str("1"), span_str("NX"), span_str("EX"),
                        span_str(CLAIM_SECONDS)},
        6);
}

static enum loss_step take_claim(struct loss *l, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        tell(l, "prompt of a lost worker not ended", reply->str);
        return LOSS_DONE;
    }
    bool is_ours = reply->type == REDIS_REPLY_STATUS || l->may_be_ours;
    l->page_end = (struct key){.len = 1, .bytes = "+"};
    return is_ours ? LOSS_SEARCH : LOSS_DONE;
}

static void send_search(struct loss *l)
{
    struct key log;
    key_session(&log, l->context->options->redis_prefix, l->sid, ":log");
    ask(l,
        (struct span[]){span_str("XREVRANGE"), key_span(&log), key_span(&l->page_end), span_str("-"),
                        span_str("COUNT"), span_str(PAGE_ENTRIES)},
        6);
}

static bool has_end(const struct loss *l, const redisReply *page)
{
    for (size_t i = 0; i < page->elements; i++)
        if (compose_log_entry_ends(reply_entry_event(page->element[i]), l->prompt))
            return true;
    return false;
}

/* Going back from before the page's oldest entry. False when there is no such place. */
static bool turn_page(struct loss *l, const redisReply *page)
{
    const redisReply *oldest = page->element[page->elements - 1];
    if (oldest->type != REDIS_REPLY_ARRAY || oldest->elements == 0)
        return false;
    struct span id = reply_bytes(oldest->element[0]);
    if (id.len == 0 || id.len >= sizeof l->page_end.bytes)
        return false;
    l->page_end.bytes[0] = '(';
    memcpy(l->page_end.bytes + 1, id.bytes, id.len);
    l->page_end.len = 1 + id.len;
    return true;
}

/* A log that cannot be read has no end in it. */
static enum loss_step take_page(struct loss *l, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR)
        tell(l, "log of a lost worker's session not read", reply->str);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
        return LOSS_PUBLISH;
    if (has_end(l, reply))
        return LOSS_DONE;
    return turn_page(l, reply) ? LOSS_SEARCH : LOSS_PUBLISH;
}

/* The end: two events, both or none, so that what is found after a lost reply is the whole of it */

struct publication {
    struct key log, latest, channel;
    char ttl_ms[24], log_events[24];
};

static void prepare(const struct loss *l, struct publication *p)
{
    const struct options *o = l->context->options;
    key_session(&p->log, o->redis_prefix, l->sid, ":log");
    key_session(&p->latest, o->redis_prefix, l->sid, ":latest");
    key_session(&p->channel, o->redis_prefix, l->sid, "");
    snprintf(p->ttl_ms, sizeof p->ttl_ms, "%" PRIu64, o->session_ttl_ms);
    snprintf(p->log_events, sizeof p->log_events, "%" PRIu64, o->session_log_events);
}

static int publish(struct loss *l, struct command *command, const struct publication *p,
                   struct composed event)
{
    struct span args[] = {span_str("EVAL"),
                          span_str(publish_lua),
                          span_str("2"),
                          key_span(&p->log),
                          key_span(&p->latest),
                          key_span(&p->channel),
                          span_of(event.bytes, event.len),
                          span_str(p->ttl_ms),
                          span_str(p->log_events),
                          SPAN_NONE,
                          span_str("1")};
    return commands_send(l->context->commands, command, args, sizeof args / sizeof *args);
}

static uint64_t unix_ms(void)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
}

static int compose(const struct loss *l, struct composed events[2])
{
    int error = compose_worker_lost(l->worker, l->sid, l->prompt, l->node, unix_ms(), &events[0]);
    if (error < 0)
        return error;
    error = compose_end(l->sid, l->prompt, &events[1]);
    if (error < 0)
        free(events[0].bytes);
    return error;
}

static void send_publish(struct loss *l)
{
    struct composed events[2];
    struct publication p;
    struct commands *c = l->context->commands;
    if (compose(l, events) < 0) {
        tell(l, "prompt of a lost worker not ended", "no memory");
        l->step = LOSS_DONE;
        return;
    }
    prepare(l, &p);
    if (commands_send(c, &l->before[0], (struct span[]){span_str("MULTI")}, 1) == 0 &&
        publish(l, &l->before[1], &p, events[0]) == 0 && publish(l, &l->before[2], &p, events[1]) == 0)
        ask(l, (struct span[]){span_str("EXEC")}, 1);
    free(events[0].bytes);
    free(events[1].bytes);
}

static enum loss_step take_published(struct loss *l, const redisReply *reply)
{
    const redisReply *failed = reply->type == REDIS_REPLY_ERROR ? reply : NULL;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        if (reply->element[i]->type == REDIS_REPLY_ERROR)
            failed = reply->element[i];
    tell(l, failed ? "prompt of a lost worker not ended, or not stored" : "prompt of a lost worker ended",
         failed ? failed->str : NULL);
    return LOSS_DONE;
}

static const struct {
    void (*send)(struct loss *l);
    enum loss_step (*take)(struct loss *l, const redisReply *reply);
    enum loss_step again; /* where it begins anew when the reply was lost */
} steps[LOSS_DONE] = {
    [LOSS_READ_ENTRY] = {send_read_entry, take_entry, LOSS_READ_ENTRY},
    [LOSS_DELETE_ENTRY] = {send_delete_entry, take_deleted, LOSS_DELETE_ENTRY},
    [LOSS_CLAIM] = {send_claim, take_claim, LOSS_CLAIM},
    [LOSS_SEARCH] = {send_search, take_page, LOSS_SEARCH},
    [LOSS_PUBLISH] = {send_publish, take_published, LOSS_CLAIM},
};

void loss_go_on(struct loss *l)
{
    if (!l->is_under_way && l->step != LOSS_DONE && commands_is_up(l->context->commands))
        steps[l->step].send(l);
    if (l->step == LOSS_DONE)
        l->user->on_done(l->user, l);
}

/* Callbacks of the commands */

static void on_reply_before(struct command *self, const redisReply *reply)
{
    (void)self;
    (void)reply;
}

static void on_reply(struct command *self, const redisReply *reply)
{
    struct loss *l = (struct loss *)((char *)self - offsetof(struct loss, command));
    l->is_under_way = false;
    if (!reply) {
        l->may_be_ours = l->may_be_ours || l->step >= LOSS_CLAIM;
        l->step = steps[l->step].again;
        return;
    }
    l->step = steps[l->step].take(l, reply);
    loss_go_on(l);
}
