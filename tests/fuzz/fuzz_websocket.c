/* Any bytes from a client of a WebSocket, cut anywhere: what comes of them does not depend on the cuts, keeps
 * to the limit, and every text is read for feature flags. The first two bytes of the input choose the cuts. */
#include <assert.h>
#include <stdlib.h>

#include "adapters/websocket/flags.h"
#include "adapters/websocket/receiver.h"

#define LIMIT 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    uint64_t sum; /* of all that came out */
    size_t events;
    size_t answer_bytes; /* of pongs */
    bool is_over;
    bool is_idle;
};

static void add(struct outcome *o, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < len; i++)
        o->sum = (o->sum ^ from[i]) * 0x100000001b3;
}

static void note(struct outcome *o, const struct receiver_event *e)
{
    bool wants_metadata = false;
    assert(!o->is_over && e->kind != RECEIVER_NO_MEMORY);
    assert(e->payload.len <= (e->kind == RECEIVER_TEXT ? LIMIT : 125));
    o->events++;
    o->is_over = e->kind == RECEIVER_CLOSE || e->kind == RECEIVER_FAILURE;
    o->answer_bytes += e->kind == RECEIVER_PING ? 2 + e->payload.len : 0;
    add(o, &e->kind, sizeof e->kind);
    add(o, &e->code, sizeof e->code);
    add(o, e->payload.bytes, e->payload.len);
    if (e->kind == RECEIVER_TEXT)
        o->sum += (uint64_t)flags_read(e->payload, &wants_metadata) + wants_metadata;
}

static void feed(struct receiver *r, struct outcome *o, const uint8_t *data, size_t len, bool wants_text)
{
    struct receiver_event e;
    uint8_t *copy = malloc(len); /* of its exact size, and gone afterwards */
    assert(copy);
    memcpy(copy, data, len);
    receiver_feed(r, copy, len);
    while ((e = receiver_next(r, LIMIT, wants_text)).kind != RECEIVER_NOTHING)
        note(o, &e);
    free(copy);
}

static struct outcome run(const uint8_t *data, size_t size, size_t first, size_t step, bool wants_text)
{
    struct outcome o = {.events = 0};
    struct receiver *r = receiver_new();
    assert(r);
    for (size_t at = 0, n = first; at < size; at += n, n = step) {
        n = size - at < n ? size - at : n;
        feed(r, &o, data + at, n, wants_text);
    }
    o.is_idle = receiver_is_idle(r);
    receiver_free(r);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    size_t first = data[0] + 1u, step = data[1] % 16 + 1u;
    bool wants_text = data[1] & 0x80;
    struct outcome whole = run(data + 2, size - 2, size, size, wants_text);
    struct outcome cut = run(data + 2, size - 2, first, step, wants_text);
    assert(whole.sum == cut.sum && whole.events == cut.events);
    assert(whole.is_over == cut.is_over && whole.is_idle == cut.is_idle);
    assert(whole.answer_bytes <= size && !(whole.is_over && whole.is_idle));
    return 0;
}
