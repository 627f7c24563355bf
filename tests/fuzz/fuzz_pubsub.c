/* Any bytes from a subscribed connection. The first byte says how they are cut: into pieces of that size they tell the same as in
 * one, and end with the same verdict. */
#include <assert.h>
#include <stdlib.h>

#include "adapters/redis/pubsub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was told, as a number. */
struct told {
    struct pubsub_user user;
    struct pubsub pubsub;
    uint64_t sum;
    int verdict;
};

static void add(struct pubsub_user *user, uint8_t what, struct span value)
{
    struct told *t = (struct told *)user; /* its first member */
    t->sum = (t->sum ^ what) * 1099511628211u + value.len;
    for (size_t i = 0; i < value.len; i++)
        t->sum = (t->sum ^ value.bytes[i]) * 1099511628211u;
}

static void on_message(struct pubsub_user *user, struct span channel, struct span payload)
{
    assert(channel.len <= PUBSUB_CHANNEL_MAX);
    add(user, 'm', channel);
    add(user, 'p', payload);
}

static void on_subscribed(struct pubsub_user *user, struct span channel)
{
    add(user, 's', channel);
}

static void on_pong(struct pubsub_user *user, struct span payload)
{
    add(user, 'o', payload);
}

static void on_error(struct pubsub_user *user, struct span text)
{
    assert(text.len < PUBSUB_LINE_MAX);
    add(user, 'e', text);
}

/* A piece is fed from memory of its exact size. */
static int feed(struct told *t, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len);
    assert(copy);
    memcpy(copy, bytes, len);
    int verdict = pubsub_feed(&t->pubsub, span_of(copy, len));
    free(copy);
    return verdict;
}

static void feed_pieces(struct told *t, const uint8_t *bytes, size_t len, size_t piece)
{
    *t = (struct told){.user = {on_message, on_subscribed, on_pong, on_error}};
    pubsub_init(&t->pubsub, &t->user);
    for (size_t at = 0, n; at < len && t->verdict == 0; at += n) {
        n = len - at < piece ? len - at : piece;
        t->verdict = feed(t, bytes + at, n);
    }
    pubsub_deinit(&t->pubsub);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct told whole, cut;
    if (size < 2)
        return 0;
    feed_pieces(&whole, data + 1, size - 1, size - 1);
    feed_pieces(&cut, data + 1, size - 1, (size_t)data[0] + 1);
    assert(whole.verdict == cut.verdict && whole.sum == cut.sum);
    return 0;
}
