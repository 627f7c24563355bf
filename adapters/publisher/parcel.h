/* A parcel: an event in its envelope, as it is published (WORKERS.md, "The event"). */
#ifndef PUBLISHER_PARCEL_H
#define PUBLISHER_PARCEL_H

#include "adapters/publisher/packing.h"
#include "relay/event.h"

/* Packs all of the event but its data, which is for the caller to pack next: exactly one value. Its type or code, its
 * addressee, worker and `keep` count. */
void parcel_begin(struct packing *p, const struct event *e, uint64_t unix_ms);

#endif
