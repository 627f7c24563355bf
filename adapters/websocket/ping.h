/* Pings: they keep a connection alive, find out when it is dead, and ask how far the client has got.
 *
 *     101 ─▶ quiet ──it is written to: the ping goes along─▶ pinged ──its echo──▶ resting ──all is acknowledged──▶ quiet
 *              │                                              ▲ ▲                    2 s  │
 *              └──the keep-alive is due───────────────────────┘ │                         │ it is not
 *                                                               └──100 ms, or a write──written
 *
 * A ping that cannot go along, since there is more to write, follows as one that is due after a rest does.
 *
 * "Written to" counts when the cursor wants it acknowledged (relay/cursor.h). So a busy connection is pinged every two
 * seconds, mostly in the same write as an event, and one with nothing to acknowledge every ws.ping_interval, which is what
 * resting and quiet last together.
 *
 *     payload   | number of the ping |   8 bytes, big-endian
 *
 * Browsers and libraries send it back as it is (RFC 6455, sections 5.5.2 and 5.5.3): all that was written before the
 * ping has arrived then, and how far that is the cursor has noted. No number is used twice, and only the echo of the last
 * ping counts, once. All other pongs are legal and mean nothing.
 *
 * A ping goes between frames, so it may have to wait for one that has begun. The time for its pong begins when
 * the socket has taken the ping; until then, whoever goes on reading has time. */
#ifndef WEBSOCKET_PING_H
#define WEBSOCKET_PING_H

#include "adapters/websocket/conn.h"
#include "adapters/websocket/control.h"

#define PING_FRAME_BYTES (CONTROL_HEADER_BYTES + CONN_PING_BYTES)

/* A ping should go along with what is written now. `is_kept`: that, too, is to be acknowledged. */
bool ping_is_due(const struct conn *c, bool is_kept);
/* Makes the next ping, in the caller's buffer. */
struct span ping_make(struct conn *c, uint8_t buffer[PING_FRAME_BYTES]);
/* It was sent, behind all that the cursor has taken. */
void ping_note_sent(struct conn *c);

/* It was written to. */
void ping_note_written(struct conn *c);

/* A pong has come; it is open. */
void ping_note_pong(struct conn *c, struct span payload);

/* The socket has taken all that was written, a ping too; it is open. */
void ping_note_taken(struct conn *c);

/* It is open, and its time in this phase is over. May abort it. */
void ping_act(struct conn *c);

#endif
