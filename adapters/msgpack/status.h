/* What workers and other relays say of themselves, and what clients are told of it: queue shares, heartbeats, names,
 * and the frames of status and executing that the relay makes itself. Functions of struct codec (relay/ports.h). */
#ifndef MSGPACK_STATUS_H
#define MSGPACK_STATUS_H

#include "relay/event.h"
#include "relay/frame.h"
#include "relay/metrics.h"
#include "relay/reading.h"
#include "relay/workers.h"

enum drop_reason status_read_share(const struct event *event, int64_t *share)
    __attribute__((warn_unused_result));
enum drop_reason status_read_heartbeat(struct span data, struct heartbeat *heartbeat)
    __attribute__((warn_unused_result));
enum drop_reason status_read_sender(struct span data, struct sender *sender)
    __attribute__((warn_unused_result));
struct frame *status_make(int64_t queue_remaining, struct span sid);
struct frame *status_make_executing(struct span node);

#endif
