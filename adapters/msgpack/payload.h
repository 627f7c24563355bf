/* Payloads of frames: an event's data, by its type or code (redis-contract.md, the table of binary codes). */
#ifndef MSGPACK_PAYLOAD_H
#define MSGPACK_PAYLOAD_H

#include "relay/event.h"
#include "relay/frame.h"
#include "relay/metrics.h"

/* Reads the data of an event, checks it whole, and fills the event's last fields. Writes the payload to the
 * builder; NULL: nobody wants it. A builder that ran out of memory is for the caller to notice. */
enum drop_reason payload_text(struct event *event, struct frame_builder *builder)
    __attribute__((warn_unused_result));
enum drop_reason payload_binary(struct event *event, struct frame_builder *builder)
    __attribute__((warn_unused_result));

/* How many bytes the payload probably has. */
size_t payload_expected_bytes(const struct event *event);

#endif
