/* Control frames of the server: at most 125 bytes of payload, not masked (RFC 6455, section 5.5). */
#ifndef WEBSOCKET_CONTROL_H
#define WEBSOCKET_CONTROL_H

#include "relay/span.h"

#define CONTROL_PAYLOAD_MAX  125
#define CONTROL_HEADER_BYTES 2
#define CONTROL_CLOSE_BYTES  (CONTROL_HEADER_BYTES + 2)

enum control { CONTROL_CLOSE = 8, CONTROL_PING = 9, CONTROL_PONG = 10 }; /* RFC 6455, section 11.8 */

/* The codes of close frames that the server has to do with by name (RFC 6455, section 7.4, and its registry). */
enum close_code {
    CLOSE_CODE_NORMAL = 1000,
    CLOSE_CODE_GOING_AWAY = 1001, /* of a client: its page was left */
    CLOSE_CODE_TOO_LARGE = 1009,
    CLOSE_CODE_RESTART = 1012,
};

/* Writes a whole frame; out has room for CONTROL_HEADER_BYTES more than the payload has. Returns its length. */
size_t control_make(uint8_t *out, enum control kind, struct span payload);

/* The same for a close frame with a code. */
size_t control_make_close(uint8_t out[CONTROL_CLOSE_BYTES], uint16_t code);

#endif
