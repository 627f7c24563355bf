#include "relay/relay.h"

#include <assert.h>
#include <errno.h>

#include "relay/hash.h"
#include "relay/sid.h"

/* Writing */

static void mark_dirty(struct relay *r, struct session *s)
{
    if (s->is_dirty)
        return;
    s->is_dirty = true;
    TAILQ_INSERT_TAIL(&r->dirty, s, in_dirty);
}

static void clear_dirty(struct relay *r, struct session *s)
{
    if (!s->is_dirty)
        return;
    s->is_dirty = false;
    TAILQ_REMOVE(&r->dirty, s, in_dirty);
}

/* Drops from the log what every socket has. */
static void trim_read(struct session *s)
{
    if (s->log.count > 0)
        log_trim(&s->log, session_needed_from(s));
}

/* A socket that fell behind the trimmed end goes on from the oldest that is held. */
static void count_gap(struct relay *r, struct cursor *c)
{
    if (c->seq >= c->session->log.trimmed_to)
        return;
    c->seq = c->session->log.trimmed_to;
    r->metrics.replay_gaps++;
}

static void write_cursor(struct relay *r, struct cursor *c)
{
    if (c->state != CURSOR_LIVE || c->is_blocked)
        return;
    count_gap(r, c);
    r->ports.sockets->write(r->ports.sockets, c);
}

static void write_session(struct relay *r, struct session *s)
{
    struct cursor *c;
    clear_dirty(r, s);
    TAILQ_FOREACH (c, &s->cursors, in_session)
        write_cursor(r, c);
    trim_read(s);
}

void relay_flush(struct relay *r)
{
    while (!TAILQ_EMPTY(&r->dirty))
        write_session(r, TAILQ_FIRST(&r->dirty));
}

void relay_writable(struct relay *r, struct cursor *c)
{
    c->is_blocked = false;
    if (!c->session)
        return;
    write_cursor(r, c);
    trim_read(c->session);
}

/* Appending */

/* True when a socket that is not slow lacks the entry at seq: then it is written to before the entry goes, so
 * that only slow sockets ever see fewer events than were published. */
static bool is_awaited(const struct session *s, uint64_t seq)
{
    const struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session)
        if (c->state == CURSOR_LIVE && !c->is_blocked && c->seq <= seq)
            return true;
    return false;
}

static void write_before_loss(struct relay *r, struct session *s, uint64_t seq)
{
    if (seq > 0 && is_awaited(s, seq))
        write_session(r, s);
}

static void append(struct relay *r, struct session *s, struct frame *take_frame, uint64_t key,
                   uint64_t prompt)
{
    bool replaced = false;
    if (log_append(&s->log, take_frame, key, prompt, &r->config.log, &replaced) < 0)
        r->metrics.out_of_memory++;
    r->metrics.conflated += replaced;
    mark_dirty(r, s);
}

/* Over its limits the log loses its oldest entry: those who can take it get it before. */
static void write_before_trim(struct relay *r, struct session *s, size_t more_bytes)
{
    bool is_full = s->log.live >= r->config.log.events || s->log.bytes + more_bytes > r->config.log.bytes;
    if (is_full && s->log.live > 0)
        write_session(r, s);
}

/* What of an event its place in a log depends on. */
struct place {
    uint64_t key;    /* conflation key */
    uint64_t prompt; /* hash of its prompt, 0: none, or of no interest */
};

static struct place place_of(const struct relay *r, const struct event *e)
{
    struct place p = {.key = event_conflation_key(e, r->sessions.seed)};
    if (p.key != 0 && e->prompt.len > 0)
        p.prompt = hash_bytes(e->prompt, r->sessions.seed);
    return p;
}

static void append_event(struct relay *r, struct session *s, struct place p, struct frame *take_frame)
{
    write_before_loss(r, s, log_find_key(&s->log, p.key));
    write_before_trim(r, s, take_frame->len);
    append(r, s, take_frame, p.key, p.prompt);
}

/* The status that clients see */

#define TOLD_NOTHING (-1)

static void tell(struct relay *r, struct session *s, struct frame *borrowed)
{
    write_before_trim(r, s, borrowed->len);
    append(r, s, frame_ref(borrowed), 0, 0);
    s->told = r->workers.sum;
    s->status_is_fresh = s->is_ending;
}

/* One session, or one of its sockets, knows another number than the rest: compare each when it is due. */
static void note_difference(struct relay *r)
{
    if (r->told != r->workers.sum)
        r->told = TOLD_NOTHING;
}

static void tell_one(struct relay *r, struct session *s)
{
    struct frame *f = r->ports.codec->make_status(r->ports.codec, r->workers.sum, SPAN_NONE);
    if (!f) {
        r->metrics.out_of_memory++;
        return;
    }
    tell(r, s, f);
    frame_unref(f);
    note_difference(r);
}

/* What a socket was greeted with. Its session is told again unless all that receive know the number. */
static void note_greeting(struct relay *r, struct session *s, bool is_only_one)
{
    if (is_only_one)
        s->told = r->workers.sum;
    else if (s->told != r->workers.sum)
        s->told = TOLD_NOTHING;
    note_difference(r);
}

static bool status_is_due(const struct relay *r)
{
    return r->told != r->workers.sum;
}

/* A session that was told this number at its prompt's end is not told it again. */
static void broadcast_status(struct relay *r, uint64_t now_ms)
{
    struct frame *f = r->ports.codec->make_status(r->ports.codec, r->workers.sum, SPAN_NONE);
    r->told_at_ms = now_ms; /* without memory too: it is tried again an interval later */
    if (!f) {
        r->metrics.out_of_memory++;
        return;
    }
    struct session *s;
    TAILQ_FOREACH (s, &r->open, in_open)
        if (s->told != r->workers.sum)
            tell(r, s, f);
    frame_unref(f);
    r->told = r->workers.sum;
}

static void update_status(struct relay *r, uint64_t now_ms)
{
    if (status_is_due(r) && now_ms >= r->told_at_ms + r->config.status_interval_ms)
        broadcast_status(r, now_ms);
}

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
    clear_dirty(r, s);
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
        write_before_loss(r, s, log_find_prompt(&s->log, prompt));
        log_drop_prompt(&s->log, prompt);
    }
    session_note_end(s, e->prompt);
    if (effect == EFFECT_EXECUTING && s->has_log && !s->status_is_fresh)
        tell_one(r, s);
    s->is_ending = effect != EFFECT_EXECUTING;
    s->status_is_fresh = false;
}

/* What an event tells of its prompt, before the event itself is appended. `s` may be NULL: not known here. */
static void note(struct relay *r, struct session *s, const struct event *e, enum effect effect)
{
    bool is_end = event_ends_prompt(e);
    if (is_end)
        workers_prompt_ended(&r->workers, r->ports.codec->read_str(r->ports.codec, e->prompt));
    if (!s)
        return;
    if (is_end)
        note_end(r, s, e, effect);
    else if (effect == EFFECT_START)
        session_note_start(s, e->prompt);
    else if (effect == EFFECT_EXECUTING)
        session_note_executing(s, e->prompt, e->display_node.len > 0 ? e->display_node : e->node);
}

static enum drop_reason to_session(struct relay *r, struct event *e, uint64_t now_ms)
{
    enum effect effect = event_effect(e);
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
        append_event(r, s, place_of(r, e), f);
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
    struct place p = place_of(r, e);
    TAILQ_FOREACH (s, &r->open, in_open)
        append_event(r, s, p, frame_ref(f));
    frame_unref(f);
    return DROP_NOTHING;
}

/* Events about workers */

static enum drop_reason note_share(struct relay *r, const struct event *e, uint64_t now_ms)
{
    int64_t share;
    enum drop_reason reason = r->ports.codec->read_share(r->ports.codec, e, &share);
    if (reason != DROP_NOTHING)
        return reason;
    if (workers_share(&r->workers, e->worker, share, now_ms) < 0)
        return DROP_NO_MEMORY;
    update_status(r, now_ms);
    return DROP_NOTHING;
}

static enum drop_reason note_heartbeat(struct relay *r, const struct event *e, uint64_t now_ms)
{
    struct heartbeat h;
    enum drop_reason reason = r->ports.codec->read_heartbeat(r->ports.codec, e->data, &h);
    if (reason != DROP_NOTHING)
        return reason;
    if (e->worker.len == 0)
        return DROP_BAD_ENVELOPE;
    if (workers_heartbeat(&r->workers, e->worker, &h, now_ms, &r->on_worker) < 0)
        return DROP_NO_MEMORY;
    update_status(r, now_ms);
    return DROP_NOTHING;
}

void relay_worker_entry(struct relay *r, struct span worker, struct span entry, uint64_t now_ms)
{
    struct heartbeat h;
    enum drop_reason reason = r->ports.codec->read_heartbeat(r->ports.codec, entry, &h);
    if (reason == DROP_NOTHING && workers_entry(&r->workers, worker, &h, now_ms, &r->on_worker) < 0)
        reason = DROP_NO_MEMORY;
    r->metrics.dropped[reason]++;
    update_status(r, now_ms);
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
    workers_saw(&r->workers, e->worker, now_ms);
    switch (event_effect(e)) {
    case EFFECT_STATUS:
        return note_share(r, e, now_ms);
    case EFFECT_WORKER:
        return note_heartbeat(r, e, now_ms);
    case EFFECT_CONTRACT:
        return r->ports.codec->encode(r->ports.codec, e, NULL);
    default:
        break;
    }
    if (e->to == TO_NOBODY)
        return DROP_NOBODY;
    return e->to == TO_ALL ? to_all(r, e) : to_session(r, e, now_ms);
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

/* Subscriptions */

static void go_live(struct relay *r, struct cursor *c)
{
    TAILQ_REMOVE(&r->waiting, c, in_waiting);
    c->state = CURSOR_LIVE;
    mark_dirty(r, c->session);
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

void relay_link_up(struct relay *r)
{
    r->link_is_up = true;
    r->pardon_is_due = true;
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
        if (c->state == CURSOR_WAITING)
            TAILQ_REMOVE(&r->waiting, c, in_waiting);
        c->state = CURSOR_SILENT;
        cursor_drop_own(c);
    }
    trim_read(s);
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
    note_greeting(r, s, !r->config.share || !TAILQ_NEXT(c, in_session));
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
    trim_read(s);
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
    if (r->pardon_is_due)
        workers_pardon(&r->workers, now_ms);
    r->pardon_is_due = false;
    if (r->link_is_up)
        workers_expire(&r->workers, now_ms, r->config.worker_timeout_ms, &r->on_worker);
    release_waiting(r, now_ms);
    update_status(r, now_ms);
    expire_sessions(r, now_ms);
    relay_flush(r);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t relay_next_ms(const struct relay *r)
{
    uint64_t next = r->pardon_is_due || !TAILQ_EMPTY(&r->dirty) ? 0 : UINT64_MAX;
    if (r->link_is_up)
        next = earliest(next, workers_next_ms(&r->workers, r->config.worker_timeout_ms));
    if (!TAILQ_EMPTY(&r->waiting))
        next = earliest(next, TAILQ_FIRST(&r->waiting)->wait_until_ms);
    if (status_is_due(r))
        next = earliest(next, r->told_at_ms + r->config.status_interval_ms);
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
