#include "relay/event.h"

#include "relay/hash.h"

/* What of an event is part of its conflation key, besides its type. */
enum { BY_PROMPT = 1, BY_NODE = 2, BY_WORKER = 4, NEEDS_NODE = 8 };

struct type_row {
    struct span type;
    enum effect effect;
    bool is_latest;
    unsigned key;
};

/* The types that mean something to the relay, the shortest first. Any other is kept in order and means nothing. */
static const struct type_row types[] = {
    {SPAN_LITERAL("status"), EFFECT_STATUS, false, 0},
    /* without a node it is a marker of SwarmUI's, which must not be lost */
    {SPAN_LITERAL("progress"), EFFECT_NONE, true, BY_PROMPT | BY_NODE | NEEDS_NODE},
    {SPAN_LITERAL("executing"), EFFECT_EXECUTING, false, 0},
    {SPAN_LITERAL("relay.left"), EFFECT_LEFT, false, 0},
    {SPAN_LITERAL("relay.worker"), EFFECT_WORKER, false, 0},
    {SPAN_LITERAL("progress_state"), EFFECT_NONE, true, BY_PROMPT},
    {SPAN_LITERAL("relay.takeover"), EFFECT_TAKEOVER, false, 0},
    {SPAN_LITERAL("execution_start"), EFFECT_START, false, 0},
    {SPAN_LITERAL("execution_error"), EFFECT_ERROR, false, 0},
    {SPAN_LITERAL("execution_success"), EFFECT_END, false, 0},
    {SPAN_LITERAL("crystools.monitor"), EFFECT_NONE, true, BY_WORKER},
    {SPAN_LITERAL("execution_interrupted"), EFFECT_END, false, 0},
};

#define TYPES (sizeof types / sizeof types[0])

static const struct type_row *find_row(const struct event *e)
{
    size_t i = 0;
    if (e->is_binary)
        return NULL;
    while (i < TYPES && types[i].type.len < e->type.len)
        i++;
    for (; i < TYPES && types[i].type.len == e->type.len; i++)
        if (span_equals(e->type, types[i].type))
            return &types[i];
    return NULL;
}

enum effect event_effect(const struct event *e)
{
    const struct type_row *row = find_row(e);
    if (row)
        return row->effect;
    return !e->is_binary && span_starts_with(e->type, "relay.") ? EFFECT_CONTRACT : EFFECT_NONE;
}

bool effect_is_internal(enum effect effect)
{
    return effect >= EFFECT_STATUS;
}

bool event_ends_prompt(const struct event *e)
{
    switch (event_effect(e)) {
    case EFFECT_END:
        return true;
    case EFFECT_ERROR:
        return !e->is_blocked;
    case EFFECT_EXECUTING:
        return e->node.len == 0;
    default:
        return false;
    }
}

#define PREVIEW UINT64_C(0x70726576696577) /* the same letters: tells their keys from hashes of nodes */

/* Previews of all codes share one key for each node: they show the same picture. */
static uint64_t preview_key(const struct event *e, const uint64_t seed[2])
{
    return hash_bytes(e->node, seed) ^ PREVIEW;
}

static uint64_t field_key(const struct event *e, unsigned fields, const uint64_t seed[2])
{
    uint64_t parts[4] = {e->is_binary ? e->code : hash_bytes(e->type, seed)};
    parts[1] = fields & BY_PROMPT ? hash_bytes(e->prompt, seed) : 0;
    parts[2] = fields & BY_NODE ? hash_bytes(e->node, seed) : 0;
    parts[3] = fields & BY_WORKER ? hash_bytes(e->worker, seed) : 0;
    return hash_bytes(span_of(parts, sizeof parts), seed);
}

uint64_t event_conflation_key(const struct event *e, const uint64_t seed[2])
{
    if (e->keep == KEEP_ALWAYS)
        return 0;
    if (e->is_binary && e->picture == PICTURE_JPEG)
        return preview_key(e, seed);
    const struct type_row *row = find_row(e);
    if (row && row->is_latest && (e->node.len > 0 || !(row->key & NEEDS_NODE)))
        return field_key(e, row->key, seed);
    return e->keep == KEEP_NEWEST ? field_key(e, BY_PROMPT | BY_NODE, seed) : 0;
}
