#include "adapters/redis/scripts.h"

static void on_loaded(struct command *self, const redisReply *reply);

static const char *const run_by_hash[] = {claim_lua, store_lua};

void scripts_init(struct scripts *s, struct commands *commands, struct oddities *oddities)
{
    *s = (struct scripts){.commands = commands, .oddities = oddities, .loaded = {on_loaded}};
}

void scripts_load(struct scripts *s)
{
    s->is_refused = false;
    for (size_t i = 0; i < sizeof run_by_hash / sizeof *run_by_hash; i++) {
        struct span args[] = {span_str("SCRIPT"), span_str("LOAD"), span_str(run_by_hash[i])};
        if (commands_send(s->commands, &s->loaded, args, 3) == 0)
            s->under_way++;
    }
}

bool scripts_load_again(struct scripts *s)
{
    if (s->under_way > 0 || s->is_refused)
        return false;
    scripts_load(s);
    return true;
}

bool scripts_is_missing(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && span_starts_with(span_of(reply->str, reply->len), "NOSCRIPT");
}

/* Callback of the commands */

static void on_loaded(struct command *self, const redisReply *reply)
{
    struct scripts *s = (struct scripts *)((char *)self - offsetof(struct scripts, loaded));
    s->under_way--;
    if (!reply || reply->type != REDIS_REPLY_ERROR)
        return;
    s->is_refused = true;
    oddities_note(s->oddities, "script not loaded", SPAN_NONE, reply);
}
