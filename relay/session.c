#include "relay/session.h"

#include <errno.h>
#include <stdlib.h>

#include "relay/hash.h"

#define BUCKETS_MIN 64

int session_table_init(struct session_table *t, const uint64_t seed[2])
{
    *t = (struct session_table){.cap = BUCKETS_MIN, .seed = {seed[0], seed[1]}};
    t->buckets = calloc(t->cap, sizeof(struct session *));
    return t->buckets ? 0 : -ENOMEM;
}

static void session_free(struct session *s)
{
    log_deinit(&s->log);
    free(s->prompt);
    free(s->node);
    free(s);
}

void session_table_deinit(struct session_table *t)
{
    for (size_t i = 0; i < t->cap; i++)
        for (struct session *s = t->buckets[i], *next; s; s = next) {
            next = s->next_in_bucket;
            session_free(s);
        }
    free(t->buckets);
}

static struct session **bucket_of(const struct session_table *t, uint32_t hash)
{
    return &t->buckets[hash & (t->cap - 1)];
}

struct session *session_find(const struct session_table *t, struct span sid)
{
    uint32_t hash = (uint32_t)hash_bytes(sid, t->seed);
    for (struct session *s = *bucket_of(t, hash); s; s = s->next_in_bucket)
        if (s->hash == hash && span_equals(session_sid(s), sid))
            return s;
    return NULL;
}

static void put(struct session_table *t, struct session *s)
{
    struct session **bucket = bucket_of(t, s->hash);
    s->next_in_bucket = *bucket;
    *bucket = s;
}

/* Without memory the table stays as it is, only slower. */
static void grow(struct session_table *t)
{
    struct session_table bigger = {.cap = 2 * t->cap};
    bigger.buckets = calloc(bigger.cap, sizeof(struct session *));
    if (!bigger.buckets)
        return;
    for (size_t i = 0; i < t->cap; i++)
        for (struct session *s = t->buckets[i], *next; s; s = next) {
            next = s->next_in_bucket;
            put(&bigger, s);
        }
    free(t->buckets);
    t->buckets = bigger.buckets;
    t->cap = bigger.cap;
}

struct session *session_add(struct session_table *t, struct span sid)
{
    struct session *s = calloc(1, session_size(sid.len));
    if (!s)
        return NULL;
    if (t->count >= t->cap)
        grow(t);
    memcpy(s->sid, sid.bytes, sid.len);
    s->sid_len = (uint8_t)sid.len;
    s->hash = (uint32_t)hash_bytes(sid, t->seed);
    s->told = -1;
    log_init(&s->log, &t->logs);
    TAILQ_INIT(&s->cursors);
    put(t, s);
    t->count++;
    return s;
}

void session_remove(struct session_table *t, struct session *s)
{
    struct session **link = bucket_of(t, s->hash);
    while (*link != s)
        link = &(*link)->next_in_bucket;
    *link = s->next_in_bucket;
    t->count--;
    session_free(s);
}

size_t session_bytes(const struct session *s)
{
    return block_bytes(session_size(s->sid_len)) + block_bytes(s->prompt_len) + block_bytes(s->node_len);
}

size_t session_table_bytes(const struct session_table *t)
{
    return block_bytes(t->cap * sizeof *t->buckets);
}

void session_each(const struct session_table *t, void (*fn)(struct session *s, void *arg), void *arg)
{
    for (size_t i = 0; i < t->cap; i++)
        for (struct session *s = t->buckets[i]; s; s = s->next_in_bucket)
            fn(s, arg);
}

/* What executes */

/* Keeps a copy of a value; of an empty one, or without memory, nothing. */
static void keep_copy(uint8_t **bytes, uint16_t *len, struct span value)
{
    if (span_equals(span_of(*bytes, *len), value))
        return;
    free(*bytes);
    *bytes = value.len > 0 && value.len <= SESSION_VALUE_MAX ? malloc(value.len) : NULL;
    *len = *bytes ? (uint16_t)value.len : 0;
    if (*bytes)
        memcpy(*bytes, value.bytes, value.len);
}

/* Another one, as far as their ids tell. */
static bool is_another(const struct session *s, struct span prompt)
{
    return prompt.len > 0 && s->prompt_len > 0 && !span_equals(prompt, session_prompt(s));
}

void session_note_start(struct session *s, struct span prompt)
{
    s->start_seq = s->node_seq = 0;
    s->is_executing = true;
    s->is_ending = s->status_is_fresh = false;
    keep_copy(&s->prompt, &s->prompt_len, prompt);
    keep_copy(&s->node, &s->node_len, SPAN_NONE);
}

void session_note_executing(struct session *s, struct span prompt, struct span display_node)
{
    if (!s->is_executing || is_another(s, prompt))
        s->start_seq = 0;
    s->node_seq = 0;
    s->is_executing = true;
    s->is_ending = s->status_is_fresh = false;
    keep_copy(&s->prompt, &s->prompt_len, prompt);
    keep_copy(&s->node, &s->node_len, display_node);
}

void session_note_seq(struct session *s, bool is_node, uint64_t seq)
{
    if (is_node)
        s->node_seq = seq;
    if (!is_node || s->start_seq == 0)
        s->start_seq = seq;
}

void session_note_end(struct session *s, struct span prompt)
{
    if (is_another(s, prompt))
        return;
    s->is_executing = false;
    s->start_seq = s->node_seq = 0;
    keep_copy(&s->prompt, &s->prompt_len, SPAN_NONE);
    keep_copy(&s->node, &s->node_len, SPAN_NONE);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t session_needed_from(const struct session *s)
{
    uint64_t from = s->log.next_seq;
    const struct cursor *c;
    TAILQ_FOREACH (c, &s->cursors, in_session)
        if (c->state != CURSOR_SILENT)
            from = least(from, c->state == CURSOR_LIVE ? c->acked.seq : c->seq);
    if (s->has_left)
        from = least(from, s->left.seq);
    if (s->is_executing && s->start_seq > 0)
        from = least(from, s->start_seq);
    return from;
}

bool session_place(const struct session *s, struct reached *place)
{
    bool is_known = s->has_left;
    const struct cursor *c;
    if (s->has_left)
        *place = s->left;
    TAILQ_FOREACH (c, &s->cursors, in_session) {
        if (c->state != CURSOR_LIVE || (is_known && c->acked.seq >= place->seq))
            continue;
        *place = c->acked;
        is_known = true;
    }
    return is_known;
}

struct cursor *session_receiver(const struct session *s)
{
    struct cursor *c = TAILQ_FIRST(&s->cursors);
    return c && c->state != CURSOR_SILENT ? c : NULL;
}

struct cursor *session_unplaced(const struct session *s)
{
    struct cursor *c = TAILQ_FIRST(&s->cursors);
    return c && (c->state == CURSOR_WAITING || c->state == CURSOR_HELD) ? c : NULL;
}
