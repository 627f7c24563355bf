#include "relay/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define RING_ONE 1 /* what most sessions have most of the time: a status, which goes as soon as it is sent */
#define RING_MIN 4 /* where there is a second entry */
#define KEYS_MIN 8

/* From conflation key to seq */

/* The slot of a key, or the empty one where it would go. Keys are hashes already. */
static size_t keys_slot(const struct log_keys *k, uint64_t key)
{
    size_t i = key & (k->cap - 1);
    while (k->slots[i].key != 0 && k->slots[i].key != key)
        i = (i + 1) & (k->cap - 1);
    return i;
}

static uint64_t keys_get(const struct log_keys *k, uint64_t key)
{
    return k->cap == 0 || key == 0 ? 0 : k->slots[keys_slot(k, key)].seq;
}

/* Makes room for one more. */
static int keys_reserve(struct log_keys *k)
{
    if (2 * (k->used + 1) <= k->cap)
        return 0;
    struct log_keys bigger = {.cap = k->cap ? 2 * k->cap : KEYS_MIN, .used = k->used};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < k->cap; i++)
        if (k->slots[i].key != 0)
            bigger.slots[keys_slot(&bigger, k->slots[i].key)] = k->slots[i];
    free(k->slots);
    *k = bigger;
    return 0;
}

/* Where its seq is; it was 0 if the key is new. There must be room for one more. */
static uint64_t *keys_add(struct log_keys *k, uint64_t key)
{
    struct log_key *slot = &k->slots[keys_slot(k, key)];
    k->used += slot->key == 0;
    slot->key = key;
    return &slot->seq;
}

/* Removes a key and closes the gap that it leaves in its run of slots. */
static void keys_remove(struct log_keys *k, uint64_t key)
{
    size_t mask = k->cap - 1, gap = keys_slot(k, key);
    if (k->slots[gap].key == 0)
        return;
    for (size_t i = (gap + 1) & mask; k->slots[i].key != 0; i = (i + 1) & mask) {
        size_t home = k->slots[i].key & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            k->slots[gap] = k->slots[i];
            gap = i;
        }
    }
    k->slots[gap] = (struct log_key){0, 0};
    k->used--;
}

/* The ring */

static struct log_entry *entry_at(const struct log *log, size_t i)
{
    return &log->ring[(log->head + i) & (log->cap - 1)];
}

/* How many entries lie before seq: they are in order, and most often without a gap. */
static size_t index_of(const struct log *log, uint64_t seq)
{
    uint64_t first = log->count > 0 ? entry_at(log, 0)->seq : seq;
    if (seq <= first)
        return 0;
    size_t low = 0, high = seq - first < log->count ? (size_t)(seq - first) : log->count;
    if (entry_at(log, high - 1)->seq < seq)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_at(log, middle)->seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_frame(struct log *log, const struct frame *f)
{
    log->bytes += f->len;
    log->totals->bytes += f->len;
    log->totals->held += frame_bytes(f);
}

static void drop_frame(struct log *log, struct frame *f)
{
    if (!f)
        return;
    log->bytes -= f->len;
    log->totals->bytes -= f->len;
    log->totals->held -= frame_bytes(f);
    frame_unref(f);
}

/* Takes the frames out of an entry, which stays in the ring as a dead one. Its key is dealt with. */
static void empty_entry(struct log *log, struct log_entry *e)
{
    log->live--;
    log->transient -= e->place.is_transient;
    drop_frame(log, e->frame);
    drop_frame(log, e->without_metadata);
    e->frame = e->without_metadata = NULL;
}

static void kill_entry(struct log *log, struct log_entry *e)
{
    if (!e->frame)
        return;
    if (e->place.key != 0)
        keys_remove(&log->keys, e->place.key);
    empty_entry(log, e);
}

/* An id goes up: where it does not, the log has begun anew. */
static void drop_head(struct log *log)
{
    struct log_entry *e = entry_at(log, 0);
    kill_entry(log, e);
    if (!stream_id_is_none(e->place.id))
        log->before = e->place.id;
    log->head = (log->head + 1) & (log->cap - 1);
    log->count--;
}

static void drop_dead_head(struct log *log)
{
    while (log->count > 0 && !entry_at(log, 0)->frame)
        drop_head(log);
}

/* Closes the gaps that dead entries leave. */
static void compact(struct log *log)
{
    uint32_t kept = 0;
    for (size_t i = 0; i < log->count; i++)
        if (entry_at(log, i)->frame)
            *entry_at(log, kept++) = *entry_at(log, i);
    log->count = kept;
}

static int grow_ring(struct log *log)
{
    uint32_t cap = log->cap == 0 ? RING_ONE : log->cap == RING_ONE ? RING_MIN : 2 * log->cap;
    struct log_entry *ring = malloc(cap * sizeof *ring);
    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < log->count; i++)
        ring[i] = *entry_at(log, i);
    free(log->ring);
    log->ring = ring;
    log->cap = cap;
    log->head = 0;
    return 0;
}

/* A full ring is compacted when that frees a quarter of it, so that the work is paid for by what it frees. */
static int reserve_entry(struct log *log)
{
    if (log->count < log->cap)
        return 0;
    if (log->cap >= RING_MIN && log->live <= log->cap - log->cap / 4) {
        compact(log);
        return 0;
    }
    return grow_ring(log);
}

void log_init(struct log *log, struct log_totals *totals)
{
    *log = (struct log){.next_seq = 1, .totals = totals};
}

void log_deinit(struct log *log)
{
    log_trim(log, log->next_seq);
    free(log->ring);
    free(log->keys.slots);
}

bool log_give_up_oldest(struct log *log)
{
    drop_dead_head(log);
    if (log->live <= 1)
        return false;
    log->trimmed_to = entry_at(log, 0)->seq + 1;
    drop_head(log);
    return true;
}

static bool is_over(const struct log *log, const struct log_limits *limits)
{
    return log->live > limits->events || log->bytes > limits->bytes;
}

/* The next entry takes the key over. True: from another one, which goes. */
static bool take_key(struct log *log, uint64_t key)
{
    uint64_t *seq = keys_add(&log->keys, key), before = *seq;
    *seq = log->next_seq;
    if (before == 0)
        return false;
    empty_entry(log, entry_at(log, index_of(log, before)));
    drop_dead_head(log);
    return true;
}

int log_append(struct log *log, struct frame *take_frame, struct place place, const struct log_limits *limits,
               bool *replaced)
{
    if (reserve_entry(log) < 0 || (place.key != 0 && keys_reserve(&log->keys) < 0)) {
        frame_unref(take_frame);
        return -ENOMEM;
    }
    *replaced = place.key != 0 && take_key(log, place.key);
    log->count++;
    log->live++;
    log->transient += place.is_transient;
    add_frame(log, take_frame);
    *entry_at(log, log->count - 1) =
        (struct log_entry){.seq = log->next_seq++, .place = place, .frame = take_frame};
    while (is_over(log, limits) && log_give_up_oldest(log))
        ;
    return 0;
}

uint64_t log_find_key(const struct log *log, uint64_t key)
{
    return keys_get(&log->keys, key);
}

/* The oldest with a frame among those from the i-th on. */
static struct log_entry *live_from(const struct log *log, size_t i)
{
    for (; i < log->count; i++)
        if (entry_at(log, i)->frame)
            return entry_at(log, i);
    return NULL;
}

struct log_entry *log_at(const struct log *log, uint64_t seq)
{
    return live_from(log, index_of(log, seq));
}

struct log_entry *log_after(const struct log *log, const struct log_entry *e)
{
    size_t i = ((size_t)(e - log->ring) - log->head) & (log->cap - 1);
    return live_from(log, i + 1);
}

struct frame *log_without_metadata(struct log *log, struct log_entry *e)
{
    if (!e->without_metadata) {
        e->without_metadata = frame_without_metadata(e->frame);
        if (e->without_metadata)
            add_frame(log, e->without_metadata);
    }
    return e->without_metadata;
}

uint64_t log_find_prompt(const struct log *log, uint64_t prompt)
{
    for (size_t i = log->count; i-- > 0 && log->keys.used > 0;) {
        const struct log_entry *e = entry_at(log, i);
        if (e->frame && e->place.key != 0 && e->place.prompt == prompt)
            return e->seq;
    }
    return 0;
}

void log_drop_prompt(struct log *log, uint64_t prompt)
{
    for (size_t i = 0; i < log->count && log->keys.used > 0; i++) {
        struct log_entry *e = entry_at(log, i);
        if (e->frame && e->place.key != 0 && e->place.prompt == prompt)
            kill_entry(log, e);
    }
    drop_dead_head(log);
}

/* An empty log keeps room for the next few events, so that they allocate none: what a run, or a slow socket, has made it
 * grow to beyond that goes back. */
static void give_back(struct log *log)
{
    if (log->cap > RING_MIN) {
        free(log->ring);
        log->ring = NULL;
        log->cap = log->head = 0;
    }
    if (log->keys.cap > KEYS_MIN) {
        free(log->keys.slots);
        log->keys = (struct log_keys){NULL, 0, 0};
    }
}

void log_trim(struct log *log, uint64_t seq)
{
    while (log->count > 0 && entry_at(log, 0)->seq < seq)
        drop_head(log);
    if (log->count == 0)
        give_back(log);
}

uint64_t log_leave_gap(struct log *log)
{
    log->gap_seq = log->next_seq++;
    return log->gap_seq;
}

void log_sweep(struct log *log, uint64_t seq)
{
    if (log->transient > 0)
        for (size_t i = index_of(log, log->swept_to); i < log->count && entry_at(log, i)->seq < seq; i++)
            if (entry_at(log, i)->place.is_transient)
                kill_entry(log, entry_at(log, i));
    drop_dead_head(log);
    if (seq > log->swept_to)
        log->swept_to = seq;
}

uint64_t log_after_id(const struct log *log, struct stream_id id)
{
    for (size_t i = log->count; i-- > 0;) {
        const struct log_entry *e = entry_at(log, i);
        if (!stream_id_is_none(e->place.id) && stream_id_compare(e->place.id, id) <= 0)
            return e->seq + 1;
    }
    return log->count > 0 ? entry_at(log, 0)->seq : log->next_seq;
}

struct stream_id log_id_before(const struct log *log, uint64_t seq)
{
    for (size_t i = index_of(log, seq); i-- > 0;)
        if (!stream_id_is_none(entry_at(log, i)->place.id))
            return entry_at(log, i)->place.id;
    return log->before;
}
