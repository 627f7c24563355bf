/* The receiving half of a WebSocket (RFC 6455, sections 5 and 8.1): bytes of a client in, messages out. It
 * knows no socket.
 *
 *     bytes ─▶ wslay's frame layer ─▶ here ─▶ events
 *              headers, lengths,      order, UTF-8,
 *              unmasking              whole messages
 *
 * Of wslay its frame layer is used and not its event layer, because that one (1.1.1) answers broken framing
 * with a close without a code, refuses the codes 1012 to 1014 that clients send back, allocates a message's
 * declared length before it has come and an answer for each ping, and needs twice the memory.
 *
 * A receiver weighs 4.5 KB and an idle socket needs none: between messages, receiver_is_idle() says so, any
 * other socket can go on with it. */
#ifndef WEBSOCKET_RECEIVER_H
#define WEBSOCKET_RECEIVER_H

#include "relay/span.h"

struct receiver;

enum receiver_kind {
    RECEIVER_NOTHING, /* needs more bytes */
    RECEIVER_TEXT,    /* a whole message that was wanted */
    RECEIVER_IGNORED, /* a whole message, well-formed, that was not */
    RECEIVER_PING,
    RECEIVER_PONG,
    RECEIVER_CLOSE,     /* the client's close frame; nothing follows it */
    RECEIVER_FAILURE,   /* close with this code: 1002, 1007 or 1009. Nothing follows it */
    RECEIVER_NO_MEMORY, /* nothing follows it */
};

struct receiver_event {
    enum receiver_kind kind;
    struct span payload; /* of text, ping and pong; valid until the next call. Text may be changed in place */
    uint16_t code;       /* of a failure; of a close: the client's, or 1005 when it gave none */
};

/* NULL when there is no memory. */
struct receiver *receiver_new(void);
void receiver_free(struct receiver *r); /* NULL is fine */
/* The memory that it takes, with the message so far. */
size_t receiver_bytes(const struct receiver *r); /* likewise */

/* The bytes that came next. They are borrowed until receiver_next() has answered RECEIVER_NOTHING; only then
 * there can be more. */
void receiver_feed(struct receiver *r, const void *bytes, size_t len);

/* What they bring, one thing at a time. Messages longer than max_bytes are a failure, from the header on;
 * text is held only when it is wanted. */
struct receiver_event receiver_next(struct receiver *r, size_t max_bytes, bool wants_text);

/* True between messages, when it holds nothing of what was fed: then it is as good as new. */
bool receiver_is_idle(const struct receiver *r);

#endif
