/* The peer of a server_fixture's connection: a client by hand, frame for frame. */
#ifndef TESTS_PEER_H
#define TESTS_PEER_H

#include "tests/support/server_fixture.h"

#define PEER_HEAD                                                                               \
    "Host: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

#define PEER_PING_BYTES 8 /* payload of the server's pings */

/* What becomes of the server's pings when they are read. They are seen as frames that the test has to deal with. */
enum peer_pings { PEER_ANSWERS_PINGS, PEER_SEES_PINGS, PEER_IGNORES_PINGS };

struct peer {
    struct fixture *f;
    int fd;
    enum peer_pings mode; /* it answers, unless the test says otherwise */
    size_t pings;         /* that it answered or ignored */
    size_t len;
    uint8_t in[1 << 20]; /* what came and was not taken yet */
    bool is_at_end;
};

struct peer *peer_connect(struct fixture *f);
void peer_disconnect(struct peer *c); /* cuts it, and frees this */

/* Connected, upgraded, subscribed, and past its first status. */
struct peer *peer_open(struct fixture *f, const char *sid);
void peer_request(struct peer *c, const char *sid);

void peer_send(struct peer *c, const char *text); /* as it stands */
void peer_send_bytes(struct peer *c, const void *bytes, size_t len);
/* A frame with this first byte. Its mask is of zeros: masked, and readable in a trace. */
void peer_send_frame(struct peer *c, uint8_t first, const void *payload, size_t len);
void peer_send_text(struct peer *c, const char *text);
/* The same into `out`, which has room for 14 bytes more. Returns its length. */
size_t peer_make_frame(uint8_t *out, uint8_t first, const void *payload, size_t len);

/* Takes what the socket has, at most `most` bytes. */
void peer_receive(struct peer *c, size_t most);
/* The length of the frame that has come whole, or 0; *at is where its payload begins. */
size_t peer_whole_frame(const struct peer *c, size_t *at);
/* Waits for a whole frame, taking so many bytes at a time. It stays where it is. */
void peer_await_frame(struct peer *c, size_t step);
/* Drops the first bytes of what came. */
void peer_take(struct peer *c, size_t len);

/* When it sees pings: waits for the next one, dropping the frames before it; answers it. */
void peer_ping(struct peer *c, uint8_t payload[PEER_PING_BYTES]);
void peer_pong(struct peer *c, const uint8_t payload[PEER_PING_BYTES]);

/* These wait, and fail the test when something else comes. */
void peer_expect_frame(struct peer *c, uint8_t first, const char *expected);
int peer_expect_number(struct peer *c); /* of publish_big(); -1: there is none in the frame */
void peer_expect_close(struct peer *c, unsigned code);
void peer_expect_end(struct peer *c);
void peer_expect_response(struct peer *c, const char *status_line); /* up to its empty line */

/* The server has read all that was sent so far. Fails the test when something else comes before it says so. */
void peer_expect_nothing(struct peer *c);

#endif
