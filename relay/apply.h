/* Applying an event to its session: what it tells of the prompt, and its frame into the log. */
#ifndef RELAY_APPLY_H
#define RELAY_APPLY_H

#include "relay/core.h"

/* A decoded event that goes to one session or to all, and the message that it came in. */
enum drop_reason apply_event(struct relay *r, struct event *e, enum effect effect, struct span message,
                             uint64_t now_ms);

/* A message of the session's log, or one that was put aside. `id` counts where the message does not carry one. */
enum drop_reason apply_message(struct relay *r, struct session *s, struct span message, struct stream_id id,
                               uint64_t now_ms);

#endif
