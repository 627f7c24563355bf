/* The seams: what the core asks of its edges. Each edge embeds its struct and finds itself from it. */
#ifndef RELAY_PORTS_H
#define RELAY_PORTS_H

#include "relay/cursor.h"
#include "relay/event.h"
#include "relay/metrics.h"
#include "relay/workers.h"

/* The format of messages and of what clients see: MessagePack to JSON and binary payloads (adapters/msgpack).
 */
struct codec {
    /* Decodes the envelope. `channel_sid` is the session whose channel brought it (then the envelope's own
     * sid does not count), or empty for the events channel. The data is not looked at where that can be
     * avoided. DROP_NOTHING, or why the message must be dropped. */
    enum drop_reason (*decode)(struct codec *self, struct span message, struct span channel_sid,
                               struct event *event);
    /* Reads the event's data, checks it whole, and fills the event's last fields. With `frame` it also makes
     * the frame, which the caller then owns; without, nobody needs one. On a drop there is no frame. */
    enum drop_reason (*encode)(struct codec *self, struct event *event, struct frame **frame);
    /* The share of the queue in an event of type status. */
    enum drop_reason (*read_share)(struct codec *self, const struct event *event, int64_t *share);
    /* The data of relay.worker; an entry of the workers' hash is the same. Spans of the message. */
    enum drop_reason (*read_heartbeat)(struct codec *self, struct span data, struct heartbeat *heartbeat);
    /* The text of a MessagePack string; empty when it is none. */
    struct span (*read_str)(struct codec *self, struct span value);
    /* {"type":"status",…}, with "sid" unless that is empty. NULL: no memory. */
    struct frame *(*make_status)(struct codec *self, int64_t queue_remaining, struct span sid);
    /* {"type":"executing","data":{"node":…}} of a MessagePack value. NULL: no memory. */
    struct frame *(*make_executing)(struct codec *self, struct span node);
};

/* The subscriptions to sessions' channels (adapters/redis). */
struct channels {
    /* Asks for a session's channel; relay_subscribed() follows when Redis has confirmed it. Without a
     * connection it is asked for again by relay_link_up(). */
    void (*subscribe)(struct channels *self, struct span sid);
    void (*unsubscribe)(struct channels *self, struct span sid);
};

/* What is kept in Redis of workers (adapters/redis). All of it is done later and may fail. */
struct registry {
    /* A worker is lost. Its entry is deleted, if it still has this boot and no newer one took its place. When
     * it executed a prompt of a session and no other relay is first, the end of that prompt is published as
     * redis-contract.md says. `node`: the last executing node that is known here, a MessagePack value, or
     * empty. Spans are borrowed for the call. */
    void (*lost)(struct registry *self, const struct worker *w, bool is_restart, struct span node);
};

/* The sockets (adapters/websocket). */
struct sockets {
    /* There may be something to write: take as much as the socket does (cursor_peek, cursor_take). When it
     * takes no more, set is_blocked, and call relay_writable() later. May close the socket, but must detach
     * it only later. */
    void (*write)(struct sockets *self, struct cursor *c);
};

struct ports {
    struct codec *codec;
    struct channels *channels;
    struct registry *registry;
    struct sockets *sockets;
};

#endif
