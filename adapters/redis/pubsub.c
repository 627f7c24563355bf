#include "adapters/redis/pubsub.h"

#include <errno.h>

/* The reader moves what it has not parsed to the front of its buffer after every few messages: the less it
 * holds, the less there is to move. */
#define SLICE_BYTES 16384
/* A message beyond this makes the buffer grow, and the memory is given back after it. */
#define GIANT_BYTES (1 << 20)

#if HIREDIS_MAJOR < 1
typedef int element_count;
#else
typedef size_t element_count;
#endif

static enum pubsub_kind kind_of(struct span word)
{
    if (span_is(word, "message"))
        return PUBSUB_MESSAGE;
    if (span_is(word, "pong"))
        return PUBSUB_PONG;
    return span_is(word, "subscribe") ? PUBSUB_SUBSCRIBE : PUBSUB_OTHER;
}

/* A longer name than there is room for is none of ours. */
static void keep_channel(struct pubsub *p, struct span name)
{
    if (name.len > sizeof p->channel) {
        p->kind = PUBSUB_OTHER;
        return;
    }
    memcpy(p->channel, name.bytes, name.len);
    p->channel_len = name.len;
}

static void take_element(struct pubsub *p, int index, struct span value)
{
    if (index == 0)
        p->kind = kind_of(value);
    else if (index == 1 && p->kind == PUBSUB_PONG)
        p->user->on_pong(p->user, value);
    else if (index == 1)
        keep_channel(p, value);
    else if (index == 2 && p->kind == PUBSUB_MESSAGE)
        p->user->on_message(p->user, span_of(p->channel, p->channel_len), value);
}

static bool is_element(const redisReadTask *task)
{
    return task->parent && !task->parent->parent;
}

/* Of the reader, for each element in turn. What they return stands for the object and must not be NULL. */

static void *on_string(const redisReadTask *task, char *bytes, size_t len)
{
    struct pubsub *p = task->privdata;
    struct span value = span_of(bytes, len);
    if (len > GIANT_BYTES)
        p->has_grown = true;
    if (is_element(task))
        take_element(p, task->idx, value);
    else if (!task->parent && task->type == REDIS_REPLY_ERROR)
        p->user->on_error(p->user, value);
    return p;
}

static void *on_array(const redisReadTask *task, element_count count)
{
    (void)count;
    struct pubsub *p = task->privdata;
    if (!task->parent)
        p->kind = PUBSUB_OTHER;
    return p;
}

static void *on_integer(const redisReadTask *task, long long value)
{
    (void)value;
    struct pubsub *p = task->privdata;
    if (is_element(task) && task->idx == 2 && p->kind == PUBSUB_SUBSCRIBE)
        p->user->on_subscribed(p->user, span_of(p->channel, p->channel_len));
    return p;
}

static void *on_nil(const redisReadTask *task)
{
    return task->privdata;
}

static void on_free(void *object)
{
    (void)object;
}

static redisReplyObjectFunctions functions = {
    .createString = on_string,
    .createArray = on_array,
    .createInteger = on_integer,
    .createNil = on_nil,
    .freeObject = on_free,
};

static redisReader *new_reader(struct pubsub *p)
{
    redisReader *reader = redisReaderCreateWithFunctions(&functions);
    if (!reader)
        return NULL;
    reader->maxbuf = 0; /* an empty buffer is kept for what comes next */
    reader->privdata = p;
    return reader;
}

int pubsub_open(struct pubsub *p, struct pubsub_user *user)
{
    *p = (struct pubsub){.user = user};
    p->reader = new_reader(p);
    return p->reader ? 0 : -ENOMEM;
}

void pubsub_close(struct pubsub *p)
{
    if (p->reader)
        redisReaderFree(p->reader);
    p->reader = NULL;
}

static int reader_error(const redisReader *reader)
{
    return reader->err == REDIS_ERR_OOM ? -ENOMEM : -EPROTO;
}

/* Between two replies: a new reader takes over what the old one has not yet parsed, and its large buffer
 * goes. */
static int shrink(struct pubsub *p)
{
    redisReader *old = p->reader, *fresh = new_reader(p);
    if (!fresh)
        return -ENOMEM;
    if (redisReaderFeed(fresh, old->buf + old->pos, old->len - old->pos) != REDIS_OK) {
        redisReaderFree(fresh);
        return -ENOMEM;
    }
    redisReaderFree(old);
    p->reader = fresh;
    p->has_grown = false;
    return 0;
}

static int read_replies(struct pubsub *p)
{
    void *reply = NULL;
    do {
        if (redisReaderGetReply(p->reader, &reply) != REDIS_OK)
            return reader_error(p->reader);
        int error = reply && p->has_grown ? shrink(p) : 0;
        if (error < 0)
            return error;
    } while (reply);
    return 0;
}

int pubsub_feed(struct pubsub *p, struct span bytes)
{
    while (bytes.len > 0) {
        size_t n = bytes.len < SLICE_BYTES ? bytes.len : SLICE_BYTES;
        if (redisReaderFeed(p->reader, (const char *)bytes.bytes, n) != REDIS_OK)
            return reader_error(p->reader);
        int error = read_replies(p);
        if (error < 0)
            return error;
        bytes = span_of(bytes.bytes + n, bytes.len - n);
    }
    return 0;
}
