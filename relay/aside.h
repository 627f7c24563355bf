/* What was put aside: messages, or frames made already, in order, until their turn comes. */
#ifndef RELAY_ASIDE_H
#define RELAY_ASIDE_H

#include <sys/queue.h>

#include "relay/frame.h"
#include "relay/stream_id.h"

struct aside_item {
    STAILQ_ENTRY(aside_item) next;
    struct stream_id id; /* STREAM_ID_NONE: none */
    struct frame *frame; /* owned; NULL: a message */
    uint64_t key;        /* conflation key; 0: none, or not known */
    size_t len;
    uint8_t message[];
};

struct aside {
    STAILQ_HEAD(, aside_item) items;
    size_t count, bytes;
};

void aside_init(struct aside *a);
/* The memory that it takes, but for frames, which the logs' share. */
size_t aside_bytes(const struct aside *a);
/* Frees what is left. */
void aside_clear(struct aside *a);

/* At the end, or at the beginning, a copy of the message. 0 or -ENOMEM. */
int aside_append(struct aside *a, struct stream_id id, struct span message)
    __attribute__((warn_unused_result));
int aside_prepend(struct aside *a, struct stream_id id, struct span message)
    __attribute__((warn_unused_result));
/* At the end, one of a conflated event, without an id. */
int aside_append_latest(struct aside *a, uint64_t key, struct span message)
    __attribute__((warn_unused_result));
/* At the end. Takes the frame, on every path. */
int aside_append_frame(struct aside *a, struct frame *take_frame, uint64_t key)
    __attribute__((warn_unused_result));

/* An item at the end. */
void aside_put(struct aside *a, struct aside_item *take_item);
/* Drops the messages with an id up to this one, and the conflated ones before the last of them: they are older. */
void aside_drop_until(struct aside *a, struct stream_id id);
/* Drops what Redis keeps too: the messages with an id, and the conflated ones. */
void aside_drop_kept(struct aside *a);
/* Drops the frames. */
void aside_drop_frames(struct aside *a);
/* True when a message with this conflation key is among them. */
bool aside_has_latest(const struct aside *a, uint64_t key);

/* The first one, out of the list; the caller's then: aside_free(). NULL: there is none. */
struct aside_item *aside_take(struct aside *a);
void aside_free(struct aside_item *item);

static inline struct span aside_message(const struct aside_item *item)
{
    return span_of(item->message, item->len);
}

#endif
