/* A sid: the id of a session, chosen by the client or minted for it. It is a bearer secret. */
#ifndef RELAY_SID_H
#define RELAY_SID_H

#include "relay/span.h"

#define SID_MAX_BYTES   128
#define SID_SHORT_BYTES 12 /* room for a shortened sid with its NUL */

/* 1 to 128 bytes of well-formed UTF-8 without control characters (C0, DEL, C1), '{' or '}'. */
bool sid_is_valid(struct span sid);

/* Writes the form that may stand in a log: at most the first 8 bytes, anything but printable ASCII as '?', and
 * "..." where something was left out. At most half of a sid is ever shown. */
void sid_shorten(struct span sid, char out[SID_SHORT_BYTES]);

#endif
