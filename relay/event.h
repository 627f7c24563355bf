/* An event: what a worker published, decoded as far as routing needs it. All spans point into the message. */
#ifndef RELAY_EVENT_H
#define RELAY_EVENT_H

#include "relay/span.h"
#include "relay/stream_id.h"

enum addressee { TO_ALL, TO_SESSION, TO_NOBODY };
enum keep_wish { KEEP_BY_TYPE, KEEP_ALWAYS, KEEP_NEWEST }; /* the envelope's `keep`: absent, true, false */
enum picture { PICTURE_NONE, PICTURE_JPEG, PICTURE_OTHER };

/* The fields below `data` are values of MessagePack as they stand in the message, so that they can be
 * compared and hashed without knowing what they are; an absent or nil one is empty. They are known once the
 * event's data has been read (codec.encode in ports.h). */
struct event {
    bool is_binary;
    uint32_t code;    /* of a binary event */
    struct span type; /* of a text event: the bytes of the string */
    enum addressee to;
    struct span sid; /* when to is TO_SESSION */
    struct span worker;
    enum keep_wish keep;
    struct stream_id
        id;        /* of its entry in the session's log, when it stood before the event; or STREAM_ID_NONE */
    int64_t ts_ms; /* when it was published, in Unix time; 0: not known */
    struct span data; /* one MessagePack value, not yet checked; empty counts as nil */

    struct span prompt;       /* data.prompt_id */
    struct span node;         /* data.node; of a preview, its metadata's node_id */
    struct span display_node; /* data.display_node */
    bool is_blocked;          /* data.exception_type is "ExecutionBlocked" */
    enum picture picture;     /* of codes 1, 2 and 4 */
};

/* What an event does to the relay's own knowledge, by its type. From EFFECT_STATUS on they are not for clients. */
enum effect {
    EFFECT_NONE,
    EFFECT_START,     /* execution_start */
    EFFECT_EXECUTING, /* executing: a node, or nil for the end */
    EFFECT_END,       /* execution_success, execution_interrupted */
    EFFECT_ERROR,     /* execution_error: an end, unless the exception is ExecutionBlocked */
    EFFECT_STATUS,    /* status: a worker's share of the queue, never passed through */
    EFFECT_WORKER,    /* relay.worker: a worker's heartbeat */
    EFFECT_TAKEOVER,  /* relay.takeover: a relay has taken the session over */
    EFFECT_LEFT,      /* relay.left: the page of one of the session's sockets has gone */
    EFFECT_CONTRACT,  /* any other relay.*: not for clients */
};

enum effect event_effect(const struct event *e);

/* Never for a client. */
bool effect_is_internal(enum effect effect);

/* An execution_* that ends its prompt, or executing with no node. */
bool event_ends_prompt(const struct event *e);

/* 0 for an event that must be kept in order; else the key by which newer ones replace it. Two events have the
 * same key when all that counts for their type (type, prompt, node, worker: the table of classes) is equal. */
uint64_t event_conflation_key(const struct event *e, const uint64_t seed[2]);

#endif
