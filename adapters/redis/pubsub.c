#include "adapters/redis/pubsub.h"

#include <errno.h>
#include <stdlib.h>

#define HELD_MIN  1024
#define HELD_KEPT (1 << 20) /* what a larger token needed is given back after it */

/* Tokens */

struct token {
    uint8_t type;
    bool is_string;     /* any with bytes */
    struct span string; /* its bytes */
    uint32_t count;     /* of an array's elements */
};

/* A line of a type, a number and its end. At most 18 digits: nothing that is counted here has more. Its length; or, beyond
 * in.len, how much must be there before more can be told; or -EPROTO. */
static int64_t read_number(struct span in, int64_t *n)
{
    size_t at = 1, most = 1 + 18;
    bool is_negative = in.len > at && in.bytes[at] == '-';
    at += is_negative;
    most += is_negative;
    size_t first = at;
    *n = 0;
    for (; at < in.len && at < most && in.bytes[at] >= '0' && in.bytes[at] <= '9'; at++)
        *n = 10 * *n + in.bytes[at] - '0';
    *n = is_negative ? -*n : *n;
    if (at < in.len && (at == first || in.bytes[at] != '\r'))
        return -EPROTO;
    if (at + 1 < in.len && in.bytes[at + 1] != '\n')
        return -EPROTO;
    return at + 2 <= in.len ? (int64_t)at + 2 : (int64_t)in.len + 1;
}

/* The bytes of a bulk string, after its line. A length of -1 is nil. */
static int64_t read_bulk(struct span in, size_t line, int64_t len, struct token *t)
{
    if (len < 0)
        return len == -1 ? (int64_t)line : -EPROTO;
    size_t all = line + (size_t)len + 2;
    if (all > in.len)
        return (int64_t)all;
    if (in.bytes[all - 2] != '\r' || in.bytes[all - 1] != '\n')
        return -EPROTO;
    t->is_string = true;
    t->string = span_of(in.bytes + line, (size_t)len);
    return (int64_t)all;
}

static int64_t read_numbered(struct span in, struct token *t)
{
    int64_t n, line = read_number(in, &n);
    if (line < 0 || (size_t)line > in.len)
        return line;
    if (t->type == '$')
        return read_bulk(in, (size_t)line, n, t);
    if (t->type == '*' && (n < -1 || n > INT32_MAX))
        return -EPROTO;
    t->count = t->type == '*' && n > 0 ? (uint32_t)n : 0;
    return line;
}

static int64_t read_line(struct span in, struct token *t)
{
    size_t most = in.len < PUBSUB_LINE_MAX ? in.len : PUBSUB_LINE_MAX;
    const uint8_t *end = memchr(in.bytes, '\n', most);
    if (!end)
        return in.len < PUBSUB_LINE_MAX ? (int64_t)in.len + 1 : -EPROTO;
    size_t line = (size_t)(end - in.bytes) + 1;
    if (line < 3 || end[-1] != '\r')
        return -EPROTO;
    t->is_string = true;
    t->string = span_of(in.bytes + 1, line - 3);
    return (int64_t)line;
}

/* The token that `in`, which is not empty, begins with. Its length; or, beyond in.len, how much must be there before more
 * can be told; or -EPROTO. */
static int64_t read_token(struct span in, struct token *t)
{
    *t = (struct token){.type = in.bytes[0]};
    switch (t->type) {
    case '$':
    case '*':
    case ':':
        return read_numbered(in, t);
    case '+':
    case '-':
        return read_line(in, t);
    default:
        return -EPROTO;
    }
}

/* What they mean */

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

static void take_string(struct pubsub *p, uint32_t index, struct span value)
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

static void take_element(struct pubsub *p, const struct token *t)
{
    uint32_t index = p->index++;
    p->left--;
    p->nested = t->count;
    if (t->is_string)
        take_string(p, index, t->string);
    else if (index == 2 && t->type == ':' && p->kind == PUBSUB_SUBSCRIBE)
        p->user->on_subscribed(p->user, span_of(p->channel, p->channel_len));
    else
        p->kind = PUBSUB_OTHER;
}

static void take_token(struct pubsub *p, const struct token *t)
{
    if (p->nested > 0) {
        p->nested += t->count;
        p->nested--;
    } else if (p->left > 0) {
        take_element(p, t);
    } else if (t->type == '-') {
        p->user->on_error(p->user, t->string);
    } else {
        p->kind = PUBSUB_OTHER;
        p->index = 0;
        p->left = t->count;
    }
}

/* What a read has cut */

static int reserve(struct pubsub *p, size_t more)
{
    size_t cap = p->held_cap > 0 ? p->held_cap : HELD_MIN;
    while (cap - p->held_len < more)
        cap *= 2;
    if (cap == p->held_cap)
        return 0;
    uint8_t *held = realloc(p->held, cap);
    if (!held)
        return -ENOMEM;
    p->held = held;
    p->held_cap = cap;
    return 0;
}

/* Takes what the token still needs off *in, or all there is. */
static int hold(struct pubsub *p, struct span *in)
{
    size_t n = p->needed - p->held_len < in->len ? p->needed - p->held_len : in->len;
    int error = reserve(p, n);
    if (error < 0)
        return error;
    memcpy(p->held + p->held_len, in->bytes, n);
    p->held_len += n;
    *in = span_of(in->bytes + n, in->len - n);
    return 0;
}

static void drop_held(struct pubsub *p)
{
    p->held_len = 0;
    if (p->held_cap > HELD_KEPT)
        pubsub_deinit(p);
}

static int feed_held(struct pubsub *p, struct span *in)
{
    struct token t;
    int error = hold(p, in);
    if (error < 0)
        return error;
    int64_t n = read_token(span_of(p->held, p->held_len), &t);
    if (n < 0)
        return (int)n;
    p->needed = (size_t)n;
    if (p->needed > p->held_len)
        return 0;
    take_token(p, &t);
    drop_held(p);
    return 0;
}

static int feed_in_place(struct pubsub *p, struct span *in)
{
    struct token t;
    int64_t n = read_token(*in, &t);
    if (n < 0)
        return (int)n;
    p->needed = (size_t)n;
    if (p->needed > in->len)
        return hold(p, in);
    take_token(p, &t);
    *in = span_of(in->bytes + n, in->len - p->needed);
    return 0;
}

/* A bulk string at *at, of which all is there. *at is behind it then. */
static bool take_bulk(struct span in, size_t *at, struct span *bytes)
{
    struct token t;
    struct span rest = span_of(in.bytes + *at, in.len - *at);
    int64_t n = rest.len > 0 && rest.bytes[0] == '$' ? read_token(rest, &t) : -EPROTO;
    if (n < 0 || (size_t)n > rest.len || !t.is_string)
        return false;
    *bytes = t.string;
    *at += (size_t)n;
    return true;
}

/* A message that has come whole, as nearly all do, is one step. False: it is anything else, and token by token. */
static bool feed_message(struct pubsub *p, struct span *in)
{
    static const char head[] = "*3\r\n$7\r\nmessage\r\n";
    size_t at = sizeof head - 1;
    struct span channel, payload;
    if (p->left > 0 || p->nested > 0 || in->len < at || memcmp(in->bytes, head, at) != 0)
        return false;
    if (!take_bulk(*in, &at, &channel) || channel.len > PUBSUB_CHANNEL_MAX || !take_bulk(*in, &at, &payload))
        return false;
    p->user->on_message(p->user, channel, payload);
    *in = span_of(in->bytes + at, in->len - at);
    return true;
}

void pubsub_init(struct pubsub *p, struct pubsub_user *user)
{
    *p = (struct pubsub){.user = user};
}

void pubsub_deinit(struct pubsub *p)
{
    free(p->held);
    p->held = NULL;
    p->held_len = p->held_cap = 0;
}

int pubsub_feed(struct pubsub *p, struct span bytes)
{
    int error = 0;
    while (bytes.len > 0 && error == 0)
        if (p->held_len > 0)
            error = feed_held(p, &bytes);
        else if (!feed_message(p, &bytes))
            error = feed_in_place(p, &bytes);
    return error;
}
