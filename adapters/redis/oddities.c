#include "adapters/redis/oddities.h"

#include "adapters/redis/link.h"
#include "relay/sid.h"

#define LOG_INTERVAL_MS 10000
#define LOG_BURST       5

void oddities_init(struct oddities *o, uv_loop_t *loop, struct logger *logger)
{
    *o = (struct oddities){
        .loop = loop, .logger = logger, .log_limit = {.interval_ms = LOG_INTERVAL_MS, .burst = LOG_BURST}};
}

void oddities_note(struct oddities *o, const char *what, struct span sid, const redisReply *reply)
{
    uint64_t suppressed = 0;
    char shortened[SID_SHORT_BYTES] = "";
    const char *error = reply->type == REDIS_REPLY_ERROR ? reply->str : "not of the expected type or form";
    o->relay->metrics.redis_errors++;
    if (!log_limit_pass(&o->log_limit, uv_now(o->loop), &suppressed))
        return;
    if (sid.len > 0)
        sid_shorten(sid, shortened);
    logger_warn(o->logger, what, LOG_STR("sid", shortened), LOG_STR("error", error),
                LINK_HELD_BACK(suppressed));
}
