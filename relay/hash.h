/* SipHash-1-3 (Aumasson and Bernstein, 2012): a keyed hash, so that nobody outside can choose collisions. */
#ifndef RELAY_HASH_H
#define RELAY_HASH_H

#include "relay/span.h"

uint64_t hash_bytes(struct span s, const uint64_t seed[2]);

#endif
