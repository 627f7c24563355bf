/* MessagePack's timestamp, ext type -1, as RFC 3339 in UTC. */
#ifndef MSGPACK_TIMESTAMP_H
#define MSGPACK_TIMESTAMP_H

#include "relay/span.h"

#define TIMESTAMP_EXT_TYPE (-1)
#define TIMESTAMP_MAX      32

/* Writes the payload as text, 2024-02-29T12:30:00.250Z, with no fraction when it is zero, else 3, 6 or 9
 * digits. Returns its length, at most TIMESTAMP_MAX; 0 when the payload's length is not 4, 8 or 12, it has a
 * billion nanoseconds or more, or the year is not between 0000 and 9999. */
size_t timestamp_write(char to[TIMESTAMP_MAX], struct span payload);

#endif
