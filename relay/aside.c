#include "relay/aside.h"

#include <errno.h>
#include <stdlib.h>

void aside_init(struct aside *a)
{
    *a = (struct aside){.count = 0};
    STAILQ_INIT(&a->items);
}

size_t aside_bytes(const struct aside *a)
{
    return a->count * block_bytes(sizeof(struct aside_item)) + a->bytes;
}

void aside_free(struct aside_item *item)
{
    frame_unref(item->frame);
    free(item);
}

struct aside_item *aside_take(struct aside *a)
{
    struct aside_item *item = STAILQ_FIRST(&a->items);
    if (!item)
        return NULL;
    STAILQ_REMOVE_HEAD(&a->items, next);
    a->count--;
    a->bytes -= item->len;
    return item;
}

void aside_clear(struct aside *a)
{
    struct aside_item *item;
    while ((item = aside_take(a)))
        aside_free(item);
}

static struct aside_item *make(struct stream_id id, struct span message)
{
    struct aside_item *item = calloc(1, sizeof *item + message.len);
    if (!item)
        return NULL;
    item->id = id;
    item->len = message.len;
    if (message.len > 0)
        memcpy(item->message, message.bytes, message.len);
    return item;
}

void aside_put(struct aside *a, struct aside_item *take_item)
{
    STAILQ_INSERT_TAIL(&a->items, take_item, next);
    a->count++;
    a->bytes += take_item->len;
}

static int append(struct aside *a, struct stream_id id, uint64_t key, struct span message)
{
    struct aside_item *item = make(id, message);
    if (!item)
        return -ENOMEM;
    item->key = key;
    aside_put(a, item);
    return 0;
}

int aside_append(struct aside *a, struct stream_id id, struct span message)
{
    return append(a, id, 0, message);
}

int aside_append_latest(struct aside *a, uint64_t key, struct span message)
{
    return append(a, STREAM_ID_NONE, key, message);
}

int aside_prepend(struct aside *a, struct stream_id id, struct span message)
{
    struct aside_item *item = make(id, message);
    if (!item)
        return -ENOMEM;
    STAILQ_INSERT_HEAD(&a->items, item, next);
    a->count++;
    a->bytes += item->len;
    return 0;
}

int aside_append_frame(struct aside *a, struct frame *take_frame, uint64_t key)
{
    struct aside_item *item = calloc(1, sizeof *item);
    if (!item) {
        frame_unref(take_frame);
        return -ENOMEM;
    }
    item->frame = take_frame;
    item->key = key;
    item->len = take_frame->len;
    aside_put(a, item);
    return 0;
}

static bool is_until(const struct aside_item *item, struct stream_id id)
{
    return !stream_id_is_none(item->id) && stream_id_compare(item->id, id) <= 0;
}

static bool is_latest(const struct aside_item *item)
{
    return !item->frame && item->key != 0;
}

void aside_drop_until(struct aside *a, struct stream_id id)
{
    size_t n = 0, older = 0;
    struct aside_item *item;
    STAILQ_FOREACH(item, &a->items, next)
    {
        n++;
        if (is_until(item, id))
            older = n;
    }
    for (size_t i = 0; i < n; i++) {
        item = aside_take(a);
        if (is_until(item, id) || (i < older && is_latest(item)))
            aside_free(item);
        else
            aside_put(a, item);
    }
}

static bool is_kept(const struct aside_item *item)
{
    return is_latest(item) || !stream_id_is_none(item->id);
}

static bool is_frame(const struct aside_item *item)
{
    return item->frame != NULL;
}

static void drop(struct aside *a, bool (*is_dropped)(const struct aside_item *item))
{
    for (size_t n = a->count; n > 0; n--) {
        struct aside_item *item = aside_take(a);
        if (is_dropped(item))
            aside_free(item);
        else
            aside_put(a, item);
    }
}

void aside_drop_kept(struct aside *a)
{
    drop(a, is_kept);
}

void aside_drop_frames(struct aside *a)
{
    drop(a, is_frame);
}

bool aside_has_latest(const struct aside *a, uint64_t key)
{
    const struct aside_item *item;
    STAILQ_FOREACH(item, &a->items, next)
    if (is_latest(item) && item->key == key)
        return true;
    return false;
}
