#include "adapters/publisher/comfy_publisher.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "adapters/msgpack/codec.h"
#include "adapters/publisher/clock.h"
#include "adapters/publisher/courier.h"
#include "adapters/publisher/envelope.h"
#include "adapters/publisher/parse_json.h"
#include "adapters/publisher/pulse.h"
#include "adapters/redis/keys.h"
#include "relay/sid.h"

#define WORKER_MAX 256

struct comfy_publisher {
    char *password; /* owned; NULL: none, or the URL's */
    char prefix[KEY_PREFIX_MAX + 1];
    char worker[WORKER_MAX + 1];
    size_t queue_events, queue_bytes;
    struct route route;
    struct pulse pulse;
    struct courier_config config;
    struct courier courier;
    char why[COMFY_PUBLISHER_WHY_BYTES]; /* the latest call has failed; "": it has not */
};

/* Up */

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (why)
        vsnprintf(why, COMFY_PUBLISHER_WHY_BYTES, format, args);
    va_end(args);
    return error;
}

/* unix:// is redis+unix://, as redis-py has it. */
static int parse_url(struct redis_url *url, const char *text)
{
    char longer[1024];
    if (!text)
        text = COMFY_PUBLISHER_DEFAULT_URL;
    if (strncasecmp(text, "unix://", 7) != 0)
        return redis_url_parse(url, text);
    int n = snprintf(longer, sizeof longer, "redis+%s", text);
    return n < (int)sizeof longer ? redis_url_parse(url, longer) : -EINVAL;
}

static int read_url(struct comfy_publisher *p, const char *text, char *why)
{
    int error = parse_url(&p->config.url, text);
    if (error == -ENOTSUP)
        return refuse(why, error, "rediss:// and redis+sentinel:// are not supported");
    if (error < 0)
        return refuse(why, error, error == -ENOMEM ? "no memory" : "the URL of Redis is not %s",
                      REDIS_URL_ALLOWED);
    return 0;
}

static int read_password(struct comfy_publisher *p, const char *password, char *why)
{
    p->config.password = p->config.url.password;
    if (!password || !*password)
        return 0;
    p->config.password = p->password = strdup(password);
    return p->password ? 0 : refuse(why, -ENOMEM, "no memory");
}

static int read_names(struct comfy_publisher *p, const struct comfy_publisher_options *o, char *why)
{
    const char *prefix = o->prefix ? o->prefix : COMFY_PUBLISHER_DEFAULT_PREFIX;
    if (!*prefix || strlen(prefix) > KEY_PREFIX_MAX)
        return refuse(why, -EINVAL, "the prefix has 1 to %d bytes", KEY_PREFIX_MAX);
    strcpy(p->prefix, prefix);
    if (!o->worker) {
        char host[128] = "";
        gethostname(host, sizeof host - 1);
        snprintf(p->worker, sizeof p->worker, "%s:%ld", host, (long)getpid());
        return 0;
    }
    if (!*o->worker || strlen(o->worker) > WORKER_MAX)
        return refuse(why, -EINVAL, "the id of the worker has 1 to %d bytes", WORKER_MAX);
    strcpy(p->worker, o->worker);
    return 0;
}

static uint64_t or_default(uint64_t n, uint64_t fallback)
{
    return n ? n : fallback;
}

static void read_numbers(struct comfy_publisher *p, const struct comfy_publisher_options *o)
{
    p->queue_events = or_default(o->queue_events, COMFY_PUBLISHER_QUEUE_EVENTS);
    p->queue_bytes = or_default(o->queue_bytes, COMFY_PUBLISHER_QUEUE_BYTES);
    p->config.connect_timeout_ms = or_default(o->connect_timeout_ms, COMFY_PUBLISHER_CONNECT_MS);
    p->config.answer_timeout_ms = or_default(o->answer_timeout_ms, COMFY_PUBLISHER_ANSWER_MS);
    p->route = (struct route){p->prefix, or_default(o->session_ttl_ms, COMFY_PUBLISHER_TTL_MS),
                              or_default(o->session_log_events, COMFY_PUBLISHER_LOG_EVENTS)};
}

static void discard(struct comfy_publisher *p)
{
    courier_deinit(&p->courier);
    pulse_deinit(&p->pulse);
    redis_url_deinit(&p->config.url);
    free(p->password);
    free(p);
}

int comfy_publisher_open(const struct comfy_publisher_options *o, struct comfy_publisher **publisher,
                         char *why)
{
    *publisher = NULL;
    struct comfy_publisher *p = calloc(1, sizeof *p);
    if (!p)
        return refuse(why, -ENOMEM, "no memory");
    courier_init(&p->courier, &p->config);
    read_numbers(p, o);
    int error = read_url(p, o->redis_url, why);
    if (!error && pulse_init(&p->pulse, &p->route, p->worker) < 0)
        error = refuse(why, -EIO, "the system gives no random numbers");
    if (!error)
        error = read_password(p, o->password, why);
    if (!error)
        error = read_names(p, o, why);
    if (error) {
        discard(p);
        return error;
    }
    *publisher = p;
    return 0;
}

/* The queue */

static int fail(struct comfy_publisher *p, int error, const char *why)
{
    snprintf(p->why, sizeof p->why, "%s", why);
    return error;
}

static bool is_full(const struct comfy_publisher *p, size_t more_bytes)
{
    const struct backlog *b = &p->courier.backlog;
    return b->events >= p->queue_events || b->bytes + more_bytes > p->queue_bytes;
}

static int beat(struct comfy_publisher *p)
{
    if (is_full(p, 0))
        return -EAGAIN;
    int error = pulse_beat(&p->pulse, &p->courier.backlog, clock_unix_ms());
    if (!error)
        p->pulse.due_ms = clock_now_ms() + COMFY_PUBLISHER_HEARTBEAT_MS;
    return error;
}

/* What can be done now. A heartbeat that is due while Redis is away waits for its return: only the newest is of use. */
static void tend(struct comfy_publisher *p)
{
    uint64_t now_ms = clock_now_ms();
    courier_turn(&p->courier, now_ms);
    if (!p->pulse.beats || now_ms < p->pulse.due_ms || p->courier.state != COURIER_AT_WORK)
        return;
    if (beat(p) == 0)
        courier_turn(&p->courier, now_ms);
}

static int check_room(struct comfy_publisher *p, const struct post *post)
{
    if (post->len > p->queue_bytes)
        return fail(p, -EMSGSIZE, "the event is larger than the queue");
    if (is_full(p, post->len))
        tend(p);
    return is_full(p, post->len) ? fail(p, -EAGAIN, "the queue is full") : 0;
}

static int enqueue(struct comfy_publisher *p, struct post *take_post)
{
    int error = check_room(p, take_post);
    if (error < 0) {
        post_free(take_post);
        return error;
    }
    backlog_add(&p->courier.backlog, take_post);
    tend(p);
    return 0;
}

/* The events */

static int publish(struct comfy_publisher *p, struct span envelope)
{
    struct post *post;
    const char *why = "no memory";
    *p->why = '\0';
    int error = route_event(&p->route, envelope, &post, &why);
    if (error < 0)
        return fail(p, error, why);
    return post ? enqueue(p, post) : 0;
}

/* A packed one, whose packing ends here. */
static int publish_packed(struct comfy_publisher *p, struct packing *take_packed)
{
    int error =
        take_packed->has_failed ? fail(p, -ENOMEM, "no memory") : publish(p, packing_span(take_packed));
    packing_deinit(take_packed);
    return error;
}

/* Bytes that are nowhere. */
static int check_bytes(struct comfy_publisher *p, const void *bytes, size_t count)
{
    return bytes || count == 0 ? 0 : fail(p, -EINVAL, "there are bytes, and they are NULL");
}

static int check_text(struct comfy_publisher *p, const char *what, const char *text)
{
    char why[64];
    snprintf(why, sizeof why, "%s is NULL", what);
    return text ? 0 : fail(p, -EINVAL, why);
}

static void address(struct comfy_publisher *p, const char *sid, struct event *e)
{
    e->worker = span_str(p->worker);
    e->to = !sid ? TO_ALL : *sid ? TO_SESSION : TO_NOBODY;
    e->sid = sid ? span_str(sid) : SPAN_NONE;
}

static void begin_text(struct packing *to, struct comfy_publisher *p, const char *sid, const char *type)
{
    struct event e = {.type = span_str(type)};
    address(p, sid, &e);
    packing_init(to);
    envelope_begin(to, &e, clock_unix_ms());
}

static void begin_binary(struct packing *to, struct comfy_publisher *p, const char *sid, uint32_t code)
{
    struct event e = {.is_binary = true, .code = code};
    address(p, sid, &e);
    packing_init(to);
    envelope_begin(to, &e, clock_unix_ms());
}

int comfy_publisher_text(struct comfy_publisher *p, const char *sid, const char *type, const void *data,
                         size_t bytes)
{
    struct packing packed;
    if (check_text(p, "the type", type) < 0 || check_bytes(p, data, bytes) < 0)
        return -EINVAL;
    begin_text(&packed, p, sid, type);
    packing_raw(&packed, data ? span_of(data, bytes) : span_str("\xc0"));
    return publish_packed(p, &packed);
}

/* Appends a value; closes the packing when it cannot. */
static int pack_json(struct comfy_publisher *p, struct packing *to, const char *json, int level)
{
    const char *why;
    size_t at;
    if (parse_json(to, span_str(json), level, &why, &at) == 0)
        return 0;
    packing_deinit(to);
    snprintf(p->why, sizeof p->why, "JSON, byte %zu: %s", at + 1, why);
    return -EINVAL;
}

int comfy_publisher_json(struct comfy_publisher *p, const char *sid, const char *type, const char *json)
{
    struct packing packed;
    if (check_text(p, "the type", type) < 0 || check_text(p, "the JSON", json) < 0)
        return -EINVAL;
    begin_text(&packed, p, sid, type);
    int error = pack_json(p, &packed, json, CODEC_DATA_LEVEL);
    return error ? error : publish_packed(p, &packed);
}

int comfy_publisher_binary(struct comfy_publisher *p, const char *sid, uint32_t code, const void *data,
                           size_t bytes)
{
    struct packing packed;
    if (check_bytes(p, data, bytes) < 0)
        return -EINVAL;
    begin_binary(&packed, p, sid, code);
    packing_bin(&packed, span_of(data, bytes));
    return publish_packed(p, &packed);
}

int comfy_publisher_preview(struct comfy_publisher *p, const char *sid, const char *format, const void *image,
                            size_t bytes, const char *metadata)
{
    struct packing packed;
    if (check_text(p, "the format", format) < 0 || check_bytes(p, image, bytes) < 0)
        return -EINVAL;
    begin_binary(&packed, p, sid, 4);
    msgpack_pack_array(&packed.packer, 2);
    msgpack_pack_array(&packed.packer, 3);
    packing_text(&packed, format);
    packing_bin(&packed, span_of(image, bytes));
    msgpack_pack_nil(&packed.packer);
    int error = pack_json(p, &packed, metadata ? metadata : "{}", CODEC_DATA_LEVEL + 1);
    return error ? error : publish_packed(p, &packed);
}

int comfy_publisher_envelope(struct comfy_publisher *p, const void *envelope, size_t bytes)
{
    return check_bytes(p, envelope, bytes) < 0 ? -EINVAL : publish(p, span_of(envelope, bytes));
}

/* The worker */

int comfy_publisher_status(struct comfy_publisher *p, uint64_t queue_remaining, const char *sid,
                           const char *prompt_id)
{
    *p->why = '\0';
    if (sid && !sid_is_valid(span_str(sid)))
        return fail(p, -EINVAL, "a sid is 1 to 128 bytes of UTF-8 without control characters, { or }");
    if (pulse_set(&p->pulse, queue_remaining, sid, prompt_id) < 0)
        return fail(p, -ENOMEM, "no memory");
    p->pulse.due_ms = 0;
    int error = beat(p);
    tend(p);
    return error ? fail(p, error, error == -EAGAIN ? "the queue is full" : "no memory") : 0;
}

/* Waiting */

static uint64_t sooner(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static uint64_t wants(const struct comfy_publisher *p, struct pollfd *to)
{
    uint64_t when_ms = courier_wants(&p->courier, &to->fd, &to->events);
    bool beats = p->pulse.beats && p->courier.state == COURIER_AT_WORK && !is_full(p, 0);
    to->revents = 0;
    return beats ? sooner(when_ms, p->pulse.due_ms) : when_ms;
}

int comfy_publisher_poll(const struct comfy_publisher *p, struct pollfd *to)
{
    return clock_left(wants(p, to), clock_now_ms());
}

/* Where the connection is in trouble, that is why. */
static int be_late(struct comfy_publisher *p)
{
    bool is_in_trouble = p->courier.state != COURIER_AT_WORK && *p->courier.why;
    return fail(p, -ETIMEDOUT, is_in_trouble ? p->courier.why : "Redis has not answered in time");
}

int comfy_publisher_flush(struct comfy_publisher *p, unsigned timeout_ms)
{
    struct pollfd wanted;
    uint64_t now_ms, end_ms = clock_now_ms() + timeout_ms;
    *p->why = '\0';
    for (;;) {
        tend(p);
        if (backlog_is_empty(&p->courier.backlog))
            return 0;
        now_ms = clock_now_ms();
        if (now_ms >= end_ms)
            return timeout_ms ? be_late(p) : -ETIMEDOUT;
        uint64_t when_ms = wants(p, &wanted);
        poll(&wanted, 1, clock_left(sooner(when_ms, end_ms), now_ms));
    }
}

int comfy_publisher_close(struct comfy_publisher *p, unsigned timeout_ms)
{
    if (!p)
        return 0;
    int error = p->pulse.beats ? pulse_goodbye(&p->pulse, &p->courier.backlog) : 0;
    p->pulse.beats = false;
    int flushed = comfy_publisher_flush(p, timeout_ms);
    discard(p);
    return flushed ? flushed : error;
}

/* What it says */

struct comfy_publisher_counters comfy_publisher_counters(const struct comfy_publisher *p)
{
    const struct courier *c = &p->courier;
    return (struct comfy_publisher_counters){.published = c->published,
                                             .errors = c->errors,
                                             .connections = c->connections,
                                             .queued_events = c->backlog.events,
                                             .queued_bytes = c->backlog.bytes,
                                             .is_connected = c->state == COURIER_AT_WORK};
}

const char *comfy_publisher_error(const struct comfy_publisher *p)
{
    return *p->why ? p->why : p->courier.why;
}

const char *comfy_publisher_worker(const struct comfy_publisher *p)
{
    return p->worker;
}
