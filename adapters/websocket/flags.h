/* Feature flags (wire-protocol: the exchange that a client may begin with its first message). */
#ifndef WEBSOCKET_FLAGS_H
#define WEBSOCKET_FLAGS_H

#include "relay/frame.h"

enum flags_verdict {
    FLAGS_NOT_YET,    /* not JSON, or no object: the next message may still be the first */
    FLAGS_NONE,       /* another message: this client never negotiates */
    FLAGS_NEGOTIATED, /* it is to be answered */
};

/* Reads a client's text message; it is changed in place. *wants_metadata is set when it negotiates, true only
 * for `supports_preview_metadata` that is exactly true. */
enum flags_verdict flags_read(struct span text, bool *wants_metadata);

/* The server's answer, {"type":"feature_flags","data":<features>}, with the white space between tokens left
 * out. `features` is the option, a JSON object: that is checked where options are. The caller owns the frame.
 * NULL when there is no memory. */
struct frame *flags_reply(const char *features);

#endif
