#include "tests/support/core_fixture.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#define PAGE_MAX 256

/* A broken test, not a broken promise. */
static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "core fixture: %s\n", what);
    abort();
}

/* The texts that are recorded */

static void record(char *text, size_t *len, struct span prefix, struct span rest)
{
    require(*len + prefix.len + rest.len + 2 < CORE_TEXT_MAX, "too much text to record");
    if (prefix.len > 0)
        memcpy(text + *len, prefix.bytes, prefix.len);
    if (rest.len > 0)
        memcpy(text + *len + prefix.len, rest.bytes, rest.len);
    *len += prefix.len + rest.len;
    text[(*len)++] = '\n';
    text[*len] = '\0';
}

/* The text, and begins a new one: an empty text stands behind the one that is given out. */
static const char *give_out(char *text, size_t *len)
{
    static char given[CORE_TEXT_MAX];
    memcpy(given, text, *len);
    given[*len] = '\0';
    *len = 0;
    return given;
}

const char *core_got(struct core_socket *socket)
{
    return give_out(socket->text, &socket->text_len);
}

const char *core_calls(struct core *core)
{
    return give_out(core->calls.text, &core->calls.len);
}

const char *core_archived(struct core *core)
{
    return give_out(core->archived.text, &core->archived.len);
}

const char *core_notes(struct core *core)
{
    return give_out(core->notes.text, &core->notes.len);
}

static void record_line(struct core_record *r, const char *verb, struct span what)
{
    record(r->text, &r->len, span_str(verb), what);
}

__attribute__((format(printf, 2, 3))) static void record_text(struct core_record *r, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    require(n >= 0 && (size_t)n < sizeof text, "a text is too long to record");
    record(r->text, &r->len, SPAN_NONE, span_of(text, (size_t)n));
}

/* What Redis does later */

static struct core_question *add_question(struct core *core, struct span sid)
{
    require(core->asked < CORE_QUESTIONS_MAX && sid.len < sizeof core->questions[0].sid,
            "too many questions");
    struct core_question *q = &core->questions[core->asked++];
    *q = (struct core_question){.id = STREAM_ID_NONE};
    memcpy(q->sid, sid.bytes, sid.len);
    return q;
}

static void send_message(struct core *core, struct span sid, const char *type)
{
    struct core_question *q = add_question(core, sid);
    q->kind = CORE_MESSAGE;
    snprintf(q->message, sizeof q->message, "%s by=" CORE_NAME, type);
}

static bool is_subscribed(const struct core *core, struct span sid)
{
    const struct session *s = session_find(&core->relay.sessions, sid);
    return core->relay.link_is_up && s && s->subscription == SUBSCRIPTION_ACTIVE;
}

static void hear(struct core *core, const struct core_question *q)
{
    if (is_subscribed(core, span_str(q->sid)))
        (void)!relay_receive(&core->relay, span_str(q->sid), span_str(q->message), core->now_ms);
}

static void answer_back(struct core *core, const struct core_question *q)
{
    struct archived entries[PAGE_MAX];
    bool is_last;
    size_t n = memory_redis_back(core_stored(core, q->sid), q->id, entries, core->page, &is_last);
    relay_read_back(&core->relay, span_str(q->sid), q->ticket, entries, n, is_last, core->now_ms);
}

static void answer_on(struct core *core, const struct core_question *q)
{
    struct archived entries[PAGE_MAX];
    struct memory_session *s = core_stored(core, q->sid);
    struct reading reading = {.entries = entries, .has_listeners = core->others_listen};
    uint64_t opened_ms = q->opened_ms;
    reading.owner = memory_redis_join(s, q->join, core->archive.name, &opened_ms, &reading.is_refused);
    reading.opened_ms = q->join == JOIN_CLAIM && !reading.is_refused ? (int64_t)opened_ms : 0;
    reading.count = memory_redis_on(s, q->id, entries, core->page, &reading.is_last);
    reading.has_ack = s->has_ack;
    reading.ack = s->has_ack ? s->ack : STREAM_ID_NONE;
    reading.latest = s->latest;
    reading.latest_count = s->latest_count;
    if (q->join == JOIN_CLAIM && !reading.is_refused) {
        struct core_question claim = {.kind = CORE_MESSAGE};
        snprintf(claim.message, sizeof claim.message, "relay.takeover by=" CORE_NAME " opened=%llu",
                 (unsigned long long)opened_ms);
        memcpy(claim.sid, q->sid, sizeof claim.sid);
        hear(core, &claim);
    }
    relay_read_on(&core->relay, span_str(q->sid), q->ticket, &reading, core->now_ms);
}

static void answer(struct core *core, const struct core_question *q)
{
    switch (q->kind) {
    case CORE_READ_BACK:
        answer_back(core, q);
        break;
    case CORE_READ_ON:
        answer_on(core, q);
        break;
    case CORE_MESSAGE:
        hear(core, q);
        break;
    case CORE_DATA_LOST:
        relay_data_lost(&core->relay);
        break;
    }
}

static bool answer_oldest(struct core *core)
{
    if (core->asked == 0)
        return false;
    struct core_question q = core->questions[0];
    memmove(core->questions, core->questions + 1, --core->asked * sizeof q);
    answer(core, &q);
    return true;
}

bool core_answer(struct core *core)
{
    bool was_asked = answer_oldest(core);
    relay_flush(&core->relay, core->now_ms);
    return was_asked;
}

/* After each call of the relay. */
static void settle(struct core *core)
{
    while (!core->holds_answers && core->relay.link_is_up && answer_oldest(core))
        ;
    relay_flush(&core->relay, core->now_ms);
}

/* The ports */

static void subscribe(struct channels *self, struct span sid)
{
    record_line(&OWNER(self, struct core, channels)->calls, "subscribe ", sid);
}

static void unsubscribe(struct channels *self, struct span sid)
{
    record_line(&OWNER(self, struct core, channels)->calls, "unsubscribe ", sid);
}

/* An id as text, in one of a few buffers. */
static const char *id_text(struct stream_id id)
{
    static char texts[4][STREAM_ID_TEXT_BYTES];
    static unsigned next;
    char *text = texts[next++ % 4];
    if (id.ms == UINT64_MAX)
        return "max";
    stream_id_format(id, text);
    return text;
}

static void read_back(struct archive *self, struct span sid, struct stream_id before, uint64_t ticket)
{
    struct core *core = OWNER(self, struct core, archive);
    struct core_question *q = add_question(core, sid);
    *q = (struct core_question){.kind = CORE_READ_BACK, .id = before, .ticket = ticket};
    memcpy(q->sid, sid.bytes, sid.len);
    record_text(&core->archived, "back %s before %s", q->sid, id_text(before));
}

static void read_on(struct archive *self, struct span sid, struct stream_id from, enum join join,
                    uint64_t opened_ms, uint64_t ticket)
{
    static const char *const joins[] = {"claim", "check", "none"};
    struct core *core = OWNER(self, struct core, archive);
    require(is_subscribed(core, sid), "read_on before the channel is subscribed");
    struct core_question *q = add_question(core, sid);
    *q = (struct core_question){
        .kind = CORE_READ_ON, .id = from, .join = join, .opened_ms = opened_ms, .ticket = ticket};
    memcpy(q->sid, sid.bytes, sid.len);
    record_text(&core->archived, "on %s from %s %s", q->sid, id_text(from), joins[join]);
}

static void store(struct archive *self, struct span sid, struct stream_id ack, bool is_again)
{
    struct core *core = OWNER(self, struct core, archive);
    struct memory_session *s = memory_redis_session(core->redis, sid);
    if (!memory_redis_store(s, core->archive.name, ack, is_again))
        add_question(core, sid)->kind = CORE_DATA_LOST;
    record_text(&core->archived, "store %s %s%s", s->sid, id_text(ack), is_again ? " again" : "");
}

static void leave(struct archive *self, struct span sid, uint64_t opened_ms, bool forgets)
{
    struct core *core = OWNER(self, struct core, archive);
    struct memory_session *s = memory_redis_session(core->redis, sid);
    if (forgets)
        memory_redis_forget(s, core->archive.name, opened_ms, core->relay.config.share);
    send_message(core, sid, "relay.left");
    record_text(&core->archived, "leave %s%s", s->sid, forgets ? " forgets" : "");
}

static void lost(struct registry *self, const struct worker *w, enum worker_end how, struct span node)
{
    static const char *const ends[] = {
        [WORKER_SILENT] = "", [WORKER_RESTARTED] = " restart", [WORKER_LEFT] = " left"};
    record_text(&OWNER(self, struct core, registry)->calls,
                "lost %.*s boot=%.*s busy=%.*s prompt=%.*s node=%.*s%s", (int)w->id.len,
                (const char *)w->id.bytes, (int)w->boot.len, (const char *)w->boot.bytes, (int)w->sid.len,
                (const char *)w->sid.bytes, (int)w->prompt.len, (const char *)w->prompt.bytes, (int)node.len,
                (const char *)node.bytes, ends[how]);
}

static void note(struct journal *self, enum note n, struct span about)
{
    static const char *const names[NOTES_COUNT] = {
        [NOTE_GAP] = "gap ",           [NOTE_DATA_LOST] = "data lost ", [NOTE_TAKEN_OVER] = "taken over ",
        [NOTE_GIVEN_UP] = "given up ", [NOTE_DOUBLED] = "doubled ",
    };
    record_line(&OWNER(self, struct core, journal)->notes, names[n], about);
}

/* Redis */

struct memory_session *core_stored(struct core *core, const char *sid)
{
    return memory_redis_session(core->redis, span_str(sid));
}

void core_confirm(struct core *core, const char *sid)
{
    relay_subscribed(&core->relay, span_str(sid), core->now_ms);
    settle(core);
}

void core_link_down(struct core *core)
{
    relay_link_down(&core->relay, core->now_ms);
    settle(core);
}

struct sids {
    size_t count;
    struct span items[64];
};

static void gather(struct session *s, void *arg)
{
    struct sids *sids = arg;
    if (s->subscription == SUBSCRIPTION_ASKED && sids->count < 64)
        sids->items[sids->count++] = session_sid(s);
}

void core_link_up(struct core *core)
{
    struct sids sids = {0};
    relay_link_up(&core->relay, core->now_ms);
    if (!core->holds_confirmations)
        session_each(&core->relay.sessions, gather, &sids);
    for (size_t i = 0; i < sids.count; i++)
        relay_subscribed(&core->relay, sids.items[i], core->now_ms);
    settle(core);
}

void core_entry(struct core *core, const char *worker, const char *entry)
{
    relay_worker_entry(&core->relay, span_str(worker), span_str(entry), core->now_ms);
    settle(core);
}

/* Messages */

__attribute__((format(printf, 1, 0))) static struct span print(const char *format, va_list arguments)
{
    static char text[70000];
    int n = vsnprintf(text, sizeof text, format, arguments);
    require(n >= 0 && (size_t)n < sizeof text, "the message is too long");
    return span_of(text, (size_t)n);
}

static enum drop_reason receive(struct core *core, const char *sid, struct span message)
{
    return relay_receive(&core->relay, span_str(sid), message, core->now_ms);
}

enum drop_reason core_receive(struct core *core, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum drop_reason reason = receive(core, "", print(format, arguments));
    va_end(arguments);
    return reason;
}

enum drop_reason core_receive_on(struct core *core, const char *sid, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum drop_reason reason = receive(core, sid, print(format, arguments));
    va_end(arguments);
    return reason;
}

void core_publish(struct core *core, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    require(receive(core, "", print(format, arguments)) == DROP_NOTHING, "a message was dropped");
    va_end(arguments);
    settle(core);
}

void core_flush(struct core *core)
{
    settle(core);
}

static void run_script(struct core *core, const char *sid, struct span event, bool is_heard)
{
    char message[1024];
    struct span copy;
    struct stream_id id;
    bool has_id = memory_redis_publish(core->redis, span_str(sid), event, &copy, &id);
    int n = snprintf(message, sizeof message, "%s%s%s%.*s", has_id ? "id=" : "", has_id ? id_text(id) : "",
                     has_id ? " " : "", (int)copy.len, (const char *)copy.bytes);
    require(n >= 0 && (size_t)n < sizeof message, "the message is too long");
    if (is_heard && is_subscribed(core, span_str(sid)))
        (void)!receive(core, sid, span_of(message, (size_t)n));
    settle(core);
}

void core_script(struct core *core, const char *sid, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    run_script(core, sid, print(format, arguments), true);
    va_end(arguments);
}

void core_script_unheard(struct core *core, const char *sid, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    run_script(core, sid, print(format, arguments), false);
    va_end(arguments);
}

/* Sockets */

static void record_frame(struct core_socket *socket, const struct frame *f)
{
    bool is_old_form;
    struct span line = line_of_frame(f, &is_old_form);
    record(socket->text, &socket->text_len, span_str(is_old_form ? "#1 " : ""), line);
}

static bool has_room(const struct core_socket *socket, const struct frame *f)
{
    return socket->room_frames > 0 && (socket->room_bytes == SIZE_MAX || socket->room_bytes >= f->len);
}

static void take(struct core_socket *socket, const struct frame *f)
{
    if (!socket->keeps_no_text)
        record_frame(socket, f);
    socket->room_frames -= socket->room_frames != SIZE_MAX;
    socket->room_bytes -= socket->room_bytes != SIZE_MAX ? f->len : 0;
    socket->frames++;
}

/* Takes what fits, three frames at a time. */
static void write_socket(struct sockets *self, struct cursor *c)
{
    (void)self;
    struct core_socket *socket = OWNER(c, struct core_socket, cursor);
    struct frame *frames[3];
    require(c->state == CURSOR_LIVE || c->state == CURSOR_HELD, "a silent socket was written to");
    require(!c->is_blocked, "a blocked socket was written to");
    for (int n = 1; n > 0 && !c->is_blocked && !socket->has_failed;) {
        n = cursor_peek(c, frames, 3, &(bool){0});
        socket->has_failed = n < 0;
        int taken = 0;
        while (taken < n && has_room(socket, frames[taken]))
            take(socket, frames[taken++]);
        cursor_take(c, taken, &socket->core->relay.metrics, socket->core->now_ms);
        c->is_blocked = taken < n;
    }
}

int core_connect(struct core *core, struct core_socket *socket, const char *sid)
{
    struct cursor fresh = {.wants_metadata = socket->cursor.wants_metadata};
    socket->cursor = fresh;
    socket->core = core;
    socket->room_frames = socket->room_bytes = SIZE_MAX;
    socket->has_failed = false;
    socket->text_len = 0;
    int rc = relay_attach(&core->relay, &socket->cursor, span_str(sid), core->now_ms);
    if (rc == 0 && !core->holds_confirmations)
        relay_subscribed(&core->relay, span_str(sid), core->now_ms);
    if (rc == 0 && !socket->holds_flags)
        relay_settled(&core->relay, &socket->cursor, core->now_ms);
    settle(core);
    return rc;
}

void core_open(struct core *core, struct core_socket *socket, const char *sid)
{
    require(core_connect(core, socket, sid) == 0, "a socket could not be attached");
    socket->text_len = 0;
}

void core_tell_flags(struct core_socket *socket, bool wants_metadata)
{
    socket->cursor.wants_metadata = wants_metadata;
    relay_settled(&socket->core->relay, &socket->cursor, socket->core->now_ms);
    settle(socket->core);
}

void core_acknowledge(struct core_socket *socket)
{
    cursor_ask(&socket->cursor);
    relay_acknowledge(&socket->core->relay, &socket->cursor, socket->core->now_ms);
    settle(socket->core);
}

void core_close(struct core_socket *socket)
{
    if (!socket->cursor.session)
        return;
    relay_detach(&socket->core->relay, &socket->cursor, socket->core->now_ms);
    settle(socket->core);
}

void core_leave(struct core_socket *socket)
{
    relay_page_left(&socket->core->relay, &socket->cursor, socket->core->now_ms);
    core_close(socket);
}

void core_stall(struct core_socket *socket)
{
    socket->room_frames = 0;
}

void core_take_frames(struct core_socket *socket, size_t frames)
{
    socket->room_frames = frames;
    relay_writable(&socket->core->relay, &socket->cursor);
}

void core_drain(struct core_socket *socket)
{
    socket->room_bytes = SIZE_MAX;
    core_take_frames(socket, SIZE_MAX);
}

void core_reply(struct core_socket *socket, const char *text)
{
    struct frame *f = line_frame(text);
    require(f && cursor_push(&socket->cursor, f) == 0, "a reply could not be pushed");
    relay_writable(&socket->core->relay, &socket->cursor);
}

/* The whole */

struct relay_config core_config(void)
{
    return (struct relay_config){.session_ttl_ms = 10000,
                                 .status_interval_ms = 250,
                                 .worker_timeout_ms = 1000,
                                 .log = {.events = 1000, .bytes = 1000000},
                                 .message_bytes = 65536};
}

int core_init(struct core *core, const struct relay_config *config)
{
    static const uint64_t seed[2] = {1, 2};
    static struct memory_redis redis;
    memory_redis_init(&redis);
    *core = (struct core){.channels = {subscribe, unsubscribe},
                          .archive = {.name = span_str(CORE_NAME),
                                      .has_clock = true,
                                      .read_back = read_back,
                                      .read_on = read_on,
                                      .store = store,
                                      .leave = leave},
                          .registry = {lost},
                          .sockets = {write_socket},
                          .journal = {note},
                          .page = 100,
                          .redis = &redis,
                          .now_ms = 10000};
    line_codec_init(&core->codec);
    struct ports ports = {&core->codec.codec, &core->channels, &core->archive,
                          &core->registry,    &core->sockets,  &core->journal};
    int rc = relay_init(&core->relay, config, &ports, seed);
    if (rc < 0)
        return rc;
    relay_link_up(&core->relay, core->now_ms);
    relay_tick(&core->relay, core->now_ms);
    return 0;
}

void core_deinit(struct core *core)
{
    relay_deinit(&core->relay);
}

void core_advance(struct core *core, uint64_t ms)
{
    uint64_t end = core->now_ms + ms;
    int turns = 0;
    for (uint64_t next = relay_next_ms(&core->relay); next <= end; next = relay_next_ms(&core->relay)) {
        core->now_ms = next > core->now_ms ? next : core->now_ms;
        relay_tick(&core->relay, core->now_ms);
        settle(core);
        require(++turns < 10000, "relay_next_ms() asks to be woken again and again");
    }
    core->now_ms = end;
}
