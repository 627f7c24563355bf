#include "relay/acks.h"

#define STORES_MAX 512 /* in a turn */

static struct session_list *list_of(struct relay *r, const struct session *s)
{
    return s->store == STORE_SOON ? &r->unstored : &r->stored;
}

static void leave_list(struct relay *r, struct session *s)
{
    if (s->store != STORE_NOTHING)
        TAILQ_REMOVE(list_of(r, s), s, in_stored);
    s->store = STORE_NOTHING;
}

static void join_list(struct relay *r, struct session *s, enum store store, uint64_t at_ms)
{
    leave_list(r, s);
    s->store = store;
    s->store_at_ms = at_ms;
    TAILQ_INSERT_TAIL(list_of(r, s), s, in_stored);
}

static bool has_changed(const struct session *s)
{
    struct reached place;
    return session_place(s, &place) && (!s->is_stored || stream_id_compare(place.id, s->stored) != 0);
}

void acks_note(struct relay *r, struct session *s, uint64_t now_ms)
{
    if (s->store != STORE_SOON && has_changed(s))
        join_list(r, s, STORE_SOON, now_ms + RELAY_STORE_MS);
}

void acks_note_start(struct relay *r, struct session *s, uint64_t now_ms)
{
    if (!has_changed(s))
        return;
    leave_list(r, s);
    s->store = STORE_SOON;
    s->store_at_ms = now_ms;
    TAILQ_INSERT_HEAD(&r->unstored, s, in_stored);
}

void acks_rest(struct relay *r, struct session *s, uint64_t now_ms)
{
    struct reached place;
    leave_list(r, s);
    s->is_stored = false;
    if (session_place(s, &place))
        join_list(r, s, STORE_SOON, now_ms + RELAY_STORE_MS);
}

void acks_forget(struct relay *r, struct session *s)
{
    leave_list(r, s);
    s->is_stored = false;
}

static void store(struct relay *r, struct session *s)
{
    struct reached place;
    leave_list(r, s);
    s->is_stored = s->is_stored && session_place(s, &place);
    if (!session_place(s, &place))
        return;
    r->ports.archive->store(r->ports.archive, session_sid(s), place.id, s->is_stored);
    r->metrics.acks_stored++;
    s->stored = place.id;
    s->is_stored = true;
}

void acks_store_now(struct relay *r, struct session *s)
{
    if (s->store == STORE_SOON)
        store(r, s);
}

/* Never at once again, however short they live. */
static uint64_t renewal_ms(const struct relay *r)
{
    return r->config.session_ttl_ms < 3 ? 1 : r->config.session_ttl_ms / 3;
}

static void store_first(struct relay *r, struct session_list *list, uint64_t now_ms)
{
    struct session *s = TAILQ_FIRST(list);
    store(r, s);
    if (s->is_open && s->is_stored)
        join_list(r, s, STORE_AGAIN, now_ms + renewal_ms(r));
}

/* No more than so many: the rest is due at once, and goes on in the next turn. */
static void store_due(struct relay *r, struct session_list *list, uint64_t now_ms)
{
    for (int n = 0; n < STORES_MAX && !TAILQ_EMPTY(list) && TAILQ_FIRST(list)->store_at_ms <= now_ms; n++)
        store_first(r, list, now_ms);
}

void acks_store_due(struct relay *r, uint64_t now_ms)
{
    if (!r->link_is_up)
        return;
    store_due(r, &r->unstored, now_ms);
    store_due(r, &r->stored, now_ms);
}

void acks_store_all(struct relay *r, uint64_t now_ms)
{
    while (r->link_is_up && !TAILQ_EMPTY(&r->unstored))
        store_first(r, &r->unstored, now_ms);
}

static uint64_t first_ms(const struct session_list *list)
{
    return TAILQ_EMPTY(list) ? UINT64_MAX : TAILQ_FIRST(list)->store_at_ms;
}

uint64_t acks_next_ms(const struct relay *r)
{
    uint64_t soon = first_ms(&r->unstored), again = first_ms(&r->stored);
    if (!r->link_is_up)
        return UINT64_MAX;
    return soon < again ? soon : again;
}
