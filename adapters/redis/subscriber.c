#include "adapters/redis/subscriber.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "relay/sid.h"

#define DROP_LOG_INTERVAL_MS 10000
#define DROP_LOG_BURST       5

static void subscribe(struct channels *self, struct span sid);
static void unsubscribe(struct channels *self, struct span sid);
static uint64_t set_mark(struct marker *self);
static void on_up(struct link_user *user);
static void on_bytes(struct link_user *user, struct span bytes);
static void on_down(struct link_user *user);
static void ping(struct link_user *user);
static void on_link_closed(struct link_user *user);
static void on_message(struct pubsub_user *user, struct span channel, struct span payload);
static void on_subscribed(struct pubsub_user *user, struct span channel);
static void on_pong(struct pubsub_user *user, struct span payload);
static void on_error(struct pubsub_user *user, struct span text);
static void on_turn_end(uv_prepare_t *prepare);

void subscriber_init(struct subscriber *s, const struct link_config *config, const char *prefix,
                     struct subscriber_user *user)
{
    *s = (struct subscriber){
        .channels = {.subscribe = subscribe, .unsubscribe = unsubscribe},
        .marker = {set_mark},
        .user = user,
        .prefix = prefix,
        .link_user = {on_up, on_bytes, on_down, ping, on_link_closed},
        .pubsub_user = {on_message, on_subscribed, on_pong, on_error},
        .drop_limit = {.interval_ms = DROP_LOG_INTERVAL_MS, .burst = DROP_LOG_BURST},
        .open_handles = 2,
    };
    key_common(&s->events, prefix, "events");
    key_session_head(&s->session_head, prefix);
    link_init(&s->link, config, "subscriber", &s->link_user);
    uv_prepare_init(config->loop, &s->flush);
    s->flush.data = s;
}

void subscriber_open(struct subscriber *s, struct relay *relay)
{
    s->relay = relay;
    link_open(&s->link);
}

static void send_batch(struct subscriber *s)
{
    if (s->batch.count > 0)
        link_command(&s->link, s->batch.args, 1 + s->batch.count);
    batch_clear(&s->batch);
}

static void send_mark(struct subscriber *s)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, s->mark);
    link_command(&s->link, (struct span[]){span_str("PING"), span_of(digits, (size_t)len)}, 2);
    s->has_mark = false;
}

static uint64_t set_mark(struct marker *self)
{
    struct subscriber *s = (struct subscriber *)((char *)self - offsetof(struct subscriber, marker));
    if (!link_is_up(&s->link))
        return 0;
    s->mark += !s->has_mark;
    s->has_mark = true;
    uv_prepare_start(&s->flush, on_turn_end);
    return s->mark;
}

static void ask(struct subscriber *s, enum batch_verb verb, struct span channel)
{
    if (!link_is_up(&s->link))
        return;
    if (!batch_add(&s->batch, verb, channel)) {
        send_batch(s);
        bool is_added = batch_add(&s->batch, verb, channel);
        assert(is_added);
        (void)is_added;
    }
    if (verb == BATCH_SUBSCRIBE)
        s->asked++;
    uv_prepare_start(&s->flush, on_turn_end);
}

static void ask_session(struct channels *self, enum batch_verb verb, struct span sid)
{
    struct subscriber *s = (struct subscriber *)((char *)self - offsetof(struct subscriber, channels));
    struct key channel;
    key_session(&channel, s->prefix, sid, "");
    ask(s, verb, key_span(&channel));
}

static void subscribe(struct channels *self, struct span sid)
{
    ask_session(self, BATCH_SUBSCRIBE, sid);
}

static void unsubscribe(struct channels *self, struct span sid)
{
    ask_session(self, BATCH_UNSUBSCRIBE, sid);
}

static void begin(struct subscriber *s)
{
    pubsub_init(&s->pubsub, &s->pubsub_user);
    s->asked = 0;
    s->confirmed = 0;
    s->due = UINT64_MAX;
    ask(s, BATCH_SUBSCRIBE, key_span(&s->events));
    relay_link_up(s->relay, uv_now(s->link.config->loop));
    s->due = s->asked;
}

static void end(struct subscriber *s)
{
    s->is_ready = s->has_mark = false;
    batch_clear(&s->batch);
    uv_prepare_stop(&s->flush);
    pubsub_deinit(&s->pubsub);
    s->relay->metrics.redis_up = 0;
    relay_link_down(s->relay, uv_now(s->link.config->loop));
    s->user->on_mark(s->user, UINT64_MAX);
}

static void become_ready(struct subscriber *s)
{
    s->is_ready = true;
    s->relay->metrics.redis_up = 1;
    if (s->was_ready)
        s->relay->metrics.redis_reconnects++;
    s->was_ready = true;
    s->user->on_ready(s->user);
}

static void confirm(struct subscriber *s, struct span channel)
{
    struct span sid = key_sid(&s->session_head, channel);
    s->confirmed++;
    if (sid.len > 0)
        relay_subscribed(s->relay, sid, uv_now(s->link.config->loop));
    if (!s->is_ready && s->confirmed >= s->due)
        become_ready(s);
}

/* What is for nobody is no fault of the publisher's, and common. */
static void tell_drop(struct subscriber *s, enum drop_reason reason, struct span sid, uint64_t now_ms)
{
    uint64_t suppressed = 0;
    char shortened[SID_SHORT_BYTES] = "";
    if (reason == DROP_NOBODY || !log_limit_pass(&s->drop_limit, now_ms, &suppressed))
        return;
    if (sid.len > 0)
        sid_shorten(sid, shortened);
    logger_warn(s->link.config->logger, "event dropped", LOG_STR("reason", drop_reason_label(reason)),
                LOG_STR("sid", shortened), LINK_HELD_BACK(suppressed));
}

static void receive(struct subscriber *s, struct span channel, struct span payload)
{
    uint64_t now_ms = uv_now(s->link.config->loop);
    struct span sid = key_sid(&s->session_head, channel);
    if (sid.len == 0 && !span_equals(channel, key_span(&s->events)))
        return;
    enum drop_reason reason = relay_receive(s->relay, sid, payload, now_ms);
    if (reason != DROP_NOTHING)
        tell_drop(s, reason, sid, now_ms);
}

static void close_handle(struct subscriber *s)
{
    if (--s->open_handles == 0)
        s->user->on_closed(s->user);
}

/* Callbacks: of the loop, of the link, of the parser */

static void on_turn_end(uv_prepare_t *prepare)
{
    struct subscriber *s = prepare->data;
    send_batch(s);
    if (s->has_mark)
        send_mark(s);
    uv_prepare_stop(prepare);
}

static void on_prepare_closed(uv_handle_t *handle)
{
    close_handle(handle->data);
}

static struct subscriber *of_link(struct link_user *user)
{
    return (struct subscriber *)((char *)user - offsetof(struct subscriber, link_user));
}

static void on_up(struct link_user *user)
{
    begin(of_link(user));
}

static void on_bytes(struct link_user *user, struct span bytes)
{
    struct subscriber *s = of_link(user);
    int error = pubsub_feed(&s->pubsub, bytes);
    relay_flush(s->relay, uv_now(s->link.config->loop));
    if (error < 0)
        link_fail(&s->link, uv_strerror(error));
}

static void on_down(struct link_user *user)
{
    end(of_link(user));
}

static void ping(struct link_user *user)
{
    link_command(&of_link(user)->link, (struct span[]){span_str("PING")}, 1);
}

static void on_link_closed(struct link_user *user)
{
    close_handle(of_link(user));
}

static struct subscriber *of_pubsub(struct pubsub_user *user)
{
    return (struct subscriber *)((char *)user - offsetof(struct subscriber, pubsub_user));
}

static void on_message(struct pubsub_user *user, struct span channel, struct span payload)
{
    receive(of_pubsub(user), channel, payload);
}

static void on_subscribed(struct pubsub_user *user, struct span channel)
{
    confirm(of_pubsub(user), channel);
}

/* The keep-alive's has no payload. */
static void on_pong(struct pubsub_user *user, struct span payload)
{
    struct subscriber *s = of_pubsub(user);
    char digits[24] = "";
    if (payload.len > 0 && payload.len < sizeof digits) {
        memcpy(digits, payload.bytes, payload.len);
        s->user->on_mark(s->user, strtoull(digits, NULL, 10));
    }
}

static void on_error(struct pubsub_user *user, struct span text)
{
    char why[128];
    snprintf(why, sizeof why, "%.*s", (int)(text.len < sizeof why ? text.len : sizeof why), text.bytes);
    link_fail(&of_pubsub(user)->link, why);
}

void subscriber_close(struct subscriber *s)
{
    pubsub_deinit(&s->pubsub);
    link_close(&s->link);
    uv_close((uv_handle_t *)&s->flush, on_prepare_closed);
}
