#include "tests/support/core_fixture.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

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
    return give_out(core->calls, &core->calls_len);
}

static void record_call(struct core *core, const char *verb, struct span what)
{
    record(core->calls, &core->calls_len, span_str(verb), what);
}

/* The codec */

/* The next word of a line; the line goes on behind it. */
static struct span next_word(struct span *line)
{
    size_t n = 0;
    while (n < line->len && line->bytes[n] != ' ')
        n++;
    struct span word = span_of(line->bytes, n);
    n += n < line->len;
    *line = span_of(line->bytes + n, line->len - n);
    return word;
}

/* The value of "key=…", which is looked for before " v=". False: there is none. */
static bool find_value(struct span line, const char *key, struct span *value)
{
    *value = SPAN_NONE;
    for (struct span word = next_word(&line); word.len > 0; word = next_word(&line)) {
        if (span_starts_with(word, "v="))
            return false;
        if (span_starts_with(word, key) && word.bytes[strlen(key)] == '=') {
            *value = span_of(word.bytes + strlen(key) + 1, word.len - strlen(key) - 1);
            return true;
        }
    }
    return false;
}

static struct span value_of(struct span line, const char *key)
{
    struct span value;
    find_value(line, key, &value);
    return value;
}

static long long number_of(struct span line, const char *key)
{
    char digits[24] = "";
    struct span value = value_of(line, key);
    require(value.len < sizeof digits, "a number is too long");
    if (value.len > 0)
        memcpy(digits, value.bytes, value.len);
    return atoll(digits);
}

static void read_addressee(struct span message, struct span channel_sid, struct event *e)
{
    bool has_sid = find_value(message, "sid", &e->sid);
    e->to = !has_sid ? TO_ALL : e->sid.len > 0 ? TO_SESSION : TO_NOBODY;
    if (channel_sid.len == 0)
        return;
    e->to = TO_SESSION;
    e->sid = channel_sid;
}

static enum drop_reason decode(struct codec *self, struct span message, struct span channel_sid,
                               struct event *event)
{
    (void)self;
    struct span rest = message;
    struct span type = next_word(&rest);
    if (span_is(type, "malformed"))
        return DROP_MALFORMED;
    *event = (struct event){.type = type, .data = message, .worker = value_of(message, "worker")};
    event->is_binary = span_starts_with(type, "#");
    event->code = event->is_binary ? (uint32_t)(type.bytes[1] - '0') : 0;
    struct span keep = value_of(message, "keep");
    event->keep = span_is(keep, "yes") ? KEEP_ALWAYS : span_is(keep, "no") ? KEEP_NEWEST : KEEP_BY_TYPE;
    read_addressee(message, channel_sid, event);
    return DROP_NOTHING;
}

static struct frame *make_frame(const struct event *e)
{
    struct frame_builder b;
    frame_builder_init(&b, e->data.len);
    const uint8_t *picture = memmem(e->data.bytes, e->data.len, " v=", 3);
    size_t before = e->code == 4 && picture ? (size_t)(picture - e->data.bytes) + 3 : 0;
    frame_builder_add(&b, e->data.bytes, before);
    if (before > 0)
        frame_builder_mark_picture(&b, 1);
    frame_builder_add(&b, e->data.bytes + before, e->data.len - before);
    return frame_builder_finish(&b, e->is_binary ? FRAME_BINARY : FRAME_TEXT);
}

static enum drop_reason encode(struct codec *self, struct event *e, struct frame **frame)
{
    struct core *core = OWNER(self, struct core, codec);
    if (value_of(e->data, "bad").len > 0)
        return DROP_BAD_DATA;
    e->prompt = value_of(e->data, "prompt");
    e->node = value_of(e->data, "node");
    e->display_node = value_of(e->data, "display");
    e->is_blocked = value_of(e->data, "blocked").len > 0;
    struct span format = value_of(e->data, "format");
    e->picture = span_is(format, "JPEG") ? PICTURE_JPEG : format.len > 0 ? PICTURE_OTHER : PICTURE_NONE;
    core->encoded += frame != NULL;
    core->looked_at += frame == NULL;
    if (!frame)
        return DROP_NOTHING;
    *frame = make_frame(e);
    return *frame ? DROP_NOTHING : DROP_NO_MEMORY;
}

static enum drop_reason read_share(struct codec *self, const struct event *e, int64_t *share)
{
    (void)self;
    *share = number_of(e->data, "share");
    return value_of(e->data, "share").len > 0 ? DROP_NOTHING : DROP_BAD_DATA;
}

static enum drop_reason read_heartbeat(struct codec *self, struct span data, struct heartbeat *h)
{
    (void)self;
    *h = (struct heartbeat){.boot = value_of(data, "boot"),
                            .sid = value_of(data, "busy"),
                            .prompt = value_of(data, "prompt"),
                            .queue_remaining = number_of(data, "share"),
                            .at_ms = number_of(data, "at"),
                            .is_gone = memmem(data.bytes, data.len, "gone", 4) != NULL};
    return h->is_gone || h->boot.len > 0 ? DROP_NOTHING : DROP_BAD_DATA;
}

static struct span read_str(struct codec *self, struct span value)
{
    (void)self;
    return value;
}

static struct frame *text_frame(const char *text)
{
    struct frame_builder b;
    frame_builder_init(&b, strlen(text));
    frame_builder_add_str(&b, text);
    return frame_builder_finish(&b, FRAME_TEXT);
}

static struct frame *make_status(struct codec *self, int64_t queue_remaining, struct span sid)
{
    char text[256];
    if (OWNER(self, struct core, codec)->status_fails)
        return NULL;
    snprintf(text, sizeof text, "status %lld%s%.*s", (long long)queue_remaining, sid.len > 0 ? " sid=" : "",
             (int)sid.len, sid.len > 0 ? (const char *)sid.bytes : "");
    return text_frame(text);
}

static struct frame *make_executing(struct codec *self, struct span node)
{
    (void)self;
    char text[SESSION_VALUE_MAX + 64];
    snprintf(text, sizeof text, "executing node=%.*s", (int)node.len, (const char *)node.bytes);
    return text_frame(text);
}

/* Redis */

static void subscribe(struct channels *self, struct span sid)
{
    record_call(OWNER(self, struct core, channels), "subscribe ", sid);
}

static void unsubscribe(struct channels *self, struct span sid)
{
    record_call(OWNER(self, struct core, channels), "unsubscribe ", sid);
}

static void lost(struct registry *self, const struct worker *w, bool is_restart, struct span node)
{
    char text[512];
    int n =
        snprintf(text, sizeof text, "%.*s boot=%.*s busy=%.*s prompt=%.*s node=%.*s%s", (int)w->id.len,
                 (const char *)w->id.bytes, (int)w->boot.len, (const char *)w->boot.bytes, (int)w->sid.len,
                 (const char *)w->sid.bytes, (int)w->prompt.len, (const char *)w->prompt.bytes, (int)node.len,
                 (const char *)node.bytes, is_restart ? " restart" : "");
    record_call(OWNER(self, struct core, registry), "lost ", span_of(text, (size_t)n));
}

void core_confirm(struct core *core, const char *sid)
{
    relay_subscribed(&core->relay, span_str(sid));
    relay_flush(&core->relay);
}

void core_entry(struct core *core, const char *worker, const char *entry)
{
    relay_worker_entry(&core->relay, span_str(worker), span_str(entry), core->now_ms);
    relay_flush(&core->relay);
}

__attribute__((format(printf, 3, 0))) static enum drop_reason receive(struct core *core, const char *sid,
                                                                      const char *format, va_list arguments)
{
    static char text[70000];
    int n = vsnprintf(text, sizeof text, format, arguments);
    require(n >= 0 && (size_t)n < sizeof text, "the message is too long");
    return relay_receive(&core->relay, span_str(sid), span_of(text, (size_t)n), core->now_ms);
}

enum drop_reason core_receive(struct core *core, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum drop_reason reason = receive(core, "", format, arguments);
    va_end(arguments);
    return reason;
}

enum drop_reason core_receive_on(struct core *core, const char *sid, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum drop_reason reason = receive(core, sid, format, arguments);
    va_end(arguments);
    return reason;
}

void core_publish(struct core *core, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    require(receive(core, "", format, arguments) == DROP_NOTHING, "a message was dropped");
    va_end(arguments);
    relay_flush(&core->relay);
}

void core_flush(struct core *core)
{
    relay_flush(&core->relay);
}

/* Sockets */

static void record_frame(struct core_socket *socket, const struct frame *f)
{
    static const uint8_t old_form[8] = {0, 0, 0, 1, 0, 0, 0, 1};
    struct span payload = frame_payload(f);
    bool is_old_form = payload.len >= 8 && memcmp(payload.bytes, old_form, 8) == 0;
    if (is_old_form)
        payload = span_of(payload.bytes + 8, payload.len - 8);
    record(socket->text, &socket->text_len, span_str(is_old_form ? "#1 " : ""), payload);
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
    require(c->state == CURSOR_LIVE && !c->is_blocked, "a socket was written to that must not be");
    for (int n = 1; n > 0 && !c->is_blocked && !socket->has_failed;) {
        n = cursor_peek(c, frames, 3);
        socket->has_failed = n < 0;
        int taken = 0;
        while (taken < n && has_room(socket, frames[taken]))
            take(socket, frames[taken++]);
        cursor_take(c, taken);
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
        relay_subscribed(&core->relay, span_str(sid));
    relay_flush(&core->relay);
    return rc;
}

void core_open(struct core *core, struct core_socket *socket, const char *sid)
{
    require(core_connect(core, socket, sid) == 0, "a socket could not be attached");
    socket->text_len = 0;
}

void core_close(struct core_socket *socket)
{
    if (!socket->cursor.session)
        return;
    relay_detach(&socket->core->relay, &socket->cursor, socket->core->now_ms);
    relay_flush(&socket->core->relay);
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
    struct frame *f = text_frame(text);
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
    *core = (struct core){
        .codec = {decode, encode, read_share, read_heartbeat, read_str, make_status, make_executing},
        .channels = {subscribe, unsubscribe},
        .registry = {lost},
        .sockets = {write_socket},
        .now_ms = 10000};
    struct ports ports = {&core->codec, &core->channels, &core->registry, &core->sockets};
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
        require(++turns < 10000, "relay_next_ms() asks to be woken again and again");
    }
    core->now_ms = end;
}
