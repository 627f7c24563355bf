/* The seams: what the core asks of its edges. Each edge embeds its struct and finds itself from it. */
#ifndef RELAY_PORTS_H
#define RELAY_PORTS_H

#include "relay/cursor.h"
#include "relay/event.h"
#include "relay/metrics.h"
#include "relay/reading.h"
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
    /* The relay that sent an event of relay.*, from its data: `by`, and `opened`, 0 where it is absent. */
    enum drop_reason (*read_sender)(struct codec *self, struct span data, struct sender *sender);
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

/* What Redis keeps of sessions: their logs, how far each client had got, and which relay has them
 * (adapters/redis; redis-contract.md, "Events that outlive a connection").
 *
 * Questions are answered later, by the function of relay.h that is named, with the ticket they came with; they
 * outlive a lost connection. The rest is done later and may be lost with the connection. Spans are borrowed for the call. */
struct archive {
    /* This relay among those that share the Redis: what it signs its messages with. */
    struct span name;
    /* What to add to a time of relay.h to get one of Redis'. */
    int64_t clock_ms;
    bool has_clock;
    /* The newest entries of the log before an id, newest first: relay_read_back(). */
    void (*read_back)(struct archive *self, struct span sid, struct stream_id before, uint64_t ticket);
    /* The oldest entries at or after an id, oldest first, and what else is known of the session: relay_read_on().
     * Asked only while the session's channel is subscribed. For a claim: when its newest socket was opened, by the clock of
     * relay.h; the archive makes a time of Redis of it, so that every relay's compare. */
    void (*read_on)(struct archive *self, struct span sid, struct stream_id from, enum join join,
                    uint64_t opened_ms, uint64_t ticket);
    /* How far the client has got; expires a time to live later, as does whose the session is. Nothing is stored for a
     * session that is another relay's by now. `is_again`: this was stored before and must still be there; where it is not,
     * Redis has lost its data, and relay_data_lost() tells. */
    void (*store)(struct archive *self, struct span sid, struct stream_id ack, bool is_again);
    /* The page of a socket that was opened then has gone: whoever listens is told. With `forgets`, how far the client had
     * got is forgotten, unless another relay has a newer socket (under share: in any case). */
    void (*leave)(struct archive *self, struct span sid, uint64_t opened_ms, bool forgets);
};

/* What a person should be told (adapters/process). */
struct journal {
    /* `about`: the sid or the worker's id, as the table of notes says, borrowed; or empty. */
    void (*note)(struct journal *self, enum note note, struct span about);
};

/* What is kept in Redis of workers (adapters/redis). All of it is done later and may fail. */
struct registry {
    /* A worker is lost, or has left in the middle of a prompt. A silent one's entry is deleted, if it still has
     * this boot and no newer one took its place. When it executed a prompt of a session and no other relay is
     * first, the end of that prompt is published as redis-contract.md says. `node`: the last executing node that
     * is known here, a MessagePack value, or empty. Spans are borrowed for the call. */
    void (*lost)(struct registry *self, const struct worker *w, enum worker_end how, struct span node);
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
    struct archive *archive;
    struct registry *registry;
    struct sockets *sockets;
    struct journal *journal;
};

#endif
