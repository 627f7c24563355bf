/* The first phase of a connection: a request head comes, and is accepted or refused. */
#ifndef WEBSOCKET_HANDSHAKE_H
#define WEBSOCKET_HANDSHAKE_H

#include "adapters/websocket/conn.h"

/* More bytes of a connection in PHASE_HANDSHAKE. */
void handshake_receive(struct conn *c, struct span bytes);

/* Its time is over: 408. */
void handshake_expire(struct conn *c);

#endif
