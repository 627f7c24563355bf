/* A client's end of a connection to the server of server_fixture, by hand: frame for frame. */
#ifndef TESTS_SERVER_CLIENT_H
#define TESTS_SERVER_CLIENT_H

#include "tests/support/server_fixture.h"

#define CLIENT_HEAD                                                                             \
    "Host: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

#define CLIENT_PING_BYTES 16 /* payload of the server's pings */

/* What becomes of the server's pings when they are read. They are seen as frames that the test has to deal with. */
enum client_pings { CLIENT_ANSWERS_PINGS, CLIENT_SEES_PINGS, CLIENT_IGNORES_PINGS };

struct client {
    struct fixture *f;
    int fd;
    enum client_pings mode; /* it answers, unless the test says otherwise */
    size_t pings;           /* that it answered or ignored */
    size_t len;
    uint8_t in[1 << 20]; /* what came and was not taken yet */
    bool is_at_end;
};

struct client *client_connect(struct fixture *f);
void client_disconnect(struct client *c); /* cuts it, and frees the client */

/* Connected, upgraded, subscribed, and past its first status. */
struct client *client_open(struct fixture *f, const char *sid);
void client_request(struct client *c, const char *sid);

void client_send(struct client *c, const char *text); /* as it stands */
void client_send_bytes(struct client *c, const void *bytes, size_t len);
/* A frame with this first byte. Its mask is of zeros: masked, and readable in a trace. */
void client_send_frame(struct client *c, uint8_t first, const void *payload, size_t len);
void client_send_text(struct client *c, const char *text);
/* The same into `out`, which has room for 14 bytes more. Returns its length. */
size_t client_make_frame(uint8_t *out, uint8_t first, const void *payload, size_t len);

/* Takes what the socket has, at most `most` bytes. */
void client_receive(struct client *c, size_t most);
/* The length of the frame that has come whole, or 0; *at is where its payload begins. */
size_t client_whole_frame(const struct client *c, size_t *at);
/* Waits for a whole frame, taking so many bytes at a time. It stays where it is. */
void client_await_frame(struct client *c, size_t step);
/* Drops the first bytes of what came. */
void client_take(struct client *c, size_t len);

/* When it sees pings: waits for the next one, dropping the frames before it; answers it. */
void client_ping(struct client *c, uint8_t payload[CLIENT_PING_BYTES]);
void client_pong(struct client *c, const uint8_t payload[CLIENT_PING_BYTES]);

/* These wait, and fail the test when something else comes. */
void client_expect_frame(struct client *c, uint8_t first, const char *expected);
int client_expect_number(struct client *c); /* of publish_big(); -1: there is none in the frame */
void client_expect_close(struct client *c, unsigned code);
void client_expect_end(struct client *c);
void client_expect_response(struct client *c, const char *status_line); /* up to its empty line */

/* The server has read all that was sent so far. Fails the test when something else comes before it says so. */
void client_expect_nothing(struct client *c);

#endif
