#include "adapters/publisher/command/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/msgpack/codec.h"
#include "adapters/msgpack/unpack.h"
#include "adapters/publisher/clock.h"
#include "adapters/publisher/envelope.h"
#include "adapters/publisher/parse_json.h"

#define READ_BYTES     (64 * 1024)
#define LINE_MAX_BYTES (128u << 20)

struct lines {
    struct desk *desk;
    struct comfy_publisher *publisher;
    uint64_t timeout_ms;
    char *bytes; /* owned; a line as far as it was read */
    size_t len, cap;
    bool is_too_long; /* the rest of the line is stepped over */
    unsigned long number, wrong;
    bool gave_up;
};

static void complain(struct lines *l, const char *why)
{
    fprintf(stderr, "comfy-publish: line %lu: %s\n", l->number, why);
    l->wrong++;
}

static void complain_of_publisher(struct lines *l)
{
    char where[32];
    snprintf(where, sizeof where, "line %lu", l->number);
    desk_complain(l->desk, 0, where);
    l->wrong++;
}

/* Binary data */

static int sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Decodes in place of a copy of the text. False: it is no base64 (RFC 4648, section 4, with or without its padding). */
static bool decode_base64(struct span text, uint8_t *to, size_t *len)
{
    uint32_t bits = 0;
    size_t digits = 0;
    *len = 0;
    while (text.len > 0 && text.bytes[text.len - 1] == '=')
        text.len--;
    for (; digits < text.len; digits++) {
        int six = sextet((char)text.bytes[digits]);
        if (six < 0)
            return false;
        bits = bits << 6 | (uint32_t)six;
        if (digits % 4 > 0)
            to[(*len)++] = (uint8_t)(bits >> (6 - 2 * (digits % 4)));
    }
    return digits % 4 != 1;
}

/* A base64 text as the bytes that it stands for. */
static bool pack_bytes(struct packing *to, struct span text)
{
    size_t len;
    uint8_t *bytes = malloc(text.len + 1);
    if (!bytes) {
        to->has_failed = true;
        return true;
    }
    bool is_base64 = decode_base64(text, bytes, &len);
    if (is_base64)
        packing_bin(to, span_of(bytes, len));
    free(bytes);
    return is_base64;
}

/* [format, image, ...]: the second element, if it is a text, are bytes. */
static bool pack_picture(struct packing *to, struct unpack *u)
{
    struct value v;
    const uint8_t *start = u->at;
    if (unpack_next(u, &v) != DROP_NOTHING || v.kind != VALUE_ARRAY || v.count < 2)
        return false;
    uint32_t rest = v.count - 2;
    if (unpack_skip(u, 1) != DROP_NOTHING)
        return false;
    packing_raw(to, span_of(start, (size_t)(u->at - start)));
    if (unpack_next(u, &v) != DROP_NOTHING || v.kind != VALUE_STR || !pack_bytes(to, v.bytes))
        return false;
    for (start = u->at; rest > 0; rest--)
        if (unpack_skip(u, 1) != DROP_NOTHING)
            return false;
    packing_raw(to, span_of(start, (size_t)(u->at - start)));
    return true;
}

/* [[format, image, max_size], metadata] */
static bool pack_picture_with_metadata(struct packing *to, struct unpack *u)
{
    struct value v;
    if (unpack_next(u, &v) != DROP_NOTHING || v.kind != VALUE_ARRAY || v.count != 2)
        return false;
    msgpack_pack_array(&to->packer, 2);
    if (!pack_picture(to, u))
        return false;
    packing_raw(to, span_of(u->at, unpack_left(u)));
    return true;
}

static bool pack_binary_data(struct packing *to, uint32_t code, struct span data)
{
    struct value v = unpack_one(data);
    struct unpack u = unpack_of(data);
    if (v.kind == VALUE_STR)
        return pack_bytes(to, v.bytes);
    if (code == 1 || code == 2)
        return pack_picture(to, &u);
    if (code == 4)
        return pack_picture_with_metadata(to, &u);
    packing_raw(to, data); /* code 3; the others are refused when they are published */
    return true;
}

/* A line */

enum { KEY_TYPE, KEY_SID, KEY_WORKER, KEY_KEEP, KEY_DATA, KEYS };

static const char *read_type(struct span raw, struct event *e)
{
    struct value v = unpack_one(raw);
    e->is_binary = v.kind == VALUE_UINT;
    if (e->is_binary && v.uint <= UINT32_MAX)
        e->code = (uint32_t)v.uint;
    else if (v.kind == VALUE_STR)
        e->type = v.bytes;
    else
        return "type must be a text, or a number of 32 bits";
    return NULL;
}

static const char *read_sid(struct span raw, struct event *e)
{
    struct value v = unpack_one(raw);
    e->to = v.kind == VALUE_NIL ? TO_ALL : v.kind == VALUE_STR && v.bytes.len == 0 ? TO_NOBODY : TO_SESSION;
    e->sid = v.kind == VALUE_STR ? v.bytes : SPAN_NONE;
    return v.kind == VALUE_NIL || v.kind == VALUE_STR ? NULL : "sid must be a text or null";
}

static const char *read_rest(const struct member *members, struct event *e)
{
    struct value worker = unpack_one(members[KEY_WORKER].value), keep = unpack_one(members[KEY_KEEP].value);
    if (worker.kind == VALUE_STR)
        e->worker = worker.bytes;
    else if (worker.kind != VALUE_NIL)
        return "worker must be a text";
    if (keep.kind == VALUE_BOOL)
        e->keep = keep.boolean ? KEEP_ALWAYS : KEEP_NEWEST;
    else if (keep.kind != VALUE_NIL)
        return "keep must be true or false";
    return NULL;
}

/* The envelope of what a line, as MessagePack, says. NULL, or what is wrong with it. */
static const char *pack_event(struct packing *to, struct span line, const char *worker)
{
    struct member members[KEYS] = {[KEY_TYPE] = {.key = SPAN_LITERAL("type")},
                                   [KEY_SID] = {.key = SPAN_LITERAL("sid")},
                                   [KEY_WORKER] = {.key = SPAN_LITERAL("worker")},
                                   [KEY_KEEP] = {.key = SPAN_LITERAL("keep")},
                                   [KEY_DATA] = {.key = SPAN_LITERAL("data")}};
    struct event e = {.worker = span_str(worker)};
    if (unpack_members(line, 1, members, KEYS) != DROP_NOTHING)
        return "a line is one JSON object";
    const char *why = read_type(members[KEY_TYPE].value, &e);
    if (!why)
        why = read_sid(members[KEY_SID].value, &e);
    if (!why)
        why = read_rest(members, &e);
    if (why)
        return why;
    struct span data = members[KEY_DATA].value.len ? members[KEY_DATA].value : span_str("\xc0");
    envelope_begin(to, &e, clock_unix_ms());
    if (e.is_binary)
        return pack_binary_data(to, e.code, data)
                   ? NULL
                   : "data of this code has another shape, with base64 for its bytes";
    packing_raw(to, data);
    return NULL;
}

/* As often as the queue is full, once Redis has had time. */
static void publish(struct lines *l, struct span envelope)
{
    uint64_t end_ms = clock_now_ms() + l->timeout_ms;
    int error = comfy_publisher_envelope(l->publisher, envelope.bytes, envelope.len);
    while (error == -EAGAIN && clock_now_ms() < end_ms && !l->desk->is_stopped) {
        desk_wait(l->desk, end_ms, false);
        error = comfy_publisher_envelope(l->publisher, envelope.bytes, envelope.len);
    }
    l->gave_up = error == -EAGAIN;
    if (error < 0)
        complain_of_publisher(l);
}

static void publish_parsed(struct lines *l, const struct packing *line)
{
    struct packing envelope;
    packing_init(&envelope);
    const char *why = pack_event(&envelope, packing_span(line), comfy_publisher_worker(l->publisher));
    if (line->has_failed || envelope.has_failed)
        why = "no memory";
    if (why)
        complain(l, why);
    else
        publish(l, packing_span(&envelope));
    packing_deinit(&envelope);
}

static void take_line(struct lines *l, struct span line)
{
    char text[128];
    const char *why;
    size_t at;
    struct packing parsed;
    line = span_trim(line);
    if (line.len == 0 || span_is(line, "\r"))
        return;
    packing_init(&parsed);
    if (parse_json(&parsed, line, 1, &why, &at) < 0) {
        snprintf(text, sizeof text, "not JSON, byte %zu: %s", at + 1, why);
        complain(l, text);
    } else {
        publish_parsed(l, &parsed);
    }
    packing_deinit(&parsed);
}

/* The input */

static bool make_room(struct lines *l)
{
    if (l->cap - l->len >= READ_BYTES)
        return true;
    char *more = l->len < LINE_MAX_BYTES ? realloc(l->bytes, 2 * l->cap + READ_BYTES) : NULL;
    if (!more)
        return false;
    l->bytes = more;
    l->cap = 2 * l->cap + READ_BYTES;
    return true;
}

static void end_line(struct lines *l, struct span line)
{
    l->number++;
    if (l->is_too_long)
        complain(l, "the line is too long");
    else
        take_line(l, line);
    l->is_too_long = false;
}

/* Takes the whole lines of what was read; looks for their ends from `from` on. */
static void take_lines(struct lines *l, size_t from)
{
    size_t begin = 0;
    char *end;
    while (!l->gave_up && !l->desk->is_stopped && (end = memchr(l->bytes + from, '\n', l->len - from))) {
        from = (size_t)(end - l->bytes) + 1;
        end_line(l, span_of(l->bytes + begin, from - 1 - begin));
        begin = from;
    }
    l->len -= begin;
    memmove(l->bytes, l->bytes + begin, l->len);
}

/* False: it has ended. */
static bool read_some(struct lines *l)
{
    if (!make_room(l)) {
        l->is_too_long = true;
        l->len = 0;
    }
    if (!l->bytes)
        return false;
    ssize_t n = read(STDIN_FILENO, l->bytes + l->len, l->cap - l->len);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n < 0) {
        l->number++;
        complain(l, strerror(errno));
        return false;
    }
    size_t from = l->len;
    l->len += (size_t)n;
    take_lines(l, from);
    return n > 0;
}

int lines_publish(struct desk *d, uint64_t timeout_ms)
{
    struct lines l = {.desk = d, .publisher = d->publishers[0], .timeout_ms = timeout_ms};
    bool has_more = true;
    while (has_more && !l.gave_up && !d->is_stopped)
        if (desk_wait(d, UINT64_MAX, true))
            has_more = read_some(&l);
    if (!has_more && (l.len > 0 || l.is_too_long))
        end_line(&l, span_of(l.bytes, l.len)); /* without a newline */
    free(l.bytes);
    if (l.wrong > 0)
        fprintf(stderr, "comfy-publish: %lu of %lu lines were not published\n", l.wrong, l.number);
    return l.wrong > 0 ? -1 : 0;
}
