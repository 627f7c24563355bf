/* Any bytes from Redis: they are dropped with a reason, or become an event whose frame a client can read. The verdict does
 * not depend on whether a frame is wanted. */
#include <assert.h>
#include <stdlib.h>

#include "adapters/msgpack/codec.h"
#include "adapters/msgpack/compose.h"
#include "relay/sid.h"
#include "relay/utf8.h"

#define DEPTH_MAX 128

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A strict reader of JSON text (RFC 8259, without white space): what a browser accepts, and nothing else. */
struct json {
    const uint8_t *at;
    const uint8_t *end;
};

static uint8_t peek(const struct json *j)
{
    return j->at < j->end ? *j->at : 0;
}

static bool take(struct json *j, uint8_t c)
{
    if (j->at == j->end || *j->at != c)
        return false;
    j->at++;
    return true;
}

static bool take_word(struct json *j, const char *word)
{
    while (*word != 0 && take(j, (uint8_t)*word))
        word++;
    return *word == 0;
}

static size_t take_digits(struct json *j)
{
    const uint8_t *start = j->at;
    while (peek(j) >= '0' && peek(j) <= '9')
        j->at++;
    return (size_t)(j->at - start);
}

static bool take_number(struct json *j)
{
    take(j, '-');
    bool is_zero = peek(j) == '0';
    size_t whole = take_digits(j);
    if (whole == 0 || (is_zero && whole > 1))
        return false;
    if (take(j, '.') && take_digits(j) == 0)
        return false;
    if (!take(j, 'e'))
        return true;
    if (!take(j, '+'))
        take(j, '-');
    return take_digits(j) > 0;
}

static bool take_escape(struct json *j)
{
    uint8_t c = peek(j);
    j->at++;
    if (c != 'u')
        return c != 0 && strchr("\"\\bfnrt", c) != NULL;
    for (int i = 0; i < 4; i++, j->at++)
        if (peek(j) == 0 || !strchr("0123456789abcdef", peek(j)))
            return false;
    return true;
}

static bool take_string(struct json *j)
{
    if (!take(j, '"'))
        return false;
    while (!take(j, '"')) {
        if (peek(j) < 0x20)
            return false;
        int n = utf8_next(span_of(j->at, (size_t)(j->end - j->at)));
        if (n < 0)
            return false;
        j->at += n;
        if (j->at[-n] == '\\' && !take_escape(j))
            return false;
    }
    return true;
}

static bool take_scalar(struct json *j)
{
    switch (peek(j)) {
    case '"':
        return take_string(j);
    case 'n':
        return take_word(j, "null");
    case 't':
        return take_word(j, "true");
    case 'f':
        return take_word(j, "false");
    default:
        return take_number(j);
    }
}

/* What comes before an element: in an object its key. */
static bool take_key(struct json *j, char container)
{
    return container != '{' || (take_string(j) && take(j, ':'));
}

static bool take_value(struct json *j)
{
    char open[DEPTH_MAX];
    int depth = 0;
    for (;;) {
        char c = (char)peek(j);
        if (c == '{' || c == '[') {
            if (depth == DEPTH_MAX)
                return false;
            open[depth++] = c;
            j->at++;
            if (peek(j) != '}' && peek(j) != ']') {
                if (!take_key(j, c))
                    return false;
                continue;
            }
        } else if (!take_scalar(j)) {
            return false;
        }
        while (depth > 0 && take(j, open[depth - 1] == '{' ? '}' : ']'))
            depth--;
        if (depth == 0)
            return true;
        if (!take(j, ',') || !take_key(j, open[depth - 1]))
            return false;
    }
}

static bool is_json(struct span s)
{
    struct json j = {s.bytes, s.bytes + s.len};
    return take_value(&j) && j.at == j.end;
}

static uint32_t u32_at(struct span s, size_t at)
{
    assert(s.len >= at + 4);
    return (uint32_t)s.bytes[at] << 24 | (uint32_t)s.bytes[at + 1] << 16 | (uint32_t)s.bytes[at + 2] << 8 |
           s.bytes[at + 3];
}

static void expect_text(const struct frame *f)
{
    assert(span_starts_with(frame_payload(f), "{\"type\":\""));
    assert(is_json(frame_payload(f)));
    assert(f->picture_at == 0);
}

/* A preview with metadata: length, JSON, picture; and the form without. */
static void expect_preview(const struct frame *f)
{
    struct span payload = frame_payload(f);
    size_t json = u32_at(payload, 4);
    assert(u32_at(payload, 0) == 4 && f->picture_at == 8 + json && f->picture_at <= payload.len);
    assert(is_json(span_of(payload.bytes + 8, json)));
    struct frame *plain = frame_without_metadata(f);
    assert(u32_at(frame_payload(plain), 0) == 1 && u32_at(frame_payload(plain), 4) == f->picture_type);
    frame_unref(plain);
}

static void expect_binary(const struct event *e, const struct frame *f)
{
    uint32_t code = u32_at(frame_payload(f), 0);
    assert(code == (e->code == 2 ? 1 : e->code));
    if (f->picture_at > 0)
        expect_preview(f);
}

static void expect_inside(struct span part, struct span message)
{
    assert(part.len == 0 ||
           (part.bytes >= message.bytes && part.bytes + part.len <= message.bytes + message.len));
}

static void expect_own_frames(struct codec *codec, const struct event *e)
{
    struct frame *executing = codec->make_executing(codec, e->display_node);
    struct frame *status = codec->make_status(codec, (int64_t)e->data.len, e->sid);
    expect_text(executing);
    expect_text(status);
    frame_unref(executing);
    frame_unref(status);
}

static void encode(struct codec *codec, struct event *e, struct span message)
{
    struct event again = *e;
    struct frame *f;
    enum drop_reason why = codec->encode(codec, e, &f);
    assert(why < DROP_REASONS_COUNT && why != DROP_NO_MEMORY);
    assert(codec->encode(codec, &again, NULL) == why);
    assert(span_equals(e->prompt, again.prompt) && span_equals(e->node, again.node) &&
           e->picture == again.picture);
    assert((why == DROP_NOTHING) == (f != NULL));
    if (!f)
        return;
    expect_inside(e->prompt, message);
    expect_inside(e->node, message);
    expect_inside(e->display_node, message);
    if (e->is_binary)
        expect_binary(e, f);
    else
        expect_text(f);
    expect_own_frames(codec, e);
    frame_unref(f);
}

static void read_status(struct codec *codec, const struct event *e)
{
    int64_t share;
    struct heartbeat h;
    if (codec->read_share(codec, e, &share) == DROP_NOTHING)
        assert(share >= 0);
    if (codec->read_heartbeat(codec, e->data, &h) == DROP_NOTHING)
        assert(h.queue_remaining >= 0 && (h.sid.len == 0 || sid_is_valid(h.sid)));
}

static void receive(struct span message, struct span channel_sid)
{
    struct codec *codec = codec_msgpack();
    struct event e;
    if (codec->decode(codec, message, channel_sid, &e) != DROP_NOTHING)
        return;
    assert(e.to != TO_SESSION || sid_is_valid(e.sid));
    expect_inside(e.type, message);
    expect_inside(e.worker, message);
    expect_inside(e.data, message);
    read_status(codec, &e);
    encode(codec, &e, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1); /* of its exact size */
    assert(copy);
    if (size > 0)
        memcpy(copy, data, size);
    struct span message = span_of(copy, size);
    receive(message, SPAN_NONE);
    receive(message, span_str("sid"));
    compose_log_entry_ends(message, span_str("p"));
    free(copy);
    return 0;
}
