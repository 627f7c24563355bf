/* JSON text (RFC 8259) to one MessagePack value, in one pass. Integers digit for digit over the whole int64 and uint64
 * range, beyond it as float64; numbers with a fraction or an exponent as float64; lone surrogates as their three bytes;
 * of equal keys all are written. No NaN and no infinities: they are no JSON. Our own, for jansson refuses integers above 2^63-1,
 * which seeds are, and json-c changes them silently beyond 64 bits and takes what is no JSON. */
#ifndef PUBLISHER_PARSE_JSON_H
#define PUBLISHER_PARSE_JSON_H

#include "adapters/publisher/packing.h"

/* Writes the value. `level`: on which it stands, should it be a container (an event's map is level 1, its data 2); deeper than 64
 * is refused. 0, or -EINVAL: *why says what is wrong, *at where, in bytes from the beginning. The packing tells of want of
 * memory. */
int parse_json(struct packing *to, struct span text, int level, const char **why, size_t *at)
    __attribute__((warn_unused_result));

#endif
