#include "adapters/publisher/route.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "adapters/msgpack/codec.h"
#include "adapters/redis/keys.h"
#include "adapters/redis/publish.h"

#define NUMBER_TEXT 24

static const char *const in_words[DROP_REASONS_COUNT] = {
    [DROP_MALFORMED] = "the data is not MessagePack",
    [DROP_TRUNCATED] = "the data ends before its value does",
    [DROP_TRAILING] = "something follows the value of the data",
    [DROP_NOT_A_MAP] = "an event is a map",
    [DROP_NO_TYPE] = "the event has no type",
    [DROP_BAD_TYPE] = "a type is a string or an unsigned 32-bit number",
    [DROP_BAD_SID] = "a sid is 1 to 128 bytes of UTF-8 without control characters, { or }",
    [DROP_BAD_ENVELOPE] = "worker is a string, keep a bool, ts a number",
    [DROP_BAD_ID] = "no id belongs before an event here",
    [DROP_BAD_DATA] = "the data has the wrong shape for its type or code",
    [DROP_TOO_DEEP] = "the data is nested deeper than 64, the event's map included",
};

/* 16 hexadecimal digits, empty for an event that is kept. All publishers of this kind make the same of the same
 * event. */
static struct span write_key(const struct event *e, char text[NUMBER_TEXT])
{
    static const uint64_t seed[2] = {0, 0};
    uint64_t key = event_conflation_key(e, seed);
    if (key == 0)
        return SPAN_NONE;
    return span_of(text, (size_t)snprintf(text, NUMBER_TEXT, "%016" PRIx64, key));
}

static struct span write_number(uint64_t n, char text[NUMBER_TEXT])
{
    return span_of(text, (size_t)snprintf(text, NUMBER_TEXT, "%" PRIu64, n));
}

static struct post *by_script(const struct route *r, struct span envelope, const struct event *e)
{
    struct key channel, log, latest;
    char ttl[NUMBER_TEXT], log_events[NUMBER_TEXT], key[NUMBER_TEXT];
    key_session(&channel, r->prefix, e->sid, "");
    key_session(&log, r->prefix, e->sid, ":log");
    key_session(&latest, r->prefix, e->sid, ":latest");
    struct span args[] = {span_str("EVAL"),
                          span_str(publish_lua),
                          span_str("2"),
                          key_span(&log),
                          key_span(&latest),
                          key_span(&channel),
                          envelope,
                          write_number(r->session_ttl_ms, ttl),
                          write_number(r->session_log_events, log_events),
                          write_key(e, key),
                          span_str(event_ends_prompt(e) ? "1" : "0")};
    return post_new(args, sizeof args / sizeof args[0]);
}

struct post *route_to_all(const struct route *r, struct span message)
{
    struct key channel;
    key_common(&channel, r->prefix, "events");
    struct span args[] = {span_str("PUBLISH"), key_span(&channel), message};
    return post_new(args, 3);
}

struct post *route_renewal(const struct route *r, struct span sid, const char *suffix)
{
    struct key key;
    char ttl[NUMBER_TEXT];
    key_session(&key, r->prefix, sid, suffix);
    struct span args[] = {span_str("PEXPIRE"), key_span(&key), write_number(r->session_ttl_ms, ttl)};
    return post_new(args, 3);
}

/* As a relay would: its envelope, then all of its data. */
static enum drop_reason decode(struct span envelope, struct event *e)
{
    struct codec *codec = codec_msgpack();
    int64_t share;
    enum drop_reason why = codec->decode(codec, envelope, SPAN_NONE, e);
    if (!why)
        why = codec->encode(codec, e, NULL);
    if (!why && event_effect(e) == EFFECT_STATUS)
        why = codec->read_share(codec, e, &share);
    return why;
}

static int refuse(const char *because, const char **why)
{
    *why = because;
    return -EINVAL;
}

int route_event(const struct route *r, struct span envelope, struct post **post, const char **why)
{
    struct event e;
    *post = NULL;
    enum drop_reason reason = decode(envelope, &e);
    if (reason)
        return refuse(in_words[reason] ? in_words[reason] : drop_reason_label(reason), why);
    enum effect effect = event_effect(&e);
    if (effect_is_internal(effect) && effect != EFFECT_STATUS)
        return refuse("types that begin with relay. are not for events", why);
    if (e.to == TO_NOBODY)
        return 0;
    bool is_for_all =
        e.to == TO_ALL || effect == EFFECT_STATUS; /* a share of the queue is nothing for a log */
    *post = is_for_all ? route_to_all(r, envelope) : by_script(r, envelope, &e);
    if (!*post)
        return -ENOMEM;
    (*post)->is_event = true;
    return 0;
}
