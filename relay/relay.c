#include "relay/relay.h"

#include <assert.h>
#include <errno.h>

#include "relay/acks.h"
#include "relay/apply.h"
#include "relay/catchup.h"
#include "relay/delivery.h"
#include "relay/lifetime.h"
#include "relay/readback.h"
#include "relay/resume.h"
#include "relay/sid.h"
#include "relay/status.h"

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

static void on_worker_lost(struct workers_listener *self, const struct worker *w, enum worker_end how)
{
    struct relay *r = (struct relay *)((char *)self - offsetof(struct relay, on_worker));
    const struct session *s = session_find(&r->sessions, worker_span(w->sid));
    struct span prompt = s ? r->ports.codec->read_str(r->ports.codec, session_prompt(s)) : SPAN_NONE;
    bool is_known = s && span_equals(prompt, worker_span(w->prompt));
    r->metrics.lost_workers += how != WORKER_LEFT;
    r->ports.registry->lost(r->ports.registry, w, how, is_known ? session_node(s) : SPAN_NONE);
}

static void on_worker_doubled(struct workers_listener *self, const struct worker *w)
{
    struct relay *r = (struct relay *)((char *)self - offsetof(struct relay, on_worker));
    r->metrics.doubled_workers++;
    r->ports.journal->note(r->ports.journal, NOTE_DOUBLED, worker_span(w->id));
}

/* Receiving */

/* The session belongs to the relay with the newest socket. While our own claim is not answered, its answer decides, unless the
 * other is newer beyond doubt. */
static bool is_newer_than_ours(const struct relay *r, const struct session *s, const struct sender *sender)
{
    const struct cursor *receiver = session_receiver(s);
    const struct archive *a = r->ports.archive;
    if (!receiver || s->owned_ms > 0)
        return !receiver || sender->opened_ms > s->owned_ms;
    return a->has_clock && sender->opened_ms > (int64_t)receiver->opened_ms + a->clock_ms + RELAY_SKEW_MS;
}

/* Redis has taken an older socket's claim: it has forgotten ours, or ours is still to come. */
static void claim_again(struct relay *r, struct session *s, const struct sender *sender)
{
    if (sender->opened_ms > s->heard_ms)
        s->heard_ms = sender->opened_ms;
    if (s->catchup)
        return;
    if (catchup_begin(r, s, CATCHUP_CLAIM) < 0)
        r->metrics.out_of_memory++;
    readback_go_on(r, s);
}

static uint64_t by_our_clock(const struct relay *r, int64_t redis_ms)
{
    int64_t clock_ms = r->ports.archive->clock_ms;
    return redis_ms > clock_ms ? (uint64_t)(redis_ms - clock_ms) : 0;
}

/* What relays tell each other of a session, on its own channel. */
static enum drop_reason take_message(struct relay *r, const struct event *e, enum effect effect,
                                     uint64_t now_ms)
{
    struct sender sender;
    struct session *s = session_find(&r->sessions, e->sid);
    r->metrics.events--; /* it is nobody's event */
    enum drop_reason reason = r->ports.codec->read_sender(r->ports.codec, e->data, &sender);
    bool is_here = s && s->has_log && s->subscription == SUBSCRIPTION_ACTIVE;
    if (reason != DROP_NOTHING || !is_here || r->config.share)
        return reason;
    if (span_equals(sender.name, r->ports.archive->name))
        return DROP_NOTHING;
    if (effect == EFFECT_LEFT)
        resume_forget(s, by_our_clock(r, sender.opened_ms));
    else if (is_newer_than_ours(r, s, &sender))
        lifetime_taken_over(r, s, now_ms);
    else
        claim_again(r, s, &sender);
    return reason;
}

static enum drop_reason route(struct relay *r, struct event *e, struct span channel_sid, struct span message,
                              uint64_t now_ms)
{
    enum effect effect = event_effect(e);
    workers_saw(&r->workers, e->worker, now_ms);
    switch (effect) {
    case EFFECT_STATUS:
        return note_share(r, e, now_ms);
    case EFFECT_WORKER:
        return take_heartbeat(r, e->worker, e->data, false, now_ms);
    case EFFECT_TAKEOVER:
    case EFFECT_LEFT:
        if (channel_sid.len > 0)
            return take_message(r, e, effect, now_ms);
        return r->ports.codec->encode(r->ports.codec, e, NULL);
    case EFFECT_CONTRACT:
        return r->ports.codec->encode(r->ports.codec, e, NULL);
    default:
        return apply_event(r, e, effect, message, now_ms);
    }
}

#define AHEAD_MS  100              /* so much may clocks set by NTP, and times cut to milliseconds, differ */
#define OLDEST_MS (60 * 60 * 1000) /* an older ts is a mistake: nothing live waits for so long */

/* How long it has taken to here. Its ts is taken back where no lag is to be counted, and where it is ahead becomes now. */
static void count_arrival(struct relay *r, struct event *e, uint64_t now_ms)
{
    int64_t now = (int64_t)now_ms + r->unix_ms, lag = now - e->ts_ms;
    if (r->unix_ms == 0 || lag > OLDEST_MS) {
        r->metrics.timestamps[TIMESTAMP_OLD] += r->unix_ms != 0;
        e->ts_ms = 0;
        return;
    }
    if (lag < 0) {
        r->metrics.timestamps[TIMESTAMP_AHEAD] += lag < -AHEAD_MS;
        e->ts_ms = now;
    }
    histogram_add(&r->metrics.arrival_lag, lag > 0 ? (uint64_t)lag : 0, 1);
}

enum drop_reason relay_receive(struct relay *r, struct span channel_sid, struct span message, uint64_t now_ms)
{
    struct event e;
    enum drop_reason reason = DROP_TOO_LARGE;
    r->metrics.events++;
    r->metrics.received_bytes += message.len;
    if (message.len <= r->config.message_bytes)
        reason = r->ports.codec->decode(r->ports.codec, message, channel_sid, &e);
    if (reason == DROP_NOTHING && e.ts_ms != 0)
        count_arrival(r, &e, now_ms);
    if (reason == DROP_NOTHING)
        reason = route(r, &e, channel_sid, message, now_ms);
    r->metrics.dropped[reason]++;
    return reason;
}

void relay_flush(struct relay *r, uint64_t now_ms)
{
    lifetime_bound_memory(r);
    struct session *s;
    while ((s = TAILQ_FIRST(&r->dirty)))
        if (delivery_flush(r, s, now_ms))
            lifetime_bound_log(r, s);
}

/* What Redis keeps of sessions */

void relay_read_back(struct relay *r, struct span sid, uint64_t ticket, const struct archived *entries,
                     size_t count, bool is_last, uint64_t now_ms)
{
    readback_take_back(r, sid, ticket, entries, count, is_last, now_ms);
    relay_flush(r, now_ms);
}

void relay_read_on(struct relay *r, struct span sid, uint64_t ticket, const struct reading *reading,
                   uint64_t now_ms)
{
    readback_take_on(r, sid, ticket, reading, now_ms);
    relay_flush(r, now_ms);
}

bool relay_awaits(const struct relay *r, struct span sid, uint64_t ticket)
{
    const struct session *s = session_find(&r->sessions, sid);
    return s && s->catchup && s->catchup->ticket == ticket;
}

void relay_data_lost(struct relay *r)
{
    readback_note_lost(r);
}

struct again {
    struct relay *relay;
    uint64_t now_ms;
};

static void store_again(struct session *s, void *arg)
{
    const struct again *again = arg;
    s->is_stored = false;
    acks_note(again->relay, s, again->now_ms);
}

void relay_store_again(struct relay *r, uint64_t now_ms)
{
    session_each(&r->sessions, store_again, &(struct again){r, now_ms});
}

void relay_store(struct relay *r, uint64_t now_ms)
{
    acks_store_all(r, now_ms);
}

/* The link */

static void go_on(struct session *s, void *arg)
{
    struct relay *r = arg;
    if (!s->has_log)
        return;
    lifetime_subscribe(r, s);
    if (!s->catchup && catchup_begin(r, s, CATCHUP_OUTAGE) < 0)
        r->metrics.out_of_memory++;
    readback_go_on(r, s);
}

void relay_link_up(struct relay *r, uint64_t now_ms)
{
    r->link_is_up = true;
    workers_pardon(&r->workers, now_ms); /* they could not be heard until now */
    session_each(&r->sessions, go_on, r);
}

static void interrupt(struct session *s, void *arg)
{
    s->subscription = SUBSCRIPTION_NONE;
    s->owned_ms = 0;
    s->is_stored = false; /* what was under way may be lost */
    if (s->catchup)
        catchup_restart(arg, s);
}

void relay_link_down(struct relay *r, uint64_t now_ms)
{
    r->link_is_up = false;
    r->down_at_ms = now_ms;
    session_each(&r->sessions, interrupt, r);
    resume_release(r, now_ms);
    relay_flush(r, now_ms);
}

bool relay_is_caught_up(const struct relay *r)
{
    return r->link_is_up && r->behind == 0;
}

void relay_subscribed(struct relay *r, struct span sid, uint64_t now_ms)
{
    struct session *s = session_find(&r->sessions, sid);
    if (!s || s->subscription != SUBSCRIPTION_ASKED)
        return;
    s->subscription = SUBSCRIPTION_ACTIVE;
    resume_greet(r, s, now_ms);
    resume_place(r, s, now_ms);
    readback_go_on(r, s);
}

void relay_set_clock(struct relay *r, int64_t unix_ms)
{
    r->unix_ms = unix_ms;
}

/* Sockets */

static int greet(struct relay *r, const struct session *s, struct cursor *c)
{
    struct frame *status = r->ports.codec->make_status(r->ports.codec, r->workers.sum, session_sid(s));
    return status && cursor_push(c, status) == 0 ? 0 : -ENOMEM;
}

void relay_settled(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    resume_settled(r, c, now_ms);
    relay_flush(r, now_ms);
}

void relay_acknowledge(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    resume_acknowledge(r, c, now_ms);
}

void relay_page_left(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    resume_page_left(r, c, now_ms);
}

void relay_writable(struct relay *r, struct cursor *c)
{
    c->is_blocked = false;
    if (c->session)
        delivery_resume(r, c);
}

/* Where it will begin: by the log here, or, when that is not enough, by what Redis has. In any case the session is claimed
 * for it; without the link, when that is back. */
static int find_place(struct relay *r, struct session *s, struct cursor *c, bool is_new, uint64_t now_ms)
{
    bool may_claim = r->link_is_up && !r->config.share;
    resume_prepare(s, c, s->log.next_seq, now_ms);
    if (s->catchup)
        return 0;
    if (is_new || (may_claim && !resume_reaches(s)))
        return catchup_begin(r, s, CATCHUP_NEW);
    return may_claim ? catchup_begin(r, s, CATCHUP_CLAIM) : 0;
}

static void join(struct session *s, struct cursor *c, uint64_t now_ms)
{
    c->opened_ms = now_ms;
    TAILQ_INSERT_HEAD(&s->cursors, c, in_session);
    c->session = s;
}

int relay_attach(struct relay *r, struct cursor *c, struct span sid, uint64_t now_ms)
{
    assert(!c->session && sid_is_valid(sid));
    struct session *s = lifetime_find_or_add(r, sid, now_ms);
    bool is_new = s && !s->has_log;
    if (!s || greet(r, s, c) < 0 || find_place(r, s, c, is_new, now_ms) < 0) {
        cursor_drop_own(c);
        r->metrics.out_of_memory++;
        return -ENOMEM;
    }
    if (!r->config.share)
        resume_silence(r, s, now_ms);
    if (s->catchup && !r->config.share)
        aside_drop_frames(&s->catchup->live); /* broadcasts of before, for those that are silent now */
    join(s, c, now_ms);
    s->owned_ms = 0;
    lifetime_open(r, s);
    readback_go_on(r, s);
    resume_wait(r, c, now_ms);
    status_note_greeting(r, s, !r->config.share || !TAILQ_NEXT(c, in_session));
    if (!r->link_is_up)
        resume_hold(r, c, now_ms);
    resume_greet(r, s, now_ms);
    resume_place(r, s, now_ms);
    return 0;
}

void relay_detach(struct relay *r, struct cursor *c, uint64_t now_ms)
{
    struct session *s = c->session;
    if (!s)
        return;
    resume_leave(r, c, now_ms);
    TAILQ_REMOVE(&s->cursors, c, in_session);
    c->session = NULL;
    c->state = CURSOR_NONE;
    delivery_trim(s);
    resume_place(r, s, now_ms); /* the newest, if it waited for this one's end */
    if (TAILQ_EMPTY(&s->cursors))
        lifetime_close(r, s, now_ms);
}

/* The clock */

void relay_tick(struct relay *r, uint64_t now_ms)
{
    if (r->link_is_up)
        workers_expire(&r->workers, now_ms, r->config.worker_timeout_ms, &r->on_worker);
    resume_tick(r, now_ms);
    status_update(r, now_ms);
    acks_store_due(r, now_ms);
    lifetime_expire(r, now_ms);
    delivery_tick(r, now_ms);
    relay_flush(r, now_ms);
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
    next = earliest(next, resume_next_ms(r));
    next = earliest(next, status_next_ms(r));
    next = earliest(next, acks_next_ms(r));
    next = earliest(next, delivery_next_ms(r));
    return earliest(next, lifetime_next_ms(r));
}

/* The whole */

int relay_init(struct relay *r, const struct relay_config *config, const struct ports *ports,
               const uint64_t seed[2])
{
    *r = (struct relay){.config = *config, .ports = *ports, .on_worker = {on_worker_lost, on_worker_doubled}};
    TAILQ_INIT(&r->dirty);
    TAILQ_INIT(&r->company);
    TAILQ_INIT(&r->open);
    TAILQ_INIT(&r->expiring);
    TAILQ_INIT(&r->waiting);
    TAILQ_INIT(&r->held);
    TAILQ_INIT(&r->queue);
    TAILQ_INIT(&r->unstored);
    TAILQ_INIT(&r->stored);
    workers_init(&r->workers, seed);
    return session_table_init(&r->sessions, seed);
}

static void abandon(struct session *s, void *arg)
{
    catchup_abandon(arg, s);
}

void relay_deinit(struct relay *r)
{
    assert(TAILQ_EMPTY(&r->open));
    session_each(&r->sessions, abandon, r);
    session_table_deinit(&r->sessions);
    workers_deinit(&r->workers);
}

void relay_configure(struct relay *r, const struct relay_config *config)
{
    r->config = *config;
    while (!TAILQ_EMPTY(&r->company)) /* their time was another one */
        delivery_mark(r, TAILQ_FIRST(&r->company));
}

static void measure_session(struct session *s, void *arg)
{
    struct metrics *m = arg;
    m->log_events += s->log.live;
    m->memory[MEMORY_SESSIONS] += session_bytes(s);
    m->memory[MEMORY_LOGS] += log_room_bytes(&s->log);
    m->memory[MEMORY_CATCHUPS] += s->catchup ? catchup_bytes(s->catchup) : 0;
}

const struct metrics *relay_measure(struct relay *r)
{
    r->metrics.memory_limit = r->config.memory_bytes;
    r->metrics.sessions = r->sessions.count;
    r->metrics.workers = r->workers.count;
    r->metrics.queue_remaining = (uint64_t)r->workers.sum;
    r->metrics.reading = r->catching_up;
    r->metrics.log_bytes = r->sessions.logs.bytes;
    r->metrics.log_events = 0;
    r->metrics.memory[MEMORY_SESSIONS] = session_table_bytes(&r->sessions);
    r->metrics.memory[MEMORY_LOGS] = r->metrics.memory[MEMORY_CATCHUPS] = 0;
    r->metrics.memory[MEMORY_FRAMES] = r->sessions.logs.held;
    r->metrics.memory[MEMORY_WORKERS] = workers_bytes(&r->workers);
    session_each(&r->sessions, measure_session, &r->metrics);
    return &r->metrics;
}

#define SOCKET_BYTES 512 /* about; what its owner has for one */

size_t relay_held_bytes(const struct relay *r)
{
    return r->sessions.logs.held + r->sessions.count * sizeof(struct session) +
           r->metrics.connections * SOCKET_BYTES;
}
