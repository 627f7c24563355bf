#include "relay/workers.h"

#include <errno.h>
#include <stdlib.h>

#include "relay/block.h"
#include "relay/hash.h"

void workers_init(struct workers *ws, const uint64_t seed[2])
{
    *ws = (struct workers){.seed = {seed[0], seed[1]}, .seen_from_ms = UINT64_MAX};
}

static int set_text(struct worker_text *t, struct span value)
{
    if (span_equals(worker_span(*t), value))
        return 0;
    uint8_t *bytes = value.len > 0 ? malloc(value.len) : NULL;
    if (value.len > 0 && !bytes)
        return -ENOMEM;
    if (bytes)
        memcpy(bytes, value.bytes, value.len);
    free(t->bytes);
    *t = (struct worker_text){bytes, value.len};
    return 0;
}

static void free_texts(struct worker *w)
{
    free(w->id.bytes);
    free(w->boot.bytes);
    free(w->sid.bytes);
    free(w->prompt.bytes);
    free(w->ended.bytes);
}

void workers_deinit(struct workers *ws)
{
    for (size_t i = 0; i < ws->count; i++)
        free_texts(&ws->items[i]);
    free(ws->items);
}

/* How many have a lower hash: there are up to WORKERS_MAX, and one is looked for with every event. */
static size_t index_of(const struct workers *ws, uint64_t hash)
{
    size_t low = 0, high = ws->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ws->items[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct worker *find(const struct workers *ws, struct span id)
{
    uint64_t hash = hash_bytes(id, ws->seed);
    for (size_t i = index_of(ws, hash); i < ws->count && ws->items[i].hash == hash; i++)
        if (span_equals(worker_span(ws->items[i].id), id))
            return &ws->items[i];
    return NULL;
}

static int reserve(struct workers *ws)
{
    if (ws->count < ws->cap)
        return 0;
    size_t cap = ws->cap ? 2 * ws->cap : 8;
    struct worker *items = realloc(ws->items, cap * sizeof *items);
    if (!items)
        return -ENOMEM;
    ws->items = items;
    ws->cap = cap;
    return 0;
}

/* Into *w. 0, -ENOMEM or -ENOBUFS. */
static int find_or_add(struct workers *ws, struct span id, struct worker **w)
{
    *w = find(ws, id);
    if (*w)
        return 0;
    if (ws->count == WORKERS_MAX)
        return -ENOBUFS;
    struct worker fresh = {.hash = hash_bytes(id, ws->seed)};
    if (reserve(ws) < 0 || set_text(&fresh.id, id) < 0)
        return -ENOMEM;
    *w = &ws->items[index_of(ws, fresh.hash)];
    memmove(*w + 1, *w, (size_t)(ws->items + ws->count++ - *w) * sizeof **w);
    **w = fresh;
    return 0;
}

/* Shares are not negative; hostile ones may be huge. */
static void set_share(struct workers *ws, struct worker *w, int64_t share)
{
    int64_t bounded = share < WORKERS_SHARE_MAX ? share : WORKERS_SHARE_MAX;
    ws->sum += bounded - w->share;
    w->share = bounded;
}

static void remove_worker(struct workers *ws, struct worker *w)
{
    set_share(ws, w, 0);
    free_texts(w);
    memmove(w, w + 1, (size_t)(ws->items + --ws->count - w) * sizeof *w);
}

void workers_saw(struct workers *ws, struct span id, uint64_t now_ms)
{
    struct worker *w = id.len > 0 ? find(ws, id) : NULL; /* the one without a name is never lost */
    if (w)
        w->seen_ms = now_ms;
}

void workers_pardon(struct workers *ws, uint64_t now_ms)
{
    for (size_t i = 0; i < ws->count; i++)
        ws->items[i].seen_ms = now_ms;
}

int workers_share(struct workers *ws, struct span id, int64_t share, uint64_t now_ms)
{
    struct worker *w;
    int error = find_or_add(ws, id, &w);
    if (error < 0)
        return error;
    w->seen_ms = now_ms;
    set_share(ws, w, share);
    return 0;
}

static void say_goodbye(struct workers *ws, struct span id, struct workers_listener *l)
{
    struct worker *w = find(ws, id);
    if (!w)
        return;
    if (w->prompt.len > 0 && !w->is_doubled)
        l->on_lost(l, w, WORKER_LEFT);
    remove_worker(ws, w);
}

/* Its place among the boots before, or NULL. */
static uint64_t *find_boot(struct worker *w, uint64_t hash)
{
    for (int i = 0; i < WORKER_BOOTS; i++)
        if (w->boots[i] == hash)
            return &w->boots[i];
    return NULL;
}

/* Another boot than before: a restart, unless it was there before that. */
static void change_boot(const struct workers *ws, struct worker *w, struct span boot,
                        struct workers_listener *l)
{
    uint64_t before = hash_bytes(worker_span(w->boot), ws->seed);
    uint64_t *place = find_boot(w, hash_bytes(boot, ws->seed));
    if (place) {
        *place = before;
        w->is_doubled = true;
        l->on_doubled(l, w);
        return;
    }
    memmove(w->boots + 1, w->boots, sizeof w->boots - sizeof *w->boots);
    w->boots[0] = before;
    l->on_lost(l, w, WORKER_RESTARTED);
}

static int take_texts(struct worker *w, const struct heartbeat *h)
{
    bool has_ended = span_equals(worker_span(w->ended), h->prompt);
    bool is_taken = set_text(&w->boot, h->boot) == 0 && set_text(&w->sid, h->sid) == 0 &&
                    set_text(&w->prompt, has_ended ? SPAN_NONE : h->prompt) == 0;
    if (!is_taken) /* half of it would be wrong about what it executes */
        set_text(&w->prompt, SPAN_NONE);
    return is_taken ? 0 : -ENOMEM;
}

int workers_heartbeat(struct workers *ws, struct span id, const struct heartbeat *h, uint64_t now_ms,
                      struct workers_listener *l)
{
    struct worker *w;
    if (h->is_gone) {
        say_goodbye(ws, id, l);
        return 0;
    }
    int error = find_or_add(ws, id, &w);
    if (error < 0)
        return error;
    if (w->boot.len > 0 && !span_equals(worker_span(w->boot), h->boot))
        change_boot(ws, w, h->boot, l);
    w->is_watched = true;
    w->seen_ms = now_ms;
    if (now_ms < ws->seen_from_ms)
        ws->seen_from_ms = now_ms;
    w->at_ms = h->at_ms;
    set_share(ws, w, h->queue_remaining);
    return take_texts(w, h);
}

int workers_entry(struct workers *ws, struct span id, const struct heartbeat *h, uint64_t now_ms,
                  struct workers_listener *l)
{
    const struct worker *w = find(ws, id);
    bool is_old = w && w->is_watched && w->at_ms > h->at_ms;
    return is_old ? 0 : workers_heartbeat(ws, id, h, now_ms, l);
}

static void note_ended(struct worker *w, struct span prompt)
{
    if (span_equals(worker_span(w->prompt), prompt))
        set_text(&w->prompt, SPAN_NONE);
    set_text(&w->ended, prompt); /* without memory it may be told of twice */
}

void workers_prompt_ended(struct workers *ws, struct span id, struct span prompt)
{
    if (prompt.len == 0)
        return;
    for (size_t i = 0; i < ws->count; i++) {
        struct worker *w = &ws->items[i];
        bool is_it = id.len > 0 && span_equals(worker_span(w->id), id);
        if (is_it || span_equals(worker_span(w->prompt), prompt))
            note_ended(w, prompt);
    }
}

static void look_who_is_oldest(struct workers *ws)
{
    ws->seen_from_ms = UINT64_MAX;
    for (size_t i = 0; i < ws->count; i++)
        if (ws->items[i].is_watched && ws->items[i].seen_ms < ws->seen_from_ms)
            ws->seen_from_ms = ws->items[i].seen_ms;
}

void workers_expire(struct workers *ws, uint64_t now_ms, uint64_t timeout_ms, struct workers_listener *l)
{
    if (now_ms < workers_next_ms(ws, timeout_ms))
        return;
    for (size_t i = ws->count; i-- > 0;) {
        struct worker *w = &ws->items[i];
        if (!w->is_watched || now_ms < w->seen_ms + timeout_ms)
            continue;
        l->on_lost(l, w, WORKER_SILENT);
        remove_worker(ws, w);
    }
    look_who_is_oldest(ws);
}

uint64_t workers_next_ms(const struct workers *ws, uint64_t timeout_ms)
{
    return ws->seen_from_ms == UINT64_MAX ? UINT64_MAX : ws->seen_from_ms + timeout_ms;
}

static size_t text_bytes(const struct worker *w)
{
    return block_bytes(w->id.len) + block_bytes(w->boot.len) + block_bytes(w->sid.len) +
           block_bytes(w->prompt.len) + block_bytes(w->ended.len);
}

size_t workers_bytes(const struct workers *ws)
{
    size_t bytes = block_bytes(ws->cap * sizeof *ws->items);
    for (size_t i = 0; i < ws->count; i++)
        bytes += text_bytes(&ws->items[i]);
    return bytes;
}
