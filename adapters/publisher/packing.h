/* MessagePack that is being written, by msgpack-c's packer. A failed allocation is remembered, so that only the end needs
 * a check. */
#ifndef PUBLISHER_PACKING_H
#define PUBLISHER_PACKING_H

#include <msgpack.h>

#include "relay/span.h"

struct packing {
    msgpack_packer packer; /* may be used directly */
    msgpack_sbuffer buffer;
    bool has_failed;
};

void packing_init(struct packing *p);
void packing_deinit(struct packing *p);

/* What was written so far; valid until more is. Empty after a failure. */
struct span packing_span(const struct packing *p);

void packing_str(struct packing *p, struct span s);
void packing_bin(struct packing *p, struct span s);
void packing_text(struct packing *p, const char *s);
/* Nil when it is NULL. */
void packing_text_or_nil(struct packing *p, const char *s);
/* Bytes as they stand: a value, or a part of one. */
void packing_raw(struct packing *p, struct span bytes);

#endif
