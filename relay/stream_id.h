/* The id of an entry of a Redis stream: milliseconds and a number within them, as 1526919030474-55. */
#ifndef RELAY_STREAM_ID_H
#define RELAY_STREAM_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/span.h"

struct stream_id {
    uint64_t ms, n;
};

#define STREAM_ID_NONE       ((struct stream_id){0, 0}) /* before every entry */
#define STREAM_ID_MAX        ((struct stream_id){UINT64_MAX, UINT64_MAX})
#define STREAM_ID_TEXT_BYTES 42 /* of the longest, with its terminating zero */

/* Reads ms-n in decimal, as Redis writes it: without leading zeros. False when it is none. */
bool stream_id_parse(struct span text, struct stream_id *id);
/* Writes it as text. Returns its length. */
size_t stream_id_format(struct stream_id id, char text[STREAM_ID_TEXT_BYTES]);

/* Negative, 0 or positive, as a is before, at or after b. */
int stream_id_compare(struct stream_id a, struct stream_id b);
/* The next higher one; of the highest, itself. */
struct stream_id stream_id_after(struct stream_id id);
/* The next lower one; of the lowest, itself. */
struct stream_id stream_id_before(struct stream_id id);

static inline bool stream_id_is_none(struct stream_id id)
{
    return id.ms == 0 && id.n == 0;
}

#endif
