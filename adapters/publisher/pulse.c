#include "adapters/publisher/pulse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "adapters/publisher/packing.h"
#include "adapters/redis/keys.h"

#define POSTS 4 /* most that a heartbeat takes */

int pulse_init(struct pulse *p, const struct route *route, const char *worker)
{
    uint64_t random[2];
    *p = (struct pulse){.route = route, .worker = worker};
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return -EIO;
    snprintf(p->boot, sizeof p->boot, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    return 0;
}

void pulse_deinit(struct pulse *p)
{
    free(p->sid);
    free(p->prompt);
    p->sid = p->prompt = NULL;
}

static char *copy(const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *c = malloc(bytes);
    return c ? memcpy(c, s, bytes) : NULL;
}

int pulse_set(struct pulse *p, uint64_t queue_remaining, const char *sid, const char *prompt)
{
    char *own_sid = sid ? copy(sid) : NULL;
    char *own_prompt = prompt ? copy(prompt) : NULL;
    if ((sid && !own_sid) || (prompt && !own_prompt)) {
        free(own_sid);
        free(own_prompt);
        return -ENOMEM;
    }
    pulse_deinit(p);
    p->queue_remaining = queue_remaining;
    p->sid = own_sid;
    p->prompt = own_prompt;
    p->beats = true;
    return 0;
}

static void pack_state(struct packing *to, const struct pulse *p, uint64_t unix_ms)
{
    msgpack_pack_map(&to->packer, 5);
    packing_text(to, "boot");
    packing_text(to, p->boot);
    packing_text(to, "queue_remaining");
    msgpack_pack_uint64(&to->packer, p->queue_remaining);
    packing_text(to, "sid");
    packing_text_or_nil(to, p->sid);
    packing_text(to, "prompt_id");
    packing_text_or_nil(to, p->prompt);
    packing_text(to, "at");
    msgpack_pack_uint64(&to->packer, unix_ms);
}

static void begin_message(struct packing *to, const struct pulse *p)
{
    msgpack_pack_map(&to->packer, 3);
    packing_text(to, "type");
    packing_text(to, "relay.worker");
    packing_text(to, "worker");
    packing_text(to, p->worker);
    packing_text(to, "data");
}

static struct post *to_all(const struct pulse *p, const struct packing *message)
{
    return message->has_failed ? NULL : route_to_all(p->route, packing_span(message));
}

static struct post *told(const struct pulse *p, struct span state)
{
    struct packing message;
    packing_init(&message);
    begin_message(&message, p);
    packing_raw(&message, state);
    struct post *post = to_all(p, &message);
    packing_deinit(&message);
    return post;
}

static struct post *gone(const struct pulse *p)
{
    struct packing message;
    packing_init(&message);
    begin_message(&message, p);
    msgpack_pack_map(&message.packer, 1);
    packing_text(&message, "gone");
    msgpack_pack_true(&message.packer);
    struct post *post = to_all(p, &message);
    packing_deinit(&message);
    return post;
}

/* HSET or HDEL of the worker's entry, without the value where that is empty. */
static struct post *entry(const struct pulse *p, const char *command, struct span value)
{
    struct key workers;
    key_common(&workers, p->route->prefix, "workers");
    struct span args[] = {span_str(command), key_span(&workers), span_str(p->worker), value};
    return post_new(args, value.len > 0 ? 4 : 3);
}

/* All of them, or none. */
static int add_all(struct backlog *b, struct post *take_posts[], size_t count)
{
    size_t made = 0;
    while (made < count && take_posts[made])
        made++;
    for (size_t i = 0; i < count; i++)
        if (made == count)
            backlog_add(b, take_posts[i]);
        else
            post_free(take_posts[i]);
    return made == count ? 0 : -ENOMEM;
}

int pulse_beat(struct pulse *p, struct backlog *b, uint64_t unix_ms)
{
    struct packing state;
    size_t count = 2;
    packing_init(&state);
    pack_state(&state, p, unix_ms);
    struct span packed = packing_span(&state);
    struct post *posts[POSTS] = {packed.len ? entry(p, "HSET", packed) : NULL,
                                 packed.len ? told(p, packed) : NULL};
    if (p->sid) {
        posts[count++] = route_renewal(p->route, span_str(p->sid), ":log");
        posts[count++] = route_renewal(p->route, span_str(p->sid), ":latest");
    }
    packing_deinit(&state);
    return add_all(b, posts, count);
}

int pulse_goodbye(const struct pulse *p, struct backlog *b)
{
    struct post *posts[] = {entry(p, "HDEL", SPAN_NONE), gone(p)};
    return add_all(b, posts, 2);
}
