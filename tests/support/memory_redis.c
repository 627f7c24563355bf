#include "tests/support/memory_redis.h"

#include <stdio.h>
#include <stdlib.h>

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "memory redis: %s\n", what);
    abort();
}

void memory_redis_init(struct memory_redis *m)
{
    line_codec_init(&m->codec);
    m->count = m->used = 0;
    m->next_ms = 1;
    m->entries = MEMORY_ENTRIES_MAX;
}

void memory_redis_flush(struct memory_redis *m)
{
    m->count = 0;
}

struct memory_session *memory_redis_session(struct memory_redis *m, struct span sid)
{
    for (size_t i = 0; i < m->count; i++)
        if (span_is(sid, m->sessions[i].sid))
            return &m->sessions[i];
    require(m->count < MEMORY_SESSIONS_MAX && sid.len < sizeof m->sessions[0].sid, "no room for a session");
    struct memory_session *s = &m->sessions[m->count++];
    memcpy(s->sid, sid.bytes, sid.len);
    s->sid[sid.len] = '\0';
    s->count = s->latest_count = 0;
    s->last = s->ack = STREAM_ID_NONE;
    s->has_ack = false;
    s->owner[0] = '\0';
    return s;
}

static struct span keep_copy(struct memory_redis *m, struct span text)
{
    require(m->used + text.len <= MEMORY_TEXT_MAX, "no room for a text");
    char *copy = m->text + m->used;
    memcpy(copy, text.bytes, text.len);
    m->used += text.len;
    return span_of(copy, text.len);
}

void memory_redis_trim(struct memory_session *s, size_t entries)
{
    if (s->count <= entries)
        return;
    memmove(s->log, s->log + (s->count - entries), entries * sizeof s->log[0]);
    s->count = entries;
}

static void add_latest(struct memory_session *s, uint64_t key, struct span event)
{
    size_t i = 0;
    while (i < s->latest_count && s->latest_keys[i] != key)
        i++;
    require(i < MEMORY_LATEST_MAX, "no room for a conflated event");
    s->latest_count += i == s->latest_count;
    s->latest_keys[i] = key;
    s->latest[i] = event;
}

bool memory_redis_publish(struct memory_redis *m, struct span sid, struct span event, struct span *copy,
                          struct stream_id *id)
{
    static const uint64_t seed[2] = {3, 4};
    struct codec *codec = &m->codec.codec;
    struct memory_session *s = memory_redis_session(m, sid);
    struct event e;
    *copy = keep_copy(m, event);
    *id = STREAM_ID_NONE;
    require(codec->decode(codec, *copy, sid, &e) == DROP_NOTHING &&
                codec->encode(codec, &e, NULL) == DROP_NOTHING,
            "a broken event");
    uint64_t key = event_conflation_key(&e, seed);
    if (key != 0) {
        add_latest(s, key, *copy);
        return false;
    }
    if (event_ends_prompt(&e))
        s->latest_count = 0;
    memory_redis_trim(s, m->entries - 1);
    s->last = *id = (struct stream_id){m->next_ms++, 0};
    s->log[s->count++] = (struct archived){*id, *copy};
    return true;
}

size_t memory_redis_back(const struct memory_session *s, struct stream_id before, struct archived *out,
                         size_t max, bool *is_last)
{
    size_t n = 0, i = s->count;
    while (i > 0 && stream_id_compare(s->log[i - 1].id, before) >= 0)
        i--;
    while (i > 0 && n < max)
        out[n++] = s->log[--i];
    *is_last = i == 0;
    return n;
}

size_t memory_redis_on(const struct memory_session *s, struct stream_id from, struct archived *out,
                       size_t max, bool *is_last)
{
    size_t n = 0, i = 0;
    while (i < s->count && stream_id_compare(s->log[i].id, from) < 0)
        i++;
    while (i < s->count && n < max)
        out[n++] = s->log[i++];
    *is_last = i == s->count;
    return n;
}

static bool is_anothers(const struct memory_session *s, struct span name)
{
    return s->owner[0] != '\0' && !span_is(name, s->owner);
}

enum owner memory_redis_join(struct memory_session *s, enum join join, struct span name, uint64_t *opened_ms,
                             bool *is_refused)
{
    enum owner owner = s->owner[0] == '\0' ? OWNER_NOBODY : is_anothers(s, name) ? OWNER_ANOTHER : OWNER_US;
    *is_refused = join == JOIN_CLAIM && owner == OWNER_ANOTHER && s->opened_ms > *opened_ms + RELAY_SKEW_MS;
    if (join == JOIN_CLAIM && !*is_refused) {
        if (owner == OWNER_ANOTHER && s->opened_ms >= *opened_ms)
            *opened_ms = s->opened_ms + 1;
        snprintf(s->owner, sizeof s->owner, "%.*s", (int)name.len, (const char *)name.bytes);
        s->opened_ms = *opened_ms;
    }
    return join == JOIN_NONE ? OWNER_UNKNOWN : owner;
}

bool memory_redis_store(struct memory_session *s, struct span name, struct stream_id ack, bool is_again)
{
    bool was_there = s->has_ack;
    if (is_anothers(s, name))
        return true;
    s->has_ack = true;
    s->ack = ack;
    return was_there || !is_again;
}

void memory_redis_forget(struct memory_session *s, struct span name, uint64_t opened_ms, bool share)
{
    if (share || !is_anothers(s, name) || s->opened_ms <= opened_ms)
        s->has_ack = false;
}
