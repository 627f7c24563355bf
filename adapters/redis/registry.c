#include "adapters/redis/registry.h"

static void lost(struct registry *self, const struct worker *w, enum worker_end how, struct span node);
static void on_done(struct loss_user *user, struct loss *l);
static void on_alive(struct loss_user *user, const struct loss *l, struct span entry);
static void on_entries(struct command *self, const redisReply *reply);

void registry_init(struct worker_registry *r, struct commands *commands, const struct options *options,
                   struct logger *logger)
{
    *r = (struct worker_registry){
        .port = {.lost = lost},
        .context = {.commands = commands,
                    .options = options,
                    .logger = logger,
                    .log_limit = {.interval_ms = LOSS_LOG_INTERVAL_MS, .burst = LOSS_LOG_BURST}},
        .loss_user = {.on_done = on_done, .on_alive = on_alive},
        .log_limit = {.interval_ms = LOSS_LOG_INTERVAL_MS, .burst = LOSS_LOG_BURST},
        .read = {.on_reply = on_entries},
    };
}

void registry_open(struct worker_registry *r, struct relay *relay)
{
    r->relay = relay;
    r->context.codec = relay->ports.codec;
}

void registry_deinit(struct worker_registry *r)
{
    while (r->losses) {
        struct loss *l = r->losses;
        r->losses = l->next;
        loss_free(l);
    }
}

void registry_read(struct worker_registry *r)
{
    struct key workers;
    key_common(&workers, r->context.options->redis_prefix, "workers");
    struct span args[] = {span_str("HGETALL"), key_span(&workers)};
    if (!r->is_reading)
        r->is_reading = commands_send(r->context.commands, &r->read, args, 2) == 0;
}

void registry_go_on(struct worker_registry *r)
{
    struct loss *next;
    for (struct loss *l = r->losses; l; l = next) {
        next = l->next;
        loss_go_on(l);
    }
}

static void take_entries(struct worker_registry *r, const redisReply *reply)
{
    uint64_t now_ms = uv_now(r->context.commands->link.config->loop);
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *id = reply->element[i], *entry = reply->element[i + 1];
        relay_worker_entry(r->relay, span_of(id->str, id->len), span_of(entry->str, entry->len), now_ms);
    }
    relay_flush(r->relay, now_ms);
}

static void tell(struct worker_registry *r, enum log_level level, const char *message, const struct worker *w)
{
    uint64_t suppressed = 0;
    if (!log_limit_pass(&r->log_limit, uv_now(r->context.commands->link.config->loop), &suppressed))
        return;
    LOGGER_AT(r->context.logger, level, message, LOG_SPAN("worker", loss_shortened(worker_span(w->id))),
              LINK_HELD_BACK(suppressed));
}

static bool is_ended_already(const struct worker_registry *r, const struct worker *w)
{
    for (const struct loss *l = r->losses; l; l = l->next)
        if (loss_ends(l, worker_span(w->id), worker_span(w->prompt)))
            return true;
    return false;
}

static void add(struct worker_registry *r, struct loss *l)
{
    l->next = r->losses;
    r->losses = l;
    r->loss_count++;
}

static const char *const ends[] = {
    [WORKER_SILENT] = "worker lost",
    [WORKER_RESTARTED] = "worker restarted",
    [WORKER_LEFT] = "worker left in the middle of a prompt",
};

static void lost(struct registry *self, const struct worker *w, enum worker_end how, struct span node)
{
    struct worker_registry *r =
        (struct worker_registry *)((char *)self - offsetof(struct worker_registry, port));
    struct worker what = *w; /* is to be seen to */
    struct loss *l = NULL;
    tell(r, LOG_WARN, ends[how], w);
    if (is_ended_already(r, w))
        what.prompt = (struct worker_text){0};
    if (how != WORKER_SILENT && (what.sid.len == 0 || what.prompt.len == 0))
        return;
    if (r->loss_count < REGISTRY_LOSSES_MAX)
        l = loss_new(&r->context, &r->loss_user, &what, how, node);
    if (!l) {
        tell(r, LOG_ERROR, "no room to end the prompt of a lost worker", w);
        return;
    }
    add(r, l);
    loss_go_on(l);
}

/* Callbacks: of a loss, of the commands */

static void on_done(struct loss_user *user, struct loss *l)
{
    struct worker_registry *r =
        (struct worker_registry *)((char *)user - offsetof(struct worker_registry, loss_user));
    struct loss **at = &r->losses;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    r->loss_count--;
    loss_free(l);
}

/* It is watched again from now on: it may have died after all, just after it stored this. */
static void on_alive(struct loss_user *user, const struct loss *l, struct span entry)
{
    struct worker_registry *r =
        (struct worker_registry *)((char *)user - offsetof(struct worker_registry, loss_user));
    uint64_t now_ms = uv_now(r->context.commands->link.config->loop);
    relay_worker_entry(r->relay, l->worker, entry, now_ms);
    relay_flush(r->relay, now_ms);
}

static void on_entries(struct command *self, const redisReply *reply)
{
    struct worker_registry *r =
        (struct worker_registry *)((char *)self - offsetof(struct worker_registry, read));
    r->is_reading = false;
    if (reply && reply->type == REDIS_REPLY_ARRAY)
        take_entries(r, reply);
    else if (reply)
        logger_warn(r->context.logger, "workers not read",
                    LOG_STR("error", reply->str ? reply->str : "no array"));
}
