#include "adapters/redis/redis.h"

#include <errno.h>
#include <stdlib.h>

#include "adapters/redis/archive.h"
#include "adapters/redis/registry.h"
#include "adapters/redis/subscriber.h"
#include "config/redis_url.h"
#include "relay/block.h"

#define PASSWORD_MAX 4096
#define IDLE_MS      5000
#define DEAD_MS      10000

struct redis {
    struct redis_url url;
    char password[PASSWORD_MAX]; /* of the file */
    char port[8];
    char where[300];
    char why[sizeof(((struct link *)NULL)->error) + 32]; /* it is not ready */
    struct link_config config;
    struct subscriber subscriber;
    struct subscriber_user subscriber_user;
    struct commands commands;
    struct commands_user commands_user;
    struct worker_registry registry;
    struct session_archive archive;
    struct relay *relay; /* borrowed; NULL before redis_open() */
    void (*on_finished)(void *arg);
    void *finished_arg;
    int open_links;
};

static void on_ready(struct subscriber_user *user);
static void on_mark(struct subscriber_user *user, uint64_t mark);
static void on_subscriber_closed(struct subscriber_user *user);
static void on_up(struct commands_user *user);
static void on_finished(struct commands_user *user);
static void on_commands_closed(struct commands_user *user);

static int say(char why[REDIS_WHY_BYTES], const char *path, const char *what)
{
    snprintf(why, REDIS_WHY_BYTES, "redis.password_file: cannot read \"%.300s\": %s", path, what);
    return -EINVAL;
}

/* The file's text without one newline at its end. 0; else `why` says what is wrong. */
static int read_password(const char *path, char password[PASSWORD_MAX], char why[REDIS_WHY_BYTES])
{
    FILE *file = fopen(path, "re");
    if (!file)
        return say(why, path, strerror(errno));
    errno = 0;
    size_t len = fread(password, 1, PASSWORD_MAX, file);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    if (error)
        return say(why, path, strerror(error));
    if (len == PASSWORD_MAX)
        return say(why, path, "it is too long");
    if (len > 0 && password[len - 1] == '\n')
        len--;
    password[len] = '\0';
    return strlen(password) == len && len > 0 ? 0 : say(why, path, "it holds no password");
}

static int configure(struct redis *r, const struct options *options, char why[REDIS_WHY_BYTES])
{
    const struct redis_url *url = &r->url;
    bool has_file = options->redis_password_file[0] != '\0';
    if (has_file && read_password(options->redis_password_file, r->password, why) < 0)
        return -EINVAL;
    if (strlen(options->redis_prefix) > KEY_PREFIX_MAX) {
        snprintf(why, REDIS_WHY_BYTES, "redis.prefix is longer than 128 bytes");
        return -EINVAL;
    }
    snprintf(r->port, sizeof r->port, "%u", (unsigned)url->port);
    snprintf(r->where, sizeof r->where, url->is_unix ? "%s" : "%s:%s", url->host, r->port);
    r->config.user = url->user;
    r->config.password = has_file ? r->password : url->password;
    r->config.database = url->database;
    r->config.where = r->where;
    if (url->is_unix)
        r->config.address.path = url->host;
    else
        r->config.address = (struct transport_address){.host = url->host, .port = r->port};
    return 0;
}

struct redis *redis_new(uv_loop_t *loop, const struct options *options, struct logger *logger,
                        char why[REDIS_WHY_BYTES])
{
    int error;
    struct redis *r = calloc(1, sizeof *r);
    snprintf(why, REDIS_WHY_BYTES, "no memory");
    if (!r)
        return NULL;
    snprintf(why, REDIS_WHY_BYTES, "redis.url is none of " REDIS_URL_ALLOWED);
    if (redis_url_parse(&r->url, options->redis_url) < 0)
        goto fail_url;
    r->config.loop = loop;
    r->config.logger = logger;
    r->config.idle_ms = IDLE_MS;
    r->config.dead_ms = DEAD_MS;
    if (configure(r, options, why) < 0)
        goto fail;
    if ((error = archive_init(&r->archive, &r->commands, &r->subscriber.marker, &r->config, options)) < 0) {
        snprintf(why, REDIS_WHY_BYTES, "%s", strerror(-error));
        goto fail;
    }
    r->subscriber_user = (struct subscriber_user){on_ready, on_mark, on_subscriber_closed};
    r->commands_user = (struct commands_user){on_up, on_finished, on_commands_closed};
    subscriber_init(&r->subscriber, &r->config, options->redis_prefix, &r->subscriber_user);
    commands_init(&r->commands, &r->config, &r->commands_user);
    registry_init(&r->registry, &r->commands, options, logger);
    r->open_links = 2;
    return r;
fail:
    explicit_bzero(r->password, sizeof r->password);
    redis_url_deinit(&r->url);
fail_url:
    free(r);
    return NULL;
}

struct channels *redis_channels(struct redis *r)
{
    return &r->subscriber.channels;
}

struct registry *redis_registry(struct redis *r)
{
    return &r->registry.port;
}

struct archive *redis_archive(struct redis *r)
{
    return &r->archive.port;
}

void redis_open(struct redis *r, struct relay *relay)
{
    r->relay = relay;
    archive_open(&r->archive, relay);
    registry_open(&r->registry, relay);
    subscriber_open(&r->subscriber, relay);
    commands_open(&r->commands);
}

const char *redis_why_not_ready(struct redis *r)
{
    const struct link *l = &r->subscriber.link;
    if (r->subscriber.is_ready && commands_is_up(&r->commands))
        return relay_is_caught_up(r->relay) ? NULL : "reading back what was missed";
    if (r->subscriber.is_ready)
        l = &r->commands.link;
    snprintf(r->why, sizeof r->why, "not %s Redis: %s", r->subscriber.is_ready ? "asking" : "subscribed to",
             l->error[0] ? l->error : "connecting");
    return r->why;
}

void redis_measure(struct redis *r, struct metrics *m)
{
    const struct commands *c = &r->commands;
    m->redis_connections[REDIS_SUBSCRIBER] = link_is_up(&r->subscriber.link);
    m->redis_connections[REDIS_COMMANDS] = commands_is_up(c);
    m->commands_waiting = c->under_way.count;
    m->memory[MEMORY_REDIS] = block_bytes(c->under_way.cap * sizeof *c->under_way.items) +
                              block_bytes(c->outgoing.cap) + block_bytes(r->subscriber.pubsub.held_cap);
}

void redis_finish(struct redis *r, void (*on_done)(void *arg), void *arg)
{
    r->on_finished = on_done;
    r->finished_arg = arg;
    commands_finish(&r->commands);
}

void redis_close(struct redis *r)
{
    subscriber_close(&r->subscriber);
    commands_close(&r->commands);
    registry_deinit(&r->registry);
    archive_deinit(&r->archive);
}

/* Only what is read while its heartbeats are heard is up to date. */
static void read_workers(struct redis *r)
{
    if (r->subscriber.is_ready && commands_is_up(&r->commands))
        registry_read(&r->registry);
}

static void end_link(struct redis *r)
{
    if (--r->open_links > 0)
        return;
    redis_url_deinit(&r->url);
    explicit_bzero(r->password, sizeof r->password);
    free(r);
}

/* Callbacks of the two connections */

static struct redis *of_subscriber(struct subscriber_user *user)
{
    return (struct redis *)((char *)user - offsetof(struct redis, subscriber_user));
}

static struct redis *of_commands(struct commands_user *user)
{
    return (struct redis *)((char *)user - offsetof(struct redis, commands_user));
}

static void on_ready(struct subscriber_user *user)
{
    read_workers(of_subscriber(user));
}

static void on_mark(struct subscriber_user *user, uint64_t mark)
{
    archive_marked(&of_subscriber(user)->archive, mark);
}

static void on_subscriber_closed(struct subscriber_user *user)
{
    end_link(of_subscriber(user));
}

static void on_up(struct commands_user *user)
{
    struct redis *r = of_commands(user);
    read_workers(r);
    registry_go_on(&r->registry);
    archive_go_on(&r->archive);
    relay_store_again(r->subscriber.relay, uv_now(r->config.loop));
}

static void on_finished(struct commands_user *user)
{
    struct redis *r = of_commands(user);
    r->on_finished(r->finished_arg);
}

static void on_commands_closed(struct commands_user *user)
{
    end_link(of_commands(user));
}
