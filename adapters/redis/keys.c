#include "adapters/redis/keys.h"

#include <assert.h>
#include <errno.h>

static void add(struct key *k, struct span s)
{
    assert(s.len <= sizeof k->bytes - k->len);
    memcpy(k->bytes + k->len, s.bytes, s.len);
    k->len += s.len;
}

static void begin(struct key *k, const char *prefix, const char *rest)
{
    k->len = 0;
    add(k, span_str(prefix));
    add(k, span_str(rest));
}

void key_common(struct key *k, const char *prefix, const char *name)
{
    begin(k, prefix, ":");
    add(k, span_str(name));
}

void key_session_head(struct key *k, const char *prefix)
{
    begin(k, prefix, ":sid:{");
}

void key_session(struct key *k, const char *prefix, struct span sid, const char *suffix)
{
    key_session_head(k, prefix);
    add(k, sid);
    add(k, span_str("}"));
    add(k, span_str(suffix));
}

int key_lost(struct key *k, const char *prefix, struct span prompt)
{
    begin(k, prefix, ":lost:");
    if (prompt.len > sizeof k->bytes - k->len)
        return -ENAMETOOLONG;
    add(k, prompt);
    return 0;
}

struct span key_sid(const struct key *head, struct span channel)
{
    if (channel.len < head->len + 2 || memcmp(channel.bytes, head->bytes, head->len) != 0 ||
        channel.bytes[channel.len - 1] != '}')
        return SPAN_NONE;
    return span_of(channel.bytes + head->len, channel.len - head->len - 1);
}
