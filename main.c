/* comfy-relay: a line for each adapter, in the order of the data path, and the way down again. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <uv.h>

#include "adapters/http/health.h"
#include "adapters/http/ops.h"
#include "adapters/msgpack/codec.h"
#include "adapters/process/descriptors.h"
#include "adapters/process/heap.h"
#include "adapters/process/journal.h"
#include "adapters/process/listener.h"
#include "adapters/process/logger.h"
#include "adapters/process/signals.h"
#include "adapters/process/supervisor.h"
#include "adapters/process/ticker.h"
#include "adapters/redis/redis.h"
#include "adapters/websocket/server.h"
#include "config/config.h"
#include "relay/relay.h"

struct program {
    struct signals_listener on_signal;
    struct ops_source ops_source;
    struct config config;
    struct logger logger;
    uv_loop_t loop;
    struct relay relay;
    struct log_journal journal;
    struct redis *redis;
    struct server *server;
    struct ops *ops;
    struct ticker *ticker;
    struct heap *heap;
    struct signals *signals;
    struct supervisor *supervisor; /* NULL: nobody supervises */
};

static struct relay_config relay_config(const struct options *o)
{
    return (struct relay_config){
        .session_ttl_ms = o->session_ttl_ms,
        .status_interval_ms = o->status_interval_ms,
        .worker_timeout_ms = o->worker_timeout_ms,
        .coalesce_ms = o->ws_coalesce_ms,
        .log = {o->session_log_events, o->session_log_bytes},
        .message_bytes = o->limits_message_bytes,
        .memory_bytes = o->limits_memory_bytes,
        .share = o->session_duplicate == DUPLICATE_SHARE,
    };
}

/* What the operations endpoints ask */

static struct program *program_of(struct ops_source *source)
{
    return (struct program *)((char *)source - offsetof(struct program, ops_source));
}

static const char *why_not_ready(void *arg)
{
    struct program *p = arg;
    return server_is_draining(p->server) ? "draining" : redis_why_not_ready(p->redis);
}

static const char *not_ready(struct ops_source *self)
{
    return why_not_ready(program_of(self));
}

static const struct metrics *measure(struct ops_source *self)
{
    struct program *p = program_of(self);
    server_measure(p->server, &p->relay.metrics);
    redis_measure(p->redis, &p->relay.metrics);
    p->relay.metrics.ready = not_ready(self) == NULL;
    return relay_measure(&p->relay);
}

static void count_evicted(struct ops_source *self)
{
    program_of(self)->relay.metrics.ops_evicted++;
}

/* Down */

/* Closes what is open; the loop then runs out of handles. */
static void close_edges(struct program *p)
{
    if (p->ops)
        ops_close(p->ops);
    if (p->server)
        server_close(p->server);
    if (p->redis)
        redis_close(p->redis);
    if (p->ticker)
        ticker_close(p->ticker);
    if (p->heap)
        heap_close(p->heap);
    if (p->signals)
        signals_close(p->signals);
    supervisor_close(p->supervisor);
    p->ops = NULL;
    p->server = NULL;
    p->redis = NULL;
    p->ticker = NULL;
    p->heap = NULL;
    p->signals = NULL;
    p->supervisor = NULL;
}

static void on_stored(void *arg)
{
    close_edges(arg);
}

/* The places of the clients that were sent away are stored before the connections go. */
static void on_drained(void *arg)
{
    struct program *p = arg;
    relay_store(&p->relay, uv_now(&p->loop));
    redis_finish(p->redis, on_stored, p);
}

/* The first time it drains; the second time it ends at once. */
static void on_stop(struct signals_listener *self)
{
    struct program *p = (struct program *)((char *)self - offsetof(struct program, on_signal));
    if (server_is_draining(p->server)) {
        close_edges(p);
        return;
    }
    logger_info(&p->logger, "draining", LOG_INT("connections", p->relay.metrics.connections));
    server_drain(p->server, on_drained, p);
    supervisor_stopping(p->supervisor);
}

/* Redis, the listeners, what is asked on ops.listen, the loop itself. */
#define DESCRIPTORS_OWN 64

static void warn_of_descriptors(struct program *p)
{
    uint64_t limit = descriptors_raise(), connections = p->config.options.limits_connections;
    if (limit < connections + DESCRIPTORS_OWN)
        logger_warn(&p->logger, "fewer descriptors than limits.connections needs",
                    LOG_INT("descriptors", limit), LOG_INT("needed", connections + DESCRIPTORS_OWN));
}

static void take_over(struct program *p)
{
    struct relay_config config = relay_config(&p->config.options);
    p->logger.level = p->config.options.log_level;
    relay_configure(&p->relay, &config);
    warn_of_descriptors(p);
    if (server_reload(p->server) < 0)
        logger_error(&p->logger, "the features could not be taken over");
}

static void on_reload(struct signals_listener *self)
{
    struct program *p = (struct program *)((char *)self - offsetof(struct program, on_signal));
    char *told = NULL;
    supervisor_reloading(p->supervisor);
    if (config_reload(&p->config, &told) < 0) {
        logger_error(&p->logger, "configuration not reloaded", LOG_STR("error", told ? told : "no memory"));
    } else {
        take_over(p);
        logger_info(&p->logger, "configuration reloaded",
                    {.key = "restart_needed_for", .kind = told ? LOG_FIELD_STR : LOG_FIELD_END, .str = told});
    }
    free(told);
    if (!server_is_draining(p->server))
        supervisor_ready(p->supervisor);
}

/* Up */

static int fail(struct program *p, const char *what, const char *where, int error)
{
    logger_error(&p->logger, what, LOG_STR("at", where), LOG_STR("error", uv_strerror(error)));
    return error;
}

static int fail_to_listen(struct program *p, const char *option, const char *where, int error)
{
    logger_error(&p->logger, "cannot listen", LOG_STR("option", option), LOG_STR("at", where),
                 LOG_STR("error", listener_strerror(error)));
    return error;
}

static int open_core(struct program *p)
{
    uint64_t seed[2];
    char why[REDIS_WHY_BYTES];
    struct options *o = &p->config.options;
    struct relay_config config = relay_config(o);
    p->redis = redis_new(&p->loop, o, &p->logger, why);
    if (!p->redis) {
        logger_error(&p->logger, "cannot use the Redis options", LOG_STR("error", why));
        return -EINVAL;
    }
    p->server = server_new(&p->loop, o, &p->logger);
    if (!p->server || getrandom(seed, sizeof seed, 0) != sizeof seed)
        return fail(p, "cannot start", "server", -ENOMEM);
    journal_init(&p->journal, &p->loop, &p->logger);
    struct ports ports = {.codec = codec_msgpack(),
                          .channels = redis_channels(p->redis),
                          .archive = redis_archive(p->redis),
                          .registry = redis_registry(p->redis),
                          .sockets = server_sockets(p->server),
                          .journal = &p->journal.port};
    int error = relay_init(&p->relay, &config, &ports, seed);
    return error < 0 ? fail(p, "cannot start", "core", error) : 0;
}

static int open_edges(struct program *p)
{
    int error = 0;
    const char *where = "";
    const char *ops_listen = p->config.options.ops_listen;
    p->ticker = ticker_open(&p->loop, &p->relay);
    p->heap = heap_open(&p->loop, &p->relay, HEAP_LOOK_MS);
    if (!p->ticker || !p->heap)
        return fail(p, "cannot start", "clock", -ENOMEM);
    if (!(p->signals = signals_open(&p->loop, &p->on_signal, &error)))
        return fail(p, "cannot start", "signals", error);
    if (*ops_listen && !(p->ops = ops_open(&p->loop, &p->config.options, &p->logger, &p->ops_source, &error)))
        return fail_to_listen(p, "ops.listen", ops_listen, error);
    if ((error = server_open(p->server, &p->relay, &where)) < 0) /* last: whoever connects is served */
        return fail_to_listen(p, "listen", where, error);
    redis_open(p->redis, &p->relay);
    p->supervisor = supervisor_open(&p->loop, &p->relay, &p->logger, why_not_ready, p);
    supervisor_ready(p->supervisor);
    p->relay.metrics.memory[MEMORY_START] = heap_allocated_bytes();
    return 0;
}

static void warn_of_unknown(struct program *p)
{
    struct span name;
    for (size_t at = 0; name = config_next_unknown(&p->config, &at), name.bytes;)
        logger_warn(&p->logger, "unknown option in the environment is ignored", LOG_SPAN("name", name));
}

static int run(struct program *p)
{
    int error = uv_loop_init(&p->loop);
    if (error < 0)
        return fail(p, "cannot start", "loop", error);
    warn_of_unknown(p);
    warn_of_descriptors(p);
    if ((error = open_core(p)) < 0 || (error = open_edges(p)) < 0)
        close_edges(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
    relay_deinit(&p->relay);
    if (error == 0)
        logger_info(&p->logger, "stopped");
    return error < 0 ? 1 : 0;
}

/* A descriptor 0, 1 or 2 that was closed by the parent would be taken by a socket, and logged to. */
static bool open_standard_streams(void)
{
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    return fd >= 0 && close(fd) == 0;
}

int main(int argc, char **argv, char **env)
{
    static struct program p = {.ops_source = {not_ready, measure, count_evicted},
                               .on_signal = {on_stop, on_reload}};
    int exit_code = 0;
    if (!open_standard_streams())
        return 1;
    enum config_action action = config_load(&p.config, argc, argv, env, stdout, stderr, &exit_code);
    if (action == CONFIG_HEALTH) {
        exit_code = health_ask(p.config.options.ops_listen, stdout, stderr);
    } else if (action == CONFIG_RUN) {
        p.logger = (struct logger){stderr, p.config.options.log_level, p.config.options.log_format};
        exit_code = run(&p);
    }
    config_deinit(&p.config);
    return exit_code;
}
