/* An envelope: an event as it is published (WORKERS.md, "The event"). */
#ifndef PUBLISHER_ENVELOPE_H
#define PUBLISHER_ENVELOPE_H

#include "adapters/publisher/packing.h"
#include "relay/event.h"

/* Packs all of the event but its data, which is for the caller to pack next: exactly one value. Its type or code, its
 * addressee, worker and `keep` count. */
void envelope_begin(struct packing *p, const struct event *e, uint64_t unix_ms);

#endif
