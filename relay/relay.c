#include "relay/relay.h"

#include <assert.h>
#include <errno.h>

#include "relay/delivery.h"
#include "relay/hash.h"
#include "relay/sid.h"
#include "relay/status.h"

/* Events for a session */

/* One without a socket is forgotten a time to live from now. */
static void expire_later(struct relay *r, struct session *s, uint64_t now_ms)
{
    if (s->is_expiring)
        TAILQ_REMOVE(&r->expiring, s, in_expiry);
    s->is_expiring = true;
    s->expires_at_ms = now_ms + r->config.session_ttl_ms;
    TAILQ_INSERT_TAIL(&r->expiring, s, in_expiry);
}

static struct session *find_or_add(struct relay *r, struct span sid, uint64_t now_ms)
{
    struct session *s = session_find(&r->sessions, sid);
    if (s)
        return s;
    s = session_add(&r->sessions, sid);
    if (s)
        expire_later(r, s, now_ms);
    return s;
}

/* Out of the table, with its subscription. */
static void forget(struct relay *r, struct session *s)
{
    TAILQ_REMOVE(&r->expiring, s, in_expiry);
    delivery_forget(r, s);
    if (s->subscription != SUBSCRIPTION_NONE)
        r->ports.channels->unsubscribe(r->ports.channels, session_sid(s));
    session_remove(&r->sessions, s);
}

/* A session that never had a socket here is of interest while its prompt executes. */
static void remember_or_forget(struct relay *r, struct session *s, uint64_t now_ms)
{
    if (s->is_executing)
        expire_later(r, s, now_ms);
    else
        forget(r, s);
}

static void note_end(struct relay *r, struct session *s, const struct event *e, enum effect effect)
{
    if (e->prompt.len > 0) {
        uint64_t prompt = hash_bytes(e->prompt, r->sessions.seed);
        delivery_before_loss(r, s, log_find_prompt(&s->log, prompt));
        log_drop_prompt(&s->log, prompt);
    }
    session_note_end(s, e->prompt);
    if (effect == EFFECT_EXECUTING && s->has_log && !s->status_is_fresh)
        status_tell(r, s);
    s->is_ending = effect != EFFECT_EXECUTING;
    s->status_is_fresh = false;
}

/* What an event tells of its prompt, before the event itself is appended. `s` may be NULL: not known here. */
static void note(struct relay *r, struct session *s, const struct event *e, enum effect effect)
{
    bool is_end = event_ends_prompt(e);
    if (is_end)
        workers_prompt_ended(&r->workers, e->worker, r->ports.codec->read_str(r->ports.codec, e->prompt));
    if (!s)
        return;
    if (is_end)
        note_end(r, s, e, effect);
    else if (effect == EFFECT_START)
        session_note_start(s, e->prompt);
    else if (effect == EFFECT_EXECUTING)
        session_note_executing(s, e->prompt, e->display_node.len > 0 ? e->display_node : e->node);
}

static enum drop_reason to_session(struct relay *r, struct event *e, enum effect effect, uint64_t now_ms)
{
    struct session *s = session_find(&r->sessions, e->sid);
    bool is_heard = s && s->has_log;
    struct frame *f = NULL;
    enum drop_reason reason = r->ports.codec->encode(r->ports.codec, e, is_heard ? &f : NULL);
    if (reason != DROP_NOTHING)
        return reason;
    if (!s && (effect == EFFECT_START || (effect == EFFECT_EXECUTING && e->node.len > 0)))
        s = find_or_add(r, e->sid, now_ms);
    r->metrics.unrouted += !is_heard;
    note(r, s, e, effect);
    if (f)
        delivery_append(r, s, delivery_place(r, e), f);
    if (s && !s->has_log)
        remember_or_forget(r, s, now_ms);
    return DROP_NOTHING;
}

static enum drop_reason to_all(struct relay *r, struct event *e)
{
    struct frame *f = NULL;
    enum drop_reason reason = r->ports.codec->encode(r->ports.codec, e, TAILQ_EMPTY(&r->open) ? NULL : &f);
    if (reason != DROP_NOTHING)
        return reason;
    r->metrics.broadcasts++;
    struct session *s;
    struct place p = delivery_place(r, e);
    TAILQ_FOREACH (s, &r->open, in_open)
        delivery_append(r, s, p, frame_ref(f));
    frame_unref(f);
    return DROP_NOTHING;
}

/* Events about workers */

static enum drop_reason worker_verdict(int error)
{
    return error == 0 ? DROP_NOTHING : error == -ENOBUFS ? DROP_TOO_MANY_WORKERS : DROP_NO_MEMORY;
}

static enum drop_reason note_share(struct relay *r, const struct event *e, uint64_t now_ms)
{
    int64_t share;
    enum drop_reason reason = r->ports.codec->read_share(r->ports.codec, e, &share);
    if (reason != DROP_NOTHING)
        return reason;
    reason = worker_verdict(workers_share(&r->workers, e->worker, share, now_ms));
    status_update(r, now_ms);
    return reason;
}

/* A heartbeat, or (is_entry) its copy in Redis. */
static enum drop_reason take_heartbeat(struct relay *r, struct span worker, struct span data, bool is_entry,
                                       uint64_t now_ms)
{
    struct heartbeat h;
    enum drop_reason reason = r->ports.codec->read_heartbeat(r->ports.codec, data, &h);
    if (reason != DROP_NOTHING)
        return reason;
    if (worker.len == 0)
        return DROP_BAD_ENVELOPE;
    reason = worker_verdict(
        (is_entry ? workers_entry : workers_heartbeat)(&r->workers, worker, &h, now_ms, &r->on_worker));
    status_update(r, now_ms);
    return reason;
}

void relay_worker_entry(struct relay *r, struct span worker, struct span entry, uint64_t now_ms)
{
    enum drop_reason reason = take_heartbeat(r, worker, entry, true, now_ms);
    if (reason != DROP_NOTHING)
        r->metrics.dropped[reason]++;
}

static void on_worker_lost(struct workers_listener *self, const struct worker *w, bool is_restart)
{
    struct relay *r = (struct relay *)((char *)self - offsetof(struct relay, on_worker));
    const struct session *s = session_find(&r->sessions, worker_span(w->sid));
    struct span prompt = s ? r->ports.codec->read_str(r->ports.codec, session_prompt(s)) : SPAN_NONE;
    bool is_known = s && span_equals(prompt, worker_span(w->prompt));
    r->metrics.lost_workers++;
    r->ports.registry->lost(r->ports.registry, w, is_restart, is_known ? session_node(s) : SPAN_NONE);
}

/* Receiving */

static enum drop_reason route(struct relay *r, struct event *e, uint64_t now_ms)
{
    enum effect effect = event_effect(e);
    workers_saw(&r->workers, e->worker, now_ms);
    switch (effect) {
    case EFFECT_STATUS:
        return note_share(r, e, now_ms);
    case EFFECT_WORKER:
        return take_heartbeat(r, e->worker, e->data, false, now_ms);
    case EFFECT_CONTRACT:
        return r->ports.codec->encode(r->ports.codec, e, NULL);
    default:
        break;
    }
    if (e->to == TO_NOBODY)
        return DROP_NOBODY;
    return e->to == TO_ALL ? to_all(r, e) : to_session(r, e, effect, now_ms);
}

enum drop_reason relay_receive(struct relay *r, struct span channel_sid, struct span message, uint64_t now_ms)
{
    struct event e;
    enum drop_reason reason = DROP_TOO_LARGE;
    r->metrics.events++;
    if (message.len <= r->config.message_bytes)
        reason = r->ports.codec->decode(r->ports.codec, message, channel_sid, &e);
    if (reason == DROP_NOTHING)
        reason = route(r, &e, now_ms);
    r->metrics.dropped[reason]++;
    return reason;
}

void relay_flush(struct relay *r)
{
    while (!TAILQ_EMPTY(&r->dirty))
        delivery_write(r, TAILQ_FIRST(&r->dirty));
}

/* Subscriptions */

static void go_live(struct relay *r, struct cursor *c)
{
    TAILQ_REMOVE(&r->waiting, c, in_waiting);
    c->state = CURSOR_LIVE;
    delivery_mark(r, c->session);
}

static void subscribe(struct relay *r, struct session *s)
{
    s->subscription = SUBSCRIPTION_ASKED;
    r->ports.channels->subscribe(r->ports.channels, session_sid(s));
}

static void subscribe_again(struct session *s, void *arg)
{
    if (s->has_log)
        subscribe(arg, s);
}

void relay_link_up(struct relay *r, uint64_t now_ms)
{
    r->link_is_up = true;
    workers_pardon(&r->workers, now_ms); /* they could not be heard until now */
    session_each(&r->sessions, subscribe_again, r);
}

static void forget_subscription(struct session *s, void *arg)
{
    (void)arg;
    s->subscription = SUBSCRIPTION_NONE;
}

void relay_link_down(struct relay *r)
{
    r->link_is_up = false;
    session_each(&r->sessions, forget_subscription, NULL);
    while (!TAILQ_EMPTY(&r->waiting))
        go_live(r, TAILQ_FIRST(&r->waiting));
    relay_flush(r);
}

void relay_subscribed(struct relay *r, struct span sid)
{
    struct session *s = session_find(&r->sessions, sid);
    if (!s || s->subscription != SUBSCRIPTION_ASKED)
        return;
    s->subscription = SUBSCRIPTION_ACTIVE;
    struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session)
        if (c->state == CURSOR_WAITING)
            go_live(r, c);
}

/* Sockets */

/* The first frames of a socket: its status with the sid, then the last node when its prompt executes. */
static int greet(struct relay *r, struct session *s, struct cursor *c)
{
    struct frame *status = r->ports.codec->make_status(r->ports.codec, r->workers.sum, session_sid(s));
    if (!status || cursor_push(c, status) < 0)
        return -ENOMEM;
    if (!s->is_executing || s->node_len == 0)
        return 0;
    struct frame *executing = r->ports.codec->make_executing(r->ports.codec, session_node(s));
    return executing && cursor_push(c, executing) == 0 ? 0 : -ENOMEM;
}

/* The older sockets receive nothing more, whatever happens to the newer one. */
static void silence_older(struct relay *r, struct session *s)
{
    struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session) {
        if (c->state == CURSOR_SILENT)
            break; /* and so are those that are older still */
        if (c->state == CURSOR_WAITING) {
            go_live(r, c); /* its first status it gets in any case */
            delivery_resume(r, c);
        }
        c->state = CURSOR_SILENT;
        cursor_drop_own(c);
    }
}

static void open_session(struct relay *r, struct session *s)
{
    if (s->is_expiring)
        TAILQ_REMOVE(&r->expiring, s, in_expiry);
    s->is_expiring = false;
    s->has_log = true;
    if (TAILQ_EMPTY(&s->cursors))
        TAILQ_INSERT_TAIL(&r->open, s, in_open);
    if (s->subscription == SUBSCRIPTION_NONE && r->link_is_up)
        subscribe(r, s);
}

void relay_writable(struct relay *r, struct cursor *c)
{
    c->is_blocked = false;
    if (c->session)
        delivery_resume(r, c);
}

int relay_attach(struct relay *r, struct cursor *c, struct span sid, uint64_t now_ms)
{
    assert(!c->session && sid_is_valid(sid));
    struct session *s = find_or_add(r, sid, now_ms);
    if (!s || greet(r, s, c) < 0) {
        cursor_drop_own(c);
        r->metrics.out_of_memory++;
        return -ENOMEM;
    }
    if (!r->config.share)
        silence_older(r, s);
    open_session(r, s);
    TAILQ_INSERT_HEAD(&s->cursors, c, in_session);
    c->session = s;
    c->seq = s->log.next_seq;
    c->state = CURSOR_WAITING;
    c->wait_until_ms = now_ms + RELAY_FIRST_STATUS_MS;
    TAILQ_INSERT_TAIL(&r->waiting, c, in_waiting);
    status_note_greeting(r, s, !r->config.share || !TAILQ_NEXT(c, in_session));
    if (s->subscription == SUBSCRIPTION_ACTIVE || !r->link_is_up)
        go_live(r, c);
    return 0;
}

void relay_detach(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    struct session *s = c->session;
    if (!s)
        return;
    if (c->state == CURSOR_WAITING)
        TAILQ_REMOVE(&r->waiting, c, in_waiting);
    TAILQ_REMOVE(&s->cursors, c, in_session);
    cursor_drop_own(c);
    c->session = NULL;
    c->state = CURSOR_NONE;
    delivery_trim(s);
    if (!TAILQ_EMPTY(&s->cursors))
        return;
    TAILQ_REMOVE(&r->open, s, in_open);
    expire_later(r, s, now_ms);
}

/* The clock */

static void expire_sessions(struct relay *r, uint64_t now_ms)
{
    struct session *s;
    while ((s = TAILQ_FIRST(&r->expiring)) && now_ms >= s->expires_at_ms) {
        /* Until Redis has answered, a later answer could be taken for that of a new session with this sid. */
        if (s->subscription == SUBSCRIPTION_ASKED)
            expire_later(r, s, now_ms);
        else
            forget(r, s);
    }
}

static void release_waiting(struct relay *r, uint64_t now_ms)
{
    struct cursor *c;
    while ((c = TAILQ_FIRST(&r->waiting)) && now_ms >= c->wait_until_ms)
        go_live(r, c);
}

void relay_tick(struct relay *r, uint64_t now_ms)
{
    if (r->link_is_up)
        workers_expire(&r->workers, now_ms, r->config.worker_timeout_ms, &r->on_worker);
    release_waiting(r, now_ms);
    status_update(r, now_ms);
    expire_sessions(r, now_ms);
    relay_flush(r);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t relay_next_ms(const struct relay *r)
{
    uint64_t next = TAILQ_EMPTY(&r->dirty) ? UINT64_MAX : 0;
    if (r->link_is_up)
        next = earliest(next, workers_next_ms(&r->workers, r->config.worker_timeout_ms));
    if (!TAILQ_EMPTY(&r->waiting))
        next = earliest(next, TAILQ_FIRST(&r->waiting)->wait_until_ms);
    next = earliest(next, status_next_ms(r));
    if (!TAILQ_EMPTY(&r->expiring))
        next = earliest(next, TAILQ_FIRST(&r->expiring)->expires_at_ms);
    return next;
}

/* The whole */

int relay_init(struct relay *r, const struct relay_config *config, const struct ports *ports,
               const uint64_t seed[2])
{
    *r = (struct relay){.config = *config, .ports = *ports, .on_worker = {on_worker_lost}};
    TAILQ_INIT(&r->dirty);
    TAILQ_INIT(&r->open);
    TAILQ_INIT(&r->expiring);
    TAILQ_INIT(&r->waiting);
    workers_init(&r->workers, seed);
    return session_table_init(&r->sessions, seed);
}

void relay_deinit(struct relay *r)
{
    assert(TAILQ_EMPTY(&r->open));
    session_table_deinit(&r->sessions);
    workers_deinit(&r->workers);
}

void relay_configure(struct relay *r, const struct relay_config *config)
{
    r->config = *config;
}

static void measure_session(struct session *s, void *arg)
{
    struct metrics *m = arg;
    m->log_events += s->log.live;
    m->log_bytes += s->log.bytes;
}

const struct metrics *relay_measure(struct relay *r)
{
    r->metrics.sessions = r->sessions.count;
    r->metrics.workers = r->workers.count;
    r->metrics.queue_remaining = (uint64_t)r->workers.sum;
    r->metrics.log_events = r->metrics.log_bytes = 0;
    session_each(&r->sessions, measure_session, &r->metrics);
    return &r->metrics;
}
