#include "tests/support/core_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#define OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

enum { STAGE_ASKED, STAGE_COUNTED, STAGE_JOINED, STAGE_ACK, STAGE_LOG, STAGE_DONE };

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "core world: %s\n", what);
    abort();
}

uint64_t world_below(struct world *w, uint64_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (w->random >> 11) % n;
}

void world_say(struct world *w, const char *format, ...)
{
    if (!w->trace)
        return;
    va_list arguments;
    va_start(arguments, format);
    fprintf(w->trace, "%6llu  ", (unsigned long long)w->now_ms);
    vfprintf(w->trace, format, arguments);
    fputc('\n', w->trace);
    va_end(arguments);
}

static const char *id_text(struct stream_id id)
{
    static char texts[4][STREAM_ID_TEXT_BYTES];
    static unsigned next;
    char *text = texts[next++ % 4];
    stream_id_format(id, text);
    return id.ms == UINT64_MAX ? "max" : text;
}

/* Queues */

static struct world_item *push(struct world_queue *q, enum world_kind kind)
{
    require(q->first + q->count < WORLD_QUEUE_MAX, "a queue is full");
    struct world_item *item = &q->items[q->first + q->count++];
    item->kind = kind;
    item->stage = STAGE_ASKED;
    item->text = SPAN_NONE;
    return item;
}

static void pop(struct world_queue *q)
{
    q->first++;
    q->count--;
    if (q->count == 0)
        q->first = 0;
}

static void empty(struct world_queue *q)
{
    q->first = q->count = 0;
}

static struct span keep_text(struct world *w, const char *text)
{
    size_t n = strlen(text);
    require(w->used + n <= WORLD_TEXT_MAX, "no room for a text");
    memcpy(w->text + w->used, text, n);
    w->used += n;
    return span_of(w->text + w->used - n, n);
}

/* What relays ask for */

static struct world_relay *of_archive(struct archive *self)
{
    return OWNER(self, struct world_relay, archive);
}

static void subscribe(struct channels *self, struct span sid)
{
    struct world_relay *r = OWNER(self, struct world_relay, channels);
    require(span_is(sid, WORLD_SID), "an unknown session");
    world_say(r->world, "%s: subscribes", r->name);
    if (r->is_connected)
        push(&r->asked, WORLD_SUBSCRIBE);
}

static void unsubscribe(struct channels *self, struct span sid)
{
    struct world_relay *r = OWNER(self, struct world_relay, channels);
    (void)sid;
    world_say(r->world, "%s: unsubscribes", r->name);
    if (r->is_connected)
        push(&r->asked, WORLD_UNSUBSCRIBE);
}

static void read_back(struct archive *self, struct span sid, struct stream_id before, uint64_t ticket)
{
    struct world_relay *r = of_archive(self);
    struct world_item *item = push(&r->commands, WORLD_READ_BACK);
    (void)sid;
    item->id = before;
    item->ticket = ticket;
    world_say(r->world, "%s: asks back before %s (%llu)", r->name, id_text(before),
              (unsigned long long)ticket);
}

static void read_on(struct archive *self, struct span sid, struct stream_id from, enum join join,
                    uint64_t opened_ms, uint64_t ticket)
{
    static const char *const joins[] = {"claim", "check", "none"};
    struct world_relay *r = of_archive(self);
    struct world_item *item = push(&r->commands, WORLD_READ_ON);
    (void)sid;
    item->id = from;
    item->join = join;
    item->opened_ms = opened_ms;
    item->ticket = ticket;
    world_say(r->world, "%s: asks on from %s %s (%llu)", r->name, id_text(from), joins[join],
              (unsigned long long)ticket);
}

static void store(struct archive *self, struct span sid, struct stream_id ack, bool is_again)
{
    struct world_relay *r = of_archive(self);
    struct world_item *item = push(&r->commands, WORLD_STORE);
    (void)sid;
    item->id = ack;
    item->flag = is_again;
    world_say(r->world, "%s: stores %s%s", r->name, id_text(ack), is_again ? " again" : "");
}

static void leave(struct archive *self, struct span sid, uint64_t opened_ms, bool forgets)
{
    struct world_relay *r = of_archive(self);
    (void)sid;
    struct world_item *item = push(&r->commands, WORLD_LEAVE);
    item->flag = forgets;
    item->opened_ms = opened_ms;
    world_say(r->world, "%s: tells that a page left%s", r->name, forgets ? ", forgets" : "");
}

static void lost(struct registry *self, const struct worker *worker, enum worker_end how, struct span node)
{
    (void)self;
    (void)worker;
    (void)how;
    (void)node;
}

static void note(struct journal *self, enum note n, struct span sid)
{
    static const char *const names[] = {"gap", "data lost", "taken over", "given up"};
    struct world_relay *r = OWNER(self, struct world_relay, journal);
    (void)sid;
    world_say(r->world, "%s: notes %s", r->name, names[n]);
}

/* Redis */

static struct memory_session *session_in_redis(struct world *w)
{
    return memory_redis_session(&w->redis, span_str(WORLD_SID));
}

static void publish_message(struct world *w, enum world_kind kind, struct span text)
{
    for (int i = 0; i < w->count; i++) {
        struct world_relay *r = &w->relays[i];
        if (r->is_connected && (kind == WORLD_ON_EVENTS || r->is_subscribed))
            push(&r->heard, kind)->text = text;
    }
}

void world_script(struct world *w, const char *line)
{
    char message[256];
    struct span copy;
    struct stream_id id;
    bool has_id = memory_redis_publish(&w->redis, span_str(WORLD_SID), span_str(line), &copy, &id);
    snprintf(message, sizeof message, "%s%s%s%s", has_id ? "id=" : "", has_id ? id_text(id) : "",
             has_id ? " " : "", line);
    world_say(w, "published: %s", message);
    publish_message(w, WORLD_ON_CHANNEL, keep_text(w, message));
}

void world_broadcast(struct world *w, const char *line)
{
    world_say(w, "broadcast: %s", line);
    publish_message(w, WORLD_ON_EVENTS, keep_text(w, line));
}

static void send_from(struct world *w, const struct world_relay *r, const char *type, uint64_t opened_ms)
{
    char message[64];
    snprintf(message, sizeof message, "%s by=%s opened=%llu", type, r->name, (unsigned long long)opened_ms);
    publish_message(w, WORLD_ON_CHANNEL, keep_text(w, message));
}

static void run_read_back(struct world *w, struct world_relay *r, const struct world_item *command)
{
    struct world_item *reply = push(&r->replies, WORLD_READ_BACK);
    reply->ticket = command->ticket;
    reply->id = command->id;
    reply->reading.count =
        memory_redis_back(session_in_redis(w), command->id, reply->entries, w->page, &reply->reading.is_last);
}

static bool others_listen(const struct world *w, const struct world_relay *r)
{
    for (int i = 0; i < w->count; i++)
        if (&w->relays[i] != r && w->relays[i].is_connected && w->relays[i].is_subscribed)
            return true;
    return false;
}

static void run_join(struct world *w, struct world_relay *r, struct world_item *command)
{
    command->reading.owner = memory_redis_join(session_in_redis(w), command->join, span_str(r->name),
                                               &command->opened_ms, &command->reading.is_refused);
    if (command->join != JOIN_CLAIM || command->reading.is_refused)
        return;
    command->reading.opened_ms = (int64_t)command->opened_ms;
    w->claimer = r->number;
    world_say(w, "redis: %s has claimed", r->name);
    send_from(w, r, "relay.takeover", command->opened_ms);
}

/* The next stage of a reading's pipeline: others' commands may come between two of them. */
static void run_stage(struct world *w, struct world_relay *r, struct world_item *command)
{
    struct memory_session *s = session_in_redis(w);
    switch (command->stage++) {
    case STAGE_ASKED:
        command->reading = (struct reading){.has_listeners = others_listen(w, r)};
        break;
    case STAGE_COUNTED:
        run_join(w, r, command);
        break;
    case STAGE_JOINED:
        command->reading.has_ack = s->has_ack;
        command->reading.ack = s->has_ack ? s->ack : STREAM_ID_NONE;
        break;
    case STAGE_ACK:
        command->reading.count =
            memory_redis_on(s, command->id, command->entries, w->page, &command->reading.is_last);
        break;
    case STAGE_LOG:
        command->reading.latest_count = s->latest_count;
        memcpy(command->latest, s->latest, sizeof s->latest);
        break;
    default:
        break;
    }
}

static void run_command(struct world *w, struct world_relay *r)
{
    struct world_item *c = &r->commands.items[r->commands.first];
    struct memory_session *s = session_in_redis(w);
    int stages = world_below(w, 4) == 0 ? 1 + (int)world_below(w, STAGE_DONE) : STAGE_DONE;
    switch (c->kind) {
    case WORLD_READ_BACK:
        run_read_back(w, r, c);
        break;
    case WORLD_READ_ON:
        while (stages-- > 0 && c->stage < STAGE_DONE)
            run_stage(w, r, c);
        if (c->stage < STAGE_DONE)
            return;
        *push(&r->replies, WORLD_READ_ON) = *c;
        break;
    case WORLD_STORE:
        if (!memory_redis_store(s, span_str(r->name), c->id, c->flag))
            push(&r->replies, WORLD_DATA_LOST);
        break;
    case WORLD_LEAVE:
        if (c->flag)
            memory_redis_forget(s, span_str(r->name), c->opened_ms, w->config.share);
        send_from(w, r, "relay.left", c->opened_ms);
        break;
    default:
        require(false, "not a command");
    }
    pop(&r->commands);
}

static void run_asked(struct world_relay *r)
{
    enum world_kind kind = r->asked.items[r->asked.first].kind;
    if (kind != WORLD_MARK)
        r->is_subscribed = kind == WORLD_SUBSCRIBE;
    if (kind != WORLD_UNSUBSCRIBE)
        push(&r->heard, kind);
    pop(&r->asked);
}

/* What arrives at a relay */

static void note_known(struct world_relay *r, struct span line)
{
    uint64_t k = (uint64_t)line_number(line, "k");
    if (k > r->known_k)
        r->known_k = k;
}

static void hear_on_channel(struct world *w, struct world_relay *r, struct span text)
{
    world_say(w, "%s: hears %.*s", r->name, (int)text.len, (const char *)text.bytes);
    note_known(r, text);
    r->lefts += span_starts_with(text, "relay.left");
    enum drop_reason reason = relay_receive(&r->relay, span_str(WORLD_SID), text, w->now_ms);
    require(reason == DROP_NOTHING || reason == DROP_NO_MEMORY, "a message was dropped");
}

static void take_marked(struct world *w, struct world_relay *r)
{
    struct world_item *item = &r->marked.items[r->marked.first];
    for (size_t i = 0; i < item->reading.count; i++)
        note_known(r, item->entries[i].event);
    world_say(w, "%s: is answered (%llu), %zu entries", r->name, (unsigned long long)item->ticket,
              item->reading.count);
    item->reading.entries = item->entries;
    item->reading.latest = item->latest;
    relay_read_on(&r->relay, span_str(WORLD_SID), item->ticket, &item->reading, w->now_ms);
    pop(&r->marked);
}

static void hear(struct world *w, struct world_relay *r)
{
    struct world_item *item = &r->heard.items[r->heard.first];
    switch (item->kind) {
    case WORLD_SUBSCRIBE:
        world_say(w, "%s: is subscribed", r->name);
        relay_subscribed(&r->relay, span_str(WORLD_SID), w->now_ms);
        break;
    case WORLD_ON_CHANNEL:
        hear_on_channel(w, r, item->text);
        break;
    case WORLD_MARK:
        take_marked(w, r);
        break;
    default:
        world_say(w, "%s: hears %.*s", r->name, (int)item->text.len, (const char *)item->text.bytes);
        r->broadcasts = (uint64_t)line_number(item->text, "b");
        (void)!relay_receive(&r->relay, SPAN_NONE, item->text, w->now_ms);
    }
    pop(&r->heard);
    if (r->heard.count == 0 || world_below(w, 2) == 0)
        relay_flush(&r->relay, w->now_ms);
}

/* Where no mark can come back, the answer does not wait for one. */
static void mark(struct world *w, struct world_relay *r, const struct world_item *reply)
{
    *push(&r->marked, WORLD_READ_ON) = *reply;
    if (r->is_connected)
        push(&r->asked, WORLD_MARK);
    else if (!r->is_up)
        take_marked(w, r);
}

static void take_reply(struct world *w, struct world_relay *r)
{
    struct world_item *item = &r->replies.items[r->replies.first];
    if (item->kind == WORLD_READ_BACK) {
        world_say(w, "%s: is answered (%llu), %zu entries", r->name, (unsigned long long)item->ticket,
                  item->reading.count);
        for (size_t i = 0; i < item->reading.count; i++)
            note_known(r, item->entries[i].event);
        relay_read_back(&r->relay, span_str(WORLD_SID), item->ticket, item->entries, item->reading.count,
                        item->reading.is_last, w->now_ms);
    } else if (item->kind == WORLD_READ_ON) {
        mark(w, r, item);
    } else {
        relay_data_lost(&r->relay);
    }
    pop(&r->replies);
    relay_flush(&r->relay, w->now_ms);
}

static void move(struct world *w, struct world_relay *r, int queue)
{
    if (queue == 0)
        run_command(w, r);
    else if (queue == 1)
        take_reply(w, r);
    else if (queue == 2)
        run_asked(r);
    else
        hear(w, r);
}

bool world_deliver(struct world *w)
{
    struct {
        struct world_relay *relay;
        int queue;
    } ready[WORLD_RELAYS_MAX * 4];
    uint64_t n = 0;
    for (int i = 0; i < w->count; i++) {
        struct world_relay *r = &w->relays[i];
        size_t counts[4] = {r->commands.count, r->replies.count, r->asked.count, r->heard.count};
        for (int queue = 0; queue < 4; queue++)
            if (counts[queue] > 0) {
                ready[n].relay = r;
                ready[n++].queue = queue;
            }
    }
    if (n == 0)
        return false;
    uint64_t i = world_below(w, n);
    move(w, ready[i].relay, ready[i].queue);
    return true;
}

void world_settle(struct world *w)
{
    int moves = 0;
    while (world_deliver(w))
        require(++moves < 10000, "it never becomes quiet");
}

void world_advance(struct world *w, uint64_t ms)
{
    uint64_t end = w->now_ms + ms;
    for (int turns = 0;; turns++) {
        struct world_relay *next = NULL;
        uint64_t at = end;
        for (int i = 0; i < w->count; i++) {
            uint64_t due = relay_next_ms(&w->relays[i].relay);
            if (due <= at && (due < at || !next)) {
                at = due;
                next = &w->relays[i];
            }
        }
        if (!next)
            break;
        require(turns < 1000, "relay_next_ms() asks to be woken again and again");
        w->now_ms = at > w->now_ms ? at : w->now_ms;
        relay_tick(&next->relay, w->now_ms);
        relay_flush(&next->relay, w->now_ms);
    }
    w->now_ms = end;
}

/* Connections come and go */

void world_cut(struct world *w, struct world_relay *r)
{
    world_say(w, "%s: its subscriber is cut off", r->name);
    r->is_connected = r->is_subscribed = false;
    empty(&r->asked);
}

void world_notice(struct world *w, struct world_relay *r)
{
    world_say(w, "%s: notices that it is cut off", r->name);
    empty(&r->heard);
    r->is_up = false;
    while (r->marked.count > 0)
        take_marked(w, r);
    relay_link_down(&r->relay, w->now_ms);
    relay_flush(&r->relay, w->now_ms);
}

void world_connect(struct world *w, struct world_relay *r)
{
    world_say(w, "%s: is connected again", r->name);
    r->is_connected = r->is_up = true;
    relay_link_up(&r->relay, w->now_ms);
    relay_flush(&r->relay, w->now_ms);
}

static void ask_again(struct world_relay *r, const struct world_item *item)
{
    struct world_item again = *item;
    again.stage = STAGE_ASKED;
    r->world->has_lost_claim |= again.join == JOIN_CLAIM;
    *push(&r->commands, again.kind) = again;
}

void world_cut_commands(struct world *w, struct world_relay *r)
{
    struct world_queue asked = r->commands, answered = r->replies;
    world_say(w, "%s: its commands are cut off", r->name);
    empty(&r->commands);
    empty(&r->replies);
    for (size_t i = 0; i < answered.count; i++)
        if (answered.items[answered.first + i].kind != WORLD_DATA_LOST)
            ask_again(r, &answered.items[answered.first + i]);
    for (size_t i = 0; i < asked.count; i++) {
        const struct world_item *item = &asked.items[asked.first + i];
        if (item->kind == WORLD_READ_BACK || item->kind == WORLD_READ_ON)
            ask_again(r, item);
    }
}

static void start(struct world *w, struct world_relay *r)
{
    uint64_t seed[2] = {w->random, w->random + 1};
    r->world = w;
    r->number = w->born++;
    snprintf(r->name, sizeof r->name, "r%d", r->number);
    line_codec_init(&r->codec);
    r->channels = (struct channels){subscribe, unsubscribe};
    r->archive = (struct archive){.name = span_str(r->name),
                                  .has_clock = true,
                                  .read_back = read_back,
                                  .read_on = read_on,
                                  .store = store,
                                  .leave = leave};
    r->registry = (struct registry){lost};
    r->journal = (struct journal){note};
    r->is_subscribed = false;
    r->known_k = r->broadcasts = r->lefts = 0;
    empty(&r->commands);
    empty(&r->replies);
    empty(&r->asked);
    empty(&r->heard);
    empty(&r->marked);
    struct ports ports = {&r->codec.codec, &r->channels, &r->archive, &r->registry, w->sockets, &r->journal};
    require(relay_init(&r->relay, &w->config, &ports, seed) == 0, "no memory");
    world_connect(w, r);
}

void world_replace(struct world *w, struct world_relay *r)
{
    world_say(w, "%s: dies", r->name);
    w->gaps += r->relay.metrics.replay_gaps;
    relay_deinit(&r->relay);
    start(w, r);
}

void world_lose_data(struct world *w, bool anew)
{
    world_say(w, "redis: loses its data%s", anew ? ", ids begin anew" : "");
    memory_redis_flush(&w->redis);
    for (int i = 0; anew && i < w->count; i++)
        if (w->relays[i].is_connected)
            world_cut(w, &w->relays[i]);
    if (anew)
        w->redis.next_ms = 1;
    w->has_lost_data = true;
}

uint64_t world_gaps(const struct world *w)
{
    uint64_t gaps = w->gaps;
    for (int i = 0; i < w->count; i++)
        gaps += w->relays[i].relay.metrics.replay_gaps;
    return gaps;
}

void world_init(struct world *w, uint64_t seed, int relays, const struct relay_config *config, FILE *trace)
{
    memory_redis_init(&w->redis);
    w->count = relays;
    w->born = 0;
    w->config = *config;
    w->now_ms = 10000;
    w->random = seed * 0x9e3779b97f4a7c15 + 0x632be59bd9b4e019;
    w->page = WORLD_PAGE_MAX;
    w->claimer = -1;
    w->has_lost_data = w->has_lost_claim = false;
    w->gaps = 0;
    w->trace = trace;
    w->used = 0;
    for (int i = 0; i < relays; i++)
        start(w, &w->relays[i]);
}

void world_deinit(struct world *w)
{
    for (int i = 0; i < w->count; i++)
        relay_deinit(&w->relays[i].relay);
}
