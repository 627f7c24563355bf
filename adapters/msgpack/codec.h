/* MessagePack to events and to frames (redis-contract.md): the relay's codec. */
#ifndef MSGPACK_CODEC_H
#define MSGPACK_CODEC_H

#include "relay/ports.h"

#define CODEC_DEPTH_MAX  64 /* the event's map is level 1 */
#define CODEC_DATA_LEVEL 2  /* what its `data` stands on */

/* The one codec. It has no state. */
struct codec *codec_msgpack(void);

#endif
