/* One MessagePack value to JSON text, in one pass: written while it is read and checked (redis-contract.md,
 * "MessagePack to JSON"). Nested by an explicit stack, no recursion. Integers, floats: number.h; strings:
 * quote.h. On a drop, what has been written so far is of no use. */
#ifndef MSGPACK_TRANSCODE_H
#define MSGPACK_TRANSCODE_H

#include "adapters/msgpack/out.h"
#include "adapters/msgpack/unpack.h"

/* Reads one value and writes it. `level` is its own, should it be a container (the event's map is level 1).
 * DROP_NOTHING or DROP_TRUNCATED, DROP_MALFORMED, DROP_TOO_DEEP. */
enum drop_reason transcode_value(struct unpack *u, struct out *o, int level)
    __attribute__((warn_unused_result));

/* A member that is put into the map: in the place of one with this key, or as the last. */
struct inserted {
    struct span key;
    const char *json; /* its value, as JSON text */
};

/* Like transcode_value(), for a map whose header has been read: also notes where the values of some members
 * stand. `insert` may be NULL. */
enum drop_reason transcode_map(struct unpack *u, struct out *o, uint32_t count, int level,
                               struct member *members, size_t member_count, const struct inserted *insert)
    __attribute__((warn_unused_result));

#endif
