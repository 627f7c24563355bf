#include "tests/support/line_codec.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static struct line_codec *codec_of(struct codec *self)
{
    return (struct line_codec *)((char *)self - offsetof(struct line_codec, codec));
}

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
    size_t n = strlen(key);
    *value = SPAN_NONE;
    for (struct span word = next_word(&line); word.len > 0; word = next_word(&line)) {
        if (word.len >= 2 && word.bytes[0] == 'v' && word.bytes[1] == '=')
            return false;
        if (word.len > n && word.bytes[n] == '=' && memcmp(word.bytes, key, n) == 0) {
            *value = span_of(word.bytes + n + 1, word.len - n - 1);
            return true;
        }
    }
    return false;
}

struct span line_value(struct span line, const char *key)
{
    struct span value;
    find_value(line, key, &value);
    return value;
}

long long line_number(struct span line, const char *key)
{
    char digits[24] = "";
    struct span value = line_value(line, key);
    if (value.len > 0 && value.len < sizeof digits)
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

/* The id before the event, if there is one. */
static enum drop_reason take_id(struct span *message, struct span channel_sid, struct stream_id *id)
{
    if (!span_starts_with(*message, "id="))
        return DROP_NOTHING;
    struct span word = next_word(message);
    bool is_id = stream_id_parse(span_of(word.bytes + 3, word.len - 3), id);
    return is_id && channel_sid.len > 0 ? DROP_NOTHING : DROP_BAD_ID;
}

static enum drop_reason decode(struct codec *self, struct span message, struct span channel_sid,
                               struct event *event)
{
    (void)self;
    struct stream_id id = STREAM_ID_NONE;
    enum drop_reason reason = take_id(&message, channel_sid, &id);
    if (reason != DROP_NOTHING)
        return reason;
    struct span rest = message;
    struct span type = next_word(&rest);
    if (span_is(type, "malformed"))
        return DROP_MALFORMED;
    *event = (struct event){.id = id, .type = type, .data = message, .worker = line_value(rest, "worker")};
    event->ts_ms = line_number(message, "ts");
    event->is_binary = span_starts_with(type, "#");
    event->code = event->is_binary ? (uint32_t)(type.bytes[1] - '0') : 0;
    struct span keep = line_value(rest, "keep");
    event->keep = span_is(keep, "yes") ? KEEP_ALWAYS : span_is(keep, "no") ? KEEP_NEWEST : KEEP_BY_TYPE;
    read_addressee(rest, channel_sid, event);
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
    struct line_codec *c = codec_of(self);
    if (line_value(e->data, "bad").len > 0)
        return DROP_BAD_DATA;
    e->prompt = line_value(e->data, "prompt");
    e->node = line_value(e->data, "node");
    e->display_node = line_value(e->data, "display");
    e->is_blocked = line_value(e->data, "blocked").len > 0;
    struct span format = line_value(e->data, "format");
    e->picture = span_is(format, "JPEG") ? PICTURE_JPEG : format.len > 0 ? PICTURE_OTHER : PICTURE_NONE;
    c->encoded += frame != NULL;
    c->looked_at += frame == NULL;
    if (!frame)
        return DROP_NOTHING;
    *frame = make_frame(e);
    return *frame ? DROP_NOTHING : DROP_NO_MEMORY;
}

static enum drop_reason read_share(struct codec *self, const struct event *e, int64_t *share)
{
    (void)self;
    *share = line_number(e->data, "share");
    return line_value(e->data, "share").len > 0 ? DROP_NOTHING : DROP_BAD_DATA;
}

static enum drop_reason read_heartbeat(struct codec *self, struct span data, struct heartbeat *h)
{
    (void)self;
    *h = (struct heartbeat){.boot = line_value(data, "boot"),
                            .sid = line_value(data, "busy"),
                            .prompt = line_value(data, "prompt"),
                            .queue_remaining = line_number(data, "share"),
                            .at_ms = line_number(data, "at"),
                            .is_gone = memmem(data.bytes, data.len, "gone", 4) != NULL};
    return h->is_gone || h->boot.len > 0 ? DROP_NOTHING : DROP_BAD_DATA;
}

static enum drop_reason read_sender(struct codec *self, struct span data, struct sender *sender)
{
    (void)self;
    *sender = (struct sender){line_value(data, "by"), line_number(data, "opened")};
    return sender->name.len > 0 ? DROP_NOTHING : DROP_BAD_DATA;
}

static struct span read_str(struct codec *self, struct span value)
{
    (void)self;
    return value;
}

struct frame *line_frame(const char *text)
{
    struct frame_builder b;
    frame_builder_init(&b, strlen(text));
    frame_builder_add_str(&b, text);
    return frame_builder_finish(&b, FRAME_TEXT);
}

static struct frame *make_status(struct codec *self, int64_t queue_remaining, struct span sid)
{
    char text[256];
    if (codec_of(self)->status_fails)
        return NULL;
    snprintf(text, sizeof text, "status %lld%s%.*s", (long long)queue_remaining, sid.len > 0 ? " sid=" : "",
             (int)sid.len, sid.len > 0 ? (const char *)sid.bytes : "");
    return line_frame(text);
}

static struct frame *make_executing(struct codec *self, struct span node)
{
    (void)self;
    char text[2048];
    snprintf(text, sizeof text, "executing node=%.*s", (int)node.len, (const char *)node.bytes);
    return line_frame(text);
}

struct span line_of_frame(const struct frame *f, bool *is_old_form)
{
    static const uint8_t old_form[8] = {0, 0, 0, 1, 0, 0, 0, 1};
    struct span payload = frame_payload(f);
    *is_old_form = payload.len >= 8 && memcmp(payload.bytes, old_form, 8) == 0;
    return *is_old_form ? span_of(payload.bytes + 8, payload.len - 8) : payload;
}

void line_codec_init(struct line_codec *c)
{
    *c = (struct line_codec){.codec = {.decode = decode,
                                       .encode = encode,
                                       .read_share = read_share,
                                       .read_heartbeat = read_heartbeat,
                                       .read_sender = read_sender,
                                       .read_str = read_str,
                                       .make_status = make_status,
                                       .make_executing = make_executing}};
}
