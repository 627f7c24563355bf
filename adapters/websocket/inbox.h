/* The inbox: what a client says, and what follows from it.
 *
 *     bytes ─▶ receiver ─┬▶ feature flags, the first message   answered by the cursor, behind the first status
 *                        ├▶ ping                               pong
 *                        ├▶ pong                               ping.h
 *                        └▶ close, or a breach of protocol     close, and linger
 *
 * What one read brings is answered by one write. */
#ifndef WEBSOCKET_INBOX_H
#define WEBSOCKET_INBOX_H

#include "adapters/websocket/conn.h"

/* More bytes of a connection that is open or in PHASE_CLOSING: look at its phase after it. */
void inbox_receive(struct conn *c, struct span bytes);

#endif
