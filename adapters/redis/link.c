#include "adapters/redis/link.h"

#include <errno.h>
#include <stdio.h>

#define LOG_INTERVAL_MS 60000
#define LOG_BURST       20

static void on_timer(uv_timer_t *timer);
static void on_open(struct transport_user *user);
static void on_bytes(struct transport_user *user, struct span bytes);
static void on_lost(struct transport_user *user, int error);

void link_init(struct link *l, const struct link_config *config, const char *name, struct link_user *user)
{
    *l = (struct link){
        .config = config,
        .name = name,
        .user = user,
        .transport_user = {.on_open = on_open, .on_bytes = on_bytes, .on_lost = on_lost},
        .log_limit = {.interval_ms = LOG_INTERVAL_MS, .burst = LOG_BURST},
    };
    uv_timer_init(config->loop, &l->timer);
    l->timer.data = l;
}

static void wait_for(struct link *l, uint64_t ms)
{
    uv_timer_start(&l->timer, on_timer, ms, 0);
}

static void drop_connection(struct link *l)
{
    if (l->transport)
        transport_close(l->transport);
    l->transport = NULL;
    if (l->greeting)
        redisReaderFree(l->greeting);
    l->greeting = NULL;
}

void link_fail(struct link *l, const char *why)
{
    if (l->state == LINK_CLOSED || l->state == LINK_FAILED || l->state == LINK_WAITING)
        return;
    l->was_up = l->state == LINK_UP;
    l->state = LINK_FAILED;
    snprintf(l->error, sizeof l->error, "%s", why);
    wait_for(l, 0);
}

static void write_bytes(struct link *l, struct span bytes)
{
    if (transport_write(l->transport, bytes) < 0)
        link_fail(l, strerror(ENOMEM));
}

void link_write(struct link *l, struct span commands)
{
    if (l->state == LINK_UP)
        write_bytes(l, commands);
}

/* As link_command(), whatever the state. */
static void write_command(struct link *l, const struct span args[], size_t count)
{
    const char *texts[LINK_ARGS_MAX];
    size_t lengths[LINK_ARGS_MAX];
    for (size_t i = 0; i < count; i++) {
        texts[i] = (const char *)args[i].bytes;
        lengths[i] = args[i].len;
    }
    char *command = NULL;
    int len = redisFormatCommandArgv(&command, (int)count, texts, lengths);
    if (len < 0) {
        link_fail(l, strerror(ENOMEM));
        return;
    }
    write_bytes(l, span_of(command, (size_t)len));
    redisFreeCommand(command);
}

void link_command(struct link *l, const struct span args[], size_t count)
{
    if (l->state == LINK_UP)
        write_command(l, args, count);
}

void link_open(struct link *l)
{
    l->state = LINK_CONNECTING;
    l->transport = transport_open(l->config->loop, &l->config->address, &l->transport_user);
    if (!l->transport)
        link_fail(l, strerror(ENOMEM));
}

/* One command of the greeting, of up to three words. */
static void greet(struct link *l, const char *a, const char *b, const char *c)
{
    const char *words[] = {a, b, c};
    struct span args[3];
    size_t count = 0;
    for (int i = 0; i < 3; i++)
        if (words[i])
            args[count++] = span_str(words[i]);
    l->replies_due++;
    write_command(l, args, count);
}

static void begin_greeting(struct link *l)
{
    const struct link_config *config = l->config;
    bool has_user = config->user && *config->user;
    char database[16];
    snprintf(database, sizeof database, "%u", config->database);
    l->state = LINK_GREETING;
    l->replies_due = 0;
    l->greeting = redisReaderCreate();
    if (!l->greeting) {
        link_fail(l, strerror(ENOMEM));
        return;
    }
    wait_for(l, LINK_GREETING_MS);
    if (config->password)
        greet(l, "AUTH", has_user ? config->user : config->password, has_user ? config->password : NULL);
    if (config->database > 0)
        greet(l, "SELECT", database, NULL);
    greet(l, "CLIENT", "SETNAME", "comfy-relay");
    greet(l, "PING", NULL, NULL);
}

static void become_up(struct link *l)
{
    uint64_t now_ms = uv_now(l->config->loop), suppressed = 0;
    redisReaderFree(l->greeting);
    l->greeting = NULL;
    l->state = LINK_UP;
    l->up_at_ms = l->heard_at_ms = now_ms;
    l->silence = LINK_HEARD;
    wait_for(l, l->config->idle_ms);
    if (log_limit_pass(&l->log_limit, now_ms, &suppressed))
        logger_info(l->config->logger, "redis connected", LOG_STR("connection", l->name),
                    LOG_STR("address", l->config->where), LINK_HELD_BACK(suppressed));
    l->user->on_up(l->user);
}

/* The name of the connection, the last command but one, is a courtesy: a user may lack the right to set it. */
static void take_greeting_reply(struct link *l, const redisReply *reply)
{
    bool is_courtesy = l->replies_due == 2;
    char *quoted = reply->type == REDIS_REPLY_ERROR ? strstr(reply->str, ", with args") : NULL;
    if (quoted) /* who does not know AUTH says the password */
        *quoted = '\0';
    l->replies_due--;
    if (reply->type == REDIS_REPLY_ERROR && !is_courtesy)
        link_fail(l, reply->str);
}

static void read_greeting(struct link *l, struct span bytes)
{
    int status = redisReaderFeed(l->greeting, (const char *)bytes.bytes, bytes.len);
    while (status == REDIS_OK && l->state == LINK_GREETING && l->replies_due > 0) {
        void *reply = NULL;
        status = redisReaderGetReply(l->greeting, &reply);
        if (!reply)
            break;
        take_greeting_reply(l, reply);
        freeReplyObject(reply);
    }
    if (status != REDIS_OK)
        link_fail(l, l->greeting->errstr);
    if (l->state == LINK_GREETING && l->replies_due == 0)
        become_up(l);
}

/* Full jitter: many relays that lost the same Redis must not return as one. */
static uint64_t choose_delay(struct link *l)
{
    uint64_t ceiling = LINK_BACKOFF_FIRST_MS, random = 0;
    for (unsigned i = 0; i < l->attempts && ceiling < LINK_BACKOFF_MAX_MS; i++)
        ceiling *= 2;
    if (ceiling > LINK_BACKOFF_MAX_MS)
        ceiling = LINK_BACKOFF_MAX_MS;
    uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
    return 1 + random % ceiling;
}

/* A failure is told when it is another one than the last. */
static void tell_failure(struct link *l, uint64_t retry_ms)
{
    uint64_t suppressed = 0;
    if (!l->was_up && strcmp(l->told, l->error) == 0)
        return;
    memcpy(l->told, l->error, sizeof l->told);
    if (log_limit_pass(&l->log_limit, uv_now(l->config->loop), &suppressed))
        logger_warn(l->config->logger, l->was_up ? "redis connection lost" : "redis connection failed",
                    LOG_STR("connection", l->name), LOG_STR("address", l->config->where),
                    LOG_STR("error", l->error), LOG_INT("retry_ms", retry_ms), LINK_HELD_BACK(suppressed));
}

static void handle_failure(struct link *l)
{
    uint64_t now_ms = uv_now(l->config->loop);
    drop_connection(l);
    if (l->was_up && now_ms - l->up_at_ms >= LINK_STABLE_MS)
        l->attempts = 0;
    uint64_t delay_ms = choose_delay(l);
    l->attempts++;
    tell_failure(l, delay_ms);
    l->state = LINK_WAITING;
    wait_for(l, delay_ms);
    if (l->was_up)
        l->user->on_down(l->user);
}

/* A program that was stopped for a while finds the answers waiting: so what is overdue has one more turn of the loop
 * to be read. */
static void keep_alive(struct link *l)
{
    uint64_t silent_ms = uv_now(l->config->loop) - l->heard_at_ms;
    if (silent_ms < l->config->idle_ms) {
        wait_for(l, l->config->idle_ms - silent_ms);
        return;
    }
    if (l->silence == LINK_OVERDUE) {
        link_fail(l, strerror(ETIMEDOUT));
        return;
    }
    if (l->silence == LINK_PINGED) {
        l->silence = LINK_OVERDUE;
        wait_for(l, 1);
        return;
    }
    l->silence = LINK_PINGED;
    wait_for(l, l->config->dead_ms);
    l->user->ping(l->user);
}

/* Callbacks: of the loop, of the transport */

static void on_timer(uv_timer_t *timer)
{
    struct link *l = timer->data;
    if (l->state == LINK_FAILED)
        handle_failure(l);
    else if (l->state == LINK_WAITING)
        link_open(l);
    else if (l->state == LINK_UP)
        keep_alive(l);
    else if (l->state == LINK_GREETING)
        link_fail(l, strerror(ETIMEDOUT));
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct link *l = handle->data;
    l->user->on_closed(l->user);
}

static struct link *of_transport(struct transport_user *user)
{
    return (struct link *)((char *)user - offsetof(struct link, transport_user));
}

/* It may have been given up in the same turn. */
static void on_open(struct transport_user *user)
{
    struct link *l = of_transport(user);
    if (l->state == LINK_CONNECTING)
        begin_greeting(l);
}

static void on_bytes(struct transport_user *user, struct span bytes)
{
    struct link *l = of_transport(user);
    l->heard_at_ms = uv_now(l->config->loop);
    if (l->state == LINK_UP && l->silence != LINK_HEARD)
        wait_for(l, l->config->idle_ms);
    l->silence = LINK_HEARD;
    if (l->state == LINK_GREETING)
        read_greeting(l, bytes);
    else if (l->state == LINK_UP)
        l->user->on_bytes(l->user, bytes);
}

static void on_lost(struct transport_user *user, int error)
{
    link_fail(of_transport(user), uv_strerror(error));
}

void link_close(struct link *l)
{
    l->state = LINK_CLOSED;
    drop_connection(l);
    uv_close((uv_handle_t *)&l->timer, on_handle_closed);
}
