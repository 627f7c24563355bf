#include "tests/support/core_client.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#define OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static unsigned long long num(uint64_t n)
{
    return (unsigned long long)n;
}

void client_blame(struct client *c, const char *format, ...)
{
    if (c->fault[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->fault, sizeof c->fault, format, arguments);
    va_end(arguments);
    world_say(c->world, "BROKEN: %s", c->fault);
}

static int index_of(const struct client_socket *s)
{
    return (int)(s - s->client->sockets);
}

/* From the relay's socket to the client */

static struct flight parse(const struct frame *f)
{
    static const struct {
        const char *key;
        enum arrival what;
    } kinds[] = {{"k", ARRIVED_KEPT}, {"l", ARRIVED_LATEST}, {"b", ARRIVED_BROADCAST}};
    struct flight flight = {ARRIVED_NODE, false, false, 0};
    struct span line = line_of_frame(f, &flight.is_old_form);
    if (flight.is_old_form) { /* the picture says whose it is */
        flight.what = line.bytes[0] == 'K' ? ARRIVED_KEPT : ARRIVED_LATEST;
        for (size_t i = 1; i < line.len; i++)
            flight.number = 10 * flight.number + (uint64_t)(line.bytes[i] - '0');
        return flight;
    }
    if (span_starts_with(line, "status"))
        flight.what = line_value(line, "sid").len > 0 ? ARRIVED_GREETING : ARRIVED_STATUS;
    flight.has_metadata = span_starts_with(line, "#4");
    for (size_t i = 0; i < 3; i++)
        if (line_value(line, kinds[i].key).len > 0) {
            flight.what = kinds[i].what;
            flight.number = (uint64_t)line_number(line, kinds[i].key);
        }
    return flight;
}

static void put(struct client_socket *s, struct flight flight)
{
    if (s->first + s->count == CLIENT_FLIGHT_MAX)
        client_blame(s->client, "too much is in flight");
    else
        s->flights[s->first + s->count++] = flight;
}

static void send_frame(struct client_socket *s, const struct frame *f)
{
    struct client *c = s->client;
    struct flight flight = parse(f);
    if (s->must_be_silent)
        client_blame(c, "socket %d was silenced and gets a frame", index_of(s));
    if (flight.what == ARRIVED_GREETING) {
        bool in_time = c->world->now_ms < s->joined_at_ms + RELAY_FIRST_STATUS_MS;
        bool hears = s->relay->is_connected && s->relay->is_subscribed && in_time;
        s->after_status = hears ? c->events.k + 1 : UINT64_MAX;
        s->greeted_at_ms = c->world->now_ms;
    }
    put(s, flight);
}

static void write_socket(struct sockets *self, struct cursor *cursor)
{
    struct client_socket *s = OWNER(cursor, struct client_socket, cursor);
    struct frame *frames[3];
    (void)self;
    if (cursor->state != CURSOR_LIVE && cursor->state != CURSOR_HELD)
        client_blame(s->client, "socket %d is written to in state %d", index_of(s), (int)cursor->state);
    for (int n = 1; n > 0 && !cursor->is_blocked;) {
        int taken = 0;
        n = cursor_peek(cursor, frames, 3, &(bool){0});
        while (taken < n && s->count < s->room)
            send_frame(s, frames[taken++]);
        cursor_take(cursor, taken, &s->relay->relay.metrics, s->client->world->now_ms);
        cursor->is_blocked = taken < n;
    }
}

/* What the client reads */

/* Something may be missing only where a relay has said so. */
static bool may_miss(const struct client *c)
{
    return c->world->has_lost_data || world_gaps(c->world) > 0;
}

static void read_kept(struct client *c, struct client_socket *s, uint64_t k)
{
    if (s->last_k == 0 && k > s->limit && !may_miss(c))
        client_blame(c, "socket %d begins with %llu and not with %llu", index_of(s), num(k), num(s->limit));
    if (s->last_k > 0 && k <= s->last_k)
        client_blame(c, "socket %d gets %llu after %llu", index_of(s), num(k), num(s->last_k));
    if (s->last_k > 0 && k > s->last_k + 1 && !may_miss(c))
        client_blame(c, "socket %d gets %llu after %llu", index_of(s), num(k), num(s->last_k));
    s->last_k = k;
    if (k >= c->next_k)
        c->next_k = k + 1;
    if (c->events.ended[k] > c->ended_prompt)
        c->ended_prompt = c->events.ended[k];
}

static void read_latest(struct client *c, struct client_socket *s, uint64_t l)
{
    uint64_t *seen = &c->seen_l[c->events.key[l]];
    if (s->was_cut_off || c->world->has_lost_data)
        return; /* its relay may not know what others have shown the page */
    if (l < *seen)
        client_blame(c, "socket %d gets conflated %llu after %llu", index_of(s), num(l), num(*seen));
    if (c->events.prompt[l] <= c->ended_prompt)
        client_blame(c, "socket %d gets conflated %llu after the end of its prompt", index_of(s), num(l));
    *seen = l > *seen ? l : *seen;
}

static void read_form(struct client *c, struct client_socket *s, const struct flight *f)
{
    bool told = s->flags_at_ms != UINT64_MAX;
    if (f->has_metadata && !(told && c->wants_metadata))
        client_blame(c, "socket %d gets metadata that it did not ask for", index_of(s));
    bool in_time = told && s->flags_at_ms < s->greeted_at_ms + RELAY_PLACING_MS;
    bool is_replay = f->what == ARRIVED_KEPT && f->number <= s->published;
    if (f->is_old_form && c->wants_metadata && in_time && is_replay)
        client_blame(c, "socket %d is replayed %llu in the form without metadata", index_of(s),
                     num(f->number));
}

static void read_flight(struct client *c, struct client_socket *s, const struct flight *f)
{
    static const char *const names[] = {"greeting", "status", "node", "kept", "latest", "broadcast", "ping"};
    world_say(c->world, "client reads at %d: %s %llu%s", index_of(s), names[f->what], num(f->number),
              f->is_old_form ? " in the old form" : "");
    if (!s->has_greeting && f->what != ARRIVED_GREETING && f->what != ARRIVED_PING)
        client_blame(c, "socket %d: its first frame is not its status", index_of(s));
    if (f->what == ARRIVED_GREETING && s->has_greeting)
        client_blame(c, "socket %d is greeted twice", index_of(s));
    s->has_greeting = s->has_greeting || f->what == ARRIVED_GREETING;
    read_form(c, s, f);
    if (f->what == ARRIVED_KEPT)
        read_kept(c, s, f->number);
    else if (f->what == ARRIVED_LATEST)
        read_latest(c, s, f->number);
    else if (f->what == ARRIVED_BROADCAST && f->number <= s->broadcasts)
        client_blame(c, "socket %d gets broadcast %llu of before", index_of(s), num(f->number));
    else if (f->what == ARRIVED_PING)
        s->pong = f->number;
}

static struct client_socket *current(struct client *c)
{
    return c->current < 0 ? NULL : &c->sockets[c->current];
}

static void take_more(struct client_socket *s)
{
    if (s->is_attached && s->cursor.is_blocked && s->count < s->room)
        relay_writable(&s->relay->relay, &s->cursor);
}

void client_read(struct client *c, size_t frames)
{
    struct client_socket *s = current(c);
    for (; s && frames > 0 && s->count > 0; frames--) {
        struct flight f = s->flights[s->first++];
        s->count--;
        read_flight(c, s, &f);
        if (s->count == 0)
            s->first = 0;
        take_more(s);
    }
}

void client_set_room(struct client *c, size_t room)
{
    struct client_socket *s = current(c);
    if (!s)
        return;
    s->room = room;
    take_more(s);
}

/* Connections */

static bool is_catching_up(const struct world_relay *r)
{
    const struct session *s = session_find(&r->relay.sessions, span_str(WORLD_SID));
    return s && s->catchup;
}

static bool has_leave(const struct world_queue *q)
{
    for (size_t i = 0; i < q->count; i++) {
        const struct world_item *item = &q->items[q->first + i];
        if (item->kind == WORLD_LEAVE ||
            (item->kind == WORLD_ON_CHANNEL && span_starts_with(item->text, "relay.left")))
            return true;
    }
    return false;
}

/* Is some page's leaving on its way? */
static bool leaves_are_pending(const struct client *c)
{
    for (int i = 0; i < c->count; i++)
        if (c->sockets[i].is_attached && c->sockets[i].says_away)
            return true;
    for (int i = 0; i < c->world->count; i++)
        if (has_leave(&c->world->relays[i].commands) || has_leave(&c->world->relays[i].heard))
            return true;
    return false;
}

static const struct memory_session *in_redis(const struct client *c)
{
    return memory_redis_session(&c->world->redis, span_str(WORLD_SID));
}

/* A place that was not stored yet is lost with its relay: the client is then one that was never seen. */
static bool is_known_to(const struct client *c, const struct world_relay *r)
{
    struct reached place;
    const struct session *s = session_find(&r->relay.sessions, span_str(WORLD_SID));
    return in_redis(c)->has_ack || (s && s->has_log && session_place(s, &place));
}

/* The page was, or is, served by a relay that was cut off from Redis: what that knew of its place, others do not.
 * Or, where all sockets receive, this relay has had the session before, and its own view of it. */
static bool may_have_gone_astray(const struct client *c, const struct world_relay *r)
{
    if (c->is_astray)
        return true;
    if (!r->is_connected && c->count > 1 && c->sockets[c->count - 2].number != r->number)
        return true;
    for (int i = 0; i < c->count - 1; i++) {
        const struct client_socket *old = &c->sockets[i];
        if (old->page == c->page && old->was_cut_off)
            return true;
        if (c->world->config.share && old->number == r->number &&
            c->sockets[c->count - 2].number != r->number)
            return true;
    }
    return false;
}

static void silence_older(struct client *c, const struct client_socket *newest)
{
    for (int i = 0; i < c->count; i++) {
        struct client_socket *s = &c->sockets[i];
        if (s != newest && s->is_attached && s->relay == newest->relay && !c->world->config.share)
            s->must_be_silent = true;
    }
}

void client_connect(struct client *c, struct world_relay *r)
{
    struct client_socket *s = &c->sockets[c->count];
    memset(s, 0, offsetof(struct client_socket, flights));
    s->client = c;
    s->relay = r;
    s->number = r->number;
    s->page = c->page;
    s->room = CLIENT_FLIGHT_MAX / 2;
    s->pings = s->pong = s->last_k = 0;
    s->limit = s->after_status = s->flags_at_ms = UINT64_MAX;
    bool is_whole = r->is_connected && !is_catching_up(r); /* else what is read later is live */
    s->published = is_whole ? c->events.k : 0;
    s->broadcasts =
        c->world->config.share && is_catching_up(r) ? 0 : r->broadcasts; /* others wait for these */
    s->lefts = r->lefts;
    s->leaves_pending = leaves_are_pending(c);
    c->world->now_ms += 2 * RELAY_SKEW_MS; /* no two sockets of a client are opened at once */
    s->joined_at_ms = c->world->now_ms;
    s->was_cut_off = !r->is_connected;
    s->is_attached = true;
    c->current = c->count++;
    world_say(c->world, "page %d connects to %s: socket %d", c->page, r->name, c->current);
    if (!is_known_to(c, r) || s->leaves_pending || may_have_gone_astray(c, r))
        c->next_k = 0;
    if (c->next_k > 0)
        s->limit = c->next_k;
    if (relay_attach(&r->relay, &s->cursor, span_str(WORLD_SID), c->world->now_ms) < 0)
        client_blame(c, "socket %d could not be attached", index_of(s));
    silence_older(c, s);
    relay_flush(&r->relay, c->world->now_ms);
}

void client_cut(struct client *c)
{
    struct client_socket *s = current(c);
    if (!s)
        return;
    world_say(c->world, "socket %d is cut", c->current);
    s->is_cut = true;
    s->count = s->first = 0;
    s->room = 8;
    c->current = -1;
}

void client_close(struct client *c)
{
    struct client_socket *s = current(c);
    if (!s)
        return;
    world_say(c->world, "socket %d closes%s", c->current, s->says_away ? " with 1001" : "");
    s->is_cut = s->has_ended = true;
    s->count = s->first = 0;
    c->current = -1;
}

static void new_page(struct client *c)
{
    c->page++;
    c->is_astray = false;
    c->next_k = c->ended_prompt = 0;
    memset(c->seen_l, 0, sizeof c->seen_l);
}

void client_leave(struct client *c)
{
    struct client_socket *s = current(c);
    if (s)
        s->says_away = true;
    client_close(c);
    new_page(c);
}

static void end(struct client *c, struct client_socket *s)
{
    struct relay *r = &s->relay->relay;
    world_say(c->world, "%s learns of the end of socket %d%s", s->relay->name, index_of(s),
              s->says_away ? ", 1001" : "");
    if (s->says_away)
        relay_page_left(r, &s->cursor, c->world->now_ms);
    relay_detach(r, &s->cursor, c->world->now_ms);
    relay_flush(r, c->world->now_ms);
    s->is_attached = false;
}

void client_reload(struct client *c, struct world_relay *r, bool old_first)
{
    struct client_socket *old = current(c);
    client_leave(c);
    if (old && old_first)
        end(c, old);
    client_connect(c, r);
}

bool client_end(struct client *c)
{
    int candidates[CLIENT_SOCKETS_MAX], n = 0;
    for (int i = 0; i < c->count; i++)
        if (c->sockets[i].is_attached && c->sockets[i].is_cut)
            candidates[n++] = i;
    if (n == 0)
        return false;
    end(c, &c->sockets[candidates[world_below(c->world, (uint64_t)n)]]);
    return true;
}

void client_lose_relay(struct client *c, struct world_relay *r)
{
    for (int i = 0; i < c->count; i++) {
        struct client_socket *s = &c->sockets[i];
        if (!s->is_attached || s->relay != r)
            continue;
        if (i == c->current)
            c->current = -1;
        s->must_be_silent = false;
        s->is_cut = true;
        s->room = 0;
        relay_detach(&r->relay, &s->cursor, c->world->now_ms);
        s->is_attached = false;
    }
}

void client_tell_flags(struct client *c)
{
    struct client_socket *s = current(c);
    if (!s || s->flags_at_ms != UINT64_MAX)
        return;
    world_say(c->world, "socket %d tells its flags", c->current);
    s->flags_at_ms = c->world->now_ms;
    s->cursor.wants_metadata = c->wants_metadata;
    relay_settled(&s->relay->relay, &s->cursor, c->world->now_ms);
    relay_flush(&s->relay->relay, c->world->now_ms);
}

void client_ping(struct client *c)
{
    struct client_socket *s = current(c);
    if (!s || s->first + s->count == CLIENT_FLIGHT_MAX)
        return;
    cursor_ask(&s->cursor);
    world_say(c->world, "%s pings socket %d", s->relay->name, c->current);
    put(s, (struct flight){ARRIVED_PING, false, false, ++s->pings});
}

/* Only the newest ping's pong means something. */
void client_pong(struct client *c, bool arrives)
{
    struct client_socket *s = current(c);
    if (!s || s->pong == 0)
        return;
    bool counts = arrives && s->pong == s->pings;
    world_say(c->world, "pong of socket %d %s", c->current, counts ? "arrives" : "is lost");
    s->pong = 0;
    if (!counts)
        return;
    relay_acknowledge(&s->relay->relay, &s->cursor, c->world->now_ms);
    relay_flush(&s->relay->relay, c->world->now_ms);
}

/* What was promised */

/* The socket's page is known to be a new one: its own relay has heard that the old one left, before it was placed. */
static bool is_known_as_new(const struct client *c, const struct client_socket *s)
{
    if (s->page > 0 && c->world->config.share)
        return false; /* a relay that has the session idle keeps its place */
    if (s->page == 0)
        return s->client->next_k == 0 && index_of(s) == 0;
    bool is_here_alone = true; /* no other relay has to hear of it */
    for (int i = 0; i < index_of(s); i++) {
        const struct client_socket *old = &c->sockets[i];
        is_here_alone = is_here_alone && old->number == s->number;
        if (old->page == s->page)
            return false;
        if (old->is_attached)
            return false;
        if (old->page == s->page - 1 && !old->says_away && i == index_of(s) - 1)
            return false;
        if (old->relay != s->relay && (s->leaves_pending ? s->relay->lefts == s->lefts : !c->is_strict))
            return false;
    }
    return c->is_strict && (is_here_alone || !leaves_are_pending(c));
}

/* It has just become live. */
static void note_live(struct client *c, struct client_socket *s)
{
    uint64_t known = s->relay->known_k;
    uint64_t begun = known > 0 ? c->events.start[known] : 0;
    s->was_live = true;
    world_say(c->world, "socket %d is live", index_of(s));
    if (!c->is_strict)
        return;
    if (s->after_status < s->limit)
        s->limit = s->after_status;
    bool is_whole = c->world->redis.entries == MEMORY_ENTRIES_MAX; /* the log was not trimmed */
    if (is_whole && c->next_k == 0 && is_known_as_new(c, s) && begun > 0 && begun < s->limit)
        s->limit = begun;
    world_say(c->world, "socket %d is promised all from %lld", index_of(s), (long long)s->limit);
}

/* Two relays have the page's sockets, and one of them is cut off: it may claim the session for an old one later. */
static bool is_torn(const struct client *c)
{
    const struct world_relay *last = c->count > 0 ? c->sockets[c->count - 1].relay : NULL;
    for (int i = 0; i < c->count; i++)
        if (c->sockets[i].is_attached && c->sockets[i].relay != last && !c->sockets[i].relay->is_connected)
            return true;
    return false;
}

void client_watch(struct client *c)
{
    struct client_socket *s = current(c);
    c->is_astray = c->is_astray || is_torn(c);
    if (s && !s->relay->is_connected)
        s->was_cut_off = true;
    if (s && !s->was_live && s->cursor.state == CURSOR_LIVE)
        note_live(c, s);
}

static bool receives(const struct client_socket *s)
{
    return s->is_attached && (s->cursor.state == CURSOR_LIVE || s->cursor.state == CURSOR_HELD);
}

void client_check_live(struct client *c)
{
    int live = 0;
    const struct client_socket *newest = NULL; /* of the relay that claimed last */
    for (int i = 0; i < c->count; i++) {
        const struct client_socket *s = &c->sockets[i];
        live += receives(s);
        if (s->number == c->world->claimer)
            newest = s->is_attached ? s : NULL;
    }
    if (live > 1 && !c->world->config.share)
        client_blame(c, "%d sockets are live", live);
    bool is_clear = !c->world->has_lost_data && !c->world->has_lost_claim;
    if (newest && !receives(newest) && !c->world->config.share && is_clear)
        client_blame(c, "socket %d is the newest where the session is, and not live", index_of(newest));
}

void client_init(struct client *c, struct world *w)
{
    memset(c, 0, offsetof(struct client, sockets));
    c->port.write = write_socket;
    c->world = w;
    c->count = c->page = 0;
    c->current = -1;
    c->wants_metadata = false;
    c->next_k = c->ended_prompt = 0;
    memset(c->seen_l, 0, sizeof c->seen_l);
    c->is_strict = true;
    c->is_astray = false;
    c->fault[0] = '\0';
    w->sockets = &c->port;
}

void client_deinit(struct client *c)
{
    for (int i = 0; i < c->count; i++)
        if (c->sockets[i].is_attached) {
            c->sockets[i].must_be_silent = false;
            relay_detach(&c->sockets[i].relay->relay, &c->sockets[i].cursor, c->world->now_ms);
            c->sockets[i].is_attached = false;
        }
}
